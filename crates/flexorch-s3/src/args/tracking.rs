//! Where the records of submitted documents are, and which of them a command is about, as typed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::shared::Past;

/// Where the records are.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TrackingOption {
    /// CloudFormation stack with Tracking=true: its name or ARN
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stack: Option<String>,
    /// Function with RECEIPTS_QUEUE_URL, or its outcomes function: name or ARN
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
    /// DynamoDB table of the records (the stack's output RecordsTable): its name or ARN
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) table: Option<String>,
}

/// Which documents a command is about, apart from their states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Selection")]
pub(crate) struct DocumentSelection {
    /// Only the object with this key, not URL-encoded
    #[arg(long, value_name = "KEY", conflicts_with = "prefix", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// Only keys that start with this
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) prefix: Option<String>,
    /// Only objects of this bucket; with it, --key reads nothing but that document [default: any bucket; with --stack and --key or --prefix, the
    /// stack's]
    #[arg(long, value_name = "NAME", value_parser = bucket)]
    pub(crate) bucket: Option<String>,
    /// Only documents whose state changed at this time or later: 2d, P30D, PT12H, 2026-01-31 (UTC) or 2026-01-31T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Past>,
    /// Only documents of this connector: the name or ARN of its secret, or its id at FlexOrch
    #[arg(long, value_name = "SECRET|ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) connector: Option<String>,
}

/// The state of a document: as typed, and as the table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// FlexOrch accepted it, and its job has not ended
    #[value(name = "open", alias = "submitted")]
    Submitted,
    /// FlexOrch processed it
    Processed,
    /// Its job failed
    Failed,
    /// FlexOrch refused the file
    Rejected,
}

/// The state of a document that can be submitted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RepeatableState {
    /// Its job failed
    Failed,
    /// FlexOrch refused the file
    Rejected,
    /// FlexOrch accepted it, and its job has not ended
    #[value(alias = "submitted")]
    Open,
}

impl From<RepeatableState> for State {
    fn from(state: RepeatableState) -> Self {
        match state {
            RepeatableState::Failed => Self::Failed,
            RepeatableState::Rejected => Self::Rejected,
            RepeatableState::Open => Self::Submitted,
        }
    }
}

/// A text that no bucket can have as its name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a bucket, without s3:// and without a key")]
struct NotABucket;

/// Checks the name of a bucket, which must not contain the separator between bucket and key.
fn bucket(text: &str) -> Result<String, NotABucket> {
    if text.is_empty() || text.contains('/') { Err(NotABucket) } else { Ok(text.to_owned()) }
}
