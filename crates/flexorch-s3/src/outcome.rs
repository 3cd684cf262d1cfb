//! What happened to an object, as text and as JSON.

use serde_json::{Value, json};

use flexorch_s3_ingester::model::outcome::Outcome;

/// Returns the outcome, its detail and the connector, as a table shows them.
pub(crate) fn columns(outcome: &Outcome) -> (&'static str, String, String) {
    let connector = |connector: Option<&str>| connector.unwrap_or("-").to_owned();
    match outcome {
        Outcome::Forwarded(forwarded) => {
            let job = forwarded.job_id.as_deref().unwrap_or("id unknown");
            let known = if forwarded.duplicate { " (known content)" } else { "" };
            ("forwarded", format!("job {job}{known}"), connector(Some(&forwarded.connector)))
        }
        Outcome::Skipped(reason) => ("skipped", reason.as_str().to_owned(), connector(None)),
        Outcome::Rejected(rejection) => {
            let detail = format!("{} {}", rejection.code, rejection.message);
            ("rejected", detail.trim().to_owned(), connector(rejection.connector.as_deref()))
        }
        Outcome::Deferred(deferral) => (
            "deferred",
            format!("{}: {}", deferral.class.as_str(), deferral.detail),
            connector(deferral.connector.as_deref()),
        ),
    }
}

/// Adds the outcome's fields to an object's JSON.
pub(crate) fn add_outcome(object: &mut Value, outcome: &Outcome) {
    match outcome {
        Outcome::Forwarded(forwarded) => {
            object["outcome"] = "forwarded".into();
            object["job_id"] = json!(forwarded.job_id);
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
