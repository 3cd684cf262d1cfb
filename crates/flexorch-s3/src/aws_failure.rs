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
    /// AWS did not respond.
    Unavailable,
    /// AWS throttles the calls, or failed itself.
    Busy,
    /// The response is not one of AWS.
    NotAws,
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
        let is_missing_stack = code == "ValidationError" && message.ends_with("does not exist");
        let cause = match (code, message) {
            // No response, or one that the SDK cannot parse.
            ("", "") if matches!(status, 0 | 200..300) => with_causes(error),
            ("", "") => format!("HTTP status {status}"),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        Self {
            action,
            resource: resource.into(),
            kind: if is_missing_stack { FailureKind::NotFound } else { FailureKind::of(status, code) },
            cause,
        }
    }

    /// Returns whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.kind, FailureKind::Unavailable | FailureKind::Busy)
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
            // Secrets Manager does not name the action (Secrets Manager User Guide, "Troubleshoot").
            FailureKind::Denied if self.cause.contains("KMS") => {
                let more = if action.contains(":Put") { " and kms:GenerateDataKey" } else { "" };
                format!("your AWS identity needs kms:Decrypt{more} on the KMS key of {resource}")
            }
            FailureKind::Denied => format!("your AWS identity needs {action} on {resource}"),
            FailureKind::BadCredentials => {
                "AWS does not accept the credentials: check with `aws sts get-caller-identity`, then sign in again or select a \
                 profile with --profile"
                    .to_owned()
            }
            FailureKind::NotFound => {
                format!("{resource} does not exist here: check its name, the region (--region) and the account (--profile)")
            }
            FailureKind::OtherRegion => format!("{resource} is in another region: select it with --region"),
            FailureKind::Unavailable => {
                format!("{service} cannot be reached: check --region, --endpoint-url and the network")
            }
            FailureKind::NotAws => {
                "the response does not come from AWS, but perhaps from a proxy or a sign-in page: check --endpoint-url and the network"
                    .to_owned()
            }
            FailureKind::Busy => format!("{service} throttles the calls or has a failure: retry later"),
            FailureKind::Refused if self.cause.contains("marked for deletion") => {
                format!("restore it with `aws secretsmanager restore-secret --secret-id {resource}`, or select another")
            }
            FailureKind::Refused if self.cause.contains("does not have the specified index") => {
                "it is not the table of records (the stack's output RecordsTable), or not a current one: check the name, or deploy the template again"
                    .to_owned()
            }
            FailureKind::Refused => "correct what AWS's message names, then run the same command again".to_owned(),
        }
    }
}

impl FailureKind {
    /// Classifies a response by its status, 0 for none, and AWS's error code, as the function does.
    fn of(status: u16, code: &str) -> Self {
        if code.is_empty() && (status == 0 || (200..300).contains(&status)) {
            return if status == 0 { Self::Unavailable } else { Self::NotAws };
        }
        let (code, message) = (Some(code).filter(|code| !code.is_empty()).map(str::to_owned), String::new());
        match (Refusal { code, message, status: Some(status), hint: None }).kind() {
            failure::FailureKind::Permission => Self::Denied,
            failure::FailureKind::Credentials => Self::BadCredentials,
            failure::FailureKind::NotFound => Self::NotFound,
            failure::FailureKind::OtherRegion => Self::OtherRegion,
            failure::FailureKind::Throttled | failure::FailureKind::Unavailable => Self::Busy,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(kind: FailureKind, action: &'static str, cause: &str) -> String {
        AwsFailure { action, resource: "r".into(), kind, cause: cause.into() }.hint()
    }

    #[test]
    fn what_responded_was_reached() {
        assert_eq!(FailureKind::of(0, ""), FailureKind::Unavailable);
        assert_eq!(FailureKind::of(200, ""), FailureKind::NotAws);
        assert!(hint(FailureKind::NotAws, "x:Y", "unexpected token").contains("sign-in page"));
        for (status, code) in [(400, "ThrottlingException"), (500, "InternalFailure"), (503, "")] {
            assert_eq!(FailureKind::of(status, code), FailureKind::Busy, "{status} {code}");
        }
        assert!(!hint(FailureKind::Busy, "sqs:SendMessage", "ThrottlingException").contains("cannot be reached"));
    }

    #[test]
    fn a_denied_key_is_not_a_denied_secret() {
        let cause = "AccessDeniedException: Access to KMS is not allowed";
        let read = hint(FailureKind::Denied, "secretsmanager:GetSecretValue", cause);
        assert_eq!(read, "your AWS identity needs kms:Decrypt on the KMS key of r");
        let write = hint(FailureKind::Denied, "secretsmanager:PutSecretValue", cause);
        assert!(write.contains("kms:Decrypt and kms:GenerateDataKey"), "{write}");
    }

    #[test]
    fn a_refusal_has_a_next_step_where_one_is_known() {
        for (cause, step) in [
            (
                "InvalidRequestException: … it was marked for deletion.",
                "aws secretsmanager restore-secret --secret-id r",
            ),
            ("ValidationException: The table does not have the specified index: by-state", "output RecordsTable"),
        ] {
            assert!(hint(FailureKind::Refused, "x:Y", cause).contains(step), "{cause}");
        }
    }
}
