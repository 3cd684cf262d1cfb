//! Asks FlexOrch for jobs, with every API key concurrently, and records what it says: the driver of the lanes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::aws::secrets::{Refresh, SecretCache};
use flexorch_s3_ingester::flexorch::response::{ApiError, Response};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ApiKey;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use super::Sweeper;
use super::candidates::{Candidates, Urgency};
use super::lane::{Finding, Lane, LaneJobs, Step, Stop};
use super::paging::FIRST_PAGE;
use crate::apply::{CONCURRENT_RECORDS, Recorder, Run};
use crate::jobs::{JobsRequest, JobsResponse};
use crate::transition::Fact;

/// The result of asking FlexOrch.
#[derive(Default, Clone, Copy)]
pub(super) struct Asking {
    /// Requests that were sent.
    pub(super) requests: u64,
    /// Connectors whose secret cannot be used, or whose requests FlexOrch refuses.
    pub(super) connectors_not_asked: u64,
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
pub(super) struct Sweep<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) secrets: &'a SecretCache,
    pub(super) run: Run<'a>,
    /// When requests must have ended.
    pub(super) requests_end: SystemTime,
}

impl Sweeper {
    /// Asks with every API key concurrently.
    pub(super) async fn ask(&self, candidates: Vec<Candidates>, sweep: Sweep<'_>) -> Asking {
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
        let mut unique = HashSet::new();
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
        let is_refused = matches!(lane.stop(), Some(Stop::Refused(_)));
        LaneResult { requests, not_asked: if is_refused { connectors } else { 0 } }
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

pub(super) fn error_of(response: &Response) -> ApiError {
    match response {
        Response::Refused(error)
        | Response::Unauthorized(error)
        | Response::Blocked { error, .. }
        | Response::Transient { error, .. } => error.clone(),
        Response::Accepted(_) => ApiError::transport("an unexpected response"),
    }
}

pub(super) fn log_failure(ask: &JobsRequest, connector: &Connector, error: &ApiError) {
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
        Some(Stop::Unavailable(error)) => tracing::warn!(
            connector = &*connector.secret_id,
            left = lane.left(),
            error = error.to_string().as_str(),
            "FlexOrch is not available; the next sweep goes on"
        ),
        Some(Stop::Refused(error)) => tracing::error!(
            connector = &*connector.secret_id,
            left = lane.left(),
            error = error.to_string().as_str(),
            "no more jobs of this connector are asked for in this sweep"
        ),
    }
}
