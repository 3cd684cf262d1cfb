//! The retry queue, as SQS keeps it, and the poller that Lambda runs on it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::agenda::start;
use crate::scenario::Scenario;

/// "For most standard queues there can be a maximum of approximately 120,000 in flight messages" (SQS Developer Guide, "Amazon
/// SQS message quotas"); then a receive gets nothing.
const MOST_IN_FLIGHT: usize = 120_000;

/// SQS's batch actions and a receive take ten messages.
pub const MESSAGES_PER_CALL: usize = 10;

/// The longest time for which a received message can be hidden, counted from the receive; SQS refuses more (SQS Developer Guide,
/// "Amazon SQS visibility timeout").
const LONGEST_HIDDEN: Duration = Duration::from_secs(12 * 60 * 60);
/// The longest time for which a message can be sent ahead; SQS refuses more (SQS API Reference, `SendMessage`).
const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// The queue's `MessageRetentionPeriod`, which the template sets to the longest that SQS has; it counts from when a message was
/// sent.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A message, known by its object.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// `ApproximateReceiveCount`.
    pub receives: u16,
    /// `SentTimestamp`.
    pub sent: SystemTime,
    received: SystemTime,
}

/// The queue.
pub struct RetryQueue {
    visible: VecDeque<u32>,
    /// Messages that are visible later; `true`: one that was received.
    hidden: BinaryHeap<Reverse<(SystemTime, u32, bool)>>,
    /// Messages that were received and are neither deleted nor visible again.
    in_flight: usize,
    messages: Vec<Message>,
    max_receives: u16,
    pub counts: QueueCounts,
}

/// What SQS has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct QueueCounts {
    /// Calls that are paid for.
    pub calls: u64,
    /// Messages that were received, each time.
    pub received: u64,
    /// The most receives of any message.
    pub most_receives: u16,
    /// The age of the oldest message that was received.
    pub oldest: Duration,
    /// Copies that took a message's place: `MessagesRenewed`.
    pub copies: u64,
    /// Calls that SQS refused, because a time was too long.
    pub refused: u64,
    /// Objects whose messages were received once too often, which SQS moves to the dead-letter queue.
    pub dead: usize,
    /// Objects whose messages SQS deleted at the end of the retention period.
    pub expired: usize,
}

impl RetryQueue {
    /// Creates an empty queue.
    pub fn new(scenario: &Scenario) -> Self {
        let message = Message { receives: 0, sent: start(), received: start() };
        Self {
            visible: VecDeque::new(),
            hidden: BinaryHeap::new(),
            in_flight: 0,
            messages: vec![message; scenario.objects as usize],
            max_receives: scenario.max_receives,
            counts: QueueCounts::default(),
        }
    }

    /// Sends a message to the queue.
    pub fn send(&mut self, object: u32, now: SystemTime) {
        self.counts.calls += 1;
        self.messages[object as usize] = Message { receives: 0, sent: now, received: now };
        self.visible.push_back(object);
    }

    /// Receives a message. One that was received too often goes to the dead-letter queue instead, and one that is too old is gone.
    pub fn receive(&mut self, now: SystemTime) -> Option<u32> {
        while self.in_flight < MOST_IN_FLIGHT {
            let object = self.visible.pop_front()?;
            let message = &mut self.messages[object as usize];
            let age = now.duration_since(message.sent).unwrap_or_default();
            if age > RETENTION {
                self.counts.expired += 1;
                continue;
            }
            if message.receives >= self.max_receives {
                self.counts.dead += 1;
                continue;
            }
            message.receives += 1;
            message.received = now;
            self.counts.most_receives = self.counts.most_receives.max(message.receives);
            self.counts.oldest = self.counts.oldest.max(age);
            self.counts.received += 1;
            self.in_flight += 1;
            return Some(object);
        }
        None
    }

    /// Returns an object's message.
    pub fn message(&self, object: u32) -> Message {
        self.messages[object as usize]
    }

    /// Deletes a message that was received.
    pub fn delete(&mut self) {
        self.in_flight -= 1;
    }

    /// Sends a copy of a message that was received, and deletes the message. Returns when the copy is visible; `None` if SQS
    /// refuses the delay.
    pub fn copy(&mut self, object: u32, delay: Duration, now: SystemTime) -> Option<SystemTime> {
        if delay > LONGEST_DELAY {
            self.counts.refused += 1;
            return None;
        }
        self.delete();
        self.counts.copies += 1;
        self.messages[object as usize] = Message { receives: 0, sent: now, received: now };
        self.hidden.push(Reverse((now + delay, object, false)));
        Some(now + delay)
    }

