//! The Lambda function's program: starts logging, reads the settings and runs the Lambda runtime.

use std::process::ExitCode;
use std::time::SystemTime;

use flexorch_outcomes::handler::Outcomes;
use flexorch_s3_ingester::handler::InvocationContext;
use flexorch_s3_ingester::{aws, redaction, telemetry};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    telemetry::init();
    telemetry::log_panics();
    // The function handles one event at a time and mostly waits: a second thread would only slow down the cold start.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            tracing::error!(error = error.to_string().as_str(), "the asynchronous runtime cannot be started");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let outcomes = match Outcomes::from_env() {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let error = redaction::redacted(&error.to_string());
            tracing::error!(error = error.as_str(), "the function cannot start");
            aws::runtime_api::report_init_error(&error).await;
            return ExitCode::FAILURE;
        }
    };
    let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let (id, deadline) = (event.context.request_id, event.context.deadline);
        let context = InvocationContext::new(id, deadline, SystemTime::now());
        outcomes.handle(event.payload.get(), &context).await
    });
    match lambda_runtime::Runtime::new(handler).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string().as_str(), "Lambda's runtime API failed");
            ExitCode::FAILURE
        }
    }
}
