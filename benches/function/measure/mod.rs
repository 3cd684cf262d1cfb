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

/// A program that has answered all its events and waits for another.
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

    /// First event → its answer.
    pub fn first(&self) -> Duration {
        self.exchanges[0].took()
    }

    /// Start of the process → first answer.
    pub fn total(&self) -> Duration {
        self.exchanges[0].answered - self.process.started
    }
}

/// Starts a program and has it answer these events.
pub fn serve(
    servers: &Servers,
    program: &Program,
    events: Vec<Bytes>,
    settings: &[(&str, String)],
    quota: Option<&Quota>,
) -> Served {
    let runtime_api = servers.runtime_api(events);
    let mut environment = servers.environment(&runtime_api);
    environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let mut process = match quota {
        None => Process::start(program, &environment),
        Some(quota) => Process::start_within(quota, program, &environment),
    };
    let (asked, exchanges) = runtime_api.wait(&mut process);
    Served { process, asked, exchanges }
}
