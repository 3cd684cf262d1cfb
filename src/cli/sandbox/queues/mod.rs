//! An Amazon SQS endpoint on loopback that the AWS SDKs take for the real one.
//!
//! One endpoint stands for all regions: a queue is there in each, and the log of calls keeps the region that a call was
//! signed for. Signatures are not checked, but there must be one. Standard queues only.
//!
//! | module | its job |
//! | --- | --- |
//! | `wire` | HTTP, faults, long polls |
//! | `event_source` | Lambda's poller: events, and what it does with their responses |
//! | `operation`, `batch` | from a call's JSON to its answer's |
//! | `store`, `queue` | the queues, and one queue's messages over time |
//! | `message`, `attribute` | what a message may hold, and its MD5s |
//! | `error` | SQS's names for what is wrong |

mod attribute;
mod batch;
mod error;
mod event_source;
mod message;
mod operation;
mod queue;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use self::{attribute::AttributeInput, message::Draft, store::Store};
use super::{
    aws_fault::{AwsFault, Calls},
    aws_signature::ACCOUNT,
    clock::{Clock, Moment},
    options::SandboxError,
    server::Server,
};

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message's id.
    pub id: String,
    /// The body.
    pub body: String,
    /// The message attributes' values by their names; of binary data, its Base64.
    pub attributes: BTreeMap<String, String>,
    /// When it was sent.
    pub sent_at: SystemTime,
    /// How often it was received.
    pub receive_count: u32,
    /// Whether a receiver has it at the moment, so that others do not see it.
    pub in_flight: bool,
}

/// A visibility timeout that was set, by itself or in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityChange {
    /// The queue's name.
    pub queue: String,
    /// The message's receipt handle.
    pub receipt_handle: String,
    /// How long the message stays hidden from then on.
    pub seconds: u64,
}

/// One call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCall {
    /// The operation, `SendMessageBatch` for example.
    pub operation: String,
    /// The queue's name; empty where the call names none of this account.
    pub queue: String,
    /// How many entries it has; 1 where it is not about a batch.
    pub entries: usize,
    /// The region that the call was signed for.
    pub region: String,
}

/// Running queues. Dropped, they stop in the background.
#[derive(Debug)]
pub struct Queues {
    server: Server,
    shared: Shared,
}

/// What the calls share.
#[derive(Clone, Debug)]
struct Shared {
    state: Arc<Mutex<State>>,
    /// Wakes the receivers that wait: a message may have come, or come back.
    changed: Arc<Notify>,
    clock: Clock,
    /// Milliseconds that were skipped.
    skipped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    calls: Calls<QueueCall>,
}

