//! `flexorch-s3 attach` and `detach`, as typed.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::shared::SECRET_VARIABLE;

/// Notify a function, a queue or EventBridge of a bucket's uploads
///
/// Adds a notification for s3:ObjectCreated:* and leaves all others unchanged, byte for byte. Running it again changes nothing.
///
/// S3 can only replace the whole notification configuration: the command reads it, shows the difference, writes it, reads it again and
/// compares. A concurrent change by someone else is detected in almost every case, but not in all. With each write, S3 sends an
/// s3:TestEvent to the queues and topics of the bucket.
///
/// If the policy of the function or queue does not allow S3 to send to it, a statement that does is added, and removed again if the
/// notification cannot be written. If a CloudFormation stack owns the queue, whose next deployment may undo that, the command refuses unless
/// --force is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 attach --bucket my-documents --eventbridge
  flexorch-s3 attach --secret flexorch/invoices --function ingest --dry-run
  flexorch-s3 attach --bucket my-documents --prefix invoices/ \\
    --queue arn:aws:sqs:eu-west-1:123456789012:flexorch-retry")]
pub(crate) struct AttachOptions {
    #[command(flatten)]
    pub(crate) bucket: BucketOptions,
    #[command(flatten)]
    pub(crate) to: AttachTo,
    /// Only keys that start with this, not URL-encoded [default: the connector's prefix, or all keys]
    #[arg(long, conflicts_with = "eventbridge")]
    pub(crate) prefix: Option<String>,
    /// Only keys that end with this, case-sensitive: .pdf does not match .PDF
    #[arg(long, conflicts_with = "eventbridge")]
    pub(crate) suffix: Option<String>,
    /// Change the policy of a queue even if a CloudFormation stack owns the queue
    #[arg(long, conflicts_with = "eventbridge")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// Remove what attach added
///
/// Removes the notifications that attach added (their Ids begin with flexorch-s3-), and its statement in the destination's policy unless
/// another notification of the bucket still needs it. Everything else stays, byte for byte. It is not an error if there is nothing to
/// remove.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 detach --bucket my-documents --function flexorch-ingest
  flexorch-s3 detach --bucket my-documents --all --dry-run
  flexorch-s3 detach --bucket my-documents --eventbridge --yes")]
pub(crate) struct DetachOptions {
    #[command(flatten)]
    pub(crate) bucket: BucketOptions,
    #[command(flatten)]
    pub(crate) from: DetachFrom,
    /// Only the notification with this prefix
    #[arg(long, conflicts_with = "eventbridge")]
    pub(crate) prefix: Option<String>,
    /// Only the notification with this suffix
    #[arg(long, conflicts_with = "eventbridge")]
    pub(crate) suffix: Option<String>,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The bucket: by its name, or the connector's.
#[derive(Debug, Args)]
pub(crate) struct BucketOptions {
    /// Bucket name
    #[arg(long, value_name = "NAME", required_unless_present = "secret", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) bucket: Option<String>,
    /// A connector's secret, which names the bucket and the prefix
    #[arg(long, value_name = "ID", env = SECRET_VARIABLE, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) secret: Option<String>,
}

impl BucketOptions {
    /// Drops a secret that was not typed if a bucket was: the default of `--secret` is not meant then.
    pub(super) fn prefer_typed_bucket(&mut self, matches: &ArgMatches) {
        if self.bucket.is_some() && matches.value_source("secret") == Some(ValueSource::EnvVariable) {
            self.secret = None;
        }
    }
}

/// The destination that `attach` notifies.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AttachTo {
    /// Notify this Lambda function: its name or ARN, with an alias or version if needed
    #[arg(long, value_name = "ARN")]
    pub(crate) function: Option<String>,
    /// Notify this SQS queue: its ARN or URL
    #[arg(long, value_name = "ARN")]
    pub(crate) queue: Option<String>,
    /// Send all events of the bucket to EventBridge, where rules select from them
    #[arg(long)]
    pub(crate) eventbridge: bool,
}

/// The destinations that `detach` no longer notifies.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DetachFrom {
    /// Notifications to this Lambda function: its name or ARN
    #[arg(long, value_name = "ARN")]
    pub(crate) function: Option<String>,
    /// Notifications to this SQS queue: its ARN or URL
    #[arg(long, value_name = "ARN")]
    pub(crate) queue: Option<String>,
    /// Disable EventBridge, for every rule on this bucket; asks for confirmation
    #[arg(long)]
    pub(crate) eventbridge: bool,
    /// All notifications that attach added; EventBridge stays enabled
    #[arg(long)]
    pub(crate) all: bool,
}

/// How the change is made.
#[derive(Debug, Args)]
pub(crate) struct ChangeOptions {
    /// Show the change without making it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait until S3 sees a new permission, and returns what was written
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

impl ChangeOptions {
    /// Returns how long S3 may take to see a change.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}
