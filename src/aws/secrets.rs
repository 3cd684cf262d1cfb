//! The connectors' secrets, fetched from Secrets Manager and kept for a while.
//!
//! One fetch at a time for each secret. A value that has expired stays in use while a fetch fails for a transient reason. One bad
//! secret does not stop the other connectors, and keeps a [`Claim`] to its objects, so that none of them goes to another
//! connector.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::failure::{Action, CallError, FailureKind, Refusal, call_until};
use super::sdk::Regional;
use crate::clock::Clock;
use crate::model::arn::region_of;
use crate::model::claim::{Claim, ClaimScope, ReadScope};
use crate::model::connector::{Connector, ConnectorError};

/// While an expired value is in use, it is fetched no more often than this.
const STALE_RETRY: Duration = Duration::from_secs(5);

/// Why a connector's secret cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager did not return the secret.
    #[error("secret {secret_id:?} cannot be fetched: {source}")]
    Fetch {
        /// The secret.
        secret_id: Arc<str>,
        /// The error of Secrets Manager or of the connection to it.
        source: CallError,
        /// What this says about the secret.
        failure: FetchFailure,
    },
    /// Secrets Manager returned the secret without a value.
    #[error("secret {secret_id:?} cannot be fetched: the response holds no secret value")]
    Incomplete {
        /// The secret.
        secret_id: Arc<str>,
    },
    /// The secret holds bytes (`SecretBinary`) instead of text.
    #[error("secret {secret_id:?} holds bytes, not text: write it as a `SecretString`")]
    Binary {
        /// The secret.
        secret_id: Arc<str>,
        /// The bucket and prefix that can still be read from it, if any.
        stated: Option<ReadScope>,
    },
    /// The secret's text does not describe a connector.
    #[error("secret {secret_id:?}: {error}")]
    Malformed {
        /// The secret.
        secret_id: Arc<str>,
        /// What is wrong with it.
        error: ConnectorError,
        /// The bucket and prefix that can still be read from it, if any.
        stated: Option<ReadScope>,
    },
}

/// What a failed fetch says about a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchFailure {
    /// Nothing: Secrets Manager could not be reached, or its response cannot be read. A later fetch may succeed.
    Transient,
    /// Secrets Manager denies the function access to it.
    Refused,
    /// No such secret exists.
    NotFound,
    /// The secret exists and has no value yet.
    NoValue,
}

impl SecretError {
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Fetch { failure: FetchFailure::Transient, .. } | Self::Incomplete { .. })
    }

    /// Returns the id of the secret that could not be used.
    #[must_use]
    pub fn secret_id(&self) -> &Arc<str> {
        match self {
            Self::Fetch { secret_id, .. }
            | Self::Incomplete { secret_id }
            | Self::Binary { secret_id, .. }
            | Self::Malformed { secret_id, .. } => secret_id,
        }
    }

    /// Returns what the secret claims while this failure lasts; `last_read` is the scope of the connector that it described when
    /// this process last read it.
    #[must_use]
    pub fn claim(&self, last_read: Option<&ReadScope>) -> Claim {
        let scope = match (last_read, self) {
            (Some(scope), _) => ClaimScope::Part(scope.clone()),
            (
                None,
                Self::Fetch { failure: FetchFailure::Transient | FetchFailure::Refused, .. } | Self::Incomplete { .. },
            ) => ClaimScope::Everything,
            (None, Self::Fetch { failure: FetchFailure::NotFound | FetchFailure::NoValue, .. }) => ClaimScope::Nothing,
            (None, Self::Binary { stated, .. } | Self::Malformed { stated, .. }) => {
                stated.clone().map_or(ClaimScope::Nothing, ClaimScope::Part)
            }
        };
        Claim { secret_id: Arc::clone(self.secret_id()), scope, why: self.to_string().into() }
    }
}

/// The connectors whose secrets could be read, and the errors and claims of the others.
#[derive(Debug, Default)]
pub struct Connectors {
    /// The connectors whose secrets were read.
    pub known: Vec<Arc<Connector>>,
    /// Why the other secrets could not be used.
    pub failed: Vec<SecretError>,
    /// The claims of those secrets: first one for each error in `failed`, in the same order; then one for each expired secret that is
    /// still in use because it cannot be fetched now. The latter claim nothing that a known connector reads.
    pub claims: Vec<Claim>,
}

/// The result of fetching a secret again after FlexOrch refused its API key or does not know its connector.
#[derive(Debug)]
pub enum Refresh {
    /// The connector that the secret describes now, which may be unchanged.
    Current(Arc<Connector>),
    /// The secret cannot be used.
    Failed(SecretError),
}

/// A cache of the connectors' secrets, with one fetch in flight for each secret at most.
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
    /// Locked during a fetch, so that only one is in flight.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    /// The scope of the connector that the secret described when it was last read; it outlives `cached`.
    last_read: Option<ReadScope>,
}

#[derive(Debug, Clone)]
struct Cached {
    connector: Arc<Connector>,
    fresh_until: SystemTime,
    /// Why the last fetch failed, if the value has expired and is still in use.
    expired: Option<Arc<str>>,
}

