//! The function's settings: reads and checks the environment, once. No other module reads it.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde_json::value::RawValue;
use wildmatch::WildMatch;

use crate::model::arn::Arn;
use crate::model::scope::Scope;
use crate::model::settings;

/// The function's settings after all checks.
#[derive(Debug, Clone)]
pub struct Config {
    /// `CONNECTOR_SECRET_IDS`: the names or ARNs of the connectors' secrets, one for each connector.
    pub connector_secret_ids: Vec<String>,
    /// `FLEXORCH_BASE_URL`.
    pub flexorch_base_url: Url,
    /// `KEY_PREFIXES`, `KEY_SUFFIXES`, `KEY_EXCLUDES`, `MAX_OBJECT_BYTES`.
    pub scope: Scope,
    /// `MAX_KEYS_PER_REQUEST`.
    pub max_keys_per_request: NonZeroUsize,
    /// `SECRET_CACHE_TTL_SECONDS`.
    pub secret_cache_ttl: Duration,
    /// `REQUEST_TIMEOUT_MS`: the time limit of one attempt.
    pub request_timeout: Duration,
    /// `MAX_CONCURRENT_REQUESTS`.
    pub max_concurrent_requests: NonZeroUsize,
    /// `REQUESTS_PER_MINUTE`; `None`: no pacing.
    pub requests_per_minute: Option<NonZeroU32>,
    /// `MAX_ATTEMPTS`: how often one request is sent in one invocation, at most.
    pub max_attempts: NonZeroU32,
    /// `DEADLINE_MARGIN_MS`.
    pub deadline_margin: Duration,
    /// `DEAD_LETTER_QUEUE_URL`.
    pub dead_letter_queue_url: Option<Url>,
    /// `RENEW_AFTER_RECEIVES`.
    pub renew_after_receives: NonZeroU32,
    /// `RECEIPTS_QUEUE_URL`.
    pub receipts_queue_url: Option<Url>,
    /// `LOCALE`.
    pub locale: Option<String>,
    /// `PIPELINE_CONFIG`: a JSON object, unchanged.
    pub pipeline_config: Option<Box<RawValue>>,
}

/// A setting that is missing or has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The environment variable.
    pub variable: &'static str,
    /// The value that was given; `None` if the variable is not set.
    pub given: Option<String>,
    /// The values that are allowed, in words that follow "must be".
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(given) => write!(f, "{} is {given:?}, but must be {}", self.variable, self.allowed),
            None => write!(f, "{} is not set; it must be {}", self.variable, self.allowed),
        }
    }
}

/// The base URL of FlexOrch's API if `FLEXORCH_BASE_URL` is not set (FlexOrch API documentation).
pub const DEFAULT_BASE_URL: &str = "https://api.flexorch.com/v1";
/// How long a connector's secret is used before it is fetched again, unless `SECRET_CACHE_TTL_SECONDS` says otherwise.
pub const DEFAULT_SECRET_CACHE_TTL: Duration = Duration::from_secs(300);

/// Returns an environment variable that is not one of this project's own settings, such as those of the AWS SDK; `None` if it is
/// not set, is empty, or is not UTF-8.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Config {
    /// Reads the settings from the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(process_environment)
    }

    /// Reads the settings from any source; `lookup` returns `None` for a variable that is not set. A value of white space alone
    /// counts as not set, because an empty template parameter arrives that way.
    ///
    /// # Errors
    /// [`ConfigError`] for the first variable that is missing or wrong.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<Option<String>, NotUtf8>) -> Result<Self, ConfigError> {
        let env = Environment { lookup };
        let connector_secret_ids = env.connector_secret_ids()?;
        let max_object_bytes = env.number(settings::MAX_OBJECT_BYTES, 1..=u64::MAX)?;
        Ok(Self {
            connector_secret_ids,
            flexorch_base_url: env.base_url()?,
            scope: Scope {
                key_prefixes: env.list(settings::KEY_PREFIXES)?,
                key_suffixes: env.list(settings::KEY_SUFFIXES)?.iter().map(|suffix| suffix.to_lowercase()).collect(),
                key_excludes: env.list(settings::KEY_EXCLUDES)?.iter().map(|pattern| WildMatch::new(pattern)).collect(),
                max_object_bytes,
            },
            max_keys_per_request: env.number_or(settings::MAX_KEYS_PER_REQUEST, 1..=10_000, 100)?,
            secret_cache_ttl: env
                .number(settings::SECRET_CACHE_TTL_SECONDS, 0..=86_400)?
                .map_or(DEFAULT_SECRET_CACHE_TTL, Duration::from_secs),
            request_timeout: env.request_timeout()?,
            max_concurrent_requests: env.number_or(settings::MAX_CONCURRENT_REQUESTS, 1..=1_000, 2)?,
            requests_per_minute: env.requests_per_minute()?,
            max_attempts: env.number_or(settings::MAX_ATTEMPTS, 1..=100, 4)?,
            deadline_margin: env.deadline_margin()?,
            dead_letter_queue_url: env.queue_url(settings::DEAD_LETTER_QUEUE_URL)?,
            renew_after_receives: env.number_or(settings::RENEW_AFTER_RECEIVES, 1..=u32::MAX.into(), 100)?,
            receipts_queue_url: env.queue_url(settings::RECEIPTS_QUEUE_URL)?,
            locale: env.text(settings::LOCALE)?,
            pipeline_config: env.pipeline_config()?,
        })
    }
}

