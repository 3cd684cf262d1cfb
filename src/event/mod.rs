//! What invokes the function: every source's payload, told apart by what the payload says it is, and its answer.
//!
//! A source's wire shape, in and out, stands in its own file. Only fields that are used are required, and none of the types
//! here fails on a field that it does not know: AWS adds fields, and S3-compatible stores leave some out.
//!
//! | file | source |
//! | --- | --- |
//! | [`s3`] | S3 event notifications, `s3:TestEvent` |
//! | [`sns`] | an SNS invocation; an SNS envelope inside an SQS message |
//! | [`sqs`] | a batch of messages, each with any other notice inside; `batchItemFailures` |
//! | [`eventbridge`] | `Object Created` |
//! | [`batch_job`] | S3 Batch Operations; a result for every task |
//! | [`destination`] | Lambda's destination record around an earlier event |
//! | [`reconcile`] | the order to list a bucket, and the summary that answers it |

pub mod batch_job;
pub mod destination;
mod entity;
pub mod eventbridge;
pub mod reconcile;
pub mod s3;
pub mod sns;
pub mod sqs;
mod wire;

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::object::{Origin, S3Object};

pub use reconcile::ReconcileRequest;

/// A notice is unwrapped this often at most: SQS around SNS around a destination record around S3 is four.
const DEEPEST_NESTING: u8 = 6;

/// So many unreadable records of one part of an invocation are handled one by one. With more of them the part is unreadable as a
/// whole: a message of a few hundred kilobytes would otherwise become tens of thousands of dead letters, at every receive.
const MOST_UNREADABLE_RECORDS: usize = 100;

/// So many of an invocation are handled one by one: ten thousand messages may have a hundred each, for which there is neither memory
/// nor time. Beyond them every part that has one is unreadable as a whole.
const MOST_UNREADABLE_IN_ALL: usize = 10_000;

/// An invocation's payload, read.
#[derive(Debug)]
pub struct Invocation {
    /// What brought it, and so what it expects as an answer.
    pub carrier: Carrier,
    /// What it names.
    pub contents: Contents,
}

/// What brought an invocation's objects.
#[derive(Debug)]
pub enum Carrier {
    /// An asynchronous invocation: S3, SNS, EventBridge, a schedule. Answered with a summary or an error.
    Direct,
    /// An SQS event source. Answered with the messages that have to come back.
    Queue(sqs::Batch),
    /// An S3 Batch Operations job. Answered with a result for every task.
    BatchJob(batch_job::Job),
}

/// What an invocation names.
#[derive(Debug, Default)]
pub struct Contents {
    /// The objects, in the order in which they were named.
    pub objects: Vec<S3Object>,
    /// Records that cannot be read, each of which counts as an object.
    pub unreadable: Vec<UnreadableRecord>,
    /// Orders to reconcile, with the part of the invocation that gave them.
    pub reconciles: Vec<(Origin, ReconcileRequest)>,
    /// Unreadable records beyond the first [`MOST_UNREADABLE_RECORDS`] of their part: counted, not kept.
    uncollected: usize,
}

/// One record that cannot be read of a notice that can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// The part of the invocation that brought it.
    pub origin: Origin,
    /// What is wrong with it: fields, never contents.
    pub reason: String,
    /// The record's JSON, unchanged, for the dead-letter queue.
    pub record: String,
}

/// A payload that is none of those that are accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownEvent {
    /// Not JSON at all.
    #[error("the event is not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("the event is a JSON {0}, not an object")]
    NotAnObject(&'static str),
    /// An object of another kind.
    #[error(
        "the event is none that this function accepts; its fields are: {0}. Accepted are S3 notifications (direct, by SNS, by SQS), EventBridge \"Object Created\", S3 Batch Operations, Lambda destination records, s3:TestEvent and reconcile"
    )]
    Fields(String),
    /// The right kind, with a part that cannot be read.
    #[error("{kind} cannot be read: {reason}")]
    Malformed {
        /// Which kind.
        kind: &'static str,
        /// What is wrong: fields, never contents.
        reason: String,
    },
    /// Notices within notices, deeper than anything real.
    #[error("the event wraps other events more than {DEEPEST_NESTING} deep")]
    TooDeep,
    /// Records that cannot be read, more of them than are handled one by one.
    #[error(
        "it is unreadable as a whole: {records} of its records cannot be read, and at most {MOST_UNREADABLE_RECORDS} of a message and {MOST_UNREADABLE_IN_ALL} of an invocation are handled one by one; the first: {first}"
    )]
    TooManyUnreadable {
        /// How many records cannot be read.
        records: usize,
        /// What is wrong with the first: fields, never contents.
        first: String,
    },
}

