//! Requests → outcomes: attempts, waiting, halving, side by side and each connector on its own.
//!
//! Each connector of an invocation has a lane: a line of requests of which a few are under way at once. What one lane meets does
//! not stop another; they share the process's allowance of requests, fairly.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::{Serialize, Serializer};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::batch::{AfterRefusal, Batch, BatchQueue};
use super::lane::{Invocation, Lane, class_of, deferral, is_the_files_own, lock, out_of_time, refusal_deferral};
use super::rate::{Closed, RateLimiter};
use super::retry::{Budget, NextStep, RetryPolicy, backoff};
use super::stop::Stop;
use crate::aws::secrets::{Refresh, SecretCache};
use crate::clock::Clock;
use crate::flexorch::client::FlexOrchClient;
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Response};
use crate::model::connector::Connector;
use crate::model::credentials::ApiKey;
use crate::model::object::S3Object;
use crate::model::outcome::{DeferClass, Deferral, Ledger, Outcome, Rejection};
use crate::telemetry::metrics::Metrics;

/// How requests are made; each from the setting of the same name.
#[derive(Debug, Clone, Copy)]
pub struct SubmitSettings {
    /// `MAX_KEYS_PER_REQUEST`.
    pub max_keys_per_request: NonZeroUsize,
    /// `MAX_CONCURRENT_REQUESTS`.
    pub max_concurrent_requests: NonZeroUsize,
    /// `REQUESTS_PER_MINUTE`.
    pub requests_per_minute: Option<NonZeroU32>,
    /// `MAX_ATTEMPTS`.
    pub max_attempts: NonZeroU32,
    /// `REQUEST_TIMEOUT_MS`.
    pub request_timeout: Duration,
}

/// One connector's objects, by their positions in the invocation.
#[derive(Debug)]
pub struct Work {
    /// Where they go.
    pub connector: Arc<Connector>,
    /// The objects.
    pub objects: Vec<usize>,
}

/// Submits objects, and remembers between invocations what it learned: rate limits, sizes, and whether FlexOrch takes anything.
#[derive(Debug)]
pub struct Submitter {
    client: FlexOrchClient,
    secrets: Arc<SecretCache>,
    settings: SubmitSettings,
    clock: Clock,
    permits: Semaphore,
    stop: Stop,
    limiters: Mutex<HashMap<ApiKey, RateLimiter>>,
    learned: Mutex<HashMap<Arc<str>, Learned>>,
    /// How long an answered request usually takes.
    usual: Mutex<Duration>,
}

/// What a process knows of a connector.
#[derive(Debug, Clone, Copy)]
struct Learned {
    /// FlexOrch has taken a key of it, so its requests have the right form.
    taken: bool,
    /// FlexOrch has refused larger requests for nothing but their size.
    most_keys: NonZeroUsize,
}

/// How a request ended.
enum Sent {
    Taken(SubmissionResult),
    Refused(ApiError),
    Deferred(Deferral),
}

impl Submitter {
    /// A submitter that has learned nothing yet.
    #[must_use]
    pub fn new(client: FlexOrchClient, secrets: Arc<SecretCache>, settings: SubmitSettings, clock: Clock) -> Self {
        Self {
            client,
            secrets,
            settings,
            clock,
            permits: Semaphore::new(settings.max_concurrent_requests.get()),
            stop: Stop::default(),
            limiters: Mutex::default(),
            learned: Mutex::default(),
            usual: Mutex::default(),
        }
    }

    /// Submits the objects of every connector, each object's outcome going into the ledger as it is known. No request is under
    /// way after `end`.
    pub async fn submit(
        &self,
        work: Vec<Work>,
        objects: &[S3Object],
        ledger: &Mutex<Ledger>,
        metrics: &Metrics,
        end: SystemTime,
    ) {
        let invocation = Invocation {
            objects,
            ledger,
            metrics,
            end,
            active_lanes: AtomicUsize::new(work.len()),
            any_sent: AtomicBool::new(false),
            waiting: Mutex::default(),
        };
        join_all(work.into_iter().map(|work| async {
            self.run_lane(work, &invocation).await;
            invocation.active_lanes.fetch_sub(1, Ordering::Relaxed);
        }))
        .await;
    }

