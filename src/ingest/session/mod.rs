//! The submission of one invocation's objects, as a state machine without I/O.
//!
//! A driver asks [`Session::next`] what to do, does it, and feeds back what happened: [`Session::responded`],
//! [`Session::refreshed`], [`Session::stop`]. The time and randomness are arguments, so the same code runs in the function, in
//! tests without a clock, and in a simulation of months.
//!
//! Each connector has a separate lane (`lane`): a queue of requests, of which a few are in flight. A failure in one lane does not
//! stop another; they share the process's slots and the API keys' rate limits ([`Memory`]).
//!
//! ```text
//!            ┌── Settle(objects, outcomes) ──▶ ledger
//! next() ────┼── Send(request) ──────────────▶ FlexOrch ───────────▶ responded()
//!            ├── Refresh(connector) ─────────▶ Secrets Manager ────▶ refreshed()
//!            ├── Wait(until) ────────────────▶ clock, or any of the above
//!            └── Done
//! ```

mod lane;
mod memory;
mod outcomes;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rate::RateLimiter;
use super::retry::Budget;
use crate::flexorch::response::Response;
use crate::model::connector::Connector;
use crate::model::credentials::ApiKey;
use crate::model::outcome::{Deferral, Outcome};

use lane::{Advance, Lane};
pub use memory::Memory;
pub use outcomes::paused_deferral;

/// The settings for requests; each field has the name of its environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `MAX_KEYS_PER_REQUEST`.
    pub max_keys_per_request: NonZeroUsize,
    /// `MAX_CONCURRENT_REQUESTS`: requests in flight in one process, at most.
    pub max_concurrent_requests: NonZeroUsize,
    /// `REQUESTS_PER_MINUTE`; `None`: no pacing.
    pub requests_per_minute: Option<NonZeroU32>,
    /// `MAX_ATTEMPTS`: how often one request is sent in one invocation, at most.
    pub max_attempts: NonZeroU32,
    /// `REQUEST_TIMEOUT_MS`: the time limit of one attempt.
    pub request_timeout: Duration,
}

impl Settings {
    /// Returns how many requests may start without a pause before pacing begins.
    #[must_use]
    pub fn burst(&self) -> u32 {
        u32::try_from(self.max_concurrent_requests.get()).unwrap_or(u32::MAX)
    }
}

/// The receive from which on a message counts as returning repeatedly, for which one of its objects may be the reason.
pub(crate) const OFTEN_RECEIVED: u32 = 3;

/// The objects of one connector, as positions in the invocation.
#[derive(Debug, Clone)]
pub struct Work {
    /// The connector that they are submitted for.
    pub connector: Arc<Connector>,
    /// The positions of the objects.
    pub objects: Vec<usize>,
    /// Those of them whose message was received `OFTEN_RECEIVED` times or more.
    pub redelivered: Vec<usize>,
}

/// The id of a request in its session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// The id of a connector's lane in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneId(usize);

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id to pass to [`Session::responded`].
    pub id: RequestId,
    /// The connector, whose API key it is sent with.
    pub connector: Arc<Connector>,
    /// The positions of the objects whose keys it holds.
    pub objects: Vec<usize>,
    /// The time limit after which the driver cancels it.
    pub timeout: Duration,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When the first attempt was sent.
    pub began: SystemTime,
}

/// The driver's next step.
#[derive(Debug)]
pub enum Step {
    /// Sends a request and reports with [`Session::responded`].
    Send(Request),
    /// Fetches a secret that FlexOrch's response puts in doubt and reports with [`Session::refreshed`].
    Refresh(LaneId, Arc<Connector>),
    /// Records the outcomes of objects.
    Settle(Vec<(usize, Outcome)>),
    /// Logs or counts a finding.
    Note(Note),
    /// Waits for a response, a secret, a free slot, or this time.
    Wait(Option<SystemTime>),
    /// Ends: every object is settled.
    Done,
}

/// A finding of a session that is not an outcome.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// FlexOrch refuses the API key, and the secret holds no other.
    AuthFailure,
    /// FlexOrch accepts requests of this many keys and refuses larger ones.
    SmallerRequests {
        /// The secret's id.
        connector: Arc<str>,
        /// The most keys that a request holds from now on.
        keys: NonZeroUsize,
    },
}

/// The result of fetching a secret again.
#[derive(Debug)]
pub enum Refreshed {
    /// The connector that it describes, which may be unchanged.
    Current(Arc<Connector>),
    /// The secret could not be used, for this reason.
    Failed(String),
}

/// The time of an event, and a random number for the decisions after it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The time.
    pub time: SystemTime,
    /// A random number in `0.0..1.0`.
    pub random: f64,
}

/// The submission of one invocation's objects.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    lanes: Vec<Lane>,
    /// The lane that is advanced first; it changes, so that none is always last.
    first: usize,
    shared: Shared,
}

