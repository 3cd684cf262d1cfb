//! Objects → outcomes: connectors, routes, submission.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Ingester, Run, log_secret_errors};
use crate::aws::s3::QUESTION_TIMEOUT;
use crate::aws::secrets::Connectors;
use crate::event::batch_job;
use crate::ingest::receipt::AnsweredRequest;
use crate::ingest::route::{ConnectorConflict, Route, Router, superseded};
use crate::ingest::session::{Work, paused_deferral};
use crate::ingest::submit::Submission;
use crate::model::claim::Claim;
use crate::model::object::{Change, Origin, S3Object};
use crate::model::outcome::{DeferClass, Deferral, Ledger, Outcome, SkipReason};

/// The results of objects that were submitted together.
#[derive(Debug)]
pub(super) struct Submitted {
    /// Their outcomes.
    pub(super) ledger: Ledger,
    /// The requests for which receipts are sent, if any are.
    pub(super) answered: Vec<AnsweredRequest>,
}

impl Ingester {
    /// Settles objects: afterwards, each of them is in the report with its outcome.
    pub(super) async fn settle(&self, objects: Vec<S3Object>, run: &mut Run) {
        if objects.is_empty() {
            return;
        }
        let wanted = objects.iter().any(|object| object.change == Change::Created && !object.is_folder_marker());
        let connectors = if wanted { self.connectors(run).await } else { Connectors::default() };
        let mut submitted = self.submit(&connectors, &objects, run).await;
        self.dead_letter_rejected(&connectors, &objects, &mut submitted.ledger, run.times).await;
        run.record_all(objects, submitted);
    }

    /// Returns the connectors, and logs failures once per invocation.
    pub(super) async fn connectors(&self, run: &mut Run) -> Connectors {
        let connectors = self.secrets.connectors(run.times.secrets_end).await;
        if !std::mem::replace(&mut run.has_logged_secrets, true) {
            log_secret_errors(&connectors);
        }
        connectors
    }

    /// Routes objects among the given connectors, and submits those that are in scope.
    pub(super) async fn submit(&self, connectors: &Connectors, objects: &[S3Object], run: &Run) -> Submitted {
        let (ledger, answered) = (Mutex::new(Ledger::new(objects.len())), Mutex::default());
        let work = self.route_all(connectors, objects, &ledger, &run.redelivered);
        if !work.is_empty() {
            // Every request has ended by then; if one has not, its objects are deferred with the rest.
            let answered = self.config.receipts_queue_url.as_ref().map(|_| &answered);
            let (metrics, end) = (&run.metrics, run.times.work_end);
            let submission = Submission { objects, ledger: &ledger, metrics, answered, end };
            let submitted = self.submitter.submit(work, submission);
            let _ = tokio::time::timeout(self.clock.until(run.times.work_end), submitted).await;
        }
        Submitted {
            ledger: ledger.into_inner().unwrap_or_else(PoisonError::into_inner),
            answered: answered.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Settles the objects that are not submitted now, and returns the others as work for their connectors.
    fn route_all(
        &self,
        connectors: &Connectors,
        objects: &[S3Object],
        ledger: &Mutex<Ledger>,
        redelivered: &BTreeSet<Origin>,
    ) -> Vec<Work> {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let router = Router::new(&connectors.known, &connectors.claims, &self.config.scope);
        let routes: Vec<Route> = objects.iter().map(|object| router.route(object)).collect();
        let superseded = superseded(objects, |position| routes[position].is_in_scope());
        let mut work: Vec<Work> = connectors
            .known
            .iter()
            .map(|connector| Work { connector: Arc::clone(connector), objects: Vec::new(), redelivered: Vec::new() })
            .collect();
        let mut deferrals: HashMap<Route, Deferral> = HashMap::new();
        for (position, (route, superseded)) in routes.into_iter().zip(superseded).enumerate() {
            let outcome = match route {
                _ if superseded => Outcome::Skipped(SkipReason::Superseded),
                Route::Skip(reason) => Outcome::Skipped(reason),
                Route::To(connector) => {
                    work[connector].objects.push(position);
                    if redelivered.contains(&objects[position].origin) {
                        work[connector].redelivered.push(position);
                    }
                    continue;
                }
                waits => {
                    Outcome::Deferred(deferrals.entry(waits).or_insert_with(|| why_it_waits(waits, connectors)).clone())
                }
            };
            ledger.settle(position, outcome);
        }
        work.retain(|work| !work.objects.is_empty());
        work.into_iter().flat_map(|work| with_unique_keys(work, objects)).collect()
    }

    /// Asks S3 which key a Batch Operations task means if its key has two readings. If S3 cannot be asked now, the object is deferred.
    pub(super) async fn decide_plus_signs(&self, objects: &mut Vec<S3Object>, run: &mut Run) {
        let mut decided = Vec::with_capacity(objects.len());
        for mut object in objects.drain(..) {
            let Some(spaced) = batch_job::spaced_key(&object.key) else {
                decided.push(object);
                continue;
            };
            let end = run.times.work_end.min(self.clock.now() + QUESTION_TIMEOUT);
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
                    run.record(Some(object), origin, outcome);
                }
            }
        }
        *objects = decided;
    }
}

/// Divides a connector's work so that no part has a key twice, because FlexOrch does not document such requests. Only a connector without
/// `bucket` gets the same key from several buckets.
fn with_unique_keys(work: Work, objects: &[S3Object]) -> Vec<Work> {
    if work.connector.bucket.is_some() {
        return vec![work];
    }
    let mut occurrences: HashMap<&str, usize> = HashMap::new();
    let mut parts: Vec<Work> = Vec::new();
    // In the order of the objects.
    let mut redelivered = work.redelivered.into_iter().peekable();
    for position in work.objects {
        let occurrence = occurrences.entry(objects[position].key.as_str()).or_default();
        if *occurrence == parts.len() {
            parts.push(Work { connector: Arc::clone(&work.connector), objects: Vec::new(), redelivered: Vec::new() });
        }
        parts[*occurrence].objects.push(position);
        parts[*occurrence].redelivered.extend(redelivered.next_if_eq(&position));
        *occurrence += 1;
    }
    parts
}

/// Returns why an object with this route waits. `connectors` are the candidates of the route.
fn why_it_waits(route: Route, connectors: &Connectors) -> Deferral {
    let (known, claims) = (&connectors.known, &connectors.claims);
    let unavailable = |why: &str| deferral(DeferClass::SecretUnavailable, why);
    match route {
        Route::Paused(connector) => paused_deferral(&known[connector]),
        Route::Claimed(claim) => {
            let Claim { secret_id, why, .. } = &claims[claim];
            Deferral { connector: Some(Arc::clone(secret_id)), ..unavailable(why) }
        }
        Route::Contested(first, second) => {
            unavailable(&ConnectorConflict::between(&known[first], &known[second]).to_string())
        }
        Route::Undecided | Route::To(_) | Route::Skip(_) => {
            unavailable(&claims.iter().map(|claim| &*claim.why).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Returns a deferral before a connector was chosen.
pub(super) fn deferral(class: DeferClass, why: &str) -> Deferral {
    Deferral { class, detail: why.into(), code: None, connector: None, not_before: None, attempts_exhausted: false }
}
