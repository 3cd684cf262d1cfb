//! `flexorch-s3`, the operator's command line: set up, verify and backfill S3 ingestion into FlexOrch.
//!
//! | file | its part |
//! | --- | --- |
//! | `args` | the commands and their options, as they are typed |
//! | `context` | what the options of every command come to: clients, and where the output goes |
//! | `connector`, `schedule` | FlexOrch's side: connectors and Scheduled Sync |
//! | `attach` | a bucket's notifications: one more, one less |
//! | `doctor` | the whole chain, from the bucket to FlexOrch: what is not well, and what to do |
//! | `backfill`, `submit` | what is in a bucket already, and keys, to FlexOrch; `forwarder` is what they share |
//! | `invoke`, `samples` | the handler, run on events from files or on the samples |
//! | `local` | embedded FlexOrch and AWS, and a function that is wired to them |
//! | `serve` | the sandbox as a command |
//! | `management` | FlexOrch's API beside submissions: connectors, Scheduled Sync, usage |
//! | `connector_secret` | a connector's secret, read and written whole |
//! | `arn`, `aws_failure` | AWS's names for things; what AWS refused, as an operator reads it |
//! | `bucket` | where a bucket is, and what S3 shows of it |
//! | `notification` | what a bucket's notification configuration may hold |
//! | `outcome` | what became of an object, in words and as JSON |
//! | `output`, `table`, `interruption` | words, JSON and questions; tables; Ctrl-C |

mod args;
mod arn;
mod attach;
mod aws_failure;
mod backfill;
mod bucket;
mod connector;
mod connector_secret;
mod context;
mod doctor;
mod forwarder;
mod interruption;
mod invoke;
mod local;
mod management;
mod notification;
mod outcome;
mod output;
mod samples;
mod schedule;
mod serve;
mod submit;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Arguments, Command};
use context::Context;

/// Everything went as it should.
const EXIT_OK: u8 = 0;
/// The command itself failed; standard error says why. (2 is clap's: the arguments cannot be used.)
const EXIT_FAILURE: u8 = 1;
/// The command ran, and found something that is not well: an event that was answered with an error, a test that failed.
const EXIT_NOT_WELL: u8 = 3;
/// Ctrl-C or SIGTERM ended it (128 and the signal's number, as shells say it).
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = match arguments.global.verbose {
        // What went wrong is in the command's own output.
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    log(level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(dispatch(arguments)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

/// Logs to standard error as text, from this level on. Other libraries log from WARN on only: further down some of them print what
/// they send.
fn log(level: LevelFilter) {
    let ours = ["flexorch_s3", "flexorch_s3_ingester", "flexorch_sandbox"];
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours.map(|name| (name, level)));
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(targets).with(lines).init();
}

async fn dispatch(arguments: Arguments) -> Result<u8> {
    let context = Context::new(arguments.global)?;
    match arguments.command {
        Command::Connector(action) => connector::run(action, &context).await,
        Command::Attach(options) => attach::run(options, &context).await,
        Command::Detach(options) => attach::run_detach(options, &context).await,
        Command::Doctor(options) => doctor::run(&options, &context).await,
        Command::Backfill(options) => backfill::run(options, &context).await,
        Command::Submit(options) => submit::run(options, &context).await,
        Command::Schedule(action) => schedule::run(action, &context).await,
        Command::Demo(options) => invoke::demo(options, &context).await,
        Command::Invoke(options) => invoke::run(options, &context).await,
        Command::Sandbox(options) => serve::run(options, &context).await,
        Command::Completions(options) => {
            clap_complete::generate(options.shell, &mut Arguments::command(), "flexorch-s3", &mut std::io::stdout());
            Ok(EXIT_OK)
        }
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    // Whoever reads the output, such as `head`, has enough.
    if error.chain().any(is_closed_pipe) {
        return ExitCode::from(EXIT_OK);
    }
    // Control characters from outside are shown, not obeyed.
    let words = table::shown(&format!("{error:#}"));
    output::complain(&words);
    ExitCode::from(EXIT_FAILURE)
}
