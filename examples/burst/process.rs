//! One process of the function: its own submission, `ingest::session`, in virtual time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::flexorch::response::{ApiError, Response};
use flexorch_s3_ingester::ingest::session::{self, Memory, Now, RequestId, Session, Settings};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::outcome::Outcome;

/// A process, with what it remembers between invocations.
pub struct Process {
    settings: Settings,
    connector: Arc<Connector>,
    memory: Memory,
    session: Option<Session>,
    /// The objects of each request in flight, by their positions in the invocation.
    in_flight: HashMap<RequestId, Vec<usize>>,
    /// Each object's outcome, by its position; `None` while it has none.
    outcomes: Vec<Option<Outcome>>,
    /// When the process has been promised to be woken.
    wake_at: Option<SystemTime>,
}

/// What the world has to do for the process.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Wake it at that time.
    Wake(SystemTime),
    /// Carry this request to FlexOrch; it waits so long for the response.
    Send(RequestId, Duration),
    /// FlexOrch has these objects, by their positions in the invocation.
    Forwarded(Vec<usize>),
}

impl Process {
    /// A process that has just started.
    pub fn new(config: &Config, connector: Arc<Connector>) -> Self {
        Self {
            settings: Settings {
                max_keys_per_request: config.max_keys_per_request,
                max_concurrent_requests: config.max_concurrent_requests,
                requests_per_minute: config.requests_per_minute,
                max_attempts: config.max_attempts,
                request_timeout: config.request_timeout,
            },
            connector,
            memory: Memory::default(),
            session: None,
            in_flight: HashMap::new(),
            outcomes: Vec::new(),
            wake_at: None,
        }
    }

    /// Begins an invocation with so many objects; its requests must have ended by `end`.
    pub fn begin(&mut self, objects: usize, end: SystemTime, now: SystemTime) -> Vec<Step> {
        let work = session::Work {
            connector: Arc::clone(&self.connector),
            objects: (0..objects).collect(),
            redelivered: Vec::new(),
        };
        self.session = Some(Session::new(self.settings, vec![work], end, &self.memory, now));
        self.outcomes = vec![None; objects];
        self.wake_at = None;
        self.advance(now)
    }

    /// Whether every object has its outcome.
    pub fn is_done(&self) -> bool {
        self.session.is_none()
    }

    /// Each object's outcome, by its position.
    pub fn outcomes(&self) -> &[Option<Outcome>] {
        &self.outcomes
    }

    /// The positions of the objects in a request; none if it has ended.
    pub fn objects_of(&self, request: RequestId) -> &[usize] {
        self.in_flight.get(&request).map_or(&[], Vec::as_slice)
    }

    /// Whether the process still waits for this time. If something else has happened since it asked, it does not.
    pub fn is_woken_at(&self, now: SystemTime) -> bool {
        self.session.is_some() && self.wake_at == Some(now)
    }

    /// The time that the process asked to be woken at has come.
    pub fn wake(&mut self, now: SystemTime) -> Vec<Step> {
        self.wake_at = None;
        self.advance(now)
    }

    /// A request has ended.
    pub fn responded(&mut self, request: RequestId, response: Response, now: Now) -> Vec<Step> {
        self.in_flight.remove(&request);
        if let Some(session) = &mut self.session {
            session.responded(request, response, &mut self.memory, now);
        }
        self.advance(now.time)
    }

    fn advance(&mut self, now: SystemTime) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(session) = &mut self.session {
            match session.next(&mut self.memory, now) {
                session::Step::Send(request) => {
                    steps.push(Step::Send(request.id, request.timeout));
                    self.in_flight.insert(request.id, request.objects);
                }
                session::Step::Settle(settled) => {
                    let mut forwarded = Vec::new();
                    for (object, outcome) in settled {
                        if matches!(outcome, Outcome::Forwarded(_)) {
                            forwarded.push(object);
                        }
                        self.outcomes[object] = Some(outcome);
                    }
                    if !forwarded.is_empty() {
                        steps.push(Step::Forwarded(forwarded));
                    }
                }
                session::Step::Refresh(lane, connector) => {
                    session.refreshed(lane, session::Refreshed::Current(connector), &mut self.memory, now);
                }
                session::Step::Note(_) => {}
                session::Step::Wait(until) => {
                    if until.is_some() && self.wake_at != until {
                        self.wake_at = until;
                        steps.extend(until.map(Step::Wake));
                    }
                    break;
                }
                session::Step::Done => self.session = None,
            }
        }
        steps
    }
}

/// What the client reports for a request that had no response in time.
pub fn cut_off() -> Response {
    Response::Transient { error: ApiError::transport("no response in time"), rate_limited: false, retry_at: None }
}

#[cfg(test)]
mod tests;
