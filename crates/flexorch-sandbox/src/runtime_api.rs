//! Lambda's Runtime API, the part that a function uses (Lambda Developer Guide, "Using the Lambda runtime API"): sends events to a
//! function that runs as a local process, and returns its responses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::server::{SandboxError, Server};

/// The function's ARN in the headers of every event.
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:flexorch-s3-ingester";

/// Lambda's limit for a response (Lambda quotas, "Invocation payload").
const LARGEST_RESPONSE: usize = 6 * 1024 * 1024;

/// How long after its deadline a response is waited for. Lambda would have ended the function; a test wants to see that it is late.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a function responded to an event.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionResponse {
    /// The response, or the error with its `errorType` and `errorMessage`.
    pub result: Result<Value, Value>,
    /// When the event was sent to the function.
    pub sent: Instant,
    /// The time from then until the last byte of the response.
    pub took: Duration,
}

/// The function did not ask for an event, or did not respond to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function did not respond until {} s after its deadline", PATIENCE.as_secs())]
pub struct NoResponse;

/// A running Runtime API for one function. It stops in the background when it is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    events: mpsc::Sender<Event>,
    shared: Shared,
}

/// An event that waits for the function.
#[derive(Debug)]
struct Event {
    id: String,
    payload: Bytes,
    deadline: SystemTime,
    respond: oneshot::Sender<FunctionResponse>,
}

/// The events that the function is processing, by their ids: when they were sent, and the receiver of the response.
type InFlight = HashMap<String, (Instant, oneshot::Sender<FunctionResponse>)>;

#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    times: u64,
    first: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Shared {
    events: Arc<tokio::sync::Mutex<mpsc::Receiver<Event>>>,
    in_flight: Arc<Mutex<InFlight>>,
    /// The number of events so far.
    count: Arc<Mutex<u64>>,
    /// How often the function has asked for an event, and when it first did.
    asked: watch::Sender<Asked>,
    init_error: watch::Sender<Option<Value>>,
    /// Cancelled when the server stops.
    stop: CancellationToken,
}

impl RuntimeApi {
    /// Starts it on 127.0.0.1; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    pub async fn start(port: u16) -> Result<Self, SandboxError> {
        let (events, receiver) = mpsc::channel(64);
        let shared = Shared {
            events: Arc::new(tokio::sync::Mutex::new(receiver)),
            in_flight: Arc::default(),
            count: Arc::default(),
            asked: watch::Sender::default(),
            init_error: watch::Sender::new(None),
            stop: CancellationToken::new(),
        };
        let server = Server::start(port, shared.stop.clone(), router(shared.clone())).await?;
        Ok(Self { server, events, shared })
    }

    /// Returns the value of the function's `AWS_LAMBDA_RUNTIME_API`: host and port.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Sends an event to the function and waits for its response. The function's deadline is `time` from now.
    ///
    /// # Errors
    ///
    /// If the function has not responded 30 seconds after its deadline.
    pub async fn invoke(&self, payload: impl Into<Bytes>, time: Duration) -> Result<FunctionResponse, NoResponse> {
        let (respond, responded) = oneshot::channel();
        let id = {
            let mut count = lock(&self.shared.count);
            *count += 1;
            format!("8476a536-e9f4-11e8-9739-{count:012}")
        };
        let event = Event { id, payload: payload.into(), deadline: SystemTime::now() + time, respond };
        let response = async {
            self.events.send(event).await.map_err(|_| NoResponse)?;
            responded.await.map_err(|_| NoResponse)
        };
        tokio::time::timeout(time + PATIENCE, response).await.unwrap_or(Err(NoResponse))
    }

    /// Waits until the function has asked for an event, which ends its initialisation, and returns when it first did.
    pub async fn initialised(&self) -> Instant {
        let asked = self.asked_times(1).await;
        asked.first.unwrap_or_else(Instant::now)
    }

    /// Waits until the function has asked for an event after so many invocations: it is idle.
    pub async fn idle_after(&self, invocations: u64) {
        self.asked_times(invocations + 1).await;
    }

    async fn asked_times(&self, times: u64) -> Asked {
        let mut asked = self.shared.asked.subscribe();
        // The sender is in `self`, so that the wait cannot fail.
        asked.wait_for(|asked| asked.times >= times).await.map_or_else(|_| Asked::default(), |asked| *asked)
    }

    /// Waits for the error of the function's initialisation and returns it.
    pub async fn init_error(&self) -> Value {
        let mut reported = self.shared.init_error.subscribe();
        let error = reported.wait_for(Option::is_some).await;
        // The sender is in `self`, so that the wait cannot fail.
        error.ok().and_then(|error| error.clone()).unwrap_or_default()
    }

    /// Stops accepting, waits at most a second for requests in flight, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(LARGEST_RESPONSE))
        .with_state(shared)
}

async fn next(State(shared): State<Shared>) -> Response {
    shared.asked.send_modify(|asked| {
        asked.times += 1;
        asked.first.get_or_insert_with(Instant::now);
    });
    let next = async { shared.events.lock().await.recv().await };
    let event = tokio::select! {
        () = shared.stop.cancelled() => None,
        event = next => event,
    };
    let Some(event) = event else { return StatusCode::GONE.into_response() };
    let deadline = event.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    lock(&shared.in_flight).insert(event.id.clone(), (Instant::now(), event.respond));
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", event.id),
        ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN.to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    (headers, event.payload).into_response()
}

async fn response(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    settle(&shared, &id, &body, Ok)
}

async fn error(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    settle(&shared, &id, &body, Err)
}

async fn init_error(State(shared): State<Shared>, body: Bytes) -> StatusCode {
    let Ok(error) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    shared.init_error.send_replace(Some(error));
    StatusCode::ACCEPTED
}

fn settle(shared: &Shared, id: &str, body: &[u8], result: fn(Value) -> Result<Value, Value>) -> StatusCode {
    let received = Instant::now();
    let Ok(body) = serde_json::from_slice(body) else { return StatusCode::BAD_REQUEST };
    let Some((sent, respond)) = lock(&shared.in_flight).remove(id) else { return StatusCode::NOT_FOUND };
    // Fails if the caller no longer waits.
    let _ = respond.send(FunctionResponse { result: result(body), sent, took: received - sent });
    StatusCode::ACCEPTED
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
