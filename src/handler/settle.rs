//! Objects → outcomes: connectors, routes, submission, dead letters.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Ingester, Report, Times, log_secret_error};
use crate::aws::failure::CallError;
use crate::aws::s3::QUESTION_TIMEOUT;
use crate::aws::secrets::Connectors;
use crate::aws::sqs::DeadLetter;
use crate::event::{Carrier, UnreadableRecord, batch_job, s3};
use crate::ingest::route::{Route, check_distinct, route, superseded};
use crate::ingest::submit::Work;
use crate::model::object::{Change, S3Object};
use crate::model::outcome::{DeferClass, Deferral, Ledger, Outcome, Rejection, SkipReason};
use crate::telemetry::metrics::Metrics;

/// The code of what could not be read, where FlexOrch's would stand.
const UNREADABLE: &str = "UNREADABLE_RECORD";

impl Ingester {
    /// Settles objects: when this returns, each of them is in the report with its outcome.
    pub(super) async fn settle(&self, objects: Vec<S3Object>, times: Times, metrics: &Metrics, report: &mut Report) {
        if objects.is_empty() {
            return;
        }
        let wanted = objects.iter().any(|object| object.change == Change::Created && !object.is_folder_marker());
        let connectors = if wanted { self.connectors(times).await } else { Connectors::default() };
        self.settle_with(&connectors, objects, times, metrics, report).await;
    }

    /// The connectors, with the failures logged.
    pub(super) async fn connectors(&self, times: Times) -> Connectors {
        let connectors = self.secrets.connectors(times.secrets_end).await;
        connectors.failed.iter().for_each(log_secret_error);
        connectors
    }

    /// Settles objects among connectors that are known already.
    pub(super) async fn settle_with(
        &self,
        connectors: &Connectors,
        objects: Vec<S3Object>,
        times: Times,
        metrics: &Metrics,
        report: &mut Report,
    ) {
        let ledger = Mutex::new(Ledger::new(objects.len()));
        let work = self.route_all(connectors, &objects, &ledger);
        if !work.is_empty() {
            // Every request ends by then of its own; should one not, its objects are deferred with the rest.
            let submission = self.submitter.submit(work, &objects, &ledger, metrics, times.work_end);
            let _ = tokio::time::timeout(self.clock.until(times.work_end), submission).await;
        }
        let mut ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.bury_rejected(connectors, &objects, &mut ledger, times).await;
        for (object, outcome) in objects.into_iter().zip(ledger.close()) {
            let origin = object.origin;
            report.add(Some(object), origin, outcome);
        }
    }

    fn route_all(&self, connectors: &Connectors, objects: &[S3Object], ledger: &Mutex<Ledger>) -> Vec<Work> {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let conflict = check_distinct(&connectors.known).err();
        let mut work: Vec<Work> = connectors
            .known
            .iter()
            .map(|connector| Work { connector: Arc::clone(connector), objects: Vec::new() })
            .collect();
        for (position, (object, superseded)) in objects.iter().zip(superseded(objects)).enumerate() {
            if superseded {
                ledger.settle(position, Outcome::Skipped(SkipReason::Superseded));
                continue;
            }
            match route(object, &connectors.known, connectors.failed.is_empty(), &self.config.scope) {
                Route::Skip(reason) => ledger.settle(position, Outcome::Skipped(reason)),
                Route::To(_) if conflict.is_some() => {
                    let why = conflict.as_ref().map(ToString::to_string).unwrap_or_default();
                    ledger.settle(position, Outcome::Deferred(deferral(DeferClass::SecretUnavailable, &why)));
                }
                Route::To(connector) => work[connector].objects.push(position),
                Route::Undecided => {
                    let why = connectors.failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    ledger.settle(position, Outcome::Deferred(deferral(DeferClass::SecretUnavailable, &why)));
                }
            }
        }
        work.retain(|work| !work.objects.is_empty());
        work
    }

    /// Sends the rejected objects to the dead-letter queue. One that does not get there is deferred: it must not be lost.
    async fn bury_rejected(&self, connectors: &Connectors, objects: &[S3Object], ledger: &mut Ledger, times: Times) {
        let Some(queue) = &self.config.dead_letter_queue_url else { return };
        let rejected: Vec<(usize, Rejection)> = ledger
            .settled()
            .filter_map(|(position, outcome)| match outcome {
                Outcome::Rejected(rejection) => Some((position, rejection.clone())),
                _ => None,
            })
            .collect();
        if rejected.is_empty() {
            return;
        }
        let letters: Vec<_> = rejected
            .iter()
            .map(|(position, rejection)| {
                let connector =
                    connectors.known.iter().find(|known| Some(&known.secret_id) == rejection.connector.as_ref());
                DeadLetter {
                    body: s3::notification_of(&objects[*position]).to_string(),
                    attributes: vec![
                        ("connector", rejection.connector.as_deref().unwrap_or_default().to_owned()),
                        ("connector_id", connector.map(|connector| connector.id.to_string()).unwrap_or_default()),
                        ("code", rejection.code.clone()),
                        ("message", rejection.message.clone()),
                    ],
                }
            })
            .collect();
        let sent = self.queues.send(queue, &letters, times.answer_end).await;
        for ((position, rejection), sent) in rejected.into_iter().zip(sent) {
            if let Err(reason) = sent {
                let why =
                    format!("rejected as {}, but the dead-letter queue cannot be reached: {reason}", rejection.code);
                let deferral = Deferral {
                    connector: rejection.connector,
                    code: Some(rejection.code.into()),
                    ..deferral(DeferClass::DeadLetterUnavailable, &why)
                };
                ledger.defer_instead(position, deferral);
            }
        }
    }

