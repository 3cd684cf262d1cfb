//! `flexorch-s3 pause` and `resume`, as typed.

use clap::Args;

use super::shared::SecretOption;

/// Stop submitting a connector's objects until it is resumed
///
/// Writes `paused` into the connector's secret; the other fields stay unchanged, byte for byte. Every process of the function follows within
/// its SECRET_CACHE_TTL_SECONDS (default 300). From then on the connector's objects wait in the queue and never expire, however long the pause
/// lasts. Objects that FlexOrch accepted before stay accepted.
///
/// Requires secretsmanager:GetSecretValue and secretsmanager:PutSecretValue on the secret. Secrets Manager has no conditional write: do not
/// change the secret in two places at the same time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 pause --secret flexorch/invoices
  flexorch-s3 pause --secret flexorch/invoices \\
    --reason 'maintenance until 14:00'")]
pub(crate) struct PauseOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// Reason, which the function's log repeats; replaces an earlier one
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,
}

/// Resume submitting a paused connector's objects
///
/// Removes `paused` from the connector's secret; the other fields stay unchanged, byte for byte. The objects that waited follow by themselves.
///
/// Requires secretsmanager:GetSecretValue and secretsmanager:PutSecretValue on the secret.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 resume --secret flexorch/invoices
  flexorch-s3 resume --secret flexorch/invoices --json")]
pub(crate) struct ResumeOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
}

/// A reason that says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reason must not be empty: write one, or omit --reason")]
struct NoReason;

fn reason(text: &str) -> Result<String, NoReason> {
    let reason = text.trim();
    if reason.is_empty() { Err(NoReason) } else { Ok(reason.to_owned()) }
}
