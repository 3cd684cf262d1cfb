//! Handles a delivery of FlexOrch's webhook.

use std::time::Duration;

use flexorch_s3_ingester::aws::failure::CallError;
use flexorch_s3_ingester::redaction;
use serde_json::{Value, json};

use super::{Outcomes, clean};
use crate::apply::{ApplyError, Run};
use crate::transition::Fact;
use crate::webhook::{Refusal, Request};

/// A webhook is answered within this time: its sender, which does not wait for long, tries again after a 503.
pub(super) const MOST_TIME: Duration = Duration::from_secs(20);

/// Why a webhook's delivery is not done.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    /// It is not a delivery of FlexOrch's, or not one that can be read.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No record names the job, so far.
    #[error("no record names the job {0:?} so far; a sweep finds it later")]
    UnknownJob(String),
    /// The signing secret cannot be fetched.
    #[error("the webhook's secret cannot be fetched: {0}")]
    Secret(CallError),
    /// It cannot be recorded or published now.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Outcomes {
    /// Handles a request to the function's URL and returns the HTTP response.
    pub(super) async fn webhook(&self, request: Request, run: Run<'_>) -> Value {
        let error = match self.deliver(request, run).await {
            Ok(()) => return json!({"statusCode": 204}),
            Err(error) => error,
        };
        let text = redaction::redacted(&error.to_string());
        let status = match &error {
            DeliveryError::Refused(refusal) => {
                if *refusal == Refusal::Signature {
                    run.metrics.count_rejected_webhook();
                }
                tracing::warn!(status = refusal.status(), error = text.as_str(), "a webhook is refused");
                refusal.status()
            }
            DeliveryError::UnknownJob(_) => {
                tracing::warn!(error = text.as_str(), "a webhook cannot be recorded yet");
                503
            }
            DeliveryError::Secret(_) | DeliveryError::Apply(_) => {
                tracing::error!(error = text.as_str(), "a webhook cannot be recorded now");
                503
            }
        };
        // A 503 does not reveal internal errors to the caller.
        let shown = if status == 503 { "try again later".to_owned() } else { text };
        let mut headers = json!({"content-type": "application/json"});
        if status == 405 {
            headers["allow"] = json!("POST");
        }
        json!({"statusCode": status, "headers": headers, "body": json!({"error": shown}).to_string()})
    }

    async fn deliver(&self, request: Request, run: Run<'_>) -> Result<(), DeliveryError> {
        let signed = request.check()?;
        let signing = self.signing.as_ref().ok_or(Refusal::Signature)?;
        if !signing.verifies(&signed, run.end).await.map_err(DeliveryError::Secret)? {
            return Err(Refusal::Signature.into());
        }
        let Some(end) = signed.read(clean)? else { return Ok(()) };
        let page = self.recorder.table.of_job(&end.job_id, None, run.end).await.map_err(ApplyError::from)?;
        if page.records.is_empty() && page.next.is_none() {
            return Err(DeliveryError::UnknownJob(end.job_id));
        }
        let end = Box::pin(self.sweeper.explain(end, &page.records, &self.secrets, run.end)).await;
        let job_id = end.job_id.clone();
        self.recorder.apply_from(page, &job_id, &Fact::Ended(end), run).await?;
        tracing::info!(job = job_id.as_str(), "a webhook is recorded");
        Ok(())
    }
}
