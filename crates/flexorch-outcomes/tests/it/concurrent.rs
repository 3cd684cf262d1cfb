//! Several invocations write one record, and the index is behind the table.

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::services::API_KEY;
use flexorch_sandbox::wait_until;
use serde_json::{Value, json};

use super::support::{App, Delivery, TABLE, batch, document, receipt, submitted_at};

/// The function with one open record of the job `j-1`, and that record.
async fn with_open_record() -> (App, Value) {
    let app = App::start().await;
    assert!(app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures().is_empty());
    let record = app.record();
    (app, record)
}

/// The record as another invocation writes it next.
fn overtaken_by(record: &Value, changes: Value) -> Value {
    let mut record = record.clone();
    record["revision"] = json!(1);
    for (name, value) in changes.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

#[tokio::test]
async fn a_receipt_of_a_later_job_that_comes_between_is_not_undone() {
    let (app, record) = with_open_record().await;
    let later = json!({"job_id": "j-2", "submitted_at": submitted_at(2), "changed_at": submitted_at(2)});
    app.dynamodb.put_before_next_write(TABLE, overtaken_by(&record, later)).unwrap();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!((&app.record()["state"], &app.record()["job_id"]), (&json!("submitted"), &json!("j-2")));
    assert!(app.published().is_empty());
}

#[tokio::test]
async fn a_record_that_comes_between_a_new_ones_read_and_write_is_kept() {
    let (app, record) = with_open_record().await;
    app.dynamodb.clear(TABLE);
    let settled = overtaken_by(&record, json!({"state": "processed", "changed_at": submitted_at(9)}));
    app.dynamodb.put_before_next_write(TABLE, settled.clone()).unwrap();
    assert!(app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1")])])).await.failures().is_empty());
    assert_eq!(app.record(), settled);
}

#[tokio::test]
async fn what_another_invocation_wrote_and_has_not_published_is_published_once_at_least() {
    let (app, record) = with_open_record().await;
    let failed = json!({"state": "failed", "changed_at": submitted_at(9), "unpublished": true});
    app.dynamodb.put_before_next_write(TABLE, overtaken_by(&record, failed)).unwrap();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    let types: Vec<_> = app.published().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["Document Failed", "Document Processed"], "before it changes again");
    assert_eq!((&app.record()["state"], app.record().get("unpublished")), (&json!("processed"), None));
}

#[tokio::test]
async fn attributes_of_a_later_version_of_this_function_are_kept() {
    let (app, record) = with_open_record().await;
    app.dynamodb.put(TABLE, overtaken_by(&record, json!({"later": {"of": ["another", 1]}}))).unwrap();
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204);
    assert_eq!(app.record()["later"], json!({"of": ["another", 1]}));
}

#[tokio::test]
async fn a_webhook_that_comes_before_the_index_has_the_record_is_503_and_a_sweep_finds_the_job() {
    let app = App::start().await;
    let job = app.submit(API_KEY, &["a.pdf".to_owned()]).await.remove(0);
    app.flexorch.set_job(&job, json!({"status": "completed"}));
    app.dynamodb.freeze_indexes(true);
    app.invoke(batch(&[receipt(1, &[document("a.pdf", &job)])])).await.failures();
    assert_eq!(app.deliver(&Delivery::of(&job, "completed")).await, 503);
    app.dynamodb.freeze_indexes(false);
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 1, "failed": 0, "asked": 1}));
}

#[tokio::test]
async fn an_index_that_is_behind_settles_nothing_twice() {
    let (app, _) = with_open_record().await;
    app.dynamodb.freeze_indexes(true);
    for status in ["completed", "failed"] {
        assert_eq!(app.deliver(&Delivery::of("j-1", status)).await, 204);
    }
    app.sweep().await;
    assert_eq!((&app.record()["state"], app.published().len()), (&json!("processed"), 1));
}

#[tokio::test]
async fn a_write_whose_response_is_lost_is_recognised_and_counted_once() {
    let app = App::start().await;
    let job = app.submit(API_KEY, &["a.pdf".to_owned()]).await.remove(0);
    app.flexorch.set_job(&job, json!({"status": "completed"}));
    app.invoke(batch(&[receipt(1, &[document("a.pdf", &job)])])).await.failures();
    // Each write of the sweep has its effect, and the first response to each never arrives.
    app.dynamodb.set_operation_fault("PutItem", Some(DynamoFault::BrokenOff));
    let heal = async {
        wait_until("the write", || app.record()["state"] == "processed").await;
        app.dynamodb.set_operation_fault("PutItem", None);
    };
    let (summary, ()) = tokio::join!(app.sweep(), heal);
    assert_eq!(summary, json!({"open": 0, "processed": 1, "failed": 0, "asked": 1}));
    assert_eq!(app.published().len(), 1);
    let metrics = app.metrics().await;
    assert_eq!((metrics["DocumentsSubmitted"], metrics["DocumentsProcessed"]), (1.0, 1.0));
}
