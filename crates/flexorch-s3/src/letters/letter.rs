//! A dead letter, read from its message. Pure.

use std::collections::HashMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use jiff::Timestamp;

use flexorch_s3_ingester::event::Invocation;
use flexorch_s3_ingester::model::codes::attribute;
use flexorch_s3_ingester::model::message::{AttributeValue, MessageAttribute, MessageGroup};
use flexorch_s3_ingester::model::object::S3Object;

/// FlexOrch's message is shortened to this many characters.
const LONGEST_MESSAGE: usize = 200;

/// The attributes with which the function explains a dead letter.
const EXPLANATIONS: [&str; 4] = [attribute::CODE, attribute::MESSAGE, attribute::CONNECTOR, attribute::CONNECTOR_ID];

/// What a plan or a list needs of a dead letter. The body is not part of it, so that memory holds thousands of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) id: String,
    /// The attribute `code`; `None` if SQS moved the message after too many receives.
    pub(crate) code: Option<String>,
    /// FlexOrch's message, or what is wrong with the message.
    pub(crate) message: Option<String>,
    /// The connector's secret.
    pub(crate) connector: Option<String>,
    /// The connector's id at FlexOrch.
    pub(crate) connector_id: Option<String>,
    /// Bucket and key of the first object that it names.
    pub(crate) object: Option<(String, String)>,
    /// How many objects it names.
    pub(crate) objects: usize,
    /// The time of the oldest event.
    pub(crate) event_time: Option<Timestamp>,
    /// When it was sent to this queue, or, in a standard queue from which SQS moved it, to that one.
    pub(crate) sent_at: Option<Timestamp>,
    /// How often it was received, this time included.
    pub(crate) receives: u64,
}

impl DeadLetter {
    /// Reads a message, and returns the objects that it names apart.
    pub(crate) fn read(message: &Message) -> (Self, Vec<S3Object>) {
        let text = |name: &str| {
            let value = message.message_attributes()?.get(name)?.string_value()?;
            // The function writes `-` for an empty text.
            Some(value.to_owned()).filter(|value| value != "-")
        };
        let body = message.body().unwrap_or_default();
        let objects = Invocation::read(body).map(|invocation| invocation.contents.objects).unwrap_or_default();
        let milliseconds = number(message, MessageSystemAttributeName::SentTimestamp);
        let first = objects.first();
        let letter = Self {
            id: message.message_id().unwrap_or_default().to_owned(),
            code: text(attribute::CODE),
            message: text(attribute::MESSAGE).map(|text| text.chars().take(LONGEST_MESSAGE).collect()),
            connector: text(attribute::CONNECTOR),
            connector_id: text(attribute::CONNECTOR_ID),
            object: first.map(|object| (object.bucket.clone(), object.key.as_str().to_owned())),
            objects: objects.len(),
            event_time: objects.iter().filter_map(S3Object::happened_at).min(),
            sent_at: milliseconds.and_then(|since| Timestamp::from_millisecond(since.try_into().ok()?).ok()),
            receives: number(message, MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or_default(),
        };
        (letter, objects)
    }

    /// Returns the time that its age is counted from.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        self.event_time.or(self.sent_at)
    }
}

/// Returns a message's attributes. One that the function wrote as a dead letter loses those that explain it: they say nothing about the
/// next attempt, and would be wrong if SQS moved the message later. Other messages keep all of them.
pub(crate) fn redriven_attributes(message: &Message) -> Vec<MessageAttribute> {
    let mut attributes = attributes(message);
    if attributes.iter().any(|attribute| attribute.name == attribute::CODE) {
        attributes.retain(|attribute| !EXPLANATIONS.contains(&attribute.name.as_str()));
    }
    attributes
}

