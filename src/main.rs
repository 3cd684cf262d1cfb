//! The Lambda function's program: reads the settings and hands events to the handler.

use std::process::ExitCode;

use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{Config, variable};
use flexorch_s3_ingester::handler::{Ingester, StartError};
use flexorch_s3_ingester::{aws, program};

fn main() -> ExitCode {
    program::run(async {
        match start().await {
            Ok(ingester) => {
                program::serve(async |payload, context| ingester.handle(payload, context).await.answer).await
            }
            Err(error) => program::cannot_start(&error).await,
        }
    })
}

async fn start() -> Result<Ingester, StartError> {
    let config = Config::from_env()?;
    variable(aws::runtime_api::ADDRESS).ok_or(StartError::NotInLambda)?;
    let ingester = Ingester::new(config, Clock::system())?;
    ingester.warm_up().await?;
    Ok(ingester)
}
