//! An Amazon S3 endpoint on loopback that the AWS SDKs take for the real one, in path style.
//!
//! One endpoint stands for all regions: each bucket is in one of them, and a call that was signed for another is
//! redirected as S3 does. Signatures are not checked, but there must be one. Objects have a size and a time, and no
//! contents. Notification configurations are kept and checked as S3 checks them, and nobody is notified.
//!
//! | module | its job |
//! | --- | --- |
//! | `wire` | HTTP, faults, the answers |
//! | `operation` | which operation a method, a path and a query mean |
//! | `store` | the buckets, and pages of their keys |
//! | `notification` | what S3 refuses in a notification configuration |
//! | `xml`, `error` | S3's documents, and its names for what is wrong |

mod error;
mod notification;
mod operation;
mod store;
#[cfg(test)]
mod tests;
mod wire;
mod xml;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use self::store::{Object, Store};
use super::{
    aws_fault::{AwsFault, Calls},
    clock::Clock,
    options::SandboxError,
    server::Server,
};

/// One call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketCall {
    /// The method, `GET` for example.
    pub method: String,
    /// The bucket's name; empty where the call is about all buckets.
    pub bucket: String,
    /// The object's key, decoded; `None` where the call is about the bucket.
    pub key: Option<String>,
    /// The query as it was sent.
    pub query: String,
    /// The region that the call was signed for.
    pub region: String,
}

/// What listings meet: a store that is not quite S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingFault {
    /// This many truncated pages without keys come before each page with keys. S3 itself does it where many versions are deleted.
    EmptyPages(u64),
    /// `start-after` is ignored: every listing without a continuation token begins at the first key.
    IgnoredStartAfter,
    /// A truncated page's continuation token leads to the same page again.
    SameToken,
}

/// Running buckets. Dropped, they stop in the background.
#[derive(Debug)]
pub struct Buckets {
    server: Server,
    shared: Shared,
}

/// What the calls share.
#[derive(Clone, Debug)]
struct Shared {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    calls: Calls<BucketCall>,
    missing_objects_denied: bool,
    refused_destination: Option<String>,
    notification_write_fault: Option<AwsFault>,
    listing_fault: Option<ListingFault>,
    listings: u64,
    rival_after_read: Option<String>,
    rival_after_write: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    /// Starts the endpoint on 127.0.0.1, without buckets; 0 takes any free port.
    ///
    /// # Errors
    ///
    /// Where the port cannot be bound.
    pub async fn start(port: u16) -> Result<Self, SandboxError> {
        let shared = Shared { state: Arc::default(), clock: Clock::start() };
        let for_server = shared.clone();
        let server = Server::start(port, |stop| wire::router(for_server, stop)).await?;
        Ok(Self { server, shared })
    }

    /// What `AWS_ENDPOINT_URL_S3` is set to. Clients must use path style.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Creates a bucket in a region. One that is there moves to that region with what is in it.
    pub fn create(&self, bucket: &str, region: &str) {
        self.shared.lock().store.create(bucket, region);
    }

    /// Puts an object into a bucket, which is created in `us-east-1` where it is not there.
    pub fn put(&self, bucket: &str, key: impl Into<String>, size: u64, last_modified: SystemTime) {
        self.put_many(bucket, [(key.into(), size, last_modified)]);
    }

    /// Puts many objects into a bucket at once: their keys, sizes and times.
    pub fn put_many(&self, bucket: &str, objects: impl IntoIterator<Item = (String, u64, SystemTime)>) {
        // Before the lock is taken, because the iterator is the caller's and may ask for something here.
        let objects: Vec<_> =
            objects.into_iter().map(|(key, size, modified)| (key, Object::new(size, modified))).collect();
        self.shared.lock().store.put(bucket, objects);
    }

    /// The calls so far, oldest first, whatever the answer.
    pub fn calls(&self) -> Vec<BucketCall> {
        self.shared.lock().calls.so_far().to_vec()
    }

    /// Whether `HeadObject` answers 403 for an object that is not there, as S3 does to a role without
    /// `s3:ListBucket`. It answers 404 from the start.
    pub fn set_missing_objects_denied(&self, denied: bool) {
        self.shared.lock().missing_objects_denied = denied;
    }

    /// The XML of a bucket's notification configuration, byte for byte as it was written; `None` where none was.
    pub fn notification(&self, bucket: &str) -> Option<String> {
        self.shared.lock().store.bucket(bucket).ok()?.notification.clone()
    }

    /// Writes a bucket's notification configuration past all checks. A bucket that is not there has none.
    pub fn set_notification(&self, bucket: &str, region: &str, xml: &str) {
        if let Ok(bucket) = self.shared.lock().store.bucket_in_mut(bucket, region) {
            bucket.notification = Some(xml.to_owned());
        }
    }

    /// A destination that does not let S3 in: a configuration that names it is refused from now on.
    pub fn refuse_destination(&self, arn: Option<&str>) {
        self.shared.lock().refused_destination = arn.map(str::to_owned);
    }

    /// What writes of notification configurations meet, and nothing else, until it is set to `None`: an error at once, whatever the
    /// fault.
    pub fn fail_notification_writes(&self, fault: Option<AwsFault>) {
        self.shared.lock().notification_write_fault = fault;
    }

    /// Another client writes this notification configuration right after the next one is read.
    pub fn write_notification_after_next_read(&self, xml: &str) {
        self.shared.lock().rival_after_read = Some(xml.to_owned());
    }

    /// Another client writes this notification configuration right after the next one is written.
    pub fn write_notification_after_next_write(&self, xml: &str) {
        self.shared.lock().rival_after_write = Some(xml.to_owned());
    }

    /// The next `count` calls meet this fault. It takes the place of an earlier `fail_next`.
    pub fn fail_next(&self, count: u64, fault: AwsFault) {
        self.shared.lock().calls.fail_next(count, fault);
    }

    /// All calls meet this fault until it is set to `None`.
    pub fn set_fault(&self, fault: Option<AwsFault>) {
        self.shared.lock().calls.set_fault(fault);
    }

    /// All listings meet this fault until it is set to `None`.
    pub fn set_listing_fault(&self, fault: Option<ListingFault>) {
        self.shared.lock().listing_fault = fault;
    }

    /// All answers take this long.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().calls.set_latency(latency);
    }

    /// Stops accepting, lets what is under way end for at most a second, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
