//! What was in the bucket before: listing it and submitting all of it, by one process at a part of the plan's rate.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use flexorch_s3_ingester::ingest::rate::RateLimiter;

use crate::agenda::start;
use crate::costs::LIST_CALL;
use crate::words::{bytes, dollars, duration, number, row};

/// The most keys in a response of ListObjectsV2 (S3 API Reference, "ListObjectsV2").
const KEYS_A_PAGE: u64 = 1000;
/// Keys in a request: `MAX_KEYS_PER_REQUEST`.
const KEYS_A_REQUEST: u64 = 100;
/// The part of the plan's rate that a backfill uses, so that uploads are still forwarded.
const SHARE: f64 = 0.75;
/// A line of its journal.
const JOURNAL_LINE: f64 = 250.0;
/// Requests that may start together, before they are spread.
const BURST: u32 = 2;

/// One backfill.
#[derive(Debug)]
pub struct Backfill {
    /// Objects in the bucket.
    pub objects: u64,
    /// What the plan allows in a minute.
    pub rpm: NonZeroU32,
    /// Submissions.
    pub requests: u64,
    /// ListObjectsV2 calls.
    pub pages: u64,
    /// The most requests in flight.
    pub in_flight: usize,
    /// From the first request to the last response.
    pub seconds: f64,
}

impl Backfill {
    /// Sends every request through the limiter that the function has. Listing is faster than any plan and hides behind it.
    pub fn new(objects: u64, rpm: NonZeroU32, latency: Duration) -> Self {
        let requests = objects.div_ceil(KEYS_A_REQUEST);
        let rate = NonZeroU32::new((f64::from(rpm.get()) * SHARE) as u32).unwrap_or(NonZeroU32::MIN);
        let mut limiter = RateLimiter::new(Some(rate), BURST);
        let (mut now, mut answers, mut in_flight) = (start(), BinaryHeap::new(), 0);
        for _ in 0..requests {
            now = limiter.opens(now).0;
            limiter.pass(now);
            while answers.peek().is_some_and(|Reverse(answer)| *answer <= now) {
                answers.pop();
            }
            answers.push(Reverse(now + latency));
            in_flight = in_flight.max(answers.len());
        }
        let seconds = (now + latency).duration_since(start()).unwrap_or_default().as_secs_f64();
        Self { objects, rpm, requests, pages: objects.div_ceil(KEYS_A_PAGE), in_flight, seconds }
    }
}

type Column = (&'static str, fn(&Backfill) -> String);

const COLUMNS: &[Column] = &[
    ("objects", |run| number(run.objects)),
    ("plan, requests a minute", |run| number(run.rpm.get().into())),
    ("requests", |run| number(run.requests)),
    ("in flight", |run| number(run.in_flight as u64)),
    ("takes", |run| duration(run.seconds)),
    ("list calls", |run| number(run.pages)),
    ("listing, dollars", |run| dollars(run.pages as f64 * LIST_CALL)),
    ("journal", |run| bytes(run.requests as f64 * JOURNAL_LINE)),
];

/// Writes a table: a thousand to a thousand million objects on each plan.
pub fn table(out: &mut impl Write, plans: &[NonZeroU32], latency: Duration) -> io::Result<()> {
    row(out, COLUMNS.iter().map(|(name, _)| (*name).to_owned()))?;
    row(out, COLUMNS.iter().map(|_| "---:".to_owned()))?;
    for objects in (3..=9).map(|power| 10_u64.pow(power)) {
        for plan in plans {
            let run = Backfill::new(objects, *plan, latency);
            row(out, COLUMNS.iter().map(|(_, figure)| figure(&run)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backfill(objects: u64, rpm: u32) -> Backfill {
        Backfill::new(objects, NonZeroU32::new(rpm).unwrap(), Duration::from_millis(200))
    }

    #[test]
    fn it_takes_three_quarters_of_the_plan_and_no_more() {
        let run = backfill(1_000_000, 60);
        assert_eq!((run.requests, run.pages), (10_000, 1_000));
        let a_minute = run.requests as f64 / run.seconds * 60.0;
        assert!((42.0..=45.0).contains(&a_minute), "{a_minute}");
    }

    #[test]
    fn a_fast_plan_needs_requests_side_by_side() {
        assert_eq!(backfill(100_000, 60).in_flight, 2);
        assert!((14..=17).contains(&backfill(1_000_000, 6_000).in_flight));
    }

    #[test]
    fn nothing_takes_no_request_and_one_object_takes_one() {
        assert_eq!((backfill(0, 60).requests, backfill(0, 60).pages), (0, 0));
        assert_eq!((backfill(1, 60).requests, backfill(1, 60).pages), (1, 1));
    }
}
