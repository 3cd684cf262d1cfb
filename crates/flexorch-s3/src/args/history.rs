//! `flexorch-s3 history`, as typed.

use clap::Args;

use super::tracking::{DocumentSelection, State, TrackingOption};

/// Show what happened to submitted documents
///
/// Reads the table of a stack with Tracking=true, newest first. A document has a record for each version of its object; a record is deleted
/// RECORD_DAYS (default 90) after its last change.
///
/// States: open (FlexOrch accepted it, its job has not ended), processed, failed (its job failed), rejected (FlexOrch refused the file).
/// submitted = processed + failed + open.
///
/// With --key and --bucket, only that document is read; otherwise all records of the states since --since are read, and others are
/// filtered out (DynamoDB also charges for filtered records). Memory does not grow with their number. In the table, characters that could control the
/// terminal are escaped; --json and --csv have keys unchanged.
///
/// Requires dynamodb:Query on the table and its index by-state; with --stack also cloudformation:DescribeStacks; with --function also
/// lambda:GetFunctionConfiguration and lambda:ListEventSourceMappings.
///
/// Exit status: 0 even if no records match; 1 the command failed; 2 wrong arguments; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 history --stack flexorch-ingest
  flexorch-s3 history --stack flexorch-ingest --state failed --since 2d
  flexorch-s3 history --stack flexorch-ingest --key invoices/2026/0001.pdf
  flexorch-s3 history --stack flexorch-ingest --prefix invoices/ --csv
  flexorch-s3 history --stack flexorch-ingest --summary --since 30d")]
pub(crate) struct HistoryOptions {
    #[command(flatten)]
    pub(crate) tracking: TrackingOption,
    #[command(flatten)]
    pub(crate) documents: DocumentSelection,
    /// Only documents in this state; comma-separated or repeated [default: all]
    #[arg(long = "state", help_heading = "Selection", value_name = "STATE", value_delimiter = ',')]
    pub(crate) states: Vec<State>,
    /// Maximum number of records [default: all]
    #[arg(long, value_name = "NUMBER", conflicts_with = "summary")]
    pub(crate) limit: Option<u64>,
    /// Count by state, connector and day instead
    #[arg(long)]
    pub(crate) summary: bool,
    /// Print comma-separated values, quoted as in RFC 4180; lines end in LF
    #[arg(long, conflicts_with_all = ["json", "summary"])]
    pub(crate) csv: bool,
}
