//! By when the parts of one invocation must have ended. Pure.

use std::time::{Duration, SystemTime};

/// Work ends this long before the answer is due. Timers fire late where the processor is shared: a function with little memory
/// is given its part of every 100 ms, and may have to wait for the next.
const SLACK: Duration = Duration::from_millis(150);
/// and for each object, whose line has to be written, so much earlier.
const SLACK_PER_OBJECT: Duration = Duration::from_micros(20);

/// Dead letters and visibility timeouts come after FlexOrch: this part of the time is theirs,
const SETTLING_SHARE: u32 = 10;
/// and at most so much of it.
const MOST_SETTLING: Duration = Duration::from_secs(2);

/// Secrets that have to be fetched take this part of an invocation's time at most, and no more than [`MOST_FETCHING`]: one that
/// hangs must leave time for the connectors whose secrets are there.
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
    /// When everything must have ended.
    pub answer_end: SystemTime,
}

impl Times {
    /// The times of an invocation that begins `now`, is ended by Lambda at `deadline` and answers `margin` earlier
    /// (`DEADLINE_MARGIN_MS`). `settles`: dead letters or visibility timeouts may follow FlexOrch's answers.
    #[must_use]
    pub fn new(now: SystemTime, deadline: SystemTime, margin: Duration, objects: usize, settles: bool) -> Self {
        let writing = SLACK_PER_OBJECT.saturating_mul(u32::try_from(objects).unwrap_or(u32::MAX));
        let earlier = margin + SLACK + writing;
        let answer_end = deadline.checked_sub(earlier).unwrap_or(now).max(now);
        let left = answer_end.duration_since(now).unwrap_or_default();
        let reserve = if settles { (left / SETTLING_SHARE).min(MOST_SETTLING) } else { Duration::ZERO };
        let fetching = left.mul_f64(FETCHING_SHARE).min(MOST_FETCHING);
        Self {
            secrets_end: now + fetching,
            work_end: answer_end.checked_sub(reserve).unwrap_or(answer_end),
            answer_end,
        }
    }
}
