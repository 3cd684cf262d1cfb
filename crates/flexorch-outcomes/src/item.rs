//! A record as an item of the table, and back. Attributes that this function does not know survive a rewrite.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use flexorch_s3_ingester::model::credentials::ConnectorId;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::record::{EarlierJob, Record, RecordKey};
use crate::schema::{State, attribute, iso};

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The longest number that DynamoDB keeps exactly, in digits (DynamoDB Developer Guide, "Data types").
const DIGITS: usize = 38;

/// A record and what else its item holds.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The record.
    pub(crate) record: Record,
    /// The write that it is the result of; `None` if another program wrote the item.
    pub(crate) revision: Option<u64>,
    /// Attributes that this function does not know.
    others: Item,
}

/// An item that is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an item's attribute `{0}` is missing or has another type than a record's")]
pub(crate) struct NotARecord(&'static str);

impl Stored {
    /// Reads an item.
    ///
    /// # Errors
    /// [`NotARecord`] if the key, the state or both times are missing.
    pub(crate) fn from_item(mut item: Item) -> Result<Self, NotARecord> {
        let mut text = |name: &'static str| match item.remove(name) {
            Some(AttributeValue::S(text)) => Some(text),
            _ => None,
        };
        let key = RecordKey {
            document: text(attribute::DOCUMENT).ok_or(NotARecord(attribute::DOCUMENT))?,
            version: text(attribute::VERSION).ok_or(NotARecord(attribute::VERSION))?,
        };
        let state = text(attribute::STATE).and_then(|name| State::from_name(&name));
        let earlier_job_id = text(attribute::EARLIER_JOB);
        let mut time = |name| text(name).and_then(|text| text.parse::<Timestamp>().ok());
        let (submitted_at, changed_at) = (time(attribute::SUBMITTED_AT), time(attribute::CHANGED_AT));
        let submitted_at = submitted_at.or(changed_at).ok_or(NotARecord(attribute::SUBMITTED_AT))?;
        let earlier_job = time(attribute::EARLIER_JOB_AT).zip(earlier_job_id);
        let record = Record {
            key,
            state: state.ok_or(NotARecord(attribute::STATE))?,
            changed_at: changed_at.unwrap_or(submitted_at),
            submitted_at,
            resubmitted_at: time(attribute::RESUBMITTED_AT).unwrap_or(submitted_at),
            duplicate_at: time(attribute::DUPLICATE_AT),
            earlier_job: earlier_job.map(|(submitted_at, id)| EarlierJob { submitted_at, id }),
            asked_at: time(attribute::ASKED_AT),
            abandoned_at: time(attribute::ABANDONED_AT),
            job_id: text(attribute::JOB_ID),
            connector: text(attribute::CONNECTOR),
            event_time: text(attribute::EVENT_TIME),
            quality_grade: text(attribute::QUALITY_GRADE),
            failure_reason: text(attribute::FAILURE_REASON),
            code: text(attribute::CODE),
            connector_id: item.remove(attribute::CONNECTOR_ID).as_ref().and_then(connector_id),
            pii_findings_count: item.remove(attribute::PII_FINDINGS_COUNT).as_ref().and_then(number),
            expires_at: item.remove(attribute::EXPIRES_AT).as_ref().and_then(number).unwrap_or_default(),
            unpublished: matches!(item.remove(attribute::UNPUBLISHED), Some(AttributeValue::Bool(true))),
        };
        let revision = item.remove(attribute::REVISION).as_ref().and_then(number);
        Ok(Self { record, revision, others: item })
    }

    /// Returns the item of a record that is new (`previous` is `None`) or follows `previous`.
    pub(crate) fn item(record: &Record, previous: Option<&Self>, revision: u64) -> Item {
        let mut item = previous.map(|previous| previous.others.clone()).unwrap_or_default();
        let mut put = |name: &str, value: Option<AttributeValue>| {
            if let Some(value) = value {
                item.insert(name.to_owned(), value);
            }
        };
        let text =
            |text: &str| Some(text).filter(|text| !text.is_empty()).map(|text| AttributeValue::S(text.to_owned()));
        let optional = |value: &Option<String>| value.as_deref().and_then(text);
        let time = |time: Timestamp| Some(AttributeValue::S(iso(time)));
        let count = |count: u64| Some(AttributeValue::N(count.to_string()));
        put(attribute::DOCUMENT, text(&record.key.document));
        put(attribute::VERSION, text(&record.key.version));
        put(attribute::STATE, text(record.state.name()));
        put(attribute::JOB_ID, optional(&record.job_id));
        put(attribute::CHANGED_AT, time(record.changed_at));
        put(attribute::CONNECTOR, optional(&record.connector));
        put(attribute::CONNECTOR_ID, record.connector_id.as_ref().map(connector_id_attribute));
        put(attribute::EVENT_TIME, optional(&record.event_time));
        put(attribute::SUBMITTED_AT, time(record.submitted_at));
        put(
            attribute::RESUBMITTED_AT,
            time(record.resubmitted_at).filter(|_| record.resubmitted_at != record.submitted_at),
        );
        put(attribute::DUPLICATE_AT, record.duplicate_at.and_then(time));
        put(attribute::EARLIER_JOB, record.earlier_job.as_ref().and_then(|job| text(&job.id)));
        put(attribute::EARLIER_JOB_AT, record.earlier_job.as_ref().and_then(|job| time(job.submitted_at)));
        put(attribute::QUALITY_GRADE, optional(&record.quality_grade));
        put(attribute::PII_FINDINGS_COUNT, record.pii_findings_count.and_then(count));
        put(attribute::FAILURE_REASON, optional(&record.failure_reason));
        put(attribute::CODE, optional(&record.code));
        put(attribute::EXPIRES_AT, Some(AttributeValue::N(record.expires_at.to_string())));
        put(attribute::ASKED_AT, record.asked_at.and_then(time));
        put(attribute::ABANDONED_AT, record.abandoned_at.and_then(time));
        put(attribute::UNPUBLISHED, record.unpublished.then_some(AttributeValue::Bool(true)));
        put(attribute::REVISION, count(revision));
        item
    }

    /// Returns the record that a write leaves in the table.
    pub(crate) fn written(record: Record, previous: Option<&Self>, revision: u64) -> Self {
        let others = previous.map(|previous| previous.others.clone()).unwrap_or_default();
        Self { record, revision: Some(revision), others }
    }
}

