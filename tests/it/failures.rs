//! The failure table: the responses of FlexOrch or of a proxy in front of it, and the outcomes of the objects.

use serde_json::json;

use crate::support::events::{keys, s3_record};
use crate::support::{TestApp, TestAppBuilder, s3_event};

/// A function whose FlexOrch has this fault and which tries quickly.
async fn with_fault(fault: &str) -> TestApp {
    TestAppBuilder::new().await.fault(fault).env("MAX_ATTEMPTS", 2).start().await
}

#[tokio::test]
async fn passing_failures_are_tried_again() {
    for fault in [
        "status=408,times=1",
        "status=429,times=1",
        "status=500,times=1",
        "status=502,body=<html>bad gateway</html>,times=1",
        "status=503,times=1",
        "status=504,times=1",
        "reset,times=1",
        "truncate,times=1",
        "status=200,body=<html>maintenance</html>,content-type=text/html,times=1",
        "status=202,code=RATE_LIMIT_EXCEEDED,times=1",
    ] {
        let app = with_fault(fault).await;
        assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1, "{fault}");
        assert_eq!(app.requests().len(), 2, "{fault}");
        assert_eq!(app.metrics().await["Retries"], 1.0, "{fault}");
    }
}

#[tokio::test]
async fn a_request_is_tried_max_attempts_times_and_then_deferred() {
    for (attempts, fault) in [(1, "status=503"), (3, "status=503"), (3, "reset")] {
        let app = TestAppBuilder::new().await.fault(fault).env("MAX_ATTEMPTS", attempts).start().await;
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert!(answer.error().contains("1 unavailable"), "{}", answer.error());
        assert_eq!(app.requests().len(), attempts, "{fault}");
    }
}

#[tokio::test]
async fn a_refused_connection_and_a_tls_error_are_passing_failures() {
    let flexorch = TestApp::start().await;
    let plain = flexorch.flexorch.base_url();
    for url in ["http://127.0.0.1:9/v1".to_owned(), plain.replace("http://", "https://")] {
        let app = TestAppBuilder::new().await.env("FLEXORCH_BASE_URL", &url).env("MAX_ATTEMPTS", 2).start().await;
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert!(answer.error().contains("1 unavailable"), "{url}: {}", answer.error());
        assert_eq!(app.metrics().await["Retries"], 1.0, "{url}");
    }
}

#[tokio::test]
async fn what_no_retry_mends_is_deferred_at_once_and_stops_further_requests_for_the_connector() {
    for (fault, class) in [
        ("status=402,code=TRIAL_EXPIRED", "not-allowed"),
        ("status=403,code=PLAN_UPGRADE_REQUIRED", "not-allowed"),
        ("status=404,code=NOT_FOUND", "connector-not-found"),
        ("status=429,code=QUOTA_EXCEEDED", "quota-exceeded"),
        ("status=202,code=QUOTA_EXCEEDED", "quota-exceeded"),
        ("status=302,header=Location: http://127.0.0.1:9/elsewhere", "redirected"),
    ] {
        let app = TestAppBuilder::new()
            .await
            .fault(fault)
            .env("MAX_KEYS_PER_REQUEST", 1)
            .env("MAX_CONCURRENT_REQUESTS", 1)
            .start()
            .await;
        let answer = app.invoke(s3_event(["a.pdf", "b.pdf", "c.pdf"])).await;
        assert!(answer.error().contains(&format!("3 {class}")), "{fault}: {}", answer.error());
        assert_eq!(app.requests().len(), 1, "{fault}");
        let logs = app.logs().await;
        let told: Vec<_> = logs.iter().filter(|line| line["level"] == "ERROR" && line["class"] == class).collect();
        assert_eq!(told.len(), 3, "{fault}: {logs:#?}");
        assert!(told.iter().all(|line| !line["action"].as_str().unwrap().is_empty()));
    }
}

#[tokio::test]
async fn one_connectors_trouble_does_not_stop_another() {
    let connector =
        |id: u32| json!({"api_key": format!("dfx_key_{id}"), "connector_id": id, "bucket": format!("b{id}")});
    for fault in ["status=402,connector=1", "status=503,connector=1", "hang,connector=1", "status=400,connector=1"] {
        let app = TestAppBuilder::new()
            .await
            .secrets([("one", connector(1)), ("two", connector(2))])
            .fault(fault)
            .env("MAX_KEYS_PER_REQUEST", 1)
            .env("REQUEST_TIMEOUT_MS", 2000)
            .env("MAX_ATTEMPTS", 2)
            .start()
            .await;
        let records: Vec<_> =
            (0..6).flat_map(|n| [s3_record("b1", &format!("{n}.pdf")), s3_record("b2", &format!("{n}.pdf"))]).collect();
        let answer = app.invoke_within(json!({"Records": records}), std::time::Duration::from_secs(8)).await;
        assert!(answer.error().contains("6 of 12 objects are deferred"), "{fault}: {}", answer.error());
        let taken =
            app.requests().iter().filter(|request| request.connector_id == 2 && request.status == Some(202)).count();
        assert_eq!(taken, 6, "{fault}");
    }
}

#[tokio::test]
async fn a_2xx_that_rejects_files_rejects_just_those() {
    let app = TestApp::start().await;
    let answer = app.invoke(s3_event(["a.pdf", "virus.exe", "b.pdf"])).await;
    assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["rejected"].clone()), (json!(2), json!(1)));
    assert_eq!(app.requests().len(), 1, "no retry is spent on a rejected file");
    let logs = app.logs().await;
    let told: Vec<_> = logs.iter().filter(|line| line["class"] == "rejected").collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["code"], &told[0]["key"]), (&json!("UNSUPPORTED_FILE"), &json!("virus.exe")));
}

