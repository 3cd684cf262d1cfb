//! `flexorch-s3 resubmit`, as typed.

use std::path::PathBuf;

use clap::Args;

use super::queue_name::{QueueName, standard_queue};
use super::tracking::{DocumentSelection, RepeatableState, TrackingOption};

/// Resubmit documents whose jobs failed; prompts for confirmation
///
/// Reads the records, estimates documents, requests and credits, then asks for confirmation. Then it sends an S3 event for each object to the
/// function's retry queue, oldest first: the function submits them at its own rate, and their records are updated.
///
/// Only an object's current version can be submitted again. An object that was deleted or overwritten since is skipped; a new version has a
/// separate record. Objects whose version cannot be checked are sent.
///
/// What was sent is recorded in a journal, which is removed at the end. If the command is interrupted or fails, run it again: it continues, and
/// does not send the same records again. Documents that failed after the run began are not part of it; they are counted.
///
/// Requires dynamodb:Query on the table and its index by-state, s3:GetObject and s3:ListBucket on the bucket, and sqs:SendMessage on the
/// queue; with --stack also cloudformation:DescribeStacks; with --function also lambda:GetFunctionConfiguration and
/// lambda:ListEventSourceMappings. To show the credits: secretsmanager:GetSecretValue on the connectors' secrets.
///
/// Exit status: 0 all were sent or skipped; 1 the command failed; 2 wrong arguments; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 resubmit --stack flexorch-ingest --since 2d --dry-run
  flexorch-s3 resubmit --stack flexorch-ingest --state failed --since 2d
  flexorch-s3 resubmit --stack flexorch-ingest --key invoices/a.pdf --yes")]
pub(crate) struct ResubmitOptions {
    #[command(flatten)]
    pub(crate) tracking: TrackingOption,
    #[command(flatten)]
    pub(crate) documents: DocumentSelection,
    /// Only documents in this state; comma-separated or repeated
    #[arg(
        long = "state",
        help_heading = "Selection",
        value_name = "STATE",
        value_delimiter = ',',
        default_value = "failed"
    )]
    pub(crate) states: Vec<RepeatableState>,
    /// The function's retry queue: its URL or ARN [default: the stack's, or the one that the function reads]
    #[arg(long, value_name = "URL", value_parser = standard_queue)]
    pub(crate) queue: Option<QueueName>,
    /// Show what it would do, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Journal file [default: a file in the current directory, named after the table and the selection]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Discard the journal and send everything again
    #[arg(long)]
    pub(crate) restart: bool,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}
