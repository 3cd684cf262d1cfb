//! What one invocation measures, as a line of CloudWatch's embedded metric format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flexorch_s3_ingester::telemetry::metrics::{Dimensions, Metric, VALUES_PER_LINE, line};
use jiff::Timestamp;

use crate::record::Record;
use crate::schema::State;

/// The names of the metrics; their namespace is the ingester's.
pub(crate) mod name {
    /// Documents that FlexOrch took: new records, and records that were settled and opened again.
    pub(crate) const SUBMITTED: &str = "DocumentsSubmitted";
    /// Documents whose job completed.
    pub(crate) const PROCESSED: &str = "DocumentsProcessed";
    /// Documents whose job failed.
    pub(crate) const FAILED: &str = "DocumentsFailed";
    /// Documents that FlexOrch rejected.
    pub(crate) const REJECTED: &str = "DocumentsRejected";
    /// Documents whose job's result is not known after a sweep.
    pub(crate) const OPEN: &str = "DocumentsOpen";
    /// Documents that a sweep gave up.
    pub(crate) const ABANDONED: &str = "DocumentsAbandoned";
    /// Milliseconds from the S3 event until the document was known to be processed.
    pub(crate) const PROCESSING_LAG: &str = "ProcessingLag";
    /// States that are recorded and could not be published by the end of a sweep.
    pub(crate) const EVENTS_UNPUBLISHED: &str = "EventsUnpublished";
    /// Connectors whose jobs a sweep could not ask for until an operator acts: because of their secret, their API key or a block.
    pub(crate) const CONNECTORS_NOT_ASKED: &str = "ConnectorsNotAsked";
    /// Webhooks without the right signature.
    pub(crate) const WEBHOOK_REJECTED: &str = "WebhookRejected";
}

/// What one invocation measures.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    submitted: AtomicU64,
    published: Settled,
    rejected: AtomicU64,
    abandoned: AtomicU64,
    webhooks_rejected: AtomicU64,
    unpublished: AtomicU64,
    /// What this invocation settled, whether it is published or not.
    settled: Settled,
    /// Of those, the documents that were open.
    closed: AtomicU64,
    lags: Mutex<Vec<u64>>,
    sweep: Mutex<Option<AfterSweep>>,
}

/// Documents whose job's result became known.
#[derive(Debug, Default)]
struct Settled {
    processed: AtomicU64,
    failed: AtomicU64,
}

/// What only a sweep knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AfterSweep {
    /// The documents that are open; `None` if not all were counted.
    pub(crate) open: Option<u64>,
    /// The connectors that could not be asked for.
    pub(crate) connectors_not_asked: u64,
}

impl Metrics {
    /// Counts a write. `previous` is the record before it.
    ///
    /// A state that is published counts only then, in [`Metrics::count_published`].
    pub(crate) fn count_change(&self, previous: Option<&Record>, record: &Record) {
        if previous.is_some_and(|previous| previous.state == record.state) {
            return;
        }
        match record.state {
            State::Submitted => increment(&self.submitted),
            State::Processed => increment(&self.settled.processed),
            State::Failed => increment(&self.settled.failed),
            State::Rejected => {}
        }
        if previous.is_some_and(|previous| previous.state == State::Submitted) {
            increment(&self.closed);
        }
    }

    /// Counts a state that is published, and marked so in the table: a write that succeeds once, whichever invocation makes it.
    pub(crate) fn count_published(&self, record: &Record) {
        match record.state {
            State::Submitted => return,
            State::Processed => increment(&self.published.processed),
            State::Failed => increment(&self.published.failed),
            State::Rejected => increment(&self.rejected),
        }
        if record.state == State::Processed
            && let Some(lag) = record.processing_lag()
        {
            lock(&self.lags).push(lag);
        }
    }

