//! Metrics, in CloudWatch's embedded metric format: JSON lines from which CloudWatch makes metrics without a call (CloudWatch
//! User Guide, "Embedded metric format specification").

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::model::metrics as names;
use crate::model::outcome::Counts;

/// The most numbers in the list that is a metric's value in one line (same page).
pub const VALUES_PER_LINE: usize = 100;

/// The approximate length of a metric in a line, in bytes.
const BYTES_PER_METRIC: usize = 80;

/// The measurements of one invocation, in addition to its outcomes.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: AtomicU64,
    retries: AtomicU64,
    rate_limited: AtomicU64,
    quota_exceeded: AtomicU64,
    auth_failures: AtomicU64,
    latencies: Mutex<Vec<u64>>,
    lags: Mutex<Vec<u64>>,
    deferred_ages: Mutex<Vec<u64>>,
}

impl Metrics {
    /// Counts a request; `again` if it was not the first attempt.
    pub fn count_request(&self, again: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(u64::from(again), Ordering::Relaxed);
    }

    /// Counts a 429 for the rate limit.
    pub fn count_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a 429 for the month's credits.
    pub fn count_quota_exceeded(&self) {
        self.quota_exceeded.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal of the API key.
    pub fn count_auth_failure(&self) {
        self.auth_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the time until a response.
    pub fn record_latency(&self, took: Duration) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(millis(took));
    }

    /// Records the time from an object's S3 event until FlexOrch accepted it.
    pub fn record_lag(&self, lag: Duration) {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).push(millis(lag));
    }

    /// Records a deferred object's age: the time since its S3 event.
    pub fn record_deferred_age(&self, age: Duration) {
        self.deferred_ages.lock().unwrap_or_else(PoisonError::into_inner).push(millis(age));
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of 429s for the rate limit.
    pub fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }

    /// Returns the number of 429s for the month's credits.
    pub fn quota_exceeded(&self) -> u64 {
        self.quota_exceeded.load(Ordering::Relaxed)
    }

    /// Returns the lines to print.
    #[must_use]
    pub fn lines(&self, counts: &Counts, extra: Extra, dimensions: &Dimensions, now: SystemTime) -> Vec<String> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut first = vec![
            Metric::count(names::OBJECTS_RECEIVED, counts.received),
            Metric::count(names::OBJECTS_FORWARDED, counts.forwarded),
            Metric::count(names::OBJECTS_SKIPPED, counts.skipped),
            Metric::count(names::OBJECTS_REJECTED, counts.rejected),
            Metric::count(names::OBJECTS_DEFERRED, counts.deferred),
            Metric::count(names::OBJECTS_BLOCKED, counts.blocked()),
            Metric::count(names::OBJECTS_PAUSED, counts.paused()),
            Metric::count(names::OBJECTS_UNROUTED, counts.unrouted()),
            Metric::count(names::UNREADABLE_MESSAGES, extra.unreadable_messages),
            Metric::count(names::MESSAGES_RENEWED, extra.messages_renewed),
            Metric::count(names::RECEIPTS_LOST, extra.receipts_lost),
            Metric::count(names::RECONCILE_FOUND, extra.reconcile_found),
            Metric::count(names::RECONCILES_BLOCKED, extra.reconciles_blocked),
            Metric::count(names::REQUESTS, read(&self.requests)),
            Metric::count(names::RETRIES, read(&self.retries)),
            Metric::count(names::RATE_LIMITED, read(&self.rate_limited)),
            Metric::count(names::AUTH_FAILURES, read(&self.auth_failures)),
            Metric::count(names::SECRET_FETCHES, extra.secret_fetches),
        ];
        let timestamp = millis(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ages = self.deferred_ages.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest first, in the line with the counts: the template's metric filters read it there.
        ages.sort_unstable_by(|one, other| other.cmp(one));
        let (mut latencies, mut lags) = (latencies.chunks(VALUES_PER_LINE), lags.chunks(VALUES_PER_LINE));
        let mut ages = ages.chunks(VALUES_PER_LINE);
        let mut lines = Vec::new();
        loop {
            let mut metrics = std::mem::take(&mut first);
            metrics.extend(latencies.next().map(|values| Metric::times(names::REQUEST_LATENCY, values)));
            metrics.extend(lags.next().map(|values| Metric::times(names::INGEST_LAG, values)));
            metrics.extend(ages.next().map(|values| Metric::times(names::DEFERRED_AGE, values)));
            if metrics.is_empty() {
                return lines;
            }
            lines.push(line(&metrics, dimensions, timestamp));
        }
    }
}

/// A metric in one line.
#[derive(Debug)]
pub struct Metric<'a> {
    name: &'static str,
    unit: &'static str,
    value: MetricValue<'a>,
}

#[derive(Debug)]
enum MetricValue<'a> {
    One(u64),
    Several(&'a [u64]),
}

impl<'a> Metric<'a> {
    /// Returns a metric that counts.
    #[must_use]
    pub fn count(name: &'static str, count: u64) -> Self {
        Self { name, unit: "Count", value: MetricValue::One(count) }
    }

