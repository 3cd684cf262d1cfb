//! `flexorch-s3 backfill`, as it is typed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::backfill::Moment;
use super::{SecretOption, duration};

/// Where a backfill's objects go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Via {
    /// To FlexOrch, at the plan's pace.
    Api,
    /// Into the function's queue, at once; the function has a pace of its own.
    Queue,
}

/// `flexorch-s3 backfill`.
#[derive(Debug, Args)]
#[command(after_help = "\
What is settled is written into a journal. A backfill that was interrupted, or stopped because somebody has to act, goes on with
the same command: what is settled is not sent again. Objects that arrive while it runs may be sent twice, by it and by the
function, which FlexOrch recognises; --until leaves them to the function.

It needs s3:ListBucket on the bucket and secretsmanager:GetSecretValue on the secret; with --via queue sqs:SendMessage too.

Exit status: 0 everything in scope is forwarded; 1 it stopped, standard error says why and what to do; 3 FlexOrch refused objects,
which the summary and the journal name; 130 interrupted.

Examples:
  flexorch-s3 backfill --secret flexorch/invoices --dry-run
  flexorch-s3 backfill --secret flexorch/invoices
  flexorch-s3 backfill --secret flexorch/invoices --prefix invoices/2026/ --since P30D --suffix .pdf,.docx
  flexorch-s3 backfill --secret flexorch/invoices --via queue \\
    --queue https://sqs.eu-west-1.amazonaws.com/123456789012/flexorch-retry")]
pub(in super::super) struct BackfillOptions {
    #[command(flatten)]
    pub secret: SecretOption,
    /// Only keys that begin with this, within the connector's own prefix
    #[arg(long, help_heading = "Scope")]
    pub prefix: Option<String>,
    /// Only what was modified then or later: 2026-01-31T10:00:00Z, 2026-01-31 (UTC), or back from now: P30D, PT12H
    #[arg(long, help_heading = "Scope", value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only what was modified before
    #[arg(long, help_heading = "Scope", value_name = "TIME")]
    pub until: Option<Moment>,
    /// Only keys that end in one of these, case aside; with commas, or several times
    #[arg(long = "suffix", help_heading = "Scope", value_name = "SUFFIX", value_delimiter = ',')]
    pub suffixes: Vec<String>,
    /// Only objects of at most so many bytes
    #[arg(long, help_heading = "Scope", value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// List and count only; with -v the first keys are shown
    #[arg(long)]
    pub dry_run: bool,
    /// List everything once before, so that the time left is known
    #[arg(long, conflicts_with = "dry_run")]
    pub count: bool,
    /// The part of the plan's requests to use, in percent; the rest is the function's
    #[arg(long, help_heading = "Pace", value_name = "PERCENT", default_value_t = 75, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
    /// Requests a minute, whatever the plan
    #[arg(long, help_heading = "Pace", value_name = "NUMBER", conflicts_with = "share")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests under way at once
    #[arg(long, help_heading = "Pace", value_name = "NUMBER", default_value = "2", value_parser = most::<100>)]
    pub concurrency: NonZeroUsize,
    /// Keys in a request
    #[arg(long, help_heading = "Pace", value_name = "NUMBER", default_value = "100", value_parser = most::<1000>)]
    pub keys_per_request: NonZeroUsize,
    /// Stop after so long without any object settled
    #[arg(long, help_heading = "Pace", value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub give_up_after: Duration,
    /// Where the objects go
    #[arg(long, value_name = "WAY", default_value = "api", requires_if("queue", "queue"))]
    pub via: Via,
    /// The URL of the function's queue, for --via queue
    #[arg(long, value_name = "URL", conflicts_with_all = ["requests_per_minute", "share"])]
    pub queue: Option<String>,
    /// The journal; without it, a file in the current folder that is named after bucket and scope
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub journal: Option<PathBuf>,
    /// Forget what the journal says, and send everything
    #[arg(long, conflicts_with = "dry_run")]
    pub restart: bool,
}

/// Reads a number from 1 to `MOST`.
pub(super) fn most<const MOST: usize>(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST);
    number.ok_or_else(|| format!("a number from 1 to {MOST}"))
}