    /// Counts states that could not be published.
    pub(crate) fn count_unpublished(&self, count: u64) {
        self.unpublished.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a document that is given up.
    pub(crate) fn count_abandoned(&self) {
        increment(&self.abandoned);
    }

    /// Counts a webhook without the right signature.
    pub(crate) fn count_rejected_webhook(&self) {
        increment(&self.webhooks_rejected);
    }

    /// Records what a sweep knows at its end.
    pub(crate) fn set_after_sweep(&self, after: AfterSweep) {
        *lock(&self.sweep) = Some(after);
    }

    /// Returns how many documents this invocation settled: processed, failed.
    pub(crate) fn settled(&self) -> (u64, u64) {
        (self.settled.processed.load(Ordering::Relaxed), self.settled.failed.load(Ordering::Relaxed))
    }

    /// Returns how many open documents this invocation settled.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns the lines to print: one, unless it measured very many lags.
    pub(crate) fn lines(&self, dimensions: &Dimensions, now: Timestamp) -> Vec<String> {
        let count = |name, counter: &AtomicU64| Metric::count(name, counter.load(Ordering::Relaxed));
        let mut first = vec![
            count(name::SUBMITTED, &self.submitted),
            count(name::PROCESSED, &self.published.processed),
            count(name::FAILED, &self.published.failed),
            count(name::REJECTED, &self.rejected),
            count(name::ABANDONED, &self.abandoned),
            count(name::WEBHOOK_REJECTED, &self.webhooks_rejected),
        ];
        if let Some(AfterSweep { open, connectors_not_asked }) = *lock(&self.sweep) {
            first.extend(open.map(|open| Metric::count(name::OPEN, open)));
            first.push(Metric::count(name::CONNECTORS_NOT_ASKED, connectors_not_asked));
            first.push(count(name::EVENTS_UNPUBLISHED, &self.unpublished));
        }
        let lags = lock(&self.lags);
        let mut lags = lags.chunks(VALUES_PER_LINE);
        let timestamp = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let mut lines = Vec::new();
        loop {
            let mut metrics = std::mem::take(&mut first);
            metrics.extend(lags.next().map(|values| Metric::times(name::PROCESSING_LAG, values)));
            if metrics.is_empty() {
                return lines;
            }
            lines.push(line(&metrics, dimensions, timestamp));
        }
    }
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use serde_json::{Value, json};

    fn lines(metrics: &Metrics) -> Vec<Value> {
        let lines = metrics.lines(&Dimensions::default(), record().submitted_at);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_change_of_state_counts_once_and_a_processed_document_has_its_lag() {
        let metrics = Metrics::default();
        let event_time = Some("2025-12-31T23:59:59Z".to_owned());
        let processed = Record { state: State::Processed, event_time, ..record() };
        metrics.count_change(None, &record());
        metrics.count_change(Some(&record()), &processed);
        metrics.count_change(Some(&processed), &processed);
        assert_eq!(lines(&metrics)[0][name::PROCESSED], json!(0), "not published");
        assert_eq!((metrics.settled(), metrics.closed()), ((1, 0), 1));
        metrics.count_published(&processed);
        let [line] = &lines(&metrics)[..] else { panic!("one line") };
        let counts = [&line[name::SUBMITTED], &line[name::PROCESSED], &line[name::FAILED], &line[name::PROCESSING_LAG]];
        assert_eq!(counts, [&json!(1), &json!(1), &json!(0), &json!([1_000])]);
        for name in [name::OPEN, name::EVENTS_UNPUBLISHED, name::CONNECTORS_NOT_ASKED] {
            assert!(line.get(name).is_none(), "only a sweep knows {name}");
        }
    }

    #[test]
    fn a_sweep_reports_how_many_documents_are_open_unless_it_could_not_count_them() {
        let metrics = Metrics::default();
        metrics.set_after_sweep(AfterSweep { open: Some(0), connectors_not_asked: 2 });
        metrics.count_unpublished(3);
        let line = &lines(&metrics)[0];
        let gauges = [&line[name::OPEN], &line[name::CONNECTORS_NOT_ASKED], &line[name::EVENTS_UNPUBLISHED]];
        assert_eq!(gauges, [&json!(0), &json!(2), &json!(3)]);
        metrics.set_after_sweep(AfterSweep { open: None, connectors_not_asked: 0 });
        assert!(lines(&metrics)[0].get(name::OPEN).is_none());
    }
}
