//! `flexorch-s3 doctor`, the built program, against FlexOrch's sandbox and local AWS endpoints: the secret, FlexOrch and the bucket.

use flexorch_sandbox::aws_fault::AwsFault;
use serde_json::json;

use crate::support::clinic::{Clinic, Diagnosis};
use crate::support::run::Run;
use crate::support::surroundings::{API_KEY, CONNECTORS_SECRET_KEY, REGION};

#[tokio::test(flavor = "multi_thread")]
async fn if_everything_is_well_every_check_says_so_and_the_function_is_found() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    assert_eq!(seen.report["well"], true);
    let checks = seen.report["checks"].as_array().unwrap();
    let names = [
        "secret",
        "secret's fields",
        "pause",
        "FlexOrch",
        "API key",
        "plan",
        "credits",
        "connector",
        "connector test",
        "bucket",
        "function",
        "settings",
        "function's secret",
        "FlexOrch's address",
        "filters",
        "time",
        "notification",
        "permission",
        "exports",
        "batches",
        "pace",
        "retry queue",
        "dead-letter queue",
        "waiting",
        "dead letters",
        "tracking",
    ];
    assert_eq!(seen.names("well"), names, "{:#}", seen.report);
    assert_eq!(checks.len(), names.len());
    assert!(seen.check("function")["found"].as_str().unwrap().contains("found by the bucket's notification"));
    assert_eq!(seen.check("plan")["found"], "starter: 60 requests per minute, 1 used in the current minute");
    for check in checks {
        let fields: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["action", "check", "command", "found", "status"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_output_has_marks_and_the_next_command_under_each_problem() {
    let clinic = Clinic::open("docs").await;
    clinic
        .write(&json!({"api_key": API_KEY, "connector_id": 4711, "bucket": "docs", "region": REGION, "prefix": "in/"}));
    let run = Run::of(clinic.command(&["--secret", "docs", "--region", REGION])).await;
    let shown = &run.says(3, &[]).out;
    for line in [
        "✓ secret ",
        "✗ connector             FlexOrch has no connector 4711 for this API key",
        "flexorch-s3 connector create --secret docs --region eu-west-1",
        "– connector test        there is no such connector",
        "✓ dead letters          none",
    ] {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    assert!(shown.lines().last().unwrap().starts_with("1 failed, 1 skipped"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_an_empty_an_incomplete_and_a_malformed_secret_are_distinguished() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&["--secret", "docs"]).await;
    // Given twice is a wrong argument.
    assert_eq!(seen.run.status, Some(2));

    let absent = Diagnosis::of(clinic.command(&["--secret", "no-such", "--json"])).await;
    assert_eq!(absent.names("failed"), ["secret", "function"], "{:#}", absent.report);
    assert!(absent.text("secret").contains("there is no secret \"no-such\" in eu-west-1"), "{:#}", absent.report);
    assert!(absent.text("secret").contains("aws secretsmanager list-secrets"), "{:#}", absent.report);
    assert!(absent.text("function").contains("names this secret"), "{:#}", absent.report);
    assert!(absent.names("skipped").contains(&"API key") && absent.names("skipped").contains(&"bucket"));

    for (secret, found, command) in [
        ("{}", "the secret is empty", "flexorch-s3 connector create --secret docs"),
        (r#"{"bucket": "docs"}"#, "lacks `api_key` and `connector_id`", "flexorch-s3 connector create --secret docs"),
        (r#"{"api_key": "dfx_test_0123456789"}"#, "lacks `connector_id`", "flexorch-s3 connector create"),
        (r#"{"api_key": ["dfx_test_0123456789"], "connector_id": 1}"#, "`api_key`", "map_values(type)"),
        ("dfx_test_0123456789", "not a JSON object", "put-secret-value --secret-id docs --secret-string '{}'"),
    ] {
        clinic.secrets.put("docs", secret);
        clinic.doctor(&[]).await.fails("secret's fields", found, command);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unneeded_field_and_a_missing_optional_field_are_warnings() {
    let clinic = Clinic::open("docs").await;
    let whole = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION, "prefix": "in/"});
    let mut left_over = whole.clone();
    left_over["aws_secret_access_key"] = CONNECTORS_SECRET_KEY.into();
    clinic.write(&left_over);
    let seen = clinic.doctor(&[]).await;
    assert_eq!((seen.run.status, seen.names("warning")), (Some(0), vec!["secret's fields"]), "{:#}", seen.report);
    assert!(seen.check("secret's fields")["command"].as_str().unwrap().contains("del(.aws_secret_access_key)"));

    let mut no_bucket = whole;
    no_bucket.as_object_mut().unwrap().remove("bucket");
    clinic.write(&no_bucket);
    let seen = clinic.doctor(&[]).await;
    // The rest cannot be checked without a bucket, so not everything is well.
    assert_eq!((seen.run.status, seen.names("warning")), (Some(3), vec!["secret's fields"]), "{:#}", seen.report);
    assert_eq!(seen.names("skipped"), ["bucket", "notification", "permission"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_a_revoked_key_and_a_failed_test_are_distinguished() {
    let mut clinic = Clinic::open("docs").await;
    clinic.flexorch.revoke_key(API_KEY);
    clinic.doctor(&[]).await.fails("API key", "401", ".api_key = env.KEY");
    clinic.flexorch.restore_key(API_KEY);

    let denied = Clinic::open("docs-denied").await;
    denied.doctor(&[]).await.fails("connector test", "Access denied", "flexorch-s3 connector test --secret docs");

    clinic.move_flexorch("http://127.0.0.1:9/v1");
    let seen = clinic.doctor(&[]).await;
    seen.fails("FlexOrch", "GET /usage/rate-limits", "curl -sS -m 10");
    assert!(seen.names("well").contains(&"bucket"), "the bucket is looked at all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_differs_from_flexorch_is_reported_with_both_fixes() {
    let clinic = Clinic::open("docs").await;
    clinic.buckets.create("docs", REGION);
    clinic
        .write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION, "prefix": "out/"}));
    let seen = clinic.doctor(&[]).await;
    seen.fails("connector", r#"prefix "in/", but the secret says "out/""#, r#".prefix = "in/""#);
    assert!(seen.check("connector")["action"].as_str().unwrap().contains("del(.connector_id)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_a_misplaced_and_a_forbidden_bucket_are_distinguished() {
    let clinic = Clinic::open("docs").await;
    clinic.buckets.create("docs", "eu-central-1");
    clinic.doctor(&[]).await.fails(
        "bucket",
        "docs is in eu-central-1; the secret says eu-west-1",
        r#".region = "eu-central-1""#,
    );
    clinic.buckets.create("docs", REGION);
    clinic.buckets.set_fault(Some(AwsFault::AccessDenied));
    let seen = clinic.doctor(&[]).await;
    seen.could_not_check(&["bucket", "notification"], "arn:aws:s3:::docs");
    assert!(seen.check("bucket")["action"].as_str().unwrap().contains("needs s3:ListBucket on arn:aws:s3:::docs"));
    clinic.buckets.set_fault(None);
    clinic.write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "gone", "region": REGION, "prefix": "in/"}));
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.names("failed"), ["connector", "bucket"], "{:#}", seen.report);
    assert!(seen.check("bucket")["found"].as_str().unwrap().contains("no bucket \"gone\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_reached_stops_nothing_else() {
    let clinic = Clinic::open("docs").await;
    let mut command = clinic.command(&["--secret", "docs", "--json", "--function", "ingest"]);
    command.env("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9");
    let seen = Diagnosis::of(command).await;
    seen.fails("function", "could not be checked: lambda:GetFunction on ingest", "aws configure list");
    assert!(seen.names("well").contains(&"connector test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn if_nothing_can_be_checked_the_command_itself_fails() {
    let clinic = Clinic::open("docs").await;
    for (unset, set, told) in [
        ("AWS_ACCESS_KEY_ID", None, "no AWS credentials"),
        ("AWS_REGION", None, "no AWS region"),
        ("FLEXORCH_BASE_URL", Some("http://api.flexorch.com/v1"), "FLEXORCH_BASE_URL"),
    ] {
        let mut command = clinic.command(&["--secret", "docs"]);
        match set {
            Some(value) => command.env(unset, value),
            None => command.env_remove(unset),
        };
        let run = Run::of(command).await;
        assert!(run.failed().contains(told) && run.out.is_empty(), "{run}");
    }
}
