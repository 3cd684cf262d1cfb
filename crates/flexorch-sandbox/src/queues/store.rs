//! All queues: their names, URLs and ARNs, and the changes of messages' visibility. Pure.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::Notify;

use super::{
    super::{aws::signature::ACCOUNT, clock::Moment},
    error::SqsError,
    message::Draft,
    queue::{Message, Queue},
};

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message's id.
    pub id: String,
    /// The body.
    pub body: String,
    /// The values of the message attributes by their names; the Base64 of binary data.
    pub attributes: BTreeMap<String, String>,
    /// The group that it was sent in, if any.
    pub group: Option<String>,
    /// Its deduplication id, if it has one.
    pub deduplication_id: Option<String>,
    /// When it was sent.
    pub sent_at: SystemTime,
    /// How often it was received.
    pub receive_count: u32,
    /// Whether a receiver has it, so that it is hidden from others.
    pub in_flight: bool,
}

/// A visibility timeout that was set, alone or in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityChange {
    /// The queue's name.
    pub queue: String,
    /// The message's receipt handle.
    pub receipt_handle: String,
    /// How long the message stays hidden from then on, in seconds.
    pub seconds: u64,
}

/// The state of SQS: all queues, by name.
#[derive(Debug)]
pub struct Store {
    queues: BTreeMap<String, Queue>,
    messages_made: u64,
    /// The changes that succeeded, oldest first.
    pub(super) visibility_changes: Vec<VisibilityChange>,
    /// Whether receipt handles that no queue issued are accepted.
    pub(super) lenient_handles: bool,
    /// Wakes the receivers that wait: a message may have been sent, or become visible.
    pub(super) changed: Arc<Notify>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            messages_made: 0,
            visibility_changes: Vec::new(),
            lenient_handles: true,
            changed: Arc::default(),
        }
    }
}

/// Returns the ARN of a queue in a region.
pub(super) fn arn(name: &str, region: &str) -> String {
    format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}")
}

/// Returns the URL of a queue at an address, `127.0.0.1:9324`.
pub(super) fn url(host: &str, name: &str) -> String {
    format!("http://{host}/{ACCOUNT}/{name}")
}

/// Returns the name in a queue's URL, whatever its host; `None` if it is another account's.
pub(super) fn name_in_url(url: &str) -> Option<&str> {
    let (rest, name) = url.rsplit_once('/')?;
    rest.strip_suffix(ACCOUNT)?.ends_with('/').then_some(name)
}

/// Returns a message's id, in the form of a UUID.
pub(super) fn message_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

