//! AWS clients for each region, and calls with a time limit, so that a service that does not respond hides no check that does not need it.

use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::aws_failure::{AwsFailure, optional};
use crate::region::in_region;
use flexorch_s3_ingester::aws::s3;
use flexorch_s3_ingester::aws::sdk::endpoint_override;
use flexorch_s3_ingester::model::arn::QueueArn;

/// The longest time limit of a call, including the SDK's retries.
const LONGEST: Duration = Duration::from_secs(20);
/// The shortest one.
const SHORTEST: Duration = Duration::from_secs(2);
/// The most calls to one service that are made one after another. If it does not respond, the whole command's time must not pass with them:
/// the checks that need other services come after.
const CALLS_IN_A_ROW: u32 = 4;

/// Creates clients for any region, and makes calls with a time limit.
#[derive(Debug)]
pub(crate) struct Aws<'a> {
    sdk: &'a SdkConfig,
    /// The time limit of a call.
    limit: Duration,
}

impl<'a> Aws<'a> {
    /// Creates clients from the SDK's configuration, for a command that takes no longer than this.
    pub(crate) fn new(sdk: &'a SdkConfig, whole: Duration) -> Self {
        Self { sdk, limit: (whole / CALLS_IN_A_ROW).clamp(SHORTEST, LONGEST) }
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

    /// Makes a call. `action` and `resource` are named as in IAM.
    pub(crate) async fn call<T, E>(
        &self,
        action: &'static str,
        resource: &str,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, AwsFailure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let response = async { request.await.map_err(|error| AwsFailure::new(&error, action, resource)) };
        self.within_time(action, resource, response).await?
    }

    /// Makes a call for a resource that may not exist.
    pub(crate) async fn call_optional<T, E>(
        &self,
        action: &'static str,
        resource: &str,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<Option<T>, AwsFailure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        optional(self.call(action, resource, request).await)
    }

    /// Waits for a response up to the time limit.
    pub(crate) async fn within_time<T>(
        &self,
        action: &'static str,
        resource: &str,
        response: impl Future<Output = T>,
    ) -> Result<T, AwsFailure> {
        // The SDK's futures are large, and many of them are parts of one that joins them.
        let response = tokio::time::timeout(self.limit, Box::pin(response)).await;
        response.map_err(|_| AwsFailure::timed_out(self.limit, action, resource))
    }
}
