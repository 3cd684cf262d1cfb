//! The commands and their options, as typed. Nothing here depends on the rest of the program.

mod attach;
mod backfill;
mod connector;
mod doctor;
mod global;
mod help;
mod history;
mod invoke;
mod letters;
mod pause;
mod queue_name;
mod receipts;
mod resubmit;
mod rotate;
mod sandbox;
mod schedule;
mod shared;
mod submit;
mod tracking;
mod webhook;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use attach::{AttachOptions, BucketOptions, ChangeOptions, DetachOptions};
pub(crate) use backfill::{BackfillOptions, ScopeOptions};
pub(crate) use connector::{ConnectorAction, CreateOptions, DeleteOptions, OneConnector};
pub(crate) use doctor::DoctorOptions;
pub(crate) use global::{Color, GlobalOptions};
pub(crate) use history::HistoryOptions;
pub(crate) use invoke::{DemoOptions, InvokeOptions};
pub(crate) use letters::{
    DropOptions, ExportOptions, LettersAction, ListOptions, QueueOption, RedriveOptions, Selection,
};
pub(crate) use pause::{PauseOptions, ResumeOptions};
pub(crate) use queue_name::QueueName;
pub(crate) use receipts::ReceiptsOption;
pub(crate) use resubmit::ResubmitOptions;
pub(crate) use rotate::RotateOptions;
pub(crate) use sandbox::SandboxCommand;
pub(crate) use schedule::{ScheduleAction, ScheduleId};
pub(crate) use shared::{Moment, Past, SecretOption};
pub(crate) use submit::SubmitOptions;
pub(crate) use tracking::{DocumentSelection, State, TrackingOption};
pub(crate) use webhook::{
    ApiKeySecret, WebhookAction, WebhookCreateOptions, WebhookDeleteOptions, WebhookListOptions, WebhookTarget,
};

/// Set up, verify and backfill S3 ingestion into FlexOrch
#[derive(Debug, Parser)]
#[command(name = "flexorch-s3", version, propagate_version = true)]
#[command(after_help = "\
AWS credentials and the region are resolved as the AWS CLI resolves them. Secrets are never passed as arguments and never printed.

Exit status: 0 success; 1 the command failed, see standard error; 2 invalid arguments; 3 the command ran and found a problem; \
130 interrupted.

Examples:
  flexorch-s3 demo
  flexorch-s3 connector create --secret flexorch/invoices
  flexorch-s3 attach --secret flexorch/invoices --function flexorch-ingest
  flexorch-s3 doctor --secret flexorch/invoices
  flexorch-s3 backfill --secret flexorch/invoices --dry-run
  flexorch-s3 history --stack flexorch-ingest --state failed --since 2d")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Parses the process's arguments. Ends the process with exit status 2 and a message if they are invalid.
    pub(crate) fn from_process() -> Self {
        let mut command = help::arrange(Self::command());
        let matches = command.get_matches_mut();
        let parsed = Self::from_arg_matches(&matches).and_then(|arguments| arguments.resolve(&matches));
        parsed.unwrap_or_else(|error| error.format(&mut command).exit())
    }

    /// Resolves what clap's attributes cannot express.
    fn resolve(mut self, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Some((_, typed)) = matches.subcommand() else { return Ok(self) };
        match &mut self.command {
            Command::Attach(AttachOptions { bucket, .. }) | Command::Detach(DetachOptions { bucket, .. }) => {
                bucket.prefer_typed_bucket(typed);
            }
            Command::Backfill(options) => options.resolve()?,
            Command::Submit(options) => options.receipts.resolve()?,
            _ => {}
        }
        Ok(self)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, test, rotate, list, show or delete FlexOrch connectors
    #[command(
        subcommand,
        after_help = "\
Examples:
  flexorch-s3 connector create --secret flexorch/invoices
  flexorch-s3 connector test --secret flexorch/invoices"
    )]
    Connector(ConnectorAction),
    Attach(AttachOptions),
    Detach(DetachOptions),
    Doctor(DoctorOptions),
    Backfill(BackfillOptions),
    Submit(SubmitOptions),
    Pause(PauseOptions),
    Resume(ResumeOptions),
    /// List, redrive, export or delete dead letters: what FlexOrch rejected, and what could not be read or processed
    #[command(
        subcommand,
        after_help = "\
Examples:
  flexorch-s3 letters list --function flexorch-ingest
  flexorch-s3 letters redrive --function flexorch-ingest --code none"
    )]
    Letters(LettersAction),
    History(HistoryOptions),
    Resubmit(ResubmitOptions),
    /// Create, list or delete the FlexOrch webhook that reports how each job ended (optional)
    #[command(
        subcommand,
        after_help = "\
Examples:
  flexorch-s3 webhook create --stack flexorch-ingest
  flexorch-s3 webhook list --stack flexorch-ingest"
    )]
    Webhook(WebhookAction),
    /// Manage FlexOrch's Scheduled Sync of a connector (optional)
    #[command(
        subcommand,
        after_help = "\
Examples:
  flexorch-s3 schedule create --secret flexorch/invoices --cron '0 2 * * *'
  flexorch-s3 schedule list --secret flexorch/invoices"
    )]
    Schedule(ScheduleAction),
    Demo(DemoOptions),
    Invoke(InvokeOptions),
    Sandbox(SandboxCommand),
    Completions(CompletionsOptions),
}

