//! The part that S3's notifications and its EventBridge events share: which bucket, which object.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{text, whole_number};
use crate::model::object::{Change, KeyError, ObjectKey, Origin, S3Object, Sequencer};

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
}

impl Entity<'_> {
    /// The object that it names. `field` is where the entity stands, for the error; `decode` reads the key as its source writes
    /// it.
    pub(super) fn object(
        &self,
        field: &str,
        decode: impl FnOnce(&str) -> Result<ObjectKey, KeyError>,
        event_time: Option<jiff::Timestamp>,
        change: Change,
        origin: Origin,
    ) -> Result<S3Object, String> {
        let missing = |part: &str| format!("it has no field `{field}.{part}`, or it is not text");
        let bucket = self
            .bucket
            .as_ref()
            .and_then(|bucket| text(bucket.name?).filter(|name| !name.is_empty()))
            .ok_or_else(|| missing("bucket.name"))?;
        let object = self.object.as_ref().ok_or_else(|| missing("object"))?;
        let key = object.key.and_then(text).ok_or_else(|| missing("object.key"))?;
        Ok(S3Object {
            bucket: bucket.into_owned(),
            key: decode(&key).map_err(|error| error.to_string())?,
            size: object.size.and_then(whole_number),
            sequencer: object.sequencer.and_then(text).and_then(Sequencer::new),
            event_time,
            change,
            origin,
        })
    }
}