    /// Hides a message that was received until a time; without one, or if SQS refuses it, for the queue's own timeout from the
    /// receive. Returns when it is visible again.
    pub fn hide(&mut self, object: u32, until: Option<SystemTime>, own_timeout: Duration) -> SystemTime {
        let received = self.message(object).received;
        let allowed = until.filter(|until| *until <= received + LONGEST_HIDDEN);
        self.counts.refused += u64::from(until.is_some() && allowed.is_none());
        let until = allowed.unwrap_or(received + own_timeout);
        self.hidden.push(Reverse((until, object, true)));
        until
    }

    /// Shows what has been hidden for long enough.
    pub fn show(&mut self, now: SystemTime) {
        while let Some(Reverse((until, object, was_received))) = self.hidden.peek().copied()
            && until <= now
        {
            self.hidden.pop();
            self.in_flight -= usize::from(was_received);
            self.visible.push_back(object);
        }
    }

    /// Counts the calls for so many messages, in tens.
    pub fn count_calls(&mut self, messages: usize) {
        self.counts.calls += messages.div_ceil(MESSAGES_PER_CALL) as u64;
    }

    /// Returns the number of messages that no process has received.
    pub fn waiting(&self) -> usize {
        self.visible.len() + self.hidden.len()
    }
}

/// A part of the poller that works on one batch at a time: as many as `MaximumConcurrency`.
enum Slot {
    Free,
    Gathering(Vec<u32>, u64),
    Working,
}

/// Lambda's poller.
pub struct Poller {
    slots: Vec<Slot>,
    most: usize,
    next: usize,
    gatherings: u64,
    /// Messages of batches that wait for a process.
    pub without_process: usize,
}

/// What gathering leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Gathered {
    /// A slot began to gather; when its window is over, what it has is a batch.
    Began(usize, u64),
    /// A batch is full.
    Full(usize),
}

impl Poller {
    /// A poller with so many slots, whose batches have at most so many messages.
    pub fn new(slots: u32, most: usize) -> Self {
        let slots = (0..slots.max(1)).map(|_| Slot::Free).collect();
        Self { slots, most, next: 0, gatherings: 0, without_process: 0 }
    }

    /// Receives what there is, the free slots taking turns.
    pub fn gather(&mut self, queue: &mut RetryQueue, now: SystemTime) -> Vec<Gathered> {
        let mut gathered = Vec::new();
        while let Some(slot) = self.has_room() {
            let Some(message) = queue.receive(now) else { break };
            self.next = (slot + 1) % self.slots.len();
            if matches!(self.slots[slot], Slot::Free) {
                self.gatherings += 1;
                self.slots[slot] = Slot::Gathering(Vec::with_capacity(self.most.min(1024)), self.gatherings);
                gathered.push(Gathered::Began(slot, self.gatherings));
            }
            if let Slot::Gathering(messages, _) = &mut self.slots[slot] {
                messages.push(message);
                if messages.len() >= self.most {
                    gathered.push(Gathered::Full(slot));
                }
            }
        }
        gathered
    }

    /// The next slot that can take a message.
    fn has_room(&self) -> Option<usize> {
        let slots = self.slots.len();
        (0..slots).map(|step| (self.next + step) % slots).find(|slot| match &self.slots[*slot] {
            Slot::Free => true,
            Slot::Gathering(messages, _) => messages.len() < self.most,
            Slot::Working => false,
        })
    }

    /// Removes and returns a slot's batch; empty if it was handed over before.
    pub fn take(&mut self, slot: usize, gathering: Option<u64>) -> Option<Vec<u32>> {
        match &mut self.slots[slot] {
            Slot::Gathering(messages, id) if gathering.is_none_or(|wanted| wanted == *id) => {
                let messages = std::mem::take(messages);
                self.slots[slot] = Slot::Working;
                Some(messages)
            }
            _ => None,
        }
    }

    /// A slot's batch is done.
    pub fn free(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
    }

