//! `flexorch-s3 backfill`, as typed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use reqwest::Url;

use super::shared::{Moment, SecretOption, at_most, duration};
use flexorch_s3_ingester::model::arn::QueueArn;

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
///
/// Exit status: 0 all objects in scope are forwarded; 1 it stopped, standard error says why and what to do; 3 FlexOrch rejected objects,
/// which the summary and the journal name, or the connector is paused and nothing was sent; 130 interrupted.
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
    #[arg(long, value_name = "URL", value_parser = queue, conflicts_with_all = ["requests_per_minute", "share"])]
    pub(crate) queue: Option<QueueAddress>,
    /// Journal file [default: a file in the current directory, named after the bucket and scope]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) journal: Option<PathBuf>,
    /// Discard the journal and send everything again
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) restart: bool,
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
    /// Checks what depends on two options.
    ///
    /// # Errors
    /// If a queue is named that is not to be used.
    pub(super) fn resolve(&self) -> Result<(), clap::Error> {
        match (&self.queue, self.via) {
            (Some(_), Some(Via::Api)) => Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "--queue cannot be used with --via api: omit one of the two\n",
            )),
            _ => Ok(()),
        }
    }
}

/// Names a queue by its URL or by its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueAddress {
    Url(Url),
    Arn(String),
}

impl std::fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Arn(arn) => arn.fmt(f),
        }
    }
}

/// Why a text names no queue that the function can read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotAQueue {
    #[error(
        "expected the queue's ARN or its plain URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/flexorch-retry"
    )]
    Address,
    #[error("it is a FIFO queue: the function's queue is a standard queue")]
    Fifo,
}

/// Parses a queue's URL or ARN.
fn queue(text: &str) -> Result<QueueAddress, NotAQueue> {
    let address = if text.starts_with("arn:") {
        QueueArn::parse(text).ok().filter(|arn| is_queue_name(arn.name)).map(|_| QueueAddress::Arn(text.to_owned()))
    } else {
        Url::parse(text).ok().filter(is_queue_url).map(QueueAddress::Url)
    };
    match address {
        Some(_) if text.ends_with(FIFO) => Err(NotAQueue::Fifo),
        Some(address) => Ok(address),
        None => Err(NotAQueue::Address),
    }
}

/// The end of a FIFO queue's name (SQS API Reference, `CreateQueue`).
const FIFO: &str = ".fifo";

/// Whether a URL ends in an account and a queue's name, as the URLs of AWS and of emulators do. It is written into the journal, so it must
/// not contain credentials.
fn is_queue_url(url: &Url) -> bool {
    let no_credentials = url.username().is_empty() && url.password().is_none();
    let is_plain = no_credentials && url.query().is_none() && url.fragment().is_none();
    let mut path = url.path_segments().into_iter().flatten().rev();
    let (name, account) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    let is_http = matches!(url.scheme(), "https" | "http") && url.has_host();
    is_plain && is_http && is_account && is_queue_name(name)
}

/// Whether SQS accepts a queue of this name (SQS API Reference, `CreateQueue`).
fn is_queue_name(name: &str) -> bool {
    let name = name.strip_suffix(FIFO).unwrap_or(name);
    (1..=80).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_its_url_or_arn_and_by_nothing_else() {
        for text in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/flexorch-retry",
            "http://127.0.0.1:4566/000000000000/q",
            "http://localhost:4566/queue/eu-west-1/000000000000/q",
        ] {
            assert_eq!(queue(text), Ok(QueueAddress::Url(text.parse().unwrap())), "{text}");
        }
        let arn = "arn:aws:sqs:eu-west-1:123456789012:flexorch-retry";
        assert_eq!(queue(arn), Ok(QueueAddress::Arn(arn.to_owned())));
        for text in [
            "",
            "flexorch-retry",
            "https://example.com",
            "https://example.com/a/b",
            "https://u:p@sqs.eu-west-1.amazonaws.com/123456789012/q",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q?x=1",
            "arn:aws:sns:eu-west-1:123456789012:topic",
            "arn:aws:sqs:eu-west-1",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
        ] {
            assert_eq!(queue(text), Err(NotAQueue::Address), "{text}");
        }
        for text in [&format!("{arn}.fifo"), "https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo"] {
            assert_eq!(queue(text), Err(NotAQueue::Fifo), "{text}");
        }
    }
}
