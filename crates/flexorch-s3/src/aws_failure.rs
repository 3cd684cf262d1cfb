//! A failed call to AWS as an operator needs it, with the action, the resource, and what to do. The function's reader of AWS errors
//! classifies it.

use std::time::Duration;

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use flexorch_s3_ingester::aws::failure::{self, Refusal};
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::model::arn::ArnError;

/// A failed call to AWS. The SDK's error is read completely, so it is not kept as a source.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} on {resource} failed: {cause} ({})", self.hint())]
pub(crate) struct AwsFailure {
    /// The action as IAM names it, such as `s3:GetBucketNotification` (Service Authorization Reference).
    pub(crate) action: &'static str,
    /// The ARN or name of the resource.
    pub(crate) resource: String,
    /// What to do about it depends on this.
    pub(crate) kind: FailureKind,
    /// AWS's error code and message, or why the connection failed.
    pub(crate) cause: String,
}

/// The kinds of failure that an operator fixes in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The caller lacks the permission.
    Denied,
    /// AWS does not accept the credentials.
    BadCredentials,
    /// The resource does not exist, at least in this region and account.
    NotFound,
    /// The bucket is in another region.
    OtherRegion,
    /// AWS did not respond, or cannot serve the request now.
    Unavailable,
    /// AWS refused the request for another reason, which the cause states.
    Refused,
}

impl AwsFailure {
    pub(crate) fn new<E>(error: &SdkError<E>, action: &'static str, resource: impl Into<String>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let (code, message) = match error.as_service_error() {
            Some(service) => (service.code().unwrap_or_default(), service.message().unwrap_or_default()),
            None => ("", ""),
        };
        let cause = match (code, message) {
            // No response, or one that the SDK cannot parse.
            ("", "") if matches!(status, 0 | 200..300) => with_causes(error),
            ("", "") => format!("HTTP status {status}"),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        Self { action, resource: resource.into(), kind: FailureKind::of(status, code), cause }
    }

    /// Creates the failure of a call that was not answered within this time.
    pub(crate) fn timed_out(after: Duration, action: &'static str, resource: impl Into<String>) -> Self {
        let cause = format!("no response within {} s", after.as_secs());
        Self { action, resource: resource.into(), kind: FailureKind::Unavailable, cause }
    }

    /// Creates the failure of a call that was not made because AWS named its resource by something else than an ARN.
    pub(crate) fn not_an_arn(error: &ArnError, action: &'static str) -> Self {
        Self { action, resource: error.text.clone(), kind: FailureKind::Refused, cause: error.to_string() }
    }

    /// Returns what to do about it.
    pub(crate) fn hint(&self) -> String {
        let Self { action, resource, .. } = self;
        let service = action.split(':').next().unwrap_or(action);
        match self.kind {
            FailureKind::Denied => format!("your AWS identity needs {action} on {resource}"),
            FailureKind::BadCredentials => {
                "AWS does not accept the credentials: check with `aws sts get-caller-identity`, then sign in again or select a \
                 profile with --profile"
                    .to_owned()
            }
            FailureKind::NotFound => format!("check the name {resource}, the region (--region) and the account (--profile)"),
            FailureKind::OtherRegion => format!("{resource} is in another region: select it with --region"),
            FailureKind::Unavailable => {
                format!("{service} cannot be reached: check --region, --endpoint-url and the network")
            }
            FailureKind::Refused => "correct what AWS's message names, then run the same command again".to_owned(),
        }
    }
}

impl FailureKind {
    /// Classifies a response by its status, 0 for none, and AWS's error code, as the function does.
    fn of(status: u16, code: &str) -> Self {
        if status == 0 && code.is_empty() {
            return Self::Unavailable;
        }
        let (code, message) = (Some(code).filter(|code| !code.is_empty()).map(str::to_owned), String::new());
        match (Refusal { code, message, status: Some(status), hint: None }).kind() {
            failure::FailureKind::Permission => Self::Denied,
            failure::FailureKind::Credentials => Self::BadCredentials,
            failure::FailureKind::NotFound => Self::NotFound,
            failure::FailureKind::OtherRegion => Self::OtherRegion,
            failure::FailureKind::Throttled | failure::FailureKind::Unavailable => Self::Unavailable,
            failure::FailureKind::Other => Self::Refused,
        }
    }
}

/// Returns `None` for a resource that does not exist.
pub(crate) fn optional<T>(response: Result<T, AwsFailure>) -> Result<Option<T>, AwsFailure> {
    match response {
        Ok(response) => Ok(Some(response)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
