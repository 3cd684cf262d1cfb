//! `flexorch-s3 doctor`, as typed.

use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::shared::{SecretOption, duration};

/// Check everything between the bucket and FlexOrch, and suggest fixes
///
/// Each check passes (✓), warns (!), fails (✗), could not be made (?) or is skipped (–), and is printed as soon as its result is known. A
/// warning, a failure and a check that could not be made come with the next command to run. The exit status is 0 only if every check was
/// made and none failed: warnings do not change it, but a check that could not be made, because a permission is missing or time ran out,
/// does. In JSON, such a check has the status "failed", and what was found begins with "could not be checked". The exceptions are the two
/// checks of roles, which are warnings if IAM does not say what a role allows.
///
/// If the function sends receipts (RECEIPTS_QUEUE_URL), the tracking is checked too: receipts queue, outcomes function, table, sweep and webhook;
/// and --key shows how the object's job ended.
///
/// Nothing is changed. Up to five requests of the plan's rate are used. Up to ten dead letters are received and stay in the queue; SQS
/// counts that as a receive. If the dead-letter queue has its own dead-letter queue, they are only counted.
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
    /// The function: its name or ARN (the stack's output FunctionName) [default: the only one that names the secret]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
    /// Find out why this object is not at FlexOrch: its key, not URL-encoded
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// The time limit of the whole command. What is not finished by then could not be checked
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
}
