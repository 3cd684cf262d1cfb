//! When a message is acknowledged, when it returns, and what is sent in addition. Pure.
//!
//! A message is acknowledged when nothing of it is left to do, or once what is left is safe elsewhere. Nothing is left when every object
//! that it names is forwarded, skipped or rejected and every order to reconcile that it contains is finished. What is left is safe
//! elsewhere once SQS has accepted it: in the same queue as a *replacement* that names only the deferred objects (the message was settled
//! in part, and its other objects must not be submitted or rejected again), as a *copy* (the message would otherwise reach
//! `maxReceiveCount` or its retention period before its objects are settled), or as the *rest* of a reconcile and the objects that it *set
//! aside*; or in the dead-letter queue (the message cannot be read). Every other message returns: at the time when its objects can be tried
//! again, if that is known. So a message is never acknowledged before its deferred objects are in a queue, and if a send fails, it returns
//! as if none had been due.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use super::reconcile::{Cause, OrderResult, Stop};
use super::report::Reported;
use crate::event::reconcile::Cursor;
use crate::event::sqs::{Batch, Message};
use crate::ingest::retry::{usual_return, visibility_timeout};
use crate::model::message::LONGEST_DELAY;
use crate::model::outcome::{Deferral, Outcome};

/// A message is renewed at this age, whatever its receive count: SQS deletes it after 14 days at most, counted from when it was sent
/// (SQS Developer Guide, "Amazon SQS message quotas").
const RENEWAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A batch of messages, with the outcomes of their contents.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The messages.
    pub(super) batch: &'a Batch,
    /// The outcomes of the objects that they name, without those that a reconcile listed.
    pub(super) named: &'a [Reported],
    /// The orders to reconcile that they contain.
    pub(super) orders: &'a [OrderResult],
    /// `RENEW_AFTER_RECEIVES`.
    pub(super) renew_after_receives: NonZeroU32,
    /// Whether `DEAD_LETTER_QUEUE_URL` is set.
    pub(super) has_dead_letter_queue: bool,
}

impl<'a> Delivery<'a> {
    /// Returns the delivery of messages without an order to reconcile. `named` are the outcomes of the objects that they name;
    /// an [`Origin`](crate::model::object::Origin) is a message's position. `renew_after_receives` is `RENEW_AFTER_RECEIVES`.
    #[must_use]
    pub fn new(
        batch: &'a Batch,
        named: &'a [Reported],
        renew_after_receives: NonZeroU32,
        has_dead_letter_queue: bool,
    ) -> Self {
        Self { batch, named, orders: &[], renew_after_receives, has_dead_letter_queue }
    }
}

/// The decision about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageResult {
    /// It is acknowledged.
    Done,
    /// It returns after this time; `None`: after the queue's own visibility timeout.
    Returns(Option<Duration>),
    /// It is acknowledged once all of this is sent; if a send fails, it returns after this time.
    DoneOnceSent(Vec<Addition>, Option<Duration>),
}

/// A message to send in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addition {
    /// The message, unchanged, to the dead-letter queue.
    DeadLetter,
    /// A copy of the message, to be received after this delay.
    Copy(Duration),
    /// A message that names only the deferred objects, to be received after this delay.
    Replacement(Duration),
    /// The rest of an order to reconcile, to be received after this delay.
    Rest {
        /// The order, by its position in the delivery.
        order: usize,
        /// The position at which it continues.
        cursor: Cursor,
        /// The delay.
        delay: Duration,
    },
    /// A message that names the objects that a reconcile set aside, to be received after this delay.
    SetAside {
        /// The order, by its position in the delivery.
        order: usize,
        /// The delay.
        delay: Duration,
    },
}

/// The outcomes of one message's contents.
#[derive(Debug, Default)]
struct Held<'a> {
    /// Its orders to reconcile, with their positions in [`Delivery::orders`].
    orders: Vec<(usize, &'a OrderResult)>,
    /// Its deferred objects.
    deferred: Vec<&'a Deferral>,
    /// Whether an object that is not an unreadable record is deferred.
    defers_readable: bool,
    /// Whether an object is settled.
    settled: bool,
}

/// Decides about every message of a delivery, in order. `random` returns numbers in `0.0..1.0`.
pub fn decide(delivery: &Delivery<'_>, now: SystemTime, mut random: impl FnMut() -> f64) -> Vec<MessageResult> {
    let mut held: Vec<Held<'_>> = Vec::new();
    held.resize_with(delivery.batch.messages.len(), Held::default);
    for reported in delivery.named {
        if let Some(held) = held.get_mut(reported.origin.index()) {
            held.add(reported);
        }
    }
    for (position, result) in delivery.orders.iter().enumerate() {
        if let Some(held) = held.get_mut(result.origin.index()) {
            held.orders.push((position, result));
        }
    }
    let messages = delivery.batch.messages.iter().zip(&held);
    messages.map(|(message, held)| Case { delivery, message, held, now, random: random() }.decide()).collect()
}

impl<'a> Held<'a> {
    fn add(&mut self, reported: &'a Reported) {
        match &reported.outcome {
            Outcome::Deferred(deferral) => {
                self.deferred.push(deferral);
                self.defers_readable |= reported.object.is_some();
            }
            Outcome::Forwarded(_) | Outcome::Skipped(_) | Outcome::Rejected(_) => self.settled = true,
        }
    }

