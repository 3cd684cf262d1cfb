//! Outcomes → the answer that the carrier expects, and when what is deferred comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use super::reconcile::Stop;
use super::{Ingester, Report, Times};
use crate::aws::sqs::Return;
use crate::event::batch_job::{Job, TaskResult};
use crate::event::sqs::Batch;
use crate::event::{Carrier, ReconcileRequest};
use crate::ingest::retry::visibility_timeout;
use crate::model::object::Origin;
use crate::model::outcome::{Counts, Deferral, Forwarded, Outcome, Rejection, SkipReason};

/// The error that an invocation is answered with. Lambda's retry, or the on-failure destination, acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationError {
    /// What Lambda shows as `errorType`.
    pub kind: &'static str,
    /// What Lambda shows as `errorMessage`.
    pub message: String,
}

impl fmt::Display for InvocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for InvocationError {}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        Self { error_type: error.kind.to_owned(), error_message: error.message }
    }
}

/// The name of what brought an event, for logs.
pub(super) fn source_name(carrier: &Carrier) -> &'static str {
    match carrier {
        Carrier::Direct => "direct",
        Carrier::Queue(_) => "sqs",
        Carrier::BatchJob(_) => "batch-job",
    }
}

/// What the objects of one part of the invocation come to.
#[derive(Debug, Default, Clone, Copy)]
struct Fate<'a> {
    deferred: Option<&'a Deferral>,
    not_before: Option<SystemTime>,
    rejected: Option<&'a Rejection>,
    forwarded: Option<&'a Forwarded>,
    skipped: Option<SkipReason>,
}

fn fates(report: &Report) -> BTreeMap<Origin, Fate<'_>> {
    let mut fates: BTreeMap<Origin, Fate<'_>> = BTreeMap::new();
    for reported in &report.objects {
        let fate = fates.entry(reported.origin).or_default();
        match &reported.outcome {
            Outcome::Forwarded(forwarded) => fate.forwarded = Some(forwarded),
            Outcome::Skipped(reason) => fate.skipped = Some(*reason),
            Outcome::Rejected(rejection) => fate.rejected = Some(rejection),
            Outcome::Deferred(deferral) => {
                fate.deferred.get_or_insert(deferral);
                fate.not_before = fate.not_before.max(deferral.not_before);
            }
        }
    }
    fates
}

fn why_deferred(deferral: &Deferral) -> String {
    format!("{}: {}", deferral.class.as_str(), deferral.detail)
}

fn why_rejected(rejection: &Rejection) -> String {
    format!("{} {}", rejection.code, rejection.message).trim().to_owned()
}

fn how_forwarded(forwarded: &Forwarded) -> String {
    match &forwarded.job_id {
        Some(job) => format!("forwarded to FlexOrch, job {job}"),
        None => "forwarded to FlexOrch".to_owned(),
    }
}

/// A direct invocation: the summary, or an error where anything has to be delivered again.
pub(super) fn direct(report: &Report, stopped: &[(Origin, Stop)]) -> Result<Value, InvocationError> {
    let counts = report.counts();
    if counts.deferred == 0 && stopped.is_empty() {
        return serde_json::to_value(&counts)
            .map_err(|error| InvocationError { kind: "Internal", message: error.to_string() });
    }
    let mut message = String::new();
    if counts.deferred > 0 {
        let first = fates(report).into_values().find_map(|fate| fate.deferred);
        let fate = first.map(why_deferred).unwrap_or_default();
        message = format!("{}; first: {fate}", deferred_words(&counts));
    }
    for (_, stop) in stopped {
        let separator = if message.is_empty() { "" } else { "; " };
        message.push_str(&format!("{separator}reconcile is not finished ({})", stop.reason));
        if let Some(cursor) = &stop.cursor {
            message.push_str(&format!("; continue with {}", cursor.marked()));
        }
    }
    let kind = if counts.deferred > 0 { "ObjectsDeferred" } else { "ReconcileUnfinished" };
    Err(InvocationError { kind, message })
}

fn deferred_words(counts: &Counts) -> String {
    let classes: Vec<_> =
        counts.deferred_by_class.iter().map(|(class, number)| format!("{number} {}", class.as_str())).collect();
    format!(
        "{} of {} objects are deferred ({}); forwarded {}, skipped {}, rejected {}",
        counts.deferred,
        counts.received,
        classes.join(", "),
        counts.forwarded,
        counts.skipped,
        counts.rejected
    )
}

