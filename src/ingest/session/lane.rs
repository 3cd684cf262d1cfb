//! The requests of one connector in one invocation: what to send next. [`responses`] decides what to do after a response.

mod responses;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::memory::Admission;
use super::outcomes::{is_about_the_file, not_a_turn, out_of_time, refusal_deferral, rejection};
use super::{Context, Request, RequestId, Settings, Work};
use crate::flexorch::response::ApiError;
use crate::ingest::batch::{Batch, BatchQueue};
use crate::ingest::rate::Closed;
use crate::model::connector::Connector;
use crate::model::outcome::{Deferral, Outcome};

/// The state of one connector's objects.
#[derive(Debug)]
pub(super) struct Lane {
    connector: Arc<Connector>,
    queue: BatchQueue,
    redelivered: HashSet<usize>,
    requests: Vec<Pending>,
    secret: Secret,
    gate: Gate,
    /// Keys that FlexOrch refused alone. Whether the key or the request is at fault is decided when the lane has nothing else left.
    refused_alone: Vec<(usize, ApiError)>,
    done: bool,
}

/// Whether the lane may send.
#[derive(Debug)]
enum Gate {
    Open,
    /// One request checks whether an earlier block has been lifted; if it has not, this is the deferral of the rest.
    Probing(Deferral),
    /// Nothing more is sent in this invocation; this is the deferral of the remaining objects.
    Closed(Deferral),
}

/// Whether the connector's secret was fetched again in this invocation, which happens once at most.
#[derive(Debug)]
enum Secret {
    AsCached,
    Wanted(Doubt),
    Fetching(Doubt),
    Fresh,
}

/// Why a secret is fetched again.
#[derive(Debug, Clone)]
enum Doubt {
    /// FlexOrch refused the API key: 401.
    ApiKey(ApiError),
    /// FlexOrch does not know the connector: 404.
    Connector(Deferral),
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    batch: Batch,
    attempts: u32,
    /// The time of the first attempt.
    began: Option<SystemTime>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waits until this time, or longer if the rate or the slots require it.
    Waiting(SystemTime),
    /// Waits until the secret has been fetched again.
    NeedsSecret,
    InFlight {
        since: SystemTime,
        connector: Arc<Connector>,
    },
}

/// The next step of a lane.
pub(super) enum Advance {
    Send(Request),
    Refresh(Arc<Connector>),
    /// Nothing to do before this time, or before another event.
    Wait(Option<SystemTime>),
}

/// What to do with a request whose waiting time may be over.
enum Turn {
    Send(Request),
    Wait(SystemTime),
    /// Every slot of the process is in use.
    NoSlot,
    Defer(Deferral),
    /// The request is in flight, or waits for the secret.
    Busy,
}

