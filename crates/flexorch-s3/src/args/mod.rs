//! The commands and their options, as they are typed.

mod attach;
mod backfill;
mod connector;
mod doctor;
mod global;
mod invoke;
mod sandbox;
mod schedule;
mod submit;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;

pub(super) use attach::{AttachOptions, BucketOptions, DetachOptions, HowOptions};
pub(super) use backfill::{BackfillOptions, Via};
pub(super) use connector::{ConnectorAction, CreateOptions, DeleteOptions, OneConnector};
pub(super) use doctor::DoctorOptions;
pub(super) use global::{Colour, GlobalOptions};
pub(super) use invoke::{DemoOptions, InvokeOptions};
pub(super) use sandbox::SandboxCommand;
pub(super) use schedule::{ScheduleAction, ScheduleId};
pub(super) use submit::SubmitOptions;

/// Sets up, proves and backfills the way of S3 objects to FlexOrch.
#[derive(Debug, Parser)]
#[command(name = "flexorch-s3", version, propagate_version = true)]
#[command(after_help = "\
Exit status: 0 all is well; 1 the command failed and standard error says why; 2 wrong arguments; 3 the command ran and found
something that is not well; 130 interrupted.

AWS credentials and region are found as the AWS CLI finds them. No command takes a secret as an argument, and none prints one.")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub global: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// FlexOrch's connector for a bucket: make, test, list, show, delete
    #[command(subcommand)]
    Connector(ConnectorAction),
    /// Have a bucket that exists tell a function, a queue or EventBridge of uploads
    Attach(AttachOptions),
    /// Take away what attach added
    Detach(DetachOptions),
    /// Check the whole chain, from the bucket to FlexOrch, and say what to do: why is my document not there?
    Doctor(DoctorOptions),
    /// Send what is in the bucket already, at the plan's pace
    Backfill(BackfillOptions),
    /// Send object keys to FlexOrch now
    Submit(SubmitOptions),
    /// FlexOrch's own Scheduled Sync of a connector, as a second net
    #[command(subcommand)]
    Schedule(ScheduleAction),
    /// Run a sample of every source through the handler and the sandbox: nothing outside this machine is needed
    Demo(DemoOptions),
    /// Run the function's handler on events from files, and show what became of every object
    Invoke(InvokeOptions),
    /// Run FlexOrch's API on this machine, to develop and rehearse against
    Sandbox(SandboxCommand),
    /// Print a completion script for a shell
    Completions(CompletionsOptions),
}

/// `flexorch-s3 completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 completions bash > ~/.local/share/bash-completion/completions/flexorch-s3
  flexorch-s3 completions zsh > ~/.zfunc/_flexorch-s3
  flexorch-s3 completions fish > ~/.config/fish/completions/flexorch-s3.fish")]
pub(super) struct CompletionsOptions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// The secret that describes a connector.
#[derive(Debug, Clone, Args)]
pub(super) struct SecretOption {
    /// The connector's secret: its name or ARN in Secrets Manager
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub secret: String,
}

/// A text that [`duration`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a time such as 250ms, 90s, 15m or 1h")]
struct NotADuration;

/// Parses a time, such as `90s`, `1h 30m` or `PT1H`.
fn duration(text: &str) -> Result<Duration, NotADuration> {
    let parsed = text.trim().parse::<SignedDuration>().map_err(|_| NotADuration)?;
    parsed.try_into().map_err(|_| NotADuration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_time_has_a_unit_in_whatever_usual_form() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("1h 30m", 5400), ("PT1H", 3600), ("0ms", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(
            Arguments::try_parse_from(["flexorch-s3", "backfill", "--secret", "s", "--give-up-after", "1h"]).is_ok()
        );
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "15", "-1m", "1 fortnight", "99999999999999999999s"] {
            assert_eq!(duration(text), Err(NotADuration), "{text}");
        }
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|below| check(below, &path));
            } else {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{path} --help shows no example");
            }
        }
        check(&Arguments::command(), "");
    }
}
