//! A sweep: publishes what is not published, asks FlexOrch for the jobs that stay open and for those that failed for an unknown
//! reason, and gives up what is too old.
//!
//! | file | what it decides or does |
//! | --- | --- |
//! | `candidates` | pure: which jobs are asked for, and in which order |
//! | `lane` | pure: the requests with one API key, as a state machine |
//! | `paging` | pure: which pages of FlexOrch's list are worth a request, and where the next sweep goes on |
//! | `publish` | publishes what is recorded and not published |
//! | `explain` | asks for one failed job while its webhook waits |
//!
//! How far a sweep got is in the table (`asked_at`, and the page of each list), so that the next one goes on there, in whatever
//! process.

mod candidates;
mod explain;
mod lane;
mod paging;
mod publish;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::aws::secrets::{Refresh, SecretCache};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::flexorch::response::ApiError;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::ingest::rate::RateLimiter;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ApiKey;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Serialize;

use self::candidates::{Candidates, Rules, Urgency, Verdict};
use self::lane::{Finding, Lane, LaneJobs, Step, Stop};
use self::paging::FIRST_PAGE;
use crate::apply::{ApplyError, CONCURRENT_RECORDS, Recorder, Run};
use crate::config::Config;
use crate::item::Stored;
use crate::jobs::{JobsClient, JobsRequest, JobsResponse, PAGE_SIZE};
use crate::metrics::AfterSweep;
use crate::record::RecordKey;
use crate::schema::State;
use crate::table::{Filter, StateQuery};
use crate::transition::Fact;

/// Requests that may start at once before the rate spreads them, as in the ingester.
const BURST: u32 = 2;
/// Without a rate, no more requests than this start in a second: each waits for the one before.
const REQUESTS_PER_SECOND: u64 = 50;
/// The most jobs of one connector that a sweep considers, so that its memory is bounded.
const MOST_CANDIDATES: usize = 10_000;
/// A failure without a reason is asked for within this time: older ones are not read again by every sweep.
const EXPLAINED_WITHIN: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Sweeps, and keeps the rates of API keys between sweeps.
#[derive(Debug)]
pub(crate) struct Sweeper {
    client: JobsClient,
    rules: Rules,
    secret_ids: Vec<String>,
    requests_per_minute: Option<NonZeroU32>,
    request_timeout: Duration,
    clock: Clock,
    limiters: Mutex<HashMap<ApiKey, RateLimiter>>,
    /// Until when no webhook asks with a secret, by its position, because FlexOrch did not respond to the last one.
    not_asked_until: Mutex<HashMap<usize, SystemTime>>,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// Records in the state `submitted` afterwards.
    open: u64,
    /// Records that were settled as `processed`.
    processed: u64,
    /// Records that were settled as `failed`.
    failed: u64,
    /// Requests to FlexOrch.
    asked: u64,
}

/// What the table says about open records.
struct Survey {
    /// The open records that were read.
    open: u64,
    /// All of them were.
    is_complete: bool,
    /// Records of connectors that are not configured here.
    not_configured: u64,
    /// The jobs to ask for, for each configured secret.
    candidates: Vec<Candidates>,
}

impl Survey {
    /// Counts records and chooses among their jobs; returns the records to give up.
    fn take(&mut self, records: Vec<Stored>, rules: &Rules, now: Timestamp) -> Vec<RecordKey> {
        let mut given_up = Vec::new();
        for Stored { record, .. } in records {
            self.open += u64::from(record.state == State::Submitted);
            match rules.verdict(&record, now) {
                Verdict::Ask(secret) => self.candidates[secret].offer(&record),
                Verdict::Abandon => given_up.push(record.key),
                Verdict::NotConfigured => self.not_configured += 1,
                Verdict::Leave => {}
            }
        }
        given_up
    }
}

/// The result of asking FlexOrch.
#[derive(Default, Clone, Copy)]
struct Asking {
    /// Requests that were sent.
    requests: u64,
    /// Connectors whose secret cannot be used, or that FlexOrch does not respond to.
    connectors_not_asked: u64,
}

/// The result of asking with one API key.
struct LaneResult {
    requests: u64,
    /// Connectors that could not be asked for.
    not_asked: u64,
}

/// The jobs of one API key.
struct KeyJobs {
    connector: Arc<Connector>,
    /// The connectors that share it.
    connectors: u64,
    jobs: BTreeSet<Urgency>,
    is_all: bool,
}

/// FlexOrch's list of jobs, as one connector sees it.
struct List {
    /// The connector's secret.
    secret_id: String,
    /// The page with which the next sweep begins, as the table has it.
    saved: u32,
    /// Half of the time for requests.
    half_time: Duration,
}