/// A connector, and the claim of its secret if that has expired.
type InUse = (Arc<Connector>, Option<Claim>);

impl SecretCache {
    /// A cache of these secrets, with nothing fetched yet.
    #[must_use]
    pub fn new(sdk: SdkConfig, secret_ids: &[String], time_to_live: Duration, clock: Clock) -> Self {
        let entries =
            secret_ids.iter().map(|id| Entry { secret_id: id.as_str().into(), state: Mutex::default() }).collect();
        Self { sdk, clients: Regional::new(), entries, time_to_live, clock, fetches: AtomicU64::new(0) }
    }

    /// Returns all connectors, and the claims of those whose secrets cannot be read. What is not fresh is fetched, concurrently
    /// and until `end` at the latest.
    pub async fn connectors(&self, end: SystemTime) -> Connectors {
        let mut connectors = Connectors::default();
        let mut expired = Vec::new();
        for result in join_all(self.entries.iter().map(|entry| self.get(entry, end))).await {
            match result {
                Ok((connector, claim)) => {
                    connectors.known.push(connector);
                    expired.extend(claim);
                }
                Err((error, claim)) => {
                    connectors.failed.push(error);
                    connectors.claims.push(claim);
                }
            }
        }
        connectors.claims.extend(expired);
        connectors
    }

    /// Returns what a secret describes now, after FlexOrch refused what it described as `used`. Fetches it again, unless a newer
    /// value is cached already: one with another API key, connector id, bucket or prefix. Whether objects that were routed by
    /// `used` may go to the result is for the caller to compare: see [`Connector::is_same_connector`].
    pub async fn refresh(&self, used: &Connector, end: SystemTime) -> Refresh {
        let Some(entry) = self.entries.iter().find(|entry| entry.secret_id == used.secret_id) else {
            return Refresh::Current(Arc::new(used.clone()));
        };
        let mut state = entry.state.lock().await;
        if let Some(Cached { connector, .. }) = &state.cached
            && !(connector.is_same_connector(used) && connector.api_key == used.api_key)
        {
            return Refresh::Current(Arc::clone(connector));
        }
        match self.fetch(&entry.secret_id, end).await {
            Ok(fetched) => Refresh::Current(state.keep(fetched)),
            Err(error) => {
                if !error.is_transient() {
                    state.cached = None;
                }
                Refresh::Failed(error)
            }
        }
    }

    /// Returns the number of fetches since the last call.
    pub(crate) fn take_fetch_count(&self) -> u64 {
        self.fetches.swap(0, Ordering::Relaxed)
    }

    async fn get(&self, entry: &Entry, end: SystemTime) -> Result<InUse, (SecretError, Claim)> {
        let mut state = entry.state.lock().await;
        if let Some(current) = &state.cached
            && self.clock.now() < current.fresh_until
        {
            return Ok(current.in_use());
        }
        match self.fetch(&entry.secret_id, end).await {
            Ok(fetched) => Ok((state.keep(fetched), None)),
            Err(error) => match state.cached.as_mut() {
                Some(current) if error.is_transient() => {
                    let error = error.to_string();
                    tracing::warn!(
                        secret = &*entry.secret_id,
                        error = error.as_str(),
                        "using an expired secret until it can be fetched again"
                    );
                    current.fresh_until = self.clock.now() + STALE_RETRY.min(self.time_to_live);
                    current.expired = Some(error.into());
                    Ok(current.in_use())
                }
                _ => {
                    state.cached = None;
                    let claim = error.claim(state.last_read.as_ref());
                    Err((error, claim))
                }
            },
        }
    }