impl Store {
    /// Creates a queue, unless it exists.
    pub(super) fn create(&mut self, name: &str, now: Moment) {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.to_owned(), Queue::new(name.to_owned(), now));
        }
    }

    /// Returns the queue of this name.
    pub(super) fn queue(&self, name: &str) -> Result<&Queue, SqsError> {
        self.queues.get(name).ok_or_else(SqsError::no_such_queue)
    }

    /// Returns the queue of this name for a change.
    pub(super) fn queue_mut(&mut self, name: &str) -> Result<&mut Queue, SqsError> {
        self.queues.get_mut(name).ok_or_else(SqsError::no_such_queue)
    }

    /// Returns the names of the queues whose dead-letter queue is the one of this name.
    pub(super) fn dead_letter_sources(&self, name: &str) -> Result<Vec<&str>, SqsError> {
        self.queue(name)?;
        let is_source = |queue: &Queue| queue.redrive.as_ref().is_some_and(|(dead_letters, _)| dead_letters == name);
        Ok(self.queues.iter().filter(|(_, queue)| is_source(queue)).map(|(name, _)| name.as_str()).collect())
    }

    /// Sends a message and returns its id.
    pub(super) fn send(&mut self, name: &str, draft: Draft, now: Moment) -> Result<String, SqsError> {
        let queue = self.queues.get_mut(name).ok_or_else(SqsError::no_such_queue)?;
        self.messages_made += 1;
        queue.send(self.messages_made, draft, now);
        Ok(message_id(self.messages_made))
    }

    /// Deletes a queue's messages that are too old, and moves those that were received too often to its dead-letter queue.
    pub(super) fn expire(&mut self, name: &str, now: Moment) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        queue.expire(now);
        let given_up = queue.give_up(now);
        let dead_letters = queue.redrive.as_ref().map(|(dead_letters, _)| dead_letters.clone());
        if let Some(dead_letters) = dead_letters.and_then(|name| self.queues.get_mut(&name)) {
            given_up.into_iter().for_each(|(number, message)| dead_letters.take_over(number, message));
        }
    }

    /// Deletes a message.
    pub(super) fn delete(&mut self, name: &str, handle: &str) -> Result<(), SqsError> {
        let lenient = self.lenient_handles;
        self.queue_mut(name)?.delete(handle, lenient)
    }

    /// Sets when a message becomes visible again, and records that.
    pub(super) fn change_visibility(
        &mut self,
        name: &str,
        handle: &str,
        hide_for: Duration,
        now: Moment,
    ) -> Result<(), SqsError> {
        let lenient = self.lenient_handles;
        self.queue_mut(name)?.change_visibility(handle, hide_for, lenient, now)?;
        let seconds = hide_for.as_secs();
        let change = VisibilityChange { queue: name.to_owned(), receipt_handle: handle.to_owned(), seconds };
        self.visibility_changes.push(change);
        Ok(())
    }

    /// Returns a queue's messages, visible or not, oldest first; none if there is no such queue.
    pub(super) fn messages(&self, name: &str, now: Moment) -> Vec<StoredMessage> {
        let messages = self.queues.get(name).into_iter().flat_map(Queue::messages);
        messages.map(|(number, message)| stored(number, message, now)).collect()
    }
}

fn stored(number: u64, message: &Message, now: Moment) -> StoredMessage {
    let Draft { body, attributes, group, .. } = &message.draft;
    StoredMessage {
        id: message_id(number),
        body: body.clone(),
        attributes: attributes.iter().map(|(name, attribute)| (name.clone(), attribute.text())).collect(),
        group: group.id.clone(),
        deduplication_id: group.deduplication_id.clone(),
        sent_at: UNIX_EPOCH + message.sent.since(Moment::from_epoch(Duration::ZERO)),
        receive_count: message.receives,
        in_flight: message.is_in_flight(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_epoch(Duration::from_secs(1_700_000_000));

    #[test]
    fn a_queues_url_may_have_any_host_but_only_this_account() {
        assert_eq!(name_in_url(&url("127.0.0.1:1", "retry")), Some("retry"));
        assert_eq!(name_in_url("https://sqs.eu-west-1.amazonaws.com/123456789012/retry"), Some("retry"));
        for other in ["https://sqs.eu-west-1.amazonaws.com/1/retry", "http://127.0.0.1/9123456789012/retry", "retry"] {
            assert_eq!(name_in_url(other), None, "{other}");
        }
    }

    #[test]
    fn changes_are_recorded_when_they_succeed() {
        let mut store = Store::default();
        store.create("retry", NOW);
        store.change_visibility("retry", "made-up", Duration::from_secs(60), NOW).unwrap();
        store.lenient_handles = false;
        assert!(store.change_visibility("retry", "made-up", Duration::from_secs(61), NOW).is_err());
        assert!(store.change_visibility("other", "made-up", Duration::from_secs(62), NOW).is_err());
        let seconds: Vec<u64> = store.visibility_changes.iter().map(|change| change.seconds).collect();
        assert_eq!(seconds, [60]);
    }

    #[test]
    fn an_existing_queue_keeps_its_messages_when_it_is_created_again() {
        let mut store = Store::default();
        store.create("retry", NOW);
        store.send("retry", Draft::read(Some("a".to_owned()), BTreeMap::new(), None).unwrap(), NOW).unwrap();
        store.create("retry", NOW);
        let messages = store.messages("retry", NOW);
        assert_eq!((messages.len(), messages[0].receive_count, messages[0].in_flight), (1, 0, false));
        assert!(store.messages("other", NOW).is_empty());
    }
}
