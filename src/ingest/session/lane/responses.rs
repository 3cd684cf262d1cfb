//! What a lane does after a response, or after its secret has been fetched again.
//!
//! After a 429, [`Lane::failed`] pauses the API key's [`RateLimiter`](crate::ingest::rate::RateLimiter) until the time that FlexOrch
//! named, and retries or defers the request.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::outcomes::{
    PerKey, block_class, deferral, is_about_the_file, paused_deferral, per_key_outcome, refusal_deferral,
};
use super::super::{Context, Note, Refreshed, RequestId};
use super::{Doubt, Gate, Lane, Pending, Secret, State};
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Block, Response};
use crate::ingest::batch::{AfterRefusal, Batch};
use crate::ingest::retry::{NextStep, RetryPolicy, backoff};
use crate::model::connector::Connector;
use crate::model::outcome::{DeferClass, Deferral};

/// A failure that may be temporary.
struct Failure {
    error: ApiError,
    rate_limited: bool,
    retry_at: Option<SystemTime>,
    random: f64,
}

impl Lane {
    /// Processes a response. `random` is in `0.0..1.0`.
    pub(in crate::ingest::session) fn responded(
        &mut self,
        id: RequestId,
        response: Response,
        random: f64,
        context: &mut Context<'_>,
    ) {
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
            // Another request of this lane has led to the same result already.
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
                PerKey::SubmitAlone => unclear.push(object),
            }
        }
        self.queue.push_alone(unclear);
    }

    /// FlexOrch refused the request as a whole: 400, 413, 415, 422.
    fn refused(&mut self, batch: Batch, used: &Connector, error: ApiError, context: &mut Context<'_>) {
        self.lift_block(used, context);
        // A refusal says that the request itself may be wrong, unless it is about a file or other requests have been accepted.
        let counts = !is_about_the_file(&error) && !context.memory.has_accepted(used);
        if let AfterRefusal::Alone(object) = self.queue.refused(batch, counts) {
            self.refused_alone.push((object, error.clone()));
        }
        if self.queue.is_hopeless() {
            self.close(refusal_deferral(&used.secret_id, &error, "FlexOrch refuses every request"));
        }
    }

    fn unauthorized(&mut self, request: Pending, used: &Connector, error: ApiError, context: &mut Context<'_>) {
        if used.api_key != self.connector.api_key {
            // Another request of this lane has led to a new key in the meantime.
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

    /// Decides what to do after a failure that may be temporary: retry the request, halve it, or defer its objects.
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
            // The probe did not show that the block is lifted, and only one probe a minute is allowed.
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

    /// Processes the result of fetching the secret again.
    pub(in crate::ingest::session) fn refreshed(&mut self, refreshed: Refreshed, context: &mut Context<'_>) {
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
                let detail = format!("{}; the secret cannot be fetched again: {reason}", seen.detail);
                self.close(Deferral { detail: detail.into(), ..seen });
            }
            Refreshed::Current(fresh) if !fresh.is_same_connector(&used) => self.close(Deferral {
                class: DeferClass::ConnectorChanged,
                detail: "the secret describes another connector now; the object is routed again".into(),
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

    /// Stops sending in this invocation; later ones send one probe a minute.
    fn block(&mut self, used: &Connector, deferral: Deferral, context: &mut Context<'_>) {
        context.memory.block(used, &deferral, context.now);
        self.close(deferral);
    }

    /// Stops sending in this invocation. The first reason is kept.
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
}

/// Whether FlexOrch, or a proxy in front of it, responded at all.
fn was_received(response: &Response) -> bool {
    !matches!(response, Response::Transient { error: ApiError { status: 0, .. }, .. })
}
