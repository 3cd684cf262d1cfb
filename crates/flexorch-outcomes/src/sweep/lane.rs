//! Asks for the jobs of one API key: list pages while they pay, then one by one. A state machine; pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::SystemTime;

use flexorch_s3_ingester::flexorch::response::{ApiError, Response};
use flexorch_s3_ingester::ingest::rate::RateLimiter;
use flexorch_s3_ingester::ingest::retry::backoff;

use super::paging::{FIRST_PAGE, Paging};
use crate::jobs::{Job, JobsPage, JobsRequest, JobsResponse, Status};
use crate::transition::JobEnd;

/// How often one request is sent, at most.
const MAX_ATTEMPTS: u32 = 4;
/// After so many requests in a row that failed on every attempt, FlexOrch is down: the lane stops.
const MAX_EXHAUSTED: u32 = 2;
/// While the list is too long for a sweep, one request in this many asks for the most urgent job directly.
const DIRECT_SHARE: u32 = 4;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this request.
    Send(JobsRequest),
    /// Fetch the connector's secret afresh.
    Refresh,
    /// Wait until then.
    Wait(SystemTime),
    /// Nothing is left to do, or cannot be done now.
    Done,
}

/// What a response says about a job that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It has ended.
    Ended(JobEnd),
    /// It is open, or FlexOrch does not know it.
    Open(String),
}

/// Why a lane stopped before all its jobs were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// FlexOrch refuses the key or blocks the connector: an operator is needed.
    Refused(ApiError),
    /// FlexOrch does not respond, or limits the rate.
    Unavailable(ApiError),
    /// The rate, or the time.
    NoTime,
}

/// The jobs of one API key that are asked for in one sweep.
#[derive(Debug)]
pub(super) struct LaneJobs {
    /// Their ids.
    pub(super) most_urgent_first: Vec<String>,
    /// There are no others that could be asked for.
    pub(super) is_all: bool,
    /// The page of the list at which the last sweep stopped; 1 if it did not.
    pub(super) first_page: u32,
}

/// Asks for the jobs of one API key.
#[derive(Debug)]
pub(super) struct Lane {
    waiting: VecDeque<String>,
    end: SystemTime,
    /// There are no other jobs to ask for.
    is_all: bool,
    paging: Paging,
    /// Requests that are done, whether FlexOrch responded or not.
    done: u32,
    attempts: u32,
    exhausted: u32,
    retry_at: Option<SystemTime>,
    refresh: Refreshing,
    stop: Option<Stop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refreshing {
    Never,
    Due,
    Done,
}

impl Lane {
    /// Creates a lane for these jobs. No request starts after `end`.
    pub(super) fn new(jobs: LaneJobs, end: SystemTime) -> Self {
        let waiting: VecDeque<_> = jobs.most_urgent_first.into();
        Self {
            paging: Paging::new(waiting.len(), jobs.first_page),
            waiting,
            end,
            is_all: jobs.is_all,
            done: 0,
            attempts: 0,
            exhausted: 0,
            retry_at: None,
            refresh: Refreshing::Never,
            stop: None,
        }
    }

    /// Decides what to do now, while no request is in flight.
    pub(super) fn next(&mut self, limiter: &mut RateLimiter, now: SystemTime) -> Step {
        if self.stop.is_some() {
            return Step::Done;
        }
        if self.refresh == Refreshing::Due {
            return Step::Refresh;
        }
        let Some(ask) = self.ask() else { return Step::Done };
        let opens = limiter.opens(now).0.max(self.retry_at.unwrap_or(now));
        if opens >= self.end || now >= self.end {
            self.stop = Some(Stop::NoTime);
            return Step::Done;
        }
        if opens > now || !limiter.pass(now) {
            return Step::Wait(opens);
        }
        self.attempts += 1;
        self.retry_at = None;
        Step::Send(ask)
    }

    /// A single job is asked for directly: a page would cost as much and might not have it. And the most urgent one now and then, if
    /// the list is so long that the pages alone might never reach it.
    fn ask(&self) -> Option<JobsRequest> {
        let job = self.waiting.front()?;
        let direct = self.waiting.len() == 1 || self.paging.is_continued() && self.done.is_multiple_of(DIRECT_SHARE);
        let page = self.paging.page().filter(|_| !direct);
        Some(page.map_or_else(|| JobsRequest::Job(job.clone()), JobsRequest::Page))
    }

