//! Receipts: what FlexOrch took and rejected, one message for each request, for the queue of `RECEIPTS_QUEUE_URL`. Pure.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;

use super::session::Request;
use crate::flexorch::key_results::KeyResult;
use crate::flexorch::response::Response;
use crate::model::connector::Connector;
use crate::model::credentials::ConnectorId;
use crate::model::job_id::JobId;
use crate::model::object::{EventTime, S3Object};
use crate::model::outcome::{Forwarded, Outcome, Rejection};

/// The version of the receipts' format.
pub const VERSION: u32 = 1;
/// The most documents of a receipt.
const MOST_DOCUMENTS: usize = 100;
/// The most bytes of a receipt: what every SQS queue accepts. Newer ones accept more (SQS Developer Guide, "Amazon SQS message
/// quotas").
const MOST_BYTES: usize = 262_144;
/// The outcome of a document that FlexOrch took, or knew already.
pub const FORWARDED: &str = "forwarded";
/// The outcome of a document that FlexOrch rejected.
pub const REJECTED: &str = "rejected";

/// A request whose response is about single objects: FlexOrch took it, or refused its only key.
#[derive(Debug, Clone)]
pub struct AnsweredRequest {
    /// The connector that it was sent for.
    pub connector: Arc<Connector>,
    /// When the response came.
    pub at: SystemTime,
    /// The positions of the objects that the response may have settled; [`receipts`] includes those that it did settle.
    pub objects: Vec<usize>,
}

impl AnsweredRequest {
    /// Returns the request if `response`, which came at this time, settles objects.
    #[must_use]
    pub(crate) fn new(request: &Request, response: &Response, at: SystemTime) -> Option<Self> {
        let connector = || Arc::clone(&request.connector);
        match response {
            Response::Accepted(result) => {
                let objects = request.objects.iter().copied().zip(&result.per_key);
                // A key whose result is ambiguous is sent again, in another request.
                let settled = objects
                    .filter(|(_, result)| matches!(result, KeyResult::Accepted { .. } | KeyResult::Rejected { .. }));
                Some(Self { connector: connector(), at, objects: settled.map(|(object, _)| object).collect() })
            }
            // Whether the key or the request is at fault is decided later.
            Response::Refused(_) if request.objects.len() == 1 => {
                Some(Self { connector: connector(), at, objects: request.objects.clone() })
            }
            _ => None,
        }
    }
}

/// A receipt, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message's body.
    pub body: String,
    /// The secret's id of the connector.
    pub connector: Arc<str>,
    /// The positions of the objects that it names.
    pub objects: Vec<usize>,
}

/// A receipt up to its documents. The order of the fields is that of the contract, as below.
#[derive(Serialize)]
struct Header<'a> {
    version: u32,
    connector: &'a str,
    connector_id: &'a ConnectorId,
    submitted_at: String,
}

/// What a receipt says of an object.
#[derive(Serialize)]
struct Document<'a> {
    bucket: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<&'a JobId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// Returns the document of an object; `None` if FlexOrch neither took nor rejected it.
    fn new(object: &'a S3Object, outcome: &'a Outcome) -> Option<Self> {
        let document = Self {
            bucket: &object.bucket,
            key: object.key.as_str(),
            version_id: object.version_id.as_deref(),
            etag: object.etag.as_deref(),
            event_time: object.event_time.as_ref().map(EventTime::as_str),
            outcome: FORWARDED,
            job_id: None,
            duplicate: false,
            code: None,
            message: None,
        };
        match outcome {
            Outcome::Forwarded(Forwarded { job_id, duplicate, .. }) => {
                Some(Self { job_id: job_id.as_ref(), duplicate: *duplicate, ..document })
            }
            Outcome::Rejected(Rejection { code, message, .. }) => {
                let message = Some(message.as_str()).filter(|message| !message.is_empty());
                Some(Self { outcome: REJECTED, code: Some(code), message, ..document })
            }
            Outcome::Skipped(_) | Outcome::Deferred(_) => None,
        }
    }
}

/// Builds the receipts of requests: one for each that settled objects, or several if one would be too large. `settled` returns the
/// object at a position, and its outcome once everything is done. A document that is larger than a receipt may be has one for itself.
pub fn receipts<'a>(
    requests: &[AnsweredRequest],
    settled: impl Fn(usize) -> Option<(&'a S3Object, &'a Outcome)>,
) -> Vec<Receipt> {
    const END: &str = "]}";
    let mut receipts = Vec::with_capacity(requests.len());
    for request in requests {
        let begin = begin_of(request);
        let mut open: Option<Receipt> = None;
        for position in request.objects.iter().copied() {
            let document = settled(position).and_then(|(object, outcome)| Document::new(object, outcome));
            let Some(document) = document.as_ref().and_then(json_for_sqs) else { continue };
            let fits = |receipt: &Receipt| {
                let bytes = receipt.body.len() + 1 + document.len() + END.len();
                receipt.objects.len() < MOST_DOCUMENTS && bytes <= MOST_BYTES
            };
            match open.as_mut().filter(|receipt| fits(receipt)) {
                Some(receipt) => {
                    receipt.body.push(',');
                    receipt.body.push_str(&document);
                    receipt.objects.push(position);
                }
                None => {
                    let connector = Arc::clone(&request.connector.secret_id);
                    let another = Receipt { body: format!("{begin}{document}"), connector, objects: vec![position] };
                    receipts.extend(open.replace(another));
                }
            }
        }
        receipts.extend(open);
    }
    receipts.iter_mut().for_each(|receipt| receipt.body.push_str(END));
    receipts
}