/// Print a shell completion script
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 completions bash \\
    > ~/.local/share/bash-completion/completions/flexorch-s3
  flexorch-s3 completions zsh > ~/.zfunc/_flexorch-s3
  flexorch-s3 completions fish > ~/.config/fish/completions/flexorch-s3.fish")]
pub(crate) struct CompletionsOptions {
    /// Shell to generate the script for
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged() -> clap::Command {
        let mut command = help::arrange(Arguments::command()).term_width(80);
        command.build();
        command
    }

    /// Adds every command except for clap's `help`, with its path.
    fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path}{} ", command.get_name());
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        below.for_each(|below| commands(below, &path, found));
        found.push((path, command.clone()));
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        help::arrange(Arguments::command()).debug_assert();
    }

    #[test]
    fn a_global_option_is_accepted_before_and_after_the_command() {
        for line in ["--json doctor --secret s", "doctor --json --secret s", "connector show --secret s --json"] {
            let typed = ["flexorch-s3"].into_iter().chain(line.split(' '));
            let matches = help::arrange(Arguments::command()).try_get_matches_from(typed).unwrap();
            assert!(Arguments::from_arg_matches(&matches).unwrap().global.json, "{line}");
        }
    }

    #[test]
    fn every_help_fits_80_columns_and_ends_with_examples_that_parse() {
        let mut found = Vec::new();
        commands(&arranged(), "", &mut found);
        assert!(found.len() > 15, "{}", found.len());
        for (path, mut command) in found {
            let help = command.render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path}: no examples"));
            let mut examples = examples.trim_end().replace("\\\n", " ");
            assert!(!examples.contains("\n\n"), "{path}: something follows the examples");
            let fits = |line: &str| line.chars().count() <= 80 || line.starts_with("Usage:");
            assert!(help.lines().all(fits), "{path}:\n{help}");
            let unwrapped = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, unwrapped) = unwrapped.split_once("Examples:").unwrap();
            assert!(unwrapped.lines().all(fits), "{path}: an example is wrapped\n{unwrapped}");
            examples.push('\n');
            for example in examples.lines().filter(|line| line.trim_start().starts_with("flexorch-s3 ")) {
                let alone = example.split([';', '|', '>']).next().unwrap();
                let words = shlex::split(alone).unwrap();
                let parsed = help::arrange(Arguments::command()).try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{path}: {example}\n{}", parsed.unwrap_err());
                assert!(words.join(" ").starts_with(path.trim_end()), "{path}: {example}");
            }
        }
    }

    #[test]
    fn only_the_top_level_help_describes_the_global_options() {
        let mut found = Vec::new();
        commands(&arranged(), "", &mut found);
        for (path, mut command) in found.into_iter().filter(|(path, _)| path != "flexorch-s3 ") {
            let help = command.render_long_help().to_string();
            assert!(!help.contains("Endpoint for all AWS services"), "{path}:\n{help}");
            let is_local = ["demo", "sandbox", "completions"].iter().any(|name| path.contains(name));
            assert_eq!(help.contains("--profile"), !is_local, "{path}:\n{help}");
        }
        assert!(arranged().render_help().to_string().contains("Endpoint for all AWS services"));
    }
}
