//! Logs and metrics: what is written, once, and what is never written.

use serde_json::json;

use crate::support::app::SECRET;
use crate::support::surroundings::{API_KEY, SECRET_ACCESS_KEY};
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

#[tokio::test]
async fn every_object_is_counted_in_exactly_one_metric() {
    let app = TestAppBuilder::new()
        .await
        .env("KEY_PREFIXES", "in/")
        .env("MAX_KEYS_PER_REQUEST", 2)
        .fault("status=402,key=*late*")
        .start()
        .await;
    let event = sqs_event([
        s3_event(["in/a.pdf", "out/b.pdf"]),
        s3_event(["in/c.exe"]),
        s3_event(["in/late1.pdf", "in/late2.pdf"]),
    ]);
    app.invoke(event).await.ok();
    let metrics = app.metrics().await;
    let expected = [("Received", 5.0), ("Forwarded", 1.0), ("Skipped", 1.0), ("Rejected", 1.0), ("Deferred", 2.0)];
    for (name, count) in expected {
        assert_eq!(metrics[&format!("Objects{name}")], count, "{name}: {metrics:?}");
    }
    assert_eq!((metrics["Requests"], metrics["SecretFetches"]), (2.0, 1.0));
    assert!(metrics["IngestLag"] > 0.0 && metrics.contains_key("RequestLatency"));
}

#[tokio::test]
async fn an_invocation_tells_one_line_a_request_one_a_failed_object_and_one_summary() {
    let app = TestApp::start().await;
    app.invoke(s3_event(["a.pdf", "b.pdf", "c.exe"])).await.ok();
    let logs = app.logs().await;
    let with = |message: &str| logs.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let [submitted] = with("submitted")[..] else { panic!("one line a request: {logs:#?}") };
    assert_eq!(
        (&submitted["level"], &submitted["connector"], &submitted["attempts"]),
        (&json!("INFO"), &json!(SECRET), &json!(1))
    );
    let jobs: serde_json::Value = serde_json::from_str(submitted["jobs"].as_str().unwrap()).unwrap();
    assert!(jobs["a.pdf"].is_string() && jobs["b.pdf"].is_string(), "{jobs}");
    assert!(submitted["milliseconds"].is_u64());
    assert_eq!((with("rejected").len(), with("summary").len()), (1, 1));
    assert_eq!(with("summary")[0]["received"], 3);
    assert!(
        logs.iter().all(|line| line.to_string().contains("8476a536-e9f4-11e8-9739")),
        "a line has no request id: {logs:#?}"
    );
}

#[tokio::test]
async fn no_secret_and_no_raw_body_is_printed_at_any_level() {
    for level in ["TRACE", "DEBUG", "INFO"] {
        for (fault, class) in [
            (format!("status=401,code=INVALID_API_KEY,message=the key {API_KEY} is revoked"), "bad-credentials"),
            ("status=500,body=raw-body-contents".to_owned(), "unavailable"),
        ] {
            let secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "my-documents",
                "aws_access_key_id": "AKIAHIDDENHIDDEN", "aws_secret_access_key": "aws-hidden-secret"});
            let app = TestAppBuilder::new()
                .await
                .secrets([(SECRET, secret)])
                .env("AWS_LAMBDA_LOG_LEVEL", level)
                .env("MAX_ATTEMPTS", 1)
                .fault(&fault)
                .start()
                .await;
            let mut event = s3_event(["a.pdf"]);
            event["Records"][0]["userIdentity"] = json!({"principalId": "payload-contents"});
            let answer = app.invoke(event.clone()).await;
            assert!(answer.error().contains(class), "{level}: {}", answer.error());
            let answer = app.invoke(sqs_event([event, json!({"unknown": "payload-contents"})])).await;
            assert_eq!(answer.failures(), ["m-0", "m-1"], "{level}");
            let output = app.output().await.join("\n");
            assert!(
                output.contains(class) && output.contains("unknown"),
                "{level}: the failures are not logged: {output}"
            );
            for hidden in [
                API_KEY,
                "AKIAHIDDENHIDDEN",
                "aws-hidden-secret",
                SECRET_ACCESS_KEY,
                "raw-body-contents",
                "payload-contents",
            ] {
                assert!(!output.contains(hidden), "{level}: {hidden} in {output}");
            }
        }
    }
}

#[tokio::test]
async fn a_newline_in_a_key_forges_no_log_line_in_either_format() {
    for format in ["JSON", "Text"] {
        let app = TestAppBuilder::new().await.env("AWS_LAMBDA_LOG_FORMAT", format).start().await;
        app.invoke(s3_event(["x%0AERROR forged line%0D%1B[2J.exe"])).await.ok();
        let output = app.output().await;
        assert!(output.iter().any(|line| line.contains("forged line")), "{format}: the key is not logged: {output:#?}");
        assert!(output.iter().all(|line| !line.starts_with("ERROR forged")), "{format}: {output:#?}");
        assert!(output.iter().all(|line| !line.contains('\u{1b}') && !line.contains('\r')), "{format}: {output:#?}");
        if format == "JSON" {
            assert!(output.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{output:#?}");
        }
    }
}

#[tokio::test]
async fn the_log_level_is_lambdas() {
    let app = TestAppBuilder::new().await.env("AWS_LAMBDA_LOG_LEVEL", "ERROR").start().await;
    app.invoke(s3_event(["a.pdf"])).await.ok();
    assert!(app.logs().await.is_empty());
}
