//! A bucket's notification configuration at S3: read, replaced, and compared with what was meant.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_s3::types::NotificationConfiguration;
use tokio::time::Instant;

use super::super::arn;
use super::super::aws_failure::{AwsFailure, FailureKind};
use super::super::bucket::{self, Found};
use super::super::context::Context;
use super::super::notification::{Configuration, ConfigurationError};
use super::super::output::Output;
use super::super::table::shown;
use flexorch_s3_ingester::aws::s3::client;

/// How long to wait before S3 is asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// A bucket that is there.
pub(super) struct Bucket {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    client: Client,
    output: Output,
}

/// Why a configuration was not replaced.
pub(super) enum ReplaceError {
    /// The bucket has what it had.
    NotWritten(anyhow::Error),
    /// It may have either, or something else.
    Unclear(anyhow::Error),
}

impl Bucket {
    /// Finds out where the bucket is.
    ///
    /// # Errors
    /// Where there is none, or S3 cannot be asked.
    pub(super) async fn open(name: &str, context: &Context) -> Result<Self> {
        let sdk = context.aws().await?;
        let own_region = context.region().await?;
        let Found { region, failure } = bucket::find(&client(sdk, Some(&own_region)), name).await;
        match failure {
            Some(failure) if failure.kind == FailureKind::NotFound => {
                bail!("there is no bucket {name:?}: is that its name? Nothing was changed")
            }
            Some(failure) if failure.kind == FailureKind::Unavailable && region.is_none() => {
                return Err(failure.into());
            }
            // Who may not list the bucket may still read and write its notifications.
            _ => {}
        }
        let region = region.unwrap_or(own_region);
        Ok(Self { name: name.to_owned(), client: client(sdk, Some(&region)), region, output: context.output })
    }

    /// Its ARN, in the partition of its region.
    pub(super) fn arn(&self) -> String {
        arn::of_bucket(&self.name, Some(&self.region))
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// What S3 said, and the permission that it takes; what is in the configuration that is not known here.
    pub(super) async fn read(&self) -> Result<Configuration> {
        let xml = bucket::notifications_of(&self.client, &self.name).await?;
        Configuration::parse(&xml).map_err(|error| match error {
            ConfigurationError::Unknown { .. } => anyhow!(
                "the notification configuration of bucket {:?} cannot be judged: {}. Take a newer version of this program, or change the \
                 notifications by hand",
                self.name,
                shown(&error.to_string())
            ),
            _ => anyhow!(
                "S3's answer for bucket {:?} is no notification configuration: {}",
                self.name,
                shown(&error.to_string())
            ),
        })
    }

    /// Writes `after` in the place of `before`, and reads it back. With `tried`, S3 tries every destination; it may take `patience`
    /// until it sees a permission that was just given, and `wait` until it shows what was written: a bucket's configuration is
    /// eventually consistent (S3 User Guide, "Amazon S3 data consistency model").
    pub(super) async fn replace(
        &self,
        before: &Configuration,
        after: &Configuration,
        tried: bool,
        patience: Duration,
        wait: Duration,
    ) -> Result<(), ReplaceError> {
        // S3 has no write that depends on what is there. A second look leaves others a moment instead of minutes.
        let now = self.read().await.map_err(ReplaceError::NotWritten)?;
        if !now.says_the_same_as(before) {
            let name = &self.name;
            let why =
                anyhow!("somebody else changed the notifications of bucket {name:?} meanwhile: run the command again");
            return Err(ReplaceError::NotWritten(why));
        }
        let end = Instant::now() + patience;
        while let Err(error) = self.write(after, tried).await {
            match error {
                WriteError::Destination(_) if Instant::now() + PAUSE < end => {
                    self.output.progress("S3 does not see the new permission yet; waiting");
                    tokio::time::sleep(PAUSE).await;
                }
                WriteError::Destination(why) | WriteError::Refused(why) => return Err(ReplaceError::NotWritten(why)),
                WriteError::NoAnswer(why) => {
                    return match self.read().await {
                        Ok(there) if there.says_the_same_as(after) => Ok(()),
                        Ok(_) | Err(_) => Err(ReplaceError::Unclear(
                            why.context("whether the notifications were written is not known: run the command again"),
                        )),
                    };
                }
            }
        }
        self.verify(after, wait).await.map_err(ReplaceError::Unclear)
    }

    async fn verify(&self, meant: &Configuration, wait: Duration) -> Result<()> {
        let end = Instant::now() + wait;
        loop {
            let there = self.read().await.context("S3 took the notifications, but they cannot be read back")?;
            if there.says_the_same_as(meant) {
                return Ok(());
            }
            if Instant::now() + PAUSE >= end {
                let lacks = meant.entries.iter().filter(|entry| !there.entries.contains(entry));
                let has_besides = there.entries.iter().filter(|entry| !meant.entries.contains(entry));
                let list: Vec<_> = lacks
                    .map(|entry| format!("it lacks {}", shown(&entry.to_string())))
                    .chain(has_besides.map(|entry| format!("it has {} besides", shown(&entry.to_string()))))
                    .collect();
                bail!(
                    "S3 took the notifications of bucket {:?}, but shows something else: {}. Somebody else may have written at the same \
                     time: run the command again",
                    self.name,
                    list.join("; ")
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes the configuration's own XML: what the SDK does not know would not come through its types.
    async fn write(&self, configuration: &Configuration, tried: bool) -> Result<(), WriteError> {
        let xml = configuration.to_xml();
        let request = self
            .client
            .put_bucket_notification_configuration()
            .bucket(&self.name)
            .notification_configuration(NotificationConfiguration::builder().build())
            .set_skip_destination_validation((!tried).then_some(true));
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
                "S3 refuses a destination ({}): it tries every destination of the bucket when notifications are written. One that is gone \
                 is to be taken out first; one that is there must let s3.amazonaws.com in for this bucket, from the bucket's own account, \
                 and where a queue is encrypted with a KMS key the key must let it in too",
                shown(&arguments(&error).unwrap_or_else(|| failure.words.clone()))
            )));
        }
        Err(match failure.kind {
            FailureKind::Unavailable => WriteError::NoAnswer(failure.into()),
            _ => WriteError::Refused(failure.into()),
        })
    }
}

enum WriteError {
    /// A destination does not let S3 in, as far as S3 can see now.
    Destination(anyhow::Error),
    /// Nothing was written.
    Refused(anyhow::Error),
    /// Whether something was written is not known.
    NoAnswer(anyhow::Error),
}

/// Which destination S3 complains of, and why: `ArgumentName1`, `ArgumentValue1`, and so on.
fn arguments<E>(error: &SdkError<E>) -> Option<String> {
    let text = std::str::from_utf8(error.raw_response()?.body().bytes()?).ok()?;
    let document = roxmltree::Document::parse(text).ok()?;
    let elements = document.root_element().children().filter(|node| node.tag_name().name().starts_with("Argument"));
    let words: Vec<_> = elements.filter_map(|node| node.text()).collect();
    (!words.is_empty()).then(|| words.join(": "))
}
