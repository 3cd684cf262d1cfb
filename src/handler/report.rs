//! The results of an invocation, for logs, metrics and the command line.

use serde_json::Value;

use super::InvocationError;
use crate::model::object::{Origin, S3Object};
use crate::model::outcome::{Counts, Outcome, SkipReason};
use crate::telemetry::metrics::Metrics;

/// One object, or one record that could not be read, with its outcome.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The part of the invocation that named it.
    pub origin: Origin,
    /// The object; `None` for a record that could not be read.
    pub object: Option<S3Object>,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcomes of everything that an invocation named.
#[derive(Debug, Default)]
pub struct Report {
    /// How the event arrived: `direct`, `sqs`, `batch-job`.
    pub source: &'static str,
    /// Every object, in no particular order; unreadable records are in the order of the event.
    pub objects: Vec<Reported>,
    /// The number of messages that could not be read at all; the number of objects in them is unknown.
    pub unreadable_messages: u64,
    /// Messages in whose place a copy or a replacement was sent.
    pub renewed: u64,
    /// Receipts that could not be sent.
    pub receipts_lost: u64,
    /// Objects that a reconcile forwarded and FlexOrch did not know: it reports the others as duplicates.
    pub(super) reconcile_found: u64,
    /// Listings of reconciles that wait for an operator.
    pub(super) reconciles_blocked: u64,
    pub(super) counts: Counts,
    /// Objects whose line was omitted for lack of time.
    unwritten: u64,
}

impl Report {
    /// The number of objects with each outcome.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Adds an outcome. `writes` says whether there is time for its line.
    pub(super) fn add(&mut self, object: Option<S3Object>, origin: Origin, outcome: Outcome, writes: bool) {
        if writes {
            log_outcome(object.as_ref(), &outcome);
        } else {
            self.unwritten += u64::from(has_a_line(&outcome));
        }
        self.counts.add(&outcome);
        self.objects.push(Reported { origin, object, outcome });
    }

    /// Writes the summary line, and the error's line if there is one.
    pub(super) fn log(&self, answer: &Result<Value, InvocationError>, metrics: &Metrics) {
        let counts = &self.counts;
        if self.unwritten > 0 {
            tracing::warn!(
                objects = self.unwritten,
                action = "raise the function's memory, which brings processor time, or its timeout",
                "no time was left for a line about each of these objects: they count in the summary"
            );
        }
        match answer {
            Err(error) if counts.received == 0 => tracing::error!(
                source = self.source,
                error_type = error.kind,
                error = error.message.as_str(),
                "the event failed"
            ),
            _ => tracing::info!(
                source = self.source,
                received = counts.received,
                forwarded = counts.forwarded,
                skipped = counts.skipped,
                rejected = counts.rejected,
                deferred = counts.deferred,
                duplicates = counts.duplicates,
                unreadable_messages = self.unreadable_messages,
                messages_renewed = self.renewed,
                receipts_lost = self.receipts_lost,
                reconcile_found = self.reconcile_found,
                requests = metrics.requests(),
                "summary"
            ),
        }
    }
}

/// Whether an outcome has its own line at the usual log level.
fn has_a_line(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Forwarded(_) => false,
        Outcome::Skipped(reason) => *reason == SkipReason::NoConnector,
        Outcome::Rejected(_) | Outcome::Deferred(_) => true,
    }
}

/// Writes the one line of an object that was not forwarded and is not simply out of scope.
fn log_outcome(object: Option<&S3Object>, outcome: &Outcome) {
    let bucket = object.map_or("", |object| object.bucket.as_str());
    let key = object.map_or("", |object| object.key.as_str());
    match outcome {
        Outcome::Forwarded(_) => {}
        Outcome::Skipped(SkipReason::NoConnector) => tracing::warn!(
            bucket,
            key,
            class = SkipReason::NoConnector.as_str(),
            action = "add the bucket's connector to CONNECTOR_SECRET_IDS, or stop its notifications",
            "skipped"
        ),
        Outcome::Skipped(reason) => tracing::debug!(bucket, key, class = reason.as_str(), "skipped"),
        Outcome::Rejected(rejection) => tracing::error!(
            bucket,
            key,
            class = "rejected",
            connector = rejection.connector.as_deref().unwrap_or_default(),
            code = rejection.code.as_str(),
            error = rejection.message.as_str(),
            action = "fix the file or take it out of scope; the dead-letter queue holds it if there is one and an event named it",
            "rejected"
        ),
        Outcome::Deferred(deferral) => {
            let class = deferral.class;
            let connector = deferral.connector.as_deref().unwrap_or_default();
            let (code, error) = (deferral.code.as_deref().unwrap_or_default(), &*deferral.detail);
            let (class_name, action) = (class.as_str(), class.remedy());
            if class.needs_operator() {
                tracing::error!(bucket, key, class = class_name, connector, code, error, action, "deferred");
            } else {
                tracing::warn!(bucket, key, class = class_name, connector, code, error, action, "deferred");
            }
        }
    }
}
