//! When a queue counts as read, and what is to be made visible again. Pure.
//!
//! SQS cannot list a queue: messages are received, in any order, until none comes any more. Meanwhile those that were received stay hidden,
//! because a visible one would be received again and again.

use std::collections::{HashMap, HashSet};

use aws_sdk_sqs::types::Message;

/// A queue is empty after this many calls in a row without a new message, if as many have been received as the queue counted.
const IDLE_CALLS: u32 = 1;
/// The same if fewer have been received: the count is approximate, and some of SQS's servers may have responded late.
const IDLE_CALLS_IF_FEWER: u32 = 3;
/// The seconds that a call waits for a message in these two cases.
const WAIT: i32 = 1;
const WAIT_IF_FEWER: i32 = 3;

/// The messages that were received so far, and which of them are held.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// The number of visible messages that the queue counted before.
    expected: u64,
    seen: HashSet<String>,
    /// The last receipt handle of each message that is hidden.
    held: HashMap<String, String>,
    idle: u32,
}

impl Drain {
    /// Creates a drain of a queue that counts this many visible messages.
    pub(crate) fn new(expected: u64) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Returns how many seconds the next call waits for a message.
    pub(crate) fn wait(&self) -> i32 {
        if self.has_all() { WAIT } else { WAIT_IF_FEWER }
    }

    /// Returns how many concurrent calls the missing messages are worth, up to `most`: a call too many would wait for nothing.
    pub(crate) fn calls(&self, most: usize, per_call: u32) -> usize {
        let missing = self.expected.saturating_sub(u64::try_from(self.seen.len()).unwrap_or(u64::MAX));
        usize::try_from(missing.div_ceil(per_call.into())).unwrap_or(most).clamp(1, most)
    }

    /// Notes a message that a call returned, and holds it. Returns whether it is new.
    pub(crate) fn received(&mut self, id: &str, receipt_handle: &str) -> bool {
        // A message that was hidden for too long comes again; only its last receipt handle is valid.
        self.held.insert(id.to_owned(), receipt_handle.to_owned());
        self.seen.insert(id.to_owned())
    }

    /// Notes a message as [`Drain::received`] does.
    pub(crate) fn hold(&mut self, message: &Message) -> bool {
        self.received(message.message_id().unwrap_or_default(), message.receipt_handle().unwrap_or_default())
    }

    /// Notes the end of a call. A call that returned only messages that are known and need no work was idle.
    pub(crate) fn called(&mut self, was_idle: bool) {
        self.idle = if was_idle { self.idle + 1 } else { 0 };
    }

    /// Stops to hold a message, and returns its receipt handle.
    pub(crate) fn take(&mut self, id: &str) -> Option<String> {
        self.held.remove(id)
    }

    /// Stops to hold all messages, and returns their receipt handles.
    pub(crate) fn take_all(&mut self) -> Vec<String> {
        self.held.drain().map(|(_, handle)| handle).collect()
    }

    /// Returns how many different messages were received.
    pub(crate) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Returns whether no more messages are to be expected.
    pub(crate) fn is_done(&self) -> bool {
        self.idle >= if self.has_all() { IDLE_CALLS } else { IDLE_CALLS_IF_FEWER }
    }

    fn has_all(&self) -> bool {
        u64::try_from(self.seen.len()).is_ok_and(|seen| seen >= self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_after_one_idle_call_or_three_if_messages_are_missing() {
        let mut drain = Drain::new(2);
        drain.received("a", "1");
        drain.called(false);
        for _ in 0..2 {
            drain.called(true);
            assert!(!drain.is_done());
        }
        drain.received("b", "2");
        drain.called(false);
        assert!(!drain.is_done());
        drain.called(true);
        assert!(drain.is_done());
        let mut drain = Drain::new(1);
        (0..3).for_each(|_| drain.called(true));
        assert!(drain.is_done());
    }

    #[test]
    fn as_many_calls_are_made_as_the_missing_messages_fill() {
        let mut drain = Drain::new(21);
        assert_eq!((drain.calls(4, 10), drain.calls(2, 10)), (3, 2));
        (0..21).for_each(|number| _ = drain.received(&number.to_string(), "h"));
        assert_eq!(drain.calls(4, 10), 1);
    }

    #[test]
    fn the_last_receipt_handle_of_a_message_counts() {
        let mut drain = Drain::new(1);
        assert!(drain.received("a", "1") && !drain.received("a", "2"));
        assert_eq!((drain.seen(), drain.take("a").as_deref()), (1, Some("2")));
        assert!(drain.take_all().is_empty());
    }
}
