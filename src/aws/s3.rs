//! S3 itself, for the two questions that an event leaves open: which objects are there, and which of two keys is meant. The
//! client is made when the first of them comes up: events do not need it.

use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use jiff::Timestamp;

use super::sdk::{Regional, endpoint_override};
use crate::clock::Clock;
use crate::error::with_causes;
use crate::model::object::ObjectKey;

/// One page of a bucket's listing.
#[derive(Debug)]
pub struct Page {
    /// What it lists, in S3's order of keys.
    pub objects: Vec<Listed>,
    /// Whether the listing goes on after it.
    pub more: bool,
}

/// One listed object.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The key.
    pub key: ObjectKey,
    /// The entity tag, without quotation marks.
    pub etag: Option<Box<str>>,
    /// Bytes.
    pub size: Option<u64>,
    /// When it was last written.
    pub modified: Option<Timestamp>,
}

/// S3 clients, made when they are first needed.
#[derive(Debug)]
pub struct Buckets {
    sdk: SdkConfig,
    clients: Regional<Client>,
    clock: Clock,
}

impl Buckets {
    /// Nothing is made yet.
    #[must_use]
    pub fn new(sdk: SdkConfig, clock: Clock) -> Self {
        Self { sdk, clients: Regional::new(), clock }
    }

    /// Lists the objects after `after` under `prefix`, a page of up to 1,000 at a time (`ListObjectsV2`).
    ///
    /// # Errors
    /// What S3, or the connection to it, said, and the permission that it takes.
    pub async fn list(
        &self,
        bucket: &str,
        region: Option<&str>,
        prefix: &str,
        after: Option<&str>,
        end: SystemTime,
    ) -> Result<Page, String> {
        let page = self.page(bucket, region, prefix, after);
        match tokio::time::timeout(self.clock.until(end), page).await {
            Err(_) => Err("no answer from S3 in time".into()),
            Ok(Err(error)) => Err(words(&*error, "s3:ListBucket", bucket)),
            Ok(Ok(page)) => Ok(page),
        }
    }

    /// As [`Buckets::list`], with the SDK's own error and limits of time.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn page(
        &self,
        bucket: &str,
        region: Option<&str>,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Page, Box<SdkError<ListObjectsV2Error>>> {
        let request = self.client(region).list_objects_v2().bucket(bucket).prefix(prefix);
        let answer = request.set_start_after(after.map(str::to_owned)).send().await.map_err(Box::new)?;
        let objects = answer
            .contents()
            .iter()
            .filter_map(|object| {
                let modified = object.last_modified().and_then(|time| {
                    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).unwrap_or_default()).ok()
                });
                Some(Listed {
                    key: ObjectKey::verbatim(object.key()?).ok()?,
                    etag: object.e_tag().and_then(unquoted),
                    size: object.size().and_then(|size| u64::try_from(size).ok()),
                    modified,
                })
            })
            .collect();
        Ok(Page { objects, more: answer.is_truncated().unwrap_or(false) })
    }

    /// Whether the object exists (`HeadObject`). `None` where S3 does not say: without `s3:ListBucket` it answers 403 for an
    /// object that is not there.
    ///
    /// # Errors
    /// What S3, or the connection to it, said, where it may pass.
    pub async fn exists(&self, bucket: &str, key: &ObjectKey, end: SystemTime) -> Result<Option<bool>, String> {
        let request = self.client(None).head_object().bucket(bucket).key(key.as_str()).send();
        match tokio::time::timeout(self.clock.until(end), request).await {
            Err(_) => Err("no answer from S3 in time".into()),
            Ok(Ok(_)) => Ok(Some(true)),
            Ok(Err(error)) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(404) => Ok(Some(false)),
                Some(400..=499) if !is_throttled(&error) => Ok(None),
                _ => Err(words(&error, "s3:GetObject", bucket)),
            },
        }
    }

    fn client(&self, region: Option<&str>) -> Client {
        self.clients.get(region, |region| client_in(&self.sdk, region))
    }
}

/// A client for a region; `None`: the configured one.
#[must_use]
pub fn client(sdk: &SdkConfig, region: Option<&str>) -> Client {
    client_in(sdk, region.map(|region| Region::new(region.to_owned())))
}

fn client_in(sdk: &SdkConfig, region: Option<Region>) -> Client {
    let mut config = aws_sdk_s3::config::Builder::from(sdk);
    if region.is_some() {
        config.set_region(region);
    }
    // A store at an address of its own has no host name for each bucket.
    config.set_force_path_style(Some(endpoint_override(sdk, "S3").is_some()));
    Client::from_conf(config.build())
}

/// An entity tag as notifications write it: responses put it in quotation marks (RFC 9110, 8.8.3). `None` for an empty one.
fn unquoted(etag: &str) -> Option<Box<str>> {
    let etag = etag.trim_matches('"');
    (!etag.is_empty()).then(|| etag.into())
}

fn is_throttled<E>(error: &SdkError<E>) -> bool {
    error.raw_response().is_some_and(|response| matches!(response.status().as_u16(), 408 | 429))
}

fn words<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E>,
    action: &str,
    bucket: &str,
) -> String {
    let Some(service) = error.as_service_error() else { return with_causes(error) };
    let code = service.code().unwrap_or("error");
    let hint = match code {
        "AccessDenied" | "Forbidden" => format!(" (the role needs {action} on bucket {bucket:?})"),
        "NoSuchBucket" => format!(" (is {bucket:?} the bucket's name?)"),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
            format!(" (bucket {bucket:?} is in another region: write `region` into the connector's secret)")
        }
        _ => String::new(),
    };
    format!("{code}: {}{hint}", service.message().unwrap_or("no message"))
}

/// Calls to S3 that an invocation makes before it knows its objects take no longer than this.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
