//! EventBridge as a service: its JSON protocol, and recorded calls.

use axum::Router;
use serde::Deserialize;
use serde_json::Value;

use super::store::{DEFAULT_BUS, Entry, Store};
use crate::aws::endpoint::{Service, Shared};
use crate::aws::error::AwsError;
use crate::aws::fault::Failure;
use crate::aws::json::{self, JsonService, Request};

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsCall {
    /// The operation, `PutEvents` for example.
    pub operation: String,
    /// The bus of the first entry.
    pub bus: String,
    /// The number of entries.
    pub entries: usize,
    /// The region that the call was signed for.
    pub region: String,
}

/// The fields of an input that the service reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    entries: Vec<Entry>,
}

impl Input {
    fn bus(&self) -> &str {
        self.entries.first().and_then(|entry| entry.event_bus_name.as_deref()).unwrap_or(DEFAULT_BUS)
    }
}

impl Service for Store {
    type Call = EventsCall;

    fn router(shared: Shared<Self>) -> Router {
        json::router(shared)
    }
}

impl JsonService for Store {
    const SIGNING_NAME: &'static str = "events";
    const TARGET_PREFIX: &'static str = "AWSEvents.";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.1";

    type Input = Input;
    type Error = AwsError;

    fn call(&self, request: &Request<Input>) -> EventsCall {
        EventsCall {
            operation: request.operation.clone(),
            bus: request.input.bus().to_owned(),
            entries: request.input.entries.len(),
            region: request.region.clone(),
        }
    }

    fn resource(call: &EventsCall) -> &str {
        &call.bus
    }

    fn failure(failure: Failure, request: &Request<Input>) -> AwsError {
        match failure {
            Failure::NotFound => {
                let message = format!("Event bus {} does not exist.", request.input.bus());
                AwsError::client("ResourceNotFoundException", message)
            }
            Failure::AccessDenied => AwsError::access_denied("events", &request.operation, request.input.bus()),
            Failure::Throttling | Failure::ThroughputExceeded => AwsError::throttled(),
            Failure::Internal => {
                AwsError::server("InternalException", "This exception occurs due to unexpected causes.")
            }
        }
    }

    async fn respond(shared: &Shared<Self>, request: Request<Input>, in_part: bool) -> Result<Value, AwsError> {
        if request.operation != "PutEvents" {
            return Err(AwsError::unknown_operation(&request.operation));
        }
        let now = shared.now();
        shared.service().put(&request.input.entries, in_part, now)
    }
}
