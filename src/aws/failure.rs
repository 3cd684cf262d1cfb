//! The one reader of the AWS SDK's errors: which call failed, the service's error, and what an operator does about it.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::clock::Clock;
use crate::error::with_causes;

/// The action and resource of a call, for its errors.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    /// The service's common name, such as `SQS`.
    pub service: &'static str,
    /// The action as IAM names it, such as `sqs:SendMessage` (Service Authorization Reference).
    pub permission: &'static str,
    /// The resource, such as `queue "retry"`.
    pub resource: &'a str,
}

/// Why a call to AWS failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The time limit passed before the call began: nothing was sent.
    #[error("no time was left to call {0}")]
    NoTime(&'static str),
    /// The time limit passed before the response arrived. The call may have taken effect.
    #[error("no response from {0} in time")]
    TimedOut(&'static str),
    /// The service refused the call, or an entry of a batch.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection failed, or the SDK could not read the response.
    #[error("{}", with_causes(&**source))]
    Failed {
        /// The SDK's error.
        source: Arc<dyn Error + Send + Sync>,
        /// The response's HTTP status, if there was one.
        status: Option<u16>,
    },
    /// The service reported success without a result for this entry of the batch.
    #[error("{0} did not report a result for this entry of the batch")]
    Unreported(&'static str),
    /// The call cannot be made with a value.
    #[error("{0}")]
    Invalid(Arc<dyn Error + Send + Sync>),
}

/// A service's error response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{}", self.words(), hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct Refusal {
    /// The service's error code; `None` if the response has none, such as a proxy's.
    pub code: Option<String>,
    /// Its message. It is shown only together with a code: without one, the SDK may have copied a part of the response into it.
    pub message: String,
    /// The HTTP status; `None` for an entry of a batch.
    pub status: Option<u16>,
    /// What an operator does about it, such as granting a permission.
    pub hint: Option<String>,
}

/// The classes of failure that have different remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The role lacks a permission.
    Permission,
    /// AWS does not accept the credentials at all.
    Credentials,
    /// The resource does not exist in this region and account.
    NotFound,
    /// The resource is in another region.
    OtherRegion,
    /// Too many calls.
    Throttled,
    /// No response, a 5xx, or no time for the call: it may succeed later.
    Unavailable,
    /// Anything else: see the service's message.
    Other,
}

impl CallError {
    /// Reads an SDK error.
    #[must_use]
    pub fn new<E>(error: SdkError<E, HttpResponse>, action: Action<'_>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().map(str::to_owned);
                let message = service.err().message().unwrap_or("no message").to_owned();
                Self::Refused(Refusal { code, message, status, hint: None }.with_permission(action))
            }
            SdkError::TimeoutError(_) => Self::TimedOut(action.service),
            _ => Self::Failed { source: Arc::new(error), status },
        }
    }

    /// Returns the refusal of one entry of a batch.
    #[must_use]
    pub fn of_entry(code: &str, message: Option<&str>, action: Action<'_>) -> Self {
        let (code, message) = (Some(code.to_owned()), message.unwrap_or("no message").to_owned());
        Self::Refused(Refusal { code, message, status: None, hint: None }.with_permission(action))
    }

    /// Adds what an operator does about a refusal, if `hint` returns something for its code.
    #[must_use]
    pub fn with_hint(self, hint: impl FnOnce(&Refusal) -> Option<String>) -> Self {
        match self {
            Self::Refused(refusal) => {
                let hint = hint(&refusal).or_else(|| refusal.hint.clone());
                Self::Refused(Refusal { hint, ..refusal })
            }
            other => other,
        }
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::Failed { status: Some(301), .. } => FailureKind::OtherRegion,
            Self::Failed { status: Some(403), .. } => FailureKind::Permission,
            Self::Failed { status: Some(404), .. } => FailureKind::NotFound,
            Self::NoTime(_) | Self::TimedOut(_) | Self::Failed { .. } => FailureKind::Unavailable,
            Self::Unreported(_) | Self::Invalid(_) => FailureKind::Other,
        }
    }

    /// Whether the same call may succeed later without an operator.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), FailureKind::Throttled | FailureKind::Unavailable)
    }

    /// Returns the response's HTTP status, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => refusal.status,
            Self::Failed { status, .. } => *status,
            _ => None,
        }
    }
}

impl Refusal {
    fn words(&self) -> String {
        match (&self.code, self.status) {
            (Some(code), _) => format!("{code}: {}", self.message),
            (None, Some(status)) => format!("the response with status {status} names no error code"),
            (None, None) => "the response names no error code".to_owned(),
        }
    }

    fn with_permission(mut self, action: Action<'_>) -> Self {
        if self.kind() == FailureKind::Permission {
            self.hint = Some(format!("the role needs {} on {}", action.permission, action.resource));
        }
        self
    }

