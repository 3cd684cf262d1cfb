//! Lambda's Runtime API: hands out a list of events, one after the other, and notes when.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};

use super::http::{Answer, body, serve};
use crate::process::Process;

/// Longer than anything here takes.
const TIME_FOR_AN_EVENT: Duration = Duration::from_secs(600);

/// One event and its response.
#[derive(Clone)]
pub struct Exchange {
    /// When the event was handed over.
    pub handed: Instant,
    /// When the last byte of the response had arrived.
    pub answered: Instant,
}

impl Exchange {
    /// From the one to the other.
    pub fn took(&self) -> Duration {
        self.answered - self.handed
    }
}

#[derive(Default)]
struct State {
    events: VecDeque<Bytes>,
    asked: Option<Instant>,
    handed: Option<Instant>,
    exchanges: Vec<Exchange>,
    error: Option<String>,
}

/// A running Runtime API for one program.
pub struct RuntimeApi {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    idle: Receiver<()>,
}

impl RuntimeApi {
    pub(super) async fn start(events: Vec<Bytes>, pause: Duration) -> Self {
        let state = Arc::new(Mutex::new(State { events: events.into(), ..State::default() }));
        let (tell_idle, idle) = channel();
        let shared = Arc::clone(&state);
        let address = serve(None, move |request| handle(Arc::clone(&shared), pause, tell_idle.clone(), request)).await;
        Self { address, state, idle }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is set to.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until every event has a response and the program asks for another; returns when it first asked, and the
    /// exchanges.
    pub fn wait(&self, process: &mut Process) -> (Instant, Vec<Exchange>) {
        while let Err(RecvTimeoutError::Timeout) = self.idle.recv_timeout(Duration::from_millis(500)) {
            let error = self.state.lock().unwrap().error.clone();
            assert!(error.is_none(), "the function failed: {}", error.unwrap_or_default());
            assert!(!process.has_ended(), "the function has ended; BENCH_SHOWS_OUTPUT=1 shows what it printed");
        }
        let state = self.state.lock().unwrap();
        assert!(state.error.is_none(), "the function failed: {}", state.error.clone().unwrap_or_default());
        (state.asked.expect("it asked"), state.exchanges.clone())
    }
}

async fn handle(state: Arc<Mutex<State>>, pause: Duration, idle: Sender<()>, request: Request<Incoming>) -> Answer {
    if request.method() == Method::GET {
        let number = {
            let mut state = state.lock().unwrap();
            state.asked.get_or_insert_with(Instant::now);
            state.exchanges.len()
        };
        if number > 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let event = {
            let mut state = state.lock().unwrap();
            state.events.pop_front().map(|event| {
                state.handed = Some(Instant::now());
                next(event, number)
            })
        };
        return match event {
            Some(event) => event,
            None => {
                let _ = idle.send(());
                std::future::pending().await
            }
        };
    }
    let failed = request.uri().path().ends_with("/error");
    let answer = body(request).await;
    let answered = Instant::now();
    let mut state = state.lock().unwrap();
    match state.handed.take() {
        Some(handed) if !failed => state.exchanges.push(Exchange { handed, answered }),
        _ => state.error = Some(String::from_utf8_lossy(&answer).into_owned()),
    }
    Response::builder().status(StatusCode::ACCEPTED).body(Full::default()).unwrap()
}

fn next(event: Bytes, number: usize) -> Answer {
    let deadline = SystemTime::now() + TIME_FOR_AN_EVENT;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    Response::builder()
        .header("Lambda-Runtime-Aws-Request-Id", format!("8476a536-e9f4-11e8-9739-{number:012}"))
        .header("Lambda-Runtime-Deadline-Ms", deadline.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:ingest")
        .header("Content-Type", "application/json")
        .body(Full::new(event))
        .unwrap()
}