    /// Settles the records that could not be read: aside into the dead-letter queue where there is one, otherwise back.
    pub(super) async fn settle_unreadable(
        &self,
        records: Vec<UnreadableRecord>,
        carrier: &Carrier,
        times: Times,
        report: &mut Report,
    ) {
        if records.is_empty() {
            return;
        }
        let rejected = |reason: &str| {
            Outcome::Rejected(Rejection { connector: None, code: UNREADABLE.into(), message: reason.to_owned() })
        };
        // A job's own report names the tasks that failed for good.
        if matches!(carrier, Carrier::BatchJob(_)) {
            for record in records {
                report.add(None, record.origin, rejected(&record.reason));
            }
            return;
        }
        let letters: Vec<_> = records
            .iter()
            .map(|record| unreadable_letter(s3::notification_around(&record.record), &record.reason))
            .collect();
        let sent = self.bury(&letters, times).await;
        for (record, sent) in records.into_iter().zip(sent) {
            let outcome = match sent {
                Ok(()) => rejected(&record.reason),
                Err(None) => Outcome::Deferred(deferral(DeferClass::Unreadable, &record.reason)),
                Err(Some(why)) => {
                    let why = format!("{}; and the dead-letter queue cannot be reached: {why}", record.reason);
                    Outcome::Deferred(deferral(DeferClass::DeadLetterUnavailable, &why))
                }
            };
            report.add(None, record.origin, outcome);
        }
    }

    /// Sends letters to the dead-letter queue; `Err(None)` for each where there is none.
    pub(super) async fn bury(&self, letters: &[DeadLetter], times: Times) -> Vec<Result<(), Option<CallError>>> {
        match &self.config.dead_letter_queue_url {
            None => letters.iter().map(|_| Err(None)).collect(),
            Some(queue) => {
                let sent = self.queues.send(queue, letters, times.answer_end).await;
                sent.into_iter().map(|result| result.map_err(Some)).collect()
            }
        }
    }

    /// Asks S3 which key is meant where a Batch Operations task leaves it open. An object about which S3 cannot be asked now is
    /// deferred.
    pub(super) async fn decide_plus_signs(&self, objects: &mut Vec<S3Object>, times: Times, report: &mut Report) {
        let mut decided = Vec::with_capacity(objects.len());
        for mut object in objects.drain(..) {
            let Some(spaced) = batch_job::spaced_key(&object.key) else {
                decided.push(object);
                continue;
            };
            let end = times.work_end.min(self.clock.now() + QUESTION_TIMEOUT);
            let answer = match self.buckets.exists(&object.bucket, &object.key, end).await {
                Ok(Some(true)) => Ok(Some(object.key.clone())),
                Ok(_) => match self.buckets.exists(&object.bucket, &spaced, end).await {
                    Ok(Some(true)) => Ok(Some(spaced)),
                    Ok(_) => Ok(None),
                    Err(why) => Err(why),
                },
                Err(why) => Err(why),
            };
            match answer {
                Ok(key) => {
                    if key.is_none() {
                        tracing::warn!(
                            bucket = object.bucket.as_str(),
                            key = object.key.as_str(),
                            "S3 does not say whether a `+` in this task's key is a plus or a space; taken as a plus"
                        );
                    }
                    object.key = key.unwrap_or(object.key);
                    decided.push(object);
                }
                Err(why) => {
                    let origin = object.origin;
                    let outcome = Outcome::Deferred(deferral(DeferClass::BucketUnavailable, &why.to_string()));
                    report.add(Some(object), origin, outcome);
                }
            }
        }
        *objects = decided;
    }
}

/// A letter about what could not be read, as it came.
pub(super) fn unreadable_letter(body: String, reason: &str) -> DeadLetter {
    DeadLetter { body, attributes: vec![("code", UNREADABLE.to_owned()), ("message", reason.to_owned())] }
}

/// A deferral before any connector was chosen.
pub(super) fn deferral(class: DeferClass, why: &str) -> Deferral {
    Deferral { class, detail: why.into(), code: None, connector: None, not_before: None, attempts_exhausted: false }
}