    /// Messages that were received for a batch that has not begun.
    pub fn gathering(&self) -> usize {
        let messages = |slot: &Slot| if let Slot::Gathering(messages, _) = slot { messages.len() } else { 0 };
        self.slots.iter().map(messages).sum::<usize>() + self.without_process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Shape;
    use crate::scenario::tests::scenario;

    fn queue(objects: u32, max_receives: u16) -> RetryQueue {
        let mut queue = RetryQueue::new(&Scenario { max_receives, ..scenario(Shape::Queue, objects, 60) });
        (0..objects).for_each(|object| queue.send(object, start()));
        queue
    }

    fn hours(hours: u64) -> SystemTime {
        start() + Duration::from_secs(hours * 3600)
    }

    /// Receives the only message and hides it at once.
    fn receive_and_hide(queue: &mut RetryQueue, at: SystemTime, until: SystemTime) -> SystemTime {
        assert_eq!(queue.receive(at), Some(0));
        let until = queue.hide(0, Some(until), Duration::from_secs(180));
        queue.show(until);
        until
    }

    #[test]
    fn a_message_that_was_received_too_often_is_a_dead_letter() {
        let mut queue = queue(1, 2);
        receive_and_hide(&mut queue, hours(0), hours(1));
        receive_and_hide(&mut queue, hours(1), hours(2));
        assert_eq!((queue.receive(hours(2)), queue.counts.dead, queue.waiting()), (None, 1, 0));
    }

    #[test]
    fn a_message_that_is_older_than_14_days_is_gone_and_a_copy_begins_anew() {
        let mut kept = queue(1, 9);
        receive_and_hide(&mut kept, hours(13 * 24), hours(13 * 24 + 1));
        assert_eq!((kept.receive(hours(14 * 24 + 1)), kept.counts.expired), (None, 1));
        let mut copied = queue(1, 9);
        copied.receive(hours(13 * 24));
        let visible = copied.copy(0, Duration::from_secs(900), hours(13 * 24)).unwrap();
        copied.show(visible);
        assert_eq!((copied.receive(hours(14 * 24 + 1)), copied.message(0).receives), (Some(0), 1));
        assert_eq!((copied.counts.copies, copied.counts.expired, copied.counts.refused), (1, 0, 0));
    }

    #[test]
    fn no_message_is_hidden_for_more_than_12_hours_from_its_receive_or_sent_more_than_15_minutes_ahead() {
        let mut queue = queue(1, 9);
        assert_eq!(receive_and_hide(&mut queue, hours(0), hours(12)), hours(12));
        let until = receive_and_hide(&mut queue, hours(12), hours(24) + Duration::from_secs(1));
        assert_eq!((until, queue.counts.refused), (hours(12) + Duration::from_secs(180), 1));
        queue.receive(hours(13));
        assert_eq!((queue.copy(0, Duration::from_secs(901), hours(13)), queue.counts.refused), (None, 2));
    }

    #[test]
    fn a_hidden_message_is_not_received_before_its_time() {
        let mut queue = queue(1, 9);
        queue.receive(hours(0));
        queue.hide(0, Some(hours(1)), Duration::ZERO);
        queue.show(hours(1) - Duration::from_secs(1));
        assert_eq!((queue.receive(hours(1)), queue.waiting()), (None, 1));
        queue.show(hours(1));
        assert_eq!((queue.receive(hours(1)), queue.message(0).receives), (Some(0), 2));
    }

    #[test]
    fn no_more_than_120_000_messages_are_in_flight() {
        let mut queue = queue(120_001, 9);
        assert_eq!(std::iter::from_fn(|| queue.receive(start())).count(), 120_000);
        queue.delete();
        assert_eq!(queue.receive(start()), Some(120_000));
    }

    #[test]
    fn messages_that_come_one_by_one_go_to_the_free_slots_in_turn() {
        let mut queue = RetryQueue::new(&scenario(Shape::Queue, 4, 60));
        let mut poller = Poller::new(2, 10);
        for object in 0..4 {
            queue.send(object, start());
            poller.gather(&mut queue, start());
        }
        assert_eq!((poller.take(0, None), poller.take(1, None)), (Some(vec![0, 2]), Some(vec![1, 3])));
    }

    #[test]
    fn free_slots_share_what_comes_and_a_full_batch_does_not_wait_for_its_window() {
        let mut queue = queue(5, 9);
        let mut poller = Poller::new(2, 2);
        let gathered = poller.gather(&mut queue, start());
        assert_eq!(gathered, [Gathered::Began(0, 1), Gathered::Began(1, 2), Gathered::Full(0), Gathered::Full(1)]);
        assert_eq!(poller.take(0, None), Some(vec![0, 2]));
        assert_eq!(poller.take(0, Some(1)), None, "the window ends after the batch has begun");
        assert_eq!((poller.gathering(), queue.waiting()), (2, 1));
    }
}
