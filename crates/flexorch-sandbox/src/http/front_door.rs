//! What every request to the API passes first: the log, the faults, the key and the rate limit.

use super::{
    super::{
        api::{
            response::ApiError,
            submission::{self, ParsedBody, Submission},
        },
        api_key::ApiKey,
        fault::{FileFaults, Seen, Verdict},
        record::{RecordNumber, RecordedRequest, is_secret_header},
        server::is_reset,
    },
    disrupt,
    shared::Shared,
};
use axum::{
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// The largest body. It is more than any sensible submission: a thousand keys of 1,024 bytes, escaped, are 3 MB.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The path of submissions.
const SUBMIT: &str = "/v1/data-process/async";

/// The path that does not count for the rate limit: it says how much of the minute is left.
const RATE_LIMITS: &str = "/v1/usage/rate-limits";

/// A submission that passed the front door, for its handler.
#[derive(Clone, Debug)]
pub(crate) struct Submitting {
    pub(crate) submission: Result<Submission, ApiError>,
    pub(crate) faults: FileFaults,
    pub(crate) record: RecordNumber,
}

/// Passes a request to its handler, or responds in place of it.
pub(crate) async fn pass(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path != "/v1" && !path.starts_with("/v1/") {
        let message = format!("The API's paths start with /v1, but {path} does not.");
        return ApiError::new(404, "NOT_FOUND", message).into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let message = format!("The body is larger than {MAX_BODY} bytes, or incomplete.");
        return ApiError::new(413, "FILE_TOO_LARGE", message).into_response();
    };
    let read = (path == SUBMIT && parts.method == "POST")
        .then(|| submission::parse(header_text(&parts.headers, "content-type"), &body));
    let verdict = shared.faults.decide(&Seen {
        method: parts.method.as_str(),
        path: &path,
        connector: read.as_ref().and_then(|read| read.connector()).as_deref(),
        keys: read.as_ref().map_or(&[], |read| &read.keys),
    });
    let submitting = read.map(|read| Submitting {
        faults: verdict.files.clone(),
        submission: read.submission.clone(),
        record: shared.log.add(record(&shared, &parts, read), body.len()),
    });
    let record = submitting.as_ref().map(|submitting| submitting.record);

    let delay = shared.latency.saturating_add(verdict.delay);
    // A sleep of no length would still wait for the timer's next millisecond.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let call = Call { parts, body, submitting };
    let response = respond(&shared, call, next, &verdict).await;
    let status = (!is_reset(&response)).then(|| response.status().as_u16());
    if let Some(record) = record {
        shared.log.complete(record, |record| {
            record.status = status;
            tracing::info!(
                api_key = record.api_key.as_ref().map(ApiKey::masked),
                connector_id = %record.connector_id,
                keys = record.keys.len(),
                taken = record.taken,
                status,
                fault = record.fault.map(|fault| fault.0),
                "submission"
            );
        });
    } else {
        tracing::debug!(%path, status, "call");
    }
    response
}

struct Call {
    parts: Parts,
    body: Bytes,
    submitting: Option<Submitting>,
}

/// Returns the API's response, or the fault's in place of it. A fault that stands for an outage comes before the key is checked: an
/// API that is down does not count requests.
async fn respond(shared: &Shared, call: Call, next: Next, verdict: &Verdict) -> Response {
    let Some(disruption) = &verdict.disruption else {
        return admit(shared, call, next).await;
    };
    if let Some(submitting) = &call.submitting {
        let by = disruption.by;
        shared.log.complete(submitting.record, |record| record.fault = Some(by));
    }
    if disruption.processed {
        admit(shared, call, next).await;
    }
    disrupt::response(&disruption.effect, &shared.stop).await
}

async fn admit(shared: &Shared, call: Call, next: Next) -> Response {
    let key = ApiKey::new(header_text(&call.parts.headers, "x-api-key"));
    let counts = call.parts.uri.path() != RATE_LIMITS;
    let now = shared.clock.now();
    let admitted = shared.flexorch().admit(&key, counts, now);
    if let Err(error) = admitted {
        return error.into_response();
    }
    let mut request = Request::from_parts(call.parts, call.body.into());
    request.extensions_mut().insert(key);
    if let Some(submitting) = call.submitting {
        request.extensions_mut().insert(submitting);
    }
    next.run(request).await
}

fn record(shared: &Shared, parts: &Parts, read: ParsedBody) -> RecordedRequest {
    let headers = parts
        .headers
        .iter()
        .filter(|(name, _)| !is_secret_header(name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let key = header_text(&parts.headers, "x-api-key");
    RecordedRequest {
        at: shared.clock.now().rfc3339(),
        api_key: (!key.is_empty()).then(|| ApiKey::new(key)),
        connector_id: read.connector_id,
        connector_id_text: read.connector_id_text,
        keys: read.keys,
        body: read.body,
        headers,
        status: None,
        fault: None,
        taken: 0,
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