/// A variable's value is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are not UTF-8")]
pub struct NotUtf8;

/// Returns a variable of the process's environment, as [`Config::from_lookup`] takes it.
///
/// # Errors
/// [`NotUtf8`].
pub fn process_environment(name: &str) -> Result<Option<String>, NotUtf8> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(NotUtf8),
    }
}

/// A source of settings with the readers of their types: this function's, and those of the function that follows documents to
/// their end.
#[derive(Debug)]
pub struct Environment<F> {
    /// Returns the value of a variable; `None` if it is not set.
    pub lookup: F,
}

impl<F: Fn(&str) -> Result<Option<String>, NotUtf8>> Environment<F> {
    /// Reads `CONNECTOR_SECRET_IDS`.
    ///
    /// # Errors
    /// [`ConfigError`] if it names no secret, or one twice.
    pub fn connector_secret_ids(&self) -> Result<Vec<String>, ConfigError> {
        let variable = settings::CONNECTOR_SECRET_IDS;
        let ids = self.list(variable)?;
        if ids.is_empty() {
            return Err(ConfigError {
                variable,
                given: self.text(variable)?,
                allowed: "one or more names or ARNs of secrets, separated by commas".into(),
            });
        }
        if let Some(other) = ids.iter().find(|id| id.starts_with("arn:") && !is_secret(id)) {
            let allowed =
                "secrets: their names, or ARNs such as arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX";
            return Err(ConfigError { variable, given: Some(other.clone()), allowed: allowed.into() });
        }
        if let Some(twice) = first_repeated(&ids) {
            let allowed = "a list that names each secret once".into();
            return Err(ConfigError { variable, given: Some(twice.to_owned()), allowed });
        }
        Ok(ids)
    }

