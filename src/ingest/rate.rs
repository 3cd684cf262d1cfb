//! Limits the rate of requests with one API key, and pauses them after a 429, across invocations. Pure: the time is an argument.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// The window in which the rate holds. It is longer than a minute because requests arrive with varying delays.
const WINDOW: Duration = Duration::from_secs(61);

/// The longest time for which a 429 stops a process, whatever time it named: one wrong `Retry-After` must not stop a process for
/// half a day. After it, one request finds out whether the limit still applies.
pub(crate) const LONGEST_COOL_DOWN: Duration = Duration::from_secs(15 * 60);

/// Decides when the next request with one API key may start.
///
/// It is written by hand because existing rate limiters measure monotonic time, which does not advance while Lambda freezes the
/// process.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    rate: Option<Rate>,
    /// The time at which, by the rate alone, the full burst is available again: the "theoretical arrival time" of the generic
    /// cell rate algorithm (GCRA).
    full_at: SystemTime,
    /// No request starts before this time, because of a 429.
    closed_until: SystemTime,
    /// The time that the 429 named, which may be later than `closed_until`.
    named: SystemTime,
    /// Whether a request was sent before the named time, to find out whether the limit still applies.
    probing: bool,
}

/// A rate as a burst and the time between the requests after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    burst: u32,
    interval: Duration,
}

impl Rate {
    /// At most `per_minute` requests in any minute, the burst included.
    fn new(per_minute: NonZeroU32, burst: u32) -> Self {
        // A burst of more than half of the minute's requests would leave too few to spread over the rest.
        let burst = burst.min(per_minute.get().div_ceil(2)).max(1);
        Self { burst, interval: WINDOW / (per_minute.get() - burst + 1) }
    }
}

/// Why no request may start before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Because of `REQUESTS_PER_MINUTE`.
    Paced,
    /// Because of a 429.
    RateLimited,
}

impl RateLimiter {
    /// Creates a limiter that allows `burst` requests without a pause and, if `per_minute` is given, that many in any minute.
    #[must_use]
    pub fn new(per_minute: Option<NonZeroU32>, burst: u32) -> Self {
        Self {
            rate: per_minute.map(|per_minute| Rate::new(per_minute, burst)),
            full_at: SystemTime::UNIX_EPOCH,
            closed_until: SystemTime::UNIX_EPOCH,
            named: SystemTime::UNIX_EPOCH,
            probing: false,
        }
    }

    /// Changes the rate. Requests that have started count towards the new one.
    pub(crate) fn set_rate(&mut self, per_minute: Option<NonZeroU32>, burst: u32) {
        self.rate = per_minute.map(|per_minute| Rate::new(per_minute, burst));
    }

    /// Returns when the next request may start, and why not earlier.
    #[must_use]
    pub fn opens(&self, now: SystemTime) -> (SystemTime, Closed) {
        let paced = self.rate.map_or(now, |rate| {
            let ahead = rate.interval.saturating_mul(rate.burst - 1);
            self.full_at.checked_sub(ahead).unwrap_or(now).max(now)
        });
        if self.closed_until > paced { (self.closed_until, Closed::RateLimited) } else { (paced, Closed::Paced) }
    }

    /// Records the start of a request and returns `true` if one may start now; otherwise returns `false`.
    pub fn pass(&mut self, now: SystemTime) -> bool {
        if self.opens(now).0 > now {
            return false;
        }
        if let Some(rate) = self.rate {
            self.full_at = self.full_at.max(now) + rate.interval;
        }
        if now < self.named {
            self.probing = true;
            self.closed_until = self.named.min(now + LONGEST_COOL_DOWN);
        }
        true
    }

    /// Records a 429 at `now`: no request starts before `until`, or before `LONGEST_COOL_DOWN` is over if that is earlier.
    pub fn close(&mut self, until: SystemTime, now: SystemTime) {
        self.named = self.named.max(until);
        self.closed_until = self.closed_until.max(until.min(now + LONGEST_COOL_DOWN));
    }

    /// Records a response other than 429. If a probe was sent, the limit no longer applies.
    pub fn was_admitted(&mut self) {
        if std::mem::take(&mut self.probing) {
            self.named = SystemTime::UNIX_EPOCH;
            self.closed_until = SystemTime::UNIX_EPOCH;
        }
    }

    /// Returns when a request may start that has to wait for `waiting` others, for those that will not start in this invocation.
    #[must_use]
    pub(crate) fn turn_of(&self, waiting: u32, now: SystemTime) -> SystemTime {
        let wait = self.rate.map_or(Duration::ZERO, |rate| rate.interval.saturating_mul(waiting));
        self.opens(now).0 + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + Duration::from_millis(millis)
    }

