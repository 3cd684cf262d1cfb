//! A call to AWS that failed, as an operator reads it: which action, on which resource, and what to do now.

use std::fmt;
use std::time::Duration;

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use flexorch_s3_ingester::error::with_causes;

/// A call to AWS that failed.
#[derive(Debug, Clone)]
pub(super) struct AwsFailure {
    /// The action as IAM names it, such as `s3:GetBucketNotification` (Service Authorization Reference).
    pub action: &'static str,
    /// What it was asked of: an ARN or a name.
    pub resource: String,
    /// Its class.
    pub kind: FailureKind,
    /// AWS's code and words, or the connection's.
    pub words: String,
}

/// The classes of failure that an operator mends in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The caller lacks the permission.
    Denied,
    /// AWS does not accept the credentials at all.
    BadCredentials,
    /// There is no such thing, in this region at least.
    NotFound,
    /// The bucket is in another region.
    OtherRegion,
    /// AWS did not answer, or not now.
    Unavailable,
    /// Anything else: AWS's words say it.
    Refused,
}

impl AwsFailure {
    /// Reads an error of the SDK.
    pub(super) fn new<E>(error: &SdkError<E>, action: &'static str, resource: impl Into<String>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let (code, message) = match error.as_service_error() {
            Some(service) => (service.code().unwrap_or_default(), service.message().unwrap_or_default()),
            None => ("", ""),
        };
        let kind = match (status, code) {
            (
                _,
                "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "SignatureDoesNotMatch",
            ) => FailureKind::BadCredentials,
            (_, "ExpiredToken" | "ExpiredTokenException" | "IncompleteSignature" | "InvalidSignatureException") => {
                FailureKind::BadCredentials
            }
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                FailureKind::OtherRegion
            }
            (301, _) => FailureKind::OtherRegion,
            (404, _) => FailureKind::NotFound,
            (_, code) if code.contains("NotFound") || code.contains("NonExistent") || code.starts_with("NoSuch") => {
                FailureKind::NotFound
            }
            (403, _) => FailureKind::Denied,
            (_, code) if code.contains("AccessDenied") || code.contains("Unauthorized") => FailureKind::Denied,
            (0 | 408 | 429 | 500..=599, _) => FailureKind::Unavailable,
            (_, code) if code.contains("Throttl") => FailureKind::Unavailable,
            _ => FailureKind::Refused,
        };
        let words = match (code, message) {
            // No answer, or one that the SDK cannot read.
            ("", "") if matches!(status, 0 | 200..300) => with_causes(error),
            ("", "") => format!("HTTP status {status}"),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        Self { action, resource: resource.into(), kind, words }
    }

    /// There was no answer for so long.
    pub(super) fn silence(after: Duration, action: &'static str, resource: impl Into<String>) -> Self {
        let words = format!("no answer within {} s", after.as_secs());
        Self { action, resource: resource.into(), kind: FailureKind::Unavailable, words }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        let Self { action, resource, .. } = self;
        let service = action.split(':').next().unwrap_or(action);
        match self.kind {
            FailureKind::Denied => format!("your AWS identity needs {action} on {resource}"),
            FailureKind::BadCredentials => {
                "AWS does not accept the credentials: `aws sts get-caller-identity` shows whose they are; sign in again, or choose \
                 others with --profile"
                    .to_owned()
            }
            FailureKind::NotFound => format!("is {resource} its name, and is this its region and account? --region, --profile"),
            FailureKind::OtherRegion => format!("{resource} is in another region: name it with --region"),
            FailureKind::Unavailable => format!("{service} cannot be reached now: check --region, --endpoint-url and the network"),
            FailureKind::Refused => "see AWS's words".to_owned(),
        }
    }
}

/// What was asked for; `None` where there is no such thing.
pub(super) fn if_there<T>(answer: Result<T, AwsFailure>) -> Result<Option<T>, AwsFailure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl fmt::Display for AwsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} failed: {} ({})", self.action, self.resource, self.words, self.hint())
    }
}

impl std::error::Error for AwsFailure {}
