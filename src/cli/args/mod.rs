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

use clap::{Args, Parser, Subcommand};

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
