//! FlexOrch's envelopes, before they are HTTP.

use serde::Serialize;
use serde_json::{Value, json};

/// A success: its status, `data` and `meta`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `None` for a response without a body (204).
    data: Option<Value>,
    meta: Option<Value>,
}

impl Reply {
    /// Returns a 200 with this `data`.
    pub(crate) fn ok(data: impl Serialize) -> Self {
        Self::with_status(200, data)
    }

    /// Returns a 201 with this `data`.
    pub(crate) fn created(data: impl Serialize) -> Self {
        Self::with_status(201, data)
    }

    /// Returns a 202 with this `data`, and the path of the jobs.
    pub(crate) fn accepted(data: impl Serialize) -> Self {
        Self { meta: Some(json!({"poll": "/v1/jobs/{id}"})), ..Self::with_status(202, data) }
    }

    /// Returns a 204.
    pub(crate) fn no_content() -> Self {
        Self { status: 204, data: None, meta: None }
    }

    fn with_status(status: u16, data: impl Serialize) -> Self {
        // Serializing the sandbox's own plain structs does not fail; if it did, null would show it.
        let data = serde_json::to_value(data).unwrap_or(Value::Null);
        Self { status, data: Some(data), meta: None }
    }

    /// Returns the body; `None` for a response without one.
    pub(crate) fn envelope(self) -> Option<Value> {
        let status = if self.status == 202 { "accepted" } else { "success" };
        let data = self.data?;
        let mut envelope = json!({"status": status, "data": data, "error": null});
        if let Some(meta) = self.meta {
            envelope["meta"] = meta;
        }
        Some(envelope)
    }
}

/// An error, with FlexOrch's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    /// Returns an error with this status, code and text.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after: None }
    }

    /// Returns a 401.
    pub(crate) fn invalid_api_key() -> Self {
        Self::new(
            401,
            "INVALID_API_KEY",
            "The API key is missing, unknown or revoked. The sandbox accepts any X-API-KEY that starts with dfx_.",
        )
    }

    /// Returns a 400: a part of the request is missing.
    pub(crate) fn missing_input(message: impl Into<String>) -> Self {
        Self::new(400, "MISSING_INPUT", message)
    }

    /// Returns a 422: a part of the request is not valid.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(422, "VALIDATION_ERROR", message)
    }

    /// Returns a 404: it does not exist, or belongs to another tenant.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(404, "NOT_FOUND", format!("{what} was not found."))
    }

    /// Returns a 403: the plan does not include it.
    pub(crate) fn plan_upgrade_required(message: impl Into<String>) -> Self {
        Self::new(403, "PLAN_UPGRADE_REQUIRED", message)
    }

    /// Returns a 429: the minute's requests are used up; `retry_after` is in seconds.
    pub(crate) fn rate_limited(limit: u32, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429, "RATE_LIMIT_EXCEEDED", format!("More than {limit} requests in a minute."))
        }
    }

    /// Returns a 429, although waiting does not help: a schedule's interval is shorter than the plan's (FlexOrch documentation,
    /// "Scheduled Sync").
    pub(crate) fn interval_too_short(message: impl Into<String>) -> Self {
        Self::new(429, "RATE_LIMIT_EXCEEDED", message)
    }

    /// Returns a 429: the month's credits are used up.
    pub(crate) fn quota_exceeded(limit: u64) -> Self {
        Self::new(429, "QUOTA_EXCEEDED", format!("The month's {limit} credits are used up."))
    }

    /// Returns the body.
    pub(crate) fn envelope(&self) -> Value {
        error_envelope(&self.code, &self.message)
    }
}

/// Returns `{"error": {"code", "message"}}`.
pub(crate) fn error_envelope(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}
