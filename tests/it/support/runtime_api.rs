//! Lambda's Runtime API, as far as a function uses it (Lambda Developer Guide, "Using the Lambda runtime API").

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// What the function answered to an event.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The answer, or the error with `errorType` and `errorMessage`.
    pub result: Result<Value, Value>,
    /// How long it took, from the hand-over of the event to the last byte of the answer.
    pub took: Duration,
}

impl Answer {
    /// The successful answer.
    pub fn ok(&self) -> &Value {
        self.result.as_ref().unwrap_or_else(|error| panic!("the function answered with an error: {error}"))
    }

    /// The error's message.
    pub fn error(&self) -> &str {
        match &self.result {
            Err(error) => error["errorMessage"].as_str().unwrap(),
            Ok(answer) => panic!("the function answered without an error: {answer}"),
        }
    }

    /// The ids of the messages that come back.
    pub fn failures(&self) -> Vec<&str> {
        let failures = self.ok()["batchItemFailures"].as_array().expect("batchItemFailures");
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
    }
}

struct Pending {
    id: String,
    payload: String,
    deadline: SystemTime,
    answer: oneshot::Sender<Answer>,
}

/// The events that the function has and has not answered: since when, and who waits.
type UnderWay = HashMap<String, (Instant, oneshot::Sender<Answer>)>;

#[derive(Clone)]
struct Shared {
    events: Arc<tokio::sync::Mutex<mpsc::Receiver<Pending>>>,
    under_way: Arc<Mutex<UnderWay>>,
    asked: watch::Sender<u64>,
    init_errors: watch::Sender<Vec<Value>>,
}

/// A running Runtime API.
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::Sender<Pending>,
    next_id: Mutex<u64>,
    shared: Shared,
    server: tokio::task::JoinHandle<()>,
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let (events, receiver) = mpsc::channel(64);
        let shared = Shared {
            events: Arc::new(tokio::sync::Mutex::new(receiver)),
            under_way: Arc::default(),
            asked: watch::Sender::new(0),
            init_errors: watch::Sender::new(Vec::new()),
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, events, next_id: Mutex::new(1), shared, server }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is set to.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Hands an event to the function and waits for its answer.
    pub async fn invoke(&self, payload: String, time: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut next = self.next_id.lock().unwrap();
            *next += 1;
            format!("8476a536-e9f4-11e8-9739-{next:012}")
        };
        let pending = Pending { id, payload, deadline: SystemTime::now() + time, answer };
        self.events.send(pending).await.expect("the Runtime API is gone");
        // Far longer than any deadline: a function that does not answer at all must fail the test, not hang it.
        let patience = time + Duration::from_secs(30);
        tokio::time::timeout(patience, answered).await.expect("the function did not answer").expect("answered")
    }

    /// Waits until the function has asked for work, which ends its initialisation.
    pub async fn initialised(&self) {
        let mut asked = self.shared.asked.subscribe();
        asked.wait_for(|asked| *asked > 0).await.unwrap();
    }

    /// Waits for the report that initialisation failed.
    pub async fn init_error(&self) -> Value {
        let mut errors = self.shared.init_errors.subscribe();
        let errors = errors.wait_for(|errors| !errors.is_empty()).await.unwrap();
        errors[0].clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Shared>) -> Response {
    shared.asked.send_modify(|asked| *asked += 1);
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = event.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().to_string();
    shared.under_way.lock().unwrap().insert(event.id.clone(), (Instant::now(), event.answer));
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", event.id),
        ("Lambda-Runtime-Deadline-Ms", deadline),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:eu-west-1:123456789012:function:flexorch-s3-ingester".to_owned(),
        ),
        ("Content-Type", "application/json".to_owned()),
    ];
    (headers, event.payload).into_response()
}

async fn response(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, Ok(serde_json::from_slice(&body).unwrap()))
}

async fn error(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, Err(serde_json::from_slice(&body).unwrap()))
}

async fn init_error(State(shared): State<Shared>, body: Bytes) -> StatusCode {
    let error = serde_json::from_slice(&body).unwrap();
    shared.init_errors.send_modify(|errors| errors.push(error));
    StatusCode::ACCEPTED
}

fn answer(shared: &Shared, id: &str, result: Result<Value, Value>) -> StatusCode {
    let Some((began, waiting)) = shared.under_way.lock().unwrap().remove(id) else {
        return StatusCode::NOT_FOUND;
    };
    let _ = waiting.send(Answer { result, took: began.elapsed() });
    StatusCode::ACCEPTED
}
