//! The AWS services that the chain is made of, asked one question at a time, each within a bounded time.

use std::future::Future;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::super::aws_failure::{AwsFailure, if_there};
use flexorch_s3_ingester::aws::s3;
use flexorch_s3_ingester::aws::sdk::endpoint_override;
use flexorch_s3_ingester::aws::sqs::QueueArn;

/// A question, with the SDK's own attempts.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clients, of any region.
#[derive(Debug)]
pub(super) struct Aws<'a> {
    sdk: &'a SdkConfig,
}

macro_rules! client {
    ($(#[$doc:meta])* $name:ident, $sdk:ident) => {
        $(#[$doc])*
        pub(super) fn $name(&self, region: Option<&str>) -> $sdk::Client {
            let mut config = $sdk::config::Builder::from(self.sdk);
            if let Some(region) = region {
                config.set_region(Some(Region::new(region.to_owned())));
            }
            $sdk::Client::from_conf(config.build())
        }
    };
}

impl<'a> Aws<'a> {
    /// As the SDK's configuration reaches them.
    pub(super) fn new(sdk: &'a SdkConfig) -> Self {
        Self { sdk }
    }

    client!(
        /// Lambda in a region; `None`: the configured one.
        lambda, aws_sdk_lambda
    );
    client!(
        /// EventBridge in a region; `None`: the configured one.
        events, aws_sdk_eventbridge
    );
    client!(
        /// SQS in a region; `None`: the configured one.
        sqs, aws_sdk_sqs
    );

    /// S3 in a region; `None`: the configured one.
    pub(super) fn s3(&self, region: Option<&str>) -> aws_sdk_s3::Client {
        s3::client(self.sdk, region)
    }

    /// The URL of the queue of this ARN.
    pub(super) fn queue_url(&self, arn: &str) -> Option<String> {
        Some(QueueArn::parse(arn)?.url(endpoint_override(self.sdk, "SQS").as_deref()))
    }
}

/// Asks a question. `action` and `resource` are as IAM names them.
pub(super) async fn ask<T, E>(
    action: &'static str,
    resource: &str,
    question: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, AwsFailure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    within_time(action, resource, async { question.await.map_err(|error| AwsFailure::new(&error, action, resource)) })
        .await?
}

/// Waits for an answer no longer than for any.
pub(super) async fn within_time<T>(
    action: &'static str,
    resource: &str,
    answer: impl Future<Output = T>,
) -> Result<T, AwsFailure> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.map_err(|_| AwsFailure::silence(PATIENCE, action, resource))
}

/// Asks for something that need not be there.
pub(super) async fn ask_for<T, E>(
    action: &'static str,
    resource: &str,
    question: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<Option<T>, AwsFailure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if_there(ask(action, resource, question).await)
}
