//! One process of the function: its own submission, `ingest::session`, in virtual time.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::flexorch::response::{ApiError, Response};
use flexorch_s3_ingester::ingest::session::{
    self, Memory, Note, Now, Refreshed, Request, RequestId, Session, Settings,
};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::outcome::Outcome;

use crate::scenario::{Scenario, Secrets};

/// A process, with what it remembers between invocations.
pub struct Process {
    settings: Settings,
    secrets: Rc<Secrets>,
    /// The connectors, and when their secrets were fetched.
    connectors: Vec<Arc<Connector>>,
    fetched: SystemTime,
    /// `SECRET_CACHE_TTL_SECONDS`.
    cached_for: Duration,
    memory: Memory,
    session: Option<Session>,
    in_flight: HashMap<RequestId, Request>,
    /// When the process has asked to be woken.
    wake_at: Option<SystemTime>,
    /// API keys that FlexOrch refused although the secret holds no other: `AuthFailures`.
    pub auth_failures: u64,
}

/// What the world has to do for the process.
#[derive(Debug)]
pub enum Step {
    /// Wakes it at that time.
    Wake(SystemTime),
    /// Carries this request to FlexOrch; it waits so long for the response.
    Send(RequestId, Duration),
    /// Records the outcomes of objects, by their positions in the invocation.
    Settle(Vec<(usize, Outcome)>),
}

impl Process {
    /// Creates a process that has just started.
    pub fn new(config: &Config, secrets: Rc<Secrets>, now: SystemTime) -> Self {
        Self {
            settings: Settings::from(config),
            connectors: secrets.at(now).to_vec(),
            secrets,
            fetched: now,
            cached_for: config.secret_cache_ttl,
            memory: Memory::default(),
            session: None,
            in_flight: HashMap::new(),
            wake_at: None,
            auth_failures: 0,
        }
    }

    /// Begins an invocation with these objects; its requests must have ended by `end`.
    pub fn begin(&mut self, objects: &[u32], scenario: &Scenario, end: SystemTime, now: SystemTime) -> Vec<Step> {
        if now >= self.fetched + self.cached_for {
            (self.connectors, self.fetched) = (self.secrets.at(now).to_vec(), now);
        }
        let mut work: Vec<_> = self
            .connectors
            .iter()
            .map(|connector| session::Work {
                connector: Arc::clone(connector),
                objects: Vec::new(),
                redelivered: Vec::new(),
            })
            .collect();
        for (position, object) in objects.iter().enumerate() {
            work[scenario.connector_of(*object)].objects.push(position);
        }
        work.retain(|work| !work.objects.is_empty());
        self.session = Some(Session::new(self.settings, work, end, &self.memory, now));
        self.wake_at = None;
        self.advance(now)
    }

    /// Whether every object has its outcome.
    pub fn is_done(&self) -> bool {
        self.session.is_none()
    }

    /// Returns a request in flight; `None` if it has ended.
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.in_flight.get(&id)
    }

    /// Whether the process still waits for this time. If something else has happened since it asked, it does not.
    pub fn is_woken_at(&self, now: SystemTime) -> bool {
        self.session.is_some() && self.wake_at == Some(now)
    }

    /// Wakes the process at the time that it asked for.
    pub fn wake(&mut self, now: SystemTime) -> Vec<Step> {
        self.wake_at = None;
        self.advance(now)
    }

    /// Ends a request.
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
                    self.in_flight.insert(request.id, request);
                }
                session::Step::Settle(settled) => steps.push(Step::Settle(settled)),
                session::Step::Refresh(lane, connector) => {
                    (self.connectors, self.fetched) = (self.secrets.at(now).to_vec(), now);
                    let fresh = self.connectors.iter().find(|fresh| fresh.secret_id == connector.secret_id);
                    let fresh = Refreshed::Current(fresh.map_or(connector, Arc::clone));
                    session.refreshed(lane, fresh, &mut self.memory, now);
                }
                session::Step::Note(note) => self.auth_failures += u64::from(note == Note::AuthFailure),
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

/// Returns what the client reports for a request that had no response in time.
pub fn cut_off() -> Response {
    Response::Transient { error: ApiError::transport("no response in time"), rate_limited: false, retry_at: None }
}

#[cfg(test)]
mod tests;
