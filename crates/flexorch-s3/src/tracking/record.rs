//! A record: what is known about a submitted document. Pure.

use std::collections::HashMap;
use std::hash::BuildHasher;

use aws_sdk_dynamodb::types::AttributeValue;
use clap::ValueEnum;
pub(crate) use flexorch_outcomes::schema::iso as timestamp;
use flexorch_outcomes::schema::{self, NO_VERSION, attribute};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::State;
use flexorch_s3_ingester::model::credentials::ConnectorId;

impl State {
    /// Returns the state's name in the table.
    pub(crate) fn as_str(self) -> &'static str {
        let state = match self {
            Self::Submitted => schema::State::Submitted,
            Self::Processed => schema::State::Processed,
            Self::Failed => schema::State::Failed,
            Self::Rejected => schema::State::Rejected,
        };
        state.name()
    }

    /// Returns the state as a person reads it: a submitted document whose job has not ended is open.
    pub(crate) fn word(self) -> &'static str {
        if self == Self::Submitted { "open" } else { self.as_str() }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|state| state.as_str() == text)
    }
}

/// What is known about a version of a document. Its JSON has the attributes' names; what is not known is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Record {
    /// `<bucket>/<key>`.
    pub(crate) document: String,
    /// The version id, else the ETag, else `-`.
    pub(crate) version: String,
    pub(crate) state: State,
    pub(crate) job_id: Option<String>,
    /// When the state changed: ISO 8601, always with milliseconds, so that the order of the texts is the order of the times.
    pub(crate) changed_at: String,
    /// The name or ARN of the connector's secret.
    pub(crate) connector: Option<String>,
    pub(crate) connector_id: Option<ConnectorId>,
    /// When the object was uploaded, as S3 said.
    pub(crate) event_time: Option<String>,
    pub(crate) submitted_at: Option<String>,
    pub(crate) quality_grade: Option<String>,
    pub(crate) pii_findings_count: Option<u64>,
    pub(crate) failure_reason: Option<String>,
    pub(crate) code: Option<String>,
    /// When the table deletes it, in seconds since 1970.
    pub(crate) expires_at: Option<i64>,
    /// The state has not been published to EventBridge yet.
    #[serde(skip)]
    pub(crate) unpublished: bool,
}

/// An item that is not a record, such as the position of the sweep, which the table holds too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotARecord;

impl Record {
    /// Reads an item. Attributes of another type, and unknown ones, are ignored.
    ///
    /// # Errors
    /// If it lacks the keys, or has no known state.
    pub(crate) fn read<S: BuildHasher>(item: &HashMap<String, AttributeValue, S>) -> Result<Self, NotARecord> {
        let value = |name: &str| item.get(name);
        let text = |name: &str| match value(name)? {
            AttributeValue::S(text) | AttributeValue::N(text) => Some(text.clone()),
            _ => None,
        };
        Ok(Self {
            document: text(attribute::DOCUMENT).ok_or(NotARecord)?,
            version: text(attribute::VERSION).unwrap_or_else(|| NO_VERSION.to_owned()),
            state: text(attribute::STATE).and_then(|state| State::parse(&state)).ok_or(NotARecord)?,
            job_id: text(attribute::JOB_ID),
            changed_at: text(attribute::CHANGED_AT).unwrap_or_default(),
            connector: text(attribute::CONNECTOR),
            connector_id: value(attribute::CONNECTOR_ID).and_then(connector_id),
            event_time: text(attribute::EVENT_TIME),
            submitted_at: text(attribute::SUBMITTED_AT),
            quality_grade: text(attribute::QUALITY_GRADE),
            pii_findings_count: text(attribute::PII_FINDINGS_COUNT).and_then(|count| count.parse().ok()),
            failure_reason: text(attribute::FAILURE_REASON),
            code: text(attribute::CODE),
            expires_at: text(attribute::EXPIRES_AT).and_then(|seconds| seconds.parse().ok()),
            unpublished: matches!(value(attribute::UNPUBLISHED), Some(AttributeValue::Bool(true))),
        })
    }