/// Returns all attributes of a message, sorted by name.
pub(crate) fn attributes(message: &Message) -> Vec<MessageAttribute> {
    let empty = HashMap::new();
    let all = message.message_attributes().unwrap_or(&empty);
    let mut attributes: Vec<_> = all.iter().filter_map(|(name, value)| read_attribute(name, value)).collect();
    attributes.sort_by(|one, other| one.name.cmp(&other.name));
    attributes
}

fn read_attribute(name: &str, value: &MessageAttributeValue) -> Option<MessageAttribute> {
    let content = match (value.string_value(), value.binary_value()) {
        (Some(text), _) => AttributeValue::Text(text.to_owned()),
        (None, Some(bytes)) => AttributeValue::Base64(aws_smithy_types::base64::encode(bytes)),
        (None, None) => return None,
    };
    Some(MessageAttribute { name: name.to_owned(), data_type: value.data_type().to_owned(), value: content })
}

/// Returns the group of a message, if it has one. The deduplication id is kept only for a FIFO queue, as no other accepts it.
pub(crate) fn group(message: &Message, to_fifo: bool) -> Option<MessageGroup> {
    let id = system(message, MessageSystemAttributeName::MessageGroupId)?.to_owned();
    let deduplication_id = system(message, MessageSystemAttributeName::MessageDeduplicationId);
    Some(MessageGroup { id, deduplication_id: deduplication_id.filter(|_| to_fifo).map(str::to_owned) })
}

fn system(message: &Message, name: MessageSystemAttributeName) -> Option<&str> {
    message.attributes()?.get(&name).map(String::as_str)
}

fn number(message: &Message, name: MessageSystemAttributeName) -> Option<u64> {
    system(message, name)?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message with these text attributes, sent at the beginning of 2026.
    pub(crate) fn message(body: &str, attributes: &[(&str, &str)]) -> Message {
        let text =
            |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        Message::builder()
            .message_id("m-1")
            .body(body)
            .set_message_attributes(Some(attributes))
            .attributes(MessageSystemAttributeName::SentTimestamp, "1767225600000")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
            .build()
    }

    /// A notification of these keys.
    pub(crate) fn notification(keys: &[&str]) -> String {
        let record = |key: &&str| {
            serde_json::json!({"eventName": "ObjectCreated:Put", "eventTime": "2025-12-31T10:00:00Z",
                               "s3": {"bucket": {"name": "docs"}, "object": {"key": key}}})
        };
        serde_json::json!({"Records": keys.iter().map(record).collect::<Vec<_>>()}).to_string()
    }

    #[test]
    fn a_letter_of_the_function_says_why_and_about_which_object() {
        let attributes =
            [("code", "FILE_TOO_LARGE"), ("message", "too large"), ("connector", "docs"), ("connector_id", "-")];
        let (letter, _) = DeadLetter::read(&message(&notification(&["in/a+b.pdf", "in/c.pdf"]), &attributes));
        assert_eq!((letter.code.as_deref(), letter.connector.as_deref()), (Some("FILE_TOO_LARGE"), Some("docs")));
        assert_eq!((letter.connector_id, letter.objects, letter.receives), (None, 2, 3));
        assert_eq!(letter.object, Some(("docs".into(), "in/a b.pdf".into())));
        assert_eq!(letter.event_time, Some("2025-12-31T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_age_of_what_cannot_be_read_counts_from_its_sending() {
        let (letter, objects) = DeadLetter::read(&message("no event", &[("code", "UNREADABLE")]));
        assert!(objects.is_empty() && letter.object.is_none());
        assert_eq!(letter.time(), Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn only_the_functions_own_explanations_are_left_out_of_a_redriven_letter() {
        let names = |attributes: &[(&str, &str)]| {
            let attributes = redriven_attributes(&message("x", attributes));
            attributes.into_iter().map(|attribute| attribute.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[("code", "X"), ("message", "y"), ("connector", "c"), ("trace", "t")]), ["trace"]);
        assert_eq!(names(&[("connector", "c"), ("message", "y")]), ["connector", "message"]);
    }
}
