//! Webhooks: what a signed one says is recorded, and nothing that another says is believed.

use std::time::Duration;

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::eventbridge::EventsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;
use serde_json::json;

use super::support::{App, AppBuilder, Delivery, TABLE, WEBHOOK_SECRET, batch, document, receipt};

/// The function with one open record of the job `j-1`.
async fn with_open_record() -> App {
    let app = App::start().await;
    assert!(app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures().is_empty());
    app
}

#[tokio::test]
async fn a_signed_delivery_settles_every_record_that_names_its_job_and_each_is_published() {
    let app = App::start().await;
    let documents: Vec<_> = (0..25).map(|number| document(&format!("{number:02}.pdf"), "j-1")).collect();
    app.invoke(batch(&[receipt(1, &documents)])).await.failures();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    for record in app.records() {
        assert_eq!((&record["state"], &record["quality_grade"]), (&json!("processed"), &json!("A")));
        assert_eq!((&record["pii_findings_count"], record.get("unpublished")), (&json!(2), None));
        assert_ne!(record["changed_at"], record["submitted_at"]);
    }
    let mut published: Vec<_> = app.published().into_iter().map(|(_, document)| document).collect();
    published.sort();
    published.dedup();
    assert_eq!(published.len(), 25);
    let metrics = app.metrics().await;
    assert_eq!(metrics["DocumentsProcessed"], 25.0);
    assert!(metrics["ProcessingLag"] > 0.0 && !metrics.contains_key("DocumentsOpen"));
}

#[tokio::test]
async fn a_delivery_twice_or_out_of_order_is_harmless_and_processed_wins() {
    let app = with_open_record().await;
    for status in ["failed", "completed", "completed", "failed"] {
        assert_eq!(app.deliver(&Delivery::of("j-1", status)).await, 204);
    }
    assert_eq!(app.record()["state"], "processed");
    let types: Vec<_> = app.published().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["Document Failed", "Document Processed"]);
}

#[tokio::test]
async fn a_job_that_no_record_names_is_503_until_its_receipt_is_there() {
    let app = App::start().await;
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 503);
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!(app.record()["state"], "processed");
}

#[tokio::test]
async fn nothing_that_is_not_signed_is_believed() {
    let app = with_open_record().await;
    let right = Delivery::of("j-1", "completed");
    let signature = right.signature.clone().unwrap();
    let before = app.record();
    for wrong in [
        None,
        Some(String::new()),
        Some(signature[..32].to_owned()),
        Some(format!("{signature}0")),
        Some("0".repeat(64)),
        Some(Delivery::sign(&right.body, "another secret")),
        Some(Delivery::sign(&right.body, "")),
    ] {
        assert_eq!(app.deliver(&Delivery { signature: wrong.clone(), ..right.clone() }).await, 401, "{wrong:?}");
    }
    assert_eq!((app.record(), app.published().len()), (before, 0));
    assert_eq!(
        app.deliver(&Delivery { signature: Some(format!(" {} ", signature.to_uppercase())), ..right }).await,
        204
    );
    assert_eq!(app.metrics().await["WebhookRejected"], 7.0);
}

#[tokio::test]
async fn a_body_may_be_base64_and_10_mb_are_413() {
    let app = with_open_record().await;
    let huge = Delivery::signed("x".repeat(10_000_000));
    for base64 in [false, true] {
        assert_eq!(app.deliver(&Delivery { base64, ..huge.clone() }).await, 413);
        assert_eq!(app.deliver(&Delivery { base64, ..Delivery::signed("x".repeat(65_537)) }).await, 413);
        assert_eq!(app.deliver(&Delivery { base64, ..Delivery::signed("x".repeat(65_536)) }).await, 400);
    }
    assert_eq!(app.deliver(&Delivery { base64: true, ..Delivery::of("j-1", "completed") }).await, 204);
    assert_eq!(app.record()["state"], "processed");
}

