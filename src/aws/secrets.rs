//! The connectors' secrets, fetched from Secrets Manager and kept for a while.
//!
//! One fetch at a time for each secret. A value that has expired stays in use while Secrets Manager cannot be asked for a passing
//! reason; one bad secret does not stop the other connectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::sdk::Regional;
use crate::clock::Clock;
use crate::error::with_causes;
use crate::model::connector::{Connector, ConnectorError};
use crate::model::credentials::ApiKey;

/// While an expired value is in use, Secrets Manager is not asked more often than this.
const STALE_RETRY: Duration = Duration::from_secs(5);

/// Why a connector's secret cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager does not give it.
    #[error("secret {secret_id:?} cannot be fetched: {reason}")]
    Fetch {
        /// The secret.
        secret_id: Arc<str>,
        /// What Secrets Manager, or the connection to it, said.
        reason: String,
        /// Whether it may pass by itself.
        passing: bool,
    },
    /// It holds no text.
    #[error("secret {secret_id:?} holds bytes, not text: write it as a `SecretString`")]
    Binary {
        /// The secret.
        secret_id: Arc<str>,
    },
    /// It does not describe a connector.
    #[error("secret {secret_id:?}: {error}")]
    Malformed {
        /// The secret.
        secret_id: Arc<str>,
        /// What is wrong with it.
        error: ConnectorError,
    },
}

impl SecretError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Fetch { passing: true, .. })
    }

    /// The secret that it is about.
    #[must_use]
    pub fn secret_id(&self) -> &Arc<str> {
        match self {
            Self::Fetch { secret_id, .. } | Self::Binary { secret_id } | Self::Malformed { secret_id, .. } => secret_id,
        }
    }
}

/// The connectors as far as their secrets could be read.
#[derive(Debug, Default)]
pub struct Connectors {
    /// Those that could.
    pub known: Vec<Arc<Connector>>,
    /// Those that could not, and why.
    pub failed: Vec<SecretError>,
}

/// What a fetch after FlexOrch's refusal of a key brought.
#[derive(Debug)]
pub enum Refresh {
    /// The secret holds another key now.
    Changed(Arc<Connector>),
    /// It holds the key that was refused.
    Unchanged,
    /// It could not be fetched.
    Failed(SecretError),
}

/// The secrets of all connectors.
#[derive(Debug)]
pub struct SecretCache {
    sdk: SdkConfig,
    clients: Regional<Client>,
    entries: Vec<Entry>,
    time_to_live: Duration,
    clock: Clock,
    fetches: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    secret_id: Arc<str>,
    /// Held while a fetch is under way, so that there is one at a time.
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    connector: Arc<Connector>,
    fresh_until: SystemTime,
}

impl SecretCache {
    /// A cache of these secrets, with nothing fetched yet.
    #[must_use]
    pub fn new(sdk: SdkConfig, secret_ids: &[String], time_to_live: Duration, clock: Clock) -> Self {
        let entries =
            secret_ids.iter().map(|id| Entry { secret_id: id.as_str().into(), cached: Mutex::new(None) }).collect();
        Self { sdk, clients: Regional::new(), entries, time_to_live, clock, fetches: AtomicU64::new(0) }
    }

    /// All connectors; what is not fresh is fetched, side by side, until `end` at the latest.
    pub async fn connectors(&self, end: SystemTime) -> Connectors {
        let mut connectors = Connectors::default();
        for result in join_all(self.entries.iter().map(|entry| self.get(entry, end))).await {
            match result {
                Ok(connector) => connectors.known.push(connector),
                Err(error) => connectors.failed.push(error),
            }
        }
        connectors
    }

    /// Fetches a secret whose key FlexOrch refused, unless that has been done since the key was read.
    pub async fn refresh(&self, secret_id: &str, refused: &ApiKey, end: SystemTime) -> Refresh {
        let Some(entry) = self.entries.iter().find(|entry| &*entry.secret_id == secret_id) else {
            return Refresh::Unchanged;
        };
        let mut cached = entry.cached.lock().await;
        if let Some(current) = cached.as_ref()
            && current.connector.api_key != *refused
        {
            return Refresh::Changed(Arc::clone(&current.connector));
        }
        match self.fetch(&entry.secret_id, end).await {
            Ok(fetched) => {
                let connector = Arc::clone(&cached.insert(fetched).connector);
                if connector.api_key == *refused { Refresh::Unchanged } else { Refresh::Changed(connector) }
            }
            Err(error) => Refresh::Failed(error),
        }
    }

