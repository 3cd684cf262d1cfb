//! Virtual time: what happens when, in order.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The simulation's time zero. Any would do; the function takes a deadline before 2001 for something else.
const START: Duration = Duration::from_secs(1_800_000_000);

/// Returns the simulation's time zero.
pub fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + START
}

/// The events to come. Events of the same time happen in the order in which they were scheduled, so that a run can be repeated.
pub struct Agenda<E> {
    ahead: BTreeMap<(SystemTime, u64), E>,
    scheduled: u64,
    now: SystemTime,
}

impl<E> Agenda<E> {
    /// Creates an empty agenda at time zero.
    pub fn new() -> Self {
        Self { ahead: BTreeMap::new(), scheduled: 0, now: start() }
    }

    /// Returns the current time.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Schedules an event; one in the past happens now.
    pub fn at(&mut self, time: SystemTime, event: E) {
        self.ahead.insert((time.max(self.now), self.scheduled), event);
        self.scheduled += 1;
    }

    /// Schedules an event for a while from now.
    pub fn after(&mut self, wait: Duration, event: E) {
        self.at(self.now + wait, event);
    }

    /// Moves to the next event; `None` if there is none until `end`.
    pub fn next(&mut self, end: SystemTime) -> Option<E> {
        let next = self.ahead.first_entry().filter(|next| next.key().0 <= end)?;
        self.now = next.key().0;
        Some(next.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_the_order_of_their_times_and_then_as_they_were_scheduled() {
        let mut agenda = Agenda::new();
        for (seconds, name) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c'), (9, 'e')] {
            agenda.after(Duration::from_secs(seconds), name);
        }
        let order: String = std::iter::from_fn(|| agenda.next(start() + Duration::from_secs(8))).collect();
        assert_eq!(order, "abcd");
        assert_eq!(agenda.now(), start() + Duration::from_secs(3));
    }
}
