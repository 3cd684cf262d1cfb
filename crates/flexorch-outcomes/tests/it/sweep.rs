//! A sweep finds what happened to jobs that no webhook reported, within its time and rate.

use std::time::Duration;

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::services::API_KEY;
use flexorch_sandbox::wait_until;
use serde_json::{Value, json};

use super::support::{App, AppBuilder, Delivery, TABLE, batch, document, receipt, receipt_of};

const OTHER_KEY: &str = "dfx_other_0123456789";

fn completed() -> Value {
    json!({"status": "completed", "quality_grade": "B", "pii_findings_count": 4})
}

/// How many records are in each state: open, processed, failed.
fn counts(app: &App) -> (usize, usize, usize) {
    let states = app.states();
    let count = |state: &str| states.iter().filter(|known| *known == state).count();
    (count("submitted"), count("processed"), count("failed"))
}

#[tokio::test]
async fn a_sweep_alone_settles_what_ended_and_publishes_it() {
    let app = App::start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 4).await;
    app.flexorch.set_job(&jobs[0], completed());
    app.flexorch.set_job(&jobs[1], json!({"status": "failed", "failure_reason": format!("encrypted, key {API_KEY}")}));
    assert_eq!(app.sweep().await, json!({"open": 2, "processed": 1, "failed": 1, "asked": 1}));
    let records = app.records();
    assert_eq!((&records[0]["state"], &records[0]["quality_grade"]), (&json!("processed"), &json!("B")));
    assert_eq!(records[0]["pii_findings_count"], 4);
    assert_eq!(records[1]["failure_reason"], "encrypted, key [redacted]");
    assert!(records[2]["asked_at"].is_string() && records[3]["asked_at"].is_string());
    let mut published = app.published();
    published.sort();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0], ("Document Failed".to_owned(), "documents/connector/0001.pdf".to_owned()));
    app.flexorch.set_open_jobs(completed());
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 2, "failed": 0, "asked": 1}));
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 0, "failed": 0, "asked": 0}));
    assert_eq!(app.published().len(), 4);
    let metrics = app.metrics().await;
    let ended = metrics["DocumentsProcessed"] + metrics["DocumentsFailed"];
    assert_eq!((metrics["DocumentsSubmitted"], ended, metrics["DocumentsOpen"]), (4.0, 4.0, 2.0));
}

#[tokio::test]
async fn hundreds_of_jobs_cost_a_request_for_each_hundred() {
    let app = App::start().await;
    app.submit_and_record("connector", API_KEY, 250).await;
    app.flexorch.set_open_jobs(completed());
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 250, "failed": 0, "asked": 3}));
    assert_eq!(app.published().len(), 250);
}

#[tokio::test]
async fn a_single_open_job_is_asked_for_directly_and_several_records_of_one_job_are_one_question() {
    let app = App::start().await;
    let job = app.submit(API_KEY, &["a.pdf".to_owned()]).await.remove(0);
    let documents = ["a.pdf", "copy.pdf", "third.pdf"].map(|key| document(key, &job));
    app.invoke(batch(&[receipt(1, &documents)])).await.failures();
    app.flexorch.set_job(&job, completed());
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 3, "failed": 0, "asked": 1}));
}

#[tokio::test]
async fn a_young_job_is_left_alone_and_counts_as_open() {
    let app = AppBuilder::new().env("SWEEP_AFTER_MINUTES", 15).start().await;
    let mut young = receipt(1, &[document("a.pdf", "j-1")]);
    young["submitted_at"] = json!(jiff::Timestamp::now().to_string());
    app.invoke(batch(&[young])).await.failures();
    assert_eq!(app.sweep().await, json!({"open": 1, "processed": 0, "failed": 0, "asked": 0}));
    assert_eq!(app.secrets.fetch_count("connector"), 0, "without a job to ask for, nothing is fetched");
}

