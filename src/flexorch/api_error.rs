//! An error as FlexOrch, or something in front of it, gave it.

use std::fmt;

/// An error as FlexOrch, or something in front of it, gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status; 0 if no response came.
    pub status: u16,
    /// FlexOrch's code, such as `QUOTA_EXCEEDED`.
    pub code: Option<String>,
    /// FlexOrch's message, without secrets and cut to 300 characters, or a description of the response if it has none. Never a raw
    /// body.
    pub message: String,
}

impl ApiError {
    /// Returns an error of the connection, with status 0.
    #[must_use]
    pub fn transport(message: impl Into<String>) -> Self {
        Self { status: 0, code: None, message: message.into() }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.code) {
            (0, _) => f.write_str(&self.message),
            (status, None) => write!(f, "{status}: {}", self.message),
            (status, Some(code)) => write!(f, "{status} {code}: {}", self.message),
        }
    }
}
