//! The access keys of an IAM user.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_iam::Client;
use aws_sdk_iam::error::SdkError;
use aws_sdk_iam::types::StatusType;
use jiff::Timestamp;

use crate::aws_failure::{AwsFailure, optional};
use crate::management::AwsCredentials;
use flexorch_s3_ingester::redaction;

/// How many access keys a user may have (IAM User Guide, "IAM and AWS STS quotas").
pub(super) const MOST_KEYS: usize = 2;

/// A client for the access keys of one user.
#[derive(Debug)]
pub(super) struct AccessKeys {
    client: Client,
    user: String,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) created: Option<Timestamp>,
}

/// Why no access key was created, as far as is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    /// IAM refused: there is none.
    #[error(transparent)]
    Refused(AwsFailure),
    /// There was no response, or IAM failed: there may be one.
    #[error("it is not known whether an access key was created: {0}")]
    Unknown(AwsFailure),
}

impl AccessKeys {
    /// Creates a client. IAM is global: the SDK selects its endpoint and region.
    pub(super) fn new(sdk: &SdkConfig, user: &str) -> Self {
        Self { client: Client::new(sdk), user: user.to_owned() }
    }

    /// Lists the user's access keys. There are so few that they fit one page.
    pub(super) async fn list(&self) -> Result<Vec<Key>, AwsFailure> {
        let response = self.client.list_access_keys().user_name(&self.user).send().await;
        let response = response.map_err(|error| AwsFailure::new(&error, "iam:ListAccessKeys", self.resource()))?;
        let keys = response.access_key_metadata.into_iter();
        Ok(keys
            .filter_map(|key| {
                Some(Key {
                    id: key.access_key_id?,
                    active: key.status == Some(StatusType::Active),
                    created: key.create_date.and_then(|date| Timestamp::from_second(date.secs()).ok()),
                })
            })
            .collect())
    }

    /// Creates an access key, with one attempt: another one could create a second key.
    pub(super) async fn create(&self) -> Result<(String, AwsCredentials), CreateError> {
        let once = aws_sdk_iam::config::Builder::new().retry_config(RetryConfig::disabled());
        let request = self.client.create_access_key().user_name(&self.user).customize().config_override(once);
        let response = request.send().await.map_err(|error| {
            let refused = match &error {
                SdkError::ConstructionFailure(_) => true,
                SdkError::ServiceError(service) => service.raw().status().is_client_error(),
                _ => false,
            };
            let failure = AwsFailure::new(&error, "iam:CreateAccessKey", self.resource());
            if refused { CreateError::Refused(failure) } else { CreateError::Unknown(failure) }
        })?;
        let Some(key) = response.access_key else {
            let cause = "the response contains no access key".to_owned();
            let kind = crate::aws_failure::FailureKind::Unavailable;
            let failure = AwsFailure { action: "iam:CreateAccessKey", resource: self.resource(), kind, cause };
            return Err(CreateError::Unknown(failure));
        };
        redaction::register_aws(&key.secret_access_key);
        let credentials = AwsCredentials {
            access_key_id: key.access_key_id.clone().into(),
            secret_access_key: key.secret_access_key.into(),
        };
        Ok((key.access_key_id, credentials))
    }

    /// Deletes an access key, if it exists.
    pub(super) async fn delete(&self, id: &str) -> Result<(), AwsFailure> {
        let response = self.client.delete_access_key().user_name(&self.user).access_key_id(id).send().await;
        optional(response.map_err(|error| AwsFailure::new(&error, "iam:DeleteAccessKey", self.resource()))).map(|_| ())
    }

    fn resource(&self) -> String {
        format!("user/{}", self.user)
    }
}

/// Shortens an access key's id for people. The whole id may be redacted in the output: it is one of a connector's credentials.
pub(super) fn shortened(id: &str) -> String {
    format!("…{}", ending(id))
}

/// Returns the last four characters of an access key's id.
pub(super) fn ending(id: &str) -> &str {
    id.char_indices().rev().nth(3).map_or(id, |(at, _)| &id[at..])
}
