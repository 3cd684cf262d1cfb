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

/// Delete a schedule; asks for confirmation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 schedule delete --secret flexorch/invoices 7
  flexorch-s3 schedule delete --secret flexorch/invoices 7 --yes")]
pub(crate) struct DeleteOptions {
    #[command(flatten)]
    pub(crate) which: ScheduleId,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A text that [`cron`] cannot parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotCron {
    /// It has another number of fields.
    #[error("expected five fields, such as '0 2 * * *' for 02:00 every night; found {0}")]
    Fields(usize),
    /// A field is not valid.
    #[error("{text:?} is not a valid {}: expected {}", .field.name, .field.allowed)]
    Field { text: String, field: &'static Field },
}

/// A field of a cron expression.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: &'static str,
    allowed: &'static str,
}

/// The fields in their order.
const FIELDS: [Field; 5] = [
    Field { name: "minute", allowed: "0-59, *, lists, ranges and steps such as 0,30 or */15" },
    Field { name: "hour", allowed: "0-23, *, lists, ranges and steps such as 8-18 or */6" },
    Field { name: "day of month", allowed: "1-31, *, L, lists, ranges and steps such as 1,15" },
    Field { name: "month", allowed: "1-12, JAN-DEC, *, lists, ranges and steps such as 1,7" },
    Field { name: "day of week", allowed: "0-7, SUN-SAT, *, lists and ranges such as 1-5 or MON-FRI" },
];

/// Checks a cron expression of five fields, and normalizes its blanks.
fn cron(text: &str) -> Result<String, NotCron> {
    let typed: Vec<_> = text.split_whitespace().collect();
    if typed.len() != FIELDS.len() {
        return Err(NotCron::Fields(typed.len()));
    }
    for (position, field) in FIELDS.iter().enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[position] = typed[position];
        if cronexpr::parse_crontab(&format!("{} UTC", alone.join(" "))).is_err() {
            return Err(NotCron::Field { text: typed[position].to_owned(), field });
        }
    }
    Ok(typed.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_expression_has_five_fields() {
        assert_eq!(cron(" 0  2 * * * ").unwrap(), "0 2 * * *");
        assert_eq!(cron("daily"), Err(NotCron::Fields(1)));
        assert!(NotCron::Fields(1).to_string().contains("five"));
    }

    #[test]
    fn each_field_is_checked_and_the_wrong_one_is_named() {
        for text in ["*/15 8-18 * * MON-FRI", "0 2 1,15 1,7 0", "0 0 L * *", "0 2 * JAN 7", "0 3 * * SUN"] {
            assert_eq!(cron(text).as_deref(), Ok(text));
        }
        for (text, wrong, name) in [
            ("61 2 * * *", "61", "minute"),
            ("0 24 * * *", "24", "hour"),
            ("0 2 0 * *", "0", "day of month"),
            ("0 2 * 13 *", "13", "month"),
            ("0 2 * * MOO", "MOO", "day of week"),
            ("0 18-8 * * *", "18-8", "hour"),
            ("*/0 2 * * *", "*/0", "minute"),
            ("0 2 * * -", "-", "day of week"),
        ] {
            let error = cron(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?} is not a valid {name}: expected ")), "{text}: {error}");
        }
    }
}
