//! The webhook's signing secret: fetched from Secrets Manager at first use, and afresh if a signature does not match.

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{Builder, Region};
use flexorch_s3_ingester::aws::failure::{Action, CallError, call_until};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::redaction;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::webhook::{Signed, SigningSecret};

/// After a mismatch, the secret is fetched afresh no more often than this: anybody can send a wrong signature.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The signing secret and when it was last fetched afresh.
#[derive(Debug)]
pub(crate) struct Signing {
    client: Client,
    secret_id: String,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the secret held; the inner `None`: nothing that verifies.
    cached: Option<Option<SigningSecret>>,
    refreshed_at: Option<SystemTime>,
}

/// The secret's text. Other fields are ignored.
#[derive(Deserialize)]
struct SecretText {
    signing_secret: String,
}

impl Signing {
    /// Creates the client; nothing is fetched yet.
    pub(crate) fn new(sdk: &aws_config::SdkConfig, secret_id: String, clock: Clock) -> Self {
        let mut config = Builder::from(sdk);
        if let Some(region) = region_of(&secret_id) {
            config.set_region(Some(Region::new(region.to_owned())));
        }
        Self { client: Client::from_conf(config.build()), secret_id, clock, state: Mutex::default() }
    }

    /// Whether a delivery is signed with the secret.
    ///
    /// # Errors
    /// [`CallError`] if the secret is not known because Secrets Manager does not return it.
    pub(crate) async fn verifies(&self, signed: &Signed, end: SystemTime) -> Result<bool, CallError> {
        let matches =
            |secret: &Option<SigningSecret>| secret.as_ref().is_some_and(|secret| signed.is_signed_with(secret));
        let mut state = self.state.lock().await;
        let Some(cached) = &state.cached else {
            let fetched = self.fetch(end).await?;
            let verified = matches(&fetched);
            state.cached = Some(fetched);
            return Ok(verified);
        };
        if matches(cached) {
            return Ok(true);
        }
        let now = self.clock.now();
        let is_recent = |refreshed: SystemTime| now.duration_since(refreshed).is_ok_and(|age| age < REFRESH_INTERVAL);
        if state.refreshed_at.is_some_and(is_recent) {
            return Ok(false);
        }
        // A fetch that fails does not count, so that a delivery under a new secret is never refused: it comes again after the 503.
        let fetched = self.fetch(end).await?;
        state.refreshed_at = Some(now);
        let verified = matches(&fetched);
        state.cached = Some(fetched);
        Ok(verified)
    }

    async fn fetch(&self, end: SystemTime) -> Result<Option<SigningSecret>, CallError> {
        let action = Action {
            service: "Secrets Manager",
            permission: "secretsmanager:GetSecretValue",
            resource: &self.secret_id,
        };
        let fetch = || self.client.get_secret_value().secret_id(&self.secret_id).send();
        let response = call_until(&self.clock, end, action, fetch).await?;
        let text = response.secret_string().and_then(|text| serde_json::from_str::<SecretText>(text).ok());
        let secret = text.and_then(|text| {
            redaction::register(&text.signing_secret);
            SigningSecret::new(&text.signing_secret)
        });
        if secret.is_none() {
            tracing::error!(
                secret = self.secret_id.as_str(),
                "the webhook's secret verifies nothing: it must be {{\"signing_secret\": …}}"
            );
        }
        Ok(secret)
    }
}