    /// Lets the requests that are under way end, and sends no other one: the rest is deferred.
    #[cfg(feature = "cli")]
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Changes how many requests a minute go out with a key.
    #[cfg(feature = "cli")]
    pub fn set_pace(&self, key: &ApiKey, per_minute: Option<NonZeroU32>) {
        self.limiter(key, |limiter| limiter.set_rate(per_minute, self.burst()));
    }

    async fn run_lane(&self, work: Work, invocation: &Invocation<'_>) {
        let secret_id = Arc::clone(&work.connector.secret_id);
        let lane = Lane {
            connector: Mutex::new(work.connector),
            refreshed: tokio::sync::Mutex::new(false),
            blocked: Mutex::new(None),
        };
        let most_keys = self.learned(&secret_id).most_keys;
        let mut queue = BatchQueue::new(&work.objects, most_keys);
        let mut under_way = FuturesUnordered::new();
        let mut alone: Vec<(usize, ApiError)> = Vec::new();
        loop {
            while under_way.len() < self.share(invocation)
                && queue.allows_another(under_way.len())
                && lane.blocked().is_none()
            {
                let Some(batch) = queue.pop() else { break };
                under_way.push(self.send(&lane, batch, invocation));
            }
            let Some((batch, sent)) = under_way.next().await else { break };
            match sent {
                Sent::Taken(account) => {
                    let smaller = queue.taken(&batch);
                    self.learn(&secret_id, &account, smaller);
                    let unclear = invocation.settle_taken(&secret_id, &batch, account, self.clock.now());
                    queue.push_alone(unclear);
                }
                Sent::Deferred(deferral) => invocation.defer(&batch.objects, &deferral),
                Sent::Refused(error) => {
                    if let AfterRefusal::Alone(object) = queue.refused(batch) {
                        alone.push((object, error.clone()));
                    }
                    if queue.is_hopeless() {
                        lane.block(refusal_deferral(&secret_id, &error, "FlexOrch refuses every request"));
                    }
                }
            }
        }
        if let Some(deferral) = lane.blocked() {
            invocation.defer(&queue.drain(), &deferral);
        }
        // Decided last: a key that FlexOrch took after them shows that it is not the form of the requests.
        let form_is_right = self.learned(&secret_id).taken;
        for (object, error) in alone {
            let outcome = if form_is_right || is_the_files_own(&error) {
                Outcome::Rejected(Rejection {
                    connector: Some(Arc::clone(&secret_id)),
                    code: error.code.clone().unwrap_or_else(|| format!("HTTP_{}", error.status)),
                    message: error.message,
                })
            } else {
                Outcome::Deferred(refusal_deferral(
                    &secret_id,
                    &error,
                    "FlexOrch has taken nothing of this connector yet",
                ))
            };
            invocation.ledger().settle(object, outcome);
        }
    }

    /// How many requests of one lane may be under way: an even share while there are several, so that none takes all.
    fn share(&self, invocation: &Invocation<'_>) -> usize {
        let lanes = invocation.active_lanes.load(Ordering::Relaxed).max(1);
        self.settings.max_concurrent_requests.get().div_ceil(lanes)
    }

    async fn send(&self, lane: &Lane, batch: Batch, invocation: &Invocation<'_>) -> (Batch, Sent) {
        let keys: Vec<&str> = batch.objects.iter().map(|object| invocation.objects[*object].key.as_str()).collect();
        let sent = self.attempt(lane, &keys, invocation).await;
        (batch, sent)
    }

