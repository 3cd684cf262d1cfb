//! Classifies FlexOrch's responses by status, headers and body.
//!
//! The classes are the rows of the failure table in the README; facts about codes and envelopes are from FlexOrch's API
//! documentation and from the behaviour of its official clients.

use std::time::{Duration, SystemTime};

use serde_json::Value;

pub use super::api_error::ApiError;
use super::envelope::{error_in, failure_in};
use super::key_results::{SubmissionResult, read_results};
use crate::redaction::Redactor;

/// The longest wait that is accepted from a `Retry-After` header, so that every resulting time can be represented.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Why FlexOrch refuses every request for a connector until an operator acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// 429 `QUOTA_EXCEEDED`: the month's credits are used up.
    Quota,
    /// 402, 403 and other refusals of the caller: plan, trial or rights.
    NotAllowed,
    /// 404: FlexOrch does not know the connector.
    ConnectorNotFound,
    /// 3xx: the base URL is not the API's own.
    Redirect,
}

/// The class of a response, which decides what happens to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// FlexOrch accepted the request; the result says what happened to each key.
    Accepted(SubmissionResult),
    /// FlexOrch refused the request as a whole, for what is in it: 400, 413, 415, 422.
    Refused(ApiError),
    /// FlexOrch does not accept the API key.
    Unauthorized(ApiError),
    /// No request for this connector can succeed until an operator acts.
    Blocked {
        /// Why every request is refused.
        block: Block,
        /// The error that FlexOrch or the connection gave.
        error: ApiError,
        /// The time that `Retry-After` names.
        retry_at: Option<SystemTime>,
    },
    /// The failure may be temporary: another attempt makes sense.
    Transient {
        /// The error that FlexOrch or the connection gave.
        error: ApiError,
        /// The failure is the per-minute limit, which applies to every request with this API key.
        rate_limited: bool,
        /// The time that `Retry-After` names.
        retry_at: Option<SystemTime>,
    },
}

/// The parts of an HTTP response that are classified.
#[derive(Debug, Clone, Copy)]
pub struct RawResponse<'a> {
    /// The status code.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<&'a str>,
    /// The body, up to the size limit.
    pub body: &'a [u8],
    /// Whether `body` is the whole body: `false` if the size limit cut it.
    pub is_complete: bool,
}

/// Classifies a response to a submission of `keys`. `secrets` are removed from all of its texts before anything else reads them.
#[must_use]
pub fn read_response(response: RawResponse<'_>, keys: &[&str], secrets: &Redactor, now: SystemTime) -> Response {
    let RawResponse { status, is_complete, .. } = response;
    // A cut body may be valid JSON by chance, with another meaning.
    let may_hold_secrets = secrets.may_be_in_json(response.body);
    let body = if is_complete { parse(response.body, may_hold_secrets.then_some(secrets)) } else { None };
    if !(200..300).contains(&status) {
        return class_of_status(response, error_in(status, body.as_ref()), now);
    }
    // A page of a proxy or of maintenance does not show that FlexOrch received the request: prefer duplicates to loss.
    let not_from_flexorch =
        |message: &str| transient(ApiError { status, code: None, message: message.into() }, false, response, now);
    if !is_complete {
        return not_from_flexorch("the response is longer than FlexOrch's responses are");
    }
    if response.body.iter().all(u8::is_ascii_whitespace) {
        return Response::Accepted(SubmissionResult::all_accepted(keys.len(), "an empty body"));
    }
    let Some(body) = body else {
        return not_from_flexorch("the response is not JSON, so it does not come from FlexOrch");
    };
    if let Some(error) = failure_in(status, &body) {
        return class_of_code(response, error, now);
    }
    let data = body.get("data").filter(|data| !data.is_null()).unwrap_or(&body);
    if !may_hold_secrets {
        return Response::Accepted(read_results(keys, data));
    }
    // The response's names are redacted, so the keys are redacted too before they are compared.
    let keys: Vec<_> = keys.iter().map(|key| secrets.redact(key)).collect();
    Response::Accepted(read_results(&keys.iter().map(AsRef::as_ref).collect::<Vec<_>>(), data))
}

