//! The sections of the benchmark. Each measures, and holds its own figures and their table.

pub mod bulk;
pub mod cold;
pub mod requests;
pub mod starved;
pub mod throughput;

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use flexorch_sandbox::runtime_api::{FunctionResponse, RuntimeApi};
use hyper::body::Bytes;

use crate::process::Process;
use crate::programs::Program;
use crate::quota::Quota;
use crate::servers::Servers;

/// A program that has responded to all its events and waits for another.
pub struct Served {
    pub process: Process,
    /// When it first asked for work.
    pub asked: Instant,
    pub responses: Vec<FunctionResponse>,
    /// Without it, the program would end.
    _runtime_api: Arc<RuntimeApi>,
}

impl Served {
    /// Start of the process → asks for work.
    pub fn init(&self) -> Duration {
        self.asked - self.process.started
    }

    /// First event → its response.
    pub fn first(&self) -> Duration {
        self.responses[0].took
    }

    /// Start of the process → first response.
    pub fn total(&self) -> Duration {
        self.responses[0].sent + self.responses[0].took - self.process.started
    }
}

/// The events and the settings of a program's run.
#[derive(Default)]
pub struct Trial<'a> {
    pub events: Vec<Bytes>,
    /// Between a response and the next event.
    pub pause: Duration,
    /// Variables beside those that Lambda sets.
    pub settings: Vec<(&'static str, String)>,
    pub quota: Option<&'a Quota>,
}

impl Trial<'_> {
    /// Creates a trial with these events, without pauses, with the default settings.
    pub fn of(events: Vec<Bytes>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Starts a program and sends it the trial's events.
pub fn serve(servers: &Servers, program: &Program, trial: Trial<'_>) -> Served {
    let runtime_api = servers.runtime_api();
    let mut environment = servers.environment(&runtime_api);
    environment.extend(trial.settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let mut process = match trial.quota {
        None => Process::start(program, &environment),
        Some(quota) => Process::start_within(quota, program, &environment),
    };
    let result = servers.send(Arc::clone(&runtime_api), trial.events, trial.pause);
    let (asked, responses) = loop {
        match result.recv_timeout(Duration::from_millis(500)) {
            Ok(served) => break served,
            Err(RecvTimeoutError::Timeout) => {
                assert!(!process.has_ended(), "the function has ended; BENCH_SHOWS_OUTPUT=1 shows what it printed");
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the function did not respond"),
        }
    };
    for response in &responses {
        assert!(response.result.is_ok(), "the function failed: {response:?}");
    }
    Served { process, asked, responses, _runtime_api: runtime_api }
}
