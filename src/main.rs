//! The Lambda function: telemetry, configuration, start the runtime.

use std::process::ExitCode;
use std::time::SystemTime;

use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{Config, variable};
use flexorch_s3_ingester::handler::{Ingester, InvocationContext, StartError};
use flexorch_s3_ingester::{aws, telemetry};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    telemetry::init();
    telemetry::log_panics();
    let Some(runtime_api) = variable("AWS_LAMBDA_RUNTIME_API") else {
        tracing::error!(
            "AWS_LAMBDA_RUNTIME_API is not set: run this with `cargo lambda watch`, or use `flexorch-s3 invoke`"
        );
        return ExitCode::FAILURE;
    };
    // One event at a time, and waiting rather than computing: a second thread would only cost time at the start.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = error.to_string().as_str(), "the asynchronous runtime cannot be started");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let ingester = match start().await {
            Ok(ingester) => ingester,
            Err(error) => {
                let error = error.to_string();
                tracing::error!(error = error.as_str(), "the function cannot start");
                aws::runtime_api::report_init_error(&runtime_api, &error).await;
                return ExitCode::FAILURE;
            }
        };
        let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
            let (id, deadline) = (event.context.request_id, event.context.deadline);
            let context = InvocationContext::new(id, deadline, SystemTime::now());
            ingester.handle(event.payload.get(), &context).await.answer
        });
        match lambda_runtime::Runtime::new(handler).run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = error.to_string().as_str(), "Lambda's runtime API failed");
                ExitCode::FAILURE
            }
        }
    })
}

async fn start() -> Result<Ingester, StartError> {
    let ingester = Ingester::new(Config::from_env()?, Clock::system()).await?;
    ingester.warm_up().await?;
    Ok(ingester)
}
