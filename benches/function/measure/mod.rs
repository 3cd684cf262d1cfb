//! The sections of the benchmark. Each measures, and holds its own figures and their table.

pub mod bulk;
pub mod cold;
pub mod requests;
pub mod starved;
pub mod throughput;

use std::time::{Duration, Instant};

use hyper::body::Bytes;

use crate::process::Process;
use crate::programs::Program;
use crate::quota::Quota;
use crate::servers::{Exchange, Servers};

/// A program that has handled all its events and waits for another.
pub struct Served {
    pub process: Process,
    /// When it first asked for work.
    pub asked: Instant,
    pub exchanges: Vec<Exchange>,
}

impl Served {
    /// Start of the process → asks for work.
    pub fn init(&self) -> Duration {
        self.asked - self.process.started
    }

    /// From the first event to its response.
    pub fn first(&self) -> Duration {
        self.exchanges[0].took()
    }

    /// From the start of the process to the first response.
    pub fn total(&self) -> Duration {
        self.exchanges[0].answered - self.process.started
    }
}

/// What a program is started for.
#[derive(Default)]
pub struct Trial<'a> {
    pub events: Vec<Bytes>,
    /// The pause between a response and the next event.
    pub pause: Duration,
    /// Variables beside those that Lambda sets.
    pub settings: Vec<(&'static str, String)>,
    pub quota: Option<&'a Quota>,
}

impl Trial<'_> {
    /// Returns a trial of these events without a pause, with the defaults.
    pub fn of(events: Vec<Bytes>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Starts a program and has it handle the trial's events.
pub fn serve(servers: &Servers, program: &Program, trial: Trial<'_>) -> Served {
    let runtime_api = servers.runtime_api(trial.events, trial.pause);
    let mut environment = servers.environment(&runtime_api);
    environment.extend(trial.settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let mut process = match trial.quota {
        None => Process::start(program, &environment),
        Some(quota) => Process::start_within(quota, program, &environment),
    };
    let (asked, exchanges) = runtime_api.wait(&mut process);
    Served { process, asked, exchanges }
}
