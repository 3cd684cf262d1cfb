//! Decides whether and when a failed request is tried again, and how long a deferred message stays hidden. Pure.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use crate::model::outcome::{DeferClass, Deferral};

/// The bound of the first wait.
const BASE: Duration = Duration::from_millis(200);
/// The bound of every later wait that FlexOrch did not name.
const CAP: Duration = Duration::from_secs(5);

/// The usual visibility timeout after the first receive.
const FIRST_RETURN: Duration = Duration::from_secs(30);
/// The usual visibility timeout after many receives.
const LAST_RETURN: Duration = Duration::from_secs(15 * 60);

/// The longest visibility timeout that is set. SQS allows 12 hours in total, counted from the receive, and refuses more (SQS Developer
/// Guide, "Amazon SQS visibility timeout"); the receive is as long ago as the batch window and the function take.
pub(crate) const LONGEST_HIDDEN: Duration = Duration::from_secs((11 * 60 + 30) * 60);
/// The longest visibility timeout after a 429, whose limit is per minute.
pub(crate) const LONGEST_HIDDEN_BY_RATE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Limits how often one request is sent in one invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// `MAX_ATTEMPTS`, the first attempt included.
    pub max_attempts: NonZeroU32,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Send the request again at this time.
    RetryAt(SystemTime),
    /// Do not send it again in this invocation.
    GiveUp {
        /// The time that FlexOrch named, from which another attempt makes sense.
        not_before: Option<SystemTime>,
    },
}

impl RetryPolicy {
    /// Decides after `attempts` attempts. A time that FlexOrch named is respected; otherwise the wait is drawn evenly from zero to
    /// the exponential bound ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter"). `random` is in `0.0..1.0`;
    /// `latest` is the latest time at which an attempt can start.
    #[must_use]
    pub(crate) fn after_failure(
        &self,
        attempts: u32,
        retry_at: Option<SystemTime>,
        now: SystemTime,
        latest: SystemTime,
        random: f64,
    ) -> NextStep {
        if attempts >= self.max_attempts.get() {
            return NextStep::GiveUp { not_before: retry_at };
        }
        let next = now + backoff(attempts, random);
        let next = retry_at.map_or(next, |named| named.max(now));
        if next > latest { NextStep::GiveUp { not_before: retry_at } } else { NextStep::RetryAt(next) }
    }
}

/// Returns the wait after this many failed attempts if FlexOrch named no time. `random` is in `0.0..1.0`.
#[must_use]
pub fn backoff(attempts: u32, random: f64) -> Duration {
    let bound = BASE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(CAP);
    bound.mul_f64(random.clamp(0.0, 1.0))
}

/// Returns how long a deferred SQS message stays hidden: until the time that FlexOrch named, otherwise for the `usual_return`.
///
/// A named time that has passed means "now" only for a rate limit, whose next request is then allowed; otherwise it is ignored. After
/// exhausted attempts the message never returns sooner than usual, because the named time has been tried. It is never
/// hidden for longer than `LONGEST_HIDDEN`, and after a 429 for no longer than `LONGEST_HIDDEN_BY_RATE_LIMIT`.
#[must_use]
pub fn visibility_timeout(deferral: &Deferral, receive_count: u32, now: SystemTime, random: f64) -> Duration {
    let usual = usual_return(receive_count, random);
    let is_turn = matches!(deferral.class, DeferClass::RateLimited | DeferClass::Paced);
    // SQS counts in seconds: round up rather than return too early.
    let until = |time: SystemTime| {
        Duration::from_secs(time.duration_since(now).unwrap_or_default().as_secs_f64().ceil() as u64)
    };
    let named = deferral.not_before.map(until).filter(|wait| is_turn || !wait.is_zero());
    let hidden = match named {
        Some(wait) if deferral.attempts_exhausted => wait.max(usual),
        Some(wait) => wait,
        None => usual,
    };
    if deferral.class != DeferClass::RateLimited {
        return hidden.min(LONGEST_HIDDEN);
    }
    match hidden.checked_sub(LONGEST_HIDDEN_BY_RATE_LIMIT) {
        // Mirrors the upper half of the jitter: if it were cut off, half of a burst would return in the same second.
        Some(beyond) if hidden == usual => LONGEST_HIDDEN_BY_RATE_LIMIT - beyond,
        Some(_) => LONGEST_HIDDEN_BY_RATE_LIMIT,
        None => hidden,
    }
}

