//! The environment: a wrong setting stops the function at its start, with an error that names it.

use serde_json::json;

use crate::support::app::TestAppBuilder;
use crate::support::surroundings::API_KEY;

async fn fails_with(variable: &str, value: &str) -> String {
    let mut app = TestAppBuilder::new().await.env(variable, value).spawn().await;
    let (message, code) = app.init_error().await;
    assert_eq!(code, Some(1), "{message}");
    let output = app.output().await.join("\n");
    assert!(output.contains(variable), "the log does not name {variable}: {output}");
    message
}

#[tokio::test]
async fn a_wrong_setting_is_an_error_at_start_that_names_variable_value_and_what_is_allowed() {
    for (variable, value) in [
        ("MAX_KEYS_PER_REQUEST", "many"),
        ("MAX_OBJECT_BYTES", "10MB"),
        ("SECRET_CACHE_TTL_SECONDS", "-1"),
        ("REQUEST_TIMEOUT_MS", "0"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("REQUESTS_PER_MINUTE", "1.5"),
        ("MAX_ATTEMPTS", "0"),
        ("DEADLINE_MARGIN_MS", "soon"),
        ("FLEXORCH_BASE_URL", "http://api.flexorch.com/v1"),
        ("DEAD_LETTER_QUEUE_URL", "dead-letters"),
        ("RECEIPTS_QUEUE_URL", "receipts"),
        ("PIPELINE_CONFIG", "[]"),
    ] {
        let message = fails_with(variable, value).await;
        assert!(message.contains(variable) && message.contains(value) && message.contains("must be"), "{message}");
    }
}

#[tokio::test]
async fn a_missing_list_of_secrets_is_an_error_at_start() {
    let message = fails_with("CONNECTOR_SECRET_IDS", "").await;
    assert!(message.contains("not set"), "{message}");
}

#[tokio::test]
async fn two_connectors_of_one_bucket_and_prefix_are_an_error_at_start_that_names_both() {
    let secret = json!({"api_key": API_KEY, "connector_id": 1, "bucket": "b", "prefix": "p/"});
    let mut app = TestAppBuilder::new().await.secrets([("one", secret.clone()), ("two", secret)]).spawn().await;
    let (message, code) = app.init_error().await;
    assert_eq!(code, Some(1));
    assert!(message.contains("one") && message.contains("two") && message.contains("p/"), "{message}");
}

#[tokio::test]
async fn a_root_certificate_file_that_is_not_there_is_an_error_at_start() {
    let message = fails_with("SSL_CERT_FILE", "/nonexistent/roots.pem").await;
    assert!(message.contains("/nonexistent/roots.pem"), "{message}");
}

#[tokio::test]
async fn started_outside_lambda_the_function_names_a_wrong_setting_first_and_then_says_what_to_do_instead() {
    let function = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flexorch-s3-ingester"));
        command.env_clear();
        command
    };
    let output = function().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("CONNECTOR_SECRET_IDS"));
    let output = function().env("CONNECTOR_SECRET_IDS", "docs").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("cargo lambda watch"));
}

#[tokio::test]
async fn the_report_of_a_failed_start_reaches_lambda_whatever_proxy_is_set() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let app = TestAppBuilder::new().await.env("MAX_ATTEMPTS", 0).env(variable, &address);
        let mut app = app.spawn().await;
        let (message, code) = app.init_error().await;
        assert!(message.contains("MAX_ATTEMPTS") && code == Some(1), "{variable}: {message}");
    }
    let used = tokio::time::timeout(std::time::Duration::ZERO, proxy.accept()).await;
    assert!(used.is_err(), "the proxy was used");
}
