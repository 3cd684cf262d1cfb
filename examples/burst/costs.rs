//! What a run costs: the list prices that docs/deploying.md, "Costs", states with their sources, in US dollars.

use serde::Serialize;

use crate::lambda::LambdaCounts;
use crate::tally::ObjectCounts;

/// Lambda on arm64, a gigabyte for a second.
const GB_SECOND: f64 = 0.000_013_333_4;
/// Lambda, an invocation.
const INVOCATION: f64 = 0.20 / 1e6;
/// SQS, a request.
const SQS_REQUEST: f64 = 0.40 / 1e6;
/// EventBridge, an event of S3.
const EVENT: f64 = 1.00 / 1e6;
/// CloudWatch Logs, a gigabyte.
const LOG_GB: f64 = 0.50;
/// S3, a ListObjectsV2 call.
pub const LIST_CALL: f64 = 0.005 / 1e3;

/// Bytes of log lines: an invocation (the function's summary and metrics, and Lambda's own lines),
const INVOCATION_LOG: f64 = 2_290.0;
/// an object that was forwarded (its part of the request's line),
const FORWARDED_LOG: f64 = 110.0;
/// (both as docs/deploying.md measured them) and an object that was deferred: its line has 342 bytes as text, and JSON around it.
const DEFERRED_LOG: f64 = 450.0;

/// Dollars, by what they are for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Dollars {
    /// Invocations and time.
    pub lambda: f64,
    /// Requests.
    pub sqs: f64,
    /// Events.
    pub eventbridge: f64,
    /// Log lines.
    pub logs: f64,
    /// All of it.
    pub together: f64,
}

impl Dollars {
    /// Returns what a run costs, of which `events` went through EventBridge.
    pub fn new(lambda: &LambdaCounts, gb_seconds: f64, sqs_calls: u64, events: u64, objects: &ObjectCounts) -> Self {
        let invocations = lambda.invocations as f64;
        let (lambda, sqs) = (invocations * INVOCATION + gb_seconds * GB_SECOND, sqs_calls as f64 * SQS_REQUEST);
        let eventbridge = events as f64 * EVENT;
        let deferred = objects.deferred + objects.failed_notices;
        let lines =
            invocations * INVOCATION_LOG + objects.forwarded as f64 * FORWARDED_LOG + deferred as f64 * DEFERRED_LOG;
        let logs = lines / 1e9 * LOG_GB;
        Self { lambda, sqs, eventbridge, logs, together: lambda + sqs + eventbridge + logs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_direct_uploads_that_all_go_through_cost_what_the_guide_says() {
        let lambda = LambdaCounts { invocations: 1_000_000, ..LambdaCounts::default() };
        let objects = ObjectCounts { forwarded: 1_000_000, ..ObjectCounts::default() };
        let dollars = Dollars::new(&lambda, 25_000.0, 0, 0, &objects);
        assert!((dollars.lambda - 0.53).abs() < 0.01, "{dollars:?}");
        assert_eq!((dollars.sqs, dollars.eventbridge), (0.0, 0.0));
        assert!((dollars.together - 1.73).abs() < 0.01, "{dollars:?}");
    }

    #[test]
    fn the_prices_are_those_of_the_guide() {
        let guide = include_str!("../../docs/deploying.md").split_whitespace().collect::<Vec<_>>().join(" ");
        for price in [
            format!("arm64 {GB_SECOND:.10} a GB-second"),
            format!("and {:.2} a million requests", INVOCATION * 1e6),
            format!("SQS {:.2} a million requests", SQS_REQUEST * 1e6),
            format!("EventBridge {:.2} a million S3 events", EVENT * 1e6),
            format!("CloudWatch Logs {LOG_GB:.2} a GB"),
        ] {
            assert!(guide.contains(&price), "{price}");
        }
    }
}