/// Returns how long a deferred message stays hidden if FlexOrch named no time: 30 s, doubling with every receive up to 15 minutes, ± 20 % so
/// that a burst does not return as one. `random` is in `0.0..1.0`.
#[must_use]
pub(crate) fn usual_return(receive_count: u32, random: f64) -> Duration {
    let doubled = FIRST_RETURN.saturating_mul(1 << receive_count.saturating_sub(1).min(16)).min(LAST_RETURN);
    Duration::from_secs(doubled.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0)).as_secs_f64().round() as u64)
}

/// The time that an invocation has for requests.
///
/// The usual duration is learned from FlexOrch's responses: a request that would most likely be cut off is not started, because its
/// result would be unknown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// When all requests must have ended.
    pub end: SystemTime,
    /// `REQUEST_TIMEOUT_MS`.
    pub request_timeout: Duration,
    /// How long a request usually takes; zero if nothing is known yet.
    pub usual: Duration,
}

/// The shortest time for which a request is started.
const LEAST: Duration = Duration::from_millis(50);

impl Budget {
    /// Returns the latest time at which a request can start and still end in time.
    #[must_use]
    pub(crate) fn latest_start(&self) -> SystemTime {
        let needed = self.usual.max(LEAST).min(self.request_timeout.max(LEAST));
        self.end.checked_sub(needed).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns how long a request that starts at `now` may take; `None` if it is too late to start one.
    #[must_use]
    pub(crate) fn timeout_at(&self, now: SystemTime) -> Option<Duration> {
        if now > self.latest_start() {
            return None;
        }
        Some(self.end.duration_since(now).unwrap_or_default().min(self.request_timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn policy(max_attempts: u32) -> RetryPolicy {
        RetryPolicy { max_attempts: NonZeroU32::new(max_attempts).unwrap() }
    }

    #[test]
    fn a_named_time_is_respected_if_it_fits() {
        assert_eq!(policy(4).after_failure(1, Some(at(3)), at(0), at(10), 0.5), NextStep::RetryAt(at(3)));
        assert_eq!(policy(4).after_failure(1, Some(at(0)), at(5), at(10), 0.5), NextStep::RetryAt(at(5)));
    }

    #[test]
    fn a_named_time_that_does_not_fit_defers_immediately() {
        assert_eq!(
            policy(4).after_failure(1, Some(at(11)), at(0), at(10), 0.5),
            NextStep::GiveUp { not_before: Some(at(11)) }
        );
    }

    #[test]
    fn after_the_last_attempt_there_is_no_other() {
        assert_eq!(policy(2).after_failure(2, None, at(0), at(10), 0.0), NextStep::GiveUp { not_before: None });
    }

    fn deferral(class: DeferClass, not_before: Option<SystemTime>, attempts_exhausted: bool) -> Deferral {
        Deferral { class, detail: "x".into(), code: None, connector: None, not_before, attempts_exhausted }
    }

    /// Seconds that a message is hidden, for a deferral seen at 0 with the middle of the jitter.
    fn hidden(class: DeferClass, named: Option<u64>, exhausted: bool, receives: u32) -> u64 {
        visibility_timeout(&deferral(class, named.map(at), exhausted), receives, at(0), 0.5).as_secs()
    }

    const UNAVAILABLE: DeferClass = DeferClass::Unavailable;
    const RATE_LIMITED: DeferClass = DeferClass::RateLimited;

    #[test]
    fn a_message_returns_after_30_seconds_doubling_to_15_minutes() {
        for (receives, seconds) in [(0, 30), (1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (40, 900)] {
            assert_eq!(hidden(UNAVAILABLE, None, false, receives), seconds, "{receives}");
        }
        assert_eq!(usual_return(1, 0.0), Duration::from_secs(24));
        assert_eq!(usual_return(1, 1.0), Duration::from_secs(36));
    }

    #[test]
    fn a_message_returns_at_the_named_time_however_often_it_was_received() {
        for receives in [1, 9, 21, 119] {
            assert_eq!(hidden(UNAVAILABLE, Some(77), false, receives), 77, "{receives}");
            assert_eq!(hidden(RATE_LIMITED, Some(40), false, receives), 40, "{receives}");
        }
    }

    #[test]
    fn a_named_time_that_has_passed_means_now_for_a_rate_limit_and_is_ignored_otherwise() {
        let passed = |class| visibility_timeout(&deferral(class, Some(at(0)), false), 2, at(5), 0.5).as_secs();
        assert_eq!([RATE_LIMITED, DeferClass::Paced].map(passed), [0, 0]);
        assert_eq!([UNAVAILABLE, DeferClass::QuotaExceeded].map(passed), [60, 60]);
    }

    #[test]
    fn after_exhausted_attempts_a_message_never_returns_sooner_than_usual() {
        for class in [UNAVAILABLE, RATE_LIMITED] {
            assert_eq!([0, 1, 59].map(|named| hidden(class, Some(named), true, 2)), [60, 60, 60], "{class:?}");
            assert_eq!(hidden(class, Some(61), true, 2), 61, "{class:?}");
        }
    }

    #[test]
    fn no_message_is_hidden_for_longer_than_sqs_allows_or_after_a_429_for_longer_than_15_minutes() {
        for exhausted in [false, true] {
            for (named, most) in [(41_399, 41_399), (41_400, 41_400), (41_401, 41_400), (2_592_000, 41_400)] {
                assert_eq!(hidden(DeferClass::QuotaExceeded, Some(named), exhausted, 1), most, "{named}");
            }
            for (named, most) in [(899, 899), (901, 900), (43_200, 900)] {
                assert_eq!(hidden(RATE_LIMITED, Some(named), exhausted, 1), most, "{named}");
            }
        }
    }

    #[test]
    fn the_jitter_after_a_429_stays_below_15_minutes_and_stays_jitter() {
        let hidden = |random| visibility_timeout(&deferral(RATE_LIMITED, None, true), 9, at(0), random).as_secs();
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(hidden), [720, 810, 900, 810, 720]);
    }

    #[test]
    fn no_request_starts_that_cannot_end() {
        let budget = Budget { end: at(10), request_timeout: Duration::from_secs(4), usual: Duration::from_secs(2) };
        assert_eq!(budget.timeout_at(at(0)), Some(Duration::from_secs(4)));
        assert_eq!(budget.timeout_at(at(8)), Some(Duration::from_secs(2)));
        assert_eq!(budget.timeout_at(at(9)), None);
        assert_eq!(budget.timeout_at(at(11)), None);
    }

    proptest! {
        #[test]
        fn backoff_grows_and_stays_within_its_bounds(attempts in 1u32..100, random in 0.0f64..1.0) {
            let wait = backoff(attempts, random);
            prop_assert!(wait <= CAP);
            prop_assert!(wait <= backoff(attempts, 1.0) && backoff(attempts, 1.0) <= backoff(attempts + 1, 1.0));
        }

        #[test]
        fn a_message_is_never_hidden_longer_than_18_minutes_if_no_time_is_named(receives in any::<u32>(), random in 0.0f64..1.0) {
            let hidden = usual_return(receives, random);
            prop_assert!(hidden >= Duration::from_secs(24) && hidden <= Duration::from_secs(1080));
        }

        #[test]
        fn no_visibility_timeout_is_one_that_sqs_refuses(
            receives in any::<u32>(), random in 0.0f64..1.0, named in proptest::option::of(any::<u32>()), exhausted in any::<bool>(),
        ) {
            for class in [UNAVAILABLE, RATE_LIMITED, DeferClass::Paced, DeferClass::QuotaExceeded] {
                let deferral = deferral(class, named.map(|named| at(named.into())), exhausted);
                let hidden = visibility_timeout(&deferral, receives, at(0), random);
                prop_assert!(hidden <= LONGEST_HIDDEN);
                prop_assert!(class != RATE_LIMITED || hidden <= LONGEST_HIDDEN_BY_RATE_LIMIT);
                prop_assert!(!exhausted || hidden >= usual_return(receives, 0.0));
            }
        }
    }
}
