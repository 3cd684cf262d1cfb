//! The rate of a backfill, and estimates. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

/// The requests per minute of FlexOrch's smaller plans, assumed if FlexOrch does not report the plan's rate.
pub(crate) const SMALL_PLAN: u64 = 60;

/// Returns the requests per minute of a backfill: its share of the plan's, rounded down to leave the rest to the function, but at
/// least one. `None` means no limit.
pub(crate) fn pace(plan: Option<u64>, share_percent: u8) -> Option<NonZeroU32> {
    let mine = plan?.saturating_mul(u64::from(share_percent)) / 100;
    NonZeroU32::new(u32::try_from(mine).unwrap_or(u32::MAX)).or(Some(NonZeroU32::MIN))
}

/// Returns how long requests take at a rate, or `None` without a limit.
pub(crate) fn time_for(requests: u64, pace: Option<NonZeroU32>) -> Option<Duration> {
    Some(Duration::from_secs_f64(requests as f64 * 60.0 / f64::from(pace?.get())))
}

/// Extrapolates how long the rest takes, or returns `None` while nothing is done.
pub(crate) fn time_left(done: u64, rest: u64, took: Duration) -> Option<Duration> {
    (done > 0).then(|| Duration::try_from_secs_f64(took.as_secs_f64() * rest as f64 / done as f64).ok()).flatten()
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

    proptest! {
        #[test]
        fn a_share_leaves_the_rest_of_the_plan_to_others(plan in 1u64..1_000_000, share in 1u8..=100) {
            let mine = u64::from(pace(Some(plan), share).unwrap().get());
            prop_assert!(mine >= 1 && (mine == 1 || mine * 100 <= plan * u64::from(share)));
        }
    }
}