#[tokio::test]
async fn every_documented_shape_of_success_is_understood() {
    for body in [
        r#"{"status":"accepted"\,"data":{"accepted":2\,"rejected":[]\,"jobs":[{"filename":"x/a.pdf"\,"job_id":"j-1"}\,{"filename":"b.pdf"\,"job_id":2}]}\,"error":null}"#,
        r#"{"data":{"job_ids":["job_1"\,"job_2"]\,"status":"queued"}}"#,
        r#"{"job_ids":["job_1"\,"job_2"]}"#,
    ] {
        let app = with_fault(&format!("status=202,body={body},content-type=application/json")).await;
        assert_eq!(app.invoke(s3_event(["x/a.pdf", "x/b.pdf"])).await.ok()["forwarded"], 2, "{body}");
        let warned = app.logs().await.into_iter().any(|line| line["message"] == "unexpected response");
        assert!(!warned, "{body}");
    }
}

#[tokio::test]
async fn a_success_that_says_nothing_of_keys_is_taken_as_a_whole_with_a_warning_that_names_its_shape() {
    for (fault, shape) in [
        ("status=202,body=", "empty"),
        (r#"status=200,body={"ticket":7\,"queue":"main"},content-type=application/json"#, "ticket"),
    ] {
        let app = with_fault(fault).await;
        assert_eq!(app.invoke(s3_event(["a.pdf", "b.pdf"])).await.ok()["forwarded"], 2, "{fault}");
        let logs = app.logs().await;
        let warned = logs
            .iter()
            .any(|line| line["level"] == "WARN" && line["response"].as_str().is_some_and(|text| text.contains(shape)));
        assert!(warned, "{fault}: {logs:#?}");
    }
}

#[tokio::test]
async fn a_key_that_the_answer_leaves_out_is_deferred() {
    let body = r#"{"data":{"accepted":1\,"rejected":[]\,"jobs":[{"filename":"a.pdf"\,"job_id":"j"}]}}"#;
    let app = with_fault(&format!("status=202,body={body},content-type=application/json")).await;
    let answer = app.invoke(s3_event(["a.pdf", "b.pdf"])).await;
    assert!(answer.error().contains("1 of 2 objects are deferred (1 unaccounted)"), "{}", answer.error());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_read_up_to_a_bound() {
    let app = with_fault("endless").await;
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("1 unavailable"), "{}", answer.error());
}

#[tokio::test]
async fn retry_after_is_obeyed_when_it_fits() {
    let in_two_seconds = httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(4));
    for (retry_after, least) in [("1".to_owned(), 1.0), (in_two_seconds.replace(',', "\\,"), 2.0)] {
        let app = with_fault(&format!("status=429,retry-after={retry_after},times=1")).await;
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert_eq!(answer.ok()["forwarded"], 1);
        assert!(answer.took.as_secs_f64() >= least - 0.1, "{retry_after}: {:?}", answer.took);
    }
}

#[tokio::test]
async fn a_retry_after_that_does_not_fit_defers_at_once() {
    let app = with_fault("status=503,retry-after=3600").await;
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("1 unavailable"), "{}", answer.error());
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_remembered_across_invocations() {
    let app = with_fault("status=429,retry-after=3600").await;
    for _ in 0..3 {
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert!(answer.error().contains("1 rate-limited"), "{}", answer.error());
    }
    assert_eq!(app.requests().len(), 1, "what arrives meanwhile is deferred without a request");
    assert_eq!(app.metrics().await["RateLimited"], 1.0);
}

#[tokio::test]
async fn an_accepted_request_whose_answer_is_lost_is_sent_again_and_known() {
    let app = with_fault("reset,processed,times=1").await;
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["duplicates"].clone()), (json!(1), json!(1)));
}

#[tokio::test]
async fn under_random_faults_every_object_ends_in_exactly_one_outcome_and_none_is_lost() {
    for seed in 1..=3 {
        let app = TestAppBuilder::new()
            .await
            .sandbox(|options| options.seed = seed)
            .fault("random=0.3,status=503")
            .fault("random=0.2,reset,processed")
            .env("MAX_KEYS_PER_REQUEST", 7)
            .env("MAX_ATTEMPTS", 2)
            .start()
            .await;
        let all = keys("k", 100);
        let answer = app.invoke(s3_event(all.iter().map(String::as_str))).await;
        let taken = app.flexorch.taken_keys();
        let (forwarded, deferred) = match &answer.result {
            Ok(summary) => (summary["forwarded"].as_u64().unwrap(), 0),
            Err(error) => {
                let words = error["errorMessage"].as_str().unwrap().to_owned();
                let deferred: u64 = words.split(' ').next().unwrap().parse().unwrap();
                (100 - deferred, deferred)
            }
        };
        assert!(taken.len() as u64 >= forwarded, "seed {seed}: forwarded {forwarded}, taken {}", taken.len());
        let metrics = app.metrics().await;
        assert_eq!((metrics["ObjectsForwarded"], metrics["ObjectsDeferred"]), (forwarded as f64, deferred as f64));
        assert_eq!(metrics["ObjectsReceived"], 100.0);
    }
}
