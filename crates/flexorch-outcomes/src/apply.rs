//! The one driver of what is learned: reads the record, publishes what is pending, decides, writes, publishes.
//!
//! A state that is published is written first, with the mark `unpublished`, and the mark is removed after the bus has the event.
//! Whoever finds the mark publishes before anything else changes, so no state is passed over, whatever ends this process between
//! two steps.

use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::aws::failure::CallError;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::ingest::retry::backoff;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::bus::Bus;
use crate::item::Stored;
use crate::metrics::Metrics;
use crate::record::{Record, RecordKey};
use crate::schema::State;
use crate::table::{Page, Table, TableError, Written};
use crate::transition::{Fact, JobEnd, Submission, SubmissionResult, next};

/// Records in flight at once.
pub(crate) const CONCURRENT_RECORDS: usize = 16;

/// Records what is learned and publishes what changed.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) table: Table,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
    /// How long a record is kept after its last write.
    pub(crate) keep_for: Duration,
}

/// What every step of an invocation needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// What the invocation measures.
    pub(crate) metrics: &'a Metrics,
    /// When every call must have ended.
    pub(crate) end: SystemTime,
}

/// The result of deciding and writing once.
enum Step {
    /// What the table has now.
    Done(Option<Box<Stored>>),
    /// Another invocation has written the record in the meantime.
    Conflict,
}

/// Why something is not recorded, or recorded and not published.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The bus did not take the event. The record says so, and a sweep publishes it.
    #[error("the event bus: {0}")]
    Publish(CallError),
    /// Other invocations kept changing the record until the time was over.
    #[error("other invocations kept changing the record")]
    Contended,
}

impl From<CallError> for ApplyError {
    fn from(error: CallError) -> Self {
        Self::Table(error.into())
    }
}

