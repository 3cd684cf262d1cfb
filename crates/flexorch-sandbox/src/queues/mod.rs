//! An Amazon SQS endpoint on loopback that the AWS SDKs can use.
//!
//! A queue exists in every region. Standard queues only.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | recorded calls, faults, long polls |
//! | `event_source` | Lambda's poller: its events, and what it does with the function's responses |
//! | `input` | the JSON of a call |
//! | `operation`, `batch` | from a call's JSON to its response's |
//! | `store`, `queue` | the queues, and one queue's messages over time |
//! | `message`, `attribute`, `check` | what a message may hold, and its MD5s |
//! | `error` | SQS's names of errors |

mod attribute;
mod batch;
mod check;
mod error;
mod event_source;
mod input;
mod message;
mod operation;
mod queue;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use self::{
    attribute::AttributeInput,
    message::{Draft, Group},
    store::Store,
};
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
        let now = self.shared().now();
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

    /// Sends a message with these text attributes, and returns its id; `None` if SQS would refuse it.
    pub fn send(&self, name: &str, body: &str, attributes: &[(&str, &str)]) -> Option<String> {
        let attributes = attributes.iter().map(|(name, text)| ((*name).to_owned(), AttributeInput::text(text)));
        self.send_draft(name, Draft::read(Some(body.to_owned()), attributes.collect(), None).ok()?)
    }

    /// Sends a message in a group, with a deduplication id, and returns its id; `None` if SQS would refuse it.
    pub fn send_in_group(&self, name: &str, body: &str, group: &str, deduplication_id: &str) -> Option<String> {
        let mut draft = Draft::read(Some(body.to_owned()), BTreeMap::new(), None).ok()?;
        draft.group = Group { id: Some(group.to_owned()), deduplication_id: Some(deduplication_id.to_owned()) };
        self.send_draft(name, draft)
    }

    fn send_draft(&self, name: &str, draft: Draft) -> Option<String> {
        let now = self.shared().now();
        let mut store = self.shared().service();
        let id = store.send(name, draft, now).ok();
        store.changed.notify_waiters();
        id
    }

    /// Lets this much time pass immediately.
    pub fn skip(&self, time: Duration) {
        self.shared().skip(time);
        self.shared().service().changed.notify_waiters();
    }

    /// Returns how long it takes until a message of a queue is visible: no time if one is now; `None` if there is none.
    pub fn next_visible(&self, name: &str) -> Option<Duration> {
        let now = self.shared().now();
        let store = self.shared().service();
        let messages = store.queue(name).ok()?.messages();
        messages.map(|(_, message)| message.visible_from.since(now)).min()
    }

    /// Moves a message of this queue to the other queue once it has been received this often, instead of delivering it again (SQS
    /// Developer Guide, "Using dead-letter queues").
    pub fn set_redrive(&self, name: &str, dead_letters: &str, max_receives: u32) {
        if let Ok(queue) = self.shared().service().queue_mut(name) {
            queue.redrive = Some((dead_letters.to_owned(), max_receives));
        }
    }

    /// Sets a tag of a queue.
    pub fn set_tag(&self, name: &str, tag: &str, value: &str) {
        if let Ok(queue) = self.shared().service().queue_mut(name) {
            queue.tags.insert(tag.to_owned(), value.to_owned());
        }
    }

    /// Sets how long a queue keeps a message: 4 days from the start.
    pub fn set_retention(&self, name: &str, retention: Duration) {
        if let Ok(queue) = self.shared().service().queue_mut(name) {
            queue.retention = retention;
        }
    }

    /// Returns how many messages of a queue were deleted because they were too old.
    pub fn expired(&self, name: &str) -> u64 {
        self.shared().service().queue(name).map_or(0, |queue| queue.expired)
    }

    /// Returns a queue's messages, visible or not, oldest first; none if there is no such queue.
    pub fn messages(&self, name: &str) -> Vec<StoredMessage> {
        let now = self.shared().now();
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
