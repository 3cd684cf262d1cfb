//! One connector's requests in one invocation: what is sent next, and what a response leads to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::memory::Admission;
use super::outcomes::{
    PerKey, block_class, deferral, is_the_files_own, not_a_turn, out_of_time, paused_deferral, per_key_outcome,
    refusal_deferral, rejection,
};
use super::{Context, Note, Refreshed, Request, RequestId, Settings, Work};
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Block, Response};
use crate::ingest::batch::{AfterRefusal, Batch, BatchQueue};
use crate::ingest::rate::Closed;
use crate::ingest::retry::{NextStep, RetryPolicy, backoff};
use crate::model::connector::Connector;
use crate::model::outcome::{DeferClass, Deferral, Outcome};

/// One connector's objects on their way.
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
    /// One request finds out whether an earlier block has been lifted; if it has not, this is the deferral of the rest.
    Probing(Deferral),
    /// Nothing more is sent in this invocation; this is the deferral of what is left.
    Closed(Deferral),
}

/// Whether the connector's secret was fetched afresh in this invocation, which happens once at most.
#[derive(Debug)]
enum Secret {
    AsCached,
    Wanted(Doubt),
    Fetching(Doubt),
    Fresh,
}

/// Why a secret is fetched afresh.
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
    /// When it was sent for the first time.
    began: Option<SystemTime>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waits for its turn: not before this time.
    Waiting(SystemTime),
    /// Waits for a fresh secret.
    NeedsSecret,
    InFlight {
        since: SystemTime,
        connector: Arc<Connector>,
    },
}

/// What a lane does next.
pub(super) enum Advance {
    Send(Request),
    Refresh(Arc<Connector>),
    /// Nothing before this time, or before something else happens.
    Wait(Option<SystemTime>),
}

/// What becomes possible for a request whose turn may have come.
enum Turn {
    Send(Request),
    Wait(SystemTime),
    /// Every slot of the process is taken.
    NoSlot,
    Defer(Deferral),
    /// It is in flight, or waits for a secret.
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

    /// Forgets the requests in flight and returns their number.
    pub(super) fn abandon(&self) -> usize {
        self.requests.iter().filter(|request| request.is_in_flight()).count()
    }

    /// Decides what the lane does next. `share` is how many of its requests may be under way.
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

    /// Adds the queue's next request to those under way, if another may be.
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

    /// Takes a response. `random` is in `0.0..1.0`.
    pub(super) fn responded(&mut self, id: RequestId, response: Response, random: f64, context: &mut Context<'_>) {
        let Some(index) = self.requests.iter().position(|request| request.id == id) else { return };
        let mut request = self.requests.swap_remove(index);
        let State::InFlight { since, connector: used } = request.state else { return };
        request.state = State::Waiting(context.now);
        if was_received(&response) {
            context.memory.learn_usual(context.now.duration_since(since).unwrap_or_default());
        }
        if was_received(&response) && !matches!(response, Response::Transient { rate_limited: true, .. }) {
            context.limiter(&used.api_key).was_admitted();
        }
        if let (Gate::Closed(deferral), Response::Unauthorized(_) | Response::Blocked { .. }) = (&self.gate, &response)
        {
            // The lane has found out already, by another request.
            context.defer(request.batch.objects, deferral);
            return;
        }
        match response {
            Response::Accepted(result) => self.accepted(&request.batch, &used, result, context),
            Response::Refused(error) => self.refused(request.batch, &used, error, context),
            Response::Unauthorized(error) => self.unauthorized(request, &used, error, context),
            Response::Blocked { block, error, retry_at } => {
                let deferral = deferral(block_class(block), &used, &error, retry_at);
                self.blocked(request, &used, block, deferral, context);
            }
            Response::Transient { error, rate_limited, retry_at } => {
                let failure = Failure { error, rate_limited, retry_at, random };
                self.failed(request, &used, failure, context);
            }
        }
    }

