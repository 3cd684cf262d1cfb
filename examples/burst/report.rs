//! What a run came to.

use serde::Serialize;

use crate::agenda::start;
use crate::costs::{Dollars, Usage};
use crate::flexorch::FlexOrch;
use crate::lambda::Lambda;
use crate::queue::RetryQueue;
use crate::scenario::{Scenario, Shape};
use crate::tally::Tally;

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was simulated.
    pub scenario: Scenario,
    /// Objects that FlexOrch took.
    pub forwarded: usize,
    /// Objects in the dead-letter queue.
    pub dead: usize,
    /// Objects that are anywhere else at the end.
    pub waiting: usize,
    /// From the first upload to the last object.
    pub drained_seconds: f64,
    /// The median time from an object's upload to FlexOrch's response.
    pub median_lag_seconds: f64,
    /// Nine of ten sooner.
    pub p90_lag_seconds: f64,
    /// Requests that FlexOrch took.
    pub requests_taken: u64,
    /// Requests to which it responded with 429.
    pub rate_limited: u64,
    /// The most requests that came in any 60 seconds.
    pub busiest_minute: usize,
    /// Invocations, for notifications and batches.
    pub invocations: u64,
    /// Those for batches of the retry queue.
    pub batches: u64,
    /// Notifications whose invocation failed.
    pub failed_notices: u64,
    /// Orders to start that Lambda had no room for.
    pub throttled: u64,
    /// The most processes that worked concurrently.
    pub most_processes: usize,
    /// Processes that were ever started.
    pub processes_started: usize,
    /// Messages received, each time.
    pub receives: u64,
    /// The most receives of one message.
    pub most_receives: u16,
    /// Calls to SQS that are paid for.
    pub sqs_calls: u64,
    /// Lambda time: gigabytes times seconds.
    pub gb_seconds: f64,
    /// What AWS asks.
    pub dollars: Dollars,
    /// Seconds from the first upload, and objects that wait then.
    #[serde(skip)]
    pub waiting_over_time: Vec<(f64, usize)>,
}

impl Report {
    /// Collects the figures.
    pub fn new(scenario: &Scenario, tally: &Tally, flexorch: &FlexOrch, lambda: &Lambda, queue: &RetryQueue) -> Self {
        let mut lags = tally.lags.clone();
        lags.sort_unstable();
        let gb_seconds = lambda.billed.as_secs_f64() * f64::from(scenario.memory_mb) / 1024.0;
        let usage = Usage {
            invocations: lambda.invocations,
            gb_seconds,
            sqs_calls: queue.calls,
            events: if scenario.shape == Shape::EventBridge { u64::from(scenario.objects) } else { 0 },
            forwarded: tally.forwarded as u64,
            deferred: tally.deferred + tally.failed_notices,
        };
        Self {
            scenario: scenario.clone(),
            forwarded: tally.forwarded,
            dead: tally.dead,
            waiting: tally.waiting.last().map_or(0, |(_, waiting)| *waiting),
            drained_seconds: tally.drained.duration_since(start()).unwrap_or_default().as_secs_f64(),
            median_lag_seconds: quantile(&lags, 0.5),
            p90_lag_seconds: quantile(&lags, 0.9),
            requests_taken: flexorch.taken,
            rate_limited: flexorch.rate_limited,
            busiest_minute: flexorch.busiest_minute,
            invocations: lambda.invocations,
            batches: lambda.batches,
            failed_notices: tally.failed_notices,
            throttled: lambda.throttled,
            most_processes: lambda.most_at_once,
            processes_started: lambda.started(),
            receives: queue.received,
            most_receives: queue.most_receives(),
            sqs_calls: queue.calls,
            gb_seconds,
            dollars: usage.dollars(),
            waiting_over_time: tally.waiting.clone(),
        }
    }
}

fn quantile(sorted: &[u32], share: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).map_or(0.0, |millis| f64::from(*millis) / 1000.0)
}