/// The fields that tell one kind from another.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    #[serde(rename = "Event", borrow)]
    event: Option<&'a RawValue>,
    #[serde(rename = "Type", borrow)]
    sns_type: Option<&'a RawValue>,
    #[serde(rename = "Message", borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(rename = "detail-type", borrow)]
    detail_type: Option<&'a RawValue>,
    #[serde(rename = "requestPayload", borrow)]
    request_payload: Option<&'a RawValue>,
    #[serde(rename = "invocationSchemaVersion", borrow)]
    invocation_schema_version: Option<&'a RawValue>,
    #[serde(borrow)]
    reconcile: Option<&'a RawValue>,
}

enum Records {
    S3,
    Sns,
    Sqs,
}

impl Invocation {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`UnknownEvent`] for a payload that is none of those that are accepted. A part of a batch that cannot be read is no
    /// error: it is in the batch, marked.
    pub fn read(payload: &str) -> Result<Self, UnknownEvent> {
        let kind = kind_of(payload)?;
        let mut contents = Contents::default();
        if let Some(records) = kind.records
            && let Ok(Some(Records::Sqs)) = records_kind(records)
        {
            let batch = sqs::Batch::read(records, &mut contents)?;
            return Ok(Self { carrier: Carrier::Queue(batch), contents });
        }
        if kind.invocation_schema_version.is_some() {
            let job = batch_job::Job::read(payload, &mut contents)?;
            return Ok(Self { carrier: Carrier::BatchJob(job), contents });
        }
        contents.all_or_nothing(|contents| read_kind(&kind, payload, Origin::default(), 0, contents))?;
        Ok(Self { carrier: Carrier::Direct, contents })
    }
}

impl Contents {
    /// Reads one part of the invocation. If it is unreadable as a whole, nothing of it stays: what was read before the fault is
    /// delivered again, or moved to the dead-letter queue, with all of it.
    fn all_or_nothing(&mut self, read: impl FnOnce(&mut Self) -> Result<(), UnknownEvent>) -> Result<(), UnknownEvent> {
        let (objects, unreadable) = (self.objects.len(), self.unreadable.len());
        let (reconciles, uncollected) = (self.reconciles.len(), self.uncollected);
        let result = read(self).and_then(|()| {
            let too_many = self.uncollected > uncollected || self.unreadable.len() > MOST_UNREADABLE_IN_ALL;
            match self.unreadable.get(unreadable) {
                Some(first) if too_many => Err(UnknownEvent::TooManyUnreadable {
                    records: self.unreadable.len() - unreadable + self.uncollected - uncollected,
                    first: first.reason.clone(),
                }),
                _ => Ok(()),
            }
        });
        if result.is_err() {
            self.objects.truncate(objects);
            self.unreadable.truncate(unreadable);
            self.reconciles.truncate(reconciles);
            self.uncollected = uncollected;
        }
        result
    }

    /// Adds a record that cannot be read, as long as its part has not too many of them; `reason` is asked for then.
    fn add_unreadable(&mut self, origin: Origin, record: &RawValue, reason: impl FnOnce() -> String) {
        // Parts are read one after the other, so the last ones are this part's.
        let first_of_most = self.unreadable.len().checked_sub(MOST_UNREADABLE_RECORDS);
        if first_of_most.is_some_and(|position| self.unreadable[position].origin == origin) {
            self.uncollected += 1;
        } else {
            let record = record.get().to_owned();
            self.unreadable.push(UnreadableRecord { origin, reason: reason(), record });
        }
    }
}

/// Reads one notice: anything but a batch of its own.
fn read_notice(payload: &str, origin: Origin, depth: u8, contents: &mut Contents) -> Result<(), UnknownEvent> {
    if depth >= DEEPEST_NESTING {
        return Err(UnknownEvent::TooDeep);
    }
    read_kind(&kind_of(payload)?, payload, origin, depth, contents)
}

