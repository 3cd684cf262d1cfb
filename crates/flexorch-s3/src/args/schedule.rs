//! `flexorch-s3 schedule …`, as typed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::shared::SecretOption;

/// `flexorch-s3 schedule …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleAction {
    Create(CreateOptions),
    /// List the connector's schedules
    #[command(after_help = "\
Examples:
  flexorch-s3 schedule list --secret flexorch/invoices")]
    List(SecretOption),
    /// Run a schedule now
    #[command(after_help = "\
Examples:
  flexorch-s3 schedule trigger --secret flexorch/invoices 7")]
    Trigger(ScheduleId),
    /// Show the runs of a schedule
    #[command(after_help = "\
Examples:
  flexorch-s3 schedule logs --secret flexorch/invoices 7 --json")]
    Logs(ScheduleId),
    Delete(DeleteOptions),
}

/// Have FlexOrch list the connector's bucket on a schedule
///
/// The plan limits schedules: none on Trial, one run a day on Starter, any on Pro and Enterprise; at most five schedules per connector.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 schedule create --secret flexorch/invoices --cron '0 2 * * *'
  flexorch-s3 schedule create --secret flexorch/invoices --cron '0 2 * * 1' \\
    --prefix invoices/archive/")]
pub(crate) struct CreateOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// When to run, in UTC: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "CRON", value_parser = cron)]
    pub(crate) cron: String,
    /// Prefix to list [default: the connector's]
    #[arg(long)]
    pub(crate) prefix: Option<String>,
}

/// One schedule of the secret's connector.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScheduleId {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// Schedule id, as shown by 'schedule list'
    #[arg(value_name = "SCHEDULE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) schedule: String,
}

/// Delete a schedule; asks first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 schedule delete --secret flexorch/invoices 7
  flexorch-s3 schedule delete --secret flexorch/invoices 7 --yes")]
pub(crate) struct DeleteOptions {
    #[command(flatten)]
    pub(crate) which: ScheduleId,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A text that [`cron`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected five fields, such as '0 2 * * *' for 02:00 every night; found {0}")]
struct NotCron(usize);

/// Normalizes the spaces of a cron expression of five fields. FlexOrch checks what they contain.
fn cron(text: &str) -> Result<String, NotCron> {
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() == 5 { Ok(fields.join(" ")) } else { Err(NotCron(fields.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_expression_has_five_fields() {
        assert_eq!(cron(" 0  2 * * * ").unwrap(), "0 2 * * *");
        assert_eq!(cron("daily"), Err(NotCron(1)));
        assert!(NotCron(1).to_string().contains("five"));
    }
}
