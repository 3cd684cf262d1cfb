//! `flexorch-s3`, the operator's command line: set up, verify and backfill S3 ingestion into FlexOrch.
//!
//! A command is parsed by `args`, gets its clients from `context`, and returns an `exit` status. Arrows go from a command to the
//! modules below it, and make no circle.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `args` | the commands and their options, as typed |
//! | `connector`, `schedule` | FlexOrch's connectors and Scheduled Sync |
//! | `attach` | adds a notification to a bucket, or removes one |
//! | `doctor` | checks everything between the bucket and FlexOrch, and suggests fixes |
//! | `backfill`, `submit` | send objects or keys to FlexOrch; `forwarder` is what they share, and `receipts` what they send beside it |
//! | `letters` | lists, redrives, exports and deletes dead letters |
//! | `history` | shows what happened to submitted documents; `tracking` finds and reads their records |
//! | `resubmit` | submits documents again whose jobs failed |
//! | `webhook` | registers FlexOrch's webhook, and stores its signing secret |
//! | `pause` | pauses and resumes a connector, in its secret |
//! | `invoke`, `demo`, `samples` | run the handler on events from files, or on the samples |
//! | `serve` | runs the sandbox until it is interrupted |
//! | `local` | embedded FlexOrch and AWS services, and a function that uses them |
//! | `commands` | suggested commands, complete: with the options that were given, and quoted for the shell |
//! | `context` | AWS and FlexOrch clients, from the global options |
//! | `management` | FlexOrch's API apart from submissions: connectors, Scheduled Sync, usage |
//! | `journal_file` | the file from which an interrupted command resumes |
//! | `connector_secret` | reads and writes a connector's secret |
//! | `input` | JSON that people write into files |
//! | `uploads` | messages to the function's queue that name objects as S3 does |
//! | `bucket` | a bucket's region and notification configuration |
//! | `notification` | what a bucket's notification configuration may contain |
//! | `aws_failure` | a failed AWS call, with the permission that is missing or what else to do |
//! | `deployed` | a deployed function: its settings, and the queues that it reads |
//! | `region` | selects the region of an AWS client |
//! | `stack` | which CloudFormation stack owns a resource, and what that means for a change of it |
//! | `outcome` | what happened to an object, as text and as JSON |
//! | `output`, `progress`, `text` | output and prompts; progress; formatting |
//! | `stop`, `exit` | Ctrl-C, and a run that ends in order; exit statuses |

#![warn(unreachable_pub)]

mod args;
mod attach;
mod aws_failure;
mod backfill;
mod bucket;
mod commands;
mod connector;
mod connector_secret;
mod context;
mod demo;
mod deployed;
mod doctor;
mod exit;
mod forwarder;
mod history;
mod input;
mod invoke;
mod journal_file;
mod letters;
mod local;
mod management;
mod notification;
mod outcome;
mod output;
mod pause;
mod progress;
mod receipts;
mod region;
mod resubmit;
mod samples;
mod schedule;
mod serve;
mod stack;
mod stop;
mod submit;
mod text;
mod tracking;
mod uploads;
mod webhook;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Arguments, Command};
use context::Context;
use exit::{Exit, WrongArgument};
use stop::Stop;

fn main() -> ExitCode {
    let arguments = Arguments::from_process();
    let level = match arguments.global.verbose {
        // The command's own output says what failed.
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    log(level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&error.into()).into(),
    };
    runtime.block_on(dispatch(arguments)).unwrap_or_else(|error| report(&error)).into()
}

/// Logs to standard error as text, from `level` on. Other libraries log from WARN on only: below that, some of them print what they
/// send.
fn log(level: LevelFilter) {
    let ours = ["flexorch_s3", "flexorch_s3_ingester", "flexorch_sandbox"];
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours.map(|name| (name, level)));
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(targets).with(lines).init();
}

async fn dispatch(arguments: Arguments) -> Result<Exit> {
    let context = Context::new(arguments.global, Stop::listen()?)?;
    match arguments.command {
        Command::Connector(action) => connector::run(action, &context).await,
        Command::Attach(options) => attach::run(options, &context).await,
        Command::Detach(options) => attach::run_detach(options, &context).await,
        Command::Doctor(options) => doctor::run(&options, &context).await,
        Command::Backfill(options) => backfill::run(options, &context).await,
        Command::Submit(options) => submit::run(options, &context).await,
        Command::Pause(options) => pause::run(options, &context).await,
        Command::Resume(options) => pause::run_resume(options, &context).await,
        Command::Letters(action) => letters::run(action, &context).await,
        Command::History(options) => history::run(options, &context).await,
        Command::Resubmit(options) => resubmit::run(options, &context).await,
        Command::Webhook(action) => webhook::run(action, &context).await,
        Command::Schedule(action) => schedule::run(action, &context).await,
        Command::Demo(options) => demo::run(options, &context).await,
        Command::Invoke(options) => invoke::run(options, &context).await,
        Command::Sandbox(options) => serve::run(options, &context).await,
        Command::Completions(options) => {
            clap_complete::generate(options.shell, &mut Arguments::command(), "flexorch-s3", &mut std::io::stdout());
            Ok(Exit::Success)
        }
    }
}

/// Prints why the command failed, and returns the exit status.
fn report(error: &anyhow::Error) -> Exit {
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    // The reader of the output, such as `head`, has all it wants.
    if error.chain().any(is_closed_pipe) {
        return Exit::Success;
    }
    output::print_error(&text::escaped(&format!("{error:#}")));
    if error.is::<WrongArgument>() { Exit::Usage } else { Exit::Failure }
}