    /// Reads text; `None` if the variable is not set, or holds white space alone.
    ///
    /// # Errors
    /// [`ConfigError`] for bytes that are not UTF-8.
    pub fn text(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        match (self.lookup)(variable) {
            Ok(value) => Ok(value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())),
            Err(error) => Err(ConfigError { variable, given: Some(error.to_string()), allowed: "UTF-8 text".into() }),
        }
    }

    /// Reads a comma-separated list; white space around the items is removed.
    fn list(&self, variable: &'static str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(variable)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    /// Reads a whole number in this range; `None` if the variable is not set.
    ///
    /// # Errors
    /// [`ConfigError`] for anything else.
    pub fn number(
        &self,
        variable: &'static str,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = (allowed.start(), allowed.end());
                let allowed = match *most {
                    u64::MAX => format!("a whole number, {least} or more"),
                    most => format!("a whole number from {least} to {most}"),
                };
                Err(ConfigError { variable, given: Some(text), allowed })
            }
        }
    }

    /// Reads a number of a narrower type, whose range `allowed` fits; `default` if the variable is not set.
    ///
    /// # Errors
    /// [`ConfigError`] for anything else.
    pub fn number_or<T: FromStr>(
        &self,
        variable: &'static str,
        allowed: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Result<T, ConfigError> {
        let number = self.number(variable, allowed)?.unwrap_or(default).to_string();
        number.parse().map_err(|_| ConfigError {
            variable,
            given: Some(number),
            allowed: "a number that this platform can hold".into(),
        })
    }

    /// Reads `FLEXORCH_BASE_URL`; FlexOrch's own address if it is not set.
    ///
    /// # Errors
    /// [`ConfigError`] for what [`checked_base_url`] refuses.
    pub fn base_url(&self) -> Result<Url, ConfigError> {
        let variable = settings::FLEXORCH_BASE_URL;
        let text = self.text(variable)?.unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        checked_base_url(&text).map_err(|allowed| ConfigError {
            variable,
            given: Some(without_credentials(&text)),
            allowed: allowed.into(),
        })
    }

    /// Reads `REQUEST_TIMEOUT_MS`: the time limit of one request to FlexOrch.
    ///
    /// # Errors
    /// [`ConfigError`] for anything but a whole number that is allowed.
    pub fn request_timeout(&self) -> Result<Duration, ConfigError> {
        let milliseconds = self.number(settings::REQUEST_TIMEOUT_MS, 1..=900_000)?;
        Ok(Duration::from_millis(milliseconds.unwrap_or(10_000)))
    }

    /// Reads `DEADLINE_MARGIN_MS`.
    ///
    /// # Errors
    /// As [`Environment::request_timeout`].
    pub fn deadline_margin(&self) -> Result<Duration, ConfigError> {
        let milliseconds = self.number(settings::DEADLINE_MARGIN_MS, 0..=600_000)?;
        Ok(Duration::from_millis(milliseconds.unwrap_or(1_000)))
    }

    /// Reads `REQUESTS_PER_MINUTE`; `None`: no pacing.
    ///
    /// # Errors
    /// As [`Environment::request_timeout`].
    pub fn requests_per_minute(&self) -> Result<Option<NonZeroU32>, ConfigError> {
        let rate = self.number(settings::REQUESTS_PER_MINUTE, 1..=1_000_000)?;
        Ok(rate.and_then(|rate| u32::try_from(rate).ok()).and_then(NonZeroU32::new))
    }

    fn queue_url(&self, variable: &'static str) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() && !url.path().ends_with(".fifo") => {
                Ok(Some(url))
            }
            _ => Err(ConfigError {
                variable,
                given: Some(without_credentials(&text)),
                allowed:
                    "the URL of a standard SQS queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/name"
                        .into(),
            }),
        }
    }

    fn pipeline_config(&self) -> Result<Option<Box<RawValue>>, ConfigError> {
        let variable = settings::PIPELINE_CONFIG;
        let Some(text) = self.text(variable)? else { return Ok(None) };
        match RawValue::from_string(text.clone()) {
            Ok(raw) if raw.get().starts_with('{') => Ok(Some(raw)),
            _ => Err(ConfigError { variable, given: Some(text), allowed: "a JSON object".into() }),
        }
    }
}

/// Checks the base URL of FlexOrch's API. The API key is sent there, so plain HTTP is allowed for loopback hosts only.
///
/// # Errors
/// Returns what is allowed, in words that follow "must be".
pub fn checked_base_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "a URL such as https://api.flexorch.com/v1")?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("a URL without user name, password, query and fragment");
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("an https URL; http is for a loopback host only, because the API key is sent there"),
        _ => Err("an https URL"),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns a URL without its user name and password, for an error message.
fn without_credentials(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let hidden = url.set_username("").and_then(|()| url.set_password(None));
            if hidden.is_ok() {
                format!("{url} (with a user name or password)")
            } else {
                "a URL with credentials".into()
            }
        }
        _ => text.to_owned(),
    }
}

fn is_secret(arn: &str) -> bool {
    Arn::parse(arn).is_ok_and(|arn| arn.service == "secretsmanager")
}

