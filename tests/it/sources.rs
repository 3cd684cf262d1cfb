//! Every source, and the response that it expects.

use flexorch_s3_ingester::model::codes::UNREADABLE;
use serde_json::{Value, json};

use crate::support::app::DEAD_LETTERS;
use crate::support::events::{s3_record, sample};
use crate::support::surroundings::API_KEY;
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

async fn app_of_the_samples() -> TestApp {
    let secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "my-documents", "prefix": "invoices/"});
    TestAppBuilder::new().await.secrets([("docs", secret)]).dead_letters().start().await
}

#[tokio::test]
async fn direct_invocations_are_answered_with_a_summary_that_adds_up() {
    for name in [
        "s3-direct.json",
        "s3-direct-two-buckets.json",
        "sns-direct.json",
        "eventbridge-direct.json",
        "s3-test-event.json",
        "sns-test-event.json",
    ] {
        let app = app_of_the_samples().await;
        let answer = app.invoke(sample(name)).await;
        let summary = answer.ok();
        let count = |field: &str| summary[field].as_u64().unwrap();
        assert_eq!(
            count("received"),
            count("forwarded") + count("skipped") + count("rejected") + count("deferred"),
            "{name}"
        );
        assert_eq!(count("forwarded") == 0, name.contains("test-event"), "{name}: {summary}");
    }
}

#[tokio::test]
async fn batches_of_messages_are_answered_with_the_messages_that_come_back() {
    for name in [
        "sqs-s3.json",
        "sqs-sns-enveloped.json",
        "sqs-sns-raw.json",
        "sqs-eventbridge.json",
        "sqs-destination-record.json",
        "sqs-test-event.json",
        "sqs-mixed.json",
    ] {
        let app = app_of_the_samples().await;
        let answer = app.invoke(sample(name)).await;
        assert_eq!(answer.ok(), &json!({"batchItemFailures": []}), "{name}");
        assert_eq!(app.submitted_keys().is_empty(), name == "sqs-test-event.json", "{name}");
        let unreadable = if name == "sqs-mixed.json" { 2 } else { 0 };
        let aside = app.queues.messages(DEAD_LETTERS);
        let unread = aside.iter().filter(|letter| letter.attributes["code"] == UNREADABLE).count();
        assert_eq!(unread, unreadable, "{name}");
    }
}

#[tokio::test]
async fn an_eventbridge_key_is_taken_verbatim_and_a_notifications_key_is_decoded() {
    let mut event = sample("eventbridge-direct.json");
    event["detail"]["object"]["key"] = json!("invoices/a+b %41.pdf");
    let app = app_of_the_samples().await;
    app.invoke(event.clone()).await.ok();
    app.invoke(s3_event(["invoices/a+b+%2541.pdf"])).await.ok();
    assert_eq!(app.submitted_keys(), ["invoices/a+b %41.pdf", "invoices/a b %41.pdf"]);
}

#[tokio::test]
async fn an_object_deleted_of_eventbridge_is_skipped() {
    let mut event = sample("eventbridge-direct.json");
    event["detail-type"] = json!("Object Deleted");
    let app = app_of_the_samples().await;
    assert_eq!(app.invoke(event).await.ok()["skipped_by_reason"], json!({"not-created": 1}));
}

#[tokio::test]
async fn a_batch_operations_job_gets_a_result_for_every_task_in_its_own_schema() {
    for (name, schema) in [("batch-job-1.0.json", "1.0"), ("batch-job-2.0.json", "2.0")] {
        let app = app_of_the_samples().await;
        let event = sample(name);
        let answer = app.invoke(event.clone()).await;
        let answer = answer.ok();
        assert_eq!(answer["invocationSchemaVersion"], schema);
        assert_eq!(answer["invocationId"], event["invocationId"]);
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), event["tasks"].as_array().unwrap().len());
        assert!(results.iter().all(|result| result["resultCode"] == "Succeeded"), "{answer}");
    }
}

fn batch_task(wire_key: &str) -> Value {
    let mut event = sample("batch-job-2.0.json");
    event["tasks"][0]["s3Key"] = json!(wire_key);
    event
}

#[tokio::test]
async fn a_deferred_task_fails_for_now_and_a_rejected_one_for_good() {
    let app = TestAppBuilder::new().await.fault("status=503").env("MAX_ATTEMPTS", 1).start().await;
    let answer = app.invoke(batch_task("a.pdf")).await;
    assert_eq!(answer.ok()["results"][0]["resultCode"], "TemporaryFailure");
    let app = TestApp::start().await;
    let answer = app.invoke(batch_task("a.exe")).await;
    assert_eq!(answer.ok()["results"][0]["resultCode"], "PermanentFailure");
    assert!(answer.ok()["results"][0]["resultString"].as_str().unwrap().contains("UNSUPPORTED_FILE"));
    let answer = app.invoke(batch_task("bad%FF.pdf")).await;
    assert_eq!(answer.ok()["results"][0]["resultCode"], "PermanentFailure");
}

#[tokio::test]
async fn s3_is_asked_which_key_a_plus_in_a_task_means() {
    for (stored, wire) in
        [("a b.pdf", "a+b.pdf"), ("a+b.pdf", "a+b.pdf"), ("a+b.pdf", "a%2Bb.pdf"), ("ü b.pdf", "%C3%BC+b.pdf")]
    {
        let app = TestApp::start().await;
        app.buckets.put("my-documents", stored, 10, std::time::SystemTime::now());
        let answer = app.invoke(batch_task(wire)).await;
        assert_eq!(answer.ok()["results"][0]["resultCode"], "Succeeded", "{wire}");
        assert_eq!(app.submitted_keys(), [stored], "{wire}");
    }
}

