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
    Outcome::Deferred(Deferral { class, detail, code: None, connector: None, not_before, attempts_exhausted: false })
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
    let order = ReconcileRequest { since: Since::At(jiff::Timestamp::UNIX_EPOCH), prefix: None, cursor: None, hop: 0 };
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
    OneMessage { queue_arn: Some(QUEUE), message, named: Vec::new(), orders: Vec::new(), has_dead_letter_queue: true }
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
