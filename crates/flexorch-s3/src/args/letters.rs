//! `flexorch-s3 letters …`, as typed.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::queue_name::QueueName;
use super::shared::days;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

/// `flexorch-s3 letters …`.
#[derive(Debug, Subcommand)]
pub(crate) enum LettersAction {
    List(ListOptions),
    Redrive(RedriveOptions),
    Export(ExportOptions),
    Drop(DropOptions),
}

/// Show which dead letters there are, and why
///
/// Receives every dead letter and makes it visible again. SQS counts a receive for each.
///
/// Requires sqs:ReceiveMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes on the queue; with --function also
/// lambda:GetFunctionConfiguration, with --queue also sqs:ListDeadLetterSourceQueues.
///
/// Exit status: 0 whether or not there are any; 1 the command failed; 2 the queue is not a dead-letter queue; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 letters list --function flexorch-ingest
  flexorch-s3 letters list --function flexorch-ingest --newer-than 1d
  flexorch-s3 letters list --function flexorch-ingest --prefix in/a.pdf")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) queue: QueueOption,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Letters to show one by one [default: 20; with --json: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
}

/// Send dead letters to the queue that they came from, and delete them; asks for confirmation
///
/// Shows what it will do, by code, and asks for confirmation. Then it receives the letters again, sends each before it deletes it, and leaves every other letter
/// visible. If it is interrupted or fails, run the same command again: it continues. At worst a letter is sent twice, which FlexOrch
/// recognizes.
///
/// A letter that the function wrote is sent without the attributes that say why it was rejected; one that SQS moved is sent unchanged. Letters
/// with the code UNREADABLE would only come back, so they stay unless --code UNREADABLE names them.
///
/// Requires the permissions of `letters list`, sqs:DeleteMessage on the dead-letter queue, and sqs:SendMessage and sqs:GetQueueAttributes on the
/// target; with --function also lambda:ListEventSourceMappings.
///
/// Exit status: 0 all selected letters were redriven; 1 it stopped; 2 the queue is not a dead-letter queue, or has several sources; 3 some
/// letters were not redriven; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 letters redrive --function flexorch-ingest
  flexorch-s3 letters redrive --function flexorch-ingest --code none --yes
  flexorch-s3 letters redrive --function flexorch-ingest --code FILE_TOO_LARGE \\
    --connector flexorch/invoices --per-minute 60")]
pub(crate) struct RedriveOptions {
    #[command(flatten)]
    pub(crate) queue: QueueOption,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// URL or ARN of the queue to send to [default: the queue whose dead letters these are]
    #[arg(long, value_name = "QUEUE")]
    pub(crate) to: Option<QueueName>,
    /// Letters per minute [default: no limit; the function has its own rate limit]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) per_minute: Option<NonZeroU32>,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Write dead letters to a file or standard output, one JSON document per line
///
/// Each line has the body, the attributes, the message id and the times. Nothing is deleted: every letter becomes visible again.
///
/// Requires the permissions of `letters list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 letters export --function flexorch-ingest --output dead.jsonl
  flexorch-s3 letters export --function flexorch-ingest --code UNREADABLE \\
    | jq -r .body")]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    pub(crate) queue: QueueOption,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// File to create; an existing file is not overwritten [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Delete dead letters for good; asks for confirmation
///
/// Needs a filter, or --all. To keep a copy, run `letters export` with the same filter before. With --prefix, a letter that also names other
/// keys stays.
///
/// Requires the permissions of `letters list`, and sqs:DeleteMessage on the queue.
///
/// Exit status: as `letters redrive`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 letters drop --function flexorch-ingest --code UNREADABLE
  flexorch-s3 letters drop --function flexorch-ingest --older-than 7d
  flexorch-s3 letters drop --function flexorch-ingest --all")]
pub(crate) struct DropOptions {
    #[command(flatten)]
    pub(crate) queue: QueueOption,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Delete every dead letter
    #[arg(long, conflicts_with_all = ["codes", "connector", "older_than", "newer_than", "prefix"])]
    pub(crate) all: bool,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The dead-letter queue.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct QueueOption {
    /// URL or ARN of the dead-letter queue
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Name or ARN of the function, whose DEAD_LETTER_QUEUE_URL names the dead-letter queue
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
}

/// Which dead letters a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// Only letters with one of these codes; `none` for messages that SQS moved after too many receives; comma-separated or repeated
    #[arg(long = "code", help_heading = "Selection", value_name = "CODE", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) codes: Vec<String>,
    /// Only letters of this connector: the name or ARN of its secret, or its id at FlexOrch; those that SQS moved name none
    #[arg(long, help_heading = "Selection", value_name = "SECRET|ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) connector: Option<String>,
    /// Only letters whose event is older than this, such as 7d or 12h; without an event time, the time when it was sent counts
    #[arg(long, help_heading = "Selection", value_name = "DURATION", value_parser = age)]
    pub(crate) older_than: Option<Duration>,
    /// Only letters whose event is newer than this
    #[arg(long, help_heading = "Selection", value_name = "DURATION", value_parser = age)]
    pub(crate) newer_than: Option<Duration>,
    /// Only letters with an object key that starts with this
    #[arg(long, help_heading = "Selection", value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) prefix: Option<String>,
}

impl Selection {
    /// Returns whether it selects every letter.
    pub(crate) fn is_everything(&self) -> bool {
        let Self { codes, connector, older_than, newer_than, prefix } = self;
        codes.is_empty() && connector.is_none() && older_than.is_none() && newer_than.is_none() && prefix.is_none()
    }
}

/// A text that [`age`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 7d, 12h, 30m or P1DT12H")]
struct NotAnAge;

/// Parses a duration in which a day has 24 hours.
fn age(text: &str) -> Result<Duration, NotAnAge> {
    days(text.trim()).and_then(|age| age.try_into().ok()).ok_or(NotAnAge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_may_be_in_days() {
        for (text, hours) in [("7d", 168), ("P1DT12H", 36), ("12h", 12), ("2 days", 48), ("1w", 168)] {
            assert_eq!(age(text), Ok(Duration::from_secs(hours * 3600)), "{text}");
        }
        for wrong in ["", "7", "-1d", "1 month", "soon"] {
            assert_eq!(age(wrong), Err(NotAnAge), "{wrong}");
        }
    }
}
