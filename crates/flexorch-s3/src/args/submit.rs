//! `flexorch-s3 submit`, as typed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::receipts::ReceiptsOption;
use super::shared::{SecretOption, at_most};

/// Submit object keys to FlexOrch now
///
/// Keys are S3 object keys, not URL-encoded. Keys outside the connector's prefix are not sent, as in the function, unless --any-prefix is
/// given.
///
/// Requires secretsmanager:GetSecretValue on the secret; with receipts also sqs:SendMessage on their queue, with --function also
/// lambda:GetFunctionConfiguration.
///
/// Exit status: 0 all keys are forwarded; 1 the command failed; 3 a key was not forwarded, and the output says which and why, or a receipt
/// could not be sent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 submit --secret flexorch/invoices 'invoices/q1+q2 summary.pdf'
  flexorch-s3 submit --secret flexorch/invoices --function ingest \\
    --keys-from keys.txt
  jq -r '.rejected[]?.key' journal.jsonl \\
    | flexorch-s3 submit --secret flexorch/invoices --keys-from - --json")]
pub(crate) struct SubmitOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// Object keys
    #[arg(value_name = "KEY", required_unless_present = "keys_from", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) keys: Vec<String>,
    /// Read keys from a file, one per line; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub(crate) keys_from: Option<PathBuf>,
    /// Also send keys outside the connector's prefix
    #[arg(long)]
    pub(crate) any_prefix: bool,
    /// Keys per request
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = at_most::<1000>)]
    pub(crate) keys_per_request: NonZeroUsize,
    /// Requests in flight
    #[arg(long, value_name = "NUMBER", default_value = "2", value_parser = at_most::<100>)]
    pub(crate) concurrency: NonZeroUsize,
    /// Requests per minute [default: no limit]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) requests_per_minute: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) receipts: ReceiptsOption,
}
