//! An Amazon SQS endpoint on loopback that the AWS SDKs can use.
//!
//! A queue exists in every region. Standard queues only.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | recorded calls, faults, long polls |
//! | `input` | the JSON of a call |
//! | `operation`, `batch` | from a call's JSON to its response's |
//! | `store`, `queue` | the queues, and one queue's messages over time |
//! | `message`, `attribute`, `check` | what a message may hold, and its MD5s |
//! | `error` | SQS's names of errors |

mod attribute;
mod batch;
mod check;
mod error;
mod input;
mod message;
mod operation;
mod queue;
mod service;
mod store;
#[cfg(test)]
mod tests;

use self::store::Store;
pub use self::{
    service::QueueCall,
    store::{StoredMessage, VisibilityChange},
};
use super::aws::endpoint::AwsEndpoint;

/// A running SQS endpoint. It stops in the background when it is dropped.
pub type Queues = AwsEndpoint<Store>;

impl Queues {
    /// Creates a queue, unless it exists, and returns its URL, `http://127.0.0.1:9324/123456789012/NAME`.
    pub fn create(&self, name: &str) -> String {
        let now = self.shared().clock.now();
        self.shared().service().create(name, now);
        self.url(name)
    }

    /// Returns the URL of a queue of this name, whether or not it exists.
    pub fn url(&self, name: &str) -> String {
        store::url(&self.address(), name)
    }

    /// Returns the ARN of a queue of this name in a region, whether or not it exists.
    pub fn arn(&self, name: &str, region: &str) -> String {
        store::arn(name, region)
    }

    /// Returns a queue's messages, visible or not, oldest first; none if there is no such queue.
    pub fn messages(&self, name: &str) -> Vec<StoredMessage> {
        let now = self.shared().clock.now();
        self.shared().service().messages(name, now)
    }

    /// Returns a queue's policy, byte for byte as it was set; `None` if it has none.
    pub fn policy(&self, name: &str) -> Option<String> {
        self.shared().service().queue(name).ok()?.policy.clone()
    }

    /// Returns the visibility timeouts that were set, oldest first.
    pub fn visibility_changes(&self) -> Vec<VisibilityChange> {
        self.shared().service().visibility_changes.clone()
    }

    /// Sets whether calls with receipt handles that no queue issued succeed, which events written by hand need. They do from the
    /// start. With `false` they fail with `ReceiptHandleIsInvalid`, as with SQS.
    pub fn set_lenient_handles(&self, lenient: bool) {
        self.shared().service().lenient_handles = lenient;
    }
}
