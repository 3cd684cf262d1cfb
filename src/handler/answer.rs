//! Outcomes → the response to a direct invocation and to a Batch Operations job. A queue's is in `queue`.

use std::collections::BTreeMap;
use std::fmt;

use lambda_runtime::Diagnostic;
use serde_json::Value;

use super::Report;
use super::reconcile::OrderResult;
use crate::event::Carrier;
use crate::event::batch_job::{Job, TaskResult};
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

/// What the objects of one part of the invocation came to; the first of each kind.
#[derive(Debug, Default, Clone, Copy)]
struct PartResult<'a> {
    deferred: Option<&'a Deferral>,
    rejected: Option<&'a Rejection>,
    forwarded: Option<&'a Forwarded>,
    skipped: Option<SkipReason>,
}

fn parts(report: &Report) -> BTreeMap<Origin, PartResult<'_>> {
    let mut parts: BTreeMap<Origin, PartResult<'_>> = BTreeMap::new();
    for reported in &report.objects {
        let part = parts.entry(reported.origin).or_default();
        match &reported.outcome {
            Outcome::Forwarded(forwarded) => part.forwarded = Some(forwarded),
            Outcome::Skipped(reason) => part.skipped = Some(*reason),
            Outcome::Rejected(rejection) => part.rejected = Some(rejection),
            Outcome::Deferred(deferral) => {
                part.deferred.get_or_insert(deferral);
            }
        }
    }
    parts
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
pub(super) fn direct(report: &Report, orders: &[OrderResult]) -> Result<Value, InvocationError> {
    let counts = report.counts();
    // The first place that is not done: the next call does everything from there on.
    let stopped: Vec<_> = orders.iter().filter_map(|result| result.stops.first()).collect();
    if counts.deferred == 0 && stopped.is_empty() {
        return serde_json::to_value(&counts)
            .map_err(|error| InvocationError { kind: "Internal", message: error.to_string() });
    }
    let mut message = String::new();
    if counts.deferred > 0 {
        let first = parts(report).into_values().find_map(|part| part.deferred);
        let why = first.map(why_deferred).unwrap_or_default();
        message = format!("{}; first: {why}", deferred_words(&counts));
    }
    for stop in stopped {
        let separator = if message.is_empty() { "" } else { "; " };
        let (reason, cursor) = (&stop.reason, stop.cursor.marked());
        message.push_str(&format!("{separator}reconcile is not finished ({reason}); continue with {cursor}"));
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
    let parts = parts(report);
    job.answer(|origin| match parts.get(&origin) {
        Some(PartResult { deferred: Some(deferral), .. }) => TaskResult::TemporaryFailure(why_deferred(deferral)),
        Some(PartResult { rejected: Some(rejection), .. }) => TaskResult::PermanentFailure(why_rejected(rejection)),
        Some(PartResult { forwarded: Some(forwarded), .. }) => TaskResult::Succeeded(how_forwarded(forwarded)),
        Some(PartResult { skipped: Some(reason), .. }) => {
            TaskResult::Succeeded(format!("skipped: {}", reason.as_str()))
        }
        Some(_) | None => TaskResult::TemporaryFailure("nothing was done about this task".into()),
    })
    .map_err(|error| InvocationError { kind: "Internal", message: error.to_string() })
}
