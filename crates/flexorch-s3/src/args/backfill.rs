//! `flexorch-s3 backfill`, as typed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};

use super::queue_name::{QueueName, standard_queue};
use super::receipts::ReceiptsOption;
use super::shared::{Moment, SecretOption, at_most, duration};

/// Where a backfill sends objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// To FlexOrch, at the plan's rate
    Api,
    /// To the function's queue, immediately; the function has its own rate limit
    Queue,
}

/// Submit the objects that are in the bucket already, at the plan's rate
///
/// Results are recorded in a journal. If the backfill is interrupted, or stops because someone must act, run the same command again: it
/// continues and does not send settled objects again. Objects that arrive while it runs may be sent twice, by it and by the function;
/// FlexOrch recognizes them. To leave them to the function, set --until.
///
/// Requires s3:ListBucket on the bucket and secretsmanager:GetSecretValue on the secret; with --queue also sqs:SendMessage.
/// With receipts, also sqs:SendMessage on their queue, and with --function lambda:GetFunctionConfiguration; with --queue, the function sends the
/// receipts.
///
/// Exit status: 0 all objects in scope are forwarded; 1 the command failed, standard error says why and what to do; 3 FlexOrch rejected objects,
/// which the summary and the journal name, or a receipt could not be sent, or the connector is paused and nothing was sent; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 backfill --secret flexorch/invoices --dry-run
  flexorch-s3 backfill --secret flexorch/invoices
  flexorch-s3 backfill --secret flexorch/invoices --prefix invoices/2026/ \\
    --since P30D --suffix .pdf,.docx
  flexorch-s3 backfill --secret flexorch/invoices --exclude 'exports/*'
  flexorch-s3 backfill --secret flexorch/invoices \\
    --queue arn:aws:sqs:eu-west-1:123456789012:flexorch-retry")]
pub(crate) struct BackfillOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    #[command(flatten)]
    pub(crate) scope: ScopeOptions,
    /// List and count only; -v shows the first keys
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Count all objects first, so that progress shows the time left
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) count: bool,
    /// Percentage of the plan's request rate to use; the rest is left to the function
    #[arg(long, help_heading = "Rate", value_name = "PERCENT", default_value_t = 75, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) share: u8,
    /// Requests per minute, regardless of the plan
    #[arg(long, help_heading = "Rate", value_name = "NUMBER", conflicts_with = "share")]
    pub(crate) requests_per_minute: Option<NonZeroU32>,
    /// Requests in flight
    #[arg(long, help_heading = "Rate", value_name = "NUMBER", default_value = "2", value_parser = at_most::<100>)]
    pub(crate) concurrency: NonZeroUsize,
    /// Keys per request
    #[arg(long, help_heading = "Rate", value_name = "NUMBER", default_value = "100", value_parser = at_most::<1000>)]
    pub(crate) keys_per_request: NonZeroUsize,
    /// Stop if no object was settled for this long
    #[arg(long, help_heading = "Rate", value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub(crate) give_up_after: Duration,
    /// Where to send the objects [default: api, or queue if --queue is given]
    #[arg(long, value_name = "TARGET", requires_if("queue", "queue"))]
    via: Option<Via>,
    /// Send the objects to the function's queue: its URL or ARN
    #[arg(long, value_name = "URL", value_parser = standard_queue, conflicts_with_all = ["requests_per_minute", "share"])]
    pub(crate) queue: Option<QueueName>,
    /// Journal file [default: a file in the current directory, named after the bucket and scope]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) journal: Option<PathBuf>,
    /// Discard the journal and send everything again
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) receipts: ReceiptsOption,
}

/// Which of the bucket's objects are meant.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Scope")]
pub(crate) struct ScopeOptions {
    /// Only keys that start with this, within the connector's prefix
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only objects modified at this time or later: 2026-01-31T10:00:00Z, 2026-01-31 (UTC), or a duration back from now such as P30D or
    /// PT12H
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only objects modified before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
    /// Only keys that end with one of these, case-insensitive; comma-separated or repeated
    #[arg(long = "suffix", value_name = "SUFFIX", value_delimiter = ',')]
    pub(crate) suffixes: Vec<String>,
    /// Not keys that match one of these as a whole: * stands for any characters, ? for one, case-sensitive, as in the function's
    /// KEY_EXCLUDES; comma-separated or repeated
    #[arg(long = "exclude", value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) excludes: Vec<String>,
    /// Only objects of at most this size
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<u64>,
}

impl BackfillOptions {
    /// Checks what depends on two options or on the environment.
    ///
    /// # Errors
    /// If a queue is named that is not to be used.
    pub(super) fn resolve(&mut self) -> Result<(), clap::Error> {
        self.receipts.resolve()?;
        match (&self.queue, self.via) {
            (Some(_), Some(Via::Api)) => Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "--queue cannot be used with --via api: omit one of the two\n",
            )),
            _ => Ok(()),
        }
    }
}
