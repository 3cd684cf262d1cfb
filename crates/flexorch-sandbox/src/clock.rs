//! Time as a value: the sandbox's rules take a [`Moment`], and only the handlers of requests read the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A point in time, as the time since the Unix epoch. Never goes backwards within one sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// Returns the moment this long after the Unix epoch.
    pub(crate) const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Returns how long ago `earlier` was; zero if it is in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the seconds since the epoch with their fraction, the timestamp of AWS's JSON protocols.
    pub(crate) fn epoch_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Returns `2026-01-31T12:00:00.250Z`.
    pub(crate) fn rfc3339(self) -> String {
        format!("{:.3}", self.timestamp())
    }

    /// Returns the beginning of its second.
    pub(crate) fn whole_second(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }

    /// Returns the day in UTC, `2026-01-31`.
    pub(crate) fn date(self) -> String {
        self.timestamp().strftime("%F").to_string()
    }

    fn timestamp(self) -> Timestamp {
        // Fails only beyond the year 9999.
        let since_epoch = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        Timestamp::UNIX_EPOCH.saturating_add(since_epoch).unwrap_or(Timestamp::MAX)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// The wall clock of the start plus the monotonic clock: a change of the machine's time does not move a rate limit's window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Moment,
}

impl Clock {
    /// Reads the machine's time once.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: Moment::from_epoch(since_epoch) }
    }

    /// Returns the present moment.
    pub(crate) fn now(&self) -> Moment {
        self.started_at + self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn moments_are_written_in_utc_with_milliseconds() {
        assert_eq!(at(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Moment::from_epoch(Duration::from_micros(1_250_999)).rfc3339(), "1970-01-01T00:00:01.250Z");
        assert_eq!(at(951_782_400).date(), "2000-02-29");
        assert_eq!(at(1_767_225_599).rfc3339(), "2025-12-31T23:59:59.000Z");
        assert_eq!(at(u64::MAX).date(), "9999-12-30");
    }

    #[test]
    fn a_future_moment_is_zero_time_ago() {
        assert_eq!(at(5).since(at(9)), Duration::ZERO);
        assert_eq!(at(9).since(at(5)), Duration::from_secs(4));
    }
}
