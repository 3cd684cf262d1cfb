//! EventBridge: S3's `Object Created` (EventBridge User Guide, "Amazon S3 events"; S3 User Guide, "EventBridge event message
//! structure").

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entity::Entity;
use super::wire::{event_time, text};
use super::{Contents, UnknownEvent};
use crate::model::object::{Change, ObjectKey, Origin};

/// The `source` of S3's events.
pub(super) const SOURCE: &str = "aws.s3";

const OBJECT_CREATED: &str = "Object Created";

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<Entity<'a>>,
}

/// Reads an event. Its key is not encoded, unlike in S3's own notifications: decoding it would turn a `+` into a space.
pub(super) fn read(
    payload: &str,
    detail_type: &RawValue,
    origin: Origin,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    let event: Event<'_> =
        serde_json::from_str(payload).map_err(|_| malformed("`detail` is not of its shape".into()))?;
    let detail = event.detail.ok_or_else(|| malformed("it has no field `detail`".into()))?;
    let created = text(detail_type).is_some_and(|detail_type| detail_type == OBJECT_CREATED);
    let change = if created { Change::Created } else { Change::Other };
    let verbatim = |key: &str| ObjectKey::verbatim(key);
    let object = detail.object("detail.", verbatim, event.time.and_then(event_time), change, origin);
    contents.objects.push(object.map_err(|error| malformed(error.to_string()))?);
    Ok(())
}

fn malformed(reason: String) -> UnknownEvent {
    UnknownEvent::Malformed { kind: "an S3 event from EventBridge", reason }
}
