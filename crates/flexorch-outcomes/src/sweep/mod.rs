//! A sweep: publishes what is not published, asks FlexOrch for the jobs that stay open and for those that failed for an unknown
//! reason, and gives up what is too old.
//!
//! | file | what it decides or does |
//! | --- | --- |
//! | `asking` | asks FlexOrch, as the lanes decide |
//! | `candidates` | pure: which jobs are asked for, and in which order |
//! | `lane` | pure: the requests with one API key, as a state machine |
//! | `paging` | pure: which pages of FlexOrch's list are worth a request, and where the next sweep goes on |
//! | `publish` | publishes what is recorded and not published |
//! | `explain` | asks for one failed job while its webhook waits |
//!
//! How far a sweep got is in the table (`asked_at`, and the page of each list), so that the next one goes on there, in whatever
//! process.

mod asking;
mod candidates;
mod explain;
mod lane;
mod paging;
mod publish;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::aws::secrets::SecretCache;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::ingest::rate::RateLimiter;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ApiKey;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Serialize;

use self::asking::{Asking, Sweep};
use self::candidates::{Candidates, Rules, Verdict};
use crate::apply::{ApplyError, CONCURRENT_RECORDS, Recorder, Run};
use crate::config::Config;
use crate::item::Stored;
use crate::jobs::JobsClient;
use crate::metrics::AfterSweep;
use crate::record::RecordKey;
use crate::schema::State;
use crate::table::{Filter, StateQuery};
use crate::transition::Fact;

/// Requests that may start at once before the rate spreads them, as in the ingester.
const BURST: u32 = 2;
/// The most jobs of one connector that a sweep considers, so that its memory is bounded. Far more than it has time to ask for one by
/// one: the list's pages have the newest jobs.
const MOST_CANDIDATES: usize = 20_000;
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
        let candidates = self.secret_ids.iter().map(|_| Candidates::new(MOST_CANDIDATES)).collect();
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

    fn limited<T>(&self, connector: &Connector, decide: impl FnOnce(&mut RateLimiter) -> T) -> T {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters
            .entry(connector.api_key.clone())
            .or_insert_with(|| RateLimiter::new(self.requests_per_minute, BURST));
        decide(limiter)
    }
}