#[tokio::test]
async fn a_job_that_flexorch_does_not_know_stays_open_and_one_of_another_connector_is_not_asked_for() {
    let app = App::start().await;
    let unknown = receipt(1, &[document("a.pdf", "j-404"), document("b.pdf", "")]);
    let other = receipt_of("not-configured", 1, &[document("c.pdf", "j-1")]);
    app.invoke(batch(&[unknown, other])).await.failures();
    assert_eq!(app.sweep().await, json!({"open": 3, "processed": 0, "failed": 0, "asked": 1}));
    assert_eq!(app.states(), ["submitted"; 3]);
}

#[tokio::test]
async fn connectors_are_compared_by_secret_name_whatever_form_each_side_has() {
    let app = App::start().await;
    let jobs = app.submit(API_KEY, &["a.pdf".to_owned(), "b.pdf".to_owned()]).await;
    app.flexorch.set_open_jobs(completed());
    let arn = app.secrets.arn("connector", "eu-west-1");
    let receipts = [
        receipt_of(&arn, 1, &[document("a.pdf", &jobs[0])]),
        receipt_of("connector", 1, &[document("b.pdf", &jobs[1])]),
    ];
    app.invoke(batch(&receipts)).await.failures();
    assert_eq!(app.sweep().await["processed"], 2);
}

#[tokio::test]
async fn what_is_open_for_longer_than_record_days_is_given_up_and_counted_once() {
    let app = AppBuilder::new().env("RECORD_DAYS", 5).start().await;
    app.invoke(batch(&[receipt(1, &[document("a.pdf", "j-1"), document("b.pdf", "")])])).await.failures();
    for _ in 0..2 {
        assert_eq!(app.sweep().await, json!({"open": 2, "processed": 0, "failed": 0, "asked": 0}));
    }
    assert!(app.records().iter().all(|record| record["abandoned_at"].is_string() && record["state"] == "submitted"));
    assert_eq!(app.deliver(&Delivery::of("j-1", "completed")).await, 204, "a late webhook settles it all the same");
    assert_eq!(app.states(), ["processed", "submitted"]);
    assert_eq!(app.metrics().await["DocumentsAbandoned"], 2.0);
}

#[tokio::test]
async fn one_connectors_refused_key_stops_no_other() {
    let app = AppBuilder::new().connector("other", OTHER_KEY).start().await;
    app.submit_and_record("connector", API_KEY, 3).await;
    app.submit_and_record("other", OTHER_KEY, 3).await;
    app.flexorch.set_open_jobs(completed());
    app.flexorch.revoke_key(API_KEY);
    let fetches = app.secrets.fetch_count("connector");
    assert_eq!(app.sweep().await, json!({"open": 3, "processed": 3, "failed": 0, "asked": 2}));
    assert_eq!(app.secrets.fetch_count("connector"), fetches + 2, "read, and read afresh once");
    assert_eq!(app.states(), [["submitted"; 3], ["processed"; 3]].concat());
    app.flexorch.restore_key(API_KEY);
    assert_eq!(app.sweep().await["open"], 0);
    assert_eq!(app.metrics().await["ConnectorsNotAsked"], 1.0, "in the first sweep");
}

#[tokio::test]
async fn a_key_that_was_exchanged_is_fetched_afresh() {
    let app = App::start().await;
    app.submit_and_record("connector", OTHER_KEY, 2).await;
    app.flexorch.set_open_jobs(completed());
    app.flexorch.revoke_key(API_KEY);
    // A sweep caches the revoked key before it is exchanged.
    assert_eq!(app.sweep().await["open"], 2);
    app.secrets.put("connector", json!({"api_key": OTHER_KEY, "connector_id": 42}).to_string());
    assert_eq!(app.sweep().await, json!({"open": 0, "processed": 2, "failed": 0, "asked": 2}));
}

