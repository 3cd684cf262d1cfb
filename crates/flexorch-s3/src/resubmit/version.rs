//! Whether a record is about the object's current version: only that can be submitted, because FlexOrch reads the key.

use std::collections::HashMap;
use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use tokio::sync::Mutex;

use crate::aws_failure::{AwsFailure, FailureKind};
use crate::bucket;
use crate::tracking::Record;
use flexorch_outcomes::schema::NO_VERSION;
use flexorch_s3_ingester::aws::s3;
use flexorch_s3_ingester::model::arn;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};

/// What S3 says of a record's object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Checked {
    /// The current version is the record's.
    Current(S3Object),
    /// It could not be checked: the record has no version, or S3 refuses the call.
    Unchecked(S3Object),
    /// The current version is another one, which has a separate record.
    Overwritten,
    /// The object does not exist.
    Deleted,
}

/// The current version of an object.
#[derive(Debug, Clone, Copy)]
struct Head<'a> {
    version_id: Option<&'a str>,
    etag: Option<&'a str>,
    size: Option<u64>,
}

/// Asks S3, in each bucket's region.
#[derive(Debug)]
pub(crate) struct Versions {
    sdk: SdkConfig,
    clients: Mutex<HashMap<String, Client>>,
    /// Why S3 did not say which version is the current one, the first time.
    refusal: OnceLock<String>,
}

impl Versions {
    /// Creates a checker. Asks nothing yet.
    pub(crate) fn new(sdk: SdkConfig) -> Self {
        Self { sdk, clients: Mutex::default(), refusal: OnceLock::new() }
    }

    /// Returns why S3 did not say which version is the current one, if it ever did not.
    pub(crate) fn first_refusal(&self) -> Option<String> {
        self.refusal.get().cloned()
    }

    /// Checks a record; `None` if it names no object.
    ///
    /// # Errors
    /// If S3 cannot be reached, does not accept the credentials, or names another region: all other checks would fail too.
    pub(crate) async fn check(&self, record: &Record) -> Result<Option<Checked>, AwsFailure> {
        let Some((bucket, key)) = record.object() else { return Ok(None) };
        let Ok(object_key) = ObjectKey::verbatim(key) else { return Ok(None) };
        let object = S3Object::new(bucket, object_key);
        let client = self.client(bucket).await;
        let resource = format!("{}/{key}", arn::of_bucket(bucket, client.config().region().map(AsRef::as_ref)));
        match client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => {
                let size = head.content_length().and_then(|size| u64::try_from(size).ok());
                Ok(Some(compare(
                    object,
                    &record.version,
                    Head { version_id: head.version_id(), etag: head.e_tag(), size },
                )))
            }
            Err(error) => {
                let failure = AwsFailure::new(&error, "s3:GetObject", resource);
                match failure.kind {
                    FailureKind::NotFound => Ok(Some(Checked::Deleted)),
                    FailureKind::Unavailable
                    | FailureKind::Busy
                    | FailureKind::NotAws
                    | FailureKind::BadCredentials
                    | FailureKind::OtherRegion => Err(failure),
                    FailureKind::Denied | FailureKind::Refused => {
                        self.refusal.get_or_init(|| failure.to_string());
                        tracing::info!(failure = failure.to_string().as_str(), "the version cannot be checked");
                        Ok(Some(Checked::Unchecked(named(object, &record.version, None))))
                    }
                }
            }
        }
    }

    async fn client(&self, bucket: &str) -> Client {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(bucket) {
            return client.clone();
        }
        let home = s3::client(&self.sdk, None);
        let region = bucket::locate(&home, bucket).await.region;
        let client = s3::client(&self.sdk, region.as_deref());
        clients.insert(bucket.to_owned(), client.clone());
        client
    }
}

/// Compares the version of a record with the current one.
fn compare(object: S3Object, version: &str, head: Head<'_>) -> Checked {
    let unquoted = head.etag.map(|etag| etag.trim_matches('"'));
    let object = S3Object { size: head.size, ..object };
    if version == NO_VERSION {
        return Checked::Unchecked(named(object, version, None));
    }
    if head.version_id == Some(version) {
        return Checked::Current(named(object, version, unquoted));
    }
    if unquoted == Some(version.trim_matches('"')) {
        // The record is named by the ETag, and so must be the event, or it would make another record.
        return Checked::Current(S3Object { etag: Some(version.into()), ..object });
    }
    Checked::Overwritten
}

/// Names the version in the event as the record does, so that the receipt changes the same record.
fn named(object: S3Object, version: &str, etag: Option<&str>) -> S3Object {
    let version_id = (version != NO_VERSION).then(|| version.into());
    S3Object { version_id, etag: etag.map(Into::into), ..object }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: &str, version_id: Option<&str>, etag: Option<&str>) -> Checked {
        let object = S3Object::new("b", ObjectKey::verbatim("k").unwrap());
        compare(object, version, Head { version_id, etag, size: Some(7) })
    }

    fn identity(checked: Checked) -> Option<(Option<String>, Option<String>)> {
        match checked {
            Checked::Current(object) => {
                Some((object.version_id.map(|id| id.to_string()), object.etag.map(|etag| etag.to_string())))
            }
            _ => None,
        }
    }

    #[test]
    fn the_current_version_keeps_the_records_name_and_another_one_is_not_sent() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(identity(checked("v1", Some("v1"), Some("\"e1\""))), Some((text("v1"), text("e1"))));
        assert_eq!(identity(checked("e1", Some("v1"), Some("\"e1\""))), Some((None, text("e1"))));
        assert_eq!(checked("v1", Some("v2"), Some("\"e1\"")), Checked::Overwritten);
        assert_eq!(checked("e1", None, Some("\"e2\"")), Checked::Overwritten);
    }

    #[test]
    fn a_record_without_a_version_is_sent_without_one() {
        let Checked::Unchecked(object) = checked("-", Some("v1"), Some("\"e1\"")) else { panic!("it is checked") };
        assert_eq!((object.version_id, object.etag, object.size), (None, None, Some(7)));
    }
}
