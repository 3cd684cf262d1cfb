//! The operator's command line: set up, prove, backfill.
//!
//! | file | its part |
//! | --- | --- |
//! | `args` | the commands and their options, as they are typed |
//! | `invoke` | the handler, run on events from files |
//! | `local` | embedded FlexOrch and AWS, and a function that is wired to them |
//! | [`sandbox`] | FlexOrch's API and the AWS services that the function needs, on loopback |
//! | `serve` | the sandbox as a command |
//! | `table` | tables for people |

mod args;
mod invoke;
pub mod local;
pub mod sandbox;
mod serve;
mod table;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use args::{Arguments, Command};

/// Everything went as it should.
pub const EXIT_OK: u8 = 0;
/// The command itself failed; standard error says why.
pub const EXIT_FAILURE: u8 = 1;
/// The arguments cannot be used (clap's own code).
pub const EXIT_USAGE: u8 = 2;
/// The command ran, and found something that is not well: an event that was answered with an error.
pub const EXIT_NOT_WELL: u8 = 3;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let level = match arguments.verbose {
        // What went wrong is in the command's own output.
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    crate::telemetry::init_cli(level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Invoke(options) => invoke::run(options).await,
            Command::Sandbox(options) => serve::run(options).await,
        }
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    #[expect(clippy::print_stderr, reason = "the command line talks to a person")]
    {
        eprintln!("flexorch-s3: {error:#}");
    }
    ExitCode::from(EXIT_FAILURE)
}
