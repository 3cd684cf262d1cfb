//! Records a batch of receipts.

use flexorch_s3_ingester::handler::times::Times;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Outcomes, clean};
use crate::apply::{CONCURRENT_RECORDS, Run};
use crate::event::Message;
use crate::receipt;

impl Outcomes {
    /// Records a batch of receipts and returns which messages come back.
    pub(super) async fn receipts(&self, messages: &[Message], times: Times, run: Run<'_>) -> Value {
        // FlexOrch's messages in receipts may repeat an API key, which is known only once its secret was read.
        if messages.iter().any(|message| message.body.contains("\"message\"")) {
            self.secrets.connectors(times.secrets_end).await;
        }
        let mut failures = vec![false; messages.len()];
        let mut submissions = Vec::new();
        for (position, message) in messages.iter().enumerate() {
            match receipt::parse(&message.body, clean) {
                Ok(documents) => submissions.extend(documents.into_iter().map(|document| (position, document))),
                Err(error) => {
                    failures[position] = true;
                    tracing::error!(
                        messageId = message.id.as_str(),
                        error = error.to_string().as_str(),
                        "a receipt cannot be read"
                    );
                }
            }
        }
        let documents = submissions.len();
        let mut results = stream::iter(submissions)
            .map(|(position, submission)| async move { (position, self.recorder.submitted(&submission, run).await) })
            .buffer_unordered(CONCURRENT_RECORDS);
        while let Some((position, result)) = results.next().await {
            // One line a message: the documents of one usually fail for the same reason.
            if let Err(error) = result
                && !std::mem::replace(&mut failures[position], true)
            {
                tracing::error!(
                    messageId = messages[position].id.as_str(),
                    error = error.to_string().as_str(),
                    "a receipt cannot be recorded now; it comes back"
                );
            }
        }
        let failed: Vec<_> = messages.iter().zip(&failures).filter(|(_, failed)| **failed).collect();
        tracing::info!(receipts = messages.len(), documents, failed = failed.len(), "receipts recorded");
        let failed: Vec<_> = failed.iter().map(|(message, _)| json!({"itemIdentifier": message.id})).collect();
        json!({ "batchItemFailures": failed })
    }
}