    async fn attempt(&self, lane: &Lane, keys: &[&str], invocation: &Invocation<'_>) -> Sent {
        let began = self.clock.now();
        let mut attempts = 0;
        loop {
            let permit = match self.turn(lane, invocation).await {
                Ok(permit) => permit,
                Err(deferral) => return Sent::Deferred(deferral),
            };
            let connector = lane.connector();
            let started = self.clock.now();
            let Some(timeout) = self.budget(invocation).timeout_at(started) else {
                return Sent::Deferred(out_of_time(&connector));
            };
            attempts += 1;
            invocation.any_sent.store(true, Ordering::Relaxed);
            invocation.metrics.count_request(attempts > 1);
            let reply = self.client.submit(&connector.api_key, &connector.id, keys, timeout).await;
            drop(permit);
            let now = self.clock.now();
            let took = now.duration_since(started).unwrap_or_default();
            if was_answered(&reply) {
                invocation.metrics.record_latency(took);
                self.learn_usual(took);
            }
            match reply {
                Response::Accepted(account) => {
                    let whole = now.duration_since(began).unwrap_or_default();
                    log_taken(&connector, keys, &account, attempts, whole);
                    return Sent::Taken(account);
                }
                Response::Refused(error) => {
                    tracing::info!(
                        connector = &*connector.secret_id,
                        keys = keys.len(),
                        attempts,
                        status = error.status,
                        code = error.code.as_deref(),
                        "FlexOrch refused a request as a whole"
                    );
                    return Sent::Refused(error);
                }
                Response::Unauthorized(error) => {
                    invocation.metrics.count_auth_failure();
                    if let Err(deferral) = self.renew_key(lane, &connector, &error, invocation).await {
                        lane.block(deferral.clone());
                        return Sent::Deferred(deferral);
                    }
                }
                Response::Blocked { block, error, retry_at } => {
                    let deferral = deferral(class_of(block), &connector, &error, retry_at);
                    lane.block(deferral.clone());
                    return Sent::Deferred(deferral);
                }
                Response::Transient { error, rate_limited, retry_at } => {
                    let class = if rate_limited { DeferClass::RateLimited } else { DeferClass::Unavailable };
                    let policy = RetryPolicy { max_attempts: self.settings.max_attempts };
                    let latest = self.budget(invocation).latest_start();
                    let step = policy.after_failure(attempts, retry_at, now, latest, fastrand::f64());
                    if rate_limited {
                        invocation.metrics.count_rate_limited();
                        let untold = match step {
                            NextStep::RetryAt(time) => time,
                            NextStep::GiveUp { .. } => now + backoff(attempts, 1.0),
                        };
                        self.limiter(&connector.api_key, |limiter| limiter.close(retry_at.unwrap_or(untold)));
                    }
                    match step {
                        NextStep::RetryAt(time) => self.stop.sleep_until(&self.clock, time).await,
                        NextStep::GiveUp { not_before } => {
                            let attempts_exhausted = attempts >= self.settings.max_attempts.get();
                            let deferral = deferral(class, &connector, &error, not_before);
                            return Sent::Deferred(Deferral { attempts_exhausted, ..deferral });
                        }
                    }
                }
            }
        }
    }

