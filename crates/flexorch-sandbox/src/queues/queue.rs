//! One queue: which messages are visible, which are in flight, and which receipt handles are valid. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::{super::clock::Moment, error::SqsError, message::Draft};

/// How long a received message stays hidden by default (SQS API Reference, `VisibilityTimeout`).
pub(super) const DEFAULT_VISIBILITY: Duration = Duration::from_secs(30);

/// The longest time that a message stays hidden after it was received.
pub(super) const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a queue keeps a message unless it is set otherwise (SQS Developer Guide, "Amazon SQS message quotas").
const DEFAULT_RETENTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    pub(super) created: Moment,
    /// The JSON of its policy, unchanged.
    pub(super) policy: Option<String>,
    pub(super) kms_key: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The queue that messages move to, and after how many receives.
    pub(super) redrive: Option<(String, u32)>,
    pub(super) retention: Duration,
    /// Messages that were deleted because they were too old.
    pub(super) expired: u64,
    /// By their numbers, which is the order in which they were sent.
    messages: BTreeMap<u64, Message>,
    last_number: u64,
}

/// A message in its queue.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) draft: Draft,
    pub(super) sent: Moment,
    pub(super) receives: u32,
    pub(super) first_received: Option<Moment>,
    last_received: Moment,
    pub(super) visible_from: Moment,
}

/// How many messages a queue has in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
}

/// The meaning of a receipt handle.
enum Handle {
    /// The last one that was issued for this message.
    Current(u64),
    /// The message has been received again since, or is deleted.
    Outdated,
    /// Never issued by this queue.
    Foreign,
}

impl Message {
    /// Returns whether a receiver has it.
    pub(super) fn is_in_flight(&self, now: Moment) -> bool {
        self.receives > 0 && now < self.visible_from
    }
}