    fn limiter(per_minute: u32, burst: u32) -> RateLimiter {
        RateLimiter::new(NonZeroU32::new(per_minute), burst)
    }

    /// Sends as fast as the limiter allows; returns when each request started, in milliseconds.
    fn starts(limiter: &mut RateLimiter, requests: usize) -> Vec<u64> {
        let mut now = at(0);
        (0..requests)
            .map(|_| {
                now = limiter.opens(now).0;
                assert!(limiter.pass(now));
                u64::try_from(now.duration_since(at(0)).unwrap().as_millis()).unwrap()
            })
            .collect()
    }

    #[test]
    fn without_a_rate_everything_passes() {
        assert!(starts(&mut RateLimiter::new(None, 2), 100).iter().all(|start| *start == 0));
    }

    #[test]
    fn after_a_burst_requests_are_spread_evenly() {
        let starts = starts(&mut limiter(30, 2), 6);
        assert_eq!(starts[..2], [0, 0]);
        let gaps: Vec<_> = starts[1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (2000..2200).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn two_processes_at_30_a_minute_drain_100_requests_in_about_100_seconds_within_60_a_minute() {
        let mut all: Vec<_> = starts(&mut limiter(30, 2), 50);
        all.extend(starts(&mut limiter(30, 2), 50));
        all.sort_unstable();
        for (index, start) in all.iter().enumerate() {
            let in_window = all[index..].iter().filter(|other| **other < start + 60_000).count();
            assert!(in_window <= 60, "{in_window} in the minute from {start}");
        }
        let last = all.last().unwrap();
        assert!((95_000..110_000).contains(last), "{last}");
    }

    #[test]
    fn a_429_stops_requests_until_the_named_time_and_an_earlier_time_does_not_shorten_that() {
        let mut limiter = limiter(600, 2);
        limiter.close(at(5_000), at(0));
        limiter.close(at(1_000), at(0));
        assert_eq!(limiter.opens(at(0)), (at(5_000), Closed::RateLimited));
        assert!(!limiter.pass(at(4_999)));
        assert!(limiter.pass(at(5_000)));
    }

    #[test]
    fn an_absurd_named_time_holds_a_process_back_for_15_minutes_and_then_one_request_probes() {
        let (minutes, day) = (15 * 60_000, 24 * 3_600_000);
        let mut limiter = limiter(600, 4);
        limiter.close(at(day), at(0));
        assert!(!limiter.pass(at(minutes - 1)));
        assert!(limiter.pass(at(minutes)), "one request probes");
        assert!(!limiter.pass(at(minutes)), "and no other");
        assert_eq!(limiter.opens(at(minutes)), (at(2 * minutes), Closed::RateLimited));
        limiter.was_admitted();
        assert!(limiter.pass(at(minutes + 1_000)) && limiter.pass(at(minutes + 1_000)));
    }

    #[test]
    fn a_response_to_an_earlier_request_does_not_end_a_cool_down() {
        let mut limiter = limiter(600, 2);
        assert!(limiter.pass(at(0)));
        limiter.close(at(5_000), at(10));
        limiter.was_admitted();
        assert!(!limiter.pass(at(20)));
    }

    #[test]
    fn a_changed_rate_holds_from_the_next_request_on() {
        let mut limiter = limiter(60, 1);
        assert!(limiter.pass(at(0)));
        limiter.set_rate(NonZeroU32::new(600), 1);
        assert!(limiter.pass(at(1_100)) && !limiter.pass(at(1_150)) && limiter.pass(at(1_250)));
        limiter.set_rate(None, 1);
        assert!(limiter.pass(at(1_250)) && limiter.pass(at(1_250)));
    }

    #[test]
    fn waiting_requests_have_turns_one_interval_apart() {
        let mut limiter = limiter(60, 1);
        assert!(limiter.pass(at(0)));
        let (first, second) = (limiter.turn_of(0, at(0)), limiter.turn_of(1, at(0)));
        assert!(first > at(900) && second.duration_since(first).unwrap() > Duration::from_millis(900));
    }

    proptest! {
        #[test]
        fn no_minute_ever_holds_more_than_the_rate(
            per_minute in 1u32..200,
            burst in 1u32..20,
            pauses in proptest::collection::vec(0u64..90_000, 1..6),
        ) {
            let mut limiter = limiter(per_minute, burst);
            let (mut now, mut all) = (at(0), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                for _ in 0..60 {
                    now = limiter.opens(now).0;
                    prop_assert!(limiter.pass(now));
                    all.push(now);
                }
            }
            for (index, start) in all.iter().enumerate() {
                let end = *start + Duration::from_secs(60);
                let in_window = all[index..].iter().take_while(|other| **other < end).count();
                prop_assert!(in_window <= per_minute as usize, "{} > {}", in_window, per_minute);
            }
        }
    }
}