#[tokio::test]
async fn a_task_about_which_s3_cannot_be_asked_is_tried_again_later() {
    use flexorch_sandbox::aws_fault::AwsFault;
    let app = TestAppBuilder::new().await.env("AWS_MAX_ATTEMPTS", 1).start().await;
    app.buckets.set_fault(Some(AwsFault::Internal));
    let answer = app.invoke(batch_task("a+b.pdf")).await;
    assert_eq!(answer.ok()["results"][0]["resultCode"], "TemporaryFailure");
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn an_event_that_is_none_of_ours_is_an_error_that_names_its_fields_and_no_contents() {
    let app = TestApp::start().await;
    let answer = app.invoke(sample("unknown.json")).await;
    assert!(answer.error().contains("routeKey"), "{}", answer.error());
    for (payload, told) in [
        (r#"{"hello":"top-secret-contents"}"#, "hello"),
        ("[1,2]", "array"),
        ("\"text\"", "string"),
        ("null", "null"),
        (r#"{"Records":[{"eventSource":"aws:kinesis","kinesis":{"data":"top-secret-contents"}}]}"#, "kinesis"),
        (r#"{"Records":7}"#, "Records"),
        (r#"{"source":"my.app","detail-type":"Order","detail":{}}"#, "detail-type"),
        (r#"{"reconcile":{"since":"yesterday"}}"#, "since"),
    ] {
        let answer = app.invoke_raw(payload).await;
        assert!(answer.error().contains(told), "{payload}: {}", answer.error());
        assert!(!answer.error().contains("top-secret-contents"));
    }
    let output = app.output().await.join("\n");
    assert!(!output.contains("top-secret-contents"));
}

#[tokio::test]
async fn new_and_missing_fields_do_no_harm() {
    let mut record = s3_record("my-documents", "a.pdf");
    for field in ["eventVersion", "awsRegion", "eventTime"] {
        record.as_object_mut().unwrap().remove(field);
    }
    record["brandNew"] = json!({"deep": [1, 2]});
    record["s3"]["object"]["size"] = json!("1024");
    record["s3"]["object"]["sequencer"] = json!(null);
    let app = TestApp::start().await;
    assert_eq!(app.invoke(json!({"Records": [record], "later": true})).await.ok()["forwarded"], 1);
}

#[tokio::test]
async fn notifications_of_s3_implementations_that_nobody_here_wrote_are_understood() {
    let folder = format!("{}/events/captured", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let app = TestAppBuilder::new()
            .await
            .secrets([("any", json!({"api_key": API_KEY, "connector_id": 42}))])
            .start()
            .await;
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let answer = app.invoke(event).await;
        assert!(answer.result.is_ok(), "{}: {:?}", path.display(), answer.result);
        let nothing_to_forward = path.display().to_string().contains("test-event");
        assert_eq!(app.submitted_keys().is_empty(), nothing_to_forward, "{}", path.display());
        assert!(app.submitted_keys().iter().all(|key| !key.contains("%2F")), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 16, "{seen} captured events");
}

#[tokio::test]
async fn a_message_that_was_read_in_part_before_a_fault_is_not_sent_in_part() {
    let envelope = json!({"Type": "Notification", "Message": "not json"});
    let app = TestApp::start().await;
    let answer = app.invoke(sqs_event([envelope, s3_event(["a.pdf"])])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert_eq!(app.submitted_keys(), ["a.pdf"]);
}

/// Lambda's destination record about an event with one object, `failed.pdf`.
fn destination_record(condition: Option<&str>) -> Value {
    let mut context = json!({"requestId": "r", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:ingest",
                             "approximateInvokeCount": 1});
    if let Some(condition) = condition {
        context["condition"] = condition.into();
    }
    json!({"version": "1.0", "timestamp": "2026-11-16T08:15:40.210Z", "requestContext": context,
           "requestPayload": s3_event(["failed.pdf"]), "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
           "responsePayload": {"received": 1, "forwarded": 1}})
}

#[tokio::test]
async fn a_destination_record_of_a_success_needs_nothing_and_any_other_is_the_event_again() {
    for (condition, again) in [
        (Some("Success"), false),
        (Some("RetriesExhausted"), true),
        (Some("EventAgeExceeded"), true),
        (Some("SomethingNew"), true),
        (None, true),
    ] {
        let app = TestAppBuilder::new().await.dead_letters().start().await;
        let record = destination_record(condition);
        let answer = app.invoke(record.clone()).await;
        assert_eq!(answer.ok()["received"], u64::from(again), "{condition:?}");
        let answer = app.invoke(sqs_event([record, s3_event(["other.pdf"])])).await;
        assert!(answer.failures().is_empty(), "{condition:?}");
        let expected: &[&str] = if again { &["failed.pdf", "failed.pdf", "other.pdf"] } else { &["other.pdf"] };
        assert_eq!(app.submitted_keys(), expected, "{condition:?}");
        assert!(app.queues.messages(DEAD_LETTERS).is_empty());
    }
}

#[tokio::test]
async fn a_success_needs_nothing_whatever_its_event_was() {
    let app = TestApp::start().await;
    for payload in [json!({"reconcile": {"since": "PT24H"}}), json!({"hello": 1}), s3_event(["%FF"])] {
        let mut record = destination_record(Some("Success"));
        record["requestPayload"] = payload;
        record["responsePayload"] = json!(null);
        let envelope = json!({"Type": "Notification", "Message": record.to_string()});
        assert!(app.invoke(sqs_event([record, envelope])).await.failures().is_empty());
    }
    assert!(app.requests().is_empty() && app.buckets.calls().is_empty());
}
