//! The operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    flexorch_s3_ingester::cli::run()
}
