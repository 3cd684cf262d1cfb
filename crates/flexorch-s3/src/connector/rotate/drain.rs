//! How long running functions may use what they have read of the secret before.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::args::RotateOptions;
use crate::context::Context;
use crate::deployed::Deployed;
use crate::text::friendly;
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
        let found = Deployed::read(context.aws().await?, name).await?;
        if let Some(error) = &found.hidden {
            let why = error.message().unwrap_or("no message");
            bail!("Lambda does not return the settings of function {name:?}: {why}; say how long to wait with --drain");
        }
        let ttl = match found.setting(settings::SECRET_CACHE_TTL_SECONDS) {
            None => CACHE_TTL,
            Some(text) => Duration::from_secs(text.parse().map_err(|_| {
                anyhow!("function {name:?}: SECRET_CACHE_TTL_SECONDS={text:?} is not a number of seconds: correct it, or set --drain")
            })?),
        };
        Ok(Self::new(&format!("function {name}"), ttl, found.timeout.unwrap_or(TIMEOUT)))
    }

    fn new(of: &str, ttl: Duration, timeout: Duration) -> Self {
        let basis = format!("SECRET_CACHE_TTL_SECONDS {} + timeout {}: {of}", friendly(ttl), friendly(timeout));
        Self { time: ttl.saturating_add(timeout), basis }
    }
}
