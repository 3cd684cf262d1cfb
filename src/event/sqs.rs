//! SQS: a batch of messages, each with a notice inside, and the partial batch response that names the messages to return.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::SqsBatchResponse;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire;
use super::{Contents, UnknownEvent, read_notice};
use crate::model::message::{AttributeValue, MessageAttribute};
use crate::model::object::Origin;

/// The messages of one invocation, in their order: a message's position is the [`Origin`] of its objects.
#[derive(Debug)]
pub struct Batch {
    /// The queue's ARN.
    pub queue_arn: Option<String>,
    /// The messages, in the event's order.
    pub messages: Vec<Message>,
}

/// One message, without its body.
#[derive(Debug, Default)]
pub struct Message {
    /// The message id, which the response names; `None` if the message has none.
    pub id: Option<String>,
    /// The receipt handle, for changing the message's visibility timeout.
    pub receipt_handle: Option<String>,
    /// The number of receives, including this one (`ApproximateReceiveCount`).
    pub receive_count: u32,
    /// When it was sent to the queue, if the event says so.
    pub sent: Option<SystemTime>,
    /// Why the message cannot be read; `None` if it can.
    pub unreadable: Option<Unreadable>,
}

/// A message that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong with it: names of fields, never contents.
    pub reason: String,
    /// The body, unchanged, for the dead-letter queue.
    pub body: String,
}

/// The fields of a message that are used. `aws_lambda_events` has a type with all of it, which copies every attribute of every
/// message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMessage<'a> {
    #[serde(borrow)]
    message_id: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
    #[serde(borrow)]
    body: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Option<Attributes<'a>>,
    #[serde(borrow, rename = "eventSourceARN")]
    event_source_arn: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow, rename = "ApproximateReceiveCount")]
    receive_count: Option<Text<'a>>,
    #[serde(borrow, rename = "SentTimestamp")]
    sent: Option<Text<'a>>,
}

/// A message as it was received, for sending it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Original {
    /// The body.
    pub body: String,
    /// Its message attributes; `None` if one of them cannot be read, so that a copy would lack it.
    pub attributes: Option<Vec<MessageAttribute>>,
}

/// What a copy needs of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOriginal<'a> {
    #[serde(borrow)]
    body: Option<Text<'a>>,
    #[serde(borrow)]
    message_attributes: Option<&'a RawValue>,
}

/// A message attribute in an event (Lambda Developer Guide, "Using Lambda with Amazon SQS"). The lists of values that events have
/// are reserved and never filled (SQS API Reference, `MessageAttributeValue`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAttribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

/// The only field that is needed of an item that is not a message.
#[derive(Deserialize)]
struct MessageId<'a> {
    #[serde(rename = "messageId", borrow)]
    id: Option<&'a RawValue>,
}

impl Message {
    /// Returns the message for an item that does not have a message's shape.
    fn unreadable(raw: &str) -> Self {
        let id = serde_json::from_str::<MessageId<'_>>(raw).ok().and_then(|message| wire::text(message.id?));
        Self {
            id: id.map(std::borrow::Cow::into_owned),
            receipt_handle: None,
            receive_count: 1,
            sent: None,
            unreadable: Some(Unreadable {
                reason: format!(
                    "it does not have the shape of an SQS message; its fields are: {}",
                    wire::field_names(raw)
                ),
                body: raw.to_owned(),
            }),
        }
    }
}

impl Batch {
    /// Reads the messages and their contents. An unreadable message is marked and does not affect the others.
    pub(super) fn read(records: &str, contents: &mut Contents) -> Result<Self, UnknownEvent> {
        if let Some(batch) = Self::read_well_formed(records, contents) {
            return Ok(batch);
        }
        // An item does not have a message's shape: read them again, each with its own text.
        let mut batch = Self { queue_arn: None, messages: Vec::new() };
        wire::for_each_item(records, |raw: &RawValue| match serde_json::from_str(raw.get()) {
            Ok(message) => batch.push(message, contents),
            Err(_) => batch.messages.push(Message::unreadable(raw.get())),
        })
        .map_err(|_| UnknownEvent::Malformed { kind: "an SQS event", reason: "`Records` is not a list".into() })?;
        Ok(batch)
    }