/// S3 Batch Operations: a result for every task.
pub(super) fn batch_job(job: &Job, report: &Report) -> Result<Value, InvocationError> {
    let fates = fates(report);
    job.answer(|origin| match fates.get(&origin) {
        Some(Fate { deferred: Some(deferral), .. }) => TaskResult::TemporaryFailure(why_deferred(deferral)),
        Some(Fate { rejected: Some(rejection), .. }) => TaskResult::PermanentFailure(why_rejected(rejection)),
        Some(Fate { forwarded: Some(forwarded), .. }) => TaskResult::Succeeded(how_forwarded(forwarded)),
        Some(Fate { skipped: Some(reason), .. }) => TaskResult::Succeeded(format!("skipped: {}", reason.as_str())),
        Some(_) | None => TaskResult::TemporaryFailure("nothing was done about this task".into()),
    })
    .map_err(|error| InvocationError { kind: "Internal", message: error.to_string() })
}

impl Ingester {
    /// A batch of messages: those with a deferred object come back, when it makes sense; the others are done.
    pub(super) async fn answer_queue(
        &self,
        batch: &Batch,
        orders: &[(Origin, ReconcileRequest)],
        stopped: Vec<(Origin, Stop)>,
        times: Times,
        report: &mut Report,
    ) -> Result<Value, InvocationError> {
        let mut goes_on_elsewhere = BTreeSet::new();
        let mut begins_again = BTreeSet::new();
        for (origin, stop) in stopped {
            let order = orders.iter().find(|(ordered, _)| *ordered == origin).map(|(_, order)| order);
            if self.continue_later(batch, order, &stop, times).await {
                goes_on_elsewhere.insert(origin);
            } else {
                begins_again.insert(origin);
            }
        }
        let fates = fates(report);
        let mut comes_back = vec![false; batch.messages.len()];
        let mut returns = Vec::new();
        for (position, message) in (0..).zip(&batch.messages) {
            let origin = Origin(position);
            let fate = fates.get(&origin).filter(|fate| fate.deferred.is_some());
            let unsettled = fate.is_some() && !goes_on_elsewhere.contains(&origin);
            if unsettled || begins_again.contains(&origin) {
                comes_back[origin.index()] = true;
                if let Some(receipt_handle) = message.receipt_handle.clone() {
                    let not_before = fate.and_then(|fate| fate.not_before);
                    let now = self.clock.now();
                    let after = visibility_timeout(not_before, message.receive_count, now, fastrand::f64());
                    returns.push(Return { receipt_handle, after });
                }
            }
        }
        self.dead_letter_unreadable_messages(batch, &mut comes_back, times, report).await;
        if let (Some(queue), false) = (&batch.queue_arn, returns.is_empty())
            && let Some((calls, reason)) = self.queues.set_visibility(queue, &returns, times.answer_end).await
        {
            tracing::warn!(
                queue = queue.as_str(),
                calls,
                error = reason.as_str(),
                action = "allow the function sqs:ChangeMessageVisibility on the queue",
                "deferred messages come back after the queue's own visibility timeout"
            );
        }
        let answer = batch.answer(|origin| comes_back[origin.index()]).ok_or_else(|| InvocationError {
            kind: "MessageWithoutId",
            message: "a message that has to come back has no `messageId`, so the whole batch comes back".into(),
        })?;
        Ok(json!(answer))
    }

    /// Sends the rest of a reconcile as a message of its own, so that the one that ordered it is done. Answers whether it was
    /// sent. Where nothing was done since the order was given, there is no rest: the order comes back, later every time.
    async fn continue_later(&self, batch: &Batch, order: Option<&ReconcileRequest>, stop: &Stop, times: Times) -> bool {
        let (Some(queue), Some(order), Some(cursor)) = (&batch.queue_arn, order, &stop.cursor) else {
            tracing::error!(reason = stop.reason.as_str(), "reconcile is not finished; it begins again");
            return false;
        };
        let began_at = order.cursor.as_ref().and_then(|cursor| cursor.after.as_ref());
        let no_progress = cursor.after.is_none() || cursor.after.as_ref() == began_at;
        if stop.trouble && no_progress {
            tracing::error!(reason = stop.reason.as_str(), "reconcile is stuck; it is tried again");
            return false;
        }
        // Going on at once makes sense only where more time is all that was wanting, and some was enough for something.
        let delay = if stop.trouble || no_progress {
            visibility_timeout(stop.not_before, 1, self.clock.now(), fastrand::f64())
        } else {
            Duration::ZERO
        };
        let rest = order.continuing(cursor).to_string();
        match self.queues.send_to_arn(queue, rest, delay, times.answer_end).await {
            Ok(()) => {
                tracing::info!(reason = stop.reason.as_str(), "reconcile goes on with a message of its own");
                true
            }
            Err(error) => {
                tracing::error!(
                    reason = stop.reason.as_str(),
                    error = error.as_str(),
                    action = "allow the function sqs:SendMessage on the queue",
                    "reconcile is not finished; it begins again"
                );
                false
            }
        }
    }
}