/// Reads the JSON of a response to a request for data, without `secrets`. A 2xx is not searched for a failure: see [`failure`].
///
/// # Errors
/// The class of the response if it is not a 2xx with JSON; never `Response::Accepted`.
pub fn read_json(response: RawResponse<'_>, secrets: &Redactor, now: SystemTime) -> Result<Value, Response> {
    let RawResponse { status, is_complete, body, .. } = response;
    let body = if is_complete { parse(body, Some(secrets)) } else { None };
    if !(200..300).contains(&status) {
        return Err(class_of_status(response, error_in(status, body.as_ref()), now));
    }
    body.ok_or_else(|| {
        let message = "the response is not whole JSON, so it does not come from FlexOrch".to_owned();
        transient(ApiError { status, code: None, message }, false, response, now)
    })
}

/// Returns the class of a 2xx whose body says that the request failed; `None` if it does not.
#[must_use]
pub fn failure(response: RawResponse<'_>, body: &Value, now: SystemTime) -> Option<Response> {
    failure_in(response.status, body).map(|error| class_of_code(response, error, now))
}

/// Parses a body and removes secrets from all of its texts and field names; `None` if it is not JSON.
fn parse(body: &[u8], secrets: Option<&Redactor>) -> Option<Value> {
    let mut value = serde_json::from_slice(body).ok()?;
    if let Some(secrets) = secrets {
        secrets.redact_json(&mut value);
    }
    Some(value)
}

fn class_of_status(response: RawResponse<'_>, error: ApiError, now: SystemTime) -> Response {
    let code = error.code.as_deref().unwrap_or_default();
    match response.status {
        300..=399 => blocked(Block::Redirect, error, response, now),
        400 | 413 | 415 | 422 => Response::Refused(error),
        401 => Response::Unauthorized(error),
        403 if matches!(code, "INVALID_API_KEY" | "UNAUTHORIZED") => Response::Unauthorized(error),
        404 => blocked(Block::ConnectorNotFound, error, response, now),
        429 if code == "QUOTA_EXCEEDED" => blocked(Block::Quota, error, response, now),
        429 => transient(error, true, response, now),
        408 | 425 | 500..=599 => transient(error, false, response, now),
        // 402, 403, and what no documentation names: not the object's fault, and another attempt would meet the same.
        400..=499 => blocked(Block::NotAllowed, error, response, now),
        _ => transient(error, false, response, now),
    }
}

/// A 2xx that says it failed: the code alone says how.
fn class_of_code(response: RawResponse<'_>, error: ApiError, now: SystemTime) -> Response {
    match error.code.as_deref().unwrap_or_default() {
        "INVALID_API_KEY" | "UNAUTHORIZED" => Response::Unauthorized(error),
        "TRIAL_EXPIRED" | "PLAN_UPGRADE_REQUIRED" => blocked(Block::NotAllowed, error, response, now),
        "NOT_FOUND" => blocked(Block::ConnectorNotFound, error, response, now),
        "QUOTA_EXCEEDED" => blocked(Block::Quota, error, response, now),
        "FILE_TOO_LARGE" | "UNSUPPORTED_FILE" | "VALIDATION_ERROR" | "MISSING_INPUT" => Response::Refused(error),
        "RATE_LIMIT_EXCEEDED" => transient(error, true, response, now),
        _ => transient(error, false, response, now),
    }
}

fn blocked(block: Block, error: ApiError, response: RawResponse<'_>, now: SystemTime) -> Response {
    Response::Blocked { block, error, retry_at: response.retry_after.and_then(|text| retry_at(text, now)) }
}

fn transient(error: ApiError, rate_limited: bool, response: RawResponse<'_>, now: SystemTime) -> Response {
    let retry_at = response.retry_after.and_then(|text| retry_at(text, now));
    Response::Transient { error, rate_limited, retry_at }
}

