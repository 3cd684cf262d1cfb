//! The rate of a backfill, what it costs, and estimates. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::management::{CallError, Credits, Documents, credits_for};
use crate::text::counted;

/// The requests per minute of FlexOrch's smaller plans, assumed if FlexOrch does not report the plan's rate.
pub(crate) const SMALL_PLAN: u64 = 60;

/// A rate is measured for this long before it is believed: a run begins with as many requests as may be in flight.
const MEASURED: Duration = Duration::from_secs(60);

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

/// Returns the requests per minute that a run keeps, given how many it has sent.
pub(crate) fn per_minute(requests: u64, took: Duration, pace: Option<NonZeroU32>) -> f64 {
    let measured = requests as f64 * 60.0 / took.as_secs_f64().max(0.001);
    match pace.map(|pace| f64::from(pace.get())) {
        Some(pace) if took < MEASURED && requests == 0 => pace,
        Some(pace) if took < MEASURED => measured.min(pace),
        _ => measured,
    }
}

/// Extrapolates how long the rest of the objects takes at a rate, given how many were settled by how many requests. `None` while none
/// is.
pub(crate) fn time_left(rest: u64, settled: u64, requests: u64, per_minute: f64) -> Option<Duration> {
    let objects_per_minute = per_minute * settled as f64 / requests.max(1) as f64;
    Duration::try_from_secs_f64(rest as f64 * 60.0 / objects_per_minute).ok()
}

/// Says what some objects need of the credits that are left; without their number, how many documents the credits are enough for.
pub(crate) fn credits_words(credits: &Result<Credits, CallError>, objects: Option<u64>) -> String {
    let credits = match credits {
        Ok(credits) if credits.unlimited => return "no limit".to_owned(),
        Ok(credits) => credits,
        Err(error) => return format!("unknown ({error})"),
    };
    let Some((left, Documents { at_least, at_most })) = credits.remaining.zip(credits.documents()) else {
        return "unknown (FlexOrch names no limit)".to_owned();
    };
    let of = credits.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let Some(objects) = objects else {
        return format!("{left}{of} left, enough for about {at_least} to {at_most} documents");
    };
    let (least, most) = credits_for(objects);
    let enough = match left {
        left if left < least => "; not enough",
        left if left < most => "; perhaps not enough",
        _ => "",
    };
    let need = if objects == 1 { "needs" } else { "need" };
    format!("{left}{of} left; {} {need} about {least} to {most}{enough}", counted(objects, "object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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
        assert_eq!(time_left(9_000, 1_000, 10, 45.0), Some(Duration::from_secs(120)));
        assert_eq!(time_left(9_000, 0, 10, 45.0), None);
    }

    #[test]
    fn the_requests_at_the_beginning_of_a_run_do_not_make_it_look_faster_than_its_pace() {
        let pace = NonZeroU32::new(45);
        assert_eq!(per_minute(2, Duration::from_millis(250), pace) as u32, 45);
        assert_eq!(per_minute(2, Duration::from_millis(250), None) as u32, 480);
        assert_eq!(per_minute(0, Duration::from_millis(250), pace) as u32, 45);
        assert_eq!(per_minute(1, Duration::from_secs(30), pace) as u32, 2);
        assert_eq!(per_minute(120, Duration::from_secs(120), pace) as u32, 60, "measured");
    }

    #[test]
    fn credits_are_compared_with_what_the_objects_need() {
        let credits = Ok(Credits::from_json(&json!({"credits_remaining": 700, "credits_limit": 1200})));
        for (objects, words) in [
            (None, "700 of 1200 left, enough for about 233 to 700 documents"),
            (Some(1), "700 of 1200 left; 1 object needs about 1 to 3"),
            (Some(500), "700 of 1200 left; 500 objects need about 500 to 1500; perhaps not enough"),
            (Some(10_000), "700 of 1200 left; 10000 objects need about 10000 to 30000; not enough"),
        ] {
            assert_eq!(credits_words(&credits, objects), words);
        }
        assert_eq!(credits_words(&Ok(Credits::from_json(&json!({"unlimited": true}))), Some(1)), "no limit");
        assert!(credits_words(&Ok(Credits::default()), Some(1)).starts_with("unknown"));
    }

    proptest! {
        #[test]
        fn a_share_leaves_the_rest_of_the_plan_to_others(plan in 1u64..1_000_000, share in 1u8..=100) {
            let mine = u64::from(pace(Some(plan), share).unwrap().get());
            prop_assert!(mine >= 1 && (mine == 1 || mine * 100 <= plan * u64::from(share)));
        }
    }
}
