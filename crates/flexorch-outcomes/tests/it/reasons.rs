//! Why a job failed: a webhook does not say it, so that FlexOrch is asked, once, and never at the webhook's expense.

use std::time::Duration;

use flexorch_sandbox::services::API_KEY;
use serde_json::{Value, json};

use super::support::{App, AppBuilder, Delivery, SECRET};

/// Everything about jobs but submissions.
const JOBS: &str = "path=*/jobs*";

fn failed() -> Value {
    json!({"status": "failed", "failure_reason": format!("encrypted, key {API_KEY}")})
}

/// The function, with a FlexOrch that counts the requests for jobs.
fn builder() -> AppBuilder {
    AppBuilder::new().fault(&format!("latency=1ms,{JOBS}"))
}

/// How many requests for jobs FlexOrch has had.
fn asked(app: &App) -> u64 {
    app.flexorch.faults().list()[0].matched
}

/// The reasons in the records, and in the events so far.
fn reasons(app: &App) -> (Vec<Value>, Vec<Value>) {
    let records = app.records().iter().map(|record| record["failure_reason"].clone()).collect();
    (records, app.eventbridge.events().iter().map(|event| event.detail["failure_reason"].clone()).collect())
}

/// Delivers that these jobs failed. Each webhook has four seconds.
async fn deliver_failures(app: &App, jobs: &[String]) {
    for job in jobs {
        let answer = app.invoke_within(Delivery::of(job, "failed").event(), Duration::from_secs(4)).await.ok();
        assert_eq!(answer["statusCode"], 204);
    }
}

#[tokio::test]
async fn the_event_of_a_failure_that_a_webhook_reports_has_flexorchs_reason() {
    let app = builder().start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 1).await;
    app.flexorch.set_job(&jobs[0], failed());
    for _ in 0..2 {
        deliver_failures(&app, &jobs).await;
    }
    let reason = json!("encrypted, key [redacted]");
    assert_eq!(reasons(&app), (vec![reason.clone()], vec![reason]));
    assert_eq!(asked(&app), 1, "a webhook that is repeated costs no request");
    assert_eq!((&app.record()["quality_grade"], &app.record()["state"]), (&json!("A"), &json!("failed")));
    assert_eq!(app.sweep().await["asked"], 0, "nothing is left to ask for");
}

#[tokio::test]
async fn a_flexorch_that_hangs_or_is_down_costs_one_request_and_a_sweep_finds_the_reasons_without_another_event() {
    for fault in ["hang", "status=503", "status=401", "status=429,retry-after=1", "status=200,body=<html>", "reset"] {
        let mut app = builder().start().await;
        let jobs = app.submit_and_record("connector", API_KEY, 3).await;
        jobs.iter().for_each(|job| assert!(app.flexorch.set_job(job, failed())));
        app.flexorch.faults().add(format!("{fault},{JOBS},times=1").parse().unwrap());
        deliver_failures(&app, &jobs).await;
        assert_eq!((reasons(&app), asked(&app)), ((vec![Value::Null; 3], vec![Value::Null; 3]), 1), "{fault}");
        // Another process: in this one the 429 may still hold.
        app.restart().await.unwrap();
        let before: Vec<_> = app.records().iter().map(|record| record["changed_at"].clone()).collect();
        assert_eq!(app.sweep().await, json!({"open": 0, "processed": 0, "failed": 0, "asked": 1}), "{fault}");
        let (records, events) = reasons(&app);
        assert_eq!((records, events.len()), (vec![json!("encrypted, key [redacted]"); 3], 3), "{fault}");
        let after: Vec<_> = app.records().iter().map(|record| record["changed_at"].clone()).collect();
        assert_eq!((before, app.sweep().await["asked"].clone()), (after, json!(0)), "{fault}");
    }
}

#[tokio::test]
async fn reasons_are_asked_for_within_the_rate_and_the_rest_in_pages() {
    let mut app = builder().env("REQUESTS_PER_MINUTE", 4).start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 5).await;
    jobs.iter().for_each(|job| assert!(app.flexorch.set_job(job, failed())));
    deliver_failures(&app, &jobs).await;
    let known = |app: &App| reasons(app).0.iter().filter(|reason| reason.is_string()).count();
    assert_eq!((known(&app), asked(&app)), (2, 2), "the burst");
    app.restart().await.unwrap();
    assert_eq!((app.sweep().await["asked"].clone(), known(&app)), (json!(1), 5));
}

#[tokio::test]
async fn nothing_is_asked_for_a_completed_unknown_or_unsigned_job_nor_for_a_paused_connector() {
    let app = builder().start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 2).await;
    jobs.iter().for_each(|job| assert!(app.flexorch.set_job(job, failed())));
    let fetches = app.secrets.fetch_count(SECRET);
    assert_eq!(app.deliver(&Delivery::of("j-404", "failed")).await, 503);
    assert_eq!(app.deliver(&Delivery { signature: None, ..Delivery::of(&jobs[0], "failed") }).await, 401);
    assert_eq!(app.deliver(&Delivery::of(&jobs[0], "completed")).await, 204);
    assert_eq!(app.secrets.fetch_count(SECRET), fetches, "without a request, no API key is fetched");
    let paused = json!({"api_key": API_KEY, "connector_id": 42, "paused": "until Monday"});
    app.secrets.put(SECRET, paused.to_string());
    deliver_failures(&app, &jobs[1..]).await;
    assert_eq!((reasons(&app).0, asked(&app)), (vec![Value::Null; 2], 0));
}

#[tokio::test]
async fn a_failure_is_asked_for_after_open_jobs_and_once_even_if_flexorch_knows_no_reason() {
    let app = builder().start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 3).await;
    assert!(app.flexorch.forget_job(&jobs[0]));
    // FlexOrch's API is behind its webhook.
    deliver_failures(&app, &jobs[..2]).await;
    assert_eq!(app.sweep().await, json!({"open": 1, "processed": 0, "failed": 0, "asked": 1}));
    assert_eq!(app.sweep().await, json!({"open": 1, "processed": 0, "failed": 0, "asked": 1}), "for the open job");
    assert_eq!(reasons(&app).0, [Value::Null, Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_job_that_completed_all_the_same_is_processed_and_leaves_the_open_ones_counted() {
    let app = builder().start().await;
    let jobs = app.submit_and_record("connector", API_KEY, 2).await;
    deliver_failures(&app, &jobs[..1]).await;
    app.flexorch.set_job(&jobs[0], json!({"status": "completed"}));
    assert_eq!(app.sweep().await, json!({"open": 1, "processed": 1, "failed": 0, "asked": 1}));
    assert_eq!(app.states(), ["processed", "submitted"]);
    let types: Vec<_> = app.published().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(types, ["Document Failed", "Document Processed"]);
}
