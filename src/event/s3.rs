//! S3 event notifications, as S3 and S3-compatible stores send them.
//!
//! Own types, because those of `aws_lambda_events` require fields (`userIdentity`, `requestParameters`, …) that other stores
//! leave out and that nothing here uses.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::entity::{Entity, RecordError};
use super::wire::{self, event_time, text};
use super::{Contents, UnknownEvent};
use crate::model::object::{Change, ObjectKey, Origin, S3Object};

/// What S3 sends to SNS and SQS when a notification configuration is saved (S3 User Guide, "Event message structure").
pub(super) const TEST_EVENT: &str = "s3:TestEvent";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "eventName", borrow)]
    event_name: Option<&'a RawValue>,
    #[serde(rename = "eventTime", borrow)]
    event_time: Option<&'a RawValue>,
    #[serde(borrow)]
    s3: Option<Entity<'a>>,
}

/// Reads the records of a notification. An unreadable record does not affect the others.
pub(super) fn read(records: &str, origin: Origin, contents: &mut Contents) -> Result<(), UnknownEvent> {
    if read_well_formed(records, origin, contents) {
        return Ok(());
    }
    // A record is malformed: read them again, each with its own text.
    wire::for_each_item(records, |record: &RawValue| match object(record, origin) {
        Ok(object) => contents.objects.push(object),
        Err(error) => contents.add_unreadable(origin, record, || error.to_string()),
    })
    .map_err(|_| UnknownEvent::Malformed { kind: "an S3 notification", reason: "`Records` is not a list".into() })
}

/// Reads the records if all of them can be read, and returns whether that is so; otherwise nothing is added.
pub(super) fn read_well_formed(records: &str, origin: Origin, contents: &mut Contents) -> bool {
    let before = contents.objects.len();
    let mut all_read = true;
    let well_formed = wire::for_each_item(records, |record: Record<'_>| match record.object(origin) {
        Ok(object) => contents.objects.push(object),
        Err(_) => all_read = false,
    });
    let all_read = all_read && well_formed.is_ok();
    if !all_read {
        contents.objects.truncate(before);
    }
    all_read
}

fn object(record: &RawValue, origin: Origin) -> Result<S3Object, RecordError> {
    let read: Record<'_> = serde_json::from_str(record.get())
        .map_err(|_| RecordError::Shape { fields: wire::field_names(record.get()) })?;
    read.object(origin)
}

impl Record<'_> {
    fn object(&self, origin: Origin) -> Result<S3Object, RecordError> {
        let missing = |field| RecordError::NoField { parent: "", field };
        let name = self.event_name.and_then(text).ok_or_else(|| missing("eventName"))?;
        let entity = self.s3.as_ref().ok_or_else(|| missing("s3"))?;
        let event_time = self.event_time.and_then(event_time);
        entity.object("s3.", ObjectKey::from_form_encoded, event_time, change(&name), origin)
    }
}

/// Classifies an event name. S3 writes `ObjectCreated:Put`; a bucket's configuration and some stores write
/// `s3:ObjectCreated:Put`.
fn change(event_name: &str) -> Change {
    let name = event_name.strip_prefix("s3:").unwrap_or(event_name);
    if name == "ObjectCreated" || name.starts_with("ObjectCreated:") { Change::Created } else { Change::Other }
}

/// Builds notifications that name objects, and hold records that cannot be read unchanged: as few messages as fit into `most_bytes` each; a
/// larger record has one for itself.
#[must_use]
pub(crate) fn notifications_of<'a>(
    objects: impl IntoIterator<Item = &'a S3Object>,
    unreadable: &[String],
    most_bytes: usize,
) -> Vec<String> {
    const BEGIN: &str = "{\"Records\":[";
    const END: &str = "]}";
    let records = objects.into_iter().map(|object| Cow::Owned(record_of(object).to_string()));
    let records = records.chain(unreadable.iter().map(|record| Cow::Borrowed(record.as_str())));
    let mut bodies: Vec<String> = Vec::new();
    for record in records {
        match bodies.last_mut() {
            Some(body) if body.len() + 1 + record.len() + END.len() <= most_bytes => {
                body.push(',');
                body.push_str(&record);
            }
            _ => bodies.push(format!("{BEGIN}{record}")),
        }
    }
    bodies.iter_mut().for_each(|body| body.push_str(END));
    bodies
}

/// Builds a notification of one record about an object, as S3 would send it, with everything that is known about the object. It is
/// the body of a dead letter: this function and any other consumer of notifications can read it again after a redrive.
#[must_use]
pub fn notification_of(object: &S3Object) -> Value {
    json!({"Records": [record_of(object)]})
}

