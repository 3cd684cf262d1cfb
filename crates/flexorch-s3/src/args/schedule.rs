//! `flexorch-s3 schedule …`, as it is typed.

use clap::{Args, Subcommand};

use super::SecretOption;

/// `flexorch-s3 schedule …`.
#[derive(Debug, Subcommand)]
pub(in super::super) enum ScheduleAction {
    /// Have FlexOrch list the connector's bucket on a schedule
    Create(CreateOptions),
    /// List the connector's schedules
    #[command(after_help = "Example:\n  flexorch-s3 schedule list --secret flexorch/invoices")]
    List(SecretOption),
    /// Run a schedule now
    #[command(after_help = "Example:\n  flexorch-s3 schedule trigger --secret flexorch/invoices 7")]
    Trigger(ScheduleId),
    /// Show a schedule's runs
    #[command(after_help = "Example:\n  flexorch-s3 schedule logs --secret flexorch/invoices 7 --json")]
    Logs(ScheduleId),
    /// Delete a schedule, after asking
    Delete(DeleteOptions),
}

/// `flexorch-s3 schedule create`.
#[derive(Debug, Args)]
#[command(after_help = "\
The plan decides how often: Trial has no Scheduled Sync, Starter one run a day, Pro any; five schedules a connector.

Examples:
  flexorch-s3 schedule create --secret flexorch/invoices --cron '0 2 * * *'
  flexorch-s3 schedule create --secret flexorch/invoices --cron '0 2 * * 1' --prefix invoices/archive/")]
pub(in super::super) struct CreateOptions {
    #[command(flatten)]
    pub secret: SecretOption,
    /// When: minute, hour, day of the month, month, day of the week; in UTC
    #[arg(long, value_name = "CRON", value_parser = cron)]
    pub cron: String,
    /// List this prefix; without it, the connector's
    #[arg(long)]
    pub prefix: Option<String>,
}

/// One schedule of the secret's connector.
#[derive(Debug, Clone, Args)]
pub(in super::super) struct ScheduleId {
    #[command(flatten)]
    pub secret: SecretOption,
    /// The schedule's id, as `schedule list` shows it
    #[arg(value_name = "SCHEDULE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub schedule: String,
}

/// `flexorch-s3 schedule delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 schedule delete --secret flexorch/invoices 7
  flexorch-s3 schedule delete --secret flexorch/invoices 7 --yes")]
pub(in super::super) struct DeleteOptions {
    #[command(flatten)]
    pub which: ScheduleId,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Five fields; what they may hold is FlexOrch's to say.
fn cron(text: &str) -> Result<String, String> {
    match text.split_whitespace().count() {
        5 => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        fields => {
            Err(format!("it has {fields} fields, and must have five, such as '0 2 * * *' for two o'clock every night"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_expression_has_five_fields() {
        assert_eq!(cron(" 0  2 * * * ").unwrap(), "0 2 * * *");
        assert!(cron("daily").unwrap_err().contains("five"));
    }
}
