//! What one invocation measures, as a line of CloudWatch's embedded metric format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use flexorch_s3_ingester::telemetry::metrics::{Dimensions, Metric, VALUES_PER_LINE, line};
use jiff::Timestamp;

use crate::record::{Record, State};

/// The names of the metrics; their namespace is the ingester's.
pub mod name {
    /// Documents that FlexOrch took: new records, and records that were settled and opened again.
    pub const SUBMITTED: &str = "DocumentsSubmitted";
    /// Documents whose job completed.
    pub const PROCESSED: &str = "DocumentsProcessed";
    /// Documents whose job failed.
    pub const FAILED: &str = "DocumentsFailed";
    /// Documents that FlexOrch rejected.
    pub const REJECTED: &str = "DocumentsRejected";
    /// Documents whose job's end is not known after a sweep.
    pub const OPEN: &str = "DocumentsOpen";
    /// Documents that a sweep gave up.
    pub const ABANDONED: &str = "DocumentsAbandoned";
    /// Milliseconds from the S3 event until the document was known to be processed.
    pub const PROCESSING_LAG: &str = "ProcessingLag";
    /// Webhooks without the right signature.
    pub const WEBHOOK_REJECTED: &str = "WebhookRejected";
}

/// What one invocation measures.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    submitted: AtomicU64,
    processed: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    abandoned: AtomicU64,
    webhooks_rejected: AtomicU64,
    /// Of `processed` and `failed`, those that were open.
    closed: AtomicU64,
    open: Mutex<Option<u64>>,
    lags: Mutex<Vec<u64>>,
}

impl Metrics {
    /// Counts a change of a record that was written. `previous` is the record before it.
    pub(crate) fn count_change(&self, previous: Option<&Record>, record: &Record) {
        let is_new = previous.is_none_or(|previous| previous.state != record.state);
        let counter = match record.state {
            _ if !is_new => return,
            State::Submitted => &self.submitted,
            State::Processed => &self.processed,
            State::Failed => &self.failed,
            State::Rejected => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if previous.is_some_and(|previous| previous.state == State::Submitted) {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
        if record.state == State::Processed
            && let Some(lag) = record.processing_lag()
        {
            self.lags.lock().unwrap_or_else(PoisonError::into_inner).push(lag);
        }
    }

    /// Counts a document that is given up.
    pub(crate) fn count_abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a webhook without the right signature.
    pub(crate) fn count_rejected_webhook(&self) {
        self.webhooks_rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Records how many documents are open after a sweep.
    pub(crate) fn set_open(&self, open: u64) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
    }

    /// Returns how many documents this invocation settled: processed, failed.
    pub(crate) fn settled(&self) -> (u64, u64) {
        (self.processed.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Returns how many open documents this invocation settled.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// The lines to print: one, unless it measured very many lags.
    pub(crate) fn lines(&self, dimensions: &Dimensions, now: Timestamp) -> Vec<String> {
        let count = |name, counter: &AtomicU64| Metric::count(name, counter.load(Ordering::Relaxed));
        let mut first = vec![
            count(name::SUBMITTED, &self.submitted),
            count(name::PROCESSED, &self.processed),
            count(name::FAILED, &self.failed),
            count(name::REJECTED, &self.rejected),
            count(name::ABANDONED, &self.abandoned),
            count(name::WEBHOOK_REJECTED, &self.webhooks_rejected),
        ];
        first.extend(
            self.open.lock().unwrap_or_else(PoisonError::into_inner).map(|open| Metric::count(name::OPEN, open)),
        );
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
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
        let [line] = &lines(&metrics)[..] else { panic!("one line") };
        let counts = [&line[name::SUBMITTED], &line[name::PROCESSED], &line[name::FAILED], &line[name::PROCESSING_LAG]];
        assert_eq!(counts, [&json!(1), &json!(1), &json!(0), &json!([1_000])]);
        assert!(line.get(name::OPEN).is_none(), "only a sweep knows how many are open");
    }

    #[test]
    fn a_sweep_tells_how_many_are_open_even_if_none_is() {
        let metrics = Metrics::default();
        metrics.set_open(0);
        assert_eq!(lines(&metrics)[0][name::OPEN], json!(0));
    }
}