fn first_repeated(items: &[String]) -> Option<&str> {
    items.iter().enumerate().find(|(index, item)| items[..*index].contains(item)).map(|(_, item)| item.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            let mut settings = settings.iter().chain(&[("CONNECTOR_SECRET_IDS", "docs")]);
            Ok(settings.find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn a_secrets_arn_is_one_of_secrets_manager() {
        let ids = |ids| config(&[("CONNECTOR_SECRET_IDS", ids)]);
        assert!(ids("arn:aws:secretsmanager:eu-west-1:123456789012:secret:docs-AbCdEf,docs/2").is_ok());
        for wrong in ["arn:aws:s3:::bucket", "arn:aws:secretsmanager", "docs,arn:aws:sqs:eu-west-1:123456789012:q"] {
            let error = ids(wrong).unwrap_err();
            assert_eq!((error.variable, error.given.is_some()), ("CONNECTOR_SECRET_IDS", true), "{wrong}");
            assert!(error.to_string().contains("arn:aws:secretsmanager:REGION:ACCOUNT"), "{error}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let config = config(&[]).unwrap();
        assert_eq!(config.flexorch_base_url.as_str(), "https://api.flexorch.com/v1");
        assert_eq!(config.max_keys_per_request.get(), 100);
        assert_eq!(config.secret_cache_ttl, Duration::from_secs(300));
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert_eq!(config.max_concurrent_requests.get(), 2);
        assert_eq!(config.requests_per_minute, None);
        assert_eq!(config.max_attempts.get(), 4);
        assert_eq!(config.deadline_margin, Duration::from_secs(1));
        assert_eq!(config.dead_letter_queue_url, None);
        assert_eq!(config.renew_after_receives.get(), 100);
        assert_eq!(config.receipts_queue_url, None);
        assert!(config.scope.key_prefixes.is_empty() && config.scope.max_object_bytes.is_none());
    }

    #[test]
    fn a_missing_list_of_secrets_is_an_error_that_names_the_variable() {
        for value in ["", " ", " , ,"] {
            let error = config(&[("CONNECTOR_SECRET_IDS", value)]).unwrap_err();
            assert_eq!(error.variable, "CONNECTOR_SECRET_IDS");
        }
    }

    #[test]
    fn every_wrong_value_is_an_error_that_names_variable_value_and_what_is_allowed() {
        for (variable, value) in [
            ("FLEXORCH_BASE_URL", "api.flexorch.com"),
            ("FLEXORCH_BASE_URL", "http://api.flexorch.com/v1"),
            ("FLEXORCH_BASE_URL", "http://127.0.0.1.example.com/v1"),
            ("FLEXORCH_BASE_URL", "ftp://127.0.0.1/v1"),
            ("FLEXORCH_BASE_URL", "https://api.flexorch.com/v1?x=1"),
            ("MAX_OBJECT_BYTES", "0"),
            ("MAX_OBJECT_BYTES", "10MB"),
            ("MAX_KEYS_PER_REQUEST", "0"),
            ("MAX_KEYS_PER_REQUEST", "-1"),
            ("SECRET_CACHE_TTL_SECONDS", "1.5"),
            ("REQUEST_TIMEOUT_MS", "0"),
            ("MAX_CONCURRENT_REQUESTS", "0"),
            ("REQUESTS_PER_MINUTE", "0"),
            ("MAX_ATTEMPTS", "none"),
            ("DEADLINE_MARGIN_MS", "99999999999999999999"),
            ("DEAD_LETTER_QUEUE_URL", "my-queue"),
            ("DEAD_LETTER_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dlq.fifo"),
            ("RECEIPTS_QUEUE_URL", "my-queue"),
            ("RECEIPTS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/receipts.fifo"),
            ("RENEW_AFTER_RECEIVES", "0"),
            ("RENEW_AFTER_RECEIVES", "never"),
            ("PIPELINE_CONFIG", "[1]"),
            ("PIPELINE_CONFIG", "{oops"),
        ] {
            let error = config(&[(variable, value)]).unwrap_err();
            assert_eq!((error.variable, error.given.as_deref()), (variable, Some(value)));
            assert!(error.to_string().contains("must be"), "{error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let error = config(&[("FLEXORCH_BASE_URL", "https://me:hunter2@api.flexorch.com/v1")]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn plain_http_is_for_loopback_hosts() {
        for url in ["http://127.0.0.1:8642/v1", "http://localhost:1/v1", "http://[::1]:1/v1", "http://127.9.9.9/v1"] {
            assert!(config(&[("FLEXORCH_BASE_URL", url)]).is_ok(), "{url}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_suffixes_compare_in_lower_case() {
        let config = config(&[("KEY_PREFIXES", "invoices/, scans/ ,"), ("KEY_SUFFIXES", ".PDF,.docx")]).unwrap();
        assert_eq!(config.scope.key_prefixes, ["invoices/", "scans/"]);
        assert_eq!(config.scope.key_suffixes, [".pdf", ".docx"]);
    }

    #[test]
    fn excluding_patterns_keep_their_case_and_empty_ones_are_ignored() {
        let config = config(&[("KEY_EXCLUDES", "exports/*,, *.TMP ,")]).unwrap();
        let patterns: Vec<_> = config.scope.key_excludes.iter().map(|pattern| pattern.to_string()).collect();
        assert_eq!(patterns, ["exports/*", "*.TMP"]);
    }

    #[test]
    fn a_secret_listed_twice_is_an_error() {
        assert!(config(&[("CONNECTOR_SECRET_IDS", "a,b,a")]).is_err());
    }
}
