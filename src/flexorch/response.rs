//! What an answer of FlexOrch's means: status, headers and body in, one class out.
//!
//! The classes are the rows of the failure table in the README; facts about codes and envelopes are from FlexOrch's API
//! documentation and from the behaviour of its official clients.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::key_results::{SubmissionResult, account_for};

/// A told wait longer than this is cut: SQS hides no message longer (SQS Developer Guide, "Visibility timeout").
const LONGEST_WAIT: Duration = Duration::from_secs(12 * 60 * 60);

/// FlexOrch's own words are quoted up to this many characters.
const QUOTED_CHARACTERS: usize = 300;

/// An error as FlexOrch, or something in front of it, gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status; 0 where no answer came.
    pub status: u16,
    /// FlexOrch's code, such as `QUOTA_EXCEEDED`.
    pub code: Option<String>,
    /// FlexOrch's message or, without one, what was seen. Never a raw body.
    pub message: String,
}

impl ApiError {
    /// An error of the connection rather than of FlexOrch.
    #[must_use]
    pub fn transport(message: impl Into<String>) -> Self {
        Self { status: 0, code: None, message: message.into() }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.status, &self.code) {
            (0, _) => f.write_str(&self.message),
            (status, None) => write!(f, "{status}: {}", self.message),
            (status, Some(code)) => write!(f, "{status} {code}: {}", self.message),
        }
    }
}

/// Why everything for a connector is refused until somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// 429 `QUOTA_EXCEEDED`.
    Quota,
    /// 402, 403 and other refusals of the caller.
    NotAllowed,
    /// 404.
    ConnectorNotFound,
    /// 3xx.
    Redirect,
}

/// What an answer means for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// FlexOrch took the request; the account says what became of each key.
    Accepted(SubmissionResult),
    /// FlexOrch refused the request as a whole, for what is in it: 400, 413, 415, 422.
    Refused(ApiError),
    /// FlexOrch does not accept the API key.
    Unauthorized(ApiError),
    /// No request for this connector can succeed until somebody acts.
    Blocked {
        /// Why.
        block: Block,
        /// What was seen.
        error: ApiError,
        /// When FlexOrch said to come back.
        retry_at: Option<SystemTime>,
    },
    /// It may pass: another attempt makes sense.
    Transient {
        /// What was seen.
        error: ApiError,
        /// It is the per-minute limit, which holds for every request with this key.
        rate_limited: bool,
        /// When FlexOrch said to come back.
        retry_at: Option<SystemTime>,
    },
}

/// The parts of an HTTP answer that count.
#[derive(Debug, Clone, Copy)]
pub struct RawResponse<'a> {
    /// The status code.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<&'a str>,
    /// The body, up to the bound that it is read to.
    pub body: &'a [u8],
}

/// Classes an answer to a submission of `keys`.
#[must_use]
pub fn read_response(answer: RawResponse<'_>, keys: &[&str], now: SystemTime) -> Response {
    let body = serde_json::from_slice::<Value>(answer.body).ok();
    if !(200..300).contains(&answer.status) {
        return class_of(answer, error_in(answer.status, body.as_ref()), now);
    }
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Response::Accepted(SubmissionResult::all_taken(keys.len(), "an empty body"));
    }
    let Some(body) = body else {
        // A proxy's or a maintenance page: nothing says that FlexOrch saw the request. Duplicates over loss.
        return passing(
            ApiError {
                status: answer.status,
                code: None,
                message: "the answer is not JSON, so it is not FlexOrch's".into(),
            },
            false,
            answer,
            now,
        );
    };
    match body.get("error") {
        Some(error) if !error.is_null() => class_of_code(answer, error_in(answer.status, Some(&body)), now),
        _ => {
            let data = body.get("data").filter(|data| !data.is_null()).unwrap_or(&body);
            Response::Accepted(account_for(keys, data))
        }
    }
}

fn class_of(answer: RawResponse<'_>, error: ApiError, now: SystemTime) -> Response {
    let code = error.code.as_deref().unwrap_or_default();
    match answer.status {
        300..=399 => blocked(Block::Redirect, error, answer, now),
        400 | 413 | 415 | 422 => Response::Refused(error),
        401 => Response::Unauthorized(error),
        403 if matches!(code, "INVALID_API_KEY" | "UNAUTHORIZED") => Response::Unauthorized(error),
        404 => blocked(Block::ConnectorNotFound, error, answer, now),
        429 if code == "QUOTA_EXCEEDED" => blocked(Block::Quota, error, answer, now),
        429 => passing(error, true, answer, now),
        408 | 425 | 500..=599 => passing(error, false, answer, now),
        // 402, 403, and what no documentation names: not the object's fault, and another attempt would meet the same.
        400..=499 => blocked(Block::NotAllowed, error, answer, now),
        _ => passing(error, false, answer, now),
    }
}

