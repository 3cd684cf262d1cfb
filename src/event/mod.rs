//! The payloads that invoke the function, recognised by their fields, and the responses that their sources expect.
//!
//! Each source's wire format, request and response, has its own file. To add a source, add a file, a branch in `read_kind` and,
//! if the source expects a response of its own, a `Carrier`. Only fields that are used are required, and no type here fails on an
//! unknown field: AWS adds fields, and S3-compatible stores leave some out.
//!
//! | file | source |
//! | --- | --- |
//! | [`s3`] | S3 event notifications, `s3:TestEvent` |
//! | `sns` | an SNS invocation; an SNS envelope inside an SQS message |
//! | [`sqs`] | a batch of messages, each with any other notice inside; `batchItemFailures` |
//! | `eventbridge` | `Object Created` |
//! | `batch_job` | S3 Batch Operations; a result for every task |
//! | `destination` | Lambda's destination record around an earlier event |
//! | [`reconcile`] | the order to list a bucket, and the cursor that continues it |

pub(crate) mod batch_job;
pub(crate) mod destination;
mod entity;
pub(crate) mod eventbridge;
pub mod reconcile;
pub mod s3;
pub(crate) mod sns;
pub mod sqs;
mod wire;

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::object::{Origin, S3Object};

pub(crate) use reconcile::ReconcileRequest;

/// The deepest nesting of notices: SQS around SNS around a destination record around S3 is four.
const DEEPEST_NESTING: u8 = 6;

/// The most unreadable records of one part of an invocation that are handled one by one. With more of them the part is unreadable
/// as a whole: a message of a few hundred kilobytes would otherwise become tens of thousands of dead letters, at every receive.
const MOST_UNREADABLE_RECORDS: usize = 100;

/// The most unreadable records of one invocation that are handled one by one: ten thousand messages may have a hundred each, for
/// which there is neither memory nor time. Beyond them every part that has one is unreadable as a whole.
const MOST_UNREADABLE_IN_ALL: usize = 10_000;

/// A parsed payload.
#[derive(Debug)]
pub struct Invocation {
    /// The source that invoked the function, which determines the response.
    pub(crate) carrier: Carrier,
    /// The objects, unreadable records and reconcile orders in the payload.
    pub contents: Contents,
}

/// How the payload reached the function, with what its response needs.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// An asynchronous invocation: S3, SNS, EventBridge, a schedule. The response is a summary or an error.
    Direct,
    /// An SQS event source. The response names the messages that have to return.
    Queue(sqs::Batch),
    /// An S3 Batch Operations job. The response has a result for every task.
    BatchJob(batch_job::Job),
}

/// The objects, unreadable records and reconcile orders of an invocation.
#[derive(Debug, Default)]
pub struct Contents {
    /// The objects, in the payload's order.
    pub objects: Vec<S3Object>,
    /// Records that cannot be read, each of which counts as an object.
    pub(crate) unreadable: Vec<UnreadableRecord>,
    /// Orders to reconcile, with the part of the invocation that gave them.
    pub(crate) reconciles: Vec<(Origin, ReconcileRequest)>,
    /// Unreadable records beyond the first [`MOST_UNREADABLE_RECORDS`] of their part: counted, not kept.
    uncollected: usize,
}

/// A record that cannot be read, in a notice that can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadableRecord {
    /// The part of the invocation that contains it.
    pub origin: Origin,
    /// What is wrong with it: names of fields, never contents.
    pub reason: String,
    /// The record's JSON, unchanged, for the dead-letter queue.
    pub record: String,
}

/// A payload that the function does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownEvent {
    /// The payload is not JSON.
    #[error("the event is not JSON")]
    NotJson,
    /// The payload is JSON of another type than an object.
    #[error("the event is a JSON {0}, not an object")]
    NotAnObject(&'static str),
    /// The payload is an object without the fields of any known source.
    #[error(
        "this function does not accept the event; its fields are: {0}. Accepted are S3 notifications (direct, by SNS, by SQS), EventBridge \"Object Created\", S3 Batch Operations, Lambda destination records, s3:TestEvent and reconcile"
    )]
    Fields(String),
    /// The payload comes from a known source, and a part of it cannot be read.
    #[error("{kind} cannot be read: {reason}")]
    Malformed {
        /// The kind of event.
        kind: &'static str,
        /// What is wrong: names of fields, never contents.
        reason: String,
    },
    /// Notices are nested more deeply than any real ones.
    #[error("the event wraps other events more than {DEEPEST_NESTING} deep")]
    TooDeep,
    /// More records cannot be read than are handled one by one.
    #[error(
        "it is unreadable as a whole: {records} of its records cannot be read, and at most {MOST_UNREADABLE_RECORDS} of a message and {MOST_UNREADABLE_IN_ALL} of an invocation are handled one by one; the first: {first}"
    )]
    TooManyUnreadable {
        /// How many records cannot be read.
        records: usize,
        /// What is wrong with the first: names of fields, never contents.
        first: String,
    },
}

