//! When a failed request is tried again, and when it is not: backoff within the invocation's time. Pure.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// The first wait is somewhere up to this,
const BASE: Duration = Duration::from_millis(200);
/// and no wait of our own choosing is longer than this.
const CAP: Duration = Duration::from_secs(5);

/// A message comes back after this, where nobody named a time,
const FIRST_RETURN: Duration = Duration::from_secs(30);
/// doubling with every receive up to this.
const LAST_RETURN: Duration = Duration::from_secs(15 * 60);

/// How often one request is tried in one invocation.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// `MAX_ATTEMPTS`.
    pub max_attempts: NonZeroU32,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Another attempt at this time.
    RetryAt(SystemTime),
    /// No other attempt in this invocation; one makes sense from this time on, where it is known.
    GiveUp {
        /// The time that FlexOrch named.
        not_before: Option<SystemTime>,
    },
}

impl RetryPolicy {
    /// Decides after `attempts` attempts. A time that FlexOrch named is obeyed; otherwise the wait is drawn evenly from zero to
    /// the exponential bound ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter"). `random` is in `0.0..1.0`;
    /// `latest` is when an attempt can start at the latest.
    #[must_use]
    pub fn after_failure(
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
        let next = retry_at.map_or(next, |told| told.max(now));
        if next > latest { NextStep::GiveUp { not_before: retry_at } } else { NextStep::RetryAt(next) }
    }
}

/// The wait after so many failed attempts, without a time that FlexOrch named.
#[must_use]
pub fn backoff(attempts: u32, random: f64) -> Duration {
    let bound = BASE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(CAP);
    bound.mul_f64(random.clamp(0.0, 1.0))
}

/// So often does a message come back at the times that FlexOrch names. A rate limit names the next minute, and again the next:
/// a queue that gives up after 120 receives would give up after two hours of overload.
const TOLD_RETURNS: u32 = 20;

/// How long a deferred SQS message stays hidden: until the time that FlexOrch named, or else 30 s, doubling with every receive
/// up to 15 minutes, give or take a fifth so that a burst does not come back as one. A message that came back at named times for
/// twenty receives waits for the later of both from then on, beginning at 30 s.
#[must_use]
pub fn visibility_timeout(
    not_before: Option<SystemTime>,
    receive_count: u32,
    now: SystemTime,
    random: f64,
) -> Duration {
    let doubling = |receives: u32| {
        let doubled = FIRST_RETURN.saturating_mul(1 << receives.saturating_sub(1).min(16)).min(LAST_RETURN);
        Duration::from_secs(doubled.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0)).as_secs_f64().round() as u64)
    };
    let Some(time) = not_before else { return doubling(receive_count) };
    // A whole second more rather than a try too early; SQS counts in seconds.
    let told = Duration::from_secs(time.duration_since(now).unwrap_or_default().as_secs_f64().ceil() as u64);
    match receive_count.checked_sub(TOLD_RETURNS) {
        None | Some(0) => told,
        Some(beyond) => told.max(doubling(beyond)),
    }
}

/// The time within which an invocation works.
///
/// Expected durations are learned from FlexOrch's answers: a request that would most likely be cut off is not started, as nobody
/// would know what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// When all requests must have ended.
    pub end: SystemTime,
    /// `REQUEST_TIMEOUT_MS`.
    pub request_timeout: Duration,
    /// How long a request usually takes; zero where nothing is known yet.
    pub usual: Duration,
}

/// Less time than this is no time for a request.
const LEAST: Duration = Duration::from_millis(50);

impl Budget {
    /// When a request can start at the latest, and still end in time.
    #[must_use]
    pub fn latest_start(&self) -> SystemTime {
        let needed = self.usual.max(LEAST).min(self.request_timeout.max(LEAST));
        self.end.checked_sub(needed).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// How long a request that starts at `now` may take; `None` where it is too late for one.
    #[must_use]
    pub fn timeout_at(&self, now: SystemTime) -> Option<Duration> {
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
    fn a_told_time_is_obeyed_where_it_fits() {
        assert_eq!(policy(4).after_failure(1, Some(at(3)), at(0), at(10), 0.5), NextStep::RetryAt(at(3)));
        assert_eq!(policy(4).after_failure(1, Some(at(0)), at(5), at(10), 0.5), NextStep::RetryAt(at(5)));
    }

    #[test]
    fn a_told_time_that_does_not_fit_is_a_reason_to_defer_at_once() {
        assert_eq!(
            policy(4).after_failure(1, Some(at(11)), at(0), at(10), 0.5),
            NextStep::GiveUp { not_before: Some(at(11)) }
        );
    }

    #[test]
    fn after_the_last_attempt_there_is_no_other() {
        assert_eq!(policy(2).after_failure(2, None, at(0), at(10), 0.0), NextStep::GiveUp { not_before: None });
    }

    #[test]
    fn a_message_comes_back_after_30_seconds_doubling_to_15_minutes() {
        for (receives, seconds) in [(0, 30), (1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (40, 900)] {
            assert_eq!(visibility_timeout(None, receives, at(0), 0.5), Duration::from_secs(seconds), "{receives}");
        }
        assert_eq!(visibility_timeout(None, 1, at(0), 0.0), Duration::from_secs(24));
        assert_eq!(visibility_timeout(None, 1, at(0), 1.0), Duration::from_secs(36));
        assert_eq!(visibility_timeout(Some(at(77)), 9, at(0), 0.9), Duration::from_secs(77));
        assert_eq!(visibility_timeout(Some(at(0)), 9, at(5), 0.9), Duration::ZERO);
    }

    #[test]
    fn a_message_that_keeps_coming_back_at_named_times_comes_less_often_in_the_end() {
        let hidden = |receives| visibility_timeout(Some(at(40)), receives, at(0), 0.5).as_secs();
        assert_eq!([1, 19, 20, 21, 22, 23, 26, 119].map(hidden), [40, 40, 40, 40, 60, 120, 900, 900]);
        assert_eq!(visibility_timeout(Some(at(3_600)), 119, at(0), 0.5), Duration::from_secs(3_600));
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
        fn a_message_is_never_hidden_longer_than_18_minutes_of_our_own_choosing(receives in any::<u32>(), random in 0.0f64..1.0) {
            let hidden = visibility_timeout(None, receives, at(0), random);
            prop_assert!(hidden >= Duration::from_secs(24) && hidden <= Duration::from_secs(1080));
        }
    }
}