    /// Returns bucket and key. A bucket's name contains no slash.
    pub(crate) fn object(&self) -> Option<(&str, &str)> {
        self.document.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
    }

    /// Returns why it failed or was rejected: the code and the reason.
    pub(crate) fn why(&self) -> Option<String> {
        match (&self.code, &self.failure_reason) {
            (Some(code), Some(reason)) if !reason.contains(code.as_str()) => Some(format!("{code}: {reason}")),
            (_, Some(one)) | (Some(one), None) => Some(one.clone()),
            (None, None) => None,
        }
    }
}

/// Reads a connector's id, which is a number or text, digit by digit.
fn connector_id(value: &AttributeValue) -> Option<ConnectorId> {
    let json = match value {
        AttributeValue::N(digits) => digits.clone(),
        AttributeValue::S(text) => serde_json::to_string(text).ok()?,
        _ => return None,
    };
    ConnectorId::from_json(&RawValue::from_string(json).ok()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An item with these attributes.
    pub(crate) fn item(attributes: &[(&str, AttributeValue)]) -> HashMap<String, AttributeValue> {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    pub(crate) fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    #[test]
    fn an_item_is_read_with_ids_digit_by_digit_and_written_with_the_attributes_names() {
        let record = Record::read(&item(&[
            ("document", s("docs/in/a b.pdf")),
            ("version", s("v1")),
            ("state", s("failed")),
            ("job_id", s("j-1")),
            ("changed_at", s("2026-11-24T07:00:00.123Z")),
            ("connector_id", AttributeValue::N("123456789012345678901234567890".into())),
            ("pii_findings_count", AttributeValue::N("2".into())),
            ("failure_reason", s("cannot be read")),
            ("revision", AttributeValue::N("7".into())),
        ]))
        .unwrap();
        assert_eq!(record.object(), Some(("docs", "in/a b.pdf")));
        let json = serde_json::to_string(&record).unwrap();
        assert!(json.contains(r#""connector_id":123456789012345678901234567890,"#), "{json}");
        assert!(json.contains(r#""state":"failed","#) && json.contains(r#""code":null"#), "{json}");
        assert!(!json.contains("revision"), "{json}");
    }

    #[test]
    fn the_position_of_a_sweep_and_an_unknown_state_are_no_records() {
        let watermark = item(&[("document", s("sweep")), ("version", s("published-until"))]);
        assert_eq!(Record::read(&watermark), Err(NotARecord));
        assert_eq!(Record::read(&item(&[("document", s("b/k")), ("state", s("archived"))])), Err(NotARecord));
    }

    #[test]
    fn why_names_the_code_once() {
        let why = |code: Option<&str>, reason: Option<&str>| {
            let mut attributes = vec![("document", s("b/k")), ("state", s("failed"))];
            attributes.extend(code.map(|code| ("code", s(code))));
            attributes.extend(reason.map(|reason| ("failure_reason", s(reason))));
            Record::read(&item(&attributes)).unwrap().why()
        };
        assert_eq!(why(Some("FILE_TOO_LARGE"), Some("60 MB")).as_deref(), Some("FILE_TOO_LARGE: 60 MB"));
        assert_eq!(why(Some("X"), Some("X: too large")).as_deref(), Some("X: too large"));
        assert_eq!(why(None, Some("gone")).as_deref(), Some("gone"));
        assert_eq!(why(None, None), None);
    }

    #[test]
    fn times_are_written_with_milliseconds_even_if_they_have_none() {
        for (time, text) in [
            ("2026-11-24T07:00:00Z", "2026-11-24T07:00:00.000Z"),
            ("2026-11-24T08:00:00.1239+01:00", "2026-11-24T07:00:00.123Z"),
        ] {
            assert_eq!(timestamp(time.parse().unwrap()), text);
        }
    }
}
