//! The connectors' secrets: fetched during start-up, kept, renewed, and never printed.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use aws_types::sdk_config::SharedHttpClient;
use flexorch_s3_ingester::aws::http::{self, SdkHttpClient};
use flexorch_s3_ingester::aws::secrets::{Refresh, SecretCache};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::model::claim::ClaimScope;
use flexorch_sandbox::secrets_manager::{SecretsFault, SecretsManager};
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
        // The secret may describe another bucket by now.
        let unread = json!({"Records": [s3_record("another-bucket", "a.pdf")]});
        let waiting = app.invoke(unread.clone()).await;
        assert!(waiting.error().contains("1 secret-unavailable"), "{}", waiting.error());
        app.secrets.set_fault(None);
        assert_eq!(app.invoke(unread).await.ok()["skipped_by_reason"]["no-connector"], 1);
        let output = app.output().await.join("\n");
        assert!(!output.contains("connection"), "the SDK's own errors about connections say nothing: {output}");
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
async fn a_secret_that_hangs_leaves_time_for_the_connectors_whose_secrets_are_known() {
    let (app, _) = all_and_hr(|builder| builder.env("SECRET_CACHE_TTL_SECONDS", 0)).await;
    app.secrets.set_secret_fault("hr", Some(SecretsFault::Hang));
    let answer = app.invoke_within(s3_event(["a.pdf", "hr/b.pdf"]), Duration::from_secs(6)).await;
    assert_eq!(answer.ok()["forwarded"], 2);
}

