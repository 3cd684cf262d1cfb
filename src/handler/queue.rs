//! Carries out the decisions of [`acknowledge`](super::acknowledge) about a batch of messages, and builds its response.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::acknowledge::{self, Addition, Delivery, MessageResult};
use super::reconcile::{OrderResult, log_failed_listings};
use super::{Ingester, InvocationError, Reported, Run};
use crate::aws::failure::{CallError, FailureKind};
use crate::aws::sqs::{BYTES_PER_CALL, OutgoingMessage, VisibilityChange, VisibilityProblem};
use crate::config::Config;
use crate::event::s3::notifications_of;
use crate::event::sqs::{Batch, Original, originals};
use crate::model::object::Origin;
use crate::model::outcome::Outcome;

/// An SQS event and its contents.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueEvent<'a> {
    /// The event's payload.
    pub(super) payload: &'a str,
    /// Its messages.
    pub(super) batch: &'a Batch,
    /// The orders to reconcile that they contain.
    pub(super) orders: &'a [OrderResult],
    /// The number of outcomes at the beginning of the report that belong to objects in the messages.
    pub(super) named: usize,
}

/// Messages to send, each on behalf of a received one.
#[derive(Debug, Default)]
struct Outbox {
    messages: Vec<OutgoingMessage>,
    /// The received message for each of them.
    origins: Vec<Origin>,
    /// Received messages for which nothing can be built.
    failed: BTreeSet<Origin>,
}

impl Ingester {
    /// Returns the response to a batch, which names the messages that return. What must be in a queue before a message may be acknowledged
    /// is sent first.
    pub(super) async fn answer_queue(&self, event: QueueEvent<'_>, run: &mut Run) -> Result<Value, InvocationError> {
        let QueueEvent { batch, orders, .. } = event;
        let named = &run.report.objects[..event.named];
        let Config { renew_after_receives, dead_letter_queue_url, .. } = &self.config;
        let delivery = Delivery::new(batch, named, *renew_after_receives, dead_letter_queue_url.is_some());
        let delivery = Delivery { orders, ..delivery };
        log_failed_listings(orders);
        let results = acknowledge::decide(&delivery, self.clock.now(), fastrand::f64);
        let outbox = self.outbox(&event, &results, run);
        let returning = results.iter().map(|result| match result {
            MessageResult::Returns(hidden_for) => *hidden_for,
            MessageResult::Done | MessageResult::DoneOnceSent(..) => None,
        });
        let (unsent, (), unmoved, receipts_lost) = futures_util::join!(
            self.send(&event, &outbox, run),
            self.hide(batch, returning.collect(), run),
            self.dead_letter_unreadable_messages(batch, run.times),
            self.send_receipts(run),
        );
        let failed = &outbox.failed | &unsent;
        let mut comes_back: Vec<bool> =
            results.iter().map(|result| matches!(result, MessageResult::Returns(_))).collect();
        failed.iter().chain(&unmoved).for_each(|origin| comes_back[origin.index()] = true);
        if !failed.is_empty() {
            let returning = results.iter().zip(&comes_back).map(|(result, comes_back)| match result {
                MessageResult::DoneOnceSent(_, hidden_for) if *comes_back => *hidden_for,
                _ => None,
            });
            self.hide(batch, returning.collect(), run).await;
        }
        let renewed =
            results.iter().zip(&comes_back).filter(|(result, comes_back)| is_renewed(result) && !**comes_back);
        run.report.receipts_lost = receipts_lost;
        run.report.renewed += renewed.count() as u64;
        run.report.unreadable_messages +=
            batch.messages.iter().filter(|message| message.unreadable.is_some()).count() as u64;
        let answer = batch.answer(|origin| comes_back[origin.index()]).ok_or_else(|| InvocationError {
            kind: "MessageWithoutId",
            message: "a message that has to come back has no `messageId`, so the whole batch comes back".into(),
        })?;
        Ok(json!(answer))
    }