impl List {
    /// Records with which page the next sweep begins, if that has changed.
    async fn save(&mut self, page: Option<u32>, sweep: Sweep<'_>) {
        let Some(page) = page.filter(|page| *page != self.saved) else { return };
        match sweep.recorder.table.set_next_page(&self.secret_id, page, sweep.run.end).await {
            Ok(()) => self.saved = page,
            Err(error) => tracing::warn!(
                secret = self.secret_id.as_str(),
                error = error.to_string().as_str(),
                "the page at which this sweep stops cannot be recorded: the next one begins where this one did"
            ),
        }
    }
}

/// What one sweep's lanes share.
#[derive(Clone, Copy)]
struct Sweep<'a> {
    recorder: &'a Recorder,
    secrets: &'a SecretCache,
    run: Run<'a>,
    /// When requests must have ended.
    requests_end: SystemTime,
}

impl Sweeper {
    /// Creates a sweeper with an empty memory.
    pub(crate) fn new(http: Client, config: &Config, clock: Clock) -> Self {
        Self {
            client: JobsClient::new(http, config.flexorch_base_url.clone(), clock),
            rules: Rules::new(&config.connector_secret_ids, config.sweep_after, config.keep_for),
            secret_ids: config.connector_secret_ids.clone(),
            requests_per_minute: config.requests_per_minute,
            request_timeout: config.request_timeout,
            clock,
            limiters: Mutex::default(),
            not_asked_until: Mutex::default(),
        }
    }

    /// Sweeps until `run.end` at the latest.
    ///
    /// # Errors
    /// [`ApplyError`] if the table's open records could not be read at all.
    pub(crate) async fn sweep(
        &self,
        recorder: &Recorder,
        secrets: &SecretCache,
        run: Run<'_>,
    ) -> Result<Summary, ApplyError> {
        let publish_end = publish::publish_end(self.clock.now(), run.end);
        let publishing = publish::publish_pending(recorder, Run { end: publish_end, ..run });
        if let Err(error) = Box::pin(publishing).await {
            tracing::error!(error = error.to_string().as_str(), "unpublished records cannot be found now");
        }
        let load = Load { settles: true, ..Load::default() };
        let times = Times::new(self.clock.now(), run.end, Duration::ZERO, load);
        let survey = Box::pin(self.survey(recorder, times.work_end, run)).await?;
        if survey.not_configured > 0 {
            tracing::warn!(
                records = survey.not_configured,
                "the connectors of these records are not in CONNECTOR_SECRET_IDS: their jobs are not asked for"
            );
        }
        let mut asking = Asking::default();
        if !survey.candidates.iter().all(Candidates::is_empty) {
            let sweep = Sweep { recorder, secrets, run, requests_end: times.work_end };
            asking = Box::pin(self.ask(survey.candidates, sweep)).await;
        }
        let Asking { requests: asked, connectors_not_asked } = asking;
        let (processed, failed) = run.metrics.settled();
        let summary = Summary { open: survey.open.saturating_sub(run.metrics.closed()), processed, failed, asked };
        let open = survey.is_complete.then_some(summary.open);
        run.metrics.set_after_sweep(AfterSweep { open, connectors_not_asked });
        tracing::info!(open = summary.open, processed, failed, asked, "sweep done");
        Ok(summary)
    }

    /// Reads all open records, oldest first, and those that failed lately for an unknown reason; chooses the jobs to ask for and gives
    /// up what is too old.
    async fn survey(&self, recorder: &Recorder, end: SystemTime, run: Run<'_>) -> Result<Survey, ApplyError> {
        let capacity = self.capacity(end);
        let candidates = self.secret_ids.iter().map(|_| Candidates::new(capacity)).collect();
        let mut survey = Survey { open: 0, is_complete: false, not_configured: 0, candidates };
        let open = StateQuery { state: State::Submitted, from: None, filter: Filter::All };
        let from = recorder.now().checked_sub(EXPLAINED_WITHIN).ok();
        let unexplained = StateQuery { state: State::Failed, from, filter: Filter::WithoutReason };
        // What was not read in half of the time leaves the other half to ask for what was.
        let read_end = self.clock.now() + self.clock.until(end) / 2;
        let mut is_first = true;
        for query in [open, unexplained] {
            let mut start = None;
            loop {
                let page = match recorder.table.in_state(query, start, read_end).await {
                    Ok(page) => page,
                    Err(error) if is_first => return Err(error.into()),
                    Err(error) => {
                        let error = error.to_string();
                        tracing::warn!(error = error.as_str(), open = survey.open, "not all records were read");
                        return Ok(survey);
                    }
                };
                let given_up = survey.take(page.records, &self.rules, recorder.now());
                self.abandon(recorder, given_up, run).await;
                (start, is_first) = (page.next, false);
                if start.is_none() {
                    break;
                }
            }
            survey.is_complete = true;
        }
        Ok(survey)
    }

