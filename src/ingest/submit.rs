//! The driver of [`Session`]: sends the requests that it asks for, fetches secrets, waits, and records outcomes. The session
//! makes every decision.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use super::receipt::AnsweredRequest;
use super::session::{LaneId, Memory, Note, Now, Refreshed, Request, Session, Settings, Step, Work};
use super::stop::Stop;
use crate::aws::secrets::{Refresh, SecretCache};
use crate::clock::Clock;
use crate::flexorch::client::FlexOrchClient;
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Block, Response};
use crate::model::connector::Connector;
use crate::model::credentials::ApiKey;
use crate::model::job_id::JobId;
use crate::model::object::S3Object;
use crate::model::outcome::{Ledger, Outcome};
use crate::telemetry::metrics::Metrics;

/// The wait if the session names no time: longer than any invocation.
const NO_TIME: Duration = Duration::from_secs(3_600);

/// Submits objects, and keeps rate limits, blocks and learned sizes between invocations.
#[derive(Debug)]
pub struct Submitter {
    client: FlexOrchClient,
    secrets: Arc<SecretCache>,
    settings: Settings,
    clock: Clock,
    stop: Stop,
    memory: Mutex<Memory>,
    /// Notified if a request has ended, so that another session can use its slot.
    slot_freed: Notify,
}

/// The arguments of [`Submitter::submit`] that its parts share.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// All objects of the invocation; [`Work`] names them by their positions.
    pub objects: &'a [S3Object],
    /// Receives each object's outcome as soon as it is known.
    pub ledger: &'a Mutex<Ledger>,
    /// Receives the counts and durations of requests.
    pub metrics: &'a Metrics,
    /// Receives the requests that FlexOrch took, and those that it refused because of their only key, if they are wanted.
    pub answered: Option<&'a Mutex<Vec<AnsweredRequest>>>,
    /// When all requests must have ended.
    pub end: SystemTime,
}

/// The end of an action.
enum Event {
    Responded { request: Request, response: Response, took: Duration },
    Refreshed(LaneId, Refreshed),
}

/// An action that runs while the driver waits.
enum Action {
    Send(Request),
    Refresh(LaneId, Arc<Connector>),
}

impl Submitter {
    /// Creates a submitter with an empty memory.
    #[must_use]
    pub fn new(client: FlexOrchClient, secrets: Arc<SecretCache>, settings: Settings, clock: Clock) -> Self {
        Self {
            client,
            secrets,
            settings,
            clock,
            stop: Stop::default(),
            memory: Mutex::default(),
            slot_freed: Notify::new(),
        }
    }

    /// Submits the objects of every connector. No request is in flight after `submission.end`.
    pub async fn submit(&self, work: Vec<Work>, submission: Submission<'_>) {
        let session = Session::new(self.settings, work, submission.end, &self.memory(), self.clock.now());
        let mut running = Running { session, submitter: self };
        let mut under_way = FuturesUnordered::new();
        loop {
            // Registered before the session is asked, so that a slot that is freed in between is not missed.
            let mut slot_freed = std::pin::pin!(self.slot_freed.notified());
            slot_freed.as_mut().enable();
            if self.stop.is_asked() {
                running.session.stop();
            }
            let step = running.session.next(&mut self.memory(), self.clock.now());
            match step {
                Step::Done => return,
                Step::Settle(outcomes) => self.settle(outcomes, submission),
                Step::Note(note) => report(&note, submission.metrics),
                Step::Send(request) => under_way.push(self.carry_out(Action::Send(request), submission)),
                Step::Refresh(lane, connector) => {
                    under_way.push(self.carry_out(Action::Refresh(lane, connector), submission));
                }
                Step::Wait(until) => {
                    let until = until.unwrap_or_else(|| self.clock.now() + NO_TIME);
                    let event = tokio::select! {
                        Some(event) = under_way.next() => Some(event),
                        () = self.stop.sleep_until(&self.clock, until) => None,
                        () = slot_freed => None,
                    };
                    if let Some(event) = event {
                        self.feed(&mut running.session, event, submission);
                    }
                }
            }
        }
    }

    /// Stops sending: requests in flight end, and the rest is deferred.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Changes the rate of requests with an API key; `None` removes the limit.
    pub fn set_pace(&self, key: &ApiKey, per_minute: Option<NonZeroU32>) {
        self.memory().set_rate(key, per_minute, &self.settings);
    }

