//! Secrets Manager's errors.

use super::super::aws::signature::CALLER;

/// An error of Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretsError {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl SecretsError {
    /// A client's error. Its status is 400, whatever its kind.
    pub(super) fn client(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind, message: message.into() }
    }

    /// There is no such secret.
    pub(super) fn not_found() -> Self {
        let message = "Secrets Manager can't find the specified secret.";
        Self::client("ResourceNotFoundException", message)
    }

    /// The role does not have the permission.
    pub(super) fn access_denied(secret_id: &str, operation: &str) -> Self {
        let message =
            format!("User: {CALLER} is not authorized to perform: secretsmanager:{operation} on resource: {secret_id}");
        Self::client("AccessDeniedException", message)
    }

    /// Too many calls.
    pub(super) fn throttled() -> Self {
        Self::client("ThrottlingException", "Rate exceeded")
    }

    /// Secrets Manager's own failure.
    pub(super) fn internal() -> Self {
        let message = "An error occurred on the server side.".to_owned();
        Self { status: 500, kind: "InternalServiceError", message }
    }

    /// A required parameter is missing.
    pub(super) fn missing(field: &str) -> Self {
        Self::client("InvalidParameterException", format!("You must provide a value for the {field} parameter."))
    }
}