    /// How many jobs of a connector can be asked for until `end`: a page has up to [`PAGE_SIZE`].
    fn capacity(&self, end: SystemTime) -> usize {
        let seconds = self.clock.until(end).as_secs() + 1;
        let requests = match self.requests_per_minute {
            Some(rate) => seconds * u64::from(rate.get()) / 60 + u64::from(BURST),
            None => seconds * REQUESTS_PER_SECOND,
        };
        usize::try_from(requests).unwrap_or(MOST_CANDIDATES).saturating_mul(PAGE_SIZE).min(MOST_CANDIDATES)
    }

    async fn abandon(&self, recorder: &Recorder, keys: Vec<RecordKey>, run: Run<'_>) {
        stream::iter(keys)
            .for_each_concurrent(CONCURRENT_RECORDS, |key| async move {
                match recorder.apply(&key, &Fact::Abandoned, run).await {
                    // The index may be behind the table: the record may have been settled or removed meanwhile.
                    Ok(stored) => {
                        if stored.is_some_and(|stored| stored.record.abandoned_at.is_some()) {
                            tracing::warn!(
                                document = key.document.as_str(),
                                "given up: its job's result stays unknown"
                            );
                        }
                    }
                    Err(error) => tracing::warn!(
                        document = key.document.as_str(),
                        error = error.to_string().as_str(),
                        "a record cannot be given up now"
                    ),
                }
            })
            .await;
    }

