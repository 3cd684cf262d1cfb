//! `flexorch-s3 attach` and `detach`, as they are typed.

use clap::Args;

/// `flexorch-s3 attach`.
#[derive(Debug, Args)]
#[command(after_help = "\
Adds a notification for s3:ObjectCreated:* and leaves all others as they are, byte for byte. S3 knows no addition, only the writing
of all notifications at once: they are read, shown with the difference, written, read again and compared. Whoever else writes
between the reading and the writing is noticed in almost every case, not in all. With each writing S3 sends an s3:TestEvent to the
queues and topics of the bucket. Where the function or the queue does not let S3 in, a statement that does is added to its policy, and
taken back if the notification cannot be written. Run again, it changes nothing.

S3 compares prefix and suffix exactly: with --suffix .pdf nobody hears of a .PDF.

Examples:
  flexorch-s3 attach --bucket my-documents --eventbridge
  flexorch-s3 attach --secret flexorch/invoices --function flexorch-ingest --dry-run
  flexorch-s3 attach --bucket my-documents --prefix invoices/ --queue arn:aws:sqs:eu-west-1:123456789012:flexorch-retry")]
pub(in super::super) struct AttachOptions {
    #[command(flatten)]
    pub bucket: BucketOptions,
    #[command(flatten)]
    pub to: AttachTo,
    /// Only keys that start with this, as they are, not encoded; without it, the connector's prefix, or all keys
    #[arg(long, conflicts_with = "eventbridge")]
    pub prefix: Option<String>,
    /// Only keys that end in this; case matters
    #[arg(long, conflicts_with = "eventbridge")]
    pub suffix: Option<String>,
    #[command(flatten)]
    pub how: HowOptions,
}

/// `flexorch-s3 detach`.
#[derive(Debug, Args)]
#[command(after_help = "\
Takes away the notifications that attach made (their Ids begin with flexorch-s3-), and the statement in the destination's policy that
attach added, once no other notification of the bucket needs it. What attach did not make stays, byte for byte. Where nothing is to be
taken away, that is fine.

Examples:
  flexorch-s3 detach --bucket my-documents --function flexorch-ingest
  flexorch-s3 detach --bucket my-documents --all --dry-run
  flexorch-s3 detach --bucket my-documents --eventbridge --yes")]
pub(in super::super) struct DetachOptions {
    #[command(flatten)]
    pub bucket: BucketOptions,
    #[command(flatten)]
    pub from: DetachFrom,
    /// Only the one with this prefix
    #[arg(long, conflicts_with = "eventbridge")]
    pub prefix: Option<String>,
    /// Only the one with this suffix
    #[arg(long, conflicts_with = "eventbridge")]
    pub suffix: Option<String>,
    #[command(flatten)]
    pub how: HowOptions,
    /// Do not ask before EventBridge is switched off
    #[arg(long)]
    pub yes: bool,
}

/// The bucket: by its name, or the connector's.
#[derive(Debug, Args)]
pub(in super::super) struct BucketOptions {
    /// The bucket
    #[arg(long, value_name = "NAME", required_unless_present = "secret", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub bucket: Option<String>,
    /// A connector's secret, which names the bucket and the prefix
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub secret: Option<String>,
}

/// What is told of uploads.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in super::super) struct AttachTo {
    /// This Lambda function: its ARN, with an alias or version if there is one, or its name
    #[arg(long, value_name = "ARN")]
    pub function: Option<String>,
    /// This SQS queue: its ARN or its URL
    #[arg(long, value_name = "ARN")]
    pub queue: Option<String>,
    /// EventBridge, of all events; rules choose among them
    #[arg(long)]
    pub eventbridge: bool,
}

/// What is told no more.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in super::super) struct DetachFrom {
    /// This Lambda function: its ARN or its name
    #[arg(long, value_name = "ARN")]
    pub function: Option<String>,
    /// This SQS queue: its ARN or its URL
    #[arg(long, value_name = "ARN")]
    pub queue: Option<String>,
    /// EventBridge, for every rule on this bucket; asks first
    #[arg(long)]
    pub eventbridge: bool,
    /// Every function and queue that attach attached; EventBridge stays
    #[arg(long)]
    pub all: bool,
}

/// How the change is made.
#[derive(Debug, Args)]
pub(in super::super) struct HowOptions {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long S3 may take to see a new permission, and to show what was written
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
}

impl HowOptions {
    /// How long S3 may take.
    pub(in super::super) fn wait(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.wait)
    }
}
