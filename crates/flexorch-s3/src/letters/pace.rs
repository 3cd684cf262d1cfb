//! How many letters are sent when. Pure.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

/// Letters of a paced run are sent in portions of about this time.
const PORTION: Duration = Duration::from_secs(5);

/// The limit of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    per_minute: Option<NonZeroU32>,
    /// Nothing is sent before this.
    next: SystemTime,
}

impl Pace {
    pub(crate) fn new(per_minute: Option<NonZeroU32>, now: SystemTime) -> Self {
        Self { per_minute, next: now }
    }

    /// Returns when the next letters may be received.
    pub(crate) fn next(&self) -> SystemTime {
        self.next
    }

    /// Returns how many letters to receive in a call, up to `most`. They are hidden from then on, so a slow run receives few.
    pub(crate) fn portion(&self, most: u32) -> u32 {
        let Some(per_minute) = self.per_minute else { return most };
        let in_portion = u64::from(per_minute.get()) * PORTION.as_secs() / 60;
        u32::try_from(in_portion).unwrap_or(most).clamp(1, most)
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.per_minute.is_some()
    }

    /// Notes that this many letters were sent.
    pub(crate) fn sent(&mut self, letters: usize, now: SystemTime) {
        let Some(per_minute) = self.per_minute else { return };
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        self.next = self.next.max(now) + Duration::from_secs(60) * letters / per_minute.get();
    }

    /// Returns how long this many letters take, if there is a limit.
    pub(crate) fn time_for(&self, letters: usize) -> Option<Duration> {
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        Some(Duration::from_secs(60).saturating_mul(letters) / self.per_minute?.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_holds_more_letters_than_the_limit() {
        let start = SystemTime::UNIX_EPOCH;
        let mut pace = Pace::new(NonZeroU32::new(60), start);
        assert_eq!(pace.portion(10), 5);
        let mut sent = 0;
        while pace.next() < start + Duration::from_secs(60) {
            pace.sent(5, pace.next());
            sent += 5;
        }
        assert_eq!(sent, 60);
    }

    #[test]
    fn a_slow_run_receives_one_letter_at_a_time() {
        assert_eq!(Pace::new(NonZeroU32::new(1), SystemTime::UNIX_EPOCH).portion(10), 1);
        assert_eq!(Pace::new(NonZeroU32::new(6000), SystemTime::UNIX_EPOCH).portion(10), 10);
        assert_eq!(Pace::new(None, SystemTime::UNIX_EPOCH).portion(10), 10);
    }
}
