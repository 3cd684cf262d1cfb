//! EventBridge: S3's `Object Created` (EventBridge User Guide, "Amazon S3 events"; S3 User Guide, "EventBridge event message
//! structure").

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{text, timestamp, whole_number};
use super::{Contents, UnknownEvent};
use crate::object::{Change, ObjectKey, Origin, S3Object, Sequencer};

/// The `source` of S3's events.
pub(super) const SOURCE: &str = "aws.s3";

const OBJECT_CREATED: &str = "Object Created";

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<Detail<'a>>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    bucket: Option<Bucket<'a>>,
    #[serde(borrow)]
    object: Option<Object<'a>>,
}

#[derive(Deserialize)]
struct Bucket<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    sequencer: Option<&'a RawValue>,
}

/// Reads an event. The key is taken verbatim: unlike in S3's own notifications it is not encoded, and decoding it would turn a
/// `+` into a space.
pub(super) fn read(
    payload: &str,
    detail_type: &RawValue,
    origin: Origin,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    let event: Event<'_> =
        serde_json::from_str(payload).map_err(|_| malformed("`detail` is not of its shape".into()))?;
    let missing = |field: &str| malformed(format!("it has no field `{field}`, or it is not text"));
    let detail = event.detail.ok_or_else(|| missing("detail"))?;
    let bucket = detail
        .bucket
        .and_then(|bucket| text(bucket.name?).filter(|name| !name.is_empty()))
        .ok_or_else(|| missing("detail.bucket.name"))?;
    let object = detail.object.ok_or_else(|| missing("detail.object"))?;
    let key = object.key.and_then(text).ok_or_else(|| missing("detail.object.key"))?;
    let created = text(detail_type).is_some_and(|detail_type| detail_type == OBJECT_CREATED);
    contents.objects.push(S3Object {
        bucket: bucket.into_owned(),
        key: ObjectKey::verbatim(key).map_err(|error| malformed(error.to_string()))?,
        size: object.size.and_then(whole_number),
        sequencer: object.sequencer.and_then(text).and_then(Sequencer::new),
        event_time: event.time.and_then(timestamp),
        change: if created { Change::Created } else { Change::Other },
        origin,
    });
    Ok(())
}

fn malformed(reason: String) -> UnknownEvent {
    UnknownEvent::Malformed { kind: "an EventBridge event of S3's", reason }
}