#[tokio::test]
async fn one_connectors_rate_limit_or_missing_secret_stops_no_other() {
    let app = AppBuilder::new()
        .connector("other", OTHER_KEY)
        .fault("status=429,retry-after=900,path=*/jobs*,times=1")
        .start()
        .await;
    app.submit_and_record("connector", API_KEY, 2).await;
    app.submit_and_record("other", OTHER_KEY, 2).await;
    app.flexorch.set_open_jobs(completed());
    // Whichever asks first is limited.
    assert_eq!(app.sweep().await, json!({"open": 2, "processed": 2, "failed": 0, "asked": 2}));
    assert_eq!(app.sweep().await["asked"], 0, "the named time holds for later sweeps, too");
    let app = AppBuilder::new().connector("other", OTHER_KEY).start().await;
    app.submit_and_record("connector", API_KEY, 2).await;
    app.submit_and_record("other", OTHER_KEY, 2).await;
    app.flexorch.set_open_jobs(completed());
    app.secrets.delete("connector");
    assert_eq!(app.sweep().await["processed"], 2);
    assert_eq!(app.metrics().await["ConnectorsNotAsked"], 1.0);
}

#[tokio::test]
async fn a_sweep_goes_on_where_the_last_one_ended_even_in_another_process() {
    // Two requests a sweep: one for a list that is not there, and one for a job.
    let mut app = AppBuilder::new().env("REQUESTS_PER_MINUTE", 4).fault("status=404,path=*/jobs").start().await;
    app.submit_and_record("connector", API_KEY, 3).await;
    let asked = |app: &App| {
        let mut times: Vec<_> = app.records().iter().map(|record| record["asked_at"].clone()).collect();
        times.retain(Value::is_string);
        times
    };
    for jobs in 1..=3 {
        assert_eq!(
            app.sweep_within(Duration::from_secs(5)).await,
            json!({"open": 3, "processed": 0, "failed": 0, "asked": 2})
        );
        assert_eq!(asked(&app).len(), jobs, "each sweep asks for another job");
        app.restart().await.unwrap();
    }
    let before = asked(&app);
    app.sweep_within(Duration::from_secs(5)).await;
    let after = asked(&app);
    let changed: Vec<_> = (0..3).filter(|record| before[*record] != after[*record]).collect();
    let first = before.iter().min_by_key(|time| time.to_string());
    assert_eq!(changed, [before.iter().position(|time| Some(time) == first).unwrap()], "the one asked for longest ago");
}

#[tokio::test]
async fn ended_jobs_behind_more_pages_than_a_sweep_can_read_are_found_by_the_next_one_in_another_process() {
    // Two requests a sweep.
    let mut app = AppBuilder::new().env("REQUESTS_PER_MINUTE", 4).start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 300).await;
    jobs[..100].iter().for_each(|job| assert!(app.flexorch.set_job(job, completed())));
    let first = app.sweep_within(Duration::from_secs(5)).await;
    assert_eq!(first, json!({"open": 300, "processed": 0, "failed": 0, "asked": 2}), "the pages of running jobs");
    app.restart().await.unwrap();
    let second = app.sweep_within(Duration::from_secs(5)).await;
    assert_eq!(second, json!({"open": 200, "processed": 100, "failed": 0, "asked": 2}));
}

#[tokio::test]
async fn a_flexorch_that_hangs_or_is_down_ends_no_sweep_late_and_loses_nothing() {
    for fault in
        ["hang,path=*/jobs*", "status=503,path=*/jobs*", "status=200,body=<html>,path=*/jobs*", "reset,path=*/jobs*"]
    {
        let app = AppBuilder::new().fault(fault).start().await;
        app.submit_and_record("connector", API_KEY, 3).await;
        app.flexorch.set_open_jobs(completed());
        let summary = app.sweep_within(Duration::from_secs(6)).await;
        assert_eq!((&summary["open"], &summary["processed"]), (&json!(3), &json!(0)), "{fault}");
        app.flexorch.faults().clear();
        assert_eq!(app.sweep().await["processed"], 3, "{fault}");
        assert_eq!(app.metrics().await["ConnectorsNotAsked"], 0.0, "{fault}: nothing for an operator to do");
    }
}

#[tokio::test]
async fn a_failed_request_is_not_a_failed_job() {
    for body in [r#"{"status":"failed"}"#, r#"{"success":false}"#, r#"{"error":"INTERNAL"}"#] {
        let app = AppBuilder::new().fault(&format!("status=200,body={body},path=*/jobs*")).start().await;
        app.submit_and_record("connector", API_KEY, 1).await;
        assert_eq!(app.sweep_within(Duration::from_secs(8)).await["failed"], 0, "{body}");
        assert_eq!(app.states(), ["submitted"]);
    }
}

