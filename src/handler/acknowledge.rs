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
mod tests {
    use super::*;
    use crate::event::ReconcileRequest;
    use crate::event::reconcile::Since;
    use crate::event::sqs::Unreadable;
    use crate::model::object::{ObjectKey, Origin, S3Object};
    use crate::model::outcome::{DeferClass, Forwarded, Rejection, SkipReason};
    use proptest::prelude::*;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:retry";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn message(receive_count: u32, age: Duration) -> Message {
        Message {
            id: Some("m".into()),
            receipt_handle: Some("h".into()),
            receive_count,
            sent: Some(now() - age),
            unreadable: None,
        }
    }

    fn unreadable() -> Message {
        let unreadable = Some(Unreadable { reason: "r".into(), body: "b".into() });
        Message { unreadable, ..message(200, seconds(30 * 86_400)) }
    }

    /// An outcome of the first message's object.
    fn object(outcome: Outcome) -> Reported {
        let object = S3Object::new("b", ObjectKey::verbatim("k").unwrap());
        Reported { origin: Origin(0), object: Some(object), outcome }
    }

    /// A record of the first message that cannot be read.
    fn record(outcome: Outcome) -> Reported {
        Reported { object: None, ..object(outcome) }
    }

    fn deferred() -> Outcome {
        deferred_until(DeferClass::Unavailable, None)
    }

    fn deferred_until(class: DeferClass, not_before: Option<SystemTime>) -> Outcome {
        let detail = "x".into();
        Outcome::Deferred(Deferral {
            class,
            detail,
            code: None,
            connector: None,
            not_before,
            attempts_exhausted: false,
        })
    }

    fn settled() -> [Outcome; 3] {
        [
            Outcome::Forwarded(Forwarded { connector: "c".into(), job_id: None, duplicate: false }),
            Outcome::Skipped(SkipReason::TooLarge),
            Outcome::Rejected(Rejection { connector: None, code: "X".into(), message: String::new() }),
        ]
    }

    const LISTING: Cause = Cause::Listing { needs_operator: false };

    fn stop(secret_id: &str, progressed: bool, cause: Cause) -> Stop {
        let since = "2026-01-31T00:00:00Z".parse().unwrap();
        Stop {
            cursor: Cursor { secret_id: secret_id.into(), after: None, since, only: false },
            reason: "r".into(),
            cause,
            progressed,
        }
    }

    fn order(connectors: usize, stops: impl IntoIterator<Item = Stop>) -> OrderResult {
        let order =
            ReconcileRequest { since: Since::At(jiff::Timestamp::UNIX_EPOCH), prefix: None, cursor: None, hop: 0 };
        OrderResult { origin: Origin(0), order, stops: stops.into_iter().collect(), connectors, set_aside: Vec::new() }
    }

    /// What is done about a message alone in its batch, with the middle of the jitter.
    struct OneMessage {
        queue_arn: Option<&'static str>,
        message: Message,
        named: Vec<Reported>,
        orders: Vec<OrderResult>,
        has_dead_letter_queue: bool,
    }

    impl OneMessage {
        fn decide(self) -> MessageResult {
            let batch = Batch { queue_arn: self.queue_arn.map(str::to_owned), messages: vec![self.message] };
            let delivery = Delivery {
                batch: &batch,
                named: &self.named,
                orders: &self.orders,
                renew_after_receives: NonZeroU32::new(100).unwrap(),
                has_dead_letter_queue: self.has_dead_letter_queue,
            };
            decide(&delivery, now(), || 0.5).remove(0)
        }
    }

    fn one_message(message: Message) -> OneMessage {
        OneMessage {
            queue_arn: Some(QUEUE),
            message,
            named: Vec::new(),
            orders: Vec::new(),
            has_dead_letter_queue: true,
        }
    }

    fn of_objects(message: Message, outcomes: impl IntoIterator<Item = Outcome>) -> MessageResult {
        OneMessage { named: outcomes.into_iter().map(object).collect(), ..one_message(message) }.decide()
    }

    fn of_order(message: Message, order: OrderResult) -> MessageResult {
        OneMessage { orders: vec![order], ..one_message(message) }.decide()
    }

    fn young(receive_count: u32) -> Message {
        message(receive_count, seconds(60))
    }

    #[test]
    fn a_message_with_nothing_deferred_is_done_however_often_it_was_received() {
        for message in [young(1), young(500), message(1, seconds(13 * 86_400))] {
            assert_eq!(of_objects(message, settled()), MessageResult::Done);
        }
        // A test event, or an event without records.
        assert_eq!(of_objects(young(1), []), MessageResult::Done);
    }

    #[test]
    fn a_message_with_nothing_settled_returns_when_its_objects_can_be_tried() {
        assert_eq!(of_objects(young(1), [deferred()]), MessageResult::Returns(Some(seconds(30))));
        assert_eq!(of_objects(young(4), [deferred()]), MessageResult::Returns(Some(seconds(240))));
        let named = |wait| deferred_until(DeferClass::QuotaExceeded, Some(now() + seconds(wait)));
        assert_eq!(of_objects(young(1), [named(77)]), MessageResult::Returns(Some(seconds(77))));
        assert_eq!(of_objects(young(1), [named(77), deferred(), named(99)]), MessageResult::Returns(Some(seconds(99))));
        assert_eq!(of_objects(young(1), [named(2_592_000)]), MessageResult::Returns(Some(seconds(41_400))));
    }

    #[test]
    fn a_message_that_is_settled_in_part_is_replaced() {
        for outcome in settled() {
            let result = of_objects(young(1), [outcome, deferred()]);
            let expected = MessageResult::DoneOnceSent(vec![Addition::Replacement(seconds(30))], Some(seconds(30)));
            assert_eq!(result, expected);
        }
        // If it has to wait for longer than a message can be delayed, it is deferred again then.
        let long = deferred_until(DeferClass::QuotaExceeded, Some(now() + seconds(86_400)));
        let [forwarded, ..] = settled();
        let expected = MessageResult::DoneOnceSent(vec![Addition::Replacement(seconds(900))], Some(seconds(41_400)));
        assert_eq!(of_objects(young(300), [forwarded, long]), expected);
    }

    #[test]
    fn a_message_is_renewed_at_its_hundredth_receive_or_when_it_is_a_week_old() {
        let week = seconds(7 * 86_400);
        for (message, wait) in [(young(100), 900), (young(119), 900), (message(1, week), 30)] {
            let expected = MessageResult::DoneOnceSent(vec![Addition::Copy(seconds(wait))], Some(seconds(wait)));
            assert_eq!(of_objects(message, [deferred()]), expected);
        }
        for message in [young(99), message(1, week - seconds(1)), Message { sent: None, ..young(99) }] {
            assert!(matches!(of_objects(message, [deferred()]), MessageResult::Returns(Some(_))));
        }
        // A sender whose clock is ahead.
        let future = Message { sent: Some(now() + week), ..young(1) };
        assert_eq!(of_objects(future, [deferred()]), MessageResult::Returns(Some(seconds(30))));
    }

    #[test]
    fn nothing_is_sent_to_a_fifo_queue_or_to_one_that_is_not_named() {
        for queue_arn in [Some("arn:aws:sqs:eu-west-1:123456789012:retry.fifo"), None] {
            let [forwarded, ..] = settled();
            for named in [vec![object(deferred())], vec![object(forwarded), object(deferred())]] {
                let result = OneMessage { queue_arn, named, ..one_message(young(100)) }.decide();
                assert_eq!(result, MessageResult::Returns(Some(seconds(900))));
            }
            let orders = vec![order(1, [stop("docs", true, Cause::Time)])];
            let result = OneMessage { queue_arn, orders, ..one_message(young(1)) }.decide();
            assert_eq!(result, MessageResult::Returns(Some(seconds(30))));
        }
    }

    #[test]
    fn a_message_that_cannot_be_read_goes_to_the_dead_letter_queue_and_is_never_renewed() {
        let expected = MessageResult::DoneOnceSent(vec![Addition::DeadLetter], None);
        assert_eq!(one_message(unreadable()).decide(), expected);
        let without = OneMessage { has_dead_letter_queue: false, ..one_message(unreadable()) };
        assert_eq!(without.decide(), MessageResult::Returns(None));
    }

    #[test]
    fn records_that_cannot_be_read_stay_with_their_message_and_are_never_renewed_alone() {
        let unreadable = || record(deferred_until(DeferClass::Unreadable, None));
        let of = |message, named| OneMessage { named, has_dead_letter_queue: false, ..one_message(message) }.decide();
        let [forwarded, ..] = settled();
        // With a settled object the message is replaced, the record included.
        let replaced = of(young(1), vec![object(forwarded), unreadable()]);
        assert!(
            matches!(replaced, MessageResult::DoneOnceSent(additions, _) if additions == [Addition::Replacement(seconds(30))])
        );
        // Alone it fails alone, until the queue's redrive policy moves it.
        assert_eq!(of(young(100), vec![unreadable()]), MessageResult::Returns(Some(seconds(900))));
        // With a deferred object the message is renewed for the object's sake.
        let renewed = of(young(100), vec![object(deferred()), unreadable()]);
        assert!(
            matches!(renewed, MessageResult::DoneOnceSent(additions, _) if additions == [Addition::Copy(seconds(900))])
        );
    }

    #[test]
    fn an_order_that_is_carried_out_is_done() {
        assert_eq!(of_order(young(1), order(1, [])), MessageResult::Done);
    }

    #[test]
    fn an_order_that_came_further_goes_on_as_a_new_message_and_immediately_if_only_time_was_missing() {
        let rest = |stop: Stop, delay| {
            let additions = vec![Addition::Rest { order: 0, cursor: stop.cursor, delay: seconds(delay) }];
            MessageResult::DoneOnceSent(additions, Some(seconds(60)))
        };
        let time = stop("docs", true, Cause::Time);
        assert_eq!(of_order(young(2), order(1, [time.clone()])), rest(time, 0));
        let failed = stop("docs", true, LISTING);
        assert_eq!(of_order(young(2), order(1, [failed.clone()])), rest(failed, 30));
    }

    #[test]
    fn an_order_that_came_no_further_returns_like_a_deferred_message_and_is_renewed_like_one() {
        for cause in [Cause::Time, LISTING] {
            let stuck = || order(1, [stop("docs", false, cause.clone())]);
            assert_eq!(of_order(young(3), stuck()), MessageResult::Returns(Some(seconds(120))));
            let expected = MessageResult::DoneOnceSent(vec![Addition::Copy(seconds(900))], Some(seconds(900)));
            assert_eq!(of_order(young(100), stuck()), expected);
        }
        // When FlexOrch named a time, it is obeyed.
        let Outcome::Deferred(deferral) = deferred_until(DeferClass::QuotaExceeded, Some(now() + seconds(77))) else {
            panic!()
        };
        let stop = stop("docs", false, Cause::Object(deferral));
        assert_eq!(of_order(young(3), order(1, [stop])), MessageResult::Returns(Some(seconds(77))));
    }

    #[test]
    fn of_several_connectors_each_that_is_not_done_goes_on_by_itself_and_never_immediately_without_progress() {
        let stops = [stop("a", true, Cause::Time), stop("b", false, Cause::Time), stop("c", false, LISTING)];
        let MessageResult::DoneOnceSent(rests, Some(_)) = of_order(young(1), order(5, stops)) else { panic!() };
        let rests: Vec<_> = rests
            .iter()
            .map(|rest| match rest {
                Addition::Rest { order: 0, cursor, delay } => (cursor.secret_id.as_str(), cursor.only, delay.as_secs()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(rests, [("a", true, 0), ("b", true, 30), ("c", true, 30)]);
    }

    #[test]
    fn a_message_with_an_order_and_a_deferred_object_returns_whole() {
        let [forwarded, ..] = settled();
        let named = vec![object(forwarded), object(deferred())];
        for stops in [vec![], vec![stop("docs", true, Cause::Time)]] {
            let orders = vec![order(1, stops)];
            let result = OneMessage { named: named.clone(), orders, ..one_message(young(1)) }.decide();
            assert_eq!(result, MessageResult::Returns(Some(seconds(30))));
        }
    }

    proptest! {
        #[test]
        fn no_message_with_something_left_is_acknowledged_without_a_send_and_nothing_is_delayed_for_too_long(
            outcomes in proptest::collection::vec((0u32..4, 0usize..5, any::<bool>()), 0..12),
            receives in 1u32..200,
            age in 0u64..2_000_000,
            fifo in any::<bool>(),
            has_dead_letter_queue in any::<bool>(),
            random in 0.0f64..1.0,
        ) {
            let messages = (0..4).map(|_| message(receives, seconds(age))).collect();
            let queue_arn = Some(if fifo { format!("{QUEUE}.fifo") } else { QUEUE.to_owned() });
            let batch = Batch { queue_arn, messages };
            let named: Vec<_> = outcomes
                .iter()
                .map(|(origin, kind, readable)| {
                    let outcome = settled().get(*kind).cloned().unwrap_or_else(deferred);
                    let reported = if *readable { object(outcome) } else { record(outcome) };
                    Reported { origin: Origin(*origin), ..reported }
                })
                .collect();
            let renew_after_receives = NonZeroU32::new(100).unwrap();
            let delivery = Delivery { batch: &batch, named: &named, orders: &[], renew_after_receives, has_dead_letter_queue };
            for (position, result) in decide(&delivery, now(), || random).iter().enumerate() {
                let of_message = || named.iter().filter(|reported| reported.origin.index() == position);
                let any_deferred = of_message().any(|reported| matches!(reported.outcome, Outcome::Deferred(_)));
                prop_assert_eq!(*result == MessageResult::Done, !any_deferred);
                if let MessageResult::DoneOnceSent(additions, otherwise) = result {
                    prop_assert!(!fifo && otherwise.is_some());
                    let [Addition::Copy(delay) | Addition::Replacement(delay)] = additions[..] else { panic!() };
                    prop_assert!(delay <= LONGEST_DELAY && delay <= otherwise.unwrap());
                }
            }
        }
    }
}