impl Lane {
    pub(super) fn new(work: Work, settings: &Settings, memory: &super::Memory, now: SystemTime) -> Self {
        let gate = match memory.admission(&work.connector, now) {
            Admission::Open => Gate::Open,
            Admission::Probe(deferral) => Gate::Probing(deferral),
            Admission::Blocked(deferral) => Gate::Closed(deferral),
        };
        Self {
            queue: BatchQueue::new(&work.objects, memory.max_keys(&work.connector, settings)),
            connector: work.connector,
            redelivered: work.redelivered.into_iter().collect(),
            requests: Vec::new(),
            secret: Secret::AsCached,
            gate,
            refused_alone: Vec::new(),
            done: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn has_in_flight(&self, id: RequestId) -> bool {
        self.requests.iter().any(|request| request.id == id && request.is_in_flight())
    }

    /// Returns the number of requests in flight, whose responses will not be reported.
    pub(super) fn abandon(&self) -> usize {
        self.requests.iter().filter(|request| request.is_in_flight()).count()
    }

    /// Decides what the lane does next. `share` is how many of its requests may be in progress.
    pub(super) fn advance(&mut self, share: usize, context: &mut Context<'_>) -> Advance {
        if self.done {
            return Advance::Wait(None);
        }
        if let Gate::Closed(deferral) = &self.gate {
            let deferral = deferral.clone();
            self.defer_everything(&deferral, context);
        }
        match std::mem::replace(&mut self.secret, Secret::Fresh) {
            Secret::Wanted(doubt) => {
                self.secret = Secret::Fetching(doubt);
                return Advance::Refresh(Arc::clone(&self.connector));
            }
            Secret::Fetching(doubt) => {
                self.secret = Secret::Fetching(doubt);
                return Advance::Wait(None);
            }
            settled => self.secret = settled,
        }
        let mut wake = None;
        let mut index = 0;
        let capacity = if matches!(self.gate, Gate::Probing(_)) { 1 } else { share };
        loop {
            if index == self.requests.len() && !self.start_another(capacity, context) {
                break;
            }
            match self.turn(index, context) {
                Turn::Send(request) => return Advance::Send(request),
                Turn::Defer(deferral) => {
                    let request = self.requests.swap_remove(index);
                    context.defer(request.batch.objects, &deferral);
                    continue;
                }
                Turn::Wait(until) => {
                    self.requests[index].state = State::Waiting(until);
                    wake = super::earlier(wake, Some(until));
                }
                Turn::NoSlot => wake = super::earlier(wake, Some(after_the_last_start(context))),
                Turn::Busy => {}
            }
            index += 1;
        }
        if self.requests.is_empty() && self.queue.is_empty() {
            self.finish(context);
        }
        Advance::Wait(wake)
    }

    /// Adds the queue's next request to those in progress, if another is allowed.
    fn start_another(&mut self, capacity: usize, context: &mut Context<'_>) -> bool {
        let under_way = self.requests.len();
        if under_way >= capacity || !self.queue.allows_another(under_way) {
            return false;
        }
        let Some(batch) = self.queue.pop() else { return false };
        let id = RequestId(context.shared.next_id);
        context.shared.next_id += 1;
        self.requests.push(Pending { id, batch, attempts: 0, began: None, state: State::Waiting(context.now) });
        true
    }

    /// Decides whether a request may start now.
    fn turn(&mut self, index: usize, context: &mut Context<'_>) -> Turn {
        let State::Waiting(until) = self.requests[index].state else { return Turn::Busy };
        let now = context.now;
        let latest = context.budget().latest_start();
        if now > latest || context.shared.stopped {
            return Turn::Defer(out_of_time(&self.connector));
        }
        if until > now {
            return Turn::Wait(until);
        }
        let key = &self.connector.api_key;
        let (opens, closed) = context.limiter(key).opens(now);
        if opens > latest {
            let not_before = match closed {
                Closed::RateLimited => opens,
                Closed::Paced => {
                    let ahead = context.shared.waiting.entry(key.clone()).or_default();
                    let place = *ahead;
                    *ahead += 1;
                    context.limiter(key).turn_of(place, now)
                }
            };
            return Turn::Defer(not_a_turn(&self.connector, closed, not_before));
        }
        if opens > now {
            return Turn::Wait(opens);
        }
        if context.memory.in_flight >= context.settings.max_concurrent_requests.get() {
            return Turn::NoSlot;
        }
        let Some(timeout) = context.budget().timeout_at(now) else {
            return Turn::Defer(out_of_time(&self.connector));
        };
        if !context.limiter(key).pass(now) {
            return Turn::Wait(context.limiter(key).opens(now).0);
        }
        if matches!(self.gate, Gate::Probing(_)) {
            context.memory.probes(&self.connector, now);
        }
        context.memory.in_flight += 1;
        context.shared.any_sent = true;
        let request = &mut self.requests[index];
        request.attempts += 1;
        request.state = State::InFlight { since: now, connector: Arc::clone(&self.connector) };
        Turn::Send(Request {
            id: request.id,
            connector: Arc::clone(&self.connector),
            objects: request.batch.objects.clone(),
            timeout,
            attempt: request.attempts,
            began: *request.began.get_or_insert(now),
        })
    }

    fn defer_everything(&mut self, deferral: &Deferral, context: &mut Context<'_>) {
        let (in_flight, rest): (Vec<_>, Vec<_>) = self.requests.drain(..).partition(Pending::is_in_flight);
        self.requests = in_flight;
        context.defer(rest.into_iter().flat_map(|request| request.batch.objects), deferral);
        context.defer(self.queue.drain(), deferral);
    }

    /// Settles the keys that were refused alone: a key that FlexOrch accepted shows that the requests have the right form.
    fn finish(&mut self, context: &mut Context<'_>) {
        let form_is_right = context.memory.has_accepted(&self.connector);
        for (object, error) in std::mem::take(&mut self.refused_alone) {
            let outcome = if form_is_right || is_about_the_file(&error) {
                Outcome::Rejected(rejection(&self.connector.secret_id, error))
            } else {
                let why = "FlexOrch has accepted nothing of this connector yet";
                Outcome::Deferred(refusal_deferral(&self.connector.secret_id, &error, why))
            };
            context.settle(object, outcome);
        }
        self.done = true;
    }
}

impl Pending {
    fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight { .. })
    }
}

/// Returns the time just after the latest start, at which a request without a slot is deferred.
fn after_the_last_start(context: &Context<'_>) -> SystemTime {
    context.budget().latest_start() + std::time::Duration::from_millis(1)
}
