//! Sends objects to the function's queue, as S3 notifications.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::journal::Settled;
use super::settle::{NextStep, SendResult};
use crate::args::QueueName;
use flexorch_s3_ingester::aws::failure::CallError;
use flexorch_s3_ingester::aws::sqs::{OutgoingMessage, Queues};
use flexorch_s3_ingester::event::s3::notification_of;
use flexorch_s3_ingester::model::object::S3Object;

/// Records per message. A message returns as a whole if one of its objects is deferred, so it must not contain too many; ten messages
/// fill one request of 100 keys. With the longest keys it is 40 KB long, far below the limit of 256 KB (SQS Developer Guide, "Amazon SQS message quotas").
pub(crate) const RECORDS_PER_MESSAGE: usize = 10;

/// Sends messages to a queue.
#[derive(Debug)]
pub(crate) struct QueueSender {
    queues: Queues,
    address: QueueName,
}

impl QueueSender {
    /// Creates a sender. Sends nothing yet.
    pub(crate) fn new(queues: Queues, address: QueueName) -> Self {
        Self { queues, address }
    }

    /// Sends objects until `end` at the latest, and evaluates what happened to them.
    pub(crate) async fn send(&self, objects: Vec<S3Object>, end: SystemTime) -> SendResult {
        let messages: Vec<_> = objects.chunks(RECORDS_PER_MESSAGE).map(message).collect();
        let results = match &self.address {
            QueueName::Url(url) => self.queues.send_to_url(url, &messages, end).await,
            QueueName::Arn(arn) => self.queues.send_to_arn(arn, &messages, end).await,
        };
        let (mut settled, mut open) = (Settled { requests: messages.len() as u64, ..Settled::default() }, Vec::new());
        let mut next = NextStep::Done;
        for (objects, result) in objects.chunks(RECORDS_PER_MESSAGE).zip(&results) {
            match result {
                Ok(()) => settled.forwarded += objects.len() as u64,
                Err(error) => {
                    open.extend_from_slice(objects);
                    if !matches!(next, NextStep::Stop { .. }) {
                        next = self.after(error);
                    }
                }
            }
        }
        settled.open = open.iter().map(|object| object.key.as_str().to_owned()).collect();
        SendResult { settled, open, next }
    }

    fn after(&self, error: &CallError) -> NextStep {
        let why = format!("sqs:SendMessage to {} failed: {error}", self.address);
        // A message that the response does not name is taken to be missing.
        match error.is_transient() || matches!(error, CallError::Unreported(_)) {
            true => NextStep::Retry { not_before: None, affects_all: true, why },
            false => NextStep::Stop { why },
        }
    }
}

fn message(objects: &[S3Object]) -> OutgoingMessage {
    let records: Vec<Value> = objects.iter().map(|object| notification_of(object)["Records"][0].take()).collect();
    OutgoingMessage {
        body: json!({ "Records": records }).to_string(),
        attributes: Vec::new(),
        delay: Duration::ZERO,
        group: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexorch_s3_ingester::model::object::ObjectKey;

    #[test]
    fn a_message_of_the_longest_keys_stays_within_the_limit() {
        let object = |number: usize| S3Object {
            size: Some(1),
            ..S3Object::new("b", ObjectKey::verbatim(format!("{}{number}", "請".repeat(340))).unwrap())
        };
        let objects: Vec<_> = (0..RECORDS_PER_MESSAGE).map(object).collect();
        let OutgoingMessage { body, .. } = message(&objects);
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(sent["Records"].as_array().map(Vec::len), Some(RECORDS_PER_MESSAGE));
        assert!(body.len() < 50_000, "{}", body.len());
    }
}
