//! The function's response to an event.

use std::time::Duration;

use flexorch_sandbox::runtime_api::FunctionResponse;
use serde_json::Value;

/// The function's response to an event.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The response, or the error with `errorType` and `errorMessage`.
    pub result: Result<Value, Value>,
    /// How long it took, from the hand-over of the event to the last byte of the response.
    pub took: Duration,
}

impl From<FunctionResponse> for Answer {
    fn from(response: FunctionResponse) -> Self {
        Self { result: response.result, took: response.took }
    }
}

impl Answer {
    /// Returns the successful response.
    pub fn ok(&self) -> &Value {
        self.result.as_ref().unwrap_or_else(|error| panic!("the function returned an error: {error}"))
    }

    /// The error's message.
    pub fn error(&self) -> &str {
        match &self.result {
            Err(error) => error["errorMessage"].as_str().unwrap(),
            Ok(answer) => panic!("the function returned no error: {answer}"),
        }
    }

    /// The ids of the messages that come back.
    pub fn failures(&self) -> Vec<&str> {
        let failures = self.ok()["batchItemFailures"].as_array().expect("batchItemFailures");
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
    }
}