#[tokio::test]
async fn a_secret_that_hangs_before_it_was_ever_read_defers_every_object_in_time() {
    let (app, _) =
        all_and_hr(|builder| builder.before_start(|secrets| secrets.set_secret_fault("hr", Some(SecretsFault::Hang))))
            .await;
    let answer = app.invoke_within(s3_event(["a.pdf", "hr/b.pdf"]), Duration::from_secs(6)).await;
    assert!(answer.error().contains("2 secret-unavailable"), "{}", answer.error());
    assert!(app.requests().is_empty());
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

/// The API key of the connector `hr`.
const HR_KEY: &str = "dfx_hr_0123456789";

/// A connector for the whole bucket and one for its prefix `hr/`, with another API key; and the secret of the latter.
async fn all_and_hr(change: impl FnOnce(TestAppBuilder) -> TestAppBuilder) -> (TestApp, String) {
    let hr = json!({"api_key": HR_KEY, "connector_id": 43, "bucket": "my-documents", "prefix": "hr/"});
    let builder = TestAppBuilder::new().await.env("AWS_MAX_ATTEMPTS", 1);
    let builder = builder.secrets([("all", connector_secret()), ("hr", hr.clone())]);
    (change(builder).start().await, hr.to_string())
}

/// The keys that were sent with an API key.
fn sent_with(app: &TestApp, api_key: &str) -> Vec<String> {
    let requests = app.requests().into_iter();
    requests
        .filter(|request| request.api_key.as_ref().unwrap().expose() == api_key)
        .flat_map(|request| request.keys)
        .collect()
}

/// While `hr` cannot be read, its objects wait, naming it, and `all` gets its own and none of them; once it can be, they arrive.
/// `stranger` is what happens in the meantime to an object that no connector reads.
async fn hr_waits_until_its_secret_is_repaired(app: TestApp, hr: String, all_goes_on: bool, what: &str) {
    let event = json!({"Records": [
        s3_record("my-documents", "hr/salaries.pdf"),
        s3_record("my-documents", "letters/a.pdf"),
        s3_record("stranger", "b.pdf"),
    ]});
    let answer = app.invoke(event.clone()).await;
    let deferred = if all_goes_on { "2 secret-unavailable" } else { "3 secret-unavailable" };
    assert!(answer.error().contains(deferred) && answer.error().contains("\"hr\""), "{what}: {}", answer.error());
    let expected: &[&str] = if all_goes_on { &["letters/a.pdf"] } else { &[] };
    assert_eq!(sent_with(&app, API_KEY), expected, "{what}");
    assert!(sent_with(&app, HR_KEY).is_empty(), "{what}");
    app.secrets.set_secret_fault("hr", None);
    app.secrets.put("hr", hr);
    let answer = app.invoke(event).await;
    assert_eq!((&answer.ok()["forwarded"], &answer.ok()["skipped"]), (&json!(2), &json!(1)), "{what}");
    assert_eq!(sent_with(&app, HR_KEY), ["hr/salaries.pdf"], "{what}");
    assert!(!sent_with(&app, API_KEY).contains(&"hr/salaries.pdf".to_owned()), "{what}");
    let output = app.output().await.join("\n");
    assert!(!output.contains(HR_KEY), "{what}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_fetched_at_a_cold_start_may_hide_any_scope_so_every_object_waits() {
    for fault in [
        SecretsFault::Throttling,
        SecretsFault::Internal,
        SecretsFault::AccessDenied,
        SecretsFault::Truncated,
        SecretsFault::BrokenOff,
        SecretsFault::WithoutValue,
        SecretsFault::Page,
    ] {
        let (app, hr) =
            all_and_hr(|builder| builder.before_start(|secrets| secrets.set_secret_fault("hr", Some(fault)))).await;
        hr_waits_until_its_secret_is_repaired(app, hr, false, &format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_secret_that_breaks_in_a_warm_process_keeps_the_scope_last_read_and_the_rest_goes_its_way() {
    type Break = fn(&TestApp);
    let breaks: [(&str, Break); 8] = [
        ("bad JSON", |app| app.secrets.put("hr", r#"{"api_key": "dfx_hr_0123456789", "connector_id": 43,"#)),
        ("another scope and no key", |app| app.secrets.put("hr", r#"{"bucket": "my-documents", "prefix": "x/"}"#)),
        ("deleted", |app| app.secrets.delete("hr")),
        ("emptied to braces", |app| app.secrets.put("hr", "{}")),
        ("emptied", |app| app.secrets.put("hr", "")),
        ("without a value", |app| {
            app.secrets.delete("hr");
            app.secrets.create_empty("hr");
        }),
        ("bytes", |app| app.secrets.put_binary("hr", b"\x00\x01")),
        ("denied", |app| app.secrets.set_secret_fault("hr", Some(SecretsFault::AccessDenied))),
    ];
    for (what, make_worse) in breaks {
        let (app, hr) = all_and_hr(|builder| builder.env("SECRET_CACHE_TTL_SECONDS", 0)).await;
        make_worse(&app);
        hr_waits_until_its_secret_is_repaired(app, hr, true, what).await;
    }
}

#[tokio::test]
async fn a_secret_that_broke_keeps_its_scope_while_it_cannot_be_fetched_afterwards() {
    let (app, hr) = all_and_hr(|builder| builder.env("SECRET_CACHE_TTL_SECONDS", 0)).await;
    app.secrets.put("hr", "{}");
    assert!(app.invoke(s3_event(["hr/a.pdf"])).await.result.is_err());
    app.secrets.set_secret_fault("hr", Some(SecretsFault::Throttling));
    hr_waits_until_its_secret_is_repaired(app, hr, true, "throttled after it was emptied").await;
}

#[tokio::test]
async fn a_malformed_secret_at_a_cold_start_claims_the_scope_that_it_still_states() {
    for secret in [
        r#"{"bucket": "my-documents", "prefix": "hr/", "connector_id": 43}"#,
        r#"{"bucket": "my-documents", "prefix": "hr/", "connector_id": 43, "api_key": 5}"#,
        r#"{"bucket": "my-documents", "prefix": "hr/", "connector_id": 43, "api_key": "dfx_hr_0123456789", "paused": 1}"#,
        r#"{"bucket": "my-documents", "prefix": "hr/", "connector_id": 43, "api_key": "dfx_hr_0123456789""#,
    ] {
        let (app, hr) = all_and_hr(|builder| builder.secret_text("hr", secret)).await;
        hr_waits_until_its_secret_is_repaired(app, hr, true, secret).await;
    }
    let (app, hr) = all_and_hr(|builder| {
        builder.without_secret("hr").before_start(|secrets| {
            secrets.put_binary("hr", br#"{"bucket": "my-documents", "prefix": "hr/"}"#);
        })
    })
    .await;
    hr_waits_until_its_secret_is_repaired(app, hr, true, "bytes that state a scope").await;
}

#[tokio::test]
async fn a_secret_that_was_never_there_or_states_no_bucket_claims_only_what_no_connector_reads() {
    for (what, secret) in [
        ("does not exist", None),
        ("is empty", Some("{}")),
        ("is blank", Some(" ")),
        ("is no JSON", Some("dfx_hidden_value")),
        ("states a prefix alone", Some(r#"{"prefix": "hr/"}"#)),
    ] {
        let (app, _) = all_and_hr(|builder| match secret {
            Some(text) => builder.secret_text("hr", text),
            None => builder.without_secret("hr"),
        })
        .await;
        let event = json!({"Records": [s3_record("my-documents", "hr/a.pdf"), s3_record("stranger", "b.pdf")]});
        let answer = app.invoke(event).await;
        assert!(
            answer.error().contains("1 of 2 objects are deferred (1 secret-unavailable)"),
            "{what}: {}",
            answer.error()
        );
        assert_eq!(sent_with(&app, API_KEY), ["hr/a.pdf"], "{what}");
    }
}

#[tokio::test]
async fn the_filters_skip_what_they_exclude_whoever_may_read_it() {
    let (app, _) = all_and_hr(|builder| {
        builder
            .env("KEY_SUFFIXES", ".pdf")
            .before_start(|secrets| secrets.set_secret_fault("hr", Some(SecretsFault::Throttling)))
    })
    .await;
    let answer = app.invoke(s3_event(["hr/a.exe", "b.exe"])).await;
    assert_eq!(answer.ok()["skipped_by_reason"], json!({"out-of-suffix": 2}));
}

#[tokio::test]
async fn a_response_that_secrets_manager_did_not_write_leaves_the_cached_secret_in_use() {
    for fault in [SecretsFault::Truncated, SecretsFault::BrokenOff, SecretsFault::WithoutValue, SecretsFault::Page] {
        let (app, _) = all_and_hr(|builder| builder.env("SECRET_CACHE_TTL_SECONDS", 0)).await;
        app.secrets.set_fault(Some(fault));
        assert_eq!(app.invoke(s3_event(["hr/a.pdf"])).await.ok()["forwarded"], 1, "{fault:?}");
        assert_eq!(sent_with(&app, HR_KEY), ["hr/a.pdf"], "{fault:?}");
        let output = app.output().await.join("\n");
        assert!(!output.contains(HR_KEY) && !output.contains(API_KEY), "{fault:?}");
    }
}

#[tokio::test]
async fn two_connectors_that_come_to_claim_the_same_scope_defer_each_others_objects_and_nothing_else() {
    let (app, hr) = all_and_hr(|builder| {
        builder.env("SECRET_CACHE_TTL_SECONDS", 0).secret_text(
            "legal",
            r#"{"api_key": "dfx_legal_012345", "connector_id": 44, "bucket": "my-documents", "prefix": "legal/"}"#,
        )
    })
    .await;
    let legal = app.secrets.versions("legal").pop().unwrap();
    app.secrets.put("legal", legal.replace("legal/", "hr/"));
    let event = s3_event(["hr/a.pdf", "legal/b.pdf", "c.pdf"]);
    let answer = app.invoke(event).await;
    let error = answer.error();
    assert!(error.contains("1 of 3 objects are deferred") && error.contains("1 secret-unavailable"), "{error}");
    assert!(error.contains("\"hr\"") && error.contains("\"legal\"") && error.contains("hr/"), "{error}");
    assert_eq!(sent_with(&app, API_KEY), ["legal/b.pdf", "c.pdf"]);
    app.secrets.put("legal", legal);
    app.secrets.put("hr", hr);
    assert_eq!(app.invoke(s3_event(["hr/a.pdf", "legal/b.pdf"])).await.ok()["forwarded"], 2);
    assert_eq!(sent_with(&app, HR_KEY), ["hr/a.pdf"]);
    assert_eq!(sent_with(&app, "dfx_legal_012345"), ["legal/b.pdf"]);
}

#[tokio::test]
async fn after_a_401_a_secret_that_describes_another_connector_gets_none_of_the_objects() {
    for (field, value) in [("connector_id", json!(99)), ("bucket", json!("other")), ("prefix", json!("x/"))] {
        let app = TestApp::start().await;
        app.flexorch.revoke_key(API_KEY);
        let mut secret = with_key("dfx_new_key");
        secret[field] = value;
        app.secrets.put(SECRET, secret.to_string());
        assert!(app.invoke(s3_event(["a.pdf"])).await.error().contains("1 of 1 objects are deferred"), "{field}");
        assert!(sent_with(&app, "dfx_new_key").is_empty(), "{field}");
    }
}

#[tokio::test]
async fn a_paused_connectors_objects_wait_without_a_request_until_the_pause_ends() {
    for (paused, reason) in [
        (json!("FlexOrch maintenance until Monday"), "FlexOrch maintenance until Monday"),
        (json!(true), "the secret gives no reason"),
        (json!(format!("the key {HR_KEY} expires")), "the key [redacted] expires"),
    ] {
        let (app, hr) = all_and_hr(|builder| builder.env("SECRET_CACHE_TTL_SECONDS", 0)).await;
        let mut secret: Value = serde_json::from_str(&hr).unwrap();
        secret["paused"] = paused;
        app.secrets.put("hr", secret.to_string());
        let answer = app.invoke(s3_event(["hr/a.pdf", "b.pdf"])).await;
        let error = answer.error();
        assert!(error.contains("1 of 2 objects are deferred (1 paused)") && error.contains(reason), "{error}");
        assert_eq!(app.submitted_keys(), ["b.pdf"]);
        secret["paused"] = json!(false);
        app.secrets.put("hr", secret.to_string());
        assert_eq!(app.invoke(s3_event(["hr/a.pdf"])).await.ok()["forwarded"], 1);
        assert_eq!(sent_with(&app, HR_KEY), ["hr/a.pdf"]);
        let logs = app.logs().await;
        let deferred: Vec<_> = logs.iter().filter(|line| line["class"] == "paused").collect();
        let [line] = &deferred[..] else { panic!("one line: {deferred:?}") };
        // A pause is an operator's decision, not an error.
        assert_eq!((&line["level"], &line["connector"]), (&json!("WARN"), &json!("hr")));
        assert!(line["error"].as_str().unwrap().contains(reason), "{line}");
        assert!(!serde_json::to_string(&logs).unwrap().contains(HR_KEY));
    }
}

#[tokio::test]
async fn a_connector_id_is_sent_as_the_secret_writes_it() {
    for id in ["123456789012345678901234567890", "1e3", "1.0", "42", "\"42\""] {
        let secret = format!(r#"{{"api_key": "{API_KEY}", "connector_id": {id}, "bucket": "my-documents"}}"#);
        let app = TestAppBuilder::new().await.secret_text(SECRET, &secret).start().await;
        assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1, "{id}");
        assert_eq!(app.requests()[0].connector_id_text, id);
    }
}

/// A cache of this Secrets Manager's secret `hr`, without a function around it.
fn cache_of(secrets: &SecretsManager) -> SecretCache {
    let client = http::client(None).unwrap();
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIA", "hidden", None, None, "test")))
        .http_client(SharedHttpClient::new(SdkHttpClient(client)))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(secrets.endpoint_url())
        .build();
    SecretCache::new(sdk, &["hr".to_owned()], Duration::from_secs(300), Clock::system())
}

#[tokio::test]
async fn a_refresh_returns_what_the_secret_describes_now_and_fetches_only_what_is_not_known_to_have_changed() {
    let secrets = SecretsManager::start(0).await.unwrap();
    let secret = |key: &str, id: u32, prefix: &str| {
        json!({"api_key": key, "connector_id": id, "bucket": "docs", "prefix": prefix}).to_string()
    };
    secrets.put("hr", secret("dfx_one", 1, "hr/"));
    let (cache, end) = (cache_of(&secrets), SystemTime::now() + Duration::from_secs(60));
    let used = cache.connectors(end).await.known.pop().unwrap();
    let Refresh::Current(current) = cache.refresh(&used, end).await else { panic!("refreshed") };
    assert!(current.api_key == used.api_key && current.is_same_connector(&used), "unchanged");
    assert_eq!(secrets.fetch_count("hr"), 2);
    let mut fetches = 2;
    for (key, id, prefix) in [("dfx_two", 1, "hr/"), ("dfx_one", 2, "hr/"), ("dfx_one", 1, "x/")] {
        let cache = cache_of(&secrets);
        secrets.put("hr", secret("dfx_one", 1, "hr/"));
        let used = cache.connectors(end).await.known.pop().unwrap();
        secrets.put("hr", secret(key, id, prefix));
        fetches += 2;
        for _ in 0..2 {
            let Refresh::Current(current) = cache.refresh(&used, end).await else { panic!("refreshed") };
            assert_eq!((current.api_key.expose(), &*current.prefix), (key, prefix));
            assert_eq!(secrets.fetch_count("hr"), fetches, "the second is not fetched again");
        }
    }
}

#[tokio::test]
async fn a_refresh_that_fails_for_good_ends_the_use_of_the_cached_secret_and_keeps_its_claim() {
    let secrets = SecretsManager::start(0).await.unwrap();
    secrets.put("hr", r#"{"api_key": "dfx_one", "connector_id": 1, "bucket": "docs", "prefix": "hr/"}"#);
    let (cache, end) = (cache_of(&secrets), SystemTime::now() + Duration::from_secs(60));
    let used = cache.connectors(end).await.known.pop().unwrap();
    secrets.set_fault(Some(SecretsFault::Truncated));
    assert!(matches!(cache.refresh(&used, end).await, Refresh::Failed(_)));
    assert_eq!(cache.connectors(end).await.known.len(), 1, "still in use");
    secrets.set_fault(Some(SecretsFault::AccessDenied));
    assert!(matches!(cache.refresh(&used, end).await, Refresh::Failed(_)));
    let connectors = cache.connectors(end).await;
    assert!(connectors.known.is_empty());
    assert_eq!(connectors.claims[0].scope, ClaimScope::Part(used.read_scope()));
}
