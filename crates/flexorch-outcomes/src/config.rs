//! The function's settings: read from the environment and checked, once, with the ingester's readers.

use std::num::NonZeroU32;
use std::time::Duration;

use flexorch_s3_ingester::config::{ConfigError, Environment, NotUtf8, process_environment};
use reqwest::Url;

/// The names of the settings that the ingester does not have.
pub mod variable {
    /// The name or ARN of the table of records.
    pub const RECORDS_TABLE: &str = "RECORDS_TABLE";
    /// The name or ARN of the event bus.
    pub const EVENT_BUS_NAME: &str = "EVENT_BUS_NAME";
    /// The secret that holds the webhook's signing secret.
    pub const WEBHOOK_SECRET_ID: &str = "WEBHOOK_SECRET_ID";
    /// How many days a record is kept.
    pub const RECORD_DAYS: &str = "RECORD_DAYS";
    /// How many minutes after its submission a job is first asked for.
    pub const SWEEP_AFTER_MINUTES: &str = "SWEEP_AFTER_MINUTES";
}

/// The most days that a record may be kept: a hundred years.
const MOST_DAYS: u64 = 36_500;
/// The most minutes that a sweep may leave a job alone: a week.
const MOST_MINUTES: u64 = 7 * 24 * 60;
/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The function's settings after all checks.
#[derive(Debug, Clone)]
pub struct Config {
    /// `RECORDS_TABLE`: the table's name or ARN.
    pub records_table: String,
    /// `CONNECTOR_SECRET_IDS`: the connectors whose API keys the sweep asks with.
    pub connector_secret_ids: Vec<String>,
    /// `FLEXORCH_BASE_URL`.
    pub flexorch_base_url: Url,
    /// `EVENT_BUS_NAME`: the bus's name or ARN.
    pub event_bus: String,
    /// `WEBHOOK_SECRET_ID`; `None`: every webhook is refused.
    pub webhook_secret_id: Option<String>,
    /// `RECORD_DAYS`: how long a record is kept after its last write, and a job is asked for.
    pub keep_for: Duration,
    /// `REQUESTS_PER_MINUTE` of a sweep; `None`: no pacing.
    pub requests_per_minute: Option<NonZeroU32>,
    /// `SWEEP_AFTER_MINUTES`: a sweep leaves younger jobs alone.
    pub sweep_after: Duration,
    /// `REQUEST_TIMEOUT_MS`: the time limit of one request to FlexOrch.
    pub request_timeout: Duration,
    /// `DEADLINE_MARGIN_MS`.
    pub deadline_margin: Duration,
}

impl Config {
    /// Reads the settings from the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(process_environment)
    }

    /// Reads the settings from elsewhere, such as a deployed function's.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<Option<String>, NotUtf8>) -> Result<Self, ConfigError> {
        let env = Environment { lookup };
        let table = env.text(variable::RECORDS_TABLE)?;
        let records_table = table.clone().filter(|name| is_name(name)).ok_or(ConfigError {
            variable: variable::RECORDS_TABLE,
            given: table,
            allowed: "the name or ARN of the DynamoDB table of records".into(),
        })?;
        let bus = env.text(variable::EVENT_BUS_NAME)?.unwrap_or_else(|| "default".to_owned());
        let event_bus = Some(bus.clone()).filter(|name| is_name(name)).ok_or(ConfigError {
            variable: variable::EVENT_BUS_NAME,
            given: Some(bus),
            allowed: "the name or ARN of an EventBridge event bus".into(),
        })?;
        let minutes = env.number(variable::SWEEP_AFTER_MINUTES, 0..=MOST_MINUTES)?.unwrap_or(15);
        Ok(Self {
            records_table,
            connector_secret_ids: env.connector_secret_ids()?,
            flexorch_base_url: env.base_url()?,
            event_bus,
            webhook_secret_id: env.text(variable::WEBHOOK_SECRET_ID)?,
            keep_for: Duration::from_secs(DAY * env.number(variable::RECORD_DAYS, 1..=MOST_DAYS)?.unwrap_or(90)),
            requests_per_minute: env.requests_per_minute()?,
            sweep_after: Duration::from_secs(60 * minutes),
            request_timeout: env.request_timeout()?,
            deadline_margin: env.deadline_margin()?,
        })
    }
}

/// Whether text has only the characters of names and ARNs of tables and event buses (DynamoDB and EventBridge API References,
/// `TableName` and `EventBusName`).
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            let mut settings = settings.iter().chain(&[("CONNECTOR_SECRET_IDS", "docs"), ("RECORDS_TABLE", "records")]);
            Ok(settings.find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = config(&[]).unwrap();
        assert_eq!((&*config.event_bus, config.webhook_secret_id), ("default", None));
        assert_eq!(config.keep_for, Duration::from_secs(90 * 86_400));
        assert_eq!(config.sweep_after, Duration::from_secs(900));
        assert_eq!((config.request_timeout.as_secs(), config.deadline_margin.as_secs()), (10, 1));
        assert_eq!(config.requests_per_minute, None);
        assert_eq!(config.flexorch_base_url.as_str(), "https://api.flexorch.com/v1");
    }

    #[test]
    fn every_wrong_value_is_an_error_that_names_variable_value_and_what_is_allowed() {
        for (variable, value) in [
            ("FLEXORCH_BASE_URL", "http://api.flexorch.com/v1"),
            ("RECORD_DAYS", "0"),
            ("RECORD_DAYS", "a year"),
            ("SWEEP_AFTER_MINUTES", "-1"),
            ("REQUESTS_PER_MINUTE", "0"),
            ("REQUEST_TIMEOUT_MS", "1.5"),
            ("DEADLINE_MARGIN_MS", "99999999"),
            ("EVENT_BUS_NAME", "my bus"),
            ("RECORDS_TABLE", "records?"),
        ] {
            let error = config(&[(variable, value)]).unwrap_err();
            assert_eq!((error.variable, error.given.as_deref()), (variable, Some(value)));
            assert!(error.to_string().contains("must be"), "{error}");
        }
        for variable in ["RECORDS_TABLE", "CONNECTOR_SECRET_IDS"] {
            assert_eq!(config(&[(variable, " ")]).unwrap_err().variable, variable);
        }
    }
}
