//! What the options that every command takes come to: clients, and where the output goes.

use anyhow::{Result, anyhow};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use reqwest::{Client, Url};
use tokio::sync::OnceCell;

use super::args::GlobalOptions;
use super::connector_secret::{SecretDocument, SecretStore};
use super::output::Output;
use crate::management::Management;
use flexorch_s3_ingester::aws::http::{self, SdkHttpClient};
use flexorch_s3_ingester::aws::sdk;
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{checked_base_url, variable};
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ApiKey;

/// What every command works with.
#[derive(Debug)]
pub(super) struct Context {
    global: GlobalOptions,
    aws: OnceCell<SdkConfig>,
    /// The one HTTP client, for AWS and FlexOrch.
    pub http: Client,
    /// The system's clock.
    pub clock: Clock,
    /// Where results go.
    pub output: Output,
}

impl Context {
    /// Takes the options; nothing is asked of anybody yet.
    pub(super) fn new(global: GlobalOptions) -> Result<Self> {
        let roots = variable("SSL_CERT_FILE");
        let http = http::client(roots.as_deref().map(std::path::Path::new))?;
        let output = Output::new(global.json, global.colour);
        Ok(Self { global, aws: OnceCell::new(), http, clock: Clock::system(), output })
    }

    /// The AWS SDK's configuration: profile, region and address as the AWS CLI would choose them. Credentials are had once, so
    /// that their lack is one clear error, before anything is changed.
    pub(super) async fn aws(&self) -> Result<&SdkConfig> {
        self.aws.get_or_try_init(|| self.load_aws()).await
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
            Url::parse(url)
                .map_err(|_| anyhow!("--endpoint-url is {url:?}, but must be a URL such as http://127.0.0.1:4566"))?;
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &self.global.profile {
            // As in the AWS CLI, a profile that is asked for goes before credentials in the environment.
            let config = ProviderConfig::default().with_http_client(client).with_sleep_impl(TokioSleep::new());
            let config = config.with_region(self.global.region.clone().map(Region::new));
            let credentials =
                ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        let sdk = loader.load().await;
        if sdk.region().is_none() {
            return Err(anyhow!(
                "no AWS region is configured: add --region, set AWS_REGION, or give the profile a region"
            ));
        }
        let provider = sdk.credentials_provider().ok_or_else(no_credentials)?;
        if let Err(error) = provider.provide_credentials().await {
            let why = with_causes(&error);
            tracing::debug!(why, "no credentials");
            return Err(match &self.global.profile {
                Some(profile) => anyhow!("the profile {profile:?} gives no AWS credentials: {why}"),
                None => no_credentials(),
            });
        }
        Ok(sdk)
    }

    /// Whether more words are asked for.
    pub(super) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// The region that AWS is asked in.
    pub(super) async fn region(&self) -> Result<String> {
        Ok(self.aws().await?.region().map(ToString::to_string).unwrap_or_default())
    }

    /// FlexOrch's address, checked as the function checks it.
    pub(super) fn flexorch_url(&self) -> Result<Url> {
        let text = match self.global.flexorch_url.trim() {
            "" => flexorch_s3_ingester::config::DEFAULT_BASE_URL,
            text => text,
        };
        checked_base_url(text).map_err(|allowed| {
            anyhow!("FlexOrch's address (--flexorch-url, FLEXORCH_BASE_URL) cannot be used: it must be {allowed}")
        })
    }

    /// FlexOrch's API with a key.
    pub(super) fn flexorch(&self, api_key: ApiKey) -> Result<Management> {
        Ok(Management::new(self.http.clone(), self.flexorch_url()?, api_key, self.clock))
    }

    /// The options that choose account, region and addresses, as far as they were given: the next command needs them too.
    pub(super) fn given_options(&self) -> [(&'static str, Option<&str>); 3] {
        let GlobalOptions { profile, region, endpoint_url, .. } = &self.global;
        [
            ("--profile", profile.as_deref()),
            ("--region", region.as_deref()),
            ("--endpoint-url", endpoint_url.as_deref()),
        ]
    }

    /// Where secrets are.
    pub(super) async fn secrets(&self) -> Result<SecretStore> {
        Ok(SecretStore::new(self.aws().await?.clone()))
    }

    /// A secret as it is, which need not be whole.
    pub(super) async fn secret(&self, id: &str) -> Result<SecretDocument> {
        self.flexorch_url()?;
        Ok(self.secrets().await?.read(id).await?)
    }

    /// The connector that a secret describes.
    pub(super) async fn connector(&self, secret_id: &str) -> Result<Connector> {
        self.secret(secret_id).await?.connector()
    }
}

fn no_credentials() -> anyhow::Error {
    anyhow!(
        "no AWS credentials were found: sign in (`aws sso login`, `aws configure`), choose a profile with --profile, or set \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
}
