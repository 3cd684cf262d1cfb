//! IAM's errors (IAM API Reference, "CreateAccessKey" and "Common Error Types").

use super::super::aws::signature::{CALLER, SignatureError};

/// An error of IAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IamError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl IamError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// There is no such user.
    pub(super) fn no_such_user(user: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The user with name {user} cannot be found."))
    }

    /// The user has no such access key.
    pub(super) fn no_such_key(id: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The Access Key with id {id} cannot be found."))
    }

    /// The user has as many access keys as IAM allows.
    pub(super) fn too_many_keys(limit: usize) -> Self {
        Self::new(409, "LimitExceeded", format!("Cannot exceed quota for AccessKeysPerUser: {limit}"))
    }

    /// The caller does not have the permission.
    pub(super) fn access_denied(operation: &str, user: &str) -> Self {
        let message = format!("User: {CALLER} is not authorized to perform: iam:{operation} on resource: user {user}");
        Self::new(403, "AccessDenied", message)
    }

    /// Too many calls.
    pub(super) fn throttled() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    /// IAM's own failure.
    pub(super) fn internal() -> Self {
        Self::new(500, "ServiceFailure", "The request processing has failed because of an unknown error.")
    }

    /// This endpoint does not have the operation.
    pub(super) fn unknown_operation(operation: &str) -> Self {
        Self::new(400, "InvalidAction", format!("Could not find operation {operation} for version 2010-05-08"))
    }

    /// A required parameter is missing.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(400, "ValidationError", format!("The request must contain the parameter {parameter}."))
    }
}

impl From<SignatureError> for IamError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Missing => {
                Self::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            SignatureError::Malformed => {
                Self::new(400, "IncompleteSignature", "Authorization is not an AWS4-HMAC-SHA256 signature for iam.")
            }
        }
    }
}
