//! What FlexOrch's responses mean: a success that is none, and names that may mean several keys.

use flexorch_sandbox::{CannedResponse, Effect, Fault};
use serde_json::{Value, json};

use crate::support::app::DEAD_LETTERS;
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};
use flexorch_sandbox::stub::Stub;

/// A response with this body.
fn response(status: u16, body: impl Into<String>) -> Fault {
    Fault::new(Effect::Respond(CannedResponse {
        status,
        code: None,
        message: None,
        body: Some(body.into()),
        content_type: None,
        retry_after: None,
        headers: Vec::new(),
    }))
}

async fn app() -> TestApp {
    TestAppBuilder::new().await.env("MAX_ATTEMPTS", 2).start().await
}

/// What the function makes of a response that comes once, and the requests that it sent.
async fn after(app: &TestApp, fault: Fault) -> (Result<Value, String>, usize) {
    app.flexorch.clear_requests();
    app.flexorch.faults().clear();
    app.flexorch.faults().add(fault.times(1));
    let answer = app.invoke(s3_event(["a.pdf", "b.pdf"])).await;
    let result = answer.result.map_err(|error| error["errorMessage"].as_str().unwrap().to_owned());
    (result, app.requests().len())
}

#[tokio::test]
async fn a_success_that_says_it_failed_is_tried_again() {
    let app = app().await;
    for body in [
        r#"{"status": "error"}"#,
        r#"{"status": "failed", "data": {"job_ids": ["1", "2"]}}"#,
        r#"{"success": false}"#,
        r#"{"success": false, "message": "try again"}"#,
        r#"{"errors": ["boom"], "data": {"accepted": 2, "jobs": []}}"#,
        r#"{"detail": "Not authenticated"}"#,
        r#"{"detail": [{"msg": "field required", "loc": ["body"]}]}"#,
        r#"{"error": "it broke"}"#,
        r#"{"status": "accepted", "data": {"status": "error"}, "error": null}"#,
        r#"{"data": {"success": false}}"#,
    ] {
        let (result, requests) = after(&app, response(200, body)).await;
        assert_eq!((result.unwrap()["forwarded"].clone(), requests), (json!(2), 2), "{body}");
    }
    assert_eq!(app.metrics().await["Retries"], 10.0);
}

