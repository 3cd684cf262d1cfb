//! The AWS SDK's configuration.
//!
//! Lambda provides region and credentials in the environment, so the configuration is built from it alone: no profile files, no provider
//! chain, no metadata service. The command line, which runs on people's machines, uses the SDK's own chain.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::sdk_config::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use reqwest::Client;

use super::http::SdkHttpClient;
use crate::config::variable;

/// The time limit of one attempt of a call to AWS, from the request to the last byte of the response.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the SDK's configuration from the environment. The SDK's own variables (`AWS_REGION`, `AWS_ENDPOINT_URL`,
/// `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_MAX_ATTEMPTS`, …) have the meaning that its reference guide documents.
///
/// Credentials come from the environment only, where Lambda puts the role's (Lambda Developer Guide, "Defined runtime environment
/// variables"). The SDK's chain of providers would add 0.9 MB to the binary and a millisecond to every cold start.
#[must_use]
pub fn config(http: &Client) -> SdkConfig {
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let credentials = match credentials_from_env() {
        Some(credentials) => SharedCredentialsProvider::new(credentials),
        None => SharedCredentialsProvider::new(NoCredentials),
    };
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .credentials_provider(credentials)
        .http_client(SharedHttpClient::new(SdkHttpClient(http.clone())))
        .time_source(SystemTimeSource::new())
        .sleep_impl(TokioSleep::new())
        .retry_config(retries())
        .timeout_config(timeouts())
        .service_config(EnvironmentServiceConfig);
    if !ignores_endpoint_urls() {
        config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    }
    config.set_use_fips(flag("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(flag("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
}

fn credentials_from_env() -> Option<Credentials> {
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Some(Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment"))
}

/// The credentials provider if the environment has no credentials: it returns an error that says so.
#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let missing = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them; elsewhere run \
                       eval \"$(aws configure export-credentials --format env)\"";
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(missing)))
    }
}

fn retries() -> RetryConfig {
    let config = match variable("AWS_RETRY_MODE").as_deref() {
        Some("adaptive") => RetryConfig::adaptive(),
        _ => RetryConfig::standard(),
    };
    // reqwest decides which connections it reuses. The SDK would log an ERROR for each one that it wants closed and cannot see.
    let config = config.with_reconnect_mode(ReconnectMode::ReuseAllConnections);
    match variable("AWS_MAX_ATTEMPTS").and_then(|text| text.parse().ok()).filter(|attempts| *attempts > 0) {
        Some(attempts) => config.with_max_attempts(attempts),
        None => config,
    }
}

/// Returns the time limits for single attempts of a call.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).read_timeout(ATTEMPT_TIMEOUT).build()
}

fn flag(name: &str) -> Option<bool> {
    variable(name).map(|text| text.eq_ignore_ascii_case("true"))
}

fn ignores_endpoint_urls() -> bool {
    flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some(true)
}

/// The clients of one service, one for each region, created when first needed. `None` is the function's own region.
#[derive(Debug)]
pub(super) struct Regional<C>(Mutex<HashMap<Option<String>, C>>);

impl<C: Clone> Regional<C> {
    /// Creates the cache, without clients.
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Returns the client for a region; `make` creates it.
    pub(super) fn get(&self, region: Option<&str>, make: impl FnOnce(Option<Region>) -> C) -> C {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(region.map(str::to_owned));
        client.or_insert_with(|| make(region.map(|region| Region::new(region.to_owned())))).clone()
    }
}

/// Returns the endpoint that is configured instead of the service's own, for all services or for this one; `service_id` is the SDK's name
/// for it, such as `SQS`.
#[must_use]
pub fn endpoint_override(sdk: &SdkConfig, service_id: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = key.ok().and_then(|key| sdk.service_config()?.load_config(key));
    of_service.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// Reads settings of single services, such as `AWS_ENDPOINT_URL_SQS` (AWS SDKs and Tools Reference Guide, "Service-specific
/// endpoints").
#[derive(Debug)]
struct EnvironmentServiceConfig;

impl LoadServiceConfig for EnvironmentServiceConfig {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.env() == "AWS_ENDPOINT_URL" && ignores_endpoint_urls() {
            return None;
        }
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        variable(&format!("{}_{service}", key.env())).or_else(|| variable(key.env()))
    }
}