    fn accepted(&mut self, batch: &Batch, used: &Connector, result: SubmissionResult, context: &mut Context<'_>) {
        self.lift_block(used, context);
        if result.per_key.iter().any(|result| matches!(result, KeyResult::Accepted { .. })) {
            context.memory.accepted(used);
        }
        if let Some(keys) = self.queue.accepted(batch) {
            context.memory.keep_below(used, keys);
            context.shared.notes.push(Note::SmallerRequests { connector: Arc::clone(&used.secret_id), keys });
        }
        let alone = batch.objects.len() == 1;
        let mut unclear = Vec::new();
        for (object, result) in batch.objects.iter().copied().zip(result.per_key) {
            match per_key_outcome(&used.secret_id, result, alone) {
                PerKey::Settled(outcome) => context.settle(object, outcome),
                PerKey::AskAlone => unclear.push(object),
            }
        }
        self.queue.push_alone(unclear);
    }

    /// FlexOrch refused the request as a whole: 400, 413, 415, 422.
    fn refused(&mut self, batch: Batch, used: &Connector, error: ApiError, context: &mut Context<'_>) {
        self.lift_block(used, context);
        // A refusal says that the request itself may be wrong, unless it is about a file or other requests have been accepted.
        let counts = !is_the_files_own(&error) && !context.memory.has_accepted(used);
        if let AfterRefusal::Alone(object) = self.queue.refused(batch, counts) {
            self.refused_alone.push((object, error.clone()));
        }
        if self.queue.is_hopeless() {
            self.close(refusal_deferral(&used.secret_id, &error, "FlexOrch refuses every request"));
        }
    }

    fn unauthorized(&mut self, request: Pending, used: &Connector, error: ApiError, context: &mut Context<'_>) {
        if used.api_key != self.connector.api_key {
            // Another request of this lane has led to a fresh key meanwhile.
            self.requests.push(request);
            return;
        }
        match self.secret {
            Secret::AsCached => self.secret = Secret::Wanted(Doubt::ApiKey(error)),
            Secret::Wanted(_) | Secret::Fetching(_) => {}
            Secret::Fresh => {
                context.shared.notes.push(Note::AuthFailure);
                let refused = deferral(DeferClass::BadCredentials, used, &error, None);
                context.defer(request.batch.objects, &refused);
                self.block(used, refused, context);
                return;
            }
        }
        self.requests.push(Pending { state: State::NeedsSecret, ..request });
    }

    fn blocked(
        &mut self,
        request: Pending,
        used: &Connector,
        block: Block,
        deferral: Deferral,
        context: &mut Context<'_>,
    ) {
        if block == Block::ConnectorNotFound {
            if used.api_key != self.connector.api_key {
                self.requests.push(request);
                return;
            }
            if !matches!(self.secret, Secret::Fresh) {
                if matches!(self.secret, Secret::AsCached) {
                    self.secret = Secret::Wanted(Doubt::Connector(deferral));
                }
                self.requests.push(Pending { state: State::NeedsSecret, ..request });
                return;
            }
        }
        context.defer(request.batch.objects, &deferral);
        self.block(used, deferral, context);
    }

    /// Decides what follows a failure that may pass.
    fn failed(&mut self, request: Pending, used: &Connector, failure: Failure, context: &mut Context<'_>) {
        let Failure { error, rate_limited, retry_at, random } = failure;
        let now = context.now;
        let is_last_try =
            matches!(self.gate, Gate::Probing(_)) || request.batch.is_half_of_failed() || self.queue.is_failing();
        let max_attempts = if is_last_try { std::num::NonZeroU32::MIN } else { context.settings.max_attempts };
        let latest = context.budget().latest_start();
        let step = RetryPolicy { max_attempts }.after_failure(request.attempts, retry_at, now, latest, random);
        if rate_limited {
            let unnamed = match step {
                NextStep::RetryAt(time) => time,
                NextStep::GiveUp { .. } => now + backoff(request.attempts, 1.0),
            };
            context.limiter(&used.api_key).close(retry_at.unwrap_or(unnamed), now);
        }
        let exhausted = request.attempts >= max_attempts.get();
        let not_before = match step {
            NextStep::RetryAt(time) => {
                self.requests.push(Pending { state: State::Waiting(time), ..request });
                return;
            }
            NextStep::GiveUp { not_before } => not_before,
        };
        if let Gate::Probing(earlier) = &self.gate {
            // Nothing shows that the block is lifted, and one probe a minute is all.
            self.gate = Gate::Closed(earlier.clone());
        }
        let class = if rate_limited { DeferClass::RateLimited } else { DeferClass::Unavailable };
        let deferral = Deferral { attempts_exhausted: exhausted, ..deferral(class, used, &error, not_before) };
        let one_key_may_be_the_cause = error.status == 500
            && exhausted
            && !matches!(self.gate, Gate::Closed(_))
            && (context.memory.has_accepted(used)
                || request.batch.is_half_of_failed()
                || request.batch.objects.iter().any(|object| self.redelivered.contains(object)));
        if !one_key_may_be_the_cause {
            context.defer(request.batch.objects, &deferral);
            return;
        }
        if let AfterRefusal::Alone(object) = self.queue.failed(request.batch) {
            context.defer([object], &deferral);
        }
        if self.queue.is_hopeless() {
            self.close(deferral);
        }
    }

