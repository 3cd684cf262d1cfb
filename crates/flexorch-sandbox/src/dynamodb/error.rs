//! DynamoDB's errors.

use serde_json::{Value, json};

use crate::aws::json::{JsonError, ProtocolError};
use crate::aws::signature::{CALLER, SignatureError};

/// An error of DynamoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DynamoError {
    pub(super) status: u16,
    /// The shape's name without its namespace.
    pub(super) kind: &'static str,
    namespace: &'static str,
    pub(super) message: String,
}

/// The namespace of DynamoDB's own errors, and of those that AWS's services share.
const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810";
const SHARED: &str = "com.amazon.coral.service";
const VALIDATION: &str = "com.amazon.coral.validate";

impl DynamoError {
    fn new(namespace: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind, namespace, message: message.into() }
    }

    /// The request is not valid.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(VALIDATION, "ValidationException", message)
    }

    /// The body is not JSON, or a value is not of its type.
    pub(super) fn serialization() -> Self {
        Self::new(SHARED, "SerializationException", "The body, or a value in it, does not have the expected type.")
    }

    /// The item is not as the condition demands.
    pub(super) fn condition_failed() -> Self {
        Self::new(DYNAMODB, "ConditionalCheckFailedException", "The conditional request failed")
    }

    /// There is no such table.
    pub(super) fn no_table(name: &str) -> Self {
        let message = format!("Requested resource not found: Table: {name} not found");
        Self::new(DYNAMODB, "ResourceNotFoundException", message)
    }

    /// There is such a table already.
    pub(super) fn table_exists(name: &str) -> Self {
        Self::new(DYNAMODB, "ResourceInUseException", format!("Table already exists: {name}"))
    }

    /// The table's or index's capacity is exceeded.
    pub(super) fn throughput_exceeded() -> Self {
        let message = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
                       provisioning level with the UpdateTable API.";
        Self::new(DYNAMODB, "ProvisionedThroughputExceededException", message)
    }

    /// An on-demand table's throughput is exceeded, or the account's.
    pub(super) fn throttled() -> Self {
        let message = "Throughput exceeds the current capacity of your table or index.";
        Self::new(DYNAMODB, "ThrottlingException", message)
    }

    /// DynamoDB's own failure.
    pub(super) fn internal() -> Self {
        Self { status: 500, ..Self::new(DYNAMODB, "InternalServerError", "Internal server error") }
    }

    /// The role does not have the permission.
    pub(super) fn access_denied(operation: &str, arn: &str) -> Self {
        let message = format!(
            "User: {CALLER} is not authorized to perform: dynamodb:{operation} on resource: {arn} because no identity-based \
             policy allows the dynamodb:{operation} action"
        );
        Self::new(SHARED, "AccessDeniedException", message)
    }

    /// There is no such operation here.
    pub(super) fn unknown_operation(operation: &str) -> Self {
        Self::new(SHARED, "UnknownOperationException", format!("The sandbox has no {operation}."))
    }
}

impl From<ProtocolError> for DynamoError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Signature(SignatureError::Missing) => {
                Self::new(SHARED, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
            }
            ProtocolError::Signature(SignatureError::Malformed) => Self::new(
                SHARED,
                "IncompleteSignatureException",
                "Authorization is not an AWS4-HMAC-SHA256 signature for dynamodb.",
            ),
            ProtocolError::NoOperation => {
                Self::new(SHARED, "UnknownOperationException", "X-Amz-Target names no operation of DynamoDB.")
            }
            ProtocolError::Body => Self::serialization(),
        }
    }
}

impl JsonError for DynamoError {
    fn status(&self) -> u16 {
        self.status
    }

    fn body(&self) -> Value {
        json!({"__type": format!("{}#{}", self.namespace, self.kind), "message": self.message})
    }

    fn header(&self) -> (&'static str, String) {
        ("x-amzn-errortype", self.kind.to_owned())
    }
}
