//! EventBridge's errors.

use serde_json::{Value, json};

use crate::aws::json::{JsonError, ProtocolError};
use crate::aws::signature::{CALLER, SignatureError};

/// An error of EventBridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventsError {
    status: u16,
    kind: &'static str,
    message: String,
}

impl EventsError {
    fn client(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind, message: message.into() }
    }

    /// The request is not valid.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::client("ValidationException", message)
    }

    /// There is no such bus.
    pub(super) fn no_bus(bus: &str) -> Self {
        Self::client("ResourceNotFoundException", format!("Event bus {bus} does not exist."))
    }

    /// The role does not have the permission.
    pub(super) fn access_denied(operation: &str, bus: &str) -> Self {
        let message = format!("User: {CALLER} is not authorized to perform: events:{operation} on resource: {bus}");
        Self::client("AccessDeniedException", message)
    }

    /// Too many calls.
    pub(super) fn throttled() -> Self {
        Self::client("ThrottlingException", "Rate exceeded")
    }

    /// EventBridge's own failure.
    pub(super) fn internal() -> Self {
        let message = "This exception occurs due to unexpected causes.".to_owned();
        Self { status: 500, kind: "InternalException", message }
    }

    /// There is no such operation here.
    pub(super) fn unknown_operation(operation: &str) -> Self {
        Self::client("UnknownOperationException", format!("The sandbox has no {operation}."))
    }
}

impl From<ProtocolError> for EventsError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Signature(SignatureError::Missing) => {
                Self::client("MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            ProtocolError::Signature(SignatureError::Malformed) => Self::client(
                "IncompleteSignatureException",
                "Authorization is not an AWS4-HMAC-SHA256 signature for events.",
            ),
            ProtocolError::NoOperation => {
                Self::client("UnknownOperationException", "X-Amz-Target names no operation of EventBridge.")
            }
            ProtocolError::Body => Self::client("SerializationException", "The body is not valid."),
        }
    }
}

impl JsonError for EventsError {
    fn status(&self) -> u16 {
        self.status
    }

    fn body(&self) -> Value {
        json!({"__type": self.kind, "message": self.message})
    }

    fn header(&self) -> (&'static str, String) {
        ("x-amzn-errortype", self.kind.to_owned())
    }
}