    /// Takes the response to the last request. `random` is in `0.0..1.0`.
    pub(super) fn received(
        &mut self,
        ask: &JobsRequest,
        reply: JobsResponse,
        limiter: &mut RateLimiter,
        now: SystemTime,
        random: f64,
    ) -> Vec<Finding> {
        let rate_limited = matches!(reply, JobsResponse::Failed(Response::Transient { rate_limited: true, .. }));
        if !rate_limited {
            limiter.was_admitted();
        }
        match reply {
            JobsResponse::Page(page) => {
                self.succeeded();
                self.page_received(page)
            }
            JobsResponse::Job(job) => {
                self.succeeded();
                self.waiting.pop_front();
                vec![finding(job)]
            }
            JobsResponse::Unknown => {
                self.succeeded();
                self.give_up(ask)
            }
            JobsResponse::Failed(response) => self.failed(ask, response, limiter, now, random),
        }
    }

    /// The secret was fetched afresh; `changed`: it holds another API key, which the next request uses.
    pub(super) fn refreshed(&mut self, changed: bool, error: ApiError) {
        self.refresh = Refreshing::Done;
        if !changed {
            self.stop = Some(Stop::Refused(error));
        }
    }

    /// Returns why it stopped early.
    pub(super) fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Returns how many jobs were not asked for.
    pub(super) fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the page with which the next sweep begins.
    pub(super) fn next_page(&self) -> u32 {
        if self.waiting.is_empty() && self.is_all { FIRST_PAGE } else { self.paging.resume() }
    }

    fn succeeded(&mut self) {
        self.done += 1;
        self.attempts = 0;
        self.exhausted = 0;
    }

    fn page_received(&mut self, JobsPage { jobs, items }: JobsPage) -> Vec<Finding> {
        let ids: HashSet<String> = jobs.iter().map(|job| job.id.clone()).collect();
        let mut jobs: HashMap<String, Job> = jobs.into_iter().map(|job| (job.id.clone(), job)).collect();
        let mut findings = Vec::new();
        self.waiting.retain(|waiting| match jobs.remove(waiting) {
            Some(job) => {
                findings.push(finding(job));
                false
            }
            None => true,
        });
        self.paging.received(ids, items, findings.len());
        findings
    }

    fn failed(
        &mut self,
        ask: &JobsRequest,
        response: Response,
        limiter: &mut RateLimiter,
        now: SystemTime,
        random: f64,
    ) -> Vec<Finding> {
        match response {
            Response::Unauthorized(error) => {
                self.attempts = 0;
                match self.refresh {
                    Refreshing::Never => self.refresh = Refreshing::Due,
                    Refreshing::Due | Refreshing::Done => self.stop = Some(Stop::Refused(error)),
                }
                Vec::new()
            }
            // A list that is not there, or not in this form, is no reason not to ask for each job.
            Response::Blocked { error, .. } if error.status == 404 && matches!(ask, JobsRequest::Page(_)) => {
                self.give_up(ask)
            }
            Response::Refused(_) => {
                self.attempts = 0;
                self.give_up(ask)
            }
            Response::Blocked { error, .. } => {
                self.stop = Some(Stop::Refused(error));
                // It may concern this job alone, so the next sweep asks for another one first.
                if matches!(ask, JobsRequest::Job(_)) { self.give_up(ask) } else { Vec::new() }
            }
            Response::Transient { error, rate_limited, retry_at } => {
                let again = retry_at.unwrap_or(now).max(now + backoff(self.attempts, random));
                if rate_limited {
                    limiter.close(again, now);
                }
                if self.attempts < MAX_ATTEMPTS {
                    self.retry_at = Some(again).filter(|_| !rate_limited);
                    return Vec::new();
                }
                self.attempts = 0;
                self.done += 1;
                if rate_limited {
                    self.stop = Some(Stop::Unavailable(error));
                    return Vec::new();
                }
                self.exhausted += 1;
                if self.exhausted >= MAX_EXHAUSTED {
                    self.stop = Some(Stop::Unavailable(error));
                }
                match ask {
                    JobsRequest::Page(_) => {
                        self.paging.pause();
                        Vec::new()
                    }
                    // Also when it stops: the next sweep asks for another job first.
                    JobsRequest::Job(_) => self.give_up(ask),
                }
            }
            Response::Accepted(_) => self.give_up(ask),
        }
    }

    /// Goes on without a response that says anything: without pages, or with the next job.
    fn give_up(&mut self, ask: &JobsRequest) -> Vec<Finding> {
        match ask {
            JobsRequest::Page(_) => {
                self.paging.give_up();
                self.attempts = 0;
                Vec::new()
            }
            JobsRequest::Job(_) => self.waiting.pop_front().map(Finding::Open).into_iter().collect(),
        }
    }
}

fn finding(job: Job) -> Finding {
    let Job { id: job_id, status, quality_grade, pii_findings_count, failure_reason } = job;
    match status {
        Status::Open => Finding::Open(job_id),
        Status::Completed | Status::Failed => Finding::Ended(JobEnd {
            job_id,
            completed: status == Status::Completed,
            quality_grade,
            pii_findings_count,
            failure_reason,
            asked: true,
        }),
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
