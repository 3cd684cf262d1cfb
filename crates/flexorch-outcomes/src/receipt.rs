//! Parses receipts: what the ingester says about the documents of one request. Strict in what a record needs, lenient otherwise.

use flexorch_s3_ingester::ingest::receipt::{FORWARDED, REJECTED, VERSION};
use flexorch_s3_ingester::model::credentials::ConnectorId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::{RecordKey, in_milliseconds};
use crate::text::identifier;
use crate::transition::{Submission, SubmissionResult};

/// Why a receipt cannot be read. No variant holds contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReceiptError {
    /// It is not JSON, or a field is missing or has another type.
    #[error("it is not a receipt: a field is missing or wrong at line {line}, column {column}")]
    Form {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is of a version that this function does not know.
    #[error("its field `version` is not {VERSION}")]
    Version,
    /// A field has an unusable value.
    #[error("its field `{0}` has an unusable value")]
    Field(&'static str),
}

#[derive(Deserialize)]
struct Receipt<'a> {
    version: u32,
    connector: String,
    #[serde(borrow, default)]
    connector_id: Option<&'a RawValue>,
    submitted_at: String,
    #[serde(borrow)]
    documents: Vec<Document<'a>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    bucket: String,
    key: String,
    #[serde(default)]
    version_id: Option<String>,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    event_time: Option<String>,
    outcome: String,
    #[serde(borrow, default)]
    job_id: Option<&'a RawValue>,
    #[serde(default)]
    duplicate: Option<bool>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// Parses the body of a message. `clean` removes secrets from FlexOrch's texts and cuts them.
///
/// # Errors
/// [`ReceiptError`] if a document's record cannot be made of it.
pub(crate) fn parse(body: &str, clean: impl Fn(&str) -> String) -> Result<Vec<Submission>, ReceiptError> {
    if !body.trim_ascii_start().starts_with('{') {
        // A list would be read as the fields in their order.
        return Err(ReceiptError::Form { line: 1, column: 1 });
    }
    let receipt: Receipt<'_> = serde_json::from_str(body)
        .map_err(|error| ReceiptError::Form { line: error.line(), column: error.column() })?;
    if receipt.version != VERSION {
        return Err(ReceiptError::Version);
    }
    let connector =
        Some(receipt.connector.trim()).filter(|id| !id.is_empty()).ok_or(ReceiptError::Field("connector"))?;
    let submitted_at: Timestamp = receipt.submitted_at.parse().map_err(|_| ReceiptError::Field("submitted_at"))?;
    let connector_id = receipt.connector_id.and_then(ConnectorId::from_json);
    let submission = |document: Document<'_>| {
        if document.bucket.is_empty() {
            return Err(ReceiptError::Field("bucket"));
        }
        if document.key.is_empty() {
            return Err(ReceiptError::Field("key"));
        }
        let result = match document.outcome.as_str() {
            FORWARDED => SubmissionResult::Forwarded {
                job_id: document.job_id.and_then(identifier),
                is_duplicate: document.duplicate.unwrap_or_default(),
            },
            REJECTED => SubmissionResult::Rejected {
                code: document.code.as_deref().map(&clean),
                message: document.message.as_deref().map(&clean),
            },
            _ => return Err(ReceiptError::Field("outcome")),
        };
        Ok(Submission {
            key: RecordKey::new(
                &document.bucket,
                &document.key,
                document.version_id.as_deref(),
                document.etag.as_deref(),
            ),
            connector: connector.to_owned(),
            connector_id: connector_id.clone(),
            event_time: document.event_time.filter(|time| !time.is_empty()),
            submitted_at: in_milliseconds(submitted_at),
            result,
        })
    };
    receipt.documents.into_iter().map(submission).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn receipt() -> Value {
        json!({
            "version": 1, "connector": "c", "connector_id": 42, "submitted_at": "2026-11-24T07:00:00.123Z", "later": [],
            "documents": [
                {"bucket": "b", "key": "x/a.pdf", "version_id": "v", "etag": "e", "event_time": "t", "outcome": "forwarded", "job_id": "j"},
                {"bucket": "b", "key": "b.exe", "etag": "e", "outcome": "rejected", "code": "C", "message": "m", "later": 1},
            ],
        })
    }

    fn read(receipt: &Value) -> Result<Vec<Submission>, ReceiptError> {
        parse(&receipt.to_string(), str::to_owned)
    }

    fn with(path: &str, value: Value) -> Result<Vec<Submission>, ReceiptError> {
        let mut receipt = receipt();
        *receipt.pointer_mut(path).unwrap() = value;
        read(&receipt)
    }

    #[test]
    fn a_receipt_is_one_submission_a_document() {
        let [forwarded, rejected] = &read(&receipt()).unwrap()[..] else { panic!("two documents") };
        assert_eq!((&*forwarded.key.document, &*forwarded.key.version), ("b/x/a.pdf", "v"));
        assert_eq!(forwarded.job_id(), Some("j"));
        assert_eq!(forwarded.event_time.as_deref(), Some("t"));
        assert_eq!(serde_json::to_string(&forwarded.connector_id).unwrap(), "42");
        assert_eq!(&*rejected.key.version, "e");
        let result = SubmissionResult::Rejected { code: Some("C".into()), message: Some("m".into()) };
        assert_eq!(rejected.result, result);
    }

    #[test]
    fn a_job_id_is_always_text_and_may_be_missing() {
        for (id, text) in [
            (json!(123_456_789_012_345_678u64), Some("123456789012345678")),
            (json!("j"), Some("j")),
            (json!(""), None),
            (Value::Null, None),
        ] {
            assert_eq!(with("/documents/0/job_id", id).unwrap()[0].job_id(), text);
        }
    }

    #[test]
    fn what_no_record_can_be_made_of_is_an_error_without_contents() {
        for (path, value) in [
            ("/version", json!(2)),
            ("/version", json!("secret")),
            ("/connector", json!("")),
            ("/submitted_at", json!("secret")),
            ("/documents", json!({"secret": 1})),
            ("/documents/0/bucket", json!("")),
            ("/documents/0/key", Value::Null),
            ("/documents/0/outcome", json!("secret")),
        ] {
            let error = with(path, value).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(parse("", str::to_owned).is_err() && parse("[]", str::to_owned).is_err());
    }
}
