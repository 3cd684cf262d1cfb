//! What the programs of both Lambda functions share: one thread, logging, and Lambda's runtime.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::SystemTime;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::aws::runtime_api;
use crate::handler::{InvocationContext, InvocationError};
use crate::{redaction, telemetry};

/// Starts logging and runs a function's program until it ends.
pub fn run(program: impl Future<Output = ExitCode>) -> ExitCode {
    telemetry::init();
    telemetry::log_panics();
    // The function handles one event at a time and mostly waits: a second thread would only slow down the cold start.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(program),
        Err(error) => {
            tracing::error!(error = error.to_string().as_str(), "the asynchronous runtime cannot be started");
            ExitCode::FAILURE
        }
    }
}

/// Reports to the log and to Lambda why the function cannot start.
pub async fn cannot_start(error: &impl Display) -> ExitCode {
    let error = redaction::redacted(&error.to_string());
    tracing::error!(error = error.as_str(), "the function cannot start");
    runtime_api::report_init_error(&error).await;
    ExitCode::FAILURE
}

/// Hands a function its events, until Lambda ends the process.
pub async fn serve(handle: impl AsyncFn(&str, &InvocationContext) -> Result<Value, InvocationError>) -> ExitCode {
    let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let (id, deadline) = (event.context.request_id, event.context.deadline);
        let context = InvocationContext::new(id, deadline, SystemTime::now());
        handle(event.payload.get(), &context).await
    });
    // Boxed: the compiler computes the layout of nested futures only so deep.
    match Box::pin(lambda_runtime::Runtime::new(handler).run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string().as_str(), "Lambda's runtime API failed");
            ExitCode::FAILURE
        }
    }
}
