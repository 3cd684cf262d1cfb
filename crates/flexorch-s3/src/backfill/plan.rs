//! How fast a backfill goes, and how long it takes. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

/// What FlexOrch's smaller plans allow in a minute; taken where the plan's rate cannot be asked for.
pub(super) const SMALL_PLAN: u64 = 60;

/// The requests a minute that are a backfill's: a share of the plan's, rounded down so that the rest is left to the function, and
/// at least one. `None`: no limit.
pub(super) fn pace(plan: Option<u64>, share_percent: u8) -> Option<NonZeroU32> {
    let mine = plan?.saturating_mul(u64::from(share_percent)) / 100;
    NonZeroU32::new(u32::try_from(mine).unwrap_or(u32::MAX)).or(Some(NonZeroU32::MIN))
}

/// How long so many requests take at a pace; `None` where nothing holds them back.
pub(super) fn time_for(requests: u64, pace: Option<NonZeroU32>) -> Option<Duration> {
    Some(Duration::from_secs_f64(requests as f64 * 60.0 / f64::from(pace?.get())))
}

/// How long the rest takes if it goes on as it went; `None` while nothing is known.
pub(super) fn time_left(done: u64, rest: u64, took: Duration) -> Option<Duration> {
    (done > 0).then(|| Duration::try_from_secs_f64(took.as_secs_f64() * rest as f64 / done as f64).ok()).flatten()
}

/// A time as people say it, in its two largest units.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => format!("{} ms", time.as_millis()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_of_the_plan_is_a_backfills_and_no_limit_is_none() {
        for (plan, share, mine) in
            [(Some(60), 75, Some(45)), (Some(60), 100, Some(60)), (Some(1), 10, Some(1)), (None, 75, None)]
        {
            assert_eq!(pace(plan, share).map(NonZeroU32::get), mine);
        }
    }

    #[test]
    fn times_are_estimated_from_the_pace_and_from_what_was_seen() {
        assert_eq!(time_for(90, NonZeroU32::new(45)), Some(Duration::from_secs(120)));
        assert_eq!(time_for(90, None), None);
        assert_eq!(time_left(25, 75, Duration::from_secs(10)), Some(Duration::from_secs(30)));
        assert_eq!(time_left(0, 75, Duration::from_secs(10)), None);
    }

    #[test]
    fn times_are_said_in_their_two_largest_units() {
        for (seconds, words) in [(5, "5 s"), (65, "1 min 5 s"), (7_260, "2 h 1 min"), (180_000, "2 d 2 h")] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(12)), "12 ms");
    }

    proptest! {
        #[test]
        fn a_share_leaves_the_rest_of_the_plan_to_others(plan in 1u64..1_000_000, share in 1u8..=100) {
            let mine = u64::from(pace(Some(plan), share).unwrap().get());
            prop_assert!(mine >= 1 && (mine == 1 || mine * 100 <= plan * u64::from(share)));
        }
    }
}
