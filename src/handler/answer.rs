//! Outcomes → the answer that the carrier expects, and when what is deferred comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use super::reconcile::Stop;
use super::{Ingester, Report, Run, Times};
use crate::aws::failure::CallError;
use crate::aws::sqs::{OutgoingMessage, VisibilityChange, VisibilityProblem};
use crate::event::batch_job::{Job, TaskResult};
use crate::event::sqs::Batch;
use crate::event::{Carrier, ReconcileRequest};
use crate::ingest::retry::{usual_return, visibility_timeout};
use crate::model::object::Origin;
use crate::model::outcome::{Counts, Deferral, Forwarded, Outcome, Rejection, SkipReason};
use crate::redaction::redacted;

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

impl InvocationError {
    /// The same error without secrets: AWS's messages, which it may quote, can repeat anything.
    pub(super) fn redacted(self) -> Self {
        Self { message: redacted(&self.message), ..self }
    }
}

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
#[derive(Debug, Default, Clone)]
struct Fate<'a> {
    deferred: Vec<&'a Deferral>,
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
            Outcome::Deferred(deferral) => fate.deferred.push(deferral),
        }
    }
    fates
}

fn why_deferred(deferral: &Deferral) -> String {
    redacted(&format!("{}: {}", deferral.class.as_str(), deferral.detail))
}

fn why_rejected(rejection: &Rejection) -> String {
    redacted(format!("{} {}", rejection.code, rejection.message).trim())
}

fn how_forwarded(forwarded: &Forwarded) -> String {
    match &forwarded.job_id {
        Some(job) => redacted(&format!("forwarded to FlexOrch, job {job}")),
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
        let first = fates(report).into_values().find_map(|fate| fate.deferred.first().copied());
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
        Some(Fate { deferred, .. }) if !deferred.is_empty() => TaskResult::TemporaryFailure(why_deferred(deferred[0])),
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
        run: &mut Run,
    ) -> Result<Value, InvocationError> {
        let times = run.times;
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
        let fates = fates(&run.report);
        let mut comes_back = vec![false; batch.messages.len()];
        let mut returns = Vec::new();
        for (position, message) in (0..).zip(&batch.messages) {
            let origin = Origin(position);
            let fate = fates.get(&origin).filter(|fate| !fate.deferred.is_empty());
            let unsettled = fate.is_some() && !goes_on_elsewhere.contains(&origin);
            if unsettled || begins_again.contains(&origin) {
                comes_back[origin.index()] = true;
                if let Some(receipt_handle) = message.receipt_handle.clone() {
                    let (now, random) = (self.clock.now(), fastrand::f64());
                    let deferred = fate.into_iter().flat_map(|fate| &fate.deferred);
                    // It returns when the last of its objects can be tried.
                    let after = deferred
                        .map(|deferral| visibility_timeout(deferral, message.receive_count, now, random))
                        .max()
                        .unwrap_or_else(|| usual_return(message.receive_count, random));
                    returns.push(VisibilityChange { receipt_handle, hidden_for: after });
                }
            }
        }
        self.dead_letter_unreadable_messages(batch, &mut comes_back, run).await;
        if let (Some(queue), false) = (&batch.queue_arn, returns.is_empty()) {
            log_visibility(queue, &self.queues.set_visibility(queue, &returns, times.answer_end).await);
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
            let random = fastrand::f64();
            stop.deferral.as_ref().map_or_else(
                || usual_return(1, random),
                |deferral| visibility_timeout(deferral, 1, self.clock.now(), random),
            )
        } else {
            Duration::ZERO
        };
        let body = order.continuing(cursor).to_string();
        let rest = OutgoingMessage { body, attributes: Vec::new(), delay };
        let sent = self.queues.send_to_arn(queue, &[rest], times.answer_end).await;
        match sent.into_iter().find_map(Result::err) {
            None => {
                tracing::info!(reason = stop.reason.as_str(), "reconcile goes on with a message of its own");
                true
            }
            Some(error) => {
                tracing::error!(
                    reason = stop.reason.as_str(),
                    error = error.to_string().as_str(),
                    "reconcile is not finished; it begins again"
                );
                false
            }
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