    /// Waits until a request may start: the key's limiter is open and the process has an allowance free. Nothing is held while
    /// waiting for the limiter, so that a lane that waits does not hold up another.
    async fn turn(&self, lane: &Lane, invocation: &Invocation<'_>) -> Result<SemaphorePermit<'_>, Deferral> {
        loop {
            if let Some(deferral) = lane.blocked() {
                return Err(deferral);
            }
            let connector = lane.connector();
            let (now, latest) = (self.clock.now(), self.budget(invocation).latest_start());
            if now > latest || self.stop.is_asked() {
                return Err(out_of_time(&connector));
            }
            let (opens, closed) = self.limiter(&connector.api_key, |limiter| limiter.opens(now));
            if opens > latest {
                return Err(self.wait_for_a_later_invocation(&connector, closed, opens, invocation));
            }
            self.stop.sleep_until(&self.clock, opens).await;
            let permit = match tokio::time::timeout(self.clock.until(latest), self.permits.acquire()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => return Err(out_of_time(&connector)),
            };
            if lane.blocked().is_none()
                && !self.stop.is_asked()
                && self.limiter(&connector.api_key, |limiter| limiter.pass(self.clock.now()))
            {
                return Ok(permit);
            }
        }
    }

    fn wait_for_a_later_invocation(
        &self,
        connector: &Connector,
        closed: Closed,
        opens: SystemTime,
        invocation: &Invocation<'_>,
    ) -> Deferral {
        let (class, not_before, detail) = match closed {
            Closed::RateLimited => (DeferClass::RateLimited, opens, "FlexOrch's rate limit, as it answered before"),
            Closed::Paced => {
                let mut waiting = lock(&invocation.waiting);
                let ahead = waiting.entry(connector.api_key.clone()).or_default();
                let turn = self.limiter(&connector.api_key, |limiter| limiter.turn_of(*ahead, self.clock.now()));
                *ahead += 1;
                (DeferClass::Paced, turn, "REQUESTS_PER_MINUTE allows no request before the deadline")
            }
        };
        Deferral {
            class,
            detail: detail.into(),
            code: None,
            connector: Some(Arc::clone(&connector.secret_id)),
            not_before: Some(not_before),
            attempts_exhausted: false,
        }
    }

    /// FlexOrch refused the key: takes a fresh secret, once, and answers whether there is another key to try with.
    async fn renew_key(
        &self,
        lane: &Lane,
        used: &Connector,
        error: &ApiError,
        invocation: &Invocation<'_>,
    ) -> Result<(), Deferral> {
        let mut refreshed = lane.refreshed.lock().await;
        if lane.connector().api_key != used.api_key {
            // Another request of this lane has renewed it meanwhile.
            return Ok(());
        }
        let refused = deferral(DeferClass::BadCredentials, used, error, None);
        if std::mem::replace(&mut *refreshed, true) {
            return Err(refused);
        }
        match self.secrets.refresh(used, invocation.end).await {
            Refresh::Current(current) if !current.is_same_connector(used) => Err(Deferral {
                detail: format!("{error}; the secret now describes another connector").into(),
                ..refused
            }),
            Refresh::Current(current) if current.api_key == used.api_key => Err(refused),
            Refresh::Current(current) => {
                *lock(&lane.connector) = current;
                Ok(())
            }
            Refresh::Failed(reason) => Err(Deferral {
                detail: format!("{error}; and the secret cannot be fetched afresh: {reason}").into(),
                ..refused
            }),
        }
    }

    fn budget(&self, invocation: &Invocation<'_>) -> Budget {
        // What was learned must not keep every request from being tried.
        let usual = if invocation.any_sent.load(Ordering::Relaxed) { *lock(&self.usual) } else { Duration::ZERO };
        Budget { end: invocation.end, request_timeout: self.settings.request_timeout, usual }
    }

    fn learn_usual(&self, took: Duration) {
        let mut usual = lock(&self.usual);
        *usual = if took >= *usual { took } else { (*usual * 3 + took) / 4 };
    }

    fn limiter<T>(&self, key: &ApiKey, act: impl FnOnce(&mut RateLimiter) -> T) -> T {
        let mut limiters = lock(&self.limiters);
        act(limiters
            .entry(key.clone())
            .or_insert_with(|| RateLimiter::new(self.settings.requests_per_minute, self.burst())))
    }

    fn burst(&self) -> u32 {
        u32::try_from(self.settings.max_concurrent_requests.get()).unwrap_or(u32::MAX)
    }

    fn learned(&self, secret_id: &Arc<str>) -> Learned {
        let nothing = Learned { taken: false, most_keys: self.settings.max_keys_per_request };
        lock(&self.learned).get(secret_id).copied().unwrap_or(nothing)
    }

    fn learn(&self, secret_id: &Arc<str>, account: &SubmissionResult, smaller: Option<NonZeroUsize>) {
        let mut known = self.learned(secret_id);
        known.taken |= account.per_key.iter().any(|fate| matches!(fate, KeyResult::Accepted { .. }));
        if let Some(smaller) = smaller {
            tracing::info!(connector = &**secret_id, keys = smaller, "requests are kept this small from now on");
            known.most_keys = known.most_keys.min(smaller);
        }
        lock(&self.learned).insert(Arc::clone(secret_id), known);
    }
}

fn log_taken(connector: &Connector, keys: &[&str], account: &SubmissionResult, attempts: u32, took: Duration) {
    if let Some(note) = &account.note {
        tracing::warn!(
            connector = &*connector.secret_id,
            keys = keys.len(),
            answer = note.as_str(),
            "unexpected answer"
        );
    }
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let jobs = Jobs { keys, account };
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        connector = &*connector.secret_id,
        connector_id = connector.id.to_string().as_str(),
        keys = keys.len(),
        taken = jobs.iter().count(),
        jobs = serde_json::to_string(&jobs).unwrap_or_default().as_str(),
        attempts,
        milliseconds = millis,
        "submitted"
    );
}

/// The keys that were taken, with their jobs.
struct Jobs<'a> {
    keys: &'a [&'a str],
    account: &'a SubmissionResult,
}

impl<'a> Jobs<'a> {
    fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.keys.iter().zip(&self.account.per_key).filter_map(|(key, fate)| match fate {
            KeyResult::Accepted { job_id, .. } => Some((*key, job_id.as_deref())),
            _ => None,
        })
    }
}

impl Serialize for Jobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

fn was_answered(reply: &Response) -> bool {
    !matches!(reply, Response::Transient { error: ApiError { status: 0, .. }, .. })
}
