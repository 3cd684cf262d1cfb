//! What every call of the API passes first: the log, the faults, the key and the rate limit.

use axum::{
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        api::{
            answer::ApiError,
            submission::{self, ReadBody, Submission},
        },
        api_key::ApiKey,
        fault::{FileFaults, Seen, Verdict},
        record::{RecordNumber, RecordedRequest, is_secret_header},
    },
    Shared, disrupt,
};

/// More than any sensible submission: a thousand keys of S3's 1,024 bytes, escaped, are 3 MB.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The only call that takes keys in.
const SUBMIT: &str = "/v1/data-process/async";

/// Asking how much of the minute is left costs nothing.
const COSTS_NO_SLOT: &str = "/v1/usage/rate-limits";

/// What the door needs.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) shared: Shared,
    pub(crate) stop: CancellationToken,
}

/// What the door knows about a submission that it lets through, for the handler.
#[derive(Clone, Debug)]
pub(crate) struct Submitting {
    pub(crate) submission: Result<Submission, ApiError>,
    pub(crate) faults: FileFaults,
    pub(crate) record: RecordNumber,
}

/// Lets a request pass to its handler, or answers it here.
pub(crate) async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path != "/v1" && !path.starts_with("/v1/") {
        let message = format!("The API's paths start with /v1, and {path} does not.");
        return ApiError::new(404, "NOT_FOUND", message).into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let message = format!("The body is larger than {MAX_BODY} bytes, or broke off.");
        return ApiError::new(413, "FILE_TOO_LARGE", message).into_response();
    };
    let read = (path == SUBMIT && parts.method == "POST")
        .then(|| submission::read(header_text(&parts.headers, "content-type"), &body));
    let verdict = door.shared.faults.decide(&Seen {
        method: parts.method.as_str(),
        path: &path,
        connector: read.as_ref().and_then(|read| read.connector()).as_deref(),
        keys: read.as_ref().map_or(&[], |read| &read.keys),
    });
    let submitting = read.map(|read| Submitting {
        faults: verdict.files.clone(),
        submission: read.submission.clone(),
        record: door.shared.log.add(record(&door.shared, &parts, read), body.len()),
    });
    let record = submitting.as_ref().map(|submitting| submitting.record);

    let delay = door.shared.latency.saturating_add(verdict.delay);
    // A sleep of no length would still wait for the timer's next millisecond.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let call = Call { parts, body, submitting };
    let response = answer(&door, call, next, &verdict).await;
    let broken = disrupt::is_broken(&response);
    let status = (!broken).then(|| response.status().as_u16());
    if let Some(record) = record {
        door.shared.log.complete(record, |record| {
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

/// The API's answer, or the fault's in its place. A fault that stands for an outage is met before the key is looked
/// at: an API that is down does not count requests.
async fn answer(door: &Door, call: Call, next: Next, verdict: &Verdict) -> Response {
    let Some(disruption) = &verdict.disruption else {
        return admit(door, call, next).await;
    };
    if let Some(submitting) = &call.submitting {
        let by = disruption.by;
        door.shared.log.complete(submitting.record, |record| record.fault = Some(by));
    }
    if disruption.processed {
        admit(door, call, next).await;
    }
    disrupt::response(&disruption.effect, &door.stop).await
}

async fn admit(door: &Door, call: Call, next: Next) -> Response {
    let key = ApiKey::new(header_text(&call.parts.headers, "x-api-key"));
    let takes_a_slot = call.parts.uri.path() != COSTS_NO_SLOT;
    let now = door.shared.clock.now();
    let admitted = door.shared.flexorch().admit(&key, takes_a_slot, now);
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

fn record(shared: &Shared, parts: &Parts, read: ReadBody) -> RecordedRequest {
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
