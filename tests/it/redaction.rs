//! What never leaves the function: secrets in what FlexOrch and AWS said, and characters that a terminal obeys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::app::{DEAD_LETTERS, SECRET, connector_secret};
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};
use flexorch_sandbox::services::{API_KEY, SECRET_ACCESS_KEY};
use flexorch_sandbox::stub::Stub;

/// The beginning of the key: what is left of it if a text was shortened first.
const BEGINNING: &str = "dfx_test";

#[track_caller]
fn assert_holds_no_key(what: &str, text: &str) {
    assert!(!text.to_lowercase().contains(BEGINNING), "{what}: {text}");
}

/// Ends the function and asserts that it printed no part of the key.
async fn assert_prints_no_key(what: &str, app: TestApp) {
    let output = app.output().await.join("\n");
    assert!(output.contains("[redacted]") || output.contains("[REDACTED]"), "{what}: nothing was redacted in {output}");
    assert_holds_no_key(what, &output);
}

/// The text before the key, so that a message is cut inside it at 300 characters.
fn padding() -> String {
    "x".repeat(300 - BEGINNING.len() - 2)
}

/// A message in which the key is where it is cut.
fn message() -> String {
    format!("{}{API_KEY} is not allowed", padding())
}

fn batch_job(keys: &[&str]) -> Value {
    let tasks: Vec<_> = keys
        .iter()
        .map(|key| json!({"taskId": key, "s3Key": key, "s3Bucket": "my-documents", "s3VersionId": null}))
        .collect();
    json!({"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {"id": "j"}, "tasks": tasks})
}

#[tokio::test]
async fn a_key_where_a_message_is_cut_is_in_no_log_error_result_or_dead_letter() {
    for fault in [
        // Deferred, rejected when alone, and blocked.
        format!("status=503,message={}", message()),
        format!("status=413,code=FILE_TOO_LARGE,message={}", message()),
        format!("status=402,code=TRIAL_EXPIRED_{API_KEY},message={}", message()),
        format!("status=200,code=UNSUPPORTED_FILE,message={}", message()),
        format!(
            r#"status=202,body={{"data":{{"rejected":[{{"filename":"a.pdf"\,"error":{{"code":"{API_KEY}"\,"message":"{}"}}}}]}}}}"#,
            message()
        ),
        // Hidden from whoever only looks for the key.
        format!(r#"status=503,body={{"detail":"{}\u0064fx_test_0123456789"}}"#, padding()),
    ] {
        let app = TestAppBuilder::new().await.dead_letters().fault(&fault).env("MAX_ATTEMPTS", 1).start().await;
        for event in [s3_event(["a.pdf"]), sqs_event([s3_event(["a.pdf"])]), batch_job(&["a.pdf"])] {
            let answer = app.invoke(event).await;
            assert_holds_no_key(&fault, &format!("{:?}", answer.result));
        }
        for letter in app.queues.messages(DEAD_LETTERS) {
            assert_holds_no_key(&fault, &format!("{letter:?}"));
        }
        assert_prints_no_key(&fault, app).await;
    }
}

#[tokio::test]
async fn a_rejected_objects_dead_letter_keeps_the_message_up_to_the_key() {
    let message = format!("{}{API_KEY} is not allowed", "x".repeat(278));
    let fault = format!("status=413,code=FILE_TOO_LARGE,message={message}");
    let app = TestAppBuilder::new().await.dead_letters().fault(&fault).start().await;
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["rejected"], 1);
    let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
    assert_eq!(letter.attributes["message"], format!("{}[redacted] is not allo…", "x".repeat(278)));
    let answer = app.invoke(batch_job(&["a.pdf"])).await;
    let result = answer.ok()["results"][0]["resultString"].as_str().unwrap();
    assert!(result.contains("[redacted]"), "{result}");
}

#[tokio::test]
async fn job_ids_names_and_unknown_fields_that_are_the_key_are_not_printed() {
    for data in [
        format!(r#"{{"jobs":[{{"filename":"a.pdf"\,"job_id":"{API_KEY}"}}]}}"#),
        format!(r#"{{"job_ids":["{API_KEY}"]}}"#),
        format!(r#"{{"job_id":"{API_KEY}"}}"#),
        format!(r#"{{"{API_KEY}":1\,"{}{API_KEY}":2}}"#, padding()),
        format!(r#"{{"jobs":[{{"filename":"{API_KEY}"\,"job_id":"j-{API_KEY}"}}]}}"#),
    ] {
        let app = TestAppBuilder::new().await.fault(&format!(r#"status=202,body={{"data":{data}}}"#)).start().await;
        let answer = app.invoke(batch_job(&["a.pdf"])).await;
        assert_eq!(answer.ok()["results"][0]["resultCode"], "Succeeded", "{data}");
        assert_holds_no_key(&data, &answer.ok().to_string());
        assert_prints_no_key(&data, app).await;
    }
}

#[tokio::test]
async fn an_object_whose_key_holds_the_api_key_is_forwarded_and_not_printed() {
    let key = format!("x/{API_KEY}.pdf");
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    assert_eq!(app.invoke(s3_event([key.as_str(), "b.exe"])).await.ok()["forwarded"], 1);
    assert_eq!(app.submitted_keys(), [key.as_str(), "b.exe"]);
    // What is redriven has to name the object as it is.
    app.flexorch.faults().add("reject=x/*".parse().unwrap());
    assert_eq!(app.invoke(s3_event([key.as_str()])).await.ok()["rejected"], 1);
    assert!(app.queues.messages(DEAD_LETTERS).iter().any(|letter| letter.body.contains(&key)));
    assert_prints_no_key("the object's key", app).await;
}

#[tokio::test]
async fn an_unreadable_message_with_a_field_named_by_the_key_is_kept_as_it_is_and_described_without_it() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let body = json!({API_KEY: 1});
    assert!(app.invoke(sqs_event([body.clone()])).await.failures().is_empty());
    let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
    assert_eq!(letter.body, body.to_string());
    assert!(letter.attributes["message"].contains("[redacted]"), "{:?}", letter.attributes);
    let answer = app.invoke(body).await;
    assert!(answer.error().contains("[redacted]"), "{}", answer.error());
    assert_prints_no_key("an unreadable message", app).await;
}

#[tokio::test]
async fn what_sqs_says_is_redacted_in_logs_errors_and_results() {
    // Texts like those of `SignatureDoesNotMatch`, which repeat what was signed.
    let token = "IQoJb3JpZ2luX2VjEXAMPLE-session-token";
    let said = format!("{API_KEY} {SECRET_ACCESS_KEY} x-amz-security-token:{token} AKIAIOSFODNN7EXAMPLE");
    let sqs = Stub::refusing("AccessDeniedException", said).await.unwrap();
    let app = TestAppBuilder::new()
        .await
        .dead_letters()
        .env("AWS_ENDPOINT_URL_SQS", sqs.url())
        .env("AWS_SESSION_TOKEN", token)
        .env("AWS_MAX_ATTEMPTS", 1)
        .start()
        .await;
    let secrets = [API_KEY, SECRET_ACCESS_KEY, token, "AKIAIOSFODNN7EXAMPLE"];
    for event in [s3_event(["a.exe"]), batch_job(&["a.exe"]), sqs_event([s3_event(["a.exe"]), json!("unreadable")])] {
        let answer = format!("{:?}", app.invoke(event).await.result);
        assert!(secrets.iter().all(|secret| !answer.contains(secret)), "{answer}");
    }
    let output = app.output().await.join("\n");
    assert!(output.contains("AccessDenied") && output.contains("[redacted]"), "{output}");
    for secret in secrets {
        assert!(!output.contains(secret), "{secret} in {output}");
    }
}

#[tokio::test]
async fn what_s3_says_is_redacted() {
    let body = format!("<Error><Code>InternalError</Code><Message>{API_KEY}</Message></Error>");
    let s3 = Stub::start(move |_, _| (500, "application/xml", body.clone())).await.unwrap();
    let app = TestAppBuilder::new().await.env("AWS_ENDPOINT_URL_S3", s3.url()).env("AWS_MAX_ATTEMPTS", 1).start().await;
    let order = json!({"reconcile": {"since": "PT24H"}});
    let answer = app.invoke(order.clone()).await;
    assert!(answer.error().contains("InternalError: [redacted]"), "{}", answer.error());
    assert_eq!(app.invoke(sqs_event([order])).await.failures(), ["m-0"]);
    assert_prints_no_key("S3", app).await;
}

#[tokio::test]
async fn what_secrets_manager_says_is_redacted_once_the_secret_was_read() {
    for code in ["AccessDeniedException", "InternalServiceError"] {
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let secrets = Stub::start(move |_, _| {
            let body = match failing.load(Ordering::SeqCst) {
                true => json!({"__type": code, "message": format!("no {API_KEY}")}),
                false => json!({"Name": SECRET, "SecretString": connector_secret().to_string()}),
            };
            let status = if failing.load(Ordering::SeqCst) { 500 } else { 200 };
            (status, "application/x-amz-json-1.1", body.to_string())
        })
        .await
        .unwrap();
        let app = TestAppBuilder::new()
            .await
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
            .env("SECRET_CACHE_TTL_SECONDS", 0)
            .env("AWS_MAX_ATTEMPTS", 1)
            .start()
            .await;
        fails.store(true, Ordering::SeqCst);
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert_holds_no_key(code, &format!("{:?}", answer.result));
        assert_prints_no_key(code, app).await;
    }
}

#[tokio::test]
async fn a_proxys_password_is_not_printed() {
    let body = json!({"error": {"code": "X", "message": "refused for user:hunt%40r2 and user:hunt@r2"}}).to_string();
    let proxy = Stub::start(move |_, _| (407, "application/json", body.clone())).await.unwrap();
    let app = TestAppBuilder::new()
        .await
        .env("HTTP_PROXY", proxy.url().replace("http://", "http://user:hunt%40r2@"))
        .env("NO_PROXY", "127.0.0.1")
        .env("FLEXORCH_BASE_URL", "http://localhost:9/v1")
        .start()
        .await;
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("refused for user:[redacted] and user:[redacted]"), "{}", answer.error());
    let output = app.output().await.join("\n");
    assert!(!output.contains("hunt%40r2") && !output.contains("hunt@r2"), "{output}");
}

#[tokio::test]
async fn no_character_that_a_terminal_obeys_is_printed_raw_in_either_format() {
    let unsafe_text = "x\u{7f}\u{85}\u{9b}2J\u{2028}\u{202e}\u{2066}";
    let message = json!({"error": {"code": "FILE_TOO_LARGE", "message": format!("said {unsafe_text}")}}).to_string();
    for format in ["JSON", "Text"] {
        let flexorch = {
            let message = message.clone();
            Stub::start(move |_, _| (413, "application/json", message.clone())).await.unwrap()
        };
        let app = TestAppBuilder::new()
            .await
            .env("AWS_LAMBDA_LOG_FORMAT", format)
            .env("FLEXORCH_BASE_URL", format!("{}/v1", flexorch.url()))
            .start()
            .await;
        let event = s3_event(["x%7F%C2%85%C2%9B2J%E2%80%A8%E2%80%AE%E2%81%A6.pdf"]);
        assert_eq!(app.invoke(event).await.ok()["rejected"], 1);
        let output = app.output().await;
        let raw = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}' | '\u{2066}');
        assert!(output.iter().all(|line| !line.contains(raw)), "{format}: {output:#?}");
        let [rejected] = &output.iter().filter(|line| line.contains("said x")).collect::<Vec<_>>()[..] else {
            panic!("one line about the object: {output:#?}")
        };
        if format == "JSON" {
            let line: Value = serde_json::from_str(rejected).unwrap();
            assert_eq!(line["key"], format!("{unsafe_text}.pdf"));
            assert_eq!(line["error"], format!("said {unsafe_text}"));
        }
    }
}
