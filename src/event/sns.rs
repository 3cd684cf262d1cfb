//! SNS: an invocation by a subscription, and the envelope that SNS puts around a message for a queue.
//!
//! Own types, because those of `aws_lambda_events` require the signature's fields, which nothing here uses: Lambda and SQS
//! have authenticated the sender already.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{self, text};
use super::{Contents, UnknownEvent, read_notice};
use crate::model::object::Origin;

/// The `Type` of an envelope that carries a message (SNS Developer Guide, "Amazon SNS message and JSON formats").
pub(super) const NOTIFICATION: &str = "Notification";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "Sns", borrow)]
    sns: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "Message", borrow)]
    message: Option<&'a RawValue>,
}

/// Reads the records of an SNS invocation. An unreadable record does not affect the others.
pub(super) fn read(records: &RawValue, origin: Origin, depth: u8, contents: &mut Contents) -> Result<(), UnknownEvent> {
    wire::for_each_item(records.get(), |raw: &RawValue| {
        let record: Option<Record<'_>> = serde_json::from_str(raw.get()).ok();
        let read = match record.and_then(|record| record.sns?.message) {
            Some(message) => read_envelope(message, origin, depth, contents),
            None => Err(malformed("the record has no field `Sns.Message`")),
        };
        if let Err(error) = read {
            contents.add_unreadable(origin, raw, || error.to_string());
        }
    })
    .map_err(|_| malformed("`Records` is not a list"))
}

/// Reads the `Message` of an envelope: JSON in a string.
pub(super) fn read_envelope(
    message: &RawValue,
    origin: Origin,
    depth: u8,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    let message = text(message).ok_or_else(|| malformed("its `Message` is not text"))?;
    read_notice(&message, origin, depth + 1, contents)
}

fn malformed(reason: &str) -> UnknownEvent {
    UnknownEvent::Malformed { kind: "an SNS notification", reason: reason.to_owned() }
}
