//! What AWS asks for a run: list prices of us-east-1, without free tier, in US dollars, as in docs/deploying.md, "Costs".

use serde::Serialize;

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

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Invocations of the function.
    pub invocations: u64,
    /// Gigabytes times seconds.
    pub gb_seconds: f64,
    /// Calls to SQS.
    pub sqs_calls: u64,
    /// Events of EventBridge.
    pub events: u64,
    /// Objects in an invocation that ended with FlexOrch.
    pub forwarded: u64,
    /// Objects in an invocation that ended with a later try.
    pub deferred: u64,
}

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

impl Usage {
    /// What it costs.
    pub fn dollars(&self) -> Dollars {
        let lambda = self.invocations as f64 * INVOCATION + self.gb_seconds * GB_SECOND;
        let sqs = self.sqs_calls as f64 * SQS_REQUEST;
        let eventbridge = self.events as f64 * EVENT;
        let lines = self.invocations as f64 * INVOCATION_LOG
            + self.forwarded as f64 * FORWARDED_LOG
            + self.deferred as f64 * DEFERRED_LOG;
        let logs = lines / 1e9 * LOG_GB;
        Dollars { lambda, sqs, eventbridge, logs, together: lambda + sqs + eventbridge + logs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_direct_uploads_that_all_go_through_cost_what_the_guide_says() {
        let usage = Usage {
            invocations: 1_000_000,
            gb_seconds: 25_000.0,
            sqs_calls: 0,
            events: 0,
            forwarded: 1_000_000,
            deferred: 0,
        };
        let dollars = usage.dollars();
        assert!((dollars.lambda - 0.53).abs() < 0.01, "{dollars:?}");
        assert_eq!((dollars.sqs, dollars.eventbridge), (0.0, 0.0));
        assert!((dollars.together - 1.73).abs() < 0.01, "{dollars:?}");
    }
}