/// Returns the time that a `Retry-After` header names: whole seconds from now, or an HTTP date, and nothing else (RFC 9110,
/// section 10.2.3). A time in the past is now; one beyond 366 days is in 366 days.
#[must_use]
pub fn retry_at(header: &str, now: SystemTime) -> Option<SystemTime> {
    let header = header.trim_matches([' ', '\t']);
    let latest = now.checked_add(LONGEST_WAIT)?;
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        // Digits fail to parse only if the number is too large.
        let wait = header.parse().map_or(LONGEST_WAIT, Duration::from_secs);
        return Some(now + wait.min(LONGEST_WAIT));
    }
    Some(httpdate::parse_http_date(header).ok()?.clamp(now, latest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flexorch::envelope::QUOTED_CHARACTERS;
    use crate::flexorch::key_results::KeyResult;

    const KEY: &str = "dfx_0123456789/abc";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_800_000)
    }

    fn reply(status: u16, retry_after: Option<&str>, body: &str) -> Response {
        let response = RawResponse { status, retry_after, body: body.as_bytes(), is_complete: true };
        read_response(response, &["a.pdf", "b.pdf"], &Redactor::of(&[KEY]), now())
    }

    /// The code of a refused request and its message.
    fn refused(status: u16, body: &str) -> (String, String) {
        match reply(status, None, body) {
            Response::Refused(error) => (error.code.unwrap_or_default(), error.message),
            other => panic!("{body}: {other:?}"),
        }
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
    fn a_2xx_that_says_it_failed_is_classed_by_its_code_if_it_has_one() {
        for body in [
            r#"{"status":"error","error":{"code":"QUOTA_EXCEEDED"}}"#,
            r#"{"status":"error","code":"QUOTA_EXCEEDED"}"#,
            r#"{"status":"failed","error":"QUOTA_EXCEEDED"}"#,
            r#"{"success":false,"error":"quota_exceeded","message":"No credits"}"#,
            r#"{"success":false,"code":"QUOTA_EXCEEDED","data":{"jobs":[]}}"#,
            r#"{"code":"QUOTA_EXCEEDED","message":"No credits"}"#,
            r#"{"detail":{"code":"QUOTA_EXCEEDED","message":"m"}}"#,
            r#"{"status":"success","code":"OK","data":{"error":{"code":"QUOTA_EXCEEDED"}}}"#,
            r#"{"data":{"status":"failed","code":"QUOTA_EXCEEDED"},"error":null}"#,
            r#"{"errors":["x"],"code":"QUOTA_EXCEEDED"}"#,
        ] {
            assert!(matches!(reply(200, None, body), Response::Blocked { block: Block::Quota, .. }), "{body}");
        }
        assert_eq!(refused(200, r#"{"success":false,"error":"VALIDATION_ERROR","message":"m"}"#).1, "m");
    }

    #[test]
    fn a_2xx_that_says_it_failed_without_a_code_is_like_a_503() {
        for body in [
            r#"{"status":"error"}"#,
            r#"{"status":" Error ","message":"m"}"#,
            r#"{"status":"FAILED","data":{"accepted":2,"jobs":[{"job_id":1},{"job_id":2}]}}"#,
            r#"{"status":"failure"}"#,
            r#"{"status":500,"title":"Internal Server Error"}"#,
            r#"{"success":false}"#,
            r#"{"success":"false"}"#,
            r#"{"errors":["boom"]}"#,
            r#"{"errors":{"keys":["too many"]},"data":{"job_ids":["1","2"]}}"#,
            r#"{"detail":"Not authenticated"}"#,
            r#"{"detail":[{"msg":"field required"}],"data":null}"#,
            r#"{"type":"about:blank","title":"Error","detail":"it broke"}"#,
            r#"{"error":"it broke"}"#,
            r#"{"error":{}}"#,
            r#"{"data":{"status":"error"},"error":null}"#,
            r#"{"data":{"success":false},"error":null}"#,
            r#"{"data":{"errors":[{"message":"boom"}]},"status":"accepted"}"#,
            r#"{"data":{"detail":"it broke"}}"#,
        ] {
            let response = reply(200, Some("30"), body);
            let Response::Transient { rate_limited: false, retry_at: Some(_), error } = response else {
                panic!("{body}: {response:?}")
            };
            assert_eq!((error.status, error.code), (200, None), "{body}");
        }
    }

    #[test]
    fn the_usual_forms_of_success_do_not_say_that_anything_failed() {
        for body in [
            r#"{"status":"accepted","data":{"job_ids":["1","2"]},"error":null,"meta":{"poll":"/v1/jobs/{id}"}}"#,
            r#"{"status":"success","data":{"job_ids":["1","2"],"status":"queued","errors":[]}}"#,
            r#"{"success":true,"errors":[],"error":null,"job_ids":["1","2"]}"#,
            r#"{"success":true,"errors":{},"error":false,"detail":null,"job_ids":["1","2"]}"#,
            r#"{"status":202,"errors":null,"error":"","job_ids":["1","2"],"code":"OK"}"#,
            r#"{"status":"queued","errors":0,"success":null,"job_ids":["1","2"],"detail":"2 files are queued"}"#,
            // The status of a job, which is not the submission's.
            r#"{"data":{"is_duplicate":true,"existing_job_id":1,"status":"failed"},"error":null}"#,
            r#"{"data":[{"job_id":1,"status":"failed"},{"job_id":2}]}"#,
        ] {
            let response = reply(202, None, body);
            let Response::Accepted(result) = response else { panic!("{body}: {response:?}") };
            assert!(result.per_key.iter().all(|key| matches!(key, KeyResult::Accepted { .. })), "{body}: {result:?}");
        }
    }

    #[test]
    fn a_2xx_that_is_not_json_or_was_cut_is_not_from_flexorch() {
        for body in ["<html>maintenance</html>", "{\"data\": {\"jobs\": [", "\u{feff}x"] {
            assert!(matches!(reply(200, None, body), Response::Transient { rate_limited: false, .. }), "{body}");
        }
        let body = br#"{"data":{"job_ids":["1","2"]}}"#;
        let cut = |status| RawResponse { status, retry_after: None, body, is_complete: false };
        let read = |status| read_response(cut(status), &["a.pdf", "b.pdf"], &Redactor::default(), now());
        assert!(matches!(read(202), Response::Transient { rate_limited: false, .. }));
        assert!(matches!(read(422), Response::Refused(ApiError { code: None, .. })));
    }

    #[test]
    fn an_empty_2xx_is_accepted_as_a_whole_with_a_note() {
        let Response::Accepted(result) = reply(202, None, " \n") else { panic!("not accepted") };
        assert!(result.per_key.iter().all(|key| matches!(key, KeyResult::Accepted { .. })));
        assert!(result.note.is_some());
    }

    #[test]
    fn retry_after_is_whole_seconds_or_a_date() {
        let seconds = |seconds| Some(now() + Duration::from_secs(seconds));
        for (header, time) in [
            ("0", seconds(0)),
            ("30", seconds(30)),
            (" 007\t", seconds(7)),
            // Not limited to what SQS can wait, which is decided elsewhere.
            ("86400", seconds(86_400)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)),
        ] {
            assert_eq!(retry_at(header, now()), time, "{header:?}");
        }
        let date = httpdate::fmt_http_date(now() + Duration::from_secs(90));
        assert_eq!(retry_at(&date, now()), seconds(90));
    }

    #[test]
    fn nothing_else_in_a_retry_after_is_a_time() {
        for header in [
            "",
            " ",
            "-5",
            "+5",
            "1.5",
            "1e3",
            "NaN",
            "inf",
            "0x10",
            "5s",
            "5, 10",
            "soon",
            "٣",
            "2026-01-01T00:00:00Z",
        ] {
            assert_eq!(retry_at(header, now()), None, "{header:?}");
        }
    }

    #[test]
    fn an_absurd_retry_after_is_366_days() {
        for header in ["31622401", "18446744073709551615", &"9".repeat(1000), "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(retry_at(header, now()), Some(now() + LONGEST_WAIT), "{header:?}");
        }
    }

    #[test]
    fn codes_and_messages_are_found_in_every_envelope_that_was_seen() {
        for (body, code, message) in [
            (&*coded("VALIDATION_ERROR"), "VALIDATION_ERROR", "said"),
            (r#"{"error":{"message":"m"},"code":"validation_error"}"#, "VALIDATION_ERROR", "m"),
            (r#"{"error":"VALIDATION_ERROR","message":"m"}"#, "VALIDATION_ERROR", "m"),
            (r#"{"error":"bad request"}"#, "", "bad request"),
            (r#"{"detail":"bad"}"#, "", "bad"),
            (r#"{"error":null,"detail":"bad"}"#, "", "bad"),
            (r#"{"detail":[{"msg":"field required","loc":["body"],"input":"k"}]}"#, "", "field required"),
            (r#"{"detail":{"code":"MISSING_INPUT","message":"m"}}"#, "MISSING_INPUT", "m"),
            (r#"{"errors":["one",{"message":"two"}]}"#, "", "one; two"),
            (r#"{"code":"","message":""}"#, "", "no message"),
            ("\"bad\"", "", "bad"),
            ("{}", "", "no message"),
            ("<html>", "", "the response is not JSON"),
        ] {
            assert_eq!(refused(422, body), (code.to_owned(), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = "ü".repeat(1000);
        let (_, message) = refused(400, &format!(r#"{{"error":{{"code":"X","message":"{message}"}}}}"#));
        assert_eq!(message.chars().count(), QUOTED_CHARACTERS + 1);
    }

    #[test]
    fn a_secret_is_removed_before_the_message_is_cut() {
        // Cut in the middle of the key, a part of it would be left that nothing recognises.
        let message = format!("{}{KEY} and more", "x".repeat(QUOTED_CHARACTERS - 10));
        let (code, message) = refused(422, &format!(r#"{{"error":{{"code":"{KEY}","message":"{message}"}}}}"#));
        assert_eq!(code, "[REDACTED]");
        assert!(message.ends_with("x[redacted]…"), "{message}");
    }

    #[test]
    fn a_secret_hidden_by_json_escapes_is_removed() {
        let escaped = r"\u0064fx_0123456789\/abc";
        assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(), KEY);
        assert_eq!(refused(422, &format!(r#"{{"detail":"no {escaped}"}}"#)).1, "no [redacted]");
    }

    #[test]
    fn no_result_of_a_key_holds_a_secret() {
        for data in [
            format!(r#"{{"jobs":[{{"filename":"a.pdf","job_id":"{KEY}"}},{{"filename":"b.pdf","id":"x{KEY}"}}]}}"#),
            format!(r#"{{"job_ids":["{KEY}","{KEY}"]}}"#),
            format!(r#"{{"{KEY}":1,"other":2}}"#),
            format!(r#"{{"rejected":[{{"filename":"{KEY}","error":"{KEY}","message":"{KEY}"}}]}}"#),
            format!(
                r#"{{"rejected":[{{"filename":"a.pdf","error":{{"code":"{KEY}","message":"{KEY}"}}}}],"accepted":1}}"#
            ),
            format!(r#"{{"rejected":[{{"filename":"a.pdf","reason":"{KEY}"}},"{KEY}"]}}"#),
        ] {
            let response = format!("{:?}", reply(202, None, &format!(r#"{{"data":{data}}}"#)));
            assert!(response.starts_with("Accepted"), "{response}");
            assert!(!response.to_lowercase().contains("dfx_0123"), "{response}");
        }
    }

    #[test]
    fn a_key_that_holds_a_secret_is_still_found_in_the_response() {
        let secrets = Redactor::of(&["dfx_0123456789"]);
        let body = br#"{"data":{"jobs":[{"filename":"x/dfx_0123456789.pdf","job_id":1}],"rejected":["b.pdf"]}}"#;
        let raw = RawResponse { status: 202, retry_after: None, body, is_complete: true };
        let Response::Accepted(result) = read_response(raw, &["b.pdf", "x/dfx_0123456789.pdf"], &secrets, now()) else {
            panic!("not accepted")
        };
        assert!(matches!(result.per_key[..], [KeyResult::Rejected { .. }, KeyResult::Accepted { .. }]), "{result:?}");
    }
}
