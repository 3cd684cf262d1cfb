//! Everything that an ingester uses, on random ports of 127.0.0.1: FlexOrch, Secrets Manager, SQS, S3, IAM, DynamoDB, EventBridge
//! and Lambda's Runtime API.

use super::buckets::Buckets;
use super::dynamodb::DynamoDb;
use super::eventbridge::EventBridge;
use super::iam::Iam;
use super::options::SandboxOptions;
use super::queues::Queues;
use super::runtime_api::RuntimeApi;
use super::sandbox::Sandbox;
use super::secrets_manager::SecretsManager;
use super::server::SandboxError;

/// The default AWS region of tests.
pub const REGION: &str = "eu-west-1";
/// An API key that FlexOrch accepts, like any that starts with `dfx_`.
pub const API_KEY: &str = "dfx_test_0123456789";
/// The AWS access key id of [`Services::environment`], from AWS's documentation.
pub const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// The AWS secret access key of [`Services::environment`]. Signatures are not checked; no program may print it.
pub const SECRET_ACCESS_KEY: &str = "aws-secret/never+printed";

/// The running services. They stop in the background when they are dropped.
#[derive(Debug)]
pub struct Services {
    /// FlexOrch's API.
    pub flexorch: Sandbox,
    /// Secrets Manager.
    pub secrets: SecretsManager,
    /// SQS.
    pub queues: Queues,
    /// S3.
    pub buckets: Buckets,
    /// IAM. FlexOrch does not know its access keys unless [`Sandbox::check_access_keys`] is called.
    pub iam: Iam,
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// EventBridge.
    pub eventbridge: EventBridge,
    /// Lambda's Runtime API.
    pub runtime_api: RuntimeApi,
}

impl Services {
    /// Starts all services, without secrets, queues, buckets and tables.
    ///
    /// # Errors
    ///
    /// If a port cannot be bound.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        Self::with_secrets_manager(SecretsManager::start(0).await?, options).await
    }

    /// Starts the other services beside a running Secrets Manager.
    ///
    /// # Errors
    ///
    /// If a port cannot be bound.
    pub async fn with_secrets_manager(secrets: SecretsManager, options: SandboxOptions) -> Result<Self, SandboxError> {
        Ok(Self {
            flexorch: Sandbox::start(options).await?,
            secrets,
            queues: Queues::start(0).await?,
            buckets: Buckets::start(0).await?,
            iam: Iam::start(0).await?,
            dynamodb: DynamoDb::start(0).await?,
            eventbridge: EventBridge::start(0).await?,
            runtime_api: RuntimeApi::start(0).await?,
        })
    }

    /// Returns the environment variables that make a program use these services.
    pub fn environment(&self) -> [(&'static str, String); 11] {
        [
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.endpoint_url()),
            ("AWS_ENDPOINT_URL_SQS", self.queues.endpoint_url()),
            ("AWS_ENDPOINT_URL_S3", self.buckets.endpoint_url()),
            ("AWS_ENDPOINT_URL_IAM", self.iam.endpoint_url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.endpoint_url()),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", self.eventbridge.endpoint_url()),
            ("AWS_LAMBDA_RUNTIME_API", self.runtime_api.address()),
            ("FLEXORCH_BASE_URL", self.flexorch.base_url()),
        ]
    }

    /// Stops all services, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.flexorch.shutdown().await;
        self.secrets.shutdown().await;
        self.queues.shutdown().await;
        self.buckets.shutdown().await;
        self.iam.shutdown().await;
        self.dynamodb.shutdown().await;
        self.eventbridge.shutdown().await;
        self.runtime_api.shutdown().await;
    }
}
