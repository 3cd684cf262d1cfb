//! `flexorch-s3 submit`, as it is typed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;

use super::SecretOption;
use super::backfill::most;

/// `flexorch-s3 submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Keys are object keys as S3 has them, not encoded. A key outside the connector's prefix is not sent, as the function would not send
it; --any-prefix sends it all the same.

Exit status: 0 everything is forwarded; 1 the command failed; 3 a key was not forwarded, and the output says which and why.

Examples:
  flexorch-s3 submit --secret flexorch/invoices 'invoices/2026/11/q1+q2 summary.pdf'
  flexorch-s3 submit --secret flexorch/invoices --keys-from keys.txt
  jq -r '.rejected[]?.key' journal.jsonl | flexorch-s3 submit --secret flexorch/invoices --keys-from - --json")]
pub(in super::super) struct SubmitOptions {
    #[command(flatten)]
    pub secret: SecretOption,
    /// Object keys
    #[arg(value_name = "KEY", required_unless_present = "keys_from", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub keys: Vec<String>,
    /// Read the keys from a file, one a line; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub keys_from: Option<PathBuf>,
    /// Send keys outside the connector's prefix too
    #[arg(long)]
    pub any_prefix: bool,
    /// Keys in a request
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = most::<1000>)]
    pub keys_per_request: NonZeroUsize,
    /// Requests under way at once
    #[arg(long, value_name = "NUMBER", default_value = "2", value_parser = most::<100>)]
    pub concurrency: NonZeroUsize,
    /// Requests a minute; without it, as many as FlexOrch takes
    #[arg(long, value_name = "NUMBER")]
    pub requests_per_minute: Option<NonZeroU32>,
}