    /// Returns the class of the refusal: by its code, or by the status if the code is unknown.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        let code = self.code.as_deref().unwrap_or_default();
        match code {
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "IncompleteSignature"
            | "InvalidSignatureException" => FailureKind::Credentials,
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                FailureKind::OtherRegion
            }
            "SlowDown"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException" => FailureKind::Throttled,
            _ if code.contains("Throttl") => FailureKind::Throttled,
            _ if code.contains("AccessDenied") || code.contains("Unauthorized") || code == "Forbidden" => {
                FailureKind::Permission
            }
            _ if code.contains("NotFound") || code.contains("NonExistent") || code.contains("DoesNotExist") => {
                FailureKind::NotFound
            }
            _ if code.starts_with("NoSuch") => FailureKind::NotFound,
            "InternalError" | "InternalFailure" | "ServiceUnavailable" => FailureKind::Unavailable,
            _ => match self.status {
                Some(301) => FailureKind::OtherRegion,
                Some(403) => FailureKind::Permission,
                Some(404) => FailureKind::NotFound,
                Some(429) => FailureKind::Throttled,
                Some(408 | 500..) => FailureKind::Unavailable,
                _ => FailureKind::Other,
            },
        }
    }
}

/// Makes a call that ends at `end` at the latest. `start` builds the call; it does not run after `end`, so that nothing is built, signed
/// or sent for a result that would arrive too late.
///
/// # Errors
/// [`CallError`].
pub async fn call_until<T, E, F>(
    clock: &Clock,
    end: SystemTime,
    action: Action<'_>,
    start: impl FnOnce() -> F,
) -> Result<T, CallError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let left = clock.until(end);
    if left.is_zero() {
        return Err(CallError::NoTime(action.service));
    }
    match tokio::time::timeout(left, start()).await {
        Err(_) => Err(CallError::TimedOut(action.service)),
        Ok(Err(error)) => Err(CallError::new(error, action)),
        Ok(Ok(output)) => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_sqs::operation::send_message::SendMessageError;

    use super::*;

    const ACTION: Action<'_> = Action { service: "SQS", permission: "sqs:SendMessage", resource: "queue \"retry\"" };

    fn kind(code: Option<&str>, status: Option<u16>) -> FailureKind {
        Refusal { code: code.map(str::to_owned), message: String::new(), status, hint: None }.kind()
    }

    #[test]
    fn a_refusal_is_classified_by_its_code_and_by_its_status_if_the_code_says_nothing() {
        for (code, status, expected) in [
            (Some("AccessDenied"), Some(403), FailureKind::Permission),
            (Some("AccessDeniedException"), Some(400), FailureKind::Permission),
            (Some("KmsAccessDenied"), None, FailureKind::Permission),
            (None, Some(403), FailureKind::Permission),
            (Some("ExpiredToken"), Some(403), FailureKind::Credentials),
            (Some("RequestThrottled"), Some(400), FailureKind::Throttled),
            (Some("ThrottlingException"), Some(400), FailureKind::Throttled),
            (Some("SlowDown"), Some(503), FailureKind::Throttled),
            (Some("AWS.SimpleQueueService.NonExistentQueue"), Some(400), FailureKind::NotFound),
            (Some("NoSuchBucket"), Some(404), FailureKind::NotFound),
            (Some("PermanentRedirect"), Some(301), FailureKind::OtherRegion),
            (Some("InternalError"), None, FailureKind::Unavailable),
            (None, Some(500), FailureKind::Unavailable),
            (None, Some(408), FailureKind::Unavailable),
            (Some("InvalidParameterValue"), Some(400), FailureKind::Other),
        ] {
            assert_eq!(kind(code, status), expected, "{code:?} {status:?}");
        }
    }

    #[test]
    fn a_missing_permission_is_named_and_another_refusal_guesses_none() {
        let denied = CallError::of_entry("AccessDenied", Some("no"), ACTION);
        assert_eq!(denied.to_string(), "AccessDenied: no (the role needs sqs:SendMessage on queue \"retry\")");
        let invalid = CallError::of_entry("InvalidParameterValue", None, ACTION);
        assert_eq!(invalid.to_string(), "InvalidParameterValue: no message");
        assert!(!denied.is_transient() && !invalid.is_transient());
    }

    #[tokio::test]
    async fn a_call_is_not_built_once_the_time_is_over_and_ends_with_it() {
        let clock = Clock::system();
        let hang = std::future::pending::<Result<(), SdkError<SendMessageError, HttpResponse>>>;
        let over = call_until(&clock, clock.now(), ACTION, || {
            panic!("it was built");
            #[expect(unreachable_code, reason = "the type of what is never built")]
            hang()
        });
        assert!(matches!(over.await, Err(CallError::NoTime("SQS"))));
        let end = clock.now() + Duration::from_millis(20);
        assert!(matches!(call_until(&clock, end, ACTION, hang).await, Err(CallError::TimedOut("SQS"))));
        assert!(clock.now() >= end);
    }
}
