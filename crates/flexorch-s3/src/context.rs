//! AWS and FlexOrch clients and the output, from the global options.

use anstream::ColorChoice;
use anyhow::{Result, anyhow};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use jiff::Timestamp;
use reqwest::{Client, Url};
use tokio::sync::OnceCell;

use crate::args::{Color, GlobalOptions};
use crate::commands::{Commands, FLEXORCH_URL};
use crate::connector_secret::{SecretDocument, SecretStore};
use crate::management::Management;
use crate::output::Output;
use crate::region::in_region;
use crate::stop::Stop;
use flexorch_s3_ingester::aws::http::{self, SdkHttpClient};
use flexorch_s3_ingester::aws::sdk;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{DEFAULT_BASE_URL, checked_base_url, variable};
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ApiKey;
use flexorch_s3_ingester::model::settings;

/// The environment variable that sets FlexOrch's base URL, as in the function.
const BASE_URL_VARIABLE: &str = settings::FLEXORCH_BASE_URL;

/// Clients and output, shared by all commands.
#[derive(Debug)]
pub(crate) struct Context {
    global: GlobalOptions,
    aws: OnceCell<SdkConfig>,
    /// The HTTP client of all requests to AWS and FlexOrch.
    pub(crate) http: Client,
    /// The system clock.
    pub(crate) clock: Clock,
    /// Prints results.
    pub(crate) output: Output,
    stop: Stop,
}

impl Context {
    /// Creates a context. Sends no request yet.
    pub(crate) fn new(global: GlobalOptions, stop: Stop) -> Result<Self> {
        let roots = variable("SSL_CERT_FILE");
        let http = http::client(roots.as_deref().map(std::path::Path::new))?;
        let color = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let output = Output::new(global.json, color);
        Ok(Self { global, aws: OnceCell::new(), http, clock: Clock::system(), output, stop })
    }

    /// Returns the AWS SDK's configuration, with profile, region and endpoint as the AWS CLI would choose them. Resolves credentials
    /// up front, so that missing ones fail early.
    pub(crate) async fn aws(&self) -> Result<&SdkConfig> {
        self.aws.get_or_try_init(|| self.load_aws()).await
    }

    /// Returns the same configuration for another region.
    pub(crate) async fn aws_in(&self, region: &str) -> Result<SdkConfig> {
        Ok(in_region(self.aws().await?, Some(region)))
    }

    async fn load_aws(&self) -> Result<SdkConfig> {
        let client = SdkHttpClient(self.http.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client.clone())
            .sleep_impl(TokioSleep::new())
            .timeout_config(sdk::timeouts());
        if let Some(region) = &self.global.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.global.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &self.global.profile {
            // As in the AWS CLI, --profile takes precedence over credentials in the environment.
            let config = ProviderConfig::default().with_http_client(client).with_sleep_impl(TokioSleep::new());
            let config = config.with_region(self.global.region.clone().map(Region::new));
            let credentials =
                ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        let sdk = loader.load().await;
        if sdk.region().is_none() {
            return Err(anyhow!(
                "no AWS region is configured: add --region, set AWS_REGION, or set the profile's region"
            ));
        }
        let provider = sdk.credentials_provider().ok_or_else(no_credentials)?;
        if let Err(error) = provider.provide_credentials().await {
            let why = with_causes(&error);
            tracing::debug!(why, "no AWS credentials");
            return Err(match &self.global.profile {
                Some(profile) => anyhow!("profile {profile:?} provides no AWS credentials: {why}"),
                None => no_credentials(),
            });
        }
        Ok(sdk)
    }

    /// Returns whether the command is to end, for a command that ends in order itself from now on.
    pub(crate) fn stop(&self) -> &Stop {
        self.stop.in_order()
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Returns whether `-v` was given.
    pub(crate) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Returns the configured AWS region.
    pub(crate) async fn region(&self) -> Result<String> {
        Ok(self.aws().await?.region().map(ToString::to_string).unwrap_or_default())
    }

    /// Returns FlexOrch's base URL, validated as the function validates it.
    pub(crate) fn flexorch_url(&self) -> Result<Url> {
        if let Some(typed) = &self.global.flexorch_url {
            return Ok(typed.clone());
        }
        let text = variable(BASE_URL_VARIABLE).filter(|text| !text.trim().is_empty());
        checked_base_url(text.as_deref().unwrap_or(DEFAULT_BASE_URL).trim())
            .map_err(|allowed| anyhow!("invalid FlexOrch base URL ({BASE_URL_VARIABLE}): it must be {allowed}"))
    }

    /// Returns a client for FlexOrch's API.
    pub(crate) fn flexorch(&self, api_key: ApiKey) -> Result<Management> {
        Ok(Management::new(self.http.clone(), self.flexorch_url()?, api_key, self.clock))
    }

    /// Returns the options that select account, region, endpoint and FlexOrch, as given: a suggested command needs them too.
    pub(crate) fn given_options(&self) -> [(&'static str, Option<&str>); 4] {
        let GlobalOptions { profile, region, endpoint_url, flexorch_url, .. } = &self.global;
        [
            ("--profile", profile.as_deref()),
            ("--region", region.as_deref()),
            ("--endpoint-url", endpoint_url.as_deref()),
            (FLEXORCH_URL, flexorch_url.as_ref().map(Url::as_str)),
        ]
    }

    /// Returns a builder of suggested commands.
    pub(crate) fn commands(&self) -> Commands {
        Commands::new(&self.given_options(), self.global.region.clone().unwrap_or_default())
    }

    /// Returns a client for secrets.
    pub(crate) async fn secrets(&self) -> Result<SecretStore> {
        Ok(SecretStore::new(self.aws().await?.clone(), self.commands()))
    }

    /// Reads a secret, which may be incomplete.
    pub(crate) async fn secret(&self, id: &str) -> Result<SecretDocument> {
        self.flexorch_url()?;
        Ok(self.secrets().await?.read(id).await?)
    }

    /// Reads the connector that a secret describes.
    pub(crate) async fn connector(&self, secret_id: &str) -> Result<Connector> {
        Ok(self.secret(secret_id).await?.connector()?)
    }
}

fn no_credentials() -> anyhow::Error {
    anyhow!(
        "no AWS credentials found: sign in (`aws sso login`, `aws configure`), select a profile with --profile, or set \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
}
