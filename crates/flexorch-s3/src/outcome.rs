//! What happened to an object, as text and as JSON.

use anstyle::Style;
use serde_json::{Value, json};

use crate::output::{DIM, FAILURE, SUCCESS, WARNING};
use flexorch_s3_ingester::model::job_id::JobId;
use flexorch_s3_ingester::model::outcome::Outcome;

/// An outcome as a table shows it.
pub(crate) struct Columns {
    /// The outcome in one word.
    pub(crate) outcome: &'static str,
    /// The style of that word.
    pub(crate) style: Style,
    /// The job, or the reason.
    pub(crate) detail: String,
    /// The connector, if one was chosen.
    pub(crate) connector: Option<String>,
}

/// Returns an outcome as a table shows it.
pub(crate) fn columns(outcome: &Outcome) -> Columns {
    let (outcome, style, detail, connector) = match outcome {
        Outcome::Forwarded(forwarded) => {
            let job = forwarded.job_id.as_ref().map_or("id unknown", JobId::as_str);
            let known = if forwarded.duplicate { " (known content)" } else { "" };
            ("forwarded", SUCCESS, format!("job {job}{known}"), Some(&forwarded.connector))
        }
        Outcome::Skipped(reason) => ("skipped", DIM, reason.as_str().to_owned(), None),
        Outcome::Rejected(rejection) => {
            let detail = format!("{} {}", rejection.code, rejection.message);
            ("rejected", FAILURE, detail.trim().to_owned(), rejection.connector.as_ref())
        }
        Outcome::Deferred(deferral) => {
            let detail = format!("{}: {}", deferral.class.as_str(), deferral.detail);
            ("deferred", WARNING, detail, deferral.connector.as_ref())
        }
    };
    Columns { outcome, style, detail, connector: connector.map(ToString::to_string) }
}

/// Adds the outcome's fields to an object's JSON.
pub(crate) fn add_outcome(object: &mut Value, outcome: &Outcome) {
    match outcome {
        Outcome::Forwarded(forwarded) => {
            object["outcome"] = "forwarded".into();
            object["job_id"] = json!(forwarded.job_id.as_ref().map(JobId::as_str));
            object["duplicate"] = forwarded.duplicate.into();
            object["connector"] = (*forwarded.connector).into();
        }
        Outcome::Skipped(reason) => {
            object["outcome"] = "skipped".into();
            object["reason"] = reason.as_str().into();
        }
        Outcome::Rejected(rejection) => {
            object["outcome"] = "rejected".into();
            object["reason"] = rejection.code.as_str().into();
            object["message"] = rejection.message.as_str().into();
            object["connector"] = json!(rejection.connector.as_deref());
        }
        Outcome::Deferred(deferral) => {
            object["outcome"] = "deferred".into();
            object["reason"] = deferral.class.as_str().into();
            object["message"] = (*deferral.detail).into();
            object["connector"] = json!(deferral.connector.as_deref());
        }
    }
}
