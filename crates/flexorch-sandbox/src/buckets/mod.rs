//! An Amazon S3 endpoint on loopback that the AWS SDKs can use, in path style.
//!
//! Each bucket is in one region, and a call that was signed for another is redirected, as by S3. Objects have a size and a time,
//! and no contents. Notification configurations are stored and checked as by S3, but nothing is notified.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | HTTP, recorded calls, faults, responses |
//! | `operation` | the operation of a method, a path and a query |
//! | `store` | the buckets, and pages of their keys |
//! | `notification` | what S3 refuses in a notification configuration |
//! | `xml`, `error` | S3's documents and errors |

mod error;
mod notification;
mod operation;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod xml;

use std::time::SystemTime;

use self::{
    operation::Operation,
    store::{Object, Store},
};
pub use self::{service::BucketCall, store::ListingFault};
use super::aws::{endpoint::AwsEndpoint, fault::AwsFault};

/// A running S3 endpoint. It stops in the background when it is dropped. Clients must use path style.
pub type Buckets = AwsEndpoint<Store>;

impl Buckets {
    /// Creates a bucket in a region. An existing one moves to that region with its objects.
    pub fn create(&self, bucket: &str, region: &str) {
        self.shared().service().create(bucket, region);
    }

    /// Puts an object into a bucket, which is created in `us-east-1` if it does not exist.
    pub fn put(&self, bucket: &str, key: impl Into<String>, size: u64, last_modified: SystemTime) {
        self.put_many(bucket, [(key.into(), size, last_modified)]);
    }

    /// Puts many objects into a bucket: their keys, sizes and times.
    pub fn put_many(&self, bucket: &str, objects: impl IntoIterator<Item = (String, u64, SystemTime)>) {
        // Before the lock is taken, because the caller's iterator may call this endpoint.
        let objects: Vec<_> =
            objects.into_iter().map(|(key, size, modified)| (key, Object::new(size, modified))).collect();
        self.shared().service().put(bucket, objects);
    }

    /// Sets whether `HeadObject` returns 403 for a missing object, as S3 does for a role without `s3:ListBucket`. It returns 404
    /// from the start.
    pub fn set_missing_objects_denied(&self, denied: bool) {
        self.shared().service().missing_objects_denied = denied;
    }

    /// Returns the XML of a bucket's notification configuration, byte for byte as it was written; `None` if there is none.
    pub fn notification(&self, bucket: &str) -> Option<String> {
        self.shared().service().bucket(bucket).ok()?.notification.clone()
    }

    /// Writes a bucket's notification configuration without any check. Does nothing if the bucket does not exist.
    pub fn set_notification(&self, bucket: &str, region: &str, xml: &str) {
        if let Ok(bucket) = self.shared().service().bucket_in_mut(bucket, region) {
            bucket.notification = Some(xml.to_owned());
        }
    }

    /// Sets a destination that does not allow S3 to send: configurations that name it are refused.
    pub fn refuse_destination(&self, arn: Option<&str>) {
        self.shared().service().refused_destination = arn.map(str::to_owned);
    }

    /// Sets the fault of writes of notification configurations, or removes it.
    pub fn fail_notification_writes(&self, fault: Option<AwsFault>) {
        self.set_operation_fault(Operation::PutBucketNotification.name(), fault);
    }

    /// Sets the fault of all listings, or removes it.
    pub fn set_listing_fault(&self, fault: Option<ListingFault>) {
        self.shared().service().listing_fault = fault;
    }

    /// Has another client write this notification configuration right after the next one is read.
    pub fn write_notification_after_next_read(&self, xml: &str) {
        self.shared().service().rival_after_read = Some(xml.to_owned());
    }

    /// Has another client write this notification configuration right after the next one is written.
    pub fn write_notification_after_next_write(&self, xml: &str) {
        self.shared().service().rival_after_write = Some(xml.to_owned());
    }
}