    /// Reads the messages and their contents if every item of the list has a message's shape; otherwise nothing is added.
    pub(super) fn read_well_formed(records: &str, contents: &mut Contents) -> Option<Self> {
        let mut batch = Self { queue_arn: None, messages: Vec::new() };
        let well_formed = wire::for_each_item(records, |message: WireMessage<'_>| batch.push(message, contents));
        if well_formed.is_err() {
            *contents = Contents::default();
            return None;
        }
        Some(batch)
    }

    fn push(&mut self, message: WireMessage<'_>, contents: &mut Contents) {
        let origin = Origin(u32::try_from(self.messages.len()).unwrap_or(u32::MAX));
        let message = self.read_message(message, origin, contents);
        self.messages.push(message);
    }

    fn read_message(&mut self, message: WireMessage<'_>, origin: Origin, contents: &mut Contents) -> Message {
        if self.queue_arn.is_none() {
            self.queue_arn = message.event_source_arn.map(Into::into);
        }
        let (receive_count, sent) = match message.attributes {
            Some(Attributes { receive_count, sent }) => (receive_count, sent),
            None => (None, None),
        };
        let milliseconds = sent.and_then(|text| text.0.parse().ok()).map(Duration::from_millis);
        let body = message.body.map(|body| body.0).unwrap_or_default();
        let read = contents.all_or_nothing(|contents| read_notice(&body, origin, 0, contents));
        let unreadable = read.err().map(|error| Unreadable { reason: error.to_string(), body: body.into_owned() });
        Message {
            id: message.message_id.map(Into::into),
            receipt_handle: message.receipt_handle.map(Into::into),
            receive_count: receive_count.and_then(|text| text.0.parse().ok()).unwrap_or(1),
            sent: milliseconds.and_then(|since_epoch| SystemTime::UNIX_EPOCH.checked_add(since_epoch)),
            unreadable,
        }
    }

    /// Builds the response, which names the messages that have to return and no others. `None` if one of them has no id, so that
    /// only failing the whole batch returns it (Lambda Developer Guide, "Handling errors for an SQS event source").
    #[must_use]
    pub(crate) fn answer(&self, comes_back: impl Fn(Origin) -> bool) -> Option<SqsBatchResponse> {
        let mut response = SqsBatchResponse::default();
        for (position, message) in (0..).zip(&self.messages) {
            if comes_back(Origin(position)) {
                response.add_failure(message.id.clone()?);
            }
        }
        Some(response)
    }

    /// Whether messages can be sent to the queue that these came from: it is known, and a standard one. A FIFO queue's order would
    /// not survive a copy.
    #[must_use]
    pub(crate) fn queue_for_copies(&self) -> Option<&str> {
        self.queue_arn.as_deref().filter(|arn| !arn.ends_with(".fifo"))
    }
}

/// Reads those messages of an SQS event, by their positions, that are to be sent again. Bodies and attributes are not kept when the
/// event is read: hardly ever is one needed.
#[must_use]
pub(crate) fn originals(payload: &str, wanted: &BTreeSet<Origin>) -> BTreeMap<Origin, Original> {
    let mut originals = BTreeMap::new();
    let mut position = 0;
    let Some(records) = super::kind_of(payload).ok().and_then(|kind| kind.records) else { return originals };
    // What is no list has no messages: the event was read before.
    let _ = wire::for_each_item(records.get(), |raw: &RawValue| {
        let origin = Origin(position);
        position += 1;
        if !wanted.contains(&origin) {
            return;
        }
        if let Ok(message) = serde_json::from_str::<WireOriginal<'_>>(raw.get()) {
            let attributes = attributes(message.message_attributes);
            let body = message.body.map(Into::into).unwrap_or_default();
            originals.insert(origin, Original { body, attributes });
        }
    });
    originals
}

fn attributes(raw: Option<&RawValue>) -> Option<Vec<MessageAttribute>> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Some(Vec::new()) };
    let attributes: BTreeMap<String, WireAttribute> = serde_json::from_str(raw.get()).ok()?;
    attributes
        .into_iter()
        .map(|(name, attribute)| {
            let is_binary = attribute.data_type.split('.').next() == Some("Binary");
            let value = if is_binary {
                AttributeValue::Base64(attribute.binary_value?)
            } else {
                AttributeValue::Text(attribute.string_value?)
            };
            Some(MessageAttribute { name, data_type: attribute.data_type, value })
        })
        .collect()
}