    /// Asks with every API key concurrently.
    async fn ask(&self, candidates: Vec<Candidates>, sweep: Sweep<'_>) -> Asking {
        let secrets_end = self.clock.now() + self.clock.until(sweep.requests_end) / 2;
        let connectors = sweep.secrets.connectors(secrets_end).await;
        for error in &connectors.failed {
            tracing::error!(
                secret = &**error.secret_id(),
                error = error.to_string().as_str(),
                "a connector's secret cannot be used; its jobs are not asked for"
            );
        }
        let mut keys: HashMap<ApiKey, KeyJobs> = HashMap::new();
        let mut without_secret = 0;
        for (secret_id, candidates) in self.secret_ids.iter().zip(candidates) {
            if candidates.is_empty() {
                continue;
            }
            let Some(connector) = connectors.known.iter().find(|known| *known.secret_id == **secret_id) else {
                without_secret += 1;
                continue;
            };
            let of_key = keys.entry(connector.api_key.clone()).or_insert_with(|| KeyJobs {
                connector: Arc::clone(connector),
                connectors: 0,
                jobs: BTreeSet::new(),
                is_all: true,
            });
            of_key.connectors += 1;
            of_key.is_all &= !candidates.is_cut();
            of_key.jobs.extend(candidates.into_urgencies());
        }
        // A secret that cannot be read now may hold a key whose rate is exhausted.
        if connectors.failed.is_empty() {
            let is_in_use = |key: &ApiKey| connectors.known.iter().any(|known| known.api_key == *key);
            self.limiters.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| is_in_use(key));
        }
        let lanes = join_all(keys.into_values().map(|key| Box::pin(self.run_lane(key, sweep)))).await;
        Asking {
            requests: lanes.iter().map(|lane| lane.requests).sum(),
            connectors_not_asked: without_secret + lanes.iter().map(|lane| lane.not_asked).sum::<u64>(),
        }
    }

    /// Asks with one API key.
    async fn run_lane(&self, key: KeyJobs, sweep: Sweep<'_>) -> LaneResult {
        let KeyJobs { mut connector, connectors, jobs, is_all } = key;
        let mut list = self.list_of(&connector, sweep).await;
        let mut unique = std::collections::HashSet::new();
        let jobs = jobs.into_iter().map(|(.., job)| job).filter(|job| unique.insert(job.clone()));
        let jobs = LaneJobs { most_urgent_first: jobs.collect(), is_all, first_page: list.saved };
        let mut lane = Lane::new(jobs, sweep.requests_end);
        let mut requests = 0;
        let mut last_error = ApiError::transport("the API key was refused");
        loop {
            match self.limited(&connector, |limiter| lane.next(limiter, self.clock.now())) {
                Step::Done => break,
                Step::Wait(until) => self.clock.sleep_until(until).await,
                Step::Refresh => {
                    let refreshed = sweep.secrets.refresh(&connector, sweep.requests_end).await;
                    let current = match refreshed {
                        Refresh::Current(current) if current.api_key != connector.api_key => Some(current),
                        Refresh::Current(_) => None,
                        Refresh::Failed(error) => {
                            tracing::error!(error = error.to_string().as_str(), "the secret cannot be fetched afresh");
                            None
                        }
                    };
                    lane.refreshed(current.is_some(), last_error.clone());
                    connector = current.unwrap_or(connector);
                }
                Step::Send(ask) => {
                    requests += 1;
                    let reply = self.request(&ask, &connector, sweep).await;
                    if let JobsResponse::Failed(response) = &reply {
                        last_error = error_of(response);
                        log_failure(&ask, &connector, &last_error);
                    }
                    let findings = self.limited(&connector, |limiter| {
                        lane.received(&ask, reply, limiter, self.clock.now(), fastrand::f64())
                    });
                    // Later there may be no time: what a page says about a hundred documents takes some to record.
                    let page = (self.clock.until(sweep.requests_end) < list.half_time).then(|| lane.next_page());
                    futures_util::join!(self.record(findings, sweep), list.save(page, sweep));
                }
            }
        }
        list.save(Some(lane.next_page()), sweep).await;
        log_stop(&lane, &connector);
        let has_failed = matches!(lane.stop(), Some(Stop::Failed(_)));
        LaneResult { requests, not_asked: if has_failed { connectors } else { 0 } }
    }

    async fn list_of(&self, connector: &Connector, sweep: Sweep<'_>) -> List {
        let secret_id = connector.secret_id.to_string();
        let half_time = self.clock.until(sweep.requests_end) / 2;
        let saved = sweep.recorder.table.next_page(&secret_id, self.clock.now() + half_time).await;
        let saved = saved.unwrap_or_else(|error| {
            tracing::warn!(error = error.to_string().as_str(), "the page at which the last sweep stopped is not known");
            None
        });
        List { secret_id, saved: saved.unwrap_or(FIRST_PAGE), half_time }
    }

    async fn request(&self, ask: &JobsRequest, connector: &Connector, sweep: Sweep<'_>) -> JobsResponse {
        let timeout = self.request_timeout.min(self.clock.until(sweep.requests_end));
        self.client.send(ask, &connector.api_key, timeout).await
    }

    fn limited<T>(&self, connector: &Connector, decide: impl FnOnce(&mut RateLimiter) -> T) -> T {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters
            .entry(connector.api_key.clone())
            .or_insert_with(|| RateLimiter::new(self.requests_per_minute, BURST));
        decide(limiter)
    }

    async fn record(&self, findings: Vec<Finding>, sweep: Sweep<'_>) {
        let Sweep { recorder, run, .. } = sweep;
        stream::iter(findings)
            .for_each_concurrent(CONCURRENT_RECORDS, |finding| async move {
                let (job_id, fact) = match finding {
                    Finding::Ended(end) => (end.job_id.clone(), Fact::Ended(end)),
                    Finding::Open(job_id) => (job_id.clone(), Fact::Asked { job_id }),
                };
                if let Err(error) = Box::pin(recorder.apply_to_job(&job_id, &fact, run)).await {
                    tracing::error!(
                        job = job_id.as_str(),
                        error = error.to_string().as_str(),
                        "what FlexOrch says of a job cannot be recorded now; the next sweep asks again"
                    );
                }
            })
            .await;
    }
}

fn error_of(response: &flexorch_s3_ingester::flexorch::response::Response) -> ApiError {
    use flexorch_s3_ingester::flexorch::response::Response;
    match response {
        Response::Refused(error)
        | Response::Unauthorized(error)
        | Response::Blocked { error, .. }
        | Response::Transient { error, .. } => error.clone(),
        Response::Accepted(_) => ApiError::transport("an unexpected response"),
    }
}

fn log_failure(ask: &JobsRequest, connector: &Connector, error: &ApiError) {
    let (page, job) = match ask {
        JobsRequest::Page(page) => (Some(*page), None),
        JobsRequest::Job(job) => (None, Some(job.as_str())),
    };
    tracing::warn!(
        connector = &*connector.secret_id,
        page,
        job,
        error = error.to_string().as_str(),
        "FlexOrch did not return jobs"
    );
}

fn log_stop(lane: &Lane, connector: &Connector) {
    match lane.stop() {
        None => {}
        Some(Stop::NoTime) => tracing::info!(
            connector = &*connector.secret_id,
            left = lane.left(),
            "the time or the rate is used up; the next sweep goes on"
        ),
        Some(Stop::Failed(error)) => tracing::error!(
            connector = &*connector.secret_id,
            left = lane.left(),
            error = error.to_string().as_str(),
            "no more jobs of this connector are asked for in this sweep"
        ),
    }
}
