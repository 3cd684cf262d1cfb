//! Codes and names that one part writes and another reads: a dead letter's attributes and FlexOrch's error codes.

/// The code of what cannot be read: a whole message, or one of its records. FlexOrch has no such code.
pub const UNREADABLE: &str = "UNREADABLE";

/// FlexOrch does not process files of this kind.
pub const UNSUPPORTED_FILE: &str = "UNSUPPORTED_FILE";
/// The file, or the request, is larger than FlexOrch accepts.
pub const FILE_TOO_LARGE: &str = "FILE_TOO_LARGE";
/// The request's fields are wrong.
pub const VALIDATION_ERROR: &str = "VALIDATION_ERROR";
/// The request names nothing to process.
pub const MISSING_INPUT: &str = "MISSING_INPUT";
/// FlexOrch does not accept the API key.
pub const INVALID_API_KEY: &str = "INVALID_API_KEY";
/// FlexOrch does not accept the request's authentication.
pub const UNAUTHORIZED: &str = "UNAUTHORIZED";
/// FlexOrch does not know the connector.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The month's credits are used up.
pub const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";
/// The minute's requests are used up.
pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
/// The trial is over.
pub const TRIAL_EXPIRED: &str = "TRIAL_EXPIRED";
/// The plan does not include this.
pub const PLAN_UPGRADE_REQUIRED: &str = "PLAN_UPGRADE_REQUIRED";

/// Whether FlexOrch refuses the file itself, whatever the request looks like.
#[must_use]
pub fn refuses_the_file(code: &str) -> bool {
    matches!(code, UNSUPPORTED_FILE | FILE_TOO_LARGE)
}

/// Whether FlexOrch refuses the API key.
#[must_use]
pub fn refuses_the_api_key(code: &str) -> bool {
    matches!(code, INVALID_API_KEY | UNAUTHORIZED)
}

/// The names of a dead letter's message attributes.
pub mod attribute {
    /// The secret id of the connector that the object belongs to.
    pub const CONNECTOR: &str = "connector";
    /// The id of that connector at FlexOrch.
    pub const CONNECTOR_ID: &str = "connector_id";
    /// FlexOrch's error code, or [`UNREADABLE`](super::UNREADABLE).
    pub const CODE: &str = "code";
    /// FlexOrch's message, or what is wrong with the message or record: fields, never contents.
    pub const MESSAGE: &str = "message";
}