/// The fields by which the kinds of events are recognised.
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
    /// Parses a payload.
    ///
    /// # Errors
    /// [`UnknownEvent`] if the function does not accept the payload. An unreadable part of a batch is not an error: the batch contains
    /// it, marked as unreadable.
    pub fn read(payload: &str) -> Result<Self, UnknownEvent> {
        let mut contents = Contents::default();
        match usual_records(payload) {
            Some((Records::Sqs, list)) => {
                if let Some(batch) = sqs::Batch::read_well_formed(list, &mut contents) {
                    return Ok(Self { carrier: Carrier::Queue(batch), contents });
                }
            }
            Some((Records::S3, list)) if s3::read_well_formed(list, Origin::default(), &mut contents) => {
                return Ok(Self { carrier: Carrier::Direct, contents });
            }
            _ => {}
        }
        let kind = kind_of(payload)?;
        if let Some(records) = kind.records
            && let Ok(Some(Records::Sqs)) = records_kind(records.get())
        {
            let batch = sqs::Batch::read(records.get(), &mut contents)?;
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
    /// Reads one part of the invocation. If it is unreadable as a whole, its objects are removed again: the part returns, or goes
    /// to the dead-letter queue, as a whole.
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

    /// Adds an unreadable record, unless its part has too many of them. Calls `reason` only if it adds the record.
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

/// Reads one notice: any event except a batch of SQS messages or of tasks.
fn read_notice(payload: &str, origin: Origin, depth: u8, contents: &mut Contents) -> Result<(), UnknownEvent> {
    if depth >= DEEPEST_NESTING {
        return Err(UnknownEvent::TooDeep);
    }
    if let Some((Records::S3, list)) = usual_records(payload)
        && s3::read_well_formed(list, origin, contents)
    {
        return Ok(());
    }
    read_kind(&kind_of(payload)?, payload, origin, depth, contents)
}

/// Returns the records of an event that has nothing else, as those of S3 and SQS have, and their source. Unlike [`kind_of`], this needs no
/// pass over the whole event: whoever reads the list finds out whether it is one. If it is not, the event is read the other way.
fn usual_records(payload: &str) -> Option<(Records, &str)> {
    let list = wire::only_records(payload)?;
    Some((records_kind(list).ok()??, list))
}

fn read_kind(
    kind: &Kind<'_>,
    payload: &str,
    origin: Origin,
    depth: u8,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    if let Some(records) = kind.records {
        return match records_kind(records.get())? {
            None => Ok(()),
            Some(Records::S3) => s3::read(records.get(), origin, contents),
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

/// Describes an event that no program here accepts: its kind of JSON or its top-level fields, never its contents.
#[must_use]
pub fn describe(payload: &str) -> String {
    match wire::shape(payload) {
        wire::Shape::NotJson => UnknownEvent::NotJson.to_string(),
        wire::Shape::Other(kind) => UnknownEvent::NotAnObject(kind).to_string(),
        wire::Shape::Object => format!("the event is an object; its fields are: {}", wire::field_names(payload)),
    }
}

/// Determines the source of `Records` by the first of them; `None` if the list is empty.
fn records_kind(records: &str) -> Result<Option<Records>, UnknownEvent> {
    let malformed = |reason: &str| UnknownEvent::Malformed { kind: "an event with `Records`", reason: reason.into() };
    let Some(first) = wire::from_first_item(records).map_err(|_| malformed("`Records` is not a list"))? else {
        return Ok(None);
    };
    let mut kind = None;
    wire::visit_fields(first, |name, value| {
        let source = || wire::text(value).unwrap_or_default();
        kind = match name {
            "EventSource" if source() == "aws:sns" => Some(Records::Sns),
            "eventSource" if source() == "aws:sqs" => Some(Records::Sqs),
            "eventSource" if source() == "aws:s3" => Some(Records::S3),
            // S3-compatible stores write their own name into `eventSource`, so the field `s3` identifies their records.
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
    fn an_event_is_read_alike_with_and_without_another_field() {
        let samples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/events")).unwrap();
        let samples =
            samples.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut payloads: Vec<String> = samples.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        payloads.push(batch(&[(2, 3), (0, 101), (1, 0)]));
        payloads.push(r#"{"Records":[{"eventSource":"aws:sqs","messageId":"m"},7]}"#.to_owned());
        payloads.push(r#"{"Records":[{"eventSource":"aws:s3"}, null]}"#.to_owned());
        let mut usual = 0;
        for payload in payloads {
            usual += usize::from(usual_records(&payload).is_some());
            let more = payload.trim_start().replacen('{', "{\"more\": [0], ", 1);
            assert!(usual_records(&more).is_none());
            let read = |payload: &str| format!("{:?}", Invocation::read(payload)).replace("more, ", "");
            assert_eq!(read(&payload), read(&more), "{payload}");
        }
        assert!(usual >= 10, "{usual}");
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
