//! `flexorch-s3 doctor --key` with tracking: what became of one document, in one answer that does not contradict itself.

use serde_json::{Value, json};

use crate::doctor_tracking::{doctor, tracked};
use crate::support::clinic::{Clinic, FUNCTION};
use crate::support::records::TABLE;
use crate::support::surroundings::{API_KEY, REGION};

const KEY: [&str; 2] = ["--key", "in/a.pdf"];

/// Puts a record of the object into the table.
fn put(clinic: &Clinic, state: &str, more: &Value) {
    let mut record = json!({
        "document": "docs/in/a.pdf",
        "version": "-",
        "changed_at": "2026-11-24T07:00:00.000Z",
        "submitted_at": "2026-11-24T06:59:00.000Z",
        "job_id": "j-7",
        "state": state,
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    clinic.dynamodb.put(TABLE, record).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suggested_submission_is_recorded_if_documents_are_tracked() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 10, std::time::SystemTime::now());
    let key = KEY;
    let submit = "flexorch-s3 submit --secret docs --function ingest in/a.pdf";
    let seen = doctor(&clinic, &key).await;
    assert!(seen.text("object's delivery").contains(submit), "{:#}", seen.report);
    let suggested = seen.check("object's record")["command"].as_str().unwrap();
    assert_eq!(suggested, submit);
    clinic.follow(suggested).await.says(0, &["forwarded 1"]);
    let receipts = clinic.queues.messages("receipts");
    assert!(receipts.len() == 1 && receipts[0].body.contains(r#""key":"in/a.pdf""#), "{receipts:?}");
    clinic.account.set_variable(FUNCTION, "RECEIPTS_QUEUE_URL", "");
    let seen = doctor(&clinic, &key).await;
    let plain = "flexorch-s3 submit --secret docs in/a.pdf";
    assert!(seen.text("object's delivery").contains(plain), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_followed_from_its_upload_to_its_result() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 10, std::time::SystemTime::now());
    let put = |state: &str, more: Value| put(&clinic, state, &more);
    let key = KEY;
    let seen = doctor(&clinic, &key).await;
    assert_eq!(seen.check("object's record")["status"], "warning");
    assert!(seen.text("object's record").contains("no record"), "{:#}", seen.report);
    put("failed", json!({"failure_reason": "AccessDenied: KMS key"}));
    let failed = doctor(&clinic, &key).await;
    failed.fails(
        "object's record",
        "submitted 2026-11-24T06:59:00.000Z as job j-7; failed 2026-11-24T07:00:00.000Z: AccessDenied: KMS key; published",
        "flexorch-s3 resubmit --function ingest --bucket docs --key in/a.pdf",
    );
    put("processed", json!({"quality_grade": "A"}));
    let seen = doctor(&clinic, &key).await;
    assert_eq!(
        (seen.check("object's record")["status"].as_str(), seen.run.status),
        (Some("well"), Some(0)),
        "{:#}",
        seen.report
    );
    let secret: Value = json!({"api_key": API_KEY, "connector_id": 1, "region": REGION});
    clinic.write(&secret);
    assert_eq!(doctor(&clinic, &key).await.check("object's record")["status"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_stated_whatever_else_waits() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 1, std::time::SystemTime::now());
    clinic.queues.send("retry", "{}", &[]).unwrap();
    let seen = doctor(&clinic, &KEY).await;
    assert!(seen.text("object").contains(", 1 byte\n"), "{:#}", seen.report);
    assert!(seen.text("object's delivery").contains("among 1 waiting message or 0 dead letters"), "{:#}", seen.report);
    for (state, result) in [
        ("processed", "accepted and processed it"),
        ("failed", "its job failed"),
        ("rejected", "refused the file"),
        ("submitted", "its job has not ended"),
    ] {
        put(&clinic, state, &json!({}));
        let seen = doctor(&clinic, &KEY).await;
        let text = seen.text("object's delivery");
        assert_eq!(seen.check("object's delivery")["status"], "well", "{:#}", seen.report);
        assert!(text.contains(result) && !text.contains("flexorch-s3 submit"), "{text}");
    }
    // A dead letter of another attempt does not contradict the record.
    let event = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                                    "s3": {"bucket": {"name": "docs"}, "object": {"key": "in/a.pdf"}}}]});
    clinic.queues.send("dead", &event.to_string(), &[("code", "UNSUPPORTED_FILE")]).unwrap();
    for (state, status) in [("processed", "warning"), ("rejected", "failed")] {
        put(&clinic, state, &json!({}));
        let seen = doctor(&clinic, &KEY).await;
        assert_eq!(seen.check("object's delivery")["status"], status, "{:#}", seen.report);
        assert!(seen.text("object's delivery").contains("UNSUPPORTED_FILE"), "{:#}", seen.report);
    }
    clinic.queues.create("dead-without-letters");
    clinic.queues.set_redrive("retry", "dead-without-letters", 120);
    // The record of another version says nothing of this one.
    clinic.dynamodb.clear(TABLE);
    put(&clinic, "processed", &json!({"version": "another"}));
    let seen = doctor(&clinic, &KEY).await;
    assert_eq!(seen.check("object's delivery")["status"], "warning", "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_does_not_exist_is_never_to_be_submitted_again() {
    let clinic = tracked().await;
    let seen = doctor(&clinic, &KEY).await;
    let text = seen.text("object's record");
    assert!(text.contains("upload it, or check the spelling of the key"), "{text}");
    assert!(text.contains("aws s3api list-objects-v2 --bucket docs --prefix in/"), "{text}");
    for state in ["failed", "rejected"] {
        put(&clinic, state, &json!({"failure_reason": "encrypted"}));
        let seen = doctor(&clinic, &KEY).await;
        let text = seen.text("object's record");
        assert_eq!(seen.check("object's record")["status"], "failed", "{:#}", seen.report);
        for words in
            ["encrypted", "was deleted since", "upload it again", "aws s3api list-object-versions --bucket docs"]
        {
            assert!(text.contains(words), "{text}");
        }
    }
    assert!(
        !seen.run.out.contains("flexorch-s3 submit") && !seen.run.out.contains("flexorch-s3 resubmit"),
        "{}",
        seen.run
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_open_for_longer_than_a_day_is_a_warning() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 10, std::time::SystemTime::now());
    let now = jiff::Timestamp::now();
    for (hours, status) in [(23, "well"), (25, "warning")] {
        let at = (now - jiff::SignedDuration::from_hours(hours)).to_string();
        put(&clinic, "submitted", &json!({"changed_at": at, "submitted_at": at}));
        let seen = doctor(&clinic, &KEY).await;
        assert_eq!(seen.check("object's record")["status"], status, "{:#}", seen.report);
    }
    let seen = doctor(&clinic, &KEY).await;
    let text = seen.text("object's record");
    for words in ["for longer than a day", "look up job j-7 at FlexOrch", "RECORD_DAYS"] {
        assert!(text.contains(words), "{text}");
    }
}
