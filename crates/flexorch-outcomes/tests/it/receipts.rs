//! Receipts become records, whatever their order, repetition and number.

use std::time::Duration;

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::eventbridge::EventsFault;
use flexorch_sandbox::services::API_KEY;
use serde_json::{Value, json};

use super::support::{App, AppBuilder, BUS, Delivery, TABLE, batch, document, receipt, rejected, sqs, submitted_at};

#[tokio::test]
async fn a_receipt_is_a_record_for_each_document_with_all_its_attributes() {
    let app = App::start().await;
    let documents = [document("a b/ü.pdf", "j-1"), rejected("x.exe", "not this one")];
    assert!(app.invoke(batch(&[receipt(1, &documents)])).await.failures().is_empty());
    let records = app.records();
    let [taken, refused] = &records[..] else { panic!("two records: {records:#?}") };
    let (expires, revision) = (taken["expires_at"].as_i64().unwrap(), taken["revision"].as_u64().unwrap());
    let in_90_days = jiff::Timestamp::now().as_second() + 90 * 86_400;
    assert!((in_90_days - 60..=in_90_days).contains(&expires));
    assert_eq!(
        taken,
        &json!({
            "document": "documents/a b/ü.pdf", "version": "v-1", "state": "submitted", "job_id": "j-1",
            "changed_at": submitted_at(1), "submitted_at": submitted_at(1),
            "event_time": "2026-01-01T00:00:00.000Z", "connector": "connector", "connector_id": 42,
            "expires_at": expires, "revision": revision,
        })
    );
    assert_eq!((&refused["state"], &refused["code"]), (&json!("rejected"), &json!("UNSUPPORTED_FILE")));
    assert_eq!((&refused["failure_reason"], &refused["job_id"]), (&json!("not this one"), &Value::Null));
    let [event] = &app.eventbridge.events()[..] else { panic!("one event") };
    assert_eq!((&*event.source, &*event.detail_type, &*event.bus), ("flexorch.s3-ingester", "Document Rejected", BUS));
    assert_eq!(event.detail["document"], "documents/x.exe");
    assert!(event.detail.get("revision").is_none() && event.detail.get("unpublished").is_none());
    let metrics = app.metrics().await;
    assert_eq!((metrics["DocumentsSubmitted"], metrics["DocumentsRejected"]), (1.0, 1.0));
}

#[tokio::test]
async fn the_same_receipt_twice_changes_nothing() {
    let app = App::start().await;
    let event = batch(&[receipt(1, &[document("a.pdf", "j-1"), rejected("b.exe", "m")])]);
    app.invoke(event.clone()).await.failures();
    let before = app.records();
    assert!(app.invoke(event).await.failures().is_empty());
    assert_eq!(app.records(), before);
    assert_eq!(app.published().len(), 1);
}

#[tokio::test]
async fn receipts_in_the_wrong_order_lead_to_the_latest_job() {
    for order in [[1, 2], [2, 1]] {
        let app = App::start().await;
        for second in order {
            app.invoke(batch(&[receipt(second, &[document("a.pdf", &format!("j-{second}"))])])).await.failures();
        }
        assert_eq!((&app.record()["job_id"], &app.record()["state"]), (&json!("j-2"), &json!("submitted")));
    }
}

#[tokio::test]
async fn receipts_of_one_document_in_one_batch_converge() {
    let app = App::start().await;
    let receipts: Vec<_> =
        (1..=8).map(|second| receipt(second, &[document("a.pdf", &format!("j-{second}"))])).collect();
    assert!(app.invoke(batch(&receipts)).await.failures().is_empty());
    assert_eq!(app.record()["job_id"], "j-8");
}

#[tokio::test]
async fn a_key_uploaded_again_while_its_first_version_is_in_process_is_a_record_of_its_own() {
    let app = App::start().await;
    let mut second = document("a.pdf", "j-2");
    second["version_id"] = json!("v-2");
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")]), receipt(2, &[second])])).await.failures();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!(app.states(), ["processed", "submitted"]);
    assert_eq!(app.deliver(&Delivery::of("j-2", "failed")).await, 204);
    assert_eq!(app.states(), ["processed", "failed"]);
}

#[tokio::test]
async fn a_later_job_reopens_a_settled_record_and_its_end_settles_it_again() {
    let app = App::start().await;
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    app.deliver(&Delivery::of("j-1", "failed")).await;
    app.invoke(batch(&[receipt(2, &[document("a.pdf", "j-2")])])).await.failures();
    assert_eq!(app.record()["state"], "submitted");
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 503, "no record names the first job now");
    app.deliver(&Delivery::of("j-2", "completed")).await;
    assert_eq!(app.record()["state"], "processed");
    let types: Vec<_> = app.published().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["Document Failed", "Document Processed"]);
}