fn read_kind(
    kind: &Kind<'_>,
    payload: &str,
    origin: Origin,
    depth: u8,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    if let Some(records) = kind.records {
        return match records_kind(records)? {
            None => Ok(()),
            Some(Records::S3) => s3::read(records, origin, contents),
            Some(Records::Sns) => sns::read(records, origin, depth, contents),
            Some(Records::Sqs) => Err(unknown(payload)),
        };
    }
    if let (Some(source), Some(detail_type)) = (kind.source, kind.detail_type)
        && wire::text(source).is_some_and(|source| source == eventbridge::SOURCE)
    {
        return eventbridge::read(payload, detail_type, origin, contents);
    }
    if let Some(request) = kind.request_payload {
        return destination::read(request, payload, origin, depth, contents);
    }
    if kind.event.and_then(wire::text).is_some_and(|event| event == s3::TEST_EVENT) {
        return Ok(());
    }
    if let (Some(sns_type), Some(message)) = (kind.sns_type, kind.message)
        && wire::text(sns_type).is_some_and(|sns_type| sns_type == sns::NOTIFICATION)
    {
        return sns::read_envelope(message, origin, depth, contents);
    }
    if let Some(order) = kind.reconcile {
        contents.reconciles.push((origin, ReconcileRequest::read(order)?));
        return Ok(());
    }
    Err(unknown(payload))
}

fn kind_of(payload: &str) -> Result<Kind<'_>, UnknownEvent> {
    serde_json::from_str(payload).map_err(|_| match wire::shape(payload) {
        wire::Shape::NotJson => UnknownEvent::NotJson,
        wire::Shape::Object => unknown(payload),
        wire::Shape::Other(kind) => UnknownEvent::NotAnObject(kind),
    })
}

fn unknown(payload: &str) -> UnknownEvent {
    UnknownEvent::Fields(wire::field_names(payload))
}

/// Whose records these are, as the first of them says; `None` for an empty list.
fn records_kind(records: &RawValue) -> Result<Option<Records>, UnknownEvent> {
    let malformed = |reason: &str| UnknownEvent::Malformed { kind: "an event with `Records`", reason: reason.into() };
    let Some(first) = wire::from_first_item(records).map_err(|_| malformed("`Records` is not a list"))? else {
        return Ok(None);
    };
    let mut kind = None;
    wire::look_at_fields(first, |name, value| {
        let source = || wire::text(value).unwrap_or_default();
        kind = match name {
            "EventSource" if source() == "aws:sns" => Some(Records::Sns),
            "eventSource" if source() == "aws:sqs" => Some(Records::Sqs),
            "eventSource" if source() == "aws:s3" => Some(Records::S3),
            // S3-compatible stores name themselves there; what makes the record S3's is its part `s3`.
            "s3" if value.get() != "null" => Some(Records::S3),
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(())
    })
    .map_err(|_| malformed("its first record is not an object"))?;
    kind.map(Some).ok_or_else(|| UnknownEvent::Fields(format!("Records (each with {})", wire::field_names(first))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A batch of messages with so many readable and unreadable records each.
    fn batch(messages: &[(usize, usize)]) -> String {
        let record = |number| json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": number}}});
        let message = |(readable, unreadable): &(usize, usize)| {
            let good = (0..*readable).map(|number| record(json!(number.to_string())));
            let records: Vec<_> = good.chain((0..*unreadable).map(|_| record(json!(null)))).collect();
            json!({"eventSource": "aws:sqs", "messageId": "m", "body": json!({"Records": records}).to_string()})
        };
        json!({"Records": messages.iter().map(message).collect::<Vec<_>>()}).to_string()
    }

    fn read(payload: &str) -> (Contents, Vec<bool>) {
        let Invocation { carrier: Carrier::Queue(batch), contents } = Invocation::read(payload).unwrap() else {
            panic!("a batch")
        };
        (contents, batch.messages.iter().map(|message| message.unreadable.is_some()).collect())
    }

    #[test]
    fn an_invocation_with_very_many_unreadable_records_keeps_the_first_of_them_only() {
        let mut messages = vec![(1, 100); 150];
        messages.push((7, 0));
        let (contents, unreadable) = read(&batch(&messages));
        assert_eq!((contents.unreadable.len(), contents.objects.len()), (MOST_UNREADABLE_IN_ALL, 107));
        let whole: Vec<_> = (0..151).map(|position| (100..150).contains(&position)).collect();
        assert_eq!(unreadable, whole);
    }

    proptest! {
        #[test]
        fn a_message_is_read_record_by_record_or_not_at_all(messages in proptest::collection::vec((0usize..4, 95usize..106), 1..5)) {
            let (contents, unreadable) = read(&batch(&messages));
            for (position, ((good, bad), whole)) in (0..).zip(messages.iter().zip(unreadable)) {
                prop_assert_eq!(whole, *bad > 100);
                let of_message = |origin: Origin| origin == Origin(position);
                let objects = contents.objects.iter().filter(|object| of_message(object.origin)).count();
                let records = contents.unreadable.iter().filter(|record| of_message(record.origin)).count();
                prop_assert_eq!((objects, records), if whole { (0, 0) } else { (*good, *bad) });
            }
        }
    }
}