    /// The stops of its unfinished orders, with the orders' positions.
    fn stops(&self) -> impl Iterator<Item = (usize, &'a Stop)> {
        self.orders.iter().flat_map(|(position, result)| result.stops.iter().map(move |stop| (*position, stop)))
    }

    /// Whether an order made no progress with its only connector: then the message returns unchanged, later every time, instead of being
    /// replaced by a new message at every receive.
    fn is_stuck(&self) -> bool {
        self.orders.iter().any(|(_, result)| result.connectors == 1 && result.stops.iter().any(|stop| !stop.progressed))
    }
}

/// One message with everything that the decision about it depends on.
struct Case<'a> {
    delivery: &'a Delivery<'a>,
    message: &'a Message,
    held: &'a Held<'a>,
    now: SystemTime,
    random: f64,
}

impl Case<'_> {
    fn decide(&self) -> MessageResult {
        if self.message.unreadable.is_some() {
            return if self.delivery.has_dead_letter_queue {
                MessageResult::DoneOnceSent(vec![Addition::DeadLetter], None)
            } else {
                MessageResult::Returns(None)
            };
        }
        let stops: Vec<(usize, &Stop)> = self.held.stops().collect();
        if self.held.deferred.is_empty() {
            let set_aside: Vec<_> =
                self.held.orders.iter().filter_map(|(order, result)| self.set_aside(*order, result)).collect();
            if stops.is_empty() && set_aside.is_empty() {
                return MessageResult::Done;
            }
            if self.can_send() && !self.held.is_stuck() {
                let rests = stops.iter().map(|(order, stop)| self.rest(*order, stop));
                return MessageResult::DoneOnceSent(rests.chain(set_aside).collect(), Some(self.hidden_for(&stops)));
            }
        }
        let hidden_for = self.hidden_for(&stops);
        // If that is too early, it is deferred again.
        let delay = hidden_for.min(LONGEST_DELAY);
        // A replacement would lack the order.
        if self.held.settled && self.held.orders.is_empty() && self.can_send() {
            return MessageResult::DoneOnceSent(vec![Addition::Replacement(delay)], Some(hidden_for));
        }
        if self.is_due_for_renewal(&stops) && self.can_send() {
            return MessageResult::DoneOnceSent(vec![Addition::Copy(delay)], Some(hidden_for));
        }
        MessageResult::Returns(Some(hidden_for))
    }

    fn can_send(&self) -> bool {
        self.delivery.batch.queue_for_copies().is_some()
    }

    /// Returns the rest of one connector's bucket. Each connector has its own rest, so that one that waits does not have the others' buckets
    /// listed again.
    fn rest(&self, order: usize, stop: &Stop) -> Addition {
        let OrderResult { connectors, .. } = &self.delivery.orders[order];
        let only = stop.cursor.only || *connectors > 1;
        // Continuing immediately makes sense only if the time ended, and was enough for some progress.
        let delay = if stop.progressed && stop.is_for_time() { Duration::ZERO } else { self.wait_of(stop, 1) };
        Addition::Rest { order, cursor: Cursor { only, ..stop.cursor.clone() }, delay: delay.min(LONGEST_DELAY) }
    }

    /// Returns the message for the objects that an order set aside. It is received when the last of them can be tried.
    fn set_aside(&self, order: usize, result: &OrderResult) -> Option<Addition> {
        let delay = result.set_aside.iter().map(|aside| self.wait_for(&aside.deferral, 1)).max()?;
        Some(Addition::SetAside { order, delay: delay.min(LONGEST_DELAY) })
    }

    /// Returns how long the message stays hidden: until the last of its objects and orders can be tried.
    fn hidden_for(&self, stops: &[(usize, &Stop)]) -> Duration {
        let receives = self.message.receive_count;
        let objects = self.held.deferred.iter().map(|deferral| self.wait_for(deferral, receives));
        let orders = stops.iter().map(|(_, stop)| self.wait_of(stop, receives));
        objects.chain(orders).max().unwrap_or_else(|| usual_return(receives, self.random))
    }

    fn wait_for(&self, deferral: &Deferral, receives: u32) -> Duration {
        visibility_timeout(deferral, receives, self.now, self.random)
    }

    fn wait_of(&self, stop: &Stop, receives: u32) -> Duration {
        match &stop.cause {
            Cause::Object(deferral) => self.wait_for(deferral, receives),
            Cause::Time | Cause::Secret { .. } | Cause::Listing { .. } => usual_return(receives, self.random),
        }
    }

    /// Whether SQS would soon delete or move the message. An unreadable message is never renewed: it belongs in the dead-letter queue.
    fn is_due_for_renewal(&self, stops: &[(usize, &Stop)]) -> bool {
        let Message { receive_count, sent, .. } = self.message;
        let age = sent.and_then(|sent| self.now.duration_since(sent).ok()).unwrap_or_default();
        let is_near_its_end = *receive_count >= self.delivery.renew_after_receives.get() || age >= RENEWAL_AGE;
        is_near_its_end && (self.held.defers_readable || !stops.is_empty())
    }
}

#[cfg(test)]
#[path = "acknowledge_tests.rs"]
mod tests;
