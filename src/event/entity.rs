//! The part that S3's notifications and its EventBridge events share: the bucket and the object.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{short_text, text, whole_number};
use crate::model::object::{Change, EventTime, KeyError, ObjectKey, Origin, S3Object, Sequencer};

/// Why a record names no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// A required field is missing or has another type.
    #[error("it has no field `{parent}{field}`, or it is not text")]
    NoField {
        /// The path of the object that should hold the field, with a dot at the end; may be empty.
        parent: &'static str,
        /// The path of the field from there.
        field: &'static str,
    },
    /// The key is empty or not UTF-8.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The record is of another kind, or is not an object.
    #[error("the record does not have the shape of an S3 notification; its fields are: {fields}")]
    Shape {
        /// The names of its fields.
        fields: String,
    },
}

/// `s3` of a notification's record, `detail` of an EventBridge event.
#[derive(Deserialize)]
pub(super) struct Entity<'a> {
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
    // A notification's names and EventBridge's, read separately: two names for one field would make a record that has both
    // unreadable.
    #[serde(rename = "versionId", borrow)]
    version_id: Option<&'a RawValue>,
    #[serde(rename = "version-id", borrow)]
    eventbridge_version_id: Option<&'a RawValue>,
    #[serde(rename = "eTag", borrow)]
    etag: Option<&'a RawValue>,
    #[serde(rename = "etag", borrow)]
    eventbridge_etag: Option<&'a RawValue>,
}

impl Entity<'_> {
    /// Returns the object. `parent` is the entity's path, for the error; `decode` decodes the key as its source encodes it.
    pub(super) fn object(
        &self,
        parent: &'static str,
        decode: impl FnOnce(&str) -> Result<ObjectKey, KeyError>,
        event_time: Option<EventTime>,
        change: Change,
        origin: Origin,
    ) -> Result<S3Object, RecordError> {
        let missing = |field| RecordError::NoField { parent, field };
        let bucket = self
            .bucket
            .as_ref()
            .and_then(|bucket| text(bucket.name?).filter(|name| !name.is_empty()))
            .ok_or_else(|| missing("bucket.name"))?;
        let object = self.object.as_ref().ok_or_else(|| missing("object"))?;
        let key = object.key.and_then(text).ok_or_else(|| missing("object.key"))?;
        Ok(S3Object {
            version_id: object.version_id.or(object.eventbridge_version_id).and_then(short_text),
            etag: object.etag.or(object.eventbridge_etag).and_then(short_text),
            size: object.size.and_then(whole_number),
            sequencer: object.sequencer.and_then(text).and_then(Sequencer::new),
            event_time,
            change,
            origin,
            ..S3Object::new(bucket, decode(&key)?)
        })
    }
}
