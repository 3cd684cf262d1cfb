//! Maps FlexOrch's responses to outcomes, and states the reasons of deferrals.

use std::sync::Arc;
use std::time::SystemTime;

use crate::flexorch::key_results::KeyResult;
use crate::flexorch::response::{ApiError, Block};
use crate::ingest::rate::Closed;
use crate::model::codes;
use crate::model::connector::Connector;
use crate::model::outcome::{DeferClass, Deferral, Forwarded, Outcome, Rejection};

/// What happens to one key after a response.
pub(super) enum PerKey {
    Settled(Outcome),
    /// The response does not say which of several keys a name refers to: submit this one alone.
    SubmitAlone,
}

/// Maps the result of one key to its outcome. `alone` is whether the request held no other key.
pub(super) fn per_key_outcome(secret_id: &Arc<str>, result: KeyResult, alone: bool) -> PerKey {
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
    PerKey::Settled(match result {
        KeyResult::Accepted { job_id, duplicate } => {
            Outcome::Forwarded(Forwarded { connector: Arc::clone(secret_id), job_id, duplicate })
        }
        KeyResult::Rejected { code, message } => {
            Outcome::Rejected(Rejection { connector: Some(Arc::clone(secret_id)), code, message })
        }
        KeyResult::NotNow { code } => {
            let class = match code.as_str() {
                codes::RATE_LIMIT_EXCEEDED => DeferClass::RateLimited,
                codes::QUOTA_EXCEEDED => DeferClass::QuotaExceeded,
                code if codes::refuses_the_api_key(code) => DeferClass::BadCredentials,
                _ => DeferClass::NotAllowed,
            };
            deferred(class, "FlexOrch does not accept this key now", Some(&code))
        }
        KeyResult::Ambiguous if !alone => return PerKey::SubmitAlone,
        KeyResult::Unaccounted | KeyResult::Ambiguous => {
            deferred(DeferClass::Unaccounted, "FlexOrch's response does not account for this key", None)
        }
    })
}

/// Returns the rejection of a key that FlexOrch refused in a request of its own.
pub(super) fn rejection(secret_id: &Arc<str>, error: ApiError) -> Rejection {
    Rejection {
        connector: Some(Arc::clone(secret_id)),
        code: error.code.unwrap_or_else(|| format!("HTTP_{}", error.status)),
        message: error.message,
    }
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

/// Returns the deferral of a connector's objects while its secret pauses it.
#[must_use]
pub fn paused_deferral(connector: &Connector) -> Deferral {
    let reason = connector.paused.as_deref().unwrap_or_default();
    Deferral {
        class: DeferClass::Paused,
        detail: format!("paused by secret {:?}: {reason}", connector.secret_id).into(),
        code: None,
        connector: Some(Arc::clone(&connector.secret_id)),
        not_before: None,
        attempts_exhausted: false,
    }
}

/// Returns the deferral of a request that may not start before the deadline.
pub(super) fn not_a_turn(connector: &Connector, closed: Closed, not_before: SystemTime) -> Deferral {
    let (class, detail) = match closed {
        Closed::RateLimited => (DeferClass::RateLimited, "FlexOrch's rate limit, according to an earlier response"),
        Closed::Paced => (DeferClass::Paced, "REQUESTS_PER_MINUTE allows no request before the deadline"),
    };
    Deferral {
        class,
        detail: detail.into(),
        code: None,
        connector: Some(Arc::clone(&connector.secret_id)),
        not_before: Some(not_before),
        attempts_exhausted: false,
    }
}

pub(super) fn block_class(block: Block) -> DeferClass {
    match block {
        Block::Quota => DeferClass::QuotaExceeded,
        Block::NotAllowed => DeferClass::NotAllowed,
        Block::ConnectorNotFound => DeferClass::ConnectorNotFound,
        Block::Redirect => DeferClass::Redirected,
    }
}

/// Whether a refusal is about the file itself, so that other requests need not have been accepted before.
pub(super) fn is_about_the_file(error: &ApiError) -> bool {
    matches!(error.status, 413 | 415) || error.code.as_deref().is_some_and(codes::refuses_the_file)
}