impl Shared {
    fn now(&self) -> Moment {
        self.clock.now() + Duration::from_millis(self.skipped.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// Starts the endpoint on 127.0.0.1, without queues; 0 takes any free port.
    ///
    /// # Errors
    ///
    /// Where the port cannot be bound.
    pub async fn start(port: u16) -> Result<Self, SandboxError> {
        let shared =
            Shared { state: Arc::default(), changed: Arc::default(), clock: Clock::start(), skipped: Arc::default() };
        let for_server = shared.clone();
        let server = Server::start(port, |stop| wire::router(for_server, stop)).await?;
        Ok(Self { server, shared })
    }

    /// What `AWS_ENDPOINT_URL_SQS` is set to.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Creates a queue, unless it is there, and says its URL, `http://127.0.0.1:9324/123456789012/NAME`.
    pub fn create(&self, name: &str) -> String {
        let now = self.shared.now();
        self.shared.lock().store.create(name, now);
        self.url(name)
    }

    /// The URL that a queue of this name has, whether or not it is there.
    pub fn url(&self, name: &str) -> String {
        store::url(&self.server.address().to_string(), name)
    }

    /// The ARN that a queue of this name has in a region, whether or not it is there.
    pub fn arn(&self, name: &str, region: &str) -> String {
        store::arn(name, region)
    }

    /// Sends a message with these text attributes, and says its id; `None` if SQS would refuse it.
    pub fn send(&self, name: &str, body: &str, attributes: &[(&str, &str)]) -> Option<String> {
        let attributes = attributes.iter().map(|(name, text)| ((*name).to_owned(), AttributeInput::text(text)));
        let draft = Draft::read(Some(body.to_owned()), attributes.collect(), None).ok()?;
        let now = self.shared.now();
        let id = self.shared.lock().store.send(name, draft, now).ok();
        self.shared.changed.notify_waiters();
        id
    }

    /// A queue's messages, visible or not, the oldest first; none where there is no such queue.
    pub fn messages(&self, name: &str) -> Vec<StoredMessage> {
        let now = self.shared.now();
        self.shared.lock().store.messages(name, now)
    }

    /// A queue's policy, byte for byte as it was set; `None` where it has none.
    pub fn policy(&self, name: &str) -> Option<String> {
        self.shared.lock().store.queue(name).ok()?.policy.clone()
    }

    /// Lets this much time pass at once.
    pub fn skip(&self, time: Duration) {
        // A whole one more, so that nothing that was to happen by then is still ahead.
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.shared.skipped.fetch_add(milliseconds, Ordering::Relaxed);
        self.shared.changed.notify_waiters();
    }

    /// In how long a message of a queue is visible: not at all if one is now. `None` if there is none.
    pub fn next_visible(&self, name: &str) -> Option<Duration> {
        let now = self.shared.now();
        let state = self.shared.lock();
        let messages = state.store.queue(name).ok()?.messages();
        messages.map(|(_, message)| message.visible_from.since(now)).min()
    }

    /// From now on, a message of this queue that has been received so often moves to the other queue instead of being received again
    /// (SQS Developer Guide, "Using dead-letter queues").
    pub fn set_redrive(&self, name: &str, dead_letters: &str, max_receives: u32) {
        if let Ok(queue) = self.shared.lock().store.queue_mut(name) {
            queue.redrive = Some((dead_letters.to_owned(), max_receives));
        }
    }

    /// How long a queue keeps a message; 4 days from the start.
    pub fn set_retention(&self, name: &str, retention: Duration) {
        if let Ok(queue) = self.shared.lock().store.queue_mut(name) {
            queue.retention = retention;
        }
    }

    /// How many messages of a queue were deleted because they were too old.
    pub fn expired(&self, name: &str) -> u64 {
        self.shared.lock().store.queue(name).map_or(0, |queue| queue.expired)
    }

    /// The visibility timeouts that were set, oldest first.
    pub fn visibility_changes(&self) -> Vec<VisibilityChange> {
        self.shared.lock().store.visibility_changes.clone()
    }

    /// The calls so far, oldest first, whatever the answer.
    pub fn calls(&self) -> Vec<QueueCall> {
        self.shared.lock().calls.so_far().to_vec()
    }

    /// Whether calls with receipt handles that no queue gave out succeed, which events made up by hand need. They do
    /// from the start; with `false` they get `ReceiptHandleIsInvalid`, as from SQS.
    pub fn set_lenient_handles(&self, lenient: bool) {
        self.shared.lock().store.lenient_handles = lenient;
    }

    /// The next `count` calls meet this fault. It takes the place of an earlier `fail_next`.
    pub fn fail_next(&self, count: u64, fault: AwsFault) {
        self.shared.lock().calls.fail_next(count, fault);
    }

    /// All calls meet this fault until it is set to `None`.
    pub fn set_fault(&self, fault: Option<AwsFault>) {
        self.shared.lock().calls.set_fault(fault);
    }

    /// All calls of one operation, `SendMessageBatch` for example, meet this fault until it is set to `None`.
    pub fn set_operation_fault(&self, operation: &str, fault: Option<AwsFault>) {
        self.shared.lock().calls.set_operation_fault(operation, fault);
    }

    /// All answers take this long, on top of a long poll's wait.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().calls.set_latency(latency);
    }

    /// Stops accepting, lets what is under way end for at most a second, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
