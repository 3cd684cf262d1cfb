//! `flexorch-s3 doctor`, as typed.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::shared::SecretOption;

/// Check everything between the bucket and FlexOrch, and suggest fixes
///
/// Each check passes (✓), warns (!), fails (✗) or is skipped (–). A warning or failure comes with the next command to run. Warnings do not
/// change the exit status; a check that could not be made because a permission is missing counts as failed.
///
/// Nothing is changed. Testing the connector takes two requests of the plan's rate. Up to ten dead letters are received and stay in the
/// queue; SQS counts that as a receive. If the dead-letter queue has its own dead-letter queue, they are only counted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 doctor --secret flexorch/invoices
  flexorch-s3 doctor --secret flexorch/invoices --function flexorch-ingest
  flexorch-s3 doctor --secret flexorch/invoices --key 'invoices/2026/0001.pdf'
  flexorch-s3 doctor --secret flexorch/invoices --json \\
    | jq '.checks[] | select(.status == \"failed\")'")]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// The function: its name or ARN (the stack's output FunctionName) [default: the one that the bucket notifies]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
    /// Find out why this object is not at FlexOrch: its key, not URL-encoded
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
}
