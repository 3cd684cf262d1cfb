//! What is to be done with each planned letter, and what was. Pure.
//!
//! A letter is sent before it is deleted, and never sent again in the same run once it was sent.

use std::collections::HashMap;

/// A letter is given up after this many failures.
const MOST_FAILURES: u8 = 5;

/// What to do with a letter that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send it, then delete it.
    Send,
    Delete,
    /// Leave it in the queue.
    Leave,
}

/// The planned letters of a run.
#[derive(Debug)]
pub(crate) struct Work {
    letters: HashMap<String, Progress>,
    open: usize,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    state: State,
    failures: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has to be sent.
    Unsent,
    /// It has to be deleted.
    Sent,
    /// It is deleted.
    Done,
}

/// How many letters ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Sent, if that was to be done, and deleted.
    pub(crate) done: usize,
    /// Sent, but still in the queue.
    pub(crate) undeleted: usize,
    /// Neither sent nor deleted, after failures.
    pub(crate) failed: usize,
    /// Not received again: another reader has them, or they are gone.
    pub(crate) untouched: usize,
}

impl Work {
    /// Creates the work on these letters: to send and delete them, or only to delete them.
    pub(crate) fn new(ids: impl IntoIterator<Item = String>, send: bool) -> Self {
        let state = if send { State::Unsent } else { State::Sent };
        let letters: HashMap<_, _> = ids.into_iter().map(|id| (id, Progress { state, failures: 0 })).collect();
        Self { open: letters.len(), letters }
    }

    /// Returns what to do with a letter.
    pub(crate) fn step(&self, id: &str) -> Step {
        match self.letters.get(id) {
            None => Step::Leave,
            Some(Progress { failures: MOST_FAILURES.., .. }) => Step::Leave,
            Some(Progress { state: State::Unsent, .. }) => Step::Send,
            // One that is done and comes again was not deleted after all.
            Some(Progress { state: State::Sent | State::Done, .. }) => Step::Delete,
        }
    }

    /// Notes whether a letter was sent.
    pub(crate) fn sent(&mut self, id: &str, succeeded: bool) {
        self.advance(id, State::Sent, succeeded);
    }

    /// Notes whether a letter was deleted.
    pub(crate) fn deleted(&mut self, id: &str, succeeded: bool) {
        self.advance(id, State::Done, succeeded);
    }

    fn advance(&mut self, id: &str, to: State, succeeded: bool) {
        let Some(letter) = self.letters.get_mut(id) else { return };
        let was_open = letter.is_open();
        if succeeded {
            *letter = Progress { state: to, failures: 0 };
        } else {
            letter.failures += 1;
        }
        self.open -= usize::from(was_open && !letter.is_open());
    }

    /// Returns whether no letter is left to work on.
    pub(crate) fn is_complete(&self) -> bool {
        self.open == 0
    }

    /// Counts the letters by what happened to them. `drops`: nothing had to be sent.
    pub(crate) fn tally(&self, drops: bool) -> Tally {
        let mut tally = Tally::default();
        for letter in self.letters.values() {
            let count = match letter {
                Progress { state: State::Done, .. } => &mut tally.done,
                Progress { state: State::Sent, .. } if !drops => &mut tally.undeleted,
                Progress { failures: 1.., .. } => &mut tally.failed,
                Progress { .. } => &mut tally.untouched,
            };
            *count += 1;
        }
        tally
    }
}

impl Progress {
    fn is_open(self) -> bool {
        self.state != State::Done && self.failures < MOST_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(send: bool) -> Work {
        Work::new(["a", "b"].map(str::to_owned), send)
    }

    #[test]
    fn a_letter_is_sent_then_deleted_and_never_sent_again() {
        let mut work = work(true);
        assert_eq!((work.step("a"), work.step("other")), (Step::Send, Step::Leave));
        work.sent("a", true);
        work.deleted("a", false);
        assert_eq!(work.step("a"), Step::Delete);
        assert_eq!(work.tally(false), Tally { undeleted: 1, untouched: 1, ..Tally::default() });
        work.deleted("a", true);
        assert_eq!(work.step("a"), Step::Delete, "it came again, so it is still there");
        assert!(!work.is_complete());
    }

    #[test]
    fn a_letter_that_keeps_failing_is_left() {
        let mut work = work(true);
        (0..MOST_FAILURES).for_each(|_| work.sent("a", false));
        assert_eq!((work.step("a"), work.step("b")), (Step::Leave, Step::Send));
        work.sent("b", true);
        (0..MOST_FAILURES).for_each(|_| work.deleted("b", false));
        assert!(work.is_complete());
        assert_eq!(work.tally(false), Tally { failed: 1, undeleted: 1, ..Tally::default() });
    }

    #[test]
    fn a_dropped_letter_is_only_deleted() {
        let mut work = work(false);
        assert_eq!(work.step("a"), Step::Delete);
        work.deleted("a", true);
        work.deleted("b", false);
        assert_eq!(work.tally(true), Tally { done: 1, failed: 1, ..Tally::default() });
    }
}
