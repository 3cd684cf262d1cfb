//! The errors of the services that name an error's shape alone: DynamoDB, EventBridge, Secrets Manager.

use serde_json::{Value, json};

use super::json::{JsonError, ProtocolError};
use super::signature::{CALLER, SignatureError};

/// An error of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    status: u16,
    /// The value of `__type`: the shape's name, with its namespace if the service sends one.
    pub(crate) shape: &'static str,
    pub(crate) message: String,
}

impl AwsError {
    /// Returns an error of the caller. Its status is 400, whatever its shape.
    pub(crate) fn client(shape: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, shape, message: message.into() }
    }

    /// Returns an error of the service, with status 500.
    pub(crate) fn server(shape: &'static str, message: impl Into<String>) -> Self {
        Self { status: 500, shape, message: message.into() }
    }

    /// Returns the error for a role that lacks a permission.
    pub(crate) fn access_denied(service: &str, operation: &str, resource: &str) -> Self {
        let message =
            format!("User: {CALLER} is not authorized to perform: {service}:{operation} on resource: {resource}");
        Self::client("AccessDeniedException", message)
    }

    /// Returns the error for too many calls.
    pub(crate) fn throttled() -> Self {
        Self::client("ThrottlingException", "Rate exceeded")
    }

    /// Returns the error for an operation that the sandbox does not have.
    pub(crate) fn unknown_operation(operation: &str) -> Self {
        Self::client("UnknownOperationException", format!("The sandbox has no {operation}."))
    }
}

impl From<ProtocolError> for AwsError {
    fn from(error: ProtocolError) -> Self {
        let (shape, message) = match error {
            ProtocolError::Signature(SignatureError::Missing) => {
                ("MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            ProtocolError::Signature(SignatureError::Malformed) => {
                ("IncompleteSignatureException", "Authorization is not an AWS4-HMAC-SHA256 signature for this service.")
            }
            ProtocolError::NoOperation => {
                ("UnknownOperationException", "X-Amz-Target names no operation of this service.")
            }
            ProtocolError::Body => {
                ("SerializationException", "The body, or a value in it, does not have the expected type.")
            }
        };
        Self::client(shape, message)
    }
}

impl JsonError for AwsError {
    fn status(&self) -> u16 {
        self.status
    }

    fn body(&self) -> Value {
        json!({"__type": self.shape, "message": self.message})
    }

    fn header(&self) -> (&'static str, String) {
        let name = self.shape.rsplit('#').next().unwrap_or(self.shape);
        ("x-amzn-errortype", name.to_owned())
    }
}