    /// Builds the messages for the batch's own queue.
    fn outbox(&self, event: &QueueEvent<'_>, results: &[MessageResult], run: &Run) -> Outbox {
        let mut outbox = Outbox::default();
        let of_renewed = |origin: Origin| results.get(origin.index()).is_some_and(is_renewed);
        let renewed: BTreeSet<Origin> =
            (0..).map(Origin).zip(results).map(|(origin, _)| origin).filter(|origin| of_renewed(*origin)).collect();
        let originals = if renewed.is_empty() { BTreeMap::new() } else { originals(event.payload, &renewed) };
        let mut named: BTreeMap<Origin, Vec<&Reported>> = BTreeMap::new();
        for reported in run.report.objects[..event.named].iter().filter(|reported| renewed.contains(&reported.origin)) {
            named.entry(reported.origin).or_default().push(reported);
        }
        for (origin, result) in (0..).map(Origin).zip(results) {
            let MessageResult::DoneOnceSent(additions, _) = result else { continue };
            // An unreadable message goes to another queue.
            for addition in additions.iter().filter(|addition| **addition != Addition::DeadLetter) {
                let (original, named) = (originals.get(&origin), named.get(&origin).map_or(&[][..], Vec::as_slice));
                // Building takes time too, and there may be ten thousand messages.
                let in_time = self.clock.now() < run.times.answer_end;
                match in_time.then(|| build(addition, event.orders, original, named)).flatten() {
                    Some(messages) => messages.into_iter().for_each(|message| outbox.push(origin, message)),
                    None => _ = outbox.failed.insert(origin),
                }
            }
        }
        if !outbox.failed.is_empty() {
            let error = "no time was left to build it, or the message cannot be read again with its attributes";
            tracing::warn!(messages = outbox.failed.len(), error, "{UNSENT}");
        }
        outbox
    }

    /// Sends the outbox. Returns the received messages for which a send failed.
    async fn send(&self, event: &QueueEvent<'_>, outbox: &Outbox, run: &Run) -> BTreeSet<Origin> {
        let Some(queue) = event.batch.queue_for_copies() else { return outbox.origins.iter().copied().collect() };
        let sent = self.queues.send_to_arn(queue, &outbox.messages, run.times.answer_end).await;
        let failed =
            outbox.origins.iter().zip(&sent).filter_map(|(origin, sent)| Some((*origin, sent.as_ref().err()?)));
        let failed: BTreeMap<Origin, &CallError> = failed.collect();
        log_unsent(queue, failed.values().copied());
        failed.into_keys().collect()
    }

    /// Sets the visibility timeouts of messages, by their positions; `None`: the queue's own timeout applies. Best effort.
    async fn hide(&self, batch: &Batch, hidden_for: Vec<Option<Duration>>, run: &Run) {
        let changes: Vec<_> = batch
            .messages
            .iter()
            .zip(hidden_for)
            .filter_map(|(message, hidden_for)| {
                Some(VisibilityChange { receipt_handle: message.receipt_handle.clone()?, hidden_for: hidden_for? })
            })
            .collect();
        if let (Some(queue), false) = (&batch.queue_arn, changes.is_empty()) {
            log_visibility(queue, &self.queues.set_visibility(queue, &changes, run.times.answer_end).await);
        }
    }
}

impl Outbox {
    fn push(&mut self, origin: Origin, message: OutgoingMessage) {
        self.messages.push(message);
        self.origins.push(origin);
    }
}

/// Whether a copy or a replacement takes the message's place once it is sent.
fn is_renewed(result: &MessageResult) -> bool {
    match result {
        MessageResult::DoneOnceSent(additions, _) => {
            additions.iter().any(|addition| matches!(addition, Addition::Copy(_) | Addition::Replacement(_)))
        }
        MessageResult::Done | MessageResult::Returns(_) => false,
    }
}

