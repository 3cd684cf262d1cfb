//! The Lambda function's program: reads the settings and hands events to the handler.

use std::process::ExitCode;

use flexorch_outcomes::handler::Outcomes;
use flexorch_s3_ingester::program;

fn main() -> ExitCode {
    program::run(async {
        match Outcomes::from_env() {
            Ok(outcomes) => program::serve(async |payload, context| outcomes.handle(payload, context).await).await,
            Err(error) => program::cannot_start(&error).await,
        }
    })
}
