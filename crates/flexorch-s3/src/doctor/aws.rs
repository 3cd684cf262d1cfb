//! AWS clients for each region, and calls with a time limit.

use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::aws_failure::{AwsFailure, optional};
use crate::region::in_region;
use flexorch_s3_ingester::aws::s3;
use flexorch_s3_ingester::aws::sdk::endpoint_override;
use flexorch_s3_ingester::model::arn::QueueArn;

/// The time limit of a call, including the SDK's retries.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Creates clients for any region.
#[derive(Debug)]
pub(crate) struct Aws<'a> {
    sdk: &'a SdkConfig,
}

impl<'a> Aws<'a> {
    /// Creates clients from the SDK's configuration.
    pub(crate) fn new(sdk: &'a SdkConfig) -> Self {
        Self { sdk }
    }

    /// Returns the SDK's configuration for a region, or for the configured one.
    pub(crate) fn config(&self, region: Option<&str>) -> SdkConfig {
        in_region(self.sdk, region)
    }

    /// Returns a Lambda client for a region, or for the configured one.
    pub(crate) fn lambda(&self, region: Option<&str>) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config(region))
    }

    /// Returns an SQS client for a region, or for the configured one.
    pub(crate) fn sqs(&self, region: Option<&str>) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config(region))
    }

    /// Returns an S3 client for a region, or for the configured one.
    pub(crate) fn s3(&self, region: Option<&str>) -> aws_sdk_s3::Client {
        s3::client(self.sdk, region)
    }

    pub(crate) fn queue_url(&self, arn: &QueueArn<'_>) -> String {
        arn.url(endpoint_override(self.sdk, "SQS").as_deref())
    }
}

/// Makes a call. `action` and `resource` are named as in IAM.
pub(crate) async fn call<T, E>(
    action: &'static str,
    resource: &str,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, AwsFailure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    within_time(action, resource, async { request.await.map_err(|error| AwsFailure::new(&error, action, resource)) })
        .await?
}

/// Waits for a response up to the time limit.
pub(crate) async fn within_time<T>(
    action: &'static str,
    resource: &str,
    response: impl Future<Output = T>,
) -> Result<T, AwsFailure> {
    let response = tokio::time::timeout(TIME_LIMIT, response).await;
    response.map_err(|_| AwsFailure::timed_out(TIME_LIMIT, action, resource))
}

/// Makes a call for a resource that may not exist.
pub(crate) async fn call_optional<T, E>(
    action: &'static str,
    resource: &str,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<Option<T>, AwsFailure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    optional(call(action, resource, request).await)
}