impl Queue {
    /// Creates an empty queue.
    pub(super) fn new(name: String, now: Moment) -> Self {
        Self {
            name,
            created: now,
            policy: None,
            kms_key: None,
            tags: BTreeMap::new(),
            redrive: None,
            retention: DEFAULT_RETENTION,
            expired: 0,
            messages: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Deletes the messages that are too old.
    pub(super) fn expire(&mut self, now: Moment) {
        let before = self.messages.len();
        self.messages.retain(|_, message| now.since(message.sent) < self.retention);
        self.expired += u64::try_from(before - self.messages.len()).unwrap_or(0);
    }

    /// Removes the visible messages that have been received too often, with their numbers.
    pub(super) fn give_up(&mut self, now: Moment) -> Vec<(u64, Message)> {
        let Some((_, most)) = self.redrive else { return Vec::new() };
        let is_given_up = |message: &Message| message.visible_from <= now && message.receives >= most;
        let given_up = self.messages.iter().filter(|(_, message)| is_given_up(message)).map(|(number, _)| *number);
        let given_up: Vec<u64> = given_up.collect();
        given_up.into_iter().filter_map(|number| self.messages.remove_entry(&number)).collect()
    }

    /// Takes a message that another queue has given up; it keeps its age.
    pub(super) fn take_over(&mut self, number: u64, message: Message) {
        self.messages.insert(number, message);
        self.last_number = self.last_number.max(number);
    }

    /// Adds a message under a number that is larger than all before it.
    pub(super) fn send(&mut self, number: u64, draft: Draft, now: Moment) {
        let visible_from = now + draft.delay;
        let message = Message { draft, sent: now, receives: 0, first_received: None, last_received: now, visible_from };
        self.messages.insert(number, message);
        self.last_number = number;
    }

    /// Receives up to `most` visible messages, the oldest first, and hides them. Each comes with its number and its new
    /// receipt handle.
    pub(super) fn receive(&mut self, most: usize, hide_for: Duration, now: Moment) -> Vec<(u64, String, &Message)> {
        let name = &self.name;
        let visible = self.messages.iter_mut().filter(|(_, message)| message.visible_from <= now);
        visible
            .take(most)
            .map(|(number, message)| {
                message.receives = message.receives.saturating_add(1);
                message.first_received.get_or_insert(now);
                message.last_received = now;
                message.visible_from = now + hide_for;
                (*number, format!("AQEB-{name}-{number:x}-{:x}", message.receives), &*message)
            })
            .collect()
    }

    /// Returns when the next hidden message becomes visible.
    pub(super) fn next_visible(&self, now: Moment) -> Option<Moment> {
        self.messages.values().map(|message| message.visible_from).filter(|moment| *moment > now).min()
    }

    /// Deletes a message. An outdated handle succeeds and does nothing (SQS API Reference, `DeleteMessage`), and so does a foreign
    /// one if `lenient`.
    pub(super) fn delete(&mut self, handle: &str, lenient: bool) -> Result<(), SqsError> {
        match self.find(handle) {
            Handle::Current(number) => {
                self.messages.remove(&number);
                Ok(())
            }
            Handle::Outdated => Ok(()),
            Handle::Foreign if lenient => Ok(()),
            Handle::Foreign => Err(SqsError::invalid_handle(handle)),
        }
    }

    /// Sets when a message in flight becomes visible again. A foreign handle succeeds and does nothing if `lenient`.
    pub(super) fn change_visibility(
        &mut self,
        handle: &str,
        hide_for: Duration,
        lenient: bool,
        now: Moment,
    ) -> Result<(), SqsError> {
        let number = match self.find(handle) {
            Handle::Current(number) => number,
            Handle::Outdated => return Err(not_available(handle)),
            // It was received before this call, so that less than 12 hours are left.
            Handle::Foreign if lenient && hide_for >= LONGEST_VISIBILITY => return Err(beyond_the_limit(hide_for)),
            Handle::Foreign if lenient => return Ok(()),
            Handle::Foreign => return Err(SqsError::invalid_handle(handle)),
        };
        let message = self.messages.get_mut(&number).ok_or_else(|| not_available(handle))?;
        if !message.is_in_flight(now) {
            return Err(SqsError::not_in_flight());
        }
        let visible_from = now + hide_for;
        if visible_from.since(message.last_received) > LONGEST_VISIBILITY {
            return Err(beyond_the_limit(hide_for));
        }
        message.visible_from = visible_from;
        Ok(())
    }

    /// Returns how many messages there are.
    pub(super) fn counts(&self, now: Moment) -> Counts {
        let mut counts = Counts::default();
        for message in self.messages.values() {
            let count = match message {
                message if message.visible_from <= now => &mut counts.visible,
                message if message.receives > 0 => &mut counts.in_flight,
                _ => &mut counts.delayed,
            };
            *count += 1;
        }
        counts
    }

    /// Returns all messages with their numbers, oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.messages.iter().map(|(number, message)| (*number, message))
    }

    fn find(&self, handle: &str) -> Handle {
        let Some((number, receive)) = self.parse(handle) else { return Handle::Foreign };
        match self.messages.get(&number) {
            Some(message) if receive == message.receives => Handle::Current(number),
            Some(message) if (1..message.receives).contains(&receive) => Handle::Outdated,
            None if number <= self.last_number => Handle::Outdated,
            _ => Handle::Foreign,
        }
    }

    fn parse(&self, handle: &str) -> Option<(u64, u32)> {
        let rest = handle.strip_prefix("AQEB-")?.strip_prefix(self.name.as_str())?.strip_prefix('-')?;
        let (number, receive) = rest.split_once('-')?;
        let receive = u32::from_str_radix(receive, 16).ok().filter(|receive| *receive > 0)?;
        Some((u64::from_str_radix(number, 16).ok()?, receive))
    }
}

fn beyond_the_limit(hide_for: Duration) -> SqsError {
    let (seconds, most) = (hide_for.as_secs(), LONGEST_VISIBILITY.as_secs());
    SqsError::invalid(format!(
        "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond \
         the limit [{most} seconds]."
    ))
}

fn not_available(handle: &str) -> SqsError {
    SqsError::invalid(format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
         visibility timeout change."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_epoch(Duration::from_secs(1_700_000_000));

    fn at(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    fn queue(bodies: &[&str]) -> Queue {
        let mut queue = Queue::new("retry".to_owned(), START);
        for (number, body) in (1..).zip(bodies) {
            let draft = Draft::read(Some((*body).to_owned()), BTreeMap::new(), None).unwrap();
            queue.send(number, draft, START);
        }
        queue
    }

    fn receive(queue: &mut Queue, now: Moment) -> Vec<(String, String)> {
        let received = queue.receive(10, DEFAULT_VISIBILITY, now);
        received.into_iter().map(|(_, handle, message)| (message.draft.body.clone(), handle)).collect()
    }

    #[test]
    fn a_received_message_is_hidden_until_its_timeout_and_then_comes_again() {
        let mut queue = queue(&["a", "b"]);
        assert_eq!(receive(&mut queue, at(0)).len(), 2);
        assert!(receive(&mut queue, at(29)).is_empty());
        assert_eq!(queue.next_visible(at(29)), Some(at(30)));
        assert_eq!(queue.counts(at(29)), Counts { in_flight: 2, ..Counts::default() });
        assert_eq!(receive(&mut queue, at(30))[0].0, "a");
        assert_eq!(queue.messages().map(|(_, message)| message.receives).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn only_the_last_receipt_handle_deletes() {
        let mut queue = queue(&["a"]);
        let first = receive(&mut queue, at(0)).remove(0).1;
        let second = receive(&mut queue, at(30)).remove(0).1;
        queue.delete(&first, false).unwrap();
        assert_eq!(queue.messages().count(), 1);
        queue.delete(&second, false).unwrap();
        assert_eq!(queue.messages().count(), 0);
        queue.delete(&second, false).unwrap();
    }

    #[test]
    fn a_foreign_handle_is_refused_unless_lenient() {
        let mut queue = queue(&["a"]);
        let minute = Duration::from_secs(60);
        for handle in ["x", "AQEB-other-1-1", "AQEB-retry-1-1", "AQEB-retry-2-1", "AQEB-retry-1-0"] {
            assert_eq!(queue.delete(handle, false).unwrap_err().code, "ReceiptHandleIsInvalid", "{handle}");
            assert!(queue.delete(handle, true).is_ok());
            let refused = queue.change_visibility(handle, minute, false, START).unwrap_err();
            assert_eq!(refused.code, "ReceiptHandleIsInvalid", "{handle}");
            assert!(queue.change_visibility(handle, minute, true, START).is_ok());
        }
    }

    #[test]
    fn visibility_changes_count_from_now_and_end_twelve_hours_after_the_receive() {
        let mut queue = queue(&["a"]);
        let handle = receive(&mut queue, at(0)).remove(0).1;
        let mut change = |seconds, now| queue.change_visibility(&handle, Duration::from_secs(seconds), true, now);
        change(100, at(20)).unwrap();
        assert!(change(43_200, at(20)).unwrap_err().message.contains("beyond the limit"));
        change(0, at(119)).unwrap();
        assert!(change(1, at(119)).unwrap_err().code.ends_with("MessageNotInflight"));
        assert_eq!(receive(&mut queue, at(119)).len(), 1);
        let outdated = queue.change_visibility(&handle, Duration::ZERO, true, at(119));
        assert_eq!(outdated.unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn a_message_is_given_up_when_it_would_be_received_once_too_often_and_deleted_when_it_is_too_old() {
        let mut queue = queue(&["a", "b"]);
        queue.redrive = Some(("dead".to_owned(), 2));
        for seconds in [0, 30] {
            assert!(queue.give_up(at(seconds)).is_empty());
            assert_eq!(receive(&mut queue, at(seconds)).len(), 2);
        }
        assert!(queue.give_up(at(59)).is_empty());
        let given_up = queue.give_up(at(60));
        assert_eq!(given_up.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
        given_up.into_iter().for_each(|(number, message)| queue.take_over(number, message));
        queue.expire(at(4 * 86_400 - 1));
        assert_eq!((queue.messages().count(), queue.expired), (2, 0));
        queue.expire(at(4 * 86_400));
        assert_eq!((queue.messages().count(), queue.expired), (0, 2));
    }

    #[test]
    fn a_delayed_message_is_neither_visible_nor_in_flight() {
        let mut queue = queue(&[]);
        queue.send(1, Draft::read(Some("a".to_owned()), BTreeMap::new(), Some(5)).unwrap(), START);
        assert_eq!(queue.counts(at(4)), Counts { delayed: 1, ..Counts::default() });
        assert_eq!(queue.counts(at(5)), Counts { visible: 1, ..Counts::default() });
    }
}
