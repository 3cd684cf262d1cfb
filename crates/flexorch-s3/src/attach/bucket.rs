//! Reads and replaces a bucket's notification configuration at S3, and compares the result.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_s3::types::NotificationConfiguration;
use tokio::time::Instant;

use crate::aws_failure::{AwsFailure, FailureKind};
use crate::bucket::{self, Location};
use crate::context::Context;
use crate::notification::{Configuration, ConfigurationError};
use crate::output::Output;
use crate::text::escaped;
use flexorch_s3_ingester::aws::s3::client;
use flexorch_s3_ingester::model::arn;

/// The wait before S3 is asked again.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) region: String,
    client: Client,
    output: Output,
}

/// Why a configuration was not replaced.
pub(crate) enum ReplaceError {
    /// The configuration is unchanged.
    NotWritten(anyhow::Error),
    /// It is not known what the configuration is.
    Unclear(anyhow::Error),
}

impl Bucket {
    /// Finds the bucket and its region.
    pub(crate) async fn open(name: &str, context: &Context) -> Result<Self> {
        let sdk = context.aws().await?;
        let own_region = context.region().await?;
        let Location { region, failure } = bucket::locate(&client(sdk, Some(&own_region)), name).await;
        match failure {
            Some(failure) if failure.kind == FailureKind::NotFound => {
                bail!("there is no bucket {name:?}: check the name. Nothing was changed")
            }
            Some(failure) if failure.is_transient() && region.is_none() => {
                return Err(failure.into());
            }
            // A caller that may not list the bucket may still read and write its notifications.
            _ => {}
        }
        let region = region.unwrap_or(own_region);
        Ok(Self { name: name.to_owned(), client: client(sdk, Some(&region)), region, output: context.output })
    }

    /// Returns its ARN, in the partition of its region.
    pub(crate) fn arn(&self) -> String {
        arn::of_bucket(&self.name, Some(&self.region))
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// If the request fails, with the permission that it needs; if the configuration contains anything that is not known here.
    pub(crate) async fn read(&self) -> Result<Configuration> {
        let xml = bucket::notifications_of(&self.client, &self.name).await?;
        Configuration::parse(&xml).map_err(|error| match error {
            ConfigurationError::Unknown { .. } => anyhow!(
                "cannot change the notification configuration of bucket {:?}: {}. Use a newer version of this program, or change the \
                 notifications manually",
                self.name,
                escaped(&error.to_string())
            ),
            _ => anyhow!(
                "S3's response for bucket {:?} is not a notification configuration: {}",
                self.name,
                escaped(&error.to_string())
            ),
        })
    }

    /// Replaces `before` with `after`, and reads it back. With `validated`, S3 tries every destination. S3 may take up to `patience` to
    /// see a permission that was just added, and up to `wait` to return what was written: a bucket's configuration is eventually
    /// consistent (S3 User Guide, "Amazon S3 data consistency model").
    pub(crate) async fn replace(
        &self,
        before: &Configuration,
        after: &Configuration,
        validated: bool,
        patience: Duration,
        wait: Duration,
    ) -> Result<(), ReplaceError> {
        // S3 has no conditional write. Reading again narrows the window for concurrent changes from minutes to a moment.
        let now = self.read().await.map_err(ReplaceError::NotWritten)?;
        if !now.is_equivalent_to(before) {
            let name = &self.name;
            let why = anyhow!("the notifications of bucket {name:?} were changed concurrently: run the command again");
            return Err(ReplaceError::NotWritten(why));
        }
        let end = Instant::now() + patience;
        while let Err(error) = self.write(after, validated).await {
            match error {
                WriteError::Destination(_) if Instant::now() + PAUSE < end => {
                    self.output.progress("waiting for S3 to see the new permission");
                    tokio::time::sleep(PAUSE).await;
                }
                WriteError::Destination(why) | WriteError::Refused(why) => return Err(ReplaceError::NotWritten(why)),
                WriteError::NoResponse(why) => {
                    return match self.read().await {
                        Ok(there) if there.is_equivalent_to(after) => Ok(()),
                        Ok(_) | Err(_) => {
                            Err(ReplaceError::Unclear(why.context(
                                "it is not known whether the notifications were written: run the command again",
                            )))
                        }
                    };
                }
            }
        }
        self.verify(after, wait).await.map_err(ReplaceError::Unclear)
    }

    async fn verify(&self, expected: &Configuration, wait: Duration) -> Result<()> {
        let end = Instant::now() + wait;
        loop {
            let there = self.read().await.context("the notifications were written, but cannot be read back")?;
            if there.is_equivalent_to(expected) {
                return Ok(());
            }
            if Instant::now() + PAUSE >= end {
                let missing = expected.entries.iter().filter(|entry| !there.entries.contains(entry));
                let unexpected = there.entries.iter().filter(|entry| !expected.entries.contains(entry));
                let list: Vec<_> = missing
                    .map(|entry| format!("missing: {}", escaped(&entry.to_string())))
                    .chain(unexpected.map(|entry| format!("unexpected: {}", escaped(&entry.to_string()))))
                    .collect();
                bail!(
                    "the notifications of bucket {:?} were written, but S3 returns others: {}. They may have been changed concurrently: run \
                     the command again",
                    self.name,
                    list.join("; ")
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes the configuration's own XML: the SDK's types would drop elements that they do not know.
    async fn write(&self, configuration: &Configuration, validated: bool) -> Result<(), WriteError> {
        let xml = configuration.to_xml();
        let request = self
            .client
            .put_bucket_notification_configuration()
            .bucket(&self.name)
            .notification_configuration(NotificationConfiguration::builder().build())
            .set_skip_destination_validation((!validated).then_some(true));
        let sent = request
            .customize()
            .mutate_request(move |request| {
                request.headers_mut().insert("content-length", xml.len().to_string());
                *request.body_mut() = SdkBody::from(xml.as_str());
            })
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        let failure = AwsFailure::new(&error, "s3:PutBucketNotification", self.arn());
        let is_destination = error.as_service_error().and_then(ProvideErrorMetadata::message);
        if is_destination.is_some_and(|message| message.contains("Unable to validate the following destination")) {
            return Err(WriteError::Destination(anyhow!(
                "S3 refuses a destination ({}). S3 tries every destination of the bucket when notifications are written: remove one that \
                 no longer exists first; the policy of one that exists must allow s3.amazonaws.com for this bucket and the bucket's \
                 account, and so must the key policy if a queue is encrypted with a KMS key",
                escaped(&arguments(&error).unwrap_or_else(|| failure.cause.clone()))
            )));
        }
        Err(match failure.kind {
            FailureKind::Unavailable | FailureKind::Busy => WriteError::NoResponse(failure.into()),
            _ => WriteError::Refused(failure.into()),
        })
    }
}

enum WriteError {
    /// A destination does not allow S3, as far as S3 can see now.
    Destination(anyhow::Error),
    /// Nothing was written.
    Refused(anyhow::Error),
    /// It is not known whether anything was written.
    NoResponse(anyhow::Error),
}

/// Returns the destination that S3 refuses, and why, if the response says so: `ArgumentName1`, `ArgumentValue1`, and so on.
fn arguments<E>(error: &SdkError<E>) -> Option<String> {
    let text = std::str::from_utf8(error.raw_response()?.body().bytes()?).ok()?;
    let document = roxmltree::Document::parse(text).ok()?;
    let elements = document.root_element().children().filter(|node| node.tag_name().name().starts_with("Argument"));
    let words: Vec<_> = elements.filter_map(|node| node.text()).collect();
    (!words.is_empty()).then(|| words.join(": "))
}
