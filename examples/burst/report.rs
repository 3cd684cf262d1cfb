//! The figures of a run.

use std::time::SystemTime;

use serde::Serialize;

use crate::agenda::start;
use crate::costs::Dollars;
use crate::flexorch::{FlexOrch, Requests};
use crate::lambda::{Lambda, LambdaCounts};
use crate::queue::{QueueCounts, RetryQueue};
use crate::scenario::{Scenario, Shape};
use crate::tally::{ObjectCounts, Tally};

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub scenario: Scenario,
    pub objects: ObjectCounts,
    pub requests: Requests,
    pub lambda: LambdaCounts,
    pub queue: QueueCounts,
    pub dollars: Dollars,
    /// Objects that wait at the end.
    pub waiting: usize,
    /// From the first upload to the last object.
    pub drained_seconds: f64,
    /// The same for each connector's objects that were forwarded.
    pub drained_seconds_by_connector: Vec<f64>,
    /// The median time from an object's upload to FlexOrch's response.
    pub median_lag_seconds: f64,
    /// Nine of ten sooner.
    pub p90_lag_seconds: f64,
    /// The most requests with one API key in any 60 seconds.
    pub busiest_minute: usize,
    /// Processes that were ever started.
    pub processes_started: usize,
    /// API keys that FlexOrch refused although the secret holds no other: `AuthFailures`.
    pub auth_failures: u64,
    /// Lambda time: gigabytes times seconds.
    pub gb_seconds: f64,
    /// Seconds from the first upload, and objects that wait then.
    #[serde(skip)]
    pub waiting_over_time: Vec<(f64, usize)>,
}

impl Report {
    /// Collects the figures.
    pub fn new(scenario: &Scenario, tally: Tally, flexorch: &FlexOrch, lambda: &Lambda, queue: &RetryQueue) -> Self {
        let mut lags = tally.lags;
        lags.sort_unstable();
        let objects = tally.counts;
        let gb_seconds = lambda.counts.billed.as_secs_f64() * f64::from(scenario.memory_mb) / 1024.0;
        let events = if scenario.shape == Shape::EventBridge { u64::from(scenario.objects) } else { 0 };
        Self {
            scenario: scenario.clone(),
            objects,
            requests: flexorch.requests.clone(),
            lambda: lambda.counts.clone(),
            queue: queue.counts.clone(),
            dollars: Dollars::new(&lambda.counts, gb_seconds, queue.counts.calls, events, &objects),
            waiting: tally.waiting.last().map_or(0, |(_, waiting)| *waiting),
            drained_seconds: seconds(tally.drained),
            drained_seconds_by_connector: tally.drained_by_connector.into_iter().map(seconds).collect(),
            median_lag_seconds: quantile(&lags, 0.5),
            p90_lag_seconds: quantile(&lags, 0.9),
            busiest_minute: flexorch.busiest_minute(),
            processes_started: lambda.started(),
            auth_failures: lambda.auth_failures(),
            gb_seconds,
            waiting_over_time: tally.waiting,
        }
    }
}

/// Returns the seconds from the first upload.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(start()).unwrap_or_default().as_secs_f64()
}

fn quantile(sorted: &[u64], share: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).map_or(0.0, |millis| *millis as f64 / 1000.0)
}