    /// How many fetches there were since this was last asked.
    pub fn take_fetch_count(&self) -> u64 {
        self.fetches.swap(0, Ordering::Relaxed)
    }

    async fn get(&self, entry: &Entry, end: SystemTime) -> Result<Arc<Connector>, SecretError> {
        let mut cached = entry.cached.lock().await;
        if let Some(current) = cached.as_ref()
            && self.clock.now() < current.fresh_until
        {
            return Ok(Arc::clone(&current.connector));
        }
        match self.fetch(&entry.secret_id, end).await {
            Ok(fetched) => Ok(Arc::clone(&cached.insert(fetched).connector)),
            Err(error) => match cached.as_mut() {
                Some(current) if error.is_passing() => {
                    tracing::warn!(
                        secret = &*entry.secret_id,
                        error = error.to_string().as_str(),
                        "an expired secret stays in use until Secrets Manager answers again"
                    );
                    current.fresh_until = self.clock.now() + STALE_RETRY.min(self.time_to_live);
                    Ok(Arc::clone(&current.connector))
                }
                _ => {
                    *cached = None;
                    Err(error)
                }
            },
        }
    }

    async fn fetch(&self, secret_id: &Arc<str>, end: SystemTime) -> Result<Cached, SecretError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let request = self.client_for(secret_id).get_secret_value().secret_id(&**secret_id).send();
        let failed =
            |reason: String, passing: bool| SecretError::Fetch { secret_id: Arc::clone(secret_id), reason, passing };
        let answer = match tokio::time::timeout(self.clock.until(end), request).await {
            Err(_) => return Err(failed("no answer from Secrets Manager in time".into(), true)),
            Ok(Err(error)) => return Err(failed(reason(&error), is_passing(&error))),
            Ok(Ok(answer)) => answer,
        };
        let Some(text) = answer.secret_string() else {
            return Err(SecretError::Binary { secret_id: Arc::clone(secret_id) });
        };
        crate::redaction::register_connector_secret(text);
        match Connector::from_secret(secret_id, text) {
            Ok(connector) => {
                Ok(Cached { connector: Arc::new(connector), fresh_until: self.clock.now() + self.time_to_live })
            }
            Err(error) => Err(SecretError::Malformed { secret_id: Arc::clone(secret_id), error }),
        }
    }

    /// The client for the secret's own region, which need not be the function's.
    fn client_for(&self, secret_id: &str) -> Client {
        self.clients.get(region_of(secret_id), |region| {
            let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk);
            if region.is_some() {
                config.set_region(region);
            }
            Client::from_conf(config.build())
        })
    }
}

/// The region in an ARN, `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`; `None` for a name.
pub(crate) fn region_of(secret_id: &str) -> Option<&str> {
    let mut parts = secret_id.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

/// Whether a failed fetch may succeed later without anybody's doing.
fn is_passing(error: &SdkError<GetSecretValueError>) -> bool {
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            status >= 500 || status == 429 || code.contains("Throttl") || code == "RequestLimitExceeded"
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

/// What went wrong, with what an operator needs to mend it.
fn reason(error: &SdkError<GetSecretValueError>) -> String {
    let Some(service) = error.as_service_error() else { return with_causes(error) };
    let hint = match service.code() {
        // Made without a value: there is no version to have.
        Some("ResourceNotFoundException") if service.message().is_some_and(|words| words.contains("staging label")) => {
            " (the secret is still empty: write {\"api_key\": …, \"connector_id\": …, \"bucket\": …} into it)"
        }
        Some("ResourceNotFoundException") => " (check CONNECTOR_SECRET_IDS and the region)",
        Some("AccessDeniedException") => {
            " (the function's role needs secretsmanager:GetSecretValue on it, and kms:Decrypt on its key)"
        }
        Some("DecryptionFailure") => " (the function's role needs kms:Decrypt on the secret's key)",
        _ => "",
    };
    format!("{}: {}{hint}", service.code().unwrap_or("error"), service.message().unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_to_ask_is_in_the_arn() {
        assert_eq!(
            region_of("arn:aws:secretsmanager:eu-central-1:123456789012:secret:docs-AbCdEf"),
            Some("eu-central-1")
        );
        assert_eq!(region_of("docs"), None);
        assert_eq!(region_of("team:docs"), None);
    }
}