impl Original {
    /// The records of this message that cannot be read, in their order.
    #[must_use]
    pub(crate) fn unreadable_records(&self) -> Vec<String> {
        let mut contents = Contents::default();
        match read_notice(&self.body, Origin::default(), 0, &mut contents) {
            Ok(()) => contents.unreadable.into_iter().map(|record| record.record).collect(),
            Err(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_none_is_marked_by_its_id_and_the_others_are_read_once() {
        let body = |key: &str| {
            let notice = format!(
                r#"{{"Records":[{{"eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}"}}}}}}]}}"#
            );
            serde_json::to_string(&notice).unwrap()
        };
        let records = format!(
            r#"[{{"messageId":"m-0","body":{}}},{{"messageId":"m-1","body":7}},"x",{{"messageId":"m-3","body":{}}}]"#,
            body("a"),
            body("c")
        );
        let records: Box<RawValue> = serde_json::from_str(&records).unwrap();
        let mut contents = Contents::default();
        let batch = Batch::read(records.get(), &mut contents).unwrap();
        let ids: Vec<_> = batch.messages.iter().map(|message| message.id.as_deref()).collect();
        assert_eq!(ids, [Some("m-0"), Some("m-1"), None, Some("m-3")]);
        let unreadable: Vec<_> = batch.messages.iter().map(|message| message.unreadable.is_some()).collect();
        assert_eq!(unreadable, [false, true, true, false]);
        let objects: Vec<_> = contents.objects.iter().map(|object| (object.key.as_str(), object.origin.0)).collect();
        assert_eq!(objects, [("a", 0), ("c", 3)]);
        // A message without an id can only return with the whole batch.
        assert!(batch.answer(|origin| origin.0 == 2).is_none());
        assert_eq!(batch.answer(|origin| origin.0 == 1).unwrap().batch_item_failures[0].item_identifier, "m-1");
    }

    #[test]
    fn a_message_is_read_again_as_it_was_received() {
        let event = r#"{"Records":[
            {"messageId":"m-0","eventSource":"aws:sqs","body":"zero"},
            {"messageId":"m-1","body":"one \"1\" \u00fc","attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000123"},
             "messageAttributes":{
                "code":{"stringValue":"X","stringListValues":[],"binaryListValues":[],"dataType":"String"},
                "count":{"stringValue":"-1.5","dataType":"Number.of"},
                "raw":{"binaryValue":"AAEC","dataType":"Binary"}}},
            {"messageId":"m-2","body":"two","messageAttributes":{"odd":{"dataType":"String"}}},
            7]}"#;
        let wanted = [1, 2, 3, 9].map(Origin).into();
        let originals = originals(event, &wanted);
        assert_eq!(originals.keys().copied().collect::<Vec<_>>(), [Origin(1), Origin(2)]);
        let one = &originals[&Origin(1)];
        assert_eq!(one.body, "one \"1\" ü");
        let text = |name: &str, data_type: &str, value: &str| MessageAttribute {
            name: name.into(),
            data_type: data_type.into(),
            value: AttributeValue::Text(value.into()),
        };
        let raw = MessageAttribute {
            name: "raw".into(),
            data_type: "Binary".into(),
            value: AttributeValue::Base64("AAEC".into()),
        };
        let expected = [text("code", "String", "X"), text("count", "Number.of", "-1.5"), raw];
        assert_eq!(one.attributes.as_deref(), Some(&expected[..]));
        assert_eq!(originals[&Origin(2)].attributes, None, "a copy without the attribute would not be one");
        let super::super::Invocation { carrier: super::super::Carrier::Queue(batch), .. } =
            super::super::Invocation::read(event).unwrap()
        else {
            panic!("no batch")
        };
        let sent = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!((batch.messages[1].receive_count, batch.messages[1].sent), (3, Some(sent)));
        assert_eq!((batch.messages[0].receive_count, batch.messages[0].sent), (1, None));
    }

    #[test]
    fn the_records_that_cannot_be_read_are_found_in_the_original() {
        let body = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}, {"x": 1}, 5]}"#;
        let original = Original { body: body.into(), attributes: None };
        assert_eq!(original.unreadable_records(), [r#"{"x": 1}"#, "5"]);
        assert!(Original { body: "no json".into(), attributes: None }.unreadable_records().is_empty());
    }
}