impl Recorder {
    /// Records a document of a receipt. A job that FlexOrch knew before may have ended, and another record may tell how.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub(crate) async fn submitted(&self, submission: &Submission, run: Run<'_>) -> Result<(), ApplyError> {
        let stored = self.apply(&submission.key, &Fact::Submission(submission.clone()), run).await?;
        let SubmissionResult::Forwarded { job_id: Some(job_id), is_duplicate: true } = &submission.result else {
            return Ok(());
        };
        if stored.is_none_or(|stored| stored.record.state != State::Submitted) {
            return Ok(());
        }
        // Only a shortcut: a sweep asks FlexOrch if the first records tell nothing, or the index cannot be read.
        let Ok(page) = self.table.of_job(job_id, None, run.end).await else { return Ok(()) };
        if let Some(end) = page.records.iter().find_map(|stored| known_end(&stored.record)) {
            self.apply(&submission.key, &Fact::Ended(end), run).await?;
        }
        Ok(())
    }

    /// Records a fact about every record that names a job.
    ///
    /// # Errors
    /// The first [`ApplyError`], after all records were tried.
    pub(crate) async fn apply_to_job(&self, job_id: &str, fact: &Fact, run: Run<'_>) -> Result<(), ApplyError> {
        let first = self.table.of_job(job_id, None, run.end).await?;
        self.apply_from(first, job_id, fact, run).await
    }

    /// Records a fact about every record that names a job, the first page of which was read.
    ///
    /// # Errors
    /// The first [`ApplyError`], after all records were tried.
    pub(crate) async fn apply_from(
        &self,
        mut page: Page,
        job_id: &str,
        fact: &Fact,
        run: Run<'_>,
    ) -> Result<(), ApplyError> {
        let mut first_error = None;
        loop {
            let mut results = stream::iter(page.records)
                .map(|stored| async move { self.apply(&stored.record.key, fact, run).await })
                .buffer_unordered(CONCURRENT_RECORDS);
            while let Some(result) = results.next().await {
                first_error = first_error.or(result.err());
            }
            let Some(next) = page.next else { return first_error.map_or(Ok(()), Err) };
            page = self.table.of_job(job_id, Some(next), run.end).await?;
        }
    }

    /// Records a fact about one record, publishes its state if it is not, and returns what the table has then.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub(crate) async fn apply(&self, key: &RecordKey, fact: &Fact, run: Run<'_>) -> Result<Option<Stored>, ApplyError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let current = self.table.get(key, run.end).await?;
            match Box::pin(self.step(current, fact, run)).await? {
                Step::Done(stored) => return Ok(stored.map(|stored| *stored)),
                Step::Conflict => self.wait_after_conflict(attempts, run).await?,
            }
        }
    }

    /// Decides and writes once.
    async fn step(&self, current: Option<Stored>, fact: &Fact, run: Run<'_>) -> Result<Step, ApplyError> {
        let pending = current.as_ref().is_some_and(|stored| stored.record.unpublished);
        if let Some(stored) = current.as_ref().filter(|_| pending) {
            self.publish(&stored.record, run).await?;
        }
        let known = current.as_ref().map(|stored| Record { unpublished: false, ..stored.record.clone() });
        let Some(record) = next(known.as_ref(), fact, self.now()).or_else(|| known.clone().filter(|_| pending)) else {
            return Ok(Step::Done(current.map(Box::new)));
        };
        let record = self.expiring(record);
        let Written::Done(stored) = self.table.put(record, current.as_ref(), run.end).await? else {
            return Ok(Step::Conflict);
        };
        if let Some(known) = known.as_ref().filter(|_| pending) {
            count_published(known, run);
        }
        run.metrics.count_change(known.as_ref(), &stored.record);
        if matches!(fact, Fact::Abandoned) && stored.record.abandoned_at.is_some() {
            run.metrics.count_abandoned();
        }
        if !stored.record.unpublished {
            return Ok(Step::Done(Some(stored)));
        }
        self.publish(&stored.record, run).await?;
        Ok(Step::Done(Some(Box::new(self.mark_published(*stored, run).await))))
    }

    /// Removes the mark of a record whose event the bus has. If that fails, the event is published again, once.
    pub(crate) async fn mark_published(&self, stored: Stored, run: Run<'_>) -> Stored {
        let record = self.expiring(Record { unpublished: false, ..stored.record.clone() });
        match self.table.put(record, Some(&stored), run.end).await {
            Ok(Written::Done(marked)) => {
                count_published(&marked.record, run);
                *marked
            }
            // Whoever wrote it has published it before.
            Ok(Written::Conflict) => stored,
            Err(error) => {
                tracing::warn!(
                    document = stored.record.key.document.as_str(),
                    error = error.to_string().as_str(),
                    "an event was published, and may be published again"
                );
                stored
            }
        }
    }

    async fn publish(&self, record: &Record, run: Run<'_>) -> Result<(), ApplyError> {
        let result = self.bus.publish(&[record], run.end).await.into_iter().collect::<Result<(), _>>();
        result.inspect_err(|_| run.metrics.count_unpublished(1)).map_err(ApplyError::Publish)
    }

    async fn wait_after_conflict(&self, attempts: u32, run: Run<'_>) -> Result<(), ApplyError> {
        let again = self.clock.now() + backoff(attempts, fastrand::f64());
        if again >= run.end {
            return Err(ApplyError::Contended);
        }
        self.clock.sleep_until(again).await;
        Ok(())
    }

    fn expiring(&self, record: Record) -> Record {
        let seconds = i64::try_from(self.keep_for.as_secs()).unwrap_or(i64::MAX);
        Record { expires_at: self.now().as_second().saturating_add(seconds), ..record }
    }

    /// Returns the time now.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Counts a state that is published and marked so, and logs a document that will not be processed. As only one invocation can make
/// that write, this happens once, even if the process that recorded the state was killed.
fn count_published(record: &Record, run: Run<'_>) {
    run.metrics.count_published(record);
    if matches!(record.state, State::Failed | State::Rejected) {
        tracing::warn!(
            document = record.key.document.as_str(),
            version = record.key.version.as_str(),
            job = record.job_id.as_deref(),
            code = record.code.as_deref(),
            reason = record.failure_reason.as_deref(),
            state = record.state.name(),
            "a document was not processed"
        );
    }
}

/// Returns how a record's job ended, if the record states it.
fn known_end(record: &Record) -> Option<JobEnd> {
    let completed = match record.state {
        State::Processed => true,
        State::Failed => false,
        State::Submitted | State::Rejected => return None,
    };
    Some(JobEnd {
        job_id: record.job_id.clone()?,
        completed,
        quality_grade: record.quality_grade.clone(),
        pii_findings_count: record.pii_findings_count,
        failure_reason: record.failure_reason.clone(),
        asked: false,
    })
}
