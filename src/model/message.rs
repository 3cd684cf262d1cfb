//! A queue's message, as far as it is sent again.

use std::time::Duration;

/// No message can be sent for later than this (SQS API Reference, `SendMessage`, `DelaySeconds`).
pub const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// A message attribute of SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAttribute {
    /// Its name.
    pub name: String,
    /// `String`, `Number` or `Binary`, with a label of the sender's after a dot (SQS Developer Guide, "Message attributes").
    pub data_type: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The group that a message belongs to: its order in a FIFO queue, or its tenant in a standard one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageGroup {
    /// `MessageGroupId`.
    pub id: String,
    /// `MessageDeduplicationId`, which only FIFO queues accept.
    pub deduplication_id: Option<String>,
}

/// The value of a message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text, a number's digits included.
    Text(String),
    /// Bytes, in Base64.
    Base64(String),
}

impl MessageAttribute {
    /// The bytes that it counts for in a message's size, or a few more.
    #[must_use]
    pub fn size(&self) -> usize {
        let (AttributeValue::Text(value) | AttributeValue::Base64(value)) = &self.value;
        self.name.len() + self.data_type.len() + value.len()
    }
}