    /// Returns a metric of durations, at most [`VALUES_PER_LINE`] of them.
    #[must_use]
    pub fn times(name: &'static str, milliseconds: &'a [u64]) -> Self {
        Self { name, unit: "Milliseconds", value: MetricValue::Several(milliseconds) }
    }
}

/// Writes a line, which declares its metrics and their values. It is formatted by hand, because little of it needs escaping: serializing
/// it field by field took a tenth of a warm event's instructions. `timestamp` is in milliseconds since 1970.
#[must_use]
pub fn line(metrics: &[Metric<'_>], dimensions: &Dimensions, timestamp: u64) -> String {
    // Serializing text never fails.
    let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut line = String::with_capacity(BYTES_PER_METRIC * (metrics.len() + 4));
    let (namespace, dimension) = (names::NAMESPACE, names::DIMENSION);
    line.push_str("{\"_aws\":{\"Timestamp\":");
    push_number(&mut line, timestamp);
    line.extend([",\"CloudWatchMetrics\":[{\"Namespace\":\"", namespace, "\",\"Dimensions\":[[\"", dimension]);
    line.push_str("\"]],\"Metrics\":[");
    for (position, metric) in metrics.iter().enumerate() {
        let separator = if position == 0 { "" } else { "," };
        line.extend([separator, "{\"Name\":\"", metric.name, "\",\"Unit\":\"", metric.unit, "\"}"]);
    }
    line.extend(["]}]},\"", dimension, "\":", &json(&dimensions.function_name)]);
    line.extend([",\"requestId\":", &json(&dimensions.request_id)]);
    for metric in metrics {
        line.extend([",\"", metric.name, "\":"]);
        match metric.value {
            MetricValue::One(value) => push_number(&mut line, value),
            MetricValue::Several(values) => {
                for (position, value) in values.iter().enumerate() {
                    line.push(if position == 0 { '[' } else { ',' });
                    push_number(&mut line, *value);
                }
                line.push(']');
            }
        }
    }
    line.push('}');
    line
}

fn push_number(line: &mut String, number: u64) {
    // Writing to a `String` never fails.
    let _ = write!(line, "{number}");
}

/// Counts that other modules keep.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra {
    /// Messages that could not be read at all.
    pub unreadable_messages: u64,
    /// Messages in whose place a copy or a replacement was sent.
    pub messages_renewed: u64,
    /// Receipts that could not be sent.
    pub receipts_lost: u64,
    /// Objects that a reconcile forwarded and FlexOrch did not know.
    pub reconcile_found: u64,
    /// Listings of reconciles that wait for an operator.
    pub reconciles_blocked: u64,
    /// Calls to Secrets Manager since the last invocation's end, those during the start included.
    pub secret_fetches: u64,
}

/// What identifies the metrics.
#[derive(Debug, Clone, Default)]
pub struct Dimensions {
    /// The function's name.
    pub function_name: String,
    /// The invocation, as a property to search the logs for; not a dimension.
    pub request_id: String,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn lines(metrics: &Metrics) -> Vec<Value> {
        let dimensions = Dimensions { function_name: "ingest".into(), request_id: "r-1".into() };
        let lines = metrics.lines(
            &Counts::default(),
            Extra { secret_fetches: 1, ..Extra::default() },
            &dimensions,
            SystemTime::now(),
        );
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_declares_every_metric_that_it_holds() {
        let metrics = Metrics::default();
        metrics.count_request(false);
        metrics.count_request(true);
        metrics.record_latency(Duration::from_millis(12));
        metrics.record_lag(Duration::from_millis(12));
        metrics.record_deferred_age(Duration::from_millis(12));
        let [line] = &lines(&metrics)[..] else { panic!("one line") };
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], names::NAMESPACE);
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        let declared = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
        let declared: Vec<_> = declared.collect();
        assert_eq!(declared, names::ALL);
        assert!(declared.iter().all(|name| !line[name].is_null()), "{line}");
        assert_eq!(
            (&line["Requests"], &line["Retries"], &line["RequestLatency"]),
            (&json!(2), &json!(1), &json!([12]))
        );
    }

    #[test]
    fn the_oldest_deferred_object_is_first_in_the_line_with_the_counts() {
        let metrics = Metrics::default();
        for age in [5, 900, 30] {
            metrics.record_deferred_age(Duration::from_millis(age));
        }
        let [line] = &lines(&metrics)[..] else { panic!("one line") };
        assert_eq!(line["DeferredAge"], json!([900, 30, 5]));
        assert_eq!(
            (&line["ObjectsBlocked"], &line["ObjectsPaused"], &line["ObjectsUnrouted"]),
            (&json!(0), &json!(0), &json!(0))
        );
    }

    #[test]
    fn more_than_a_hundred_values_go_on_in_further_lines_and_counts_are_told_once() {
        let metrics = Metrics::default();
        (0..250).for_each(|lag| metrics.record_lag(Duration::from_millis(lag)));
        let lines = lines(&metrics);
        let sizes: Vec<_> = lines.iter().map(|line| line["IngestLag"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(lines.iter().filter(|line| !line["ObjectsReceived"].is_null()).count(), 1);
    }
}
