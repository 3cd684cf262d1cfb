//! Embedded FlexOrch and AWS, and a function that is wired to them: nothing outside this machine is needed.

use std::time::SystemTime;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_types::sdk_config::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::sandbox::buckets::Buckets;
use super::sandbox::queues::Queues;
use super::sandbox::secrets_manager::SecretsManager;
use super::sandbox::{Sandbox, SandboxOptions};
use crate::aws::http::{self, SdkHttpClient};
use crate::clock::Clock;
use crate::config::Config;
use crate::handler::Ingester;

/// The secret of the embedded connector.
pub const SECRET_ID: &str = "flexorch/sandbox-connector";

/// The queue that rejected objects go to.
pub const DEAD_LETTER_QUEUE: &str = "flexorch-dead-letters";

/// The region that the embedded services are asked in.
pub const REGION: &str = "eu-west-1";

/// FlexOrch and the AWS services that the function needs, on loopback.
#[derive(Debug)]
pub struct Local {
    /// FlexOrch.
    pub flexorch: Sandbox,
    /// Secrets Manager.
    pub secrets: SecretsManager,
    /// SQS.
    pub queues: Queues,
    /// S3.
    pub buckets: Buckets,
}

impl Local {
    /// Starts everything on free ports, with one connector for `bucket` and `prefix`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(options: SandboxOptions, bucket: &str, prefix: &str) -> Result<Self> {
        let local = Self {
            flexorch: Sandbox::start(options).await.context("FlexOrch's sandbox cannot start")?,
            secrets: SecretsManager::start(0).await.context("the embedded Secrets Manager cannot start")?,
            queues: Queues::start(0).await.context("the embedded SQS cannot start")?,
            buckets: Buckets::start(0).await.context("the embedded S3 cannot start")?,
        };
        let secret = serde_json::json!({
            "api_key": "dfx_sandbox", "connector_id": 42, "bucket": bucket, "prefix": prefix, "region": REGION,
        });
        local.secrets.put(SECRET_ID, secret.to_string());
        local.queues.create(DEAD_LETTER_QUEUE);
        local.buckets.create(bucket, REGION);
        // Something that no event names, for an order to reconcile to find.
        for name in ["backlog/scan 001.pdf", "backlog/scan 002.pdf"] {
            local.buckets.put(bucket, format!("{prefix}{name}"), 24_576, SystemTime::now());
        }
        Ok(local)
    }

    /// A function that is wired to these services, with its default settings.
    ///
    /// # Errors
    /// Where the settings or the HTTP client cannot be made.
    pub async fn ingester(&self) -> Result<Ingester> {
        let config = Config::from_lookup(|name| {
            Ok(match name {
                "CONNECTOR_SECRET_IDS" => Some(SECRET_ID.to_owned()),
                "FLEXORCH_BASE_URL" => Some(self.flexorch.base_url()),
                "DEAD_LETTER_QUEUE_URL" => Some(self.queues.url(DEAD_LETTER_QUEUE)),
                _ => None,
            })
        })?;
        let http = http::client(None)?;
        let sdk = self.sdk(&http);
        let ingester = Ingester::with_clients(config, Clock::system(), http, sdk);
        ingester.warm_up().await?;
        Ok(ingester)
    }

    fn sdk(&self, http: &reqwest::Client) -> SdkConfig {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "sandbox", None, None, "sandbox");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(SharedHttpClient::new(SdkHttpClient(http.clone())))
            .time_source(SystemTimeSource::new())
            .sleep_impl(TokioSleep::new())
            .service_config(Endpoints {
                secrets_manager: self.secrets.endpoint_url(),
                sqs: self.queues.endpoint_url(),
                s3: self.buckets.endpoint_url(),
            })
            .build()
    }

    /// Stops everything.
    pub async fn shutdown(self) {
        self.flexorch.shutdown().await;
        self.secrets.shutdown().await;
        self.queues.shutdown().await;
        self.buckets.shutdown().await;
    }
}

/// Where the SDK finds each service.
#[derive(Debug)]
struct Endpoints {
    secrets_manager: String,
    sqs: String,
    s3: String,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.env() != "AWS_ENDPOINT_URL" {
            return None;
        }
        match key.service_id() {
            "Secrets Manager" => Some(self.secrets_manager.clone()),
            "SQS" => Some(self.sqs.clone()),
            "S3" => Some(self.s3.clone()),
            _ => None,
        }
    }
}
