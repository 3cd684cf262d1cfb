//! Time as a value: the sandbox's rules take a [`Moment`], and only the HTTP edge asks the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A point in time, as the time since the Unix epoch. Never goes backwards within one sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// The moment this long after the Unix epoch.
    pub(crate) const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// How long ago `earlier` was; zero where it lies ahead.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since the epoch, with their fraction, as AWS's JSON protocols write a timestamp.
    pub(crate) fn epoch_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// `2026-01-31T12:00:00.250Z`.
    pub(crate) fn rfc3339(self) -> String {
        let of_day = self.0.as_secs() % 86_400;
        format!(
            "{}T{:02}:{:02}:{:02}.{:03}Z",
            self.date(),
            of_day / 3600,
            of_day % 3600 / 60,
            of_day % 60,
            self.0.subsec_millis(),
        )
    }

    /// The day alone, `2026-01-31`, in UTC.
    ///
    /// Written out because it is the only calendar arithmetic in the sandbox: years are counted from March, so that
    /// the leap day is a year's last, in cycles of 400 years (146,097 days).
    pub(crate) fn date(self) -> String {
        let days_since_march_of_year_0 = self.0.as_secs() / 86_400 + 719_468;
        let cycle = days_since_march_of_year_0 / 146_097;
        let day_of_cycle = days_since_march_of_year_0 % 146_097;
        let year_of_cycle =
            (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// The wall clock as it was at the start, carried on by the monotonic one: a change of the machine's time does not
/// move a rate limit's window.
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

    /// Now.
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
    fn dates_are_right_around_leap_days_and_turns_of_the_year() {
        assert_eq!(at(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400).date(), "2000-02-29");
        assert_eq!(at(951_868_800).date(), "2000-03-01");
        assert_eq!(at(1_767_225_599).rfc3339(), "2025-12-31T23:59:59.000Z");
        assert_eq!(at(1_767_225_600).date(), "2026-01-01");
        assert_eq!(at(4_107_542_400).date(), "2100-03-01");
    }

    #[test]
    fn a_moment_that_lies_ahead_is_no_time_ago() {
        assert_eq!(at(5).since(at(9)), Duration::ZERO);
        assert_eq!(at(9).since(at(5)), Duration::from_secs(4));
    }
}
