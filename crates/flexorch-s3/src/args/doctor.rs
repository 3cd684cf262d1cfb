//! `flexorch-s3 doctor`, as it is typed.

use clap::Args;

use super::SecretOption;

/// `flexorch-s3 doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each check is ✓ well, ! a warning, ✗ failed, or – not looked at; what is not well comes with the next command to run. Warnings do
not change the exit status; a check that could not be made, for want of a permission, is a failed one.

Nothing is changed; two requests of the plan's rate are used, for the connector and its test. Up to ten dead letters
are looked at and left where they are; SQS counts that as a receive, which is without consequence unless the dead-letter queue has a
dead-letter queue of its own: then they are only counted.

Examples:
  flexorch-s3 doctor --secret flexorch/invoices
  flexorch-s3 doctor --secret flexorch/invoices --function flexorch-s3-ingester-Ingester-1A2B3C
  flexorch-s3 doctor --secret flexorch/invoices --key 'invoices/2026/0001.pdf'
  flexorch-s3 doctor --secret flexorch/invoices --json | jq '.checks[] | select(.status == \"failed\")'")]
pub(in super::super) struct DoctorOptions {
    #[command(flatten)]
    pub secret: SecretOption,
    /// The function: its name or ARN (the stack's output FunctionName); without it, the one that the bucket notifies
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub function: Option<String>,
    /// Why is this object not at FlexOrch? Its key, as it is in the bucket
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub key: Option<String>,
}
