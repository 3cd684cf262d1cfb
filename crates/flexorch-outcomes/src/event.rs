//! The events that the function accepts.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::webhook::Request;

/// The source of the records of an SQS batch (Lambda Developer Guide, "Using Lambda with Amazon SQS").
const SQS: &str = "aws:sqs";

/// The event that orders a sweep, as a schedule sends it.
pub const SWEEP_ORDER: &str = r#"{"sweep": {}}"#;

/// Returns whether the function starts a sweep for this payload.
#[must_use]
pub fn is_sweep_order(payload: &str) -> bool {
    matches!(Event::parse(payload), Some(Event::Sweep))
}

/// An event that the function accepts.
#[derive(Debug)]
pub(crate) enum Event {
    /// Receipts, as messages of an SQS batch.
    Receipts(Vec<Message>),
    /// A request to the function's URL.
    Webhook(Request),
    /// The order to ask for open jobs. A cursor in it is ignored: the table keeps how far a sweep got.
    Sweep,
}

/// A message of an SQS batch.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    #[serde(rename = "messageId")]
    pub(crate) id: String,
    pub(crate) body: String,
    #[serde(rename = "eventSource")]
    source: String,
}

/// The fields by which the kinds of events are recognised.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    #[serde(rename = "requestContext", borrow)]
    request_context: Option<&'a RawValue>,
    #[serde(borrow)]
    sweep: Option<&'a RawValue>,
}

impl Event {
    /// Parses a payload; `None` if the function does not accept it.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let kind: Kind<'_> = serde_json::from_str(payload).ok()?;
        if let Some(records) = kind.records {
            let messages: Vec<Message> = serde_json::from_str(records.get()).ok()?;
            return messages.iter().all(|message| message.source == SQS).then_some(Self::Receipts(messages));
        }
        if kind.request_context.is_some() {
            return Request::parse(payload).map(Self::Webhook);
        }
        kind.sweep.filter(|sweep| sweep.get().starts_with('{')).map(|_| Self::Sweep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_event_is_recognised_by_its_fields() {
        let batch = r#"{"Records":[{"messageId":"m","body":"b","eventSource":"aws:sqs","attributes":{}}]}"#;
        assert!(matches!(Event::parse(batch), Some(Event::Receipts(messages)) if messages.len() == 1));
        let request = r#"{"version":"2.0","requestContext":{"http":{"method":"GET"}},"headers":{}}"#;
        assert!(matches!(Event::parse(request), Some(Event::Webhook(_))));
        for sweep in [SWEEP_ORDER, r#"{"sweep":{"cursor":"x"}}"#] {
            assert!(matches!(Event::parse(sweep), Some(Event::Sweep)));
        }
        for unknown in [
            "{}",
            "[]",
            "x",
            r#"{"sweep":null}"#,
            r#"{"Records":[{"messageId":"m","body":"b","eventSource":"aws:s3"}]}"#,
            r#"{"Records":[{"s3":{}}]}"#,
            r#"{"requestContext":{}}"#,
        ] {
            assert!(Event::parse(unknown).is_none(), "{unknown}");
        }
    }
}