#[tokio::test]
async fn a_duplicate_of_a_job_that_ended_is_settled_by_the_other_record() {
    let app = App::start().await;
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    app.deliver(&Delivery::of("j-1", "completed")).await;
    let mut copy = document("copy.pdf", "j-1");
    copy["duplicate"] = json!(true);
    let mut unnamed = copy.clone();
    (unnamed["key"], unnamed["job_id"]) = (json!("unnamed.pdf"), Value::Null);
    app.invoke(batch(&[receipt(2, &[copy, unnamed])])).await.failures();
    assert_eq!(app.states(), ["processed", "processed", "submitted"]);
    assert_eq!(app.records()[1]["quality_grade"], "A");
    assert_eq!(app.published().len(), 2);
}

#[tokio::test]
async fn an_unreadable_receipt_fails_alone_and_its_contents_are_not_logged() {
    let app = App::start().await;
    let bodies = [
        "{\"private\": ".to_owned(),
        receipt(1, &[document("a.pdf", "j-1")]).to_string(),
        "{\"private\":1}".to_owned(),
    ];
    assert_eq!(app.invoke(sqs(&bodies)).await.failures(), ["m-0", "m-2"]);
    assert_eq!(app.states(), ["submitted"]);
    let lines = app.output().await;
    assert_eq!(lines.iter().filter(|line| line.contains("ERROR")).count(), 2, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("private")), "{lines:#?}");
}

#[tokio::test]
async fn an_api_key_is_redacted_before_it_is_recorded_and_published() {
    let app = App::start().await;
    let message = format!("the key {API_KEY} is not allowed, nor dfx_of_another_connector");
    app.invoke(batch(&[receipt(1, &[rejected("a.exe", &message)])])).await.failures();
    let expected = "the key [redacted] is not allowed, nor [redacted]";
    assert_eq!(app.record()["failure_reason"], expected);
    assert_eq!(app.eventbridge.events()[0].detail["failure_reason"], expected);
}

#[tokio::test]
async fn a_throttled_table_is_tried_until_it_is_not() {
    for fault in [DynamoFault::Throttling, DynamoFault::ThroughputExceeded, DynamoFault::Internal] {
        let app = App::start().await;
        app.dynamodb.fail_next(12, fault);
        assert!(app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures().is_empty(), "{fault:?}");
        assert_eq!(app.states(), ["submitted"]);
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_before_the_deadline_comes_back() {
    for fault in [DynamoFault::Throttling, DynamoFault::Hang, DynamoFault::AccessDenied] {
        let app = App::start().await;
        app.dynamodb.set_table_fault(TABLE, Some(fault));
        let event = batch(&[receipt(1, &[document("a.pdf", "j-1")]), receipt(1, &[document("b.pdf", "j-2")])]);
        let answer = app.invoke_within(event.clone(), Duration::from_secs(4)).await;
        assert_eq!(answer.failures(), ["m-0", "m-1"], "{fault:?}");
        app.dynamodb.set_table_fault(TABLE, None);
        assert!(app.invoke(event).await.failures().is_empty());
        assert_eq!(app.states(), ["submitted", "submitted"]);
    }
}

#[tokio::test]
async fn a_receipt_whose_event_cannot_be_published_comes_back_and_is_published_then() {
    for fault in [EventsFault::Throttling, EventsFault::Hang, EventsFault::AccessDenied] {
        let app = App::start().await;
        app.eventbridge.set_fault(Some(fault));
        let event = batch(&[receipt(1, &[document("a.pdf", "j-1"), rejected("b.exe", "m")])]);
        assert_eq!(app.invoke_within(event.clone(), Duration::from_secs(4)).await.failures(), ["m-0"], "{fault:?}");
        assert_eq!(app.records()[1]["unpublished"], true);
        app.eventbridge.set_fault(None);
        assert!(app.invoke(event).await.failures().is_empty());
        assert_eq!(app.published(), [("Document Rejected".to_owned(), "documents/b.exe".to_owned())]);
        assert_eq!(app.records()[1].get("unpublished"), None);
    }
}

#[tokio::test]
async fn a_batch_of_a_thousand_documents_is_recorded_within_its_time() {
    let app = AppBuilder::new().start().await;
    let receipts: Vec<_> = (0..10)
        .map(|number| {
            let documents: Vec<_> =
                (0..100).map(|key| document(&format!("{number}/{key}.pdf"), &format!("j-{number}-{key}"))).collect();
            receipt(1, &documents)
        })
        .collect();
    assert!(app.invoke(batch(&receipts)).await.failures().is_empty());
    assert_eq!(app.records().len(), 1_000);
}