/// Writes a document as JSON without the two characters that JSON may hold and SQS refuses (SQS API Reference, `SendMessage`); a key may
/// hold any.
fn json_for_sqs(document: &Document<'_>) -> Option<String> {
    // Text can always be written as JSON.
    let json = serde_json::to_string(document).ok()?;
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        return Some(json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"));
    }
    Some(json)
}

/// Returns the text of a request's receipts up to their first documents.
fn begin_of(request: &AnsweredRequest) -> String {
    let Connector { secret_id, id, .. } = &*request.connector;
    let submitted_at = Timestamp::try_from(request.at).unwrap_or(Timestamp::UNIX_EPOCH);
    let header = Header {
        version: VERSION,
        connector: secret_id,
        connector_id: id,
        // With milliseconds, always: so text is ordered as time is.
        submitted_at: format!("{submitted_at:.3}"),
    };
    let header = serde_json::to_string(&header).unwrap_or_default();
    format!("{},\"documents\":[", header.trim_end_matches('}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flexorch::key_results::SubmissionResult;
    use crate::flexorch::response::ApiError;
    use crate::model::object::ObjectKey;
    use crate::model::outcome::{DeferClass, Deferral, SkipReason};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn connector(id: &str) -> Arc<Connector> {
        let secret = format!(r#"{{"api_key":"dfx_a","connector_id":{id}}}"#);
        Arc::new(Connector::from_secret("flexorch/docs", &secret).unwrap())
    }

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_503_600_000 + milliseconds)
    }

    fn answered(objects: impl IntoIterator<Item = usize>) -> AnsweredRequest {
        AnsweredRequest { connector: connector("42"), at: at(0), objects: objects.into_iter().collect() }
    }

    fn object(key: &str) -> S3Object {
        S3Object::new("my-documents", ObjectKey::verbatim(key).unwrap())
    }

    fn forwarded(job_id: Option<Value>, duplicate: bool) -> Outcome {
        let job_id = job_id.map(|id| JobId::from_json(&id).unwrap());
        Outcome::Forwarded(Forwarded { connector: "flexorch/docs".into(), job_id, duplicate })
    }

    fn rejected(message: &str) -> Outcome {
        Outcome::Rejected(Rejection { connector: None, code: "UNSUPPORTED_FILE".into(), message: message.into() })
    }

    fn deferred() -> Outcome {
        Outcome::Deferred(Deferral {
            class: DeferClass::DeadLetterUnavailable,
            detail: "x".into(),
            code: None,
            connector: None,
            not_before: None,
            attempts_exhausted: false,
        })
    }

    fn built(requests: &[AnsweredRequest], all: &[(S3Object, Outcome)]) -> Vec<Receipt> {
        receipts(requests, |position| all.get(position).map(|(object, outcome)| (object, outcome)))
    }

    #[test]
    fn a_receipt_has_the_fields_of_the_contract_in_its_order_and_what_is_not_known_is_left_out() {
        let full = S3Object {
            version_id: Some("v1".into()),
            etag: Some("e1".into()),
            event_time: Some("2026-11-24T08:00:00.000+01:00".parse().unwrap()),
            ..object("a \"b\".pdf")
        };
        let all = [
            (full, forwarded(Some(json!("j-1")), false)),
            (object("b.pdf"), forwarded(Some(json!(7)), true)),
            (object("c.pdf"), forwarded(None, false)),
            (object("d.exe"), rejected("no")),
            (object("e.exe"), rejected("")),
        ];
        let request = AnsweredRequest { connector: connector("\"42\""), at: at(7), ..answered(0..5) };
        let [receipt] = &built(&[request], &all)[..] else { panic!("one receipt") };
        let expected = concat!(
            r#"{"version":1,"connector":"flexorch/docs","connector_id":"42","submitted_at":"2026-11-24T07:00:00.007Z","documents":["#,
            r#"{"bucket":"my-documents","key":"a \"b\".pdf","version_id":"v1","etag":"e1","event_time":"2026-11-24T08:00:00.000+01:00","outcome":"forwarded","job_id":"j-1"},"#,
            r#"{"bucket":"my-documents","key":"b.pdf","outcome":"forwarded","job_id":7,"duplicate":true},"#,
            r#"{"bucket":"my-documents","key":"c.pdf","outcome":"forwarded"},"#,
            r#"{"bucket":"my-documents","key":"d.exe","outcome":"rejected","code":"UNSUPPORTED_FILE","message":"no"},"#,
            r#"{"bucket":"my-documents","key":"e.exe","outcome":"rejected","code":"UNSUPPORTED_FILE"}]}"#,
        );
        assert_eq!(receipt.body, expected);
        assert_eq!(receipt.objects, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_connectors_id_is_what_the_secret_holds_and_a_whole_second_has_milliseconds() {
        for id in ["42", "\"42\"", "123456789012345678901234567890"] {
            let request = AnsweredRequest { connector: connector(id), ..answered([0]) };
            let body = &built(&[request], &[(object("a"), forwarded(None, false))])[0].body;
            assert!(body.contains(&format!("\"connector_id\":{id},")), "{body}");
            assert!(body.contains("\"2026-11-24T07:00:00.000Z\""), "{body}");
        }
    }

    #[test]
    fn each_request_has_its_receipt_and_one_that_settled_nothing_has_none() {
        let all = [
            (object("a"), forwarded(None, false)),
            (object("b"), deferred()),
            (object("c"), Outcome::Skipped(SkipReason::TooLarge)),
            (object("d"), rejected("x")),
        ];
        let receipts =
            built(&[answered([0, 1]), answered([1]), answered([2]), answered([]), answered([3]), answered([9])], &all);
        let objects: Vec<_> = receipts.iter().map(|receipt| receipt.objects.as_slice()).collect();
        assert_eq!(objects, [&[0][..], &[3]]);
    }

    #[test]
    fn a_receipt_holds_a_hundred_documents_at_most() {
        let all: Vec<_> = (0..250).map(|number| (object(&format!("{number}.pdf")), forwarded(None, false))).collect();
        let sizes: Vec<_> = built(&[answered(0..250)], &all).iter().map(|receipt| receipt.objects.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn a_response_answers_the_keys_that_it_settles_and_a_refusal_only_a_single_key() {
        let request = |objects: &[usize]| Request {
            id: crate::ingest::session::RequestId::default(),
            connector: connector("42"),
            objects: objects.to_vec(),
            timeout: Duration::ZERO,
            attempt: 1,
            began: at(0),
        };
        let of = |objects: &[usize], response: &Response| {
            AnsweredRequest::new(&request(objects), response, at(1)).map(|answered| answered.objects)
        };
        let per_key = vec![
            KeyResult::Accepted { job_id: None, duplicate: false },
            KeyResult::Ambiguous,
            KeyResult::Rejected { code: "X".into(), message: String::new() },
            KeyResult::NotNow { code: "X".into() },
            KeyResult::Unaccounted,
        ];
        let accepted = Response::Accepted(SubmissionResult { per_key, note: None });
        assert_eq!(of(&[5, 6, 7, 8, 9], &accepted), Some(vec![5, 7]));
        let error = || ApiError { status: 415, code: None, message: String::new() };
        assert_eq!(of(&[3], &Response::Refused(error())), Some(vec![3]));
        assert_eq!(of(&[3, 4], &Response::Refused(error())), None);
        assert_eq!(of(&[3], &Response::Unauthorized(error())), None);
    }

    proptest! {
        #[test]
        fn every_document_is_in_one_receipt_of_its_request_and_none_is_too_large(
            lengths in proptest::collection::vec(0usize..60_000, 1..60),
            cut in 0usize..60,
        ) {
            // A control character takes six bytes in JSON.
            let all: Vec<_> = lengths
                .iter()
                .map(|length| (object(&format!("k{}", "\u{1}".repeat(length / 20))), rejected(&"ü".repeat(*length))))
                .collect();
            let cut = cut.min(all.len());
            let receipts = built(&[answered(0..cut), answered(cut..all.len())], &all);
            let mut seen: Vec<usize> = Vec::new();
            for receipt in &receipts {
                prop_assert!(receipt.body.len() <= 262_144);
                let body: Value = serde_json::from_str(&receipt.body).unwrap();
                let keys: Vec<_> = body["documents"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap()).collect();
                let expected: Vec<_> = receipt.objects.iter().map(|position| all[*position].0.key.as_str()).collect();
                prop_assert_eq!(keys, expected);
                let sides: BTreeSet<_> = receipt.objects.iter().map(|position| *position < cut).collect();
                prop_assert_eq!(sides.len(), 1);
                seen.extend(&receipt.objects);
            }
            prop_assert_eq!(seen, (0..all.len()).collect::<Vec<_>>());
        }
    }
}
