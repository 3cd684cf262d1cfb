//! The retry queue, as SQS keeps it, and the poller that Lambda runs on it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::SystemTime;

/// "For most standard queues there can be a maximum of approximately 120,000 in flight messages" (SQS Developer Guide, "Amazon SQS
/// message quotas"); then a receive gets nothing.
const MOST_IN_FLIGHT: usize = 120_000;

/// SQS's batch actions and a receive take ten messages.
pub const MESSAGES_PER_CALL: usize = 10;

/// The queue. A message is known by its object.
pub struct RetryQueue {
    visible: VecDeque<u32>,
    hidden: BinaryHeap<Reverse<(SystemTime, u32)>>,
    /// Messages that a poller or the function holds.
    held: usize,
    receives: Vec<u16>,
    max_receives: u16,
    /// Messages that were received once too often.
    pub dead: Vec<u32>,
    /// Calls that are paid for.
    pub calls: u64,
    /// Messages that were received, each time.
    pub received: u64,
}

impl RetryQueue {
    /// An empty queue.
    pub fn new(objects: u32, max_receives: u16) -> Self {
        Self {
            visible: VecDeque::new(),
            hidden: BinaryHeap::new(),
            held: 0,
            receives: vec![0; objects as usize],
            max_receives,
            dead: Vec::new(),
            calls: 0,
            received: 0,
        }
    }

    /// A message is sent to the queue.
    pub fn send(&mut self, object: u32) {
        self.calls += 1;
        self.visible.push_back(object);
    }

    /// Receives a message; one that was received too often goes to the dead-letter queue instead.
    pub fn receive(&mut self) -> Option<u32> {
        while self.held + self.hidden.len() < MOST_IN_FLIGHT {
            let object = self.visible.pop_front()?;
            let receives = &mut self.receives[object as usize];
            if *receives >= self.max_receives {
                self.dead.push(object);
                continue;
            }
            *receives += 1;
            self.received += 1;
            self.held += 1;
            return Some(object);
        }
        None
    }

    /// How often a message was received.
    pub fn receive_count(&self, object: u32) -> u32 {
        u32::from(self.receives[object as usize])
    }

    /// The most receives of any message.
    pub fn most_receives(&self) -> u16 {
        self.receives.iter().copied().max().unwrap_or(0)
    }

    /// Replaces a message that was received often by a copy, whose receives count from zero.
    pub fn renew(&mut self, object: u32) {
        self.calls += 1;
        self.receives[object as usize] = 0;
    }

    /// A message that was received is done.
    pub fn delete(&mut self) {
        self.held -= 1;
    }

    /// A message that was received stays hidden until a time.
    pub fn hide(&mut self, object: u32, until: SystemTime) {
        self.held -= 1;
        self.hidden.push(Reverse((until, object)));
    }

    /// Shows what has been hidden for long enough.
    pub fn show(&mut self, now: SystemTime) {
        while let Some(Reverse((until, object))) = self.hidden.peek().copied()
            && until <= now
        {
            self.hidden.pop();
            self.visible.push_back(object);
        }
    }

    /// Counts the calls for so many messages, in tens.
    pub fn count_calls(&mut self, messages: usize) {
        self.calls += messages.div_ceil(MESSAGES_PER_CALL) as u64;
    }

    /// Messages that no process has received.
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
    pub fn gather(&mut self, queue: &mut RetryQueue) -> Vec<Gathered> {
        let mut gathered = Vec::new();
        while let Some(slot) = self.has_room() {
            let Some(message) = queue.receive() else { break };
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
    use crate::agenda::start;
    use std::time::Duration;

    #[test]
    fn a_message_that_was_received_too_often_is_a_dead_letter() {
        let mut queue = RetryQueue::new(1, 2);
        queue.send(0);
        for _ in 0..2 {
            assert_eq!(queue.receive(), Some(0));
            queue.hide(0, start());
            queue.show(start());
        }
        assert_eq!((queue.receive(), queue.dead.as_slice(), queue.waiting()), (None, [0].as_slice(), 0));
    }

    #[test]
    fn a_hidden_message_is_not_received_before_its_time() {
        let mut queue = RetryQueue::new(1, 9);
        queue.send(0);
        queue.receive();
        queue.hide(0, start() + Duration::from_secs(30));
        queue.show(start() + Duration::from_secs(29));
        assert_eq!((queue.receive(), queue.waiting()), (None, 1));
        queue.show(start() + Duration::from_secs(30));
        assert_eq!((queue.receive(), queue.receive_count(0)), (Some(0), 2));
    }

    #[test]
    fn no_more_than_120_000_messages_are_in_flight() {
        let mut queue = RetryQueue::new(120_001, 9);
        (0..120_001).for_each(|object| queue.send(object));
        assert_eq!(std::iter::from_fn(|| queue.receive()).count(), 120_000);
        queue.delete();
        assert_eq!(queue.receive(), Some(120_000));
    }

    #[test]
    fn messages_that_come_one_by_one_go_to_the_free_slots_in_turn() {
        let mut queue = RetryQueue::new(4, 9);
        let mut poller = Poller::new(2, 10);
        for object in 0..4 {
            queue.send(object);
            poller.gather(&mut queue);
        }
        assert_eq!((poller.take(0, None), poller.take(1, None)), (Some(vec![0, 2]), Some(vec![1, 3])));
    }

    #[test]
    fn free_slots_share_what_comes_and_a_full_batch_does_not_wait_for_its_window() {
        let mut queue = RetryQueue::new(5, 9);
        let mut poller = Poller::new(2, 2);
        (0..5).for_each(|object| queue.send(object));
        let gathered = poller.gather(&mut queue);
        assert_eq!(gathered, [Gathered::Began(0, 1), Gathered::Began(1, 2), Gathered::Full(0), Gathered::Full(1)]);
        assert_eq!(poller.take(0, None), Some(vec![0, 2]));
        assert_eq!(poller.take(0, Some(1)), None, "the window ends after the batch has begun");
        assert_eq!((poller.gathering(), queue.waiting()), (2, 1));
    }
}
