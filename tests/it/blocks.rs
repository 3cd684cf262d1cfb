//! Connectors that FlexOrch refuses until an operator acts, and secrets that changed in the meantime.

use serde_json::{Value, json};

use crate::support::app::{SECRET, connector_secret};
use crate::support::surroundings::API_KEY;
use crate::support::{TestApp, TestAppBuilder, s3_event};

/// The connector's secret with these fields instead.
fn secret_with(fields: &Value) -> String {
    let mut secret = connector_secret();
    for (name, value) in fields.as_object().unwrap() {
        secret[name] = value.clone();
    }
    secret.to_string()
}

/// The API keys and connector ids of all requests so far.
fn sent(app: &TestApp) -> Vec<(String, Value)> {
    let requests = app.requests().into_iter();
    requests.map(|request| (request.api_key.unwrap().expose().to_owned(), request.connector_id)).collect()
}

#[tokio::test]
async fn after_a_401_objects_are_not_sent_to_the_connector_that_the_secret_describes_now() {
    for changed in [json!({"connector_id": 7}), json!({"bucket": "other"}), json!({"prefix": "elsewhere/"})] {
        let app = TestApp::start().await;
        app.flexorch.revoke_key(API_KEY);
        let mut fields = changed.clone();
        fields["api_key"] = json!("dfx_new_key");
        app.secrets.put(SECRET, secret_with(&fields));
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert!(answer.error().contains("1 connector-changed"), "{changed}: {}", answer.error());
        assert_eq!(sent(&app), [(API_KEY.to_owned(), json!(42))], "{changed}");
        assert_eq!(app.metrics().await["AuthFailures"], 0.0);
    }
}

#[tokio::test]
async fn what_was_deferred_because_its_connector_changed_is_routed_anew() {
    let app = TestApp::start().await;
    app.flexorch.revoke_key(API_KEY);
    app.secrets.put(SECRET, secret_with(&json!({"connector_id": 7, "api_key": "dfx_new_key"})));
    assert!(app.invoke(s3_event(["a.pdf"])).await.result.is_err());
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    assert_eq!(sent(&app)[1], ("dfx_new_key".to_owned(), json!(7)));
}

#[tokio::test]
async fn after_a_404_the_secret_is_fetched_afresh_once_and_a_changed_connector_blocks_nothing() {
    let app = TestAppBuilder::new().await.fault("status=404,connector=42").start().await;
    app.secrets.put(SECRET, secret_with(&json!({"connector_id": 43})));
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("1 connector-changed"), "{}", answer.error());
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    assert_eq!(app.secrets.fetch_count(SECRET), 2);
}

#[tokio::test]
async fn a_connector_that_flexorch_does_not_know_is_blocked_after_one_fresh_fetch() {
    let app = TestAppBuilder::new().await.fault("status=404").start().await;
    let answer = app.invoke(s3_event(["a.pdf"])).await;
    assert!(answer.error().contains("1 connector-not-found"), "{}", answer.error());
    assert_eq!((app.secrets.fetch_count(SECRET), app.requests().len()), (2, 1));
}

#[tokio::test]
async fn a_blocked_connector_is_not_asked_again_by_the_next_invocation() {
    for (fault, class) in [
        ("status=402,code=TRIAL_EXPIRED,times=1", "not-allowed"),
        ("status=403,code=PLAN_UPGRADE_REQUIRED,times=1", "not-allowed"),
        ("status=404,times=1", "connector-not-found"),
        ("status=429,code=QUOTA_EXCEEDED,times=1", "quota-exceeded"),
        ("status=401,times=1", "bad-credentials"),
    ] {
        let app = TestAppBuilder::new().await.fault(fault).start().await;
        for _ in 0..3 {
            let answer = app.invoke(s3_event(["a.pdf", "b.pdf"])).await;
            assert!(answer.error().contains(&format!("2 {class}")), "{fault}: {}", answer.error());
        }
        assert_eq!(app.requests().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_fresh_key_is_not_blocked_by_what_the_old_one_met() {
    let app = TestAppBuilder::new().await.fault("status=402,times=1").env("SECRET_CACHE_TTL_SECONDS", 0).start().await;
    assert!(app.invoke(s3_event(["a.pdf"])).await.result.is_err());
    app.secrets.put(SECRET, secret_with(&json!({"api_key": "dfx_new_key"})));
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
}
