//! The envelope of a response: whether the request failed as a whole, with which code, and FlexOrch's message.
//!
//! FlexOrch's own envelope has `error: {code, message}`; its web framework's has `detail`. Other usual forms are
//! accepted too, in one direction only: a response that says in any usual way that it failed must not count as a success.

use serde_json::{Map, Value};

use super::response::ApiError;

/// The length at which a message of FlexOrch's is cut, in characters.
pub(super) const QUOTED_CHARACTERS: usize = 300;

/// The codes that FlexOrch documents (FlexOrch API documentation, "Errors").
const CODES: [&str; 12] = [
    "INVALID_API_KEY",
    "UNAUTHORIZED",
    "TRIAL_EXPIRED",
    "PLAN_UPGRADE_REQUIRED",
    "NOT_FOUND",
    "FILE_TOO_LARGE",
    "UNSUPPORTED_FILE",
    "VALIDATION_ERROR",
    "MISSING_INPUT",
    "QUOTA_EXCEEDED",
    "RATE_LIMIT_EXCEEDED",
    "REPROCESS_NOT_SUPPORTED",
];

/// The fields that a body may have if it only describes an error, including those of RFC 9457, "Problem Details".
const DESCRIBES_AN_ERROR: [&str; 7] = ["detail", "code", "message", "type", "title", "status", "instance"];

/// Returns the code and the message of a response with an error status.
pub fn error_in(status: u16, body: Option<&Value>) -> ApiError {
    let message = match body {
        Some(body) => message_in(body).unwrap_or_else(|| "no message".to_owned()),
        None => "the response is not JSON".to_owned(),
    };
    ApiError { status, code: body.and_then(code_in), message }
}

/// Returns the error of a 2xx whose envelope, or the `data` in it, says that the request failed; `None` if neither does.
pub(super) fn failure_in(status: u16, body: &Value) -> Option<ApiError> {
    let data = body.get("data").filter(|data| data.is_object());
    let failed: Vec<&Value> = [(says_it_failed(body), Some(body)), (data.is_some_and(data_says_it_failed), data)]
        .into_iter()
        .filter_map(|(failed, level)| level.filter(|_| failed))
        .collect();
    if failed.is_empty() {
        return None;
    }
    // The part that reports the failure goes first: a `code` elsewhere may be one of success.
    let parts = || failed.iter().copied().chain([body]).chain(data);
    let message =
        parts().find_map(message_in).unwrap_or_else(|| "the response says that the request failed".to_owned());
    Some(ApiError { status, code: parts().find_map(code_in), message })
}

/// Whether an object says in a usual way that what it describes failed. Empty forms (`error: null`, `errors: []`) do not.
pub(super) fn says_it_failed(object: &Value) -> bool {
    let Some(fields) = object.as_object() else { return false };
    has_failed_status(fields) || has_failed_otherwise(fields)
}

/// As [`says_it_failed`], but a `status` next to a job's id is the job's status, which says nothing about the submission.
pub(super) fn data_says_it_failed(object: &Value) -> bool {
    let Some(fields) = object.as_object() else { return false };
    let names_a_job = ["job_id", "existing_job_id", "id"].iter().any(|id| present(fields, id).is_some());
    (has_failed_status(fields) && !names_a_job) || has_failed_otherwise(fields)
}

fn has_failed_status(fields: &Map<String, Value>) -> bool {
    match present(fields, "status") {
        Some(Value::String(status)) => {
            ["error", "failed", "fail", "failure"].iter().any(|word| status.trim().eq_ignore_ascii_case(word))
        }
        // The HTTP status that a gateway returns inside a 200.
        Some(Value::Number(status)) => status.as_u64().is_some_and(|status| (400..600).contains(&status)),
        _ => false,
    }
}

fn has_failed_otherwise(fields: &Map<String, Value>) -> bool {
    let unsuccessful = match present(fields, "success") {
        Some(Value::Bool(success)) => !success,
        Some(Value::String(success)) => success.trim().eq_ignore_ascii_case("false"),
        _ => false,
    };
    let only_describes_an_error = (present(fields, "detail").is_some_and(|detail| !is_empty(detail))
        && fields.iter().all(|(name, value)| value.is_null() || DESCRIBES_AN_ERROR.contains(&name.as_str())))
        || present(fields, "code").and_then(Value::as_str).is_some_and(is_documented);
    unsuccessful
        || only_describes_an_error
        || present(fields, "error").is_some_and(is_error)
        || present(fields, "errors").is_some_and(|errors| !is_empty(errors))
}

/// Whether the value of a field `error` is an error: some APIs write `false` or an empty string if there is none.
pub(super) fn is_error(error: &Value) -> bool {
    !matches!(error, Value::Null | Value::Bool(false)) && error.as_str() != Some("")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn present<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// Returns the code in an object: `error.code`, else `code`, else a text `error` that is a code, else the same of `detail`.
pub(super) fn code_in(object: &Value) -> Option<String> {
    let (error, detail) = (object.get("error"), object.get("detail"));
    let field =
        |part: Option<&Value>| part.and_then(|part| part.get("code")).and_then(Value::as_str).map(str::to_owned);
    let text = |part: Option<&Value>| part.and_then(Value::as_str).and_then(as_code);
    let code = field(error)
        .or_else(|| field(Some(object)))
        .or_else(|| text(error))
        .or_else(|| field(detail))
        .or_else(|| text(detail))
        .or_else(|| text(Some(object)));
    code.map(|code| quoted(code.trim()).to_ascii_uppercase()).filter(|code| !code.is_empty())
}

/// Returns FlexOrch's message in an object, cut to [`QUOTED_CHARACTERS`].
pub(super) fn message_in(object: &Value) -> Option<String> {
    let of = |part: &Value| match part {
        Value::String(text) if as_code(text).is_none() => Some(text.clone()),
        Value::Object(fields) => {
            ["message", "msg"].iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned)
        }
        _ => None,
    };
    // A web framework's list of validation errors: their `input` would repeat the request.
    let of_list = |part: &Value| {
        let messages: Vec<_> = part.as_array()?.iter().filter_map(of).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    };
    let parts = [object.get("error"), object.get("detail"), Some(object), object.get("errors")];
    let message = parts.into_iter().flatten().find_map(|part| of(part).or_else(|| of_list(part)));
    message.filter(|message| !message.is_empty()).map(|message| quoted(&message))
}

/// Returns text in upper case if it is a code rather than a sentence: `UNSUPPORTED_FILE`, or a documented one in any case.
pub(super) fn as_code(text: &str) -> Option<String> {
    let text = text.trim();
    let is_code = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (is_code || is_documented(text)).then(|| text.to_ascii_uppercase())
}

fn is_documented(text: &str) -> bool {
    CODES.iter().any(|code| text.trim().eq_ignore_ascii_case(code))
}

/// Cuts text to [`QUOTED_CHARACTERS`]. Remove secrets first: a part of a secret would not be recognised.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
