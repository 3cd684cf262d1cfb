//! What the requests of one invocation share, and how their answers become outcomes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::batch::Batch;
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Block};
use crate::model::connector::Connector;
use crate::model::credentials::ApiKey;
use crate::model::object::S3Object;
use crate::model::outcome::{DeferClass, Deferral, Forwarded, Ledger, Outcome, Rejection};
use crate::telemetry::metrics::Metrics;

/// What all lanes of an invocation share.
pub(super) struct Invocation<'a> {
    pub(super) objects: &'a [S3Object],
    pub(super) ledger: &'a Mutex<Ledger>,
    pub(super) metrics: &'a Metrics,
    pub(super) end: SystemTime,
    pub(super) active_lanes: AtomicUsize,
    pub(super) any_sent: AtomicBool,
    /// Requests of each API key that wait for a turn after this invocation.
    pub(super) waiting: Mutex<HashMap<ApiKey, u32>>,
}

/// One connector's requests in one invocation.
pub(super) struct Lane {
    pub(super) connector: Mutex<Arc<Connector>>,
    /// The secret has been fetched afresh in this invocation.
    pub(super) refreshed: tokio::sync::Mutex<bool>,
    /// No request for this connector can succeed in this invocation.
    pub(super) blocked: Mutex<Option<Deferral>>,
}

impl Invocation<'_> {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(self.ledger)
    }

    pub(super) fn defer(&self, objects: &[usize], deferral: &Deferral) {
        let mut ledger = self.ledger();
        for object in objects {
            ledger.settle(*object, Outcome::Deferred(deferral.clone()));
        }
    }

    /// Settles what an answer says of each key. Answers the objects that have to be asked for alone.
    pub(super) fn settle_taken(
        &self,
        secret_id: &Arc<str>,
        batch: &Batch,
        account: SubmissionResult,
        now: SystemTime,
    ) -> Vec<usize> {
        let mut ledger = self.ledger();
        let mut unclear = Vec::new();
        for (object, fate) in batch.objects.iter().copied().zip(account.per_key) {
            let deferred = |class, detail: &str, code: Option<&str>| {
                Outcome::Deferred(Deferral {
                    class,
                    detail: detail.into(),
                    code: code.map(Into::into),
                    connector: Some(Arc::clone(secret_id)),
                    not_before: None,
                    attempts_exhausted: false,
                })
            };
            let outcome = match fate {
                KeyResult::Accepted { job_id, duplicate } => {
                    if let Some(seen) = self.objects[object].event_time {
                        self.metrics.record_lag(now.duration_since(seen.into()).unwrap_or_default());
                    }
                    Outcome::Forwarded(Forwarded { connector: Arc::clone(secret_id), job_id, duplicate })
                }
                KeyResult::Rejected { code, message } => {
                    Outcome::Rejected(Rejection { connector: Some(Arc::clone(secret_id)), code, message })
                }
                KeyResult::NotNow { code } => {
                    let class = match code.as_str() {
                        "RATE_LIMIT_EXCEEDED" => DeferClass::RateLimited,
                        "QUOTA_EXCEEDED" => DeferClass::QuotaExceeded,
                        "INVALID_API_KEY" | "UNAUTHORIZED" => DeferClass::BadCredentials,
                        _ => DeferClass::NotAllowed,
                    };
                    deferred(class, "FlexOrch did not take this key for now", Some(&code))
                }
                KeyResult::Ambiguous if batch.objects.len() > 1 => {
                    unclear.push(object);
                    continue;
                }
                KeyResult::Unaccounted | KeyResult::Ambiguous => {
                    deferred(DeferClass::Unaccounted, "FlexOrch's answer does not account for this key", None)
                }
            };
            ledger.settle(object, outcome);
        }
        unclear
    }
}

impl Lane {
    pub(super) fn connector(&self) -> Arc<Connector> {
        Arc::clone(&lock(&self.connector))
    }

    pub(super) fn blocked(&self) -> Option<Deferral> {
        lock(&self.blocked).clone()
    }

    pub(super) fn block(&self, deferral: Deferral) {
        lock(&self.blocked).get_or_insert(deferral);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn deferral(
    class: DeferClass,
    connector: &Connector,
    error: &ApiError,
    not_before: Option<SystemTime>,
) -> Deferral {
    Deferral {
        class,
        detail: error.to_string().into(),
        code: error.code.as_deref().map(Into::into),
        connector: Some(Arc::clone(&connector.secret_id)),
        not_before,
        attempts_exhausted: false,
    }
}

pub(super) fn refusal_deferral(secret_id: &Arc<str>, error: &ApiError, why: &str) -> Deferral {
    Deferral {
        class: DeferClass::RequestRefused,
        detail: format!("{error}; {why}").into(),
        code: error.code.as_deref().map(Into::into),
        connector: Some(Arc::clone(secret_id)),
        not_before: None,
        attempts_exhausted: false,
    }
}

pub(super) fn out_of_time(connector: &Connector) -> Deferral {
    Deferral {
        class: DeferClass::Deadline,
        detail: "not enough time was left for a request".into(),
        code: None,
        connector: Some(Arc::clone(&connector.secret_id)),
        not_before: None,
        attempts_exhausted: false,
    }
}

pub(super) fn class_of(block: Block) -> DeferClass {
    match block {
        Block::Quota => DeferClass::QuotaExceeded,
        Block::NotAllowed => DeferClass::NotAllowed,
        Block::ConnectorNotFound => DeferClass::ConnectorNotFound,
        Block::Redirect => DeferClass::Redirected,
    }
}

/// Whether a lone key's refusal is about the file, whatever else FlexOrch has taken or not.
pub(super) fn is_the_files_own(error: &ApiError) -> bool {
    matches!(error.status, 413 | 415) || matches!(error.code.as_deref(), Some("UNSUPPORTED_FILE" | "FILE_TOO_LARGE"))
}