/// A 2xx that carries an error: the code alone says what it is.
fn class_of_code(answer: RawResponse<'_>, error: ApiError, now: SystemTime) -> Response {
    match error.code.as_deref().unwrap_or_default() {
        "INVALID_API_KEY" | "UNAUTHORIZED" => Response::Unauthorized(error),
        "TRIAL_EXPIRED" | "PLAN_UPGRADE_REQUIRED" => blocked(Block::NotAllowed, error, answer, now),
        "NOT_FOUND" => blocked(Block::ConnectorNotFound, error, answer, now),
        "QUOTA_EXCEEDED" => blocked(Block::Quota, error, answer, now),
        "FILE_TOO_LARGE" | "UNSUPPORTED_FILE" | "VALIDATION_ERROR" | "MISSING_INPUT" => Response::Refused(error),
        "RATE_LIMIT_EXCEEDED" => passing(error, true, answer, now),
        _ => passing(error, false, answer, now),
    }
}

fn blocked(block: Block, error: ApiError, answer: RawResponse<'_>, now: SystemTime) -> Response {
    Response::Blocked { block, error, retry_at: answer.retry_after.and_then(|text| retry_at(text, now)) }
}

fn passing(error: ApiError, rate_limited: bool, answer: RawResponse<'_>, now: SystemTime) -> Response {
    let retry_at = answer.retry_after.and_then(|text| retry_at(text, now));
    Response::Transient { error, rate_limited, retry_at }
}

/// The time that a `Retry-After` header names: seconds from now, or a date (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_at(header: &str, now: SystemTime) -> Option<SystemTime> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        let wait = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_WAIT);
        return Some(now + wait.min(LONGEST_WAIT));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.clamp(now, now + LONGEST_WAIT))
}

/// Finds the code and the message in the envelopes that FlexOrch and its web framework use.
#[must_use]
pub fn error_in(status: u16, body: Option<&Value>) -> ApiError {
    let part = body.and_then(|body| body.get("error").or_else(|| body.get("detail"))).filter(|part| !part.is_null());
    let (code, message) = match part.or(body) {
        Some(Value::String(text)) if looks_like_code(text) => (Some(text.clone()), None),
        Some(Value::String(text)) => (None, Some(text.clone())),
        Some(Value::Object(fields)) => (
            fields.get("code").and_then(Value::as_str).map(str::to_owned),
            fields.get("message").and_then(Value::as_str).map(str::to_owned),
        ),
        // FastAPI's validation errors: a list of what is wrong and where. Its `input` would repeat the request.
        Some(Value::Array(details)) => {
            let told: Vec<_> = details.iter().filter_map(|detail| detail.get("msg").and_then(Value::as_str)).collect();
            (None, Some(told.join("; ")).filter(|told| !told.is_empty()))
        }
        _ => (None, None),
    };
    let message = match (message, body) {
        (Some(message), _) => quoted(&message),
        (None, Some(_)) => "no message".to_owned(),
        (None, None) => "the answer is not JSON".to_owned(),
    };
    ApiError { status, code: code.map(|code| quoted(&code).to_ascii_uppercase()), message }
}