#[tokio::test]
async fn a_signed_body_that_names_no_job_is_400_and_an_event_of_another_kind_is_204() {
    let app = with_open_record().await;
    for (body, status) in [
        ("no JSON", 400),
        ("[]", 400),
        (r#"{"event":"job.completed","status":"completed"}"#, 400),
        (r#"{"event":"quota.warning"}"#, 204),
        (r#"{"event":"dataset.ready","job_id":"j-1","status":"completed"}"#, 204),
        (r#"{"event":"job.completed","job_id":"j-1","status":"running"}"#, 204),
    ] {
        assert_eq!(app.deliver(&Delivery::signed(body)).await, status, "{body}");
    }
    assert_eq!(app.record()["state"], "submitted");
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(app.deliver(&Delivery { method, ..Delivery::of("j-1", "completed") }).await, 405);
    }
}

#[tokio::test]
async fn without_a_webhook_secret_and_with_an_empty_one_every_delivery_is_401() {
    let app = AppBuilder::new().env("WEBHOOK_SECRET_ID", "").start().await;
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 401);
    let app = with_open_record().await;
    for secret in [json!({"signing_secret": ""}), json!({}), json!("text")] {
        app.secrets.put(WEBHOOK_SECRET, secret.to_string());
        let forged = Delivery::of("j-1", "completed");
        let signature = Some(Delivery::sign(&forged.body, ""));
        assert_eq!(app.deliver(&Delivery { signature, ..forged }).await, 401, "{secret}");
    }
    assert_eq!(app.record()["state"], "submitted");
}

#[tokio::test]
async fn a_changed_signing_secret_is_used_after_a_mismatch_which_fetches_it_once_a_minute() {
    let app = with_open_record().await;
    assert_eq!(app.deliver(&Delivery::of("j-1", "failed")).await, 204);
    app.secrets.put(WEBHOOK_SECRET, json!({"signing_secret": "changed"}).to_string());
    let delivery = Delivery::of("j-1", "completed");
    let changed = Delivery { signature: Some(Delivery::sign(&delivery.body, "changed")), ..delivery.clone() };
    // A fetch that fails is not one: FlexOrch's second attempt is not refused.
    app.secrets.set_fault(Some(SecretsFault::AccessDenied));
    assert_eq!(app.deliver(&changed).await, 503);
    app.secrets.set_fault(None);
    assert_eq!(app.deliver(&changed).await, 204);
    assert_eq!(app.record()["state"], "processed");
    let fetches = app.secrets.calls().len();
    for _ in 0..5 {
        assert_eq!(app.deliver(&delivery).await, 401, "the former secret verifies nothing any more");
    }
    assert_eq!(app.secrets.calls().len(), fetches);
}

#[tokio::test]
async fn while_table_bus_or_secret_cannot_be_reached_a_delivery_is_503_and_later_204() {
    let app = with_open_record().await;
    let delivery = Delivery::of("j-1", "completed");
    let status = async || {
        let answer = app.invoke_within(delivery.event(), Duration::from_secs(4)).await.ok();
        answer["statusCode"].as_u64().unwrap()
    };
    app.secrets.set_fault(Some(SecretsFault::Internal));
    assert_eq!(status().await, 503);
    app.secrets.set_fault(None);
    for fault in [DynamoFault::Hang, DynamoFault::Throttling] {
        app.dynamodb.set_table_fault(TABLE, Some(fault));
        assert_eq!(status().await, 503, "{fault:?}");
        app.dynamodb.set_table_fault(TABLE, None);
    }
    for fault in [EventsFault::Hang, EventsFault::Throttling] {
        app.eventbridge.set_fault(Some(fault));
        assert_eq!(status().await, 503, "{fault:?}");
        app.eventbridge.set_fault(None);
    }
    assert!(app.published().is_empty() && app.record()["unpublished"] == true);
    assert_eq!(status().await, 204);
    assert_eq!((app.record()["state"].as_str(), app.published().len()), (Some("processed"), 1));
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_write_does_not_lose_the_event() {
    let app = with_open_record().await;
    app.dynamodb.set_operation_fault("PutItem", Some(DynamoFault::HangAfterEffect));
    let answer = app.invoke_within(Delivery::of("j-1", "completed").event(), Duration::from_secs(4)).await;
    assert_eq!(answer.ok()["statusCode"], 503);
    app.dynamodb.set_operation_fault("PutItem", None);
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!((app.record()["state"].as_str(), app.published().len()), (Some("processed"), 1));
    assert_eq!(app.metrics().await["DocumentsProcessed"], 1.0);
}

#[tokio::test]
async fn a_jobs_end_settles_all_its_documents_however_many() {
    let app = App::start().await;
    let receipts: Vec<_> = (0..3)
        .map(|part| receipt(1, &(0..100).map(|n| document(&format!("{part}/{n:02}.pdf"), "j-1")).collect::<Vec<_>>()))
        .collect();
    assert!(app.invoke(batch(&receipts)).await.failures().is_empty());
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!(app.states(), ["processed"; 300]);
    assert_eq!(app.published().len(), 300);
}
