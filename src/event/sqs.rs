//! SQS: a batch of messages, each with a notice inside, and the partial answer that brings back only what has to come back.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire;
use super::{Contents, UnknownEvent, read_notice};
use crate::object::Origin;

/// The messages of one invocation, in their order: a message's position is the [`Origin`] of its objects.
#[derive(Debug)]
pub struct Batch {
    /// The queue's ARN.
    pub queue_arn: Option<String>,
    /// The messages.
    pub messages: Vec<Message>,
}

/// One message, without its body.
#[derive(Debug)]
pub struct Message {
    /// What the answer names it by.
    pub id: Option<String>,
    /// What its visibility is changed by.
    pub receipt_handle: Option<String>,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// The message could not be read.
    pub unreadable: Option<Unreadable>,
}

/// A message that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong with it: fields, never contents.
    pub reason: String,
    /// The body as it came, to be moved aside.
    pub body: String,
}

/// The one field that is needed of a message that is not even a message.
#[derive(Deserialize)]
struct MessageId<'a> {
    #[serde(rename = "messageId", borrow)]
    id: Option<&'a RawValue>,
}

impl Batch {
    /// Reads the messages and what is inside them. One that cannot be read is marked and does not touch the others.
    pub(super) fn read(records: &RawValue, contents: &mut Contents) -> Result<Self, UnknownEvent> {
        let mut batch = Self { queue_arn: None, messages: Vec::new() };
        wire::for_each_item(records, |raw| {
            let origin = Origin(u32::try_from(batch.messages.len()).unwrap_or(u32::MAX));
            let message = match serde_json::from_str::<SqsMessage>(raw.get()) {
                Ok(message) => batch.read_message(message, origin, contents),
                Err(_) => Message {
                    id: serde_json::from_str::<MessageId<'_>>(raw.get())
                        .ok()
                        .and_then(|message| Some(wire::text(message.id?)?.into_owned())),
                    receipt_handle: None,
                    receive_count: 1,
                    unreadable: Some(Unreadable {
                        reason: format!(
                            "it is not of an SQS message's shape; its fields are: {}",
                            wire::field_names(raw.get())
                        ),
                        body: raw.get().to_owned(),
                    }),
                },
            };
            batch.messages.push(message);
        })
        .map_err(|_| UnknownEvent::Malformed { kind: "an SQS event", reason: "`Records` is not a list".into() })?;
        Ok(batch)
    }

    fn read_message(&mut self, message: SqsMessage, origin: Origin, contents: &mut Contents) -> Message {
        if self.queue_arn.is_none() {
            self.queue_arn = message.event_source_arn;
        }
        let receive_count =
            message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
        let body = message.body.unwrap_or_default();
        let seen = (contents.objects.len(), contents.unreadable.len(), contents.reconciles.len());
        let unreadable = read_notice(&body, origin, 0, contents).err().map(|error| {
            // What was read before the fault is delivered again, or moved aside, with the whole message.
            contents.objects.truncate(seen.0);
            contents.unreadable.truncate(seen.1);
            contents.reconciles.truncate(seen.2);
            Unreadable { reason: error.to_string(), body }
        });
        Message { id: message.message_id, receipt_handle: message.receipt_handle, receive_count, unreadable }
    }

    /// The answer: the messages that have to come back, and no others. `None` where one of them has no id to name it by, so
    /// that only failing the whole batch brings it back (Lambda Developer Guide, "Handling errors for an SQS event source").
    #[must_use]
    pub fn answer(&self, comes_back: impl Fn(Origin) -> bool) -> Option<SqsBatchResponse> {
        let mut response = SqsBatchResponse::default();
        for (position, message) in (0..).zip(&self.messages) {
            if comes_back(Origin(position)) {
                response.add_failure(message.id.clone()?);
            }
        }
        Some(response)
    }
}
