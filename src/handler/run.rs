//! One invocation while it runs.

use std::collections::BTreeSet;

use super::report::Report;
use super::settle::Submitted;
use super::times::Times;
use crate::clock::Clock;
use crate::ingest::receipt::AnsweredRequest;
use crate::model::object::{Origin, S3Object};
use crate::model::outcome::Outcome;
use crate::telemetry::metrics::Metrics;

/// One invocation while it runs: its limits of time, what it measures, and what happened to its objects so far.
#[derive(Debug)]
pub(super) struct Run {
    /// By when its parts must have ended.
    pub(super) times: Times,
    /// What it measures.
    pub(super) metrics: Metrics,
    /// What happened to everything that it names.
    pub(super) report: Report,
    /// The requests that receipts are sent for, if they are wanted; the objects are those of the report.
    pub(super) answered: Vec<AnsweredRequest>,
    /// The parts of the event that keep coming back: see [`OFTEN_RECEIVED`](crate::ingest::session::OFTEN_RECEIVED).
    pub(super) redelivered: BTreeSet<Origin>,
    /// Secrets that could not be read have been logged.
    pub(super) has_logged_secrets: bool,
    /// Outcomes that were recorded after the end.
    late: usize,
    clock: Clock,
}

/// Lines that are written after the end all the same: they take a millisecond of a whole core together.
pub(super) const MOST_LATE_LINES: usize = 100;

impl Run {
    /// An invocation in which nothing has happened yet.
    pub(super) fn new(times: Times, clock: Clock) -> Self {
        Self {
            times,
            metrics: Metrics::default(),
            report: Report::default(),
            answered: Vec::new(),
            redelivered: BTreeSet::new(),
            has_logged_secrets: false,
            late: 0,
            clock,
        }
    }

    /// Records what happened to objects that were submitted together.
    pub(super) fn record_all(&mut self, objects: Vec<S3Object>, submitted: Submitted) {
        let Submitted { ledger, answered } = submitted;
        let before = self.report.objects.len();
        self.answered.extend(answered.into_iter().map(|mut request| {
            request.objects.iter_mut().for_each(|position| *position += before);
            request
        }));
        self.report.objects.reserve(objects.len());
        for (object, outcome) in objects.into_iter().zip(ledger.close()) {
            let origin = object.origin;
            self.record(Some(object), origin, outcome);
        }
    }

    /// Records the outcome of an object, or of a record that cannot be read (`None`), and writes its line if there is time.
    pub(super) fn record(&mut self, object: Option<S3Object>, origin: Origin, outcome: Outcome) {
        let now = self.clock.now();
        if let (Outcome::Deferred(_), Some(seen)) = (&outcome, object.as_ref().and_then(S3Object::happened_at)) {
            self.metrics.record_deferred_age(now.duration_since(seen.into()).unwrap_or_default());
        }
        let is_late = now >= self.times.answer_end;
        self.late += usize::from(is_late);
        self.report.add(object, origin, outcome, self.late <= MOST_LATE_LINES);
    }
}