    async fn carry_out(&self, action: Action, submission: Submission<'_>) -> Event {
        match action {
            Action::Send(request) => {
                let keys: Vec<&str> =
                    request.objects.iter().map(|object| submission.objects[*object].key.as_str()).collect();
                submission.metrics.count_request(request.attempt > 1);
                let started = self.clock.now();
                let response = self.client.submit(&request.connector, &keys, request.timeout).await;
                let took = self.clock.now().duration_since(started).unwrap_or_default();
                Event::Responded { request, response, took }
            }
            Action::Refresh(lane, connector) => {
                let refreshed = match self.secrets.refresh(&connector, submission.end).await {
                    Refresh::Current(current) => Refreshed::Current(current),
                    Refresh::Failed(error) => Refreshed::Failed(error.to_string()),
                };
                Event::Refreshed(lane, refreshed)
            }
        }
    }

    fn feed(&self, session: &mut Session, event: Event, submission: Submission<'_>) {
        match event {
            Event::Refreshed(lane, refreshed) => {
                session.refreshed(lane, refreshed, &mut self.memory(), self.clock.now());
            }
            Event::Responded { request, response, took } => {
                let now = Now { time: self.clock.now(), random: fastrand::f64() };
                if was_received(&response) {
                    submission.metrics.record_latency(took);
                }
                let in_all = now.time.duration_since(request.began).unwrap_or_default();
                log_response(&request, &response, in_all, submission);
                if let Some(answered) = submission.answered {
                    let request = AnsweredRequest::new(&request, &response, now.time);
                    answered.lock().unwrap_or_else(PoisonError::into_inner).extend(request);
                }
                session.responded(request.id, response, &mut self.memory(), now);
                self.slot_freed.notify_waiters();
            }
        }
    }

    fn settle(&self, outcomes: Vec<(usize, Outcome)>, submission: Submission<'_>) {
        let now = self.clock.now();
        let mut ledger = submission.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for (object, outcome) in outcomes {
            if let (Outcome::Forwarded(_), Some(seen)) = (&outcome, submission.objects[object].happened_at()) {
                submission.metrics.record_lag(now.duration_since(seen.into()).unwrap_or_default());
            }
            ledger.settle(object, outcome);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that releases its slots if its driver is dropped before the end.
struct Running<'a> {
    session: Session,
    submitter: &'a Submitter,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.session.abandon(&mut self.submitter.memory());
        self.submitter.slot_freed.notify_waiters();
    }
}

fn report(note: &Note, metrics: &Metrics) {
    match note {
        Note::AuthFailure => metrics.count_auth_failure(),
        Note::SmallerRequests { connector, keys } => {
            tracing::info!(connector = &**connector, keys, "requests are limited to this many keys from now on");
        }
    }
}

/// Whether FlexOrch, or a proxy in front of it, responded at all.
fn was_received(response: &Response) -> bool {
    !matches!(response, Response::Transient { error: ApiError { status: 0, .. }, .. })
}

fn log_response(request: &Request, response: &Response, took: Duration, submission: Submission<'_>) {
    match response {
        Response::Accepted(result) => log_accepted(request, result, took, submission.objects),
        Response::Refused(error) => tracing::info!(
            connector = &*request.connector.secret_id,
            keys = request.objects.len(),
            attempts = request.attempt,
            status = error.status,
            code = error.code.as_deref(),
            "FlexOrch refused a request as a whole"
        ),
        Response::Transient { rate_limited: true, .. } => submission.metrics.count_rate_limited(),
        Response::Blocked { block: Block::Quota, .. } => submission.metrics.count_quota_exceeded(),
        _ => {}
    }
}

fn log_accepted(request: &Request, result: &SubmissionResult, took: Duration, objects: &[S3Object]) {
    let connector = &request.connector;
    if let Some(note) = &result.note {
        tracing::warn!(
            connector = &*connector.secret_id,
            keys = request.objects.len(),
            response = note.as_str(),
            "unexpected response"
        );
    }
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let jobs = Jobs { request, result, objects };
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        connector = &*connector.secret_id,
        connector_id = %connector.id,
        keys = request.objects.len(),
        taken = jobs.iter().count(),
        jobs = serde_json::to_string(&jobs).unwrap_or_default().as_str(),
        attempts = request.attempt,
        milliseconds = millis,
        "submitted"
    );
}

/// The keys that were accepted, with their jobs.
struct Jobs<'a> {
    request: &'a Request,
    result: &'a SubmissionResult,
    objects: &'a [S3Object],
}

impl<'a> Jobs<'a> {
    fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let objects = self.objects;
        let keys = self.request.objects.iter().map(move |object| objects[*object].key.as_str());
        keys.zip(&self.result.per_key).filter_map(|(key, result)| match result {
            KeyResult::Accepted { job_id, .. } => Some((key, job_id.as_ref().map(JobId::as_str))),
            _ => None,
        })
    }
}

impl Serialize for Jobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