fn record_of(object: &S3Object) -> Value {
    let mut entity = json!({"key": object.key.to_form_encoded()});
    if let Some(version_id) = &object.version_id {
        entity["versionId"] = (**version_id).into();
    }
    if let Some(etag) = &object.etag {
        entity["eTag"] = (**etag).into();
    }
    if let Some(size) = object.size {
        entity["size"] = size.into();
    }
    if let Some(sequencer) = &object.sequencer {
        entity["sequencer"] = sequencer.as_str().into();
    }
    let mut record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": object.bucket, "arn": format!("arn:aws:s3:::{}", object.bucket)},
            "object": entity,
        },
    });
    if let Some(time) = &object.event_time {
        record["eventTime"] = time.as_str().into();
    }
    record
}

/// Builds a notification around an unreadable record, unchanged.
#[must_use]
pub(crate) fn notification_around(record: &str) -> String {
    format!("{{\"Records\":[{record}]}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Sequencer;

    fn read_all(json: &str) -> Contents {
        let records: Box<RawValue> = serde_json::from_str(json).unwrap();
        let mut contents = Contents::default();
        read(records.get(), Origin(3), &mut contents).unwrap();
        contents
    }

    #[test]
    fn only_bucket_key_and_event_name_are_required() {
        let contents = read_all(
            r#"[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a+b%2Bc"}},"new":{}}]"#,
        );
        let [object] = contents.objects.as_slice() else { panic!("{contents:?}") };
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("b", "a b+c"));
        assert_eq!((object.size, &object.event_time, object.origin), (None, &None, Origin(3)));
    }

    #[test]
    fn unneeded_fields_of_unexpected_types_are_ignored() {
        let contents = read_all(
            r#"[{"eventName":"ObjectCreated:Put","eventTime":17,"s3":{"bucket":{"name":"b","arn":[]},
                "object":{"key":"k","size":"12","sequencer":5,"eTag":{}}},"userIdentity":"me"}]"#,
        );
        assert_eq!(contents.objects[0].size, Some(12));
    }

    #[test]
    fn event_names_with_and_without_their_prefix_are_understood() {
        assert_eq!(change("ObjectCreated:CompleteMultipartUpload"), Change::Created);
        assert_eq!(change("s3:ObjectCreated:Put"), Change::Created);
        assert_eq!(change("ObjectRemoved:Delete"), Change::Other);
        assert_eq!(change("ObjectCreatedNot"), Change::Other);
    }

    #[test]
    fn a_record_that_cannot_be_read_does_not_touch_the_others() {
        let contents = read_all(
            r#"[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%FF"}}}, 5, {},
                {"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"good"}}}]"#,
        );
        assert_eq!(contents.objects.len(), 1);
        assert_eq!(contents.unreadable.len(), 3);
        assert!(contents.unreadable[0].reason.contains("UTF-8"));
    }

    #[test]
    fn what_goes_to_the_dead_letter_queue_reads_back_as_the_same_object() {
        let object = S3Object {
            version_id: Some("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".into()),
            etag: Some("d41d8cd98f00b204e9800998ecf8427e-2".into()),
            size: Some(7),
            sequencer: Sequencer::new("0055AE"),
            event_time: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            origin: Origin(3),
            ..S3Object::new("b", ObjectKey::verbatim("a b+c%41/ü.pdf").unwrap())
        };
        let contents = read_all(&notification_of(&object)["Records"].to_string());
        assert_eq!(contents.objects, [object]);
    }

    #[test]
    fn many_objects_and_unreadable_records_become_as_few_notifications_as_fit() {
        let objects: Vec<_> = (0..100)
            .map(|number| S3Object {
                origin: Origin(3),
                ..S3Object::new("b", ObjectKey::verbatim(format!("in/{number} +.pdf")).unwrap())
            })
            .collect();
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(3_000));
        let bodies = notifications_of(&objects, &["5".to_owned(), large.clone()], 2_000);
        assert!(
            bodies.len() > 10 && bodies[..bodies.len() - 1].iter().all(|body| (1_000..=2_000).contains(&body.len()))
        );
        let mut contents = Contents::default();
        for body in &bodies {
            let body: serde_json::Map<String, Value> = serde_json::from_str(body).unwrap();
            let records: Box<RawValue> = serde_json::from_str(&body["Records"].to_string()).unwrap();
            read(records.get(), Origin(3), &mut contents).unwrap();
        }
        assert_eq!(contents.objects, objects);
        let unreadable: Vec<_> = contents.unreadable.iter().map(|record| record.record.as_str()).collect();
        assert_eq!(unreadable, ["5", &large]);
        assert!(notifications_of([], &[], 2_000).is_empty());
    }
}