    async fn fetch(&self, secret_id: &Arc<str>, end: SystemTime) -> Result<Cached, SecretError> {
        let action =
            Action { service: "Secrets Manager", permission: "secretsmanager:GetSecretValue", resource: secret_id };
        let fetch = || {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            self.client_for(secret_id).get_secret_value().secret_id(&**secret_id).send()
        };
        let response = call_until(&self.clock, end, action, fetch).await.map_err(|error| SecretError::Fetch {
            secret_id: Arc::clone(secret_id),
            failure: FetchFailure::of(&error),
            source: error.with_hint(hint),
        })?;
        let (text, bytes) = (response.secret_string(), response.secret_binary());
        let Some(text) = text else {
            let Some(bytes) = bytes else {
                return Err(SecretError::Incomplete { secret_id: Arc::clone(secret_id) });
            };
            let stated = std::str::from_utf8(bytes.as_ref()).ok().and_then(ReadScope::stated_in);
            return Err(SecretError::Binary { secret_id: Arc::clone(secret_id), stated });
        };
        crate::redaction::register_connector_secret(text);
        match Connector::from_secret(secret_id, text) {
            Ok(connector) => {
                let fresh_until = self.clock.now() + self.time_to_live;
                Ok(Cached { connector: Arc::new(connector), fresh_until, expired: None })
            }
            Err(error) => Err(SecretError::Malformed {
                secret_id: Arc::clone(secret_id),
                error,
                stated: ReadScope::stated_in(text),
            }),
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

impl Cached {
    fn in_use(&self) -> InUse {
        let secret_id = &self.connector.secret_id;
        let claim = |why| Claim { secret_id: Arc::clone(secret_id), scope: ClaimScope::Nothing, why: Arc::clone(why) };
        (Arc::clone(&self.connector), self.expired.as_ref().map(claim))
    }
}

impl State {
    /// Caches a fetched value and the scope of its connector.
    fn keep(&mut self, fetched: Cached) -> Arc<Connector> {
        self.last_read = Some(fetched.connector.read_scope());
        Arc::clone(&self.cached.insert(fetched).connector)
    }
}

impl FetchFailure {
    /// Classifies a failed fetch. Only an error code of Secrets Manager itself says something about the secret: a truncated
    /// response, or one from a proxy, does not, nor does an error about the request's rate, time or session.
    fn of(error: &CallError) -> Self {
        let CallError::Refused(refusal) = error else { return Self::Transient };
        if refusal.code.is_none() || !refusal.status.is_some_and(|status| (400..500).contains(&status)) {
            return Self::Transient;
        }
        match refusal.kind() {
            FailureKind::NotFound if is_without_value(refusal) => Self::NoValue,
            FailureKind::NotFound => Self::NotFound,
            FailureKind::Throttled | FailureKind::Unavailable | FailureKind::Credentials => Self::Transient,
            FailureKind::Permission | FailureKind::OtherRegion | FailureKind::Other => Self::Refused,
        }
    }
}

/// Whether a `ResourceNotFoundException` means that the secret exists and has no value: a secret that was created without one has
/// no version with the staging label `AWSCURRENT`.
fn is_without_value(refusal: &Refusal) -> bool {
    refusal.message.contains("staging label")
}

/// Returns what an operator does about a refusal, if the cause is known.
fn hint(refusal: &Refusal) -> Option<String> {
    let hint = match refusal.code.as_deref()? {
        "ResourceNotFoundException" if is_without_value(refusal) => {
            "the secret is still empty: write {\"api_key\": …, \"connector_id\": …, \"bucket\": …} into it"
        }
        "ResourceNotFoundException" => "check CONNECTOR_SECRET_IDS and the region",
        "AccessDeniedException" => {
            "the function's role needs secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
        }
        "DecryptionFailure" => "the function's role needs kms:Decrypt on the secret's key",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_secrets_manager_names_says_anything_about_the_secret() {
        let missing = "Secrets Manager can't find the specified secret.";
        let empty = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
        for (status, code, message, failure) in [
            (400, Some("ResourceNotFoundException"), missing, FetchFailure::NotFound),
            (400, Some("ResourceNotFoundException"), empty, FetchFailure::NoValue),
            (400, Some("AccessDeniedException"), "", FetchFailure::Refused),
            (400, Some("DecryptionFailure"), "", FetchFailure::Refused),
            (400, Some("InvalidRequestException"), "marked for deletion", FetchFailure::Refused),
            (400, Some("ThrottlingException"), "", FetchFailure::Transient),
            (400, Some("ExpiredTokenException"), "", FetchFailure::Transient),
            (429, Some("TooManyRequestsException"), "", FetchFailure::Transient),
            (500, Some("InternalServiceError"), "", FetchFailure::Transient),
            (503, None, "", FetchFailure::Transient),
            // A proxy's page.
            (403, None, "", FetchFailure::Transient),
        ] {
            let code = code.map(str::to_owned);
            let refusal = Refusal { code, message: message.into(), status: Some(status), hint: None };
            assert_eq!(FetchFailure::of(&CallError::Refused(refusal.clone())), failure, "{refusal:?}");
        }
    }

    #[test]
    fn each_failure_claims_what_the_contract_says() {
        let part = |prefix: &str| ReadScope { bucket: Some("docs".into()), prefix: prefix.into() };
        let fetch = |failure| SecretError::Fetch { secret_id: "hr".into(), source: CallError::NoTime("SM"), failure };
        let malformed =
            |stated| SecretError::Malformed { secret_id: "hr".into(), error: ConnectorError::Empty, stated };
        let binary = |stated| SecretError::Binary { secret_id: "hr".into(), stated };
        for (error, never_read) in [
            (fetch(FetchFailure::Transient), ClaimScope::Everything),
            (fetch(FetchFailure::Refused), ClaimScope::Everything),
            (fetch(FetchFailure::NotFound), ClaimScope::Nothing),
            (fetch(FetchFailure::NoValue), ClaimScope::Nothing),
            (malformed(None), ClaimScope::Nothing),
            (malformed(Some(part("hr/"))), ClaimScope::Part(part("hr/"))),
            (binary(None), ClaimScope::Nothing),
            (binary(Some(part("hr/"))), ClaimScope::Part(part("hr/"))),
        ] {
            assert_eq!(error.claim(None).scope, never_read, "{error:?}");
            let claim = error.claim(Some(&part("read/")));
            assert_eq!(claim.scope, ClaimScope::Part(part("read/")), "{error:?}");
            assert!(claim.why.contains("\"hr\"") && &*claim.secret_id == "hr", "{claim:?}");
        }
    }
}
