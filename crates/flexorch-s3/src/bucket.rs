//! A bucket's region and the text of its notification configuration, from S3.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::aws_failure::AwsFailure;
use flexorch_s3_ingester::model::arn;

/// Where a bucket is, as far as S3 says.
#[derive(Debug)]
pub(crate) struct Location {
    /// The bucket's region. S3 returns it even to callers that may not list the bucket (S3 API Reference, "HeadBucket"); `None` if
    /// it did not.
    pub(crate) region: Option<String>,
    /// Why the request failed.
    pub(crate) failure: Option<AwsFailure>,
}

pub(crate) async fn locate(client: &Client, bucket: &str) -> Location {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => Location { region: answer.bucket_region().map(str::to_owned), failure: None },
        Err(error) => {
            let named = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
            let failure = AwsFailure::new(&error, "s3:ListBucket", arn_seen_by(client, bucket));
            Location { region: named.map(str::to_owned), failure: Some(failure) }
        }
    }
}

/// Reads a bucket's notification configuration as S3's XML: the SDK's types would drop elements that they do not know.
pub(crate) async fn notifications_of(client: &Client, bucket: &str) -> Result<String, AwsFailure> {
    let answer = ResponseText::default();
    let request = client.get_bucket_notification_configuration().bucket(bucket);
    let sent = request.customize().interceptor(answer.clone()).send().await;
    sent.map_err(|error| AwsFailure::new(&error, "s3:GetBucketNotification", arn_seen_by(client, bucket)))?;
    Ok(answer.take())
}

fn arn_seen_by(client: &Client, bucket: &str) -> String {
    arn::of_bucket(bucket, client.config().region().map(AsRef::as_ref))
}

/// Keeps the text of a response in addition to what the SDK makes of it.
#[derive(Debug, Clone, Default)]
struct ResponseText(Arc<Mutex<String>>);

impl ResponseText {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for ResponseText {
    fn name(&self) -> &'static str {
        "ResponseText"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8(bytes.to_vec())?;
        Ok(())
    }
}