    /// Takes what the secret describes now.
    pub(super) fn refreshed(&mut self, refreshed: Refreshed, context: &mut Context<'_>) {
        let doubt = match std::mem::replace(&mut self.secret, Secret::Fresh) {
            Secret::Fetching(doubt) => doubt,
            other => {
                self.secret = other;
                return;
            }
        };
        let used = Arc::clone(&self.connector);
        let seen = match &doubt {
            Doubt::ApiKey(error) => deferral(DeferClass::BadCredentials, &used, error, None),
            Doubt::Connector(deferral) => deferral.clone(),
        };
        match refreshed {
            Refreshed::Failed(reason) => {
                let detail = format!("{}; and a fresh secret cannot be read: {reason}", seen.detail);
                self.close(Deferral { detail: detail.into(), ..seen });
            }
            Refreshed::Current(fresh) if !fresh.is_same_connector(&used) => self.close(Deferral {
                class: DeferClass::ConnectorChanged,
                detail: "the secret describes another connector now; the object is routed anew".into(),
                code: None,
                connector: Some(Arc::clone(&used.secret_id)),
                not_before: None,
                attempts_exhausted: false,
            }),
            Refreshed::Current(fresh) if fresh.paused.is_some() => self.close(paused_deferral(&fresh)),
            Refreshed::Current(fresh) if fresh.api_key != used.api_key => {
                self.connector = fresh;
                for request in &mut self.requests {
                    if matches!(request.state, State::NeedsSecret) {
                        request.state = State::Waiting(context.now);
                    }
                }
            }
            Refreshed::Current(_) => {
                if matches!(doubt, Doubt::ApiKey(_)) {
                    context.shared.notes.push(Note::AuthFailure);
                }
                self.block(&used, seen, context);
            }
        }
    }

    /// Sends nothing more in this invocation, and in later ones a probe a minute.
    fn block(&mut self, used: &Connector, deferral: Deferral, context: &mut Context<'_>) {
        context.memory.block(used, &deferral, context.now);
        self.close(deferral);
    }

    /// Sends nothing more in this invocation. The first reason stands.
    fn close(&mut self, deferral: Deferral) {
        if !matches!(self.gate, Gate::Closed(_)) {
            self.gate = Gate::Closed(deferral);
        }
    }

    fn lift_block(&mut self, used: &Connector, context: &mut Context<'_>) {
        if matches!(self.gate, Gate::Probing(_)) {
            self.gate = Gate::Open;
            context.memory.unblock(used);
        }
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
            let outcome = if form_is_right || is_the_files_own(&error) {
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

/// A failure that may pass.
struct Failure {
    error: ApiError,
    rate_limited: bool,
    retry_at: Option<SystemTime>,
    random: f64,
}

/// Shortly after no request can start any more: a request without a slot is deferred then.
fn after_the_last_start(context: &Context<'_>) -> SystemTime {
    context.budget().latest_start() + std::time::Duration::from_millis(1)
}

/// Whether FlexOrch, or something in front of it, responded at all.
fn was_received(response: &Response) -> bool {
    !matches!(response, Response::Transient { error: ApiError { status: 0, .. }, .. })
}