/// Builds the messages of an addition to a message with the outcomes `named`; `None` if the original cannot be read again.
fn build(
    addition: &Addition,
    orders: &[OrderResult],
    original: Option<&Original>,
    named: &[&Reported],
) -> Option<Vec<OutgoingMessage>> {
    let one = |body, attributes, delay| Some(vec![OutgoingMessage { body, attributes, delay, group: None }]);
    match addition {
        Addition::DeadLetter => None,
        Addition::Rest { order, cursor, delay } => {
            one(orders[*order].order.continuing(cursor).to_string(), Vec::new(), *delay)
        }
        Addition::SetAside { order, delay } => {
            let bodies =
                notifications_of(orders[*order].set_aside.iter().map(|aside| &aside.object), &[], BYTES_PER_CALL);
            let message = |body| OutgoingMessage { body, attributes: Vec::new(), delay: *delay, group: None };
            Some(bodies.into_iter().map(message).collect())
        }
        Addition::Copy(delay) => {
            let Original { body, attributes } = original?;
            one(body.clone(), attributes.clone()?, *delay)
        }
        Addition::Replacement(delay) => {
            let attributes = original?.attributes.clone()?;
            let bodies = deferred_only(original?, named)?;
            let message = |body| OutgoingMessage { body, attributes: attributes.clone(), delay: *delay, group: None };
            Some(bodies.into_iter().map(message).collect())
        }
    }
}

/// Builds notifications that name only the deferred objects of a message, and contain its unreadable records that are not in the dead-letter
/// queue. `None` if one of them cannot be named: then nothing may replace the message.
fn deferred_only(original: &Original, named: &[&Reported]) -> Option<Vec<String>> {
    let is_deferred = |reported: &&&Reported| matches!(reported.outcome, Outcome::Deferred(_));
    // The report has the records in the order of the message, without their text.
    let unreadable: Vec<_> = named.iter().filter(|reported| reported.object.is_none()).collect();
    let records = if unreadable.is_empty() { Vec::new() } else { original.unreadable_records() };
    if records.len() != unreadable.len() {
        return None;
    }
    let kept = records.into_iter().zip(unreadable).filter(|(_, reported)| is_deferred(reported));
    let kept: Vec<String> = kept.map(|(record, _)| record).collect();
    let objects = named.iter().filter(is_deferred).filter_map(|reported| reported.object.as_ref());
    Some(notifications_of(objects, &kept, BYTES_PER_CALL))
}

/// The log message about messages that return because a send failed.
const UNSENT: &str = "no copy, replacement or continued order could be sent: these messages return instead";

/// Logs messages that could not be sent: a line for each reason.
fn log_unsent<'a>(queue: &str, errors: impl Iterator<Item = &'a CallError>) {
    let mut problems: BTreeMap<FailureKind, (usize, &CallError)> = BTreeMap::new();
    for error in errors {
        problems.entry(error.kind()).or_insert((0, error)).0 += 1;
    }
    for (messages, error) in problems.into_values() {
        let text = error.to_string();
        let (error, transient) = (text.as_str(), error.is_transient());
        if transient {
            tracing::warn!(queue, messages, error, "{UNSENT}");
        } else {
            tracing::error!(queue, messages, error, "{UNSENT}");
        }
    }
}

/// Logs visibility timeouts that were not set: a line for each reason.
fn log_visibility(queue: &str, results: &[Result<(), CallError>]) {
    let mut problems: BTreeMap<VisibilityProblem, (usize, &CallError)> = BTreeMap::new();
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        problems.entry(VisibilityProblem::of(error)).or_insert((0, error)).0 += 1;
    }
    for (problem, (messages, error)) in problems {
        tracing::warn!(
            queue,
            messages,
            reason = problem.as_str(),
            error = error.to_string().as_str(),
            action = problem.remedy(),
            "the visibility timeout could not be set: deferred messages return after the queue's own"
        );
    }
}