#[tokio::test]
async fn a_success_that_says_it_failed_defers_after_its_attempts_and_quotes_flexorch() {
    let app = TestAppBuilder::new().await.env("MAX_ATTEMPTS", 1).start().await;
    let (result, _) = after(&app, response(200, r#"{"status": "error", "message": "the pool is empty"}"#)).await;
    let error = result.unwrap_err();
    assert!(error.contains("2 unavailable") && error.contains("the pool is empty"), "{error}");
}

#[tokio::test]
async fn a_success_that_says_it_failed_with_a_code_is_classed_by_the_code() {
    for (body, class) in [
        (r#"{"status": "error", "error": {"code": "QUOTA_EXCEEDED"}}"#, "2 quota-exceeded"),
        (r#"{"success": false, "code": "PLAN_UPGRADE_REQUIRED"}"#, "2 not-allowed"),
        (r#"{"status": "failed", "error": "NOT_FOUND"}"#, "2 connector-not-found"),
    ] {
        let (result, requests) = after(&app().await, response(200, body)).await;
        let error = result.unwrap_err();
        assert!(error.contains(class), "{body}: {error}");
        assert_eq!(requests, 1, "{body}");
    }
}

#[tokio::test]
async fn the_usual_forms_of_success_stay_successes() {
    let app = app().await;
    for body in [
        r#"{"status": "success", "errors": [], "error": null, "data": {"job_ids": ["1", "2"], "status": "queued"}}"#,
        r#"{"success": true, "errors": {}, "data": {"accepted": 2, "jobs": [], "rejected": []}}"#,
        r#"{"status": "queued", "error": false, "job_ids": ["1", "2"]}"#,
    ] {
        let (result, requests) = after(&app, response(202, body)).await;
        assert_eq!((result.unwrap()["forwarded"].clone(), requests), (json!(2), 1), "{body}");
    }
}

#[tokio::test]
async fn a_success_that_is_longer_than_what_is_read_is_tried_again_even_if_its_beginning_is_json() {
    let app = app().await;
    let body = r#"{"data": {"job_ids": ["1", "2"]}}"#;
    let limit = (64 + 2 * 4) * 1024;
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    for (bytes, expected) in [(limit, 1), (limit + 1, 2), (3 * limit, 2)] {
        let (result, requests) = after(&app, response(202, padded(bytes))).await;
        assert_eq!((result.unwrap()["forwarded"].clone(), requests), (json!(2), expected), "{bytes} bytes");
    }
}

#[tokio::test]
async fn a_retry_after_that_is_neither_whole_seconds_nor_a_date_is_no_time() {
    for header in ["-5", "+3600", "NaN", "1e3", "3600.5", "soon"] {
        let fault = format!("status=503,retry-after={header},times=1");
        let app = TestAppBuilder::new().await.fault(&fault).start().await;
        // A time of an hour would not fit before the deadline.
        assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1, "{header}");
        assert_eq!(app.requests().len(), 2, "{header}");
    }
}

#[tokio::test]
async fn no_retry_after_is_too_large() {
    for header in ["99999999999999999999", "18446744073709551615", "Fri\\, 31 Dec 9999 23:59:59 GMT"] {
        let app = TestAppBuilder::new().await.fault(&format!("status=503,retry-after={header}")).start().await;
        let answer = app.invoke(sqs_event([s3_event(["a.pdf"])])).await;
        assert_eq!(answer.failures(), ["m-0"], "{header}");
        assert_eq!(app.requests().len(), 1, "{header}");
    }
}

fn base_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap()
}

/// A FlexOrch that rejects these keys, reports every key by its base name, and names the jobs or only counts them.
async fn base_name_flexorch(rejected: &'static [&'static str], names_jobs: bool) -> Stub {
    Stub::flexorch(move |keys| {
        let (refused, taken): (Vec<_>, Vec<_>) = keys.iter().partition(|key| rejected.contains(&key.as_str()));
        let entry = |key: &&String| json!({"filename": base_name(key), "error": "UNSUPPORTED_FILE"});
        let job = |key: &&String| json!({"filename": base_name(key), "job_id": format!("job of {key}")});
        json!({
            "accepted": taken.len(),
            "rejected": refused.iter().map(entry).collect::<Vec<_>>(),
            "jobs": taken.iter().filter(|_| names_jobs).map(job).collect::<Vec<_>>(),
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_rejected_key_reported_by_its_base_name_never_rejects_the_key_of_that_name() {
    for (rejected, names_jobs) in [(&["x/a.pdf"], true), (&["x/a.pdf"], false), (&["a.pdf"], true), (&["a.pdf"], false)]
    {
        let flexorch = base_name_flexorch(rejected, names_jobs).await;
        let app = TestAppBuilder::new()
            .await
            .dead_letters()
            .env("FLEXORCH_BASE_URL", format!("{}/v1", flexorch.url()))
            .start()
            .await;
        let answer = app.invoke(s3_event(["a.pdf", "x/a.pdf", "b.pdf"])).await;
        let counts = answer.ok();
        assert_eq!((&counts["forwarded"], &counts["rejected"]), (&json!(2), &json!(1)), "{rejected:?} {names_jobs}");
        let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
        let letter: Value = serde_json::from_str(&letter.body).unwrap();
        assert_eq!(letter["Records"][0]["s3"]["object"]["key"], rejected[0], "{names_jobs}");
        // One request for all, and one for each of the two that the name may mean.
        assert_eq!(app.metrics().await["Requests"], 3.0, "{rejected:?} {names_jobs}");
    }
}

#[tokio::test]
async fn base_names_that_several_accepted_keys_share_cost_no_further_request() {
    let flexorch = base_name_flexorch(&[], true).await;
    let app = TestAppBuilder::new().await.env("FLEXORCH_BASE_URL", format!("{}/v1", flexorch.url())).start().await;
    let answer = app.invoke(s3_event(["a.pdf", "x/a.pdf", "y/x/a.pdf", "b.pdf"])).await;
    assert_eq!(answer.ok()["forwarded"], 4);
    assert_eq!(app.metrics().await["Requests"], 1.0);
}
