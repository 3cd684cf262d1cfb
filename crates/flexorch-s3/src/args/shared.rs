//! Options and value parsers that several commands share.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, civil};
use serde::{Deserialize, Serialize};

use flexorch_s3_ingester::event::reconcile::Since;

/// The environment variable that names the default of `--secret`.
pub(super) const SECRET_VARIABLE: &str = "FLEXORCH_S3_SECRET";

/// The secret that describes a connector.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecretOption {
    /// The connector's secret: its name or ARN in Secrets Manager
    #[arg(long, value_name = "ID", env = SECRET_VARIABLE, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) secret: String,
}

/// A text that [`duration`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 250ms, 90s, 15m or 1h")]
pub(super) struct NotADuration;

/// Parses a duration, such as `90s`, `1h 30m` or `PT1H`.
pub(super) fn duration(text: &str) -> Result<Duration, NotADuration> {
    let parsed = text.trim().parse::<SignedDuration>().map_err(|_| NotADuration)?;
    parsed.try_into().map_err(|_| NotADuration)
}

/// Parses a duration in which a day has 24 hours.
pub(super) fn days(text: &str) -> Option<SignedDuration> {
    text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// A text that [`at_most`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 1 to {0}")]
pub(super) struct OutOfRange(usize);

/// Parses a number from 1 to `MOST`.
pub(super) fn at_most<const MOST: usize>(text: &str) -> Result<NonZeroUsize, OutOfRange> {
    text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST).ok_or(OutOfRange(MOST))
}

/// A point in time as typed: a time, a date (its beginning, in UTC), or a duration back from now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    typed: String,
    since: Since,
}

/// A text that is not a [`Moment`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a time such as 2026-01-31T10:00:00Z, a date such as 2026-01-31 (UTC), or a duration back from now such as P30D or PT12H"
)]
pub(crate) struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let typed = text.trim();
        let date = || {
            let midnight = civil::Date::strptime("%Y-%m-%d", typed).ok()?.to_zoned(TimeZone::UTC).ok()?;
            Some(Since::At(midnight.timestamp()))
        };
        let since = date().or_else(|| Since::parse(typed)).ok_or(NotAMoment)?;
        Ok(Self { typed: typed.to_owned(), since })
    }
}

impl Moment {
    /// Returns the text as typed.
    pub(crate) fn typed(&self) -> &str {
        &self.typed
    }

    /// Returns the point in time that it stands for at `now`.
    pub(crate) fn resolve(&self, now: Timestamp) -> Timestamp {
        self.since.resolve(now)
    }
}

/// A point in time as typed, which may also be a number of days back from now, such as `2d`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Past(String);

/// A text that is not a [`Past`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a duration back from now such as 2d, 12h or P30D, a date such as 2026-01-31 (UTC), or a time such as 2026-01-31T10:00:00Z"
)]
pub(crate) struct NotPast;

impl FromStr for Past {
    type Err = NotPast;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let past = Self(text.trim().to_owned());
        past.resolve(Timestamp::UNIX_EPOCH).map(|_| past).ok_or(NotPast)
    }
}

impl Past {
    /// Returns the point in time that it stands for at `now`. A day has 24 hours.
    pub(crate) fn resolve(&self, now: Timestamp) -> Option<Timestamp> {
        let ago = || {
            let ago = days(&self.0).filter(|ago| !ago.is_negative())?;
            Some(now.checked_sub(ago).unwrap_or(Timestamp::MIN))
        };
        self.0.parse::<Moment>().map(|moment| moment.resolve(now)).ok().or_else(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_in_any_usual_form() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("1h 30m", 5400), ("PT1H", 3600), ("0ms", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "15", "-1m", "1 fortnight", "99999999999999999999s"] {
            assert_eq!(duration(text), Err(NotADuration), "{text}");
        }
    }

    #[test]
    fn a_number_has_a_limit_that_the_error_names() {
        assert_eq!(at_most::<100>("100").map(NonZeroUsize::get), Ok(100));
        for text in ["0", "101", "-1", "many"] {
            assert_eq!(at_most::<100>(text).unwrap_err().to_string(), "expected a number from 1 to 100", "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_time_a_date_or_a_duration_back_from_now() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        for (typed, meant) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
            ("P30D", "2026-01-31T00:00:00Z"),
            ("PT12H", "2026-03-01T12:00:00Z"),
        ] {
            assert_eq!(typed.parse::<Moment>().unwrap().resolve(now), meant.parse().unwrap(), "{typed}");
        }
        for wrong in ["yesterday", "2026-13-01", "2026-01-31T10:00:00", "", "-P1D"] {
            assert_eq!(wrong.parse::<Moment>(), Err(NotAMoment), "{wrong}");
        }
    }

    #[test]
    fn a_time_in_the_past_may_also_be_in_days() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        for (typed, meant) in [
            ("2d", "2026-02-28T00:00:00Z"),
            ("90m", "2026-03-01T22:30:00Z"),
            ("1w", "2026-02-23T00:00:00Z"),
            ("P30D", "2026-01-31T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ] {
            assert_eq!(typed.parse::<Past>().unwrap().resolve(now), Some(meant.parse().unwrap()), "{typed}");
        }
        for wrong in ["", "2", "-1d", "1 month", "yesterday"] {
            assert_eq!(wrong.parse::<Past>(), Err(NotPast), "{wrong}");
        }
    }
}
