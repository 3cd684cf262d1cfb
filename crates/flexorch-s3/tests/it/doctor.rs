//! `flexorch-s3 doctor`, the built program, against FlexOrch's sandbox and local AWS endpoints. The links that need Lambda are in
//! the end-to-end tests.

use std::ops::Deref;
use std::process::Command;

use flexorch_sandbox::SandboxOptions;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;
use serde_json::{Value, json};

use crate::support::run::Run;
use crate::support::surroundings::{API_KEY, CONNECTORS_SECRET_KEY, REGION, Surroundings};

/// The services, and a secret `docs` whose connector was made by the command line.
struct Clinic {
    surroundings: Surroundings,
    /// FlexOrch's, as the command is told it.
    address: String,
}

/// What the command printed.
struct Diagnosis {
    run: Run,
    report: Value,
}

impl Deref for Clinic {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.surroundings
    }
}

impl Clinic {
    /// Everything is well, for a bucket of this name.
    async fn open(bucket: &str) -> Self {
        let surroundings = Surroundings::start(SandboxOptions::default()).await;
        let clinic = Self { address: surroundings.flexorch.base_url(), surroundings };
        clinic.buckets.create(bucket, REGION);
        clinic.connect(bucket).await;
        clinic
    }

    /// Makes the connector over FlexOrch's API, as one that was well once, and writes it into the secret.
    async fn connect(&self, bucket: &str) {
        let config = json!({"bucket": bucket, "region": REGION, "prefix": "in/", "aws_access_key_id": "AKIAEXAMPLE",
                            "aws_secret_access_key": CONNECTORS_SECRET_KEY});
        let made =
            post(&format!("{}/connectors", self.address), &json!({"type": "s3", "name": bucket, "config": config}))
                .await;
        let id = made["data"]["id"].as_u64().or_else(|| made["id"].as_u64()).unwrap();
        self.write(
            &json!({"api_key": API_KEY, "connector_id": id, "bucket": bucket, "region": REGION, "prefix": "in/"}),
        );
    }

    fn write(&self, secret: &Value) {
        self.secrets.put("docs", secret.to_string());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.surroundings.command(&["doctor"]);
        command.env("FLEXORCH_BASE_URL", &self.address).args(arguments);
        command
    }

    async fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        Diagnosis::of(self.command(&[&["--secret", "docs", "--json", "-vv"], arguments].concat())).await
    }
}

async fn post(url: &str, body: &Value) -> Value {
    let http = flexorch_s3_ingester::aws::http::client(None).unwrap();
    let request = http.post(url).header("X-API-KEY", API_KEY).header("Content-Type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

impl Diagnosis {
    async fn of(command: Command) -> Self {
        let run = Run::of(command).await;
        Self { report: serde_json::from_str(&run.out).unwrap_or_default(), run }
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{}", self.run));
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
    }

    fn names(&self, status: &str) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{}", self.run));
        checks.iter().filter(|check| check["status"] == status).map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// Exactly this check failed, seeing and advising this.
    fn fails(&self, name: &str, found: &str, command: &str) {
        assert_eq!(self.names("failed"), [name], "{:#}", self.report);
        let check = self.check(name);
        assert!(check["found"].as_str().unwrap().contains(found), "{check:#}");
        assert!(check["command"].as_str().unwrap().contains(command), "{check:#}");
        assert_eq!((self.run.status, &self.report["well"]), (Some(3), &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_function_both_ends_are_checked_and_the_rest_is_reported_as_skipped() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    assert_eq!(seen.report["well"], true);
    assert_eq!(
        seen.names("well"),
        ["secret", "secret's fields", "FlexOrch", "API key", "plan", "connector", "connector test", "bucket"]
    );
    assert_eq!(seen.names("warning"), ["function"]);
    assert!(seen.names("failed").is_empty() && seen.names("skipped").contains(&"dead letters"));
    assert!(seen.check("function")["action"].as_str().unwrap().contains("--function NAME"));
    assert_eq!(seen.check("plan")["found"], "starter: 60 requests per minute, 1 used in the current minute");
    for check in seen.report["checks"].as_array().unwrap() {
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
        "✗ connector           FlexOrch has no connector 4711 for this API key",
        "flexorch-s3 connector create --secret docs --region eu-west-1",
        "– connector test      there is no such connector",
        "! function ",
        "– settings            no function was named; also skipped: function's secret, FlexOrch's address, filters,",
    ] {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    assert!(shown.lines().last().unwrap().starts_with("1 failed, 1 warning"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_an_empty_an_incomplete_and_a_malformed_secret_are_distinguished() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&["--secret", "docs"]).await;
    // Given twice is a wrong argument.
    assert_eq!(seen.run.status, Some(2));

    let absent = Diagnosis::of(clinic.command(&["--secret", "no-such", "--json"])).await;
    absent.fails("secret", "there is no secret \"no-such\" in eu-west-1", "aws secretsmanager list-secrets");
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
    assert_eq!(
        (seen.run.status, seen.names("warning")),
        (Some(0), vec!["secret's fields", "function"]),
        "{:#}",
        seen.report
    );
    assert!(seen.check("secret's fields")["command"].as_str().unwrap().contains("del(.aws_secret_access_key)"));

    let mut no_bucket = whole;
    no_bucket.as_object_mut().unwrap().remove("bucket");
    clinic.write(&no_bucket);
    let seen = clinic.doctor(&[]).await;
    assert_eq!(
        (seen.run.status, seen.names("warning")),
        (Some(0), vec!["secret's fields", "function"]),
        "{:#}",
        seen.report
    );
    assert!(seen.names("skipped").contains(&"bucket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_a_revoked_key_and_a_failed_test_are_distinguished() {
    let mut clinic = Clinic::open("docs").await;
    clinic.flexorch.revoke_key(API_KEY);
    clinic.doctor(&[]).await.fails("API key", "401", ".api_key = env.KEY");
    clinic.flexorch.restore_key(API_KEY);

    let denied = Clinic::open("docs-denied").await;
    denied.doctor(&[]).await.fails("connector test", "Access denied", "flexorch-s3 connector test --secret docs");

    clinic.address = "http://127.0.0.1:9/v1".into();
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
    seen.fails("bucket", "could not check: s3:ListBucket on arn:aws:s3:::docs", "aws sts get-caller-identity");
    assert!(seen.check("bucket")["action"].as_str().unwrap().contains("needs s3:ListBucket on arn:aws:s3:::docs"));
    clinic.buckets.set_fault(None);
    clinic.write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "gone", "region": REGION, "prefix": "in/"}));
    let seen = clinic.doctor(&[]).await;
    assert_eq!(seen.names("failed"), ["connector", "bucket"], "{:#}", seen.report);
    assert!(seen.check("bucket")["found"].as_str().unwrap().contains("no bucket \"gone\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_and_lambda_out_of_reach_stops_nothing_else() {
    let clinic = Clinic::open("docs").await;
    clinic.secrets.set_fault(Some(SecretsFault::AccessDenied));
    let seen = clinic.doctor(&[]).await;
    seen.fails("secret", "secretsmanager:GetSecretValue on docs", "aws sts get-caller-identity");
    clinic.secrets.set_fault(None);
    let seen = clinic.doctor(&["--function", "ingester"]).await;
    seen.fails("function", "lambda:GetFunction on ingester", "aws configure list");
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