/// What the lanes of a session share.
#[derive(Debug)]
struct Shared {
    /// When all requests must have ended.
    end: SystemTime,
    stopped: bool,
    any_sent: bool,
    next_id: u64,
    settled: Vec<(usize, Outcome)>,
    notes: Vec<Note>,
    /// Requests of each API key that wait for a turn after this invocation.
    waiting: HashMap<ApiKey, u32>,
}

impl Session {
    /// Creates the session of an invocation whose requests must have ended by `end`.
    #[must_use]
    pub fn new(settings: Settings, work: Vec<Work>, end: SystemTime, memory: &Memory, now: SystemTime) -> Self {
        let lanes = work.into_iter().map(|work| Lane::new(work, &settings, memory, now)).collect();
        let shared = Shared {
            end,
            stopped: false,
            any_sent: false,
            next_id: 0,
            settled: Vec::new(),
            notes: Vec::new(),
            waiting: HashMap::new(),
        };
        Self { settings, lanes, first: 0, shared }
    }

    /// Returns the next step. After [`Step::Wait`], call it again when one of the awaited events has happened.
    pub fn next(&mut self, memory: &mut Memory, now: SystemTime) -> Step {
        loop {
            if !self.shared.settled.is_empty() {
                return Step::Settle(std::mem::take(&mut self.shared.settled));
            }
            if let Some(note) = self.shared.notes.pop() {
                return Step::Note(note);
            }
            let active = self.lanes.iter().filter(|lane| !lane.is_done()).count();
            if active == 0 {
                return Step::Done;
            }
            // Several lanes have equal shares, so that none uses every slot.
            let share = self.settings.max_concurrent_requests.get().div_ceil(active);
            let mut wake: Option<SystemTime> = None;
            for offset in 0..self.lanes.len() {
                let index = (self.first + offset) % self.lanes.len();
                let lane = &mut self.lanes[index];
                let mut context = Context { shared: &mut self.shared, settings: &self.settings, memory, now };
                match lane.advance(share, &mut context) {
                    Advance::Send(request) => {
                        self.first = (index + 1) % self.lanes.len();
                        return Step::Send(request);
                    }
                    Advance::Refresh(connector) => return Step::Refresh(LaneId(index), connector),
                    Advance::Wait(until) => wake = earlier(wake, until),
                }
            }
            if self.shared.settled.is_empty() && self.lanes.iter().any(|lane| !lane.is_done()) {
                return Step::Wait(wake);
            }
        }
    }

    /// Processes FlexOrch's response to a request; a request without a response is [`Response::Transient`] with status 0.
    pub fn responded(&mut self, id: RequestId, response: Response, memory: &mut Memory, at: Now) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.has_in_flight(id)) {
            memory.in_flight = memory.in_flight.saturating_sub(1);
            let mut context = Context { shared: &mut self.shared, settings: &self.settings, memory, now: at.time };
            lane.responded(id, response, at.random, &mut context);
        }
    }

    /// Processes the result of a [`Step::Refresh`].
    pub fn refreshed(&mut self, lane: LaneId, refreshed: Refreshed, memory: &mut Memory, now: SystemTime) {
        if let Some(lane) = self.lanes.get_mut(lane.0) {
            lane.refreshed(refreshed, &mut Context { shared: &mut self.shared, settings: &self.settings, memory, now });
        }
    }

    /// Stops sending: requests in flight end, the rest is deferred.
    pub fn stop(&mut self) {
        self.shared.stopped = true;
    }

    /// Releases the slots of requests whose responses will never be reported.
    pub(crate) fn abandon(&mut self, memory: &mut Memory) {
        let in_flight: usize = self.lanes.iter().map(Lane::abandon).sum();
        memory.in_flight = memory.in_flight.saturating_sub(in_flight);
    }
}

/// The state and arguments that a lane's decisions need.
struct Context<'a> {
    shared: &'a mut Shared,
    settings: &'a Settings,
    memory: &'a mut Memory,
    now: SystemTime,
}

impl Context<'_> {
    fn budget(&self) -> Budget {
        // At least one request is sent, however long requests usually take.
        let usual = if self.shared.any_sent { self.memory.usual } else { Duration::ZERO };
        Budget { end: self.shared.end, request_timeout: self.settings.request_timeout, usual }
    }

    fn limiter(&mut self, key: &ApiKey) -> &mut RateLimiter {
        self.memory.limiter(key, self.settings)
    }

    fn settle(&mut self, object: usize, outcome: Outcome) {
        self.shared.settled.push((object, outcome));
    }

    fn defer(&mut self, objects: impl IntoIterator<Item = usize>, deferral: &Deferral) {
        for object in objects {
            self.settle(object, Outcome::Deferred(deferral.clone()));
        }
    }
}

fn earlier(one: Option<SystemTime>, other: Option<SystemTime>) -> Option<SystemTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