#[tokio::test]
async fn a_sweep_reads_the_open_records_page_by_page_through_throttling() {
    let app = App::start().await;
    app.submit_and_record("connector", API_KEY, 150).await;
    app.flexorch.set_open_jobs(completed());
    app.dynamodb.set_page_bytes(4_000);
    app.dynamodb.fail_next(20, DynamoFault::ThroughputExceeded);
    assert_eq!(app.sweep().await["processed"], 150);
    app.dynamodb.set_table_fault(TABLE, Some(DynamoFault::AccessDenied));
    assert!(app.invoke(json!({"sweep": {}})).await.error().contains("dynamodb:Query"));
}

#[tokio::test]
async fn a_sweep_that_cannot_read_all_open_records_reports_no_number_of_them() {
    let app = App::start().await;
    app.submit_and_record("connector", API_KEY, 150).await;
    app.dynamodb.set_page_bytes(4_000);
    app.dynamodb.set_latency(Duration::from_millis(50));
    let queries = || app.dynamodb.calls().iter().filter(|call| call.operation == "Query").count();
    // Three of them look for states that are not published.
    let read_in_part = async {
        wait_until("the first pages", || queries() >= 5).await;
        app.dynamodb.set_operation_fault("Query", Some(DynamoFault::AccessDenied));
    };
    let (summary, ()) = tokio::join!(app.sweep(), read_in_part);
    let open = summary["open"].as_u64().unwrap();
    assert!((1..150).contains(&open), "{summary}");
    let metrics = app.metrics().await;
    assert!(metrics.contains_key("ConnectorsNotAsked") && !metrics.contains_key("DocumentsOpen"), "{metrics:?}");
}

#[tokio::test]
async fn submitted_is_processed_and_failed_and_open_whatever_is_lost_repeated_and_throttled() {
    let app = AppBuilder::new().fault("random=0.3,status=503,path=*/jobs*").start().await;
    let keys: Vec<_> = (0..60).map(|number| format!("{number:02}.pdf")).collect();
    let jobs = app.submit(API_KEY, &keys).await;
    for (number, job) in jobs.iter().enumerate() {
        let state = if number % 3 == 0 { json!({"status": "failed"}) } else { completed() };
        app.flexorch.set_job(job, state);
    }
    // Half of the webhooks come before the receipts, and half are lost.
    let webhook = |job: &usize| Delivery::of(&jobs[*job], if job.is_multiple_of(3) { "failed" } else { "completed" });
    for job in (0..60).step_by(4) {
        assert_eq!(app.deliver(&webhook(&job)).await, 503);
    }
    let receipts: Vec<_> = (0..6)
        .map(|part| {
            let documents: Vec<_> =
                (part * 10..part * 10 + 10).map(|number| document(&keys[number], &jobs[number])).collect();
            receipt(1, &documents)
        })
        .collect();
    app.dynamodb.fail_next(30, DynamoFault::Throttling);
    assert!(app.invoke(batch(&receipts)).await.failures().is_empty());
    for job in (0..60).step_by(4) {
        if job == 20 {
            app.dynamodb.set_operation_fault("PutItem", Some(DynamoFault::HangAfterEffect));
            app.invoke_within(webhook(&job).event(), Duration::from_secs(3)).await.ok();
            app.dynamodb.set_operation_fault("PutItem", None);
        }
        assert_eq!(app.deliver(&webhook(&job)).await, 204);
    }
    assert!(app.invoke(batch(&receipts)).await.failures().is_empty());
    let mut sweeps = 0;
    while app.sweep().await["open"] != 0 {
        sweeps += 1;
        assert!(sweeps < 10, "{:?}", counts(&app));
    }
    assert_eq!(counts(&app), (0, 40, 20));
    let mut published: Vec<_> = app.published().into_iter().map(|(_, document)| document).collect();
    published.sort();
    published.dedup();
    assert_eq!(published.len(), 60, "each at least once");
}
