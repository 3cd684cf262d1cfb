//! Virtual time: what happens when, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime};

/// The simulation's time zero. Any would do; the function takes a deadline before 2001 for something else.
pub const START: Duration = Duration::from_secs(1_800_000_000);

/// The simulation's time zero.
pub fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + START
}

/// Events that are yet to happen. Of those at the same time, the first that was put down is the first that happens, so that the
/// same run can be had again.
pub struct Agenda<E> {
    ahead: BinaryHeap<Reverse<(SystemTime, u64, Entry<E>)>>,
    put_down: u64,
    now: SystemTime,
}

/// An event, which has no part in the order.
struct Entry<E>(E);

impl<E> PartialEq for Entry<E> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<E> Agenda<E> {
    /// Nothing is ahead.
    pub fn new() -> Self {
        Self { ahead: BinaryHeap::new(), put_down: 0, now: start() }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Puts an event down; one for the past happens now.
    pub fn at(&mut self, time: SystemTime, event: E) {
        self.ahead.push(Reverse((time.max(self.now), self.put_down, Entry(event))));
        self.put_down += 1;
    }

    /// Puts an event down for a while from now.
    pub fn after(&mut self, wait: Duration, event: E) {
        self.at(self.now + wait, event);
    }

    /// Moves on to the next event.
    pub fn next(&mut self) -> Option<E> {
        let Reverse((time, _, Entry(event))) = self.ahead.pop()?;
        self.now = time;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_the_order_of_their_times_and_then_as_they_were_put_down() {
        let mut agenda = Agenda::new();
        for (seconds, name) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            agenda.after(Duration::from_secs(seconds), name);
        }
        let order: String = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(order, "abcd");
        assert_eq!(agenda.now(), start() + Duration::from_secs(3));
    }
}