fn number<T: std::str::FromStr>(value: &AttributeValue) -> Option<T> {
    value.as_n().ok()?.parse().ok()
}

fn connector_id(value: &AttributeValue) -> Option<ConnectorId> {
    match value {
        AttributeValue::N(number) => ConnectorId::from_json(&RawValue::from_string(number.clone()).ok()?),
        AttributeValue::S(text) => ConnectorId::from_text(text),
        _ => None,
    }
}

/// A number stays a number if DynamoDB keeps it as it is, and becomes text otherwise.
fn connector_id_attribute(id: &ConnectorId) -> AttributeValue {
    let text = id.to_string();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let is_kept = digits.len() <= DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let is_number = serde_json::to_string(id).is_ok_and(|json| !json.starts_with('"'));
    if is_number && is_kept { AttributeValue::N(text) } else { AttributeValue::S(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use proptest::prelude::*;

    #[test]
    fn a_record_survives_the_table_with_attributes_that_nobody_here_knows() {
        let full = Record {
            state: State::Failed,
            event_time: Some("2026-01-01T00:00:00Z".into()),
            quality_grade: Some("A".into()),
            pii_findings_count: Some(2),
            failure_reason: Some("corrupt".into()),
            code: Some("C".into()),
            unpublished: true,
            asked_at: Some(record().submitted_at),
            abandoned_at: Some(record().submitted_at),
            duplicate_at: Some(record().submitted_at),
            earlier_job: Some(EarlierJob { submitted_at: record().submitted_at, id: "j-0".into() }),
            ..record()
        };
        for expected in [record(), full] {
            let mut item = Stored::item(&expected, None, 1);
            item.insert("later".into(), AttributeValue::Ss(vec!["x".into()]));
            let stored = Stored::from_item(item).unwrap();
            assert_eq!((&stored.record, stored.revision), (&expected, Some(1)));
            let item = Stored::item(&stored.record, Some(&stored), u64::MAX);
            assert!(item.contains_key("later"));
            assert_eq!(Stored::from_item(item).unwrap().revision, Some(u64::MAX));
        }
    }

    #[test]
    fn what_is_unknown_or_empty_is_absent() {
        let item = Stored::item(&Record { job_id: None, code: Some(String::new()), ..record() }, None, 1);
        let names = ["job_id", "code", "unpublished", "asked_at", "failure_reason", "resubmitted_at"];
        assert!(names.iter().all(|name| !item.contains_key(*name)), "{item:?}");
    }

    #[test]
    fn an_item_of_another_program_is_read_if_it_has_a_key_a_state_and_a_time() {
        let text = |text: &str| AttributeValue::S(text.into());
        let mut item = Item::from([
            ("document".into(), text("b/k")),
            ("version".into(), text("-")),
            ("state".into(), text("submitted")),
            ("changed_at".into(), text("2026-01-01T00:00:00.000Z")),
        ]);
        let stored = Stored::from_item(item.clone()).unwrap();
        assert_eq!((stored.revision, stored.record.submitted_at), (None, record().submitted_at));
        item.insert("state".into(), text("lost"));
        assert_eq!(Stored::from_item(item).unwrap_err(), NotARecord("state"));
    }

    proptest! {
        #[test]
        fn a_connector_id_is_a_number_only_if_the_table_keeps_it_as_it_is(json in "(-?(0|[1-9][0-9]{0,45}))|\"[a-z0-9]{1,5}\"|1e3") {
            let id = ConnectorId::from_json(&RawValue::from_string(json.clone()).unwrap()).unwrap();
            let attribute = connector_id_attribute(&id);
            prop_assert_eq!(connector_id(&attribute).unwrap().to_string(), id.to_string());
            let is_number = !json.starts_with('"') && json.trim_start_matches('-').len() <= 38;
            prop_assert_eq!(attribute.is_n(), is_number && json != "1e3" && json.trim_start_matches('-') != "0");
        }
    }
}
