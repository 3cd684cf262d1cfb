//! Embedded FlexOrch and AWS services, and a function that uses them.

use std::time::SystemTime;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_types::sdk_config::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use flexorch_s3_ingester::aws::http::{self, SdkHttpClient};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::handler::Ingester;
use flexorch_s3_ingester::model::settings;
use flexorch_sandbox::services::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use flexorch_sandbox::{SandboxOptions, Services};

/// The secret of the embedded connector.
const SECRET_ID: &str = "flexorch/sandbox-connector";

/// The dead-letter queue for rejected objects.
const DEAD_LETTER_QUEUE: &str = "flexorch-dead-letters";

/// Embedded FlexOrch and AWS services, with one connector.
#[derive(Debug)]
pub(crate) struct Local {
    services: Services,
}

impl Local {
    /// Starts everything on free ports, with one connector for `bucket` and `prefix`.
    pub(crate) async fn start(options: SandboxOptions, bucket: &str, prefix: &str) -> Result<Self> {
        let services = Services::start(options).await.context("cannot start the embedded services")?;
        let secret = serde_json::json!({
            "api_key": "dfx_sandbox", "connector_id": 42, "bucket": bucket, "prefix": prefix, "region": REGION,
        });
        services.secrets.put(SECRET_ID, secret.to_string());
        services.queues.create(DEAD_LETTER_QUEUE);
        services.buckets.create(bucket, REGION);
        // Objects that no event names, for a reconcile to find.
        for name in ["backlog/scan 001.pdf", "backlog/scan 002.pdf"] {
            services.buckets.put(bucket, format!("{prefix}{name}"), 24_576, SystemTime::now());
        }
        Ok(Self { services })
    }

    /// Creates a function that uses these services, with its default settings.
    pub(crate) async fn ingester(&self) -> Result<Ingester> {
        let config = Config::from_lookup(|name| {
            Ok(match name {
                settings::CONNECTOR_SECRET_IDS => Some(SECRET_ID.to_owned()),
                settings::FLEXORCH_BASE_URL => Some(self.services.flexorch.base_url()),
                settings::DEAD_LETTER_QUEUE_URL => Some(self.services.queues.url(DEAD_LETTER_QUEUE)),
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
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "sandbox");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(SharedHttpClient::new(SdkHttpClient(http.clone())))
            .time_source(SystemTimeSource::new())
            .sleep_impl(TokioSleep::new())
            .service_config(Endpoints(self.services.environment()))
            .build()
    }

    /// Returns how many documents FlexOrch accepted.
    pub(crate) fn taken(&self) -> u64 {
        self.services.flexorch.taken_keys().len() as u64
    }

    /// Returns how many messages the dead-letter queue has.
    pub(crate) fn dead_letters(&self) -> u64 {
        self.services.queues.messages(DEAD_LETTER_QUEUE).len() as u64
    }

    /// Stops all services.
    pub(crate) async fn shutdown(self) {
        self.services.shutdown().await;
    }
}

/// The environment variables of the services, as an SDK that reads the environment would find them.
#[derive(Debug)]
struct Endpoints([(&'static str, String); 11]);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let variable = format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_"));
        self.0.iter().find(|(name, _)| *name == variable).map(|(_, value)| value.clone())
    }
}
