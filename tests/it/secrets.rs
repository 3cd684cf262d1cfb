//! The connectors' secrets: fetched during start-up, kept, renewed, and never printed.

use std::time::Duration;

use flexorch_s3_ingester::cli::sandbox::secrets_manager::SecretsFault;
use serde_json::{Value, json};

use crate::support::app::{SECRET, connector_secret};
use crate::support::events::s3_record;
use crate::support::surroundings::API_KEY;
use crate::support::{TestApp, TestAppBuilder, s3_event};

fn with_key(key: &str) -> Value {
    let mut secret = connector_secret();
    secret["api_key"] = json!(key);
    secret
}

#[tokio::test]
async fn a_secret_is_fetched_once_during_start_up_for_many_events() {
    let app = TestApp::start().await;
    assert_eq!(app.secrets.fetch_count(SECRET), 1);
    for number in 0..5 {
        app.invoke(s3_event([format!("{number}.pdf").as_str()])).await.ok();
    }
    assert_eq!(app.secrets.fetch_count(SECRET), 1);
}

#[tokio::test]
async fn an_expired_secret_is_fetched_again_and_its_new_key_used() {
    let app = TestAppBuilder::new().await.env("SECRET_CACHE_TTL_SECONDS", 0).start().await;
    app.secrets.put(SECRET, with_key("dfx_rotated").to_string());
    app.invoke(s3_event(["a.pdf"])).await.ok();
    assert_eq!(app.secrets.fetch_count(SECRET), 2);
    assert_eq!(app.requests()[0].api_key.as_ref().unwrap().expose(), "dfx_rotated");
}

#[tokio::test]
async fn an_expired_secret_stays_in_use_while_secrets_manager_fails_for_a_passing_reason() {
    for fault in [SecretsFault::Internal, SecretsFault::Throttling] {
        let app =
            TestAppBuilder::new().await.env("SECRET_CACHE_TTL_SECONDS", 0).env("AWS_MAX_ATTEMPTS", 1).start().await;
        app.secrets.set_fault(Some(fault));
        assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_expired_secret_that_may_no_longer_be_read_is_not_used() {
    let app = TestAppBuilder::new().await.env("SECRET_CACHE_TTL_SECONDS", 0).start().await;
    app.secrets.set_fault(Some(SecretsFault::AccessDenied));
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("secretsmanager:GetSecretValue"), "{}", answer.error());
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_at_start_is_tried_again_with_the_next_event() {
    let builder = TestAppBuilder::new().await.env("AWS_MAX_ATTEMPTS", 1);
    builder.secrets_manager().fail_next(1, SecretsFault::Internal);
    let app = builder.start().await;
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
}

#[tokio::test]
async fn a_wrong_secret_defers_its_objects_with_an_error_that_names_secret_and_field_and_no_value() {
    for (secret, field) in [
        (json!({"connector_id": 1}), "api_key"),
        (json!({"api_key": "dfx_hidden_value"}), "connector_id"),
        (json!({"api_key": "dfx_hidden_value", "connector_id": []}), "connector_id"),
        (json!({"api_key": 99887766, "connector_id": 1}), "api_key"),
        (json!("dfx_hidden_value"), "JSON object"),
        (json!({}), "empty"),
    ] {
        let app = TestAppBuilder::new().await.secrets([("docs-secret", secret)]).start().await;
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert!(answer.error().contains("docs-secret") && answer.error().contains(field), "{}", answer.error());
        let output = app.output().await.join("\n");
        assert!(!output.contains("hidden_value") && !output.contains("99887766"), "{output}");
    }
}

#[tokio::test]
async fn the_next_event_after_a_secret_was_mended_is_forwarded() {
    let app = TestAppBuilder::new().await.secrets([(SECRET, json!({}))]).start().await;
    assert!(app.invoke(s3_event(["a.pdf"])).await.result.is_err());
    app.secrets.put(SECRET, connector_secret().to_string());
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
}

#[tokio::test]
async fn one_bad_secret_does_not_stop_the_other_connectors() {
    let good = json!({"api_key": API_KEY, "connector_id": 1, "bucket": "my-documents", "prefix": "good/"});
    let app = TestAppBuilder::new().await.secrets([("bad", json!({"api_key": 5})), ("good", good)]).start().await;
    let event = json!({"Records": [s3_record("my-documents", "good/a.pdf"), s3_record("else", "b.pdf")]});
    let answer = app.invoke(event).await;
    assert!(answer.error().contains("1 of 2 objects are deferred"), "{}", answer.error());
    assert_eq!(app.submitted_keys(), ["good/a.pdf"]);
}

#[tokio::test]
async fn a_secret_that_hangs_does_not_stop_the_other_connectors() {
    let good = json!({"api_key": API_KEY, "connector_id": 1, "bucket": "my-documents"});
    let app = TestAppBuilder::new()
        .await
        .secrets([("good", good)])
        .env("CONNECTOR_SECRET_IDS", "good,arn:aws:secretsmanager:eu-west-1:123456789012:secret:missing-AbCdEf")
        .start()
        .await;
    app.secrets.set_fault(Some(SecretsFault::Hang));
    let answer = app.invoke_within(s3_event(["a.pdf"]), Duration::from_secs(6)).await;
    assert_eq!(answer.ok()["forwarded"], 1);
}

#[tokio::test]
async fn the_region_in_a_secrets_arn_is_the_region_to_ask() {
    let builder = TestAppBuilder::new().await;
    let arn = builder.secrets_manager().arn(SECRET, "ap-southeast-2");
    let app = builder.env("CONNECTOR_SECRET_IDS", &arn).start().await;
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    let regions: Vec<_> = app.secrets.calls().into_iter().map(|call| call.region).collect();
    assert_eq!(regions, ["ap-southeast-2"]);
}

#[tokio::test]
async fn after_a_401_a_key_that_changed_is_used_at_once() {
    let app = TestApp::start().await;
    app.flexorch.revoke_key(API_KEY);
    app.secrets.put(SECRET, with_key("dfx_new_key").to_string());
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    let used: Vec<_> = app.requests().into_iter().map(|request| request.api_key.unwrap().expose().to_owned()).collect();
    assert_eq!(used, [API_KEY, "dfx_new_key"]);
    assert_eq!(app.secrets.fetch_count(SECRET), 2);
}

#[tokio::test]
async fn after_a_401_with_an_unchanged_key_the_objects_are_deferred_after_one_fresh_fetch() {
    let app =
        TestAppBuilder::new().await.env("MAX_KEYS_PER_REQUEST", 1).env("MAX_CONCURRENT_REQUESTS", 1).start().await;
    app.flexorch.revoke_key(API_KEY);
    let answer = app.invoke(s3_event(["a.pdf", "b.pdf", "c.pdf"])).await;
    assert!(answer.error().contains("3 bad-credentials"), "{}", answer.error());
    assert_eq!((app.secrets.fetch_count(SECRET), app.requests().len()), (2, 1));
    assert_eq!(app.metrics().await["AuthFailures"], 1.0);
}

#[tokio::test]
async fn a_403_that_names_the_key_is_treated_like_a_401_and_another_403_is_not() {
    for (code, fetches) in [("INVALID_API_KEY", 2), ("UNAUTHORIZED", 2), ("PLAN_UPGRADE_REQUIRED", 1)] {
        let app = TestAppBuilder::new().await.fault(&format!("status=403,code={code}")).start().await;
        assert!(app.invoke(s3_event(["a.pdf"])).await.result.is_err());
        assert_eq!(app.secrets.fetch_count(SECRET), fetches, "{code}");
    }
}