/// Whether text is an error code such as `UNSUPPORTED_FILE` rather than a sentence.
#[must_use]
pub fn looks_like_code(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// FlexOrch's words, cut to a length that a log line bears.
#[must_use]
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flexorch::key_results::KeyResult;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_800_000)
    }

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Response {
        read_response(RawResponse { status, retry_after, body: body.as_bytes() }, &["a.pdf", "b.pdf"], now())
    }

    fn coded(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"said"}}}}"#)
    }

    #[test]
    fn each_status_and_code_has_the_class_of_the_failure_table() {
        for status in [400, 413, 415, 422] {
            assert!(matches!(reply(status, None, "{}"), Response::Refused(_)), "{status}");
        }
        assert!(matches!(reply(401, None, ""), Response::Unauthorized(_)));
        for code in ["INVALID_API_KEY", "UNAUTHORIZED"] {
            assert!(matches!(reply(403, None, &coded(code)), Response::Unauthorized(_)));
        }
        assert!(matches!(
            reply(403, None, &coded("PLAN_UPGRADE_REQUIRED")),
            Response::Blocked { block: Block::NotAllowed, .. }
        ));
        assert!(matches!(
            reply(402, None, &coded("TRIAL_EXPIRED")),
            Response::Blocked { block: Block::NotAllowed, .. }
        ));
        assert!(matches!(reply(404, None, "<html>"), Response::Blocked { block: Block::ConnectorNotFound, .. }));
        assert!(matches!(reply(429, None, &coded("QUOTA_EXCEEDED")), Response::Blocked { block: Block::Quota, .. }));
        for status in [301, 302, 307, 308] {
            assert!(matches!(reply(status, None, ""), Response::Blocked { block: Block::Redirect, .. }));
        }
        for status in [408, 500, 502, 503, 504, 529] {
            assert!(matches!(reply(status, None, "oops"), Response::Transient { rate_limited: false, .. }), "{status}");
        }
        for body in [coded("RATE_LIMIT_EXCEEDED"), "slow down".to_owned(), String::new()] {
            assert!(matches!(reply(429, None, &body), Response::Transient { rate_limited: true, .. }));
        }
    }

    #[test]
    fn a_2xx_that_carries_an_error_is_classed_by_its_code() {
        assert!(matches!(reply(202, None, &coded("QUOTA_EXCEEDED")), Response::Blocked { block: Block::Quota, .. }));
        assert!(matches!(reply(200, None, &coded("VALIDATION_ERROR")), Response::Refused(_)));
        assert!(matches!(reply(200, None, &coded("INVALID_API_KEY")), Response::Unauthorized(_)));
        assert!(matches!(
            reply(200, None, &coded("RATE_LIMIT_EXCEEDED")),
            Response::Transient { rate_limited: true, .. }
        ));
        assert!(matches!(reply(200, None, &coded("SOMETHING_NEW")), Response::Transient { rate_limited: false, .. }));
        assert!(matches!(
            reply(200, None, r#"{"error":"QUOTA_EXCEEDED"}"#),
            Response::Blocked { block: Block::Quota, .. }
        ));
    }

    #[test]
    fn a_2xx_that_is_not_json_is_not_flexorchs() {
        assert!(matches!(
            reply(200, None, "<html>maintenance</html>"),
            Response::Transient { rate_limited: false, .. }
        ));
        assert!(matches!(reply(200, None, "{\"data\": {\"jobs\": ["), Response::Transient { .. }));
    }

    #[test]
    fn an_empty_2xx_is_taken_as_a_whole_with_a_note() {
        let Response::Accepted(account) = reply(202, None, " \n") else { panic!("not taken") };
        assert!(account.per_key.iter().all(|fate| matches!(fate, KeyResult::Accepted { .. })));
        assert!(account.note.is_some());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_at("30", now()), Some(now() + Duration::from_secs(30)));
        let date = httpdate::fmt_http_date(now() + Duration::from_secs(90));
        assert_eq!(retry_at(&date, now()), Some(now() + Duration::from_secs(90)));
        assert_eq!(retry_at("Thu, 01 Jan 1970 00:00:00 GMT", now()), Some(now()));
        assert_eq!(retry_at("-5", now()), Some(now()));
        assert_eq!(retry_at("99999999999999999999", now()), Some(now() + LONGEST_WAIT));
        assert_eq!(retry_at("soon", now()), None);
        assert_eq!(retry_at("NaN", now()), Some(now()));
    }

    #[test]
    fn codes_and_messages_are_found_in_every_envelope_that_was_seen() {
        let error = |body: &str| match reply(422, None, body) {
            Response::Refused(error) => (error.code.unwrap_or_default(), error.message),
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&coded("VALIDATION_ERROR")), ("VALIDATION_ERROR".into(), "said".into()));
        assert_eq!(error(r#"{"detail":"bad"}"#), (String::new(), "bad".into()));
        assert_eq!(error(r#"{"detail":[{"msg":"field required","loc":["body"],"input":"k"}]}"#).1, "field required");
        assert_eq!(error(r#"{"detail":{"code":"MISSING_INPUT","message":"m"}}"#), ("MISSING_INPUT".into(), "m".into()));
        assert_eq!(error("<html>").1, "the answer is not JSON");
    }

    #[test]
    fn a_long_message_is_cut() {
        let body = format!(r#"{{"error":{{"code":"X","message":"{}"}}}}"#, "ü".repeat(1000));
        let Response::Refused(error) = reply(400, None, &body) else { panic!("not refused") };
        assert_eq!(error.message.chars().count(), QUOTED_CHARACTERS + 1);
    }
}
