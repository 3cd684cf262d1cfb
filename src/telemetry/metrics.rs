//! Metrics, in CloudWatch's embedded metric format: JSON lines from which CloudWatch makes metrics without a call (CloudWatch
//! User Guide, "Embedded metric format specification").

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::outcome::Counts;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "FlexOrchIngester";

/// A metric's value may be a list of up to so many numbers in one line (same page).
const VALUES_PER_LINE: usize = 100;

/// What one invocation measures beside its outcomes.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: AtomicU64,
    retries: AtomicU64,
    rate_limited: AtomicU64,
    auth_failures: AtomicU64,
    latencies: Mutex<Vec<u64>>,
    lags: Mutex<Vec<u64>>,
}

impl Metrics {
    /// A request was sent; `again` where it was not the first attempt.
    pub fn count_request(&self, again: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(u64::from(again), Ordering::Relaxed);
    }

    /// FlexOrch answered 429 for its rate limit.
    pub fn count_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// FlexOrch did not accept the API key.
    pub fn count_auth_failure(&self) {
        self.auth_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// FlexOrch answered after this time.
    pub fn record_latency(&self, took: Duration) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(millis(took));
    }

    /// FlexOrch took an object this long after S3 had seen its event.
    pub fn record_lag(&self, lag: Duration) {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).push(millis(lag));
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of them FlexOrch answered 429.
    pub fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }

    /// The lines to print.
    #[must_use]
    pub fn lines(&self, counts: &Counts, extra: Extra, dimensions: &Dimensions, now: SystemTime) -> Vec<String> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut first = vec![
            ("ObjectsReceived", "Count", json!(counts.received)),
            ("ObjectsForwarded", "Count", json!(counts.forwarded)),
            ("ObjectsSkipped", "Count", json!(counts.skipped)),
            ("ObjectsRejected", "Count", json!(counts.rejected)),
            ("ObjectsDeferred", "Count", json!(counts.deferred)),
            ("UnreadableMessages", "Count", json!(extra.unreadable_messages)),
            ("Requests", "Count", json!(read(&self.requests))),
            ("Retries", "Count", json!(read(&self.retries))),
            ("RateLimited", "Count", json!(read(&self.rate_limited))),
            ("AuthFailures", "Count", json!(read(&self.auth_failures))),
            ("SecretFetches", "Count", json!(extra.secret_fetches)),
        ];
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut latencies, mut lags) = (latencies.chunks(VALUES_PER_LINE), lags.chunks(VALUES_PER_LINE));
        let mut lines = Vec::new();
        loop {
            let mut metrics = std::mem::take(&mut first);
            metrics.extend(latencies.next().map(|values| ("RequestLatency", "Milliseconds", json!(values))));
            metrics.extend(lags.next().map(|values| ("IngestLag", "Milliseconds", json!(values))));
            if metrics.is_empty() {
                return lines;
            }
            lines.push(line(metrics, dimensions, now));
        }
    }
}

/// Counts that others keep.
#[derive(Debug, Clone, Copy)]
pub struct Extra {
    /// Messages that could not be read at all.
    pub unreadable_messages: u64,
    /// Calls to Secrets Manager since the last invocation's end, those during the start included.
    pub secret_fetches: u64,
}

/// What the metrics are told apart by.
#[derive(Debug, Clone, Default)]
pub struct Dimensions {
    /// The function's name.
    pub function_name: String,
    /// The invocation, as a property to search logs by; no dimension.
    pub request_id: String,
}

fn line(metrics: Vec<(&str, &str, Value)>, dimensions: &Dimensions, now: SystemTime) -> String {
    let timestamp = millis(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let directive: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut members = Map::new();
    members.insert(
        "_aws".into(),
        json!({
            "Timestamp": timestamp,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": directive}],
        }),
    );
    members.insert("FunctionName".into(), dimensions.function_name.as_str().into());
    members.insert("requestId".into(), dimensions.request_id.as_str().into());
    members.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    Value::Object(members).to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics) -> Vec<Value> {
        let dimensions = Dimensions { function_name: "ingest".into(), request_id: "r-1".into() };
        let lines = metrics.lines(
            &Counts::default(),
            Extra { unreadable_messages: 0, secret_fetches: 1 },
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
        let [line] = &lines(&metrics)[..] else { panic!("one line") };
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], NAMESPACE);
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(!line[metric["Name"].as_str().unwrap()].is_null(), "{metric}");
        }
        assert_eq!(
            (&line["Requests"], &line["Retries"], &line["RequestLatency"]),
            (&json!(2), &json!(1), &json!([12]))
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
