//! awsJson1.0 over HTTP: the operation in `X-Amz-Target`, errors by `__type`, and the wait of a long poll.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        aws_fault::{AwsFault, hang, take_time},
        aws_signature::{SignatureError, signed_region},
    },
    QueueCall, Shared,
    error::SqsError,
    operation::{self, Input, Place},
    store,
};

/// A mebibyte of messages takes six times as much where JSON writes each character as `\u0001`; the rest is names.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone, Debug)]
struct Endpoint {
    shared: Shared,
    stop: CancellationToken,
}

/// The endpoint. `stop` ends calls that hang or wait.
///
/// It answers under every path, because some SDKs call a queue at its URL and others call the endpoint.
pub(super) fn router(shared: Shared, stop: CancellationToken) -> Router {
    Router::new().fallback(call).layer(DefaultBodyLimit::max(MOST_BODY_BYTES)).with_state(Endpoint { shared, stop })
}

async fn call(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match Request::read(&headers, &body) {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let (fault, latency) = endpoint.shared.note(&request);
    take_time(latency).await;
    let result = match fault {
        None => endpoint.answer(request, false).await,
        Some(AwsFault::PartialFailure) => endpoint.answer(request, true).await,
        Some(AwsFault::Hang) => return hang(&endpoint.stop).await,
        Some(AwsFault::AccessDenied) => Err(SqsError::access_denied(&request.resource(), &request.operation)),
        Some(AwsFault::Throttling) => Err(SqsError::throttled()),
        Some(AwsFault::Internal) => Err(SqsError::internal()),
    };
    match result {
        Ok(output) => aws_json(StatusCode::OK, &output),
        Err(error) => error.into_response(),
    }
}

/// A call, read.
struct Request {
    operation: String,
    region: String,
    host: String,
    input: Input,
}

impl Request {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, SqsError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let region = signed_region(text("authorization"), "sqs").map_err(|error| match error {
            SignatureError::Missing => SqsError::unsigned(),
            SignatureError::Malformed => SqsError::wrongly_signed(),
        })?;
        let operation = text("x-amz-target")
            .and_then(|target| target.strip_prefix("AmazonSQS."))
            .ok_or_else(|| SqsError::unknown_operation("X-Amz-Target names no operation of SQS."))?;
        // serde's own message may quote the body, which is not the log's business.
        let input = serde_json::from_slice(body).map_err(|_| SqsError::serialization())?;
        Ok(Self {
            operation: operation.to_owned(),
            region: region.to_owned(),
            host: text("host").unwrap_or("127.0.0.1").to_owned(),
            input,
        })
    }

    fn queue(&self) -> &str {
        self.input.queue().unwrap_or_default()
    }

    fn resource(&self) -> String {
        store::arn(self.queue(), &self.region)
    }
}

impl Endpoint {
    /// Answers a call, a receiver's after the wait that it asks for.
    async fn answer(&self, request: Request, spoil: bool) -> Result<Value, SqsError> {
        if request.operation != "ReceiveMessage" {
            let Request { operation, region, host, input } = request;
            let answer = self.shared.answer(&operation, input, Place { region: &region, host: &host }, spoil);
            self.shared.changed.notify_waiters();
            return answer;
        }
        let until = Instant::now() + request.input.wait()?;
        loop {
            // Made before the look into the queue, so that what is sent between the two is not missed.
            let changed = self.shared.changed.notified();
            let answer = self.shared.receive(&request.input)?;
            let next = self.shared.next_visible(request.queue());
            if answer.get("Messages").is_some() || Instant::now() >= until || self.stop.is_cancelled() {
                return Ok(answer);
            }
            let wake = next.map_or(until, |wait| until.min(Instant::now() + wait));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

impl Shared {
    /// Logs a call, and says what it meets.
    fn note(&self, request: &Request) -> (Option<AwsFault>, std::time::Duration) {
        let entries = if request.operation.ends_with("Batch") { request.input.entries.len() } else { 1 };
        let call = QueueCall {
            operation: request.operation.clone(),
            queue: request.queue().to_owned(),
            entries,
            region: request.region.clone(),
        };
        tracing::debug!(operation = %call.operation, queue = %call.queue, entries, region = %call.region, "queue call");
        self.lock().calls.note(&request.operation, call)
    }

    fn answer(&self, operation: &str, input: Input, place: Place<'_>, spoil: bool) -> Result<Value, SqsError> {
        let now = self.now();
        operation::answer(&mut self.lock().store, operation, input, place, spoil, now)
    }

    fn receive(&self, input: &Input) -> Result<Value, SqsError> {
        let now = self.now();
        operation::receive(&mut self.lock().store, input, now)
    }

    /// In how long the next hidden message of a queue becomes visible.
    fn next_visible(&self, queue: &str) -> Option<std::time::Duration> {
        let now = self.now();
        let next = self.lock().store.queue(queue).ok()?.next_visible(now)?;
        Some(next.since(now))
    }
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = aws_json(status, &json!({"__type": self.shape, "message": self.message}));
        let side = if self.sender_fault { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::try_from(format!("{};{side}", self.code)) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
        response
    }
}

fn aws_json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    if let Ok(id) = HeaderValue::try_from(format!("sandbox-{:016x}", fastrand::u64(..))) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
