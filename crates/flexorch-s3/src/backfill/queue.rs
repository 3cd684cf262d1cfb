//! Sends objects to the function's queue, as S3 notifications.

use std::time::SystemTime;

use super::journal::Settled;
use super::settle::{NextStep, SendResult};
use crate::args::QueueName;
use crate::uploads::{self, RECORDS_PER_MESSAGE, message};
use flexorch_s3_ingester::aws::failure::CallError;
use flexorch_s3_ingester::aws::sqs::Queues;
use flexorch_s3_ingester::model::object::S3Object;

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
        let results = uploads::send(&self.queues, &self.address, &messages, end).await;
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
        SendResult { settled, open, next, receipted: Vec::new() }
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
