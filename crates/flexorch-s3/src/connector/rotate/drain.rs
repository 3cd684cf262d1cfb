//! How long running functions may use what they have read of the secret before.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use aws_sdk_lambda::Client;

use crate::args::RotateOptions;
use crate::aws_failure::AwsFailure;
use crate::context::Context;
use crate::region::in_region;
use crate::text::friendly;
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::settings;

/// The default of the function's `SECRET_CACHE_TTL_SECONDS`.
const CACHE_TTL: Duration = Duration::from_secs(300);
/// The timeout that is assumed of an unknown function; the template's default is 30 s.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait, and why so long.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drain {
    pub(super) time: Duration,
    pub(super) basis: String,
}

impl Drain {
    /// Determines it from the options; with `--function`, from the function's settings.
    pub(super) async fn of(options: &RotateOptions, context: &Context) -> Result<Self> {
        if let Some(time) = options.drain {
            return Ok(Self { time, basis: "--drain".to_owned() });
        }
        let Some(name) = &options.function else {
            return Ok(Self::new("defaults; see --function", CACHE_TTL, TIMEOUT));
        };
        let client = Client::new(&in_region(context.aws().await?, region_of(name)));
        let response = client.get_function_configuration().function_name(name).send().await;
        let found = response.map_err(|error| AwsFailure::new(&error, "lambda:GetFunctionConfiguration", name))?;
        let environment = found.environment();
        if let Some(error) = environment.and_then(|environment| environment.error()) {
            let why = error.message().unwrap_or("no message");
            bail!("Lambda does not return the settings of function {name:?}: {why}; say how long to wait with --drain");
        }
        let variables = environment.and_then(|environment| environment.variables());
        let ttl = variables.and_then(|variables| variables.get(settings::SECRET_CACHE_TTL_SECONDS));
        let ttl = match ttl.map(|text| text.trim()).filter(|text| !text.is_empty()) {
            None => CACHE_TTL,
            Some(text) => Duration::from_secs(text.parse().map_err(|_| {
                anyhow!("function {name:?}: SECRET_CACHE_TTL_SECONDS={text:?} is not a number of seconds: correct it, or set --drain")
            })?),
        };
        let timeout = found.timeout.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Self::new(&format!("function {name}"), ttl, timeout.map_or(TIMEOUT, Duration::from_secs)))
    }

    fn new(of: &str, ttl: Duration, timeout: Duration) -> Self {
        let basis = format!("SECRET_CACHE_TTL_SECONDS {} + timeout {}: {of}", friendly(ttl), friendly(timeout));
        Self { time: ttl.saturating_add(timeout), basis }
    }
}
