//! SQS as a service: its JSON protocol, recorded calls, and the wait of a long poll.

use axum::Router;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::SqsError;
use super::input::Input;
use super::operation::{self, Place};
use super::store::{self, Store};
use crate::aws::endpoint::{Service, Shared};
use crate::aws::fault::Failure;
use crate::aws::json::{self, JsonError, JsonService, ProtocolError, Request};
use crate::aws::signature::SignatureError;

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCall {
    /// The operation, `SendMessageBatch` for example.
    pub operation: String,
    /// The queue's name; empty if the call names none of this account.
    pub queue: String,
    /// The number of entries; 1 if the call is not a batch.
    pub entries: usize,
    /// The region that the call was signed for.
    pub region: String,
}

impl Service for Store {
    type Call = QueueCall;

    fn router(shared: Shared<Self>) -> Router {
        json::router(shared)
    }
}

impl JsonService for Store {
    const SIGNING_NAME: &'static str = "sqs";
    const TARGET_PREFIX: &'static str = "AmazonSQS.";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.0";

    type Input = Input;
    type Error = SqsError;

    fn call(&self, request: &Request<Input>) -> QueueCall {
        let Request { operation, region, input, .. } = request;
        QueueCall {
            operation: operation.clone(),
            queue: input.queue().unwrap_or_default().to_owned(),
            entries: if operation.ends_with("Batch") { input.entries.len() } else { 1 },
            region: region.clone(),
        }
    }

    fn resource(call: &QueueCall) -> &str {
        &call.queue
    }

    fn failure(failure: Failure, request: &Request<Input>) -> SqsError {
        match failure {
            Failure::NotFound => SqsError::no_such_queue(),
            Failure::AccessDenied => {
                let resource = store::arn(request.input.queue().unwrap_or_default(), &request.region);
                SqsError::access_denied(&resource, &request.operation)
            }
            Failure::Throttling | Failure::ThroughputExceeded => SqsError::throttled(),
            Failure::Internal => SqsError::internal(),
        }
    }

    async fn respond(shared: &Shared<Self>, request: Request<Input>, in_part: bool) -> Result<Value, SqsError> {
        let Request { operation, region, host, input } = request;
        if operation == "ReceiveMessage" {
            return receive(shared, &input).await;
        }
        let now = shared.now();
        let place = Place { region: &region, host: &host };
        let mut store = shared.service();
        let response = operation::respond(&mut store, &operation, input, place, in_part, now);
        store.changed.notify_waiters();
        response
    }
}

/// Receives messages, after the wait that the receiver asks for.
async fn receive(shared: &Shared<Store>, input: &Input) -> Result<Value, SqsError> {
    let until = Instant::now() + input.wait()?;
    let changed = shared.service().changed.clone();
    loop {
        // Created before the queue is read, so that a message that is sent in between is not missed.
        let changed = changed.notified();
        let now = shared.now();
        let (response, next) = {
            let mut store = shared.service();
            let response = operation::receive(&mut store, input, now)?;
            (response, input.queue().and_then(|queue| store.queue(queue).ok()?.next_visible(now)))
        };
        if response.get("Messages").is_some() || Instant::now() >= until || shared.stop.is_cancelled() {
            return Ok(response);
        }
        let wake = next.map_or(until, |next| until.min(Instant::now() + next.since(now)));
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(wake) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

impl From<ProtocolError> for SqsError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Signature(SignatureError::Missing) => Self::unsigned(),
            ProtocolError::Signature(SignatureError::Malformed) => Self::wrongly_signed(),
            ProtocolError::NoOperation => Self::unknown_operation("X-Amz-Target names no operation of SQS."),
            ProtocolError::Body => Self::serialization(),
        }
    }
}

impl JsonError for SqsError {
    fn status(&self) -> u16 {
        self.status
    }

    fn body(&self) -> Value {
        json!({"__type": self.shape, "message": self.message})
    }

    fn header(&self) -> (&'static str, String) {
        let side = if self.sender_fault { "Sender" } else { "Receiver" };
        ("x-amzn-query-error", format!("{};{side}", self.code))
    }
}
