//! A bucket as S3 shows it: where it is, and the text of its notification configuration.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::arn;
use super::aws_failure::AwsFailure;

/// What S3 said when it was asked for a bucket.
#[derive(Debug)]
pub(super) struct Found {
    /// The bucket's region. S3 names it whatever else it answers, even to those who may not list the bucket (S3 API Reference,
    /// "HeadBucket"); `None` where it does not.
    pub region: Option<String>,
    /// Why it did not show the bucket.
    pub failure: Option<AwsFailure>,
}

/// Asks where a bucket is.
pub(super) async fn find(client: &Client, bucket: &str) -> Found {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => Found { region: answer.bucket_region().map(str::to_owned), failure: None },
        Err(error) => {
            let named = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
            let failure = AwsFailure::new(&error, "s3:ListBucket", arn_seen_by(client, bucket));
            Found { region: named.map(str::to_owned), failure: Some(failure) }
        }
    }
}

/// Reads a bucket's notification configuration, as the XML that S3 answers: the SDK's types would leave out what they do not know.
///
/// # Errors
/// What S3 said, and the permission that it takes.
pub(super) async fn notifications_of(client: &Client, bucket: &str) -> Result<String, AwsFailure> {
    let answer = Answer::default();
    let request = client.get_bucket_notification_configuration().bucket(bucket);
    let sent = request.customize().interceptor(answer.clone()).send().await;
    sent.map_err(|error| AwsFailure::new(&error, "s3:GetBucketNotification", arn_seen_by(client, bucket)))?;
    Ok(answer.take())
}

fn arn_seen_by(client: &Client, bucket: &str) -> String {
    arn::of_bucket(bucket, client.config().region().map(AsRef::as_ref))
}

/// The text of an answer beside what the SDK makes of it.
#[derive(Debug, Clone, Default)]
struct Answer(Arc<Mutex<String>>);

impl Answer {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
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
