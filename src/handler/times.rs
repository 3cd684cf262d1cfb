//! The time limits of the parts of one invocation. Pure.

use std::time::{Duration, SystemTime};

/// Work ends this long before the response is due. Timers fire late if the processor is shared: a function with little memory gets its
/// share of every 100 ms, and may have to wait for the next.
const SLACK: Duration = Duration::from_millis(150);

/// The longest time to write the line of an object that was not forwarded, or to build the part of a receipt for one that was, on a whole
/// core.
const WRITING_PER_OBJECT: Duration = Duration::from_micros(10);
/// The longest time to build and send an object's part of the response, on a whole core.
const RESPONDING_PER_OBJECT: Duration = Duration::from_micros(10);

/// Writing all lines takes at most this many times as long as reading the event did. On a share of a core everything takes longer by the
/// same factor (14 at 128 MB), and the time for reading is the only measure of that factor.
const WRITING_BY_READING: u32 = 4;
/// Responding takes at most this many times as long as reading the event did.
const RESPONDING_BY_READING: u32 = 1;
/// Writing and responding each get at most 1 in this many of the time, so that some is left for the work itself. What does not fit is not
/// written.
const LARGEST_PART: u32 = 3;

/// Dead letters, copies and visibility timeouts, which follow FlexOrch's responses, get 1 in this many of the time; so do receipts.
const SETTLING_SHARE: u32 = 10;
/// The most time that each of the two gets.
const MOST_SETTLING: Duration = Duration::from_secs(2);

/// Fetching secrets takes at most this share of an invocation's time, and at most [`MOST_FETCHING`], so that a fetch that hangs leaves
/// time for the other connectors.
const FETCHING_SHARE: f64 = 0.4;
/// See [`FETCHING_SHARE`].
const MOST_FETCHING: Duration = Duration::from_secs(6);

/// The times of one invocation.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When secrets must have been fetched.
    pub secrets_end: SystemTime,
    /// When requests to FlexOrch must have ended.
    pub work_end: SystemTime,
    /// When objects and records must be in the dead-letter queue: receipts, which state the objects' outcomes, are sent after it.
    pub letters_end: SystemTime,
    /// When everything except the response must have ended: after it, no call begins and no object's line is written.
    pub answer_end: SystemTime,
}

/// The amount of work of an invocation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Objects that the event names.
    pub objects: usize,
    /// Whether dead letters or visibility timeouts may follow FlexOrch's responses.
    pub settles: bool,
    /// Whether receipts are sent after FlexOrch's responses.
    pub sends_receipts: bool,
    /// How long it took to read the event, which tells how fast the process is now.
    pub read_in: Duration,
}

impl Times {
    /// Returns the times of an invocation that begins `now`, is ended by Lambda at `deadline` and responds `margin` earlier
    /// (`DEADLINE_MARGIN_MS`).
    #[must_use]
    pub fn new(now: SystemTime, deadline: SystemTime, margin: Duration, load: Load) -> Self {
        let objects = u32::try_from(load.objects).unwrap_or(u32::MAX);
        let due = deadline.checked_sub(margin + SLACK).unwrap_or(now).max(now);
        let whole = due.duration_since(now).unwrap_or_default();
        let reserve = |per_object: Duration, by_reading: u32| {
            let usual = per_object.saturating_mul(objects);
            usual.max(load.read_in.saturating_mul(by_reading)).min(whole / LARGEST_PART)
        };
        let answer_end = due - reserve(RESPONDING_PER_OBJECT, RESPONDING_BY_READING);
        let left = answer_end.duration_since(now).unwrap_or_default();
        let share = (left / SETTLING_SHARE).min(MOST_SETTLING);
        let settling = if load.settles { share } else { Duration::ZERO };
        let receipts = if load.sends_receipts { share } else { Duration::ZERO };
        let writing = reserve(WRITING_PER_OBJECT, WRITING_BY_READING);
        let fetching = left.mul_f64(FETCHING_SHARE).min(MOST_FETCHING);
        Self {
            secrets_end: now + fetching,
            work_end: answer_end.checked_sub(receipts + settling + writing).unwrap_or(now).max(now),
            letters_end: answer_end - receipts,
            answer_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARGIN: Duration = Duration::from_secs(1);

    /// Milliseconds between an invocation's begin and the ends of its parts: work, everything.
    fn ends(deadline: u64, load: Load) -> (u128, u128) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let times = Times::new(now, now + Duration::from_secs(deadline), MARGIN, load);
        let since = |end: SystemTime| end.duration_since(now).unwrap().as_millis();
        (since(times.work_end), since(times.answer_end))
    }

    #[test]
    fn a_single_object_has_nearly_all_of_the_time() {
        assert_eq!(ends(30, Load { objects: 1, ..Load::default() }), (28_849, 28_849));
        assert_eq!(ends(30, Load { objects: 1, settles: true, ..Load::default() }), (26_849, 28_849));
    }

    #[test]
    fn many_objects_end_earlier_and_on_a_part_of_a_core_earlier_still() {
        let load = |read_in| Load {
            objects: 10_000,
            settles: true,
            read_in: Duration::from_millis(read_in),
            ..Load::default()
        };
        assert_eq!(ends(30, load(20)), (26_650, 28_750));
        assert_eq!(ends(30, load(500)), (24_350, 28_350));
        assert_eq!(ends(30, load(60_000)), (7_693, 19_233));
    }

    #[test]
    fn receipts_have_time_that_dead_letters_do_not_take() {
        let load = |settles| Load { objects: 1, settles, sends_receipts: true, ..Load::default() };
        assert_eq!(ends(30, load(false)), (26_849, 28_849));
        assert_eq!(ends(30, load(true)), (24_849, 28_849));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let times = Times::new(now, now + Duration::from_secs(30), MARGIN, load(true));
        assert_eq!(times.answer_end.duration_since(times.letters_end).unwrap().as_millis(), 2_000);
    }

    #[test]
    fn without_any_time_all_ends_at_the_beginning() {
        let load = Load { objects: 10_000, settles: true, sends_receipts: true, read_in: Duration::from_secs(1) };
        assert_eq!(ends(1, load), (0, 0));
        assert_eq!(ends(0, load), (0, 0));
    }

    proptest! {
        #[test]
        fn no_part_ends_before_it_begins_or_after_the_deadlines_margin(
            deadline in 0u64..900, objects in any::<usize>(), settles in any::<bool>(), sends_receipts in any::<bool>(),
            read_in in any::<u32>(),
        ) {
            let read_in = Duration::from_micros(read_in.into());
            let (work, all) = ends(deadline, Load { objects, settles, sends_receipts, read_in });
            prop_assert!(work <= all);
            prop_assert!(all <= u128::from(deadline.saturating_sub(1)) * 1_000);
            prop_assert!(deadline < 10 || work >= u128::from(deadline - 2) * 1_000 / 5, "too little is left for work");
        }
    }
}
