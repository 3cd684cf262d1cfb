//! `flexorch-s3 doctor`, the built program, against FlexOrch's sandbox and local AWS endpoints. The links that need Lambda are in
//! the end-to-end tests.

use std::process::Output;

use assert_cmd::Command;
use flexorch_s3_ingester::cli::sandbox::aws_fault::AwsFault;
use flexorch_s3_ingester::cli::sandbox::buckets::Buckets;
use flexorch_s3_ingester::cli::sandbox::queues::Queues;
use flexorch_s3_ingester::cli::sandbox::secrets_manager::{SecretsFault, SecretsManager};
use flexorch_s3_ingester::cli::sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

const API_KEY: &str = "dfx_doctor_0123456789";
const AWS_SECRET: &str = "aws-secret/never+printed";
const REGION: &str = "eu-west-1";

/// The services, and a secret `docs` whose connector was made by the command line.
struct Clinic {
    flexorch: Sandbox,
    secrets: SecretsManager,
    queues: Queues,
    buckets: Buckets,
    address: String,
}

/// What the command printed.
struct Diagnosis {
    status: Option<i32>,
    report: Value,
    output: Output,
}

impl Clinic {
    /// Everything is well, for a bucket of this name.
    async fn open(bucket: &str) -> Self {
        let flexorch = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let clinic = Self {
            address: flexorch.base_url(),
            flexorch,
            secrets: SecretsManager::start(0).await.unwrap(),
            queues: Queues::start(0).await.unwrap(),
            buckets: Buckets::start(0).await.unwrap(),
        };
        clinic.buckets.create(bucket, REGION);
        clinic.connect(bucket).await;
        clinic
    }

    /// Makes the connector over FlexOrch's API, as one that was well once, and writes it into the secret.
    async fn connect(&self, bucket: &str) {
        let config = json!({"bucket": bucket, "region": REGION, "prefix": "in/", "aws_access_key_id": "AKIAEXAMPLE",
                            "aws_secret_access_key": AWS_SECRET});
        let made = reqwest_post(
            &format!("{}/connectors", self.address),
            &json!({"type": "s3", "name": bucket, "config": config}),
        )
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
        let mut command = Command::cargo_bin("flexorch-s3").unwrap();
        command
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
            .env("AWS_REGION", REGION)
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.endpoint_url())
            .env("AWS_ENDPOINT_URL_S3", self.buckets.endpoint_url())
            .env("AWS_ENDPOINT_URL_SQS", self.queues.endpoint_url())
            // Nobody listens there.
            .env("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
            .env("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")
            .env("FLEXORCH_BASE_URL", &self.address)
            .arg("doctor")
            .args(arguments);
        command
    }

    fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        let arguments = [&["--secret", "docs", "--json", "-vv"], arguments].concat();
        let output = self.command(&arguments).output().unwrap();
        for printed in [&output.stdout, &output.stderr] {
            let printed = String::from_utf8_lossy(printed);
            assert!(!printed.contains(API_KEY) && !printed.contains(AWS_SECRET), "a secret is printed: {printed}");
        }
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Diagnosis { status: output.status.code(), report, output }
    }
}

async fn reqwest_post(url: &str, body: &Value) -> Value {
    let http = flexorch_s3_ingester::aws::http::client(None).unwrap();
    let request = http.post(url).header("X-API-KEY", API_KEY).header("Content-Type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

impl Diagnosis {
    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{:?}", self.output));
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
    }

    fn names(&self, status: &str) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{:?}", self.output));
        checks.iter().filter(|check| check["status"] == status).map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// Exactly this check failed, seeing and advising this.
    fn fails(&self, name: &str, found: &str, command: &str) {
        assert_eq!(self.names("failed"), [name], "{:#}", self.report);
        let check = self.check(name);
        assert!(check["found"].as_str().unwrap().contains(found), "{check:#}");
        assert!(check["command"].as_str().unwrap().contains(command), "{check:#}");
        assert_eq!((self.status, &self.report["well"]), (Some(3), &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_function_both_ends_are_looked_at_and_the_middle_is_said_to_be_left_out() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&[]);
    assert_eq!(seen.status, Some(0), "{:#}", seen.report);
    assert_eq!(seen.report["well"], true);
    assert_eq!(
        seen.names("well"),
        ["secret", "secret's fields", "FlexOrch", "API key", "plan", "connector", "connector test", "bucket"]
    );
    assert_eq!(seen.names("warning"), ["function"]);
    assert!(seen.names("failed").is_empty() && seen.names("skipped").contains(&"dead letters"));
    assert!(seen.check("function")["action"].as_str().unwrap().contains("--function NAME"));
    assert_eq!(seen.check("plan")["found"], "starter: 60 requests a minute, 1 used in this one");
    for check in seen.report["checks"].as_array().unwrap() {
        let fields: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["action", "check", "command", "found", "status"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_marks_and_the_next_command_under_what_is_not_well() {
    let clinic = Clinic::open("docs").await;
    clinic
        .write(&json!({"api_key": API_KEY, "connector_id": 4711, "bucket": "docs", "region": REGION, "prefix": "in/"}));
    let output = clinic.command(&["--secret", "docs", "--region", REGION]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{shown}");
    for line in [
        "✓ secret ",
        "✗ connector           FlexOrch knows no connector 4711 for this API key",
        "flexorch-s3 connector create --secret docs --region eu-west-1",
        "– connector test      there is no such connector",
        "! function ",
        "– settings            no function was named; nor were looked at: function's secret, FlexOrch's address, filters,",
    ] {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    assert!(shown.lines().last().unwrap().starts_with("1 failed, 1 warning"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_absent_empty_incomplete_or_malformed_is_told_apart() {
    let clinic = Clinic::open("docs").await;
    let seen = clinic.doctor(&["--secret", "docs"]);
    // Given twice is a wrong argument.
    assert_eq!(seen.status, Some(2));

    let output = clinic.command(&["--secret", "no-such", "--json"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    let absent = Diagnosis { status: output.status.code(), report, output };
    absent.fails("secret", "there is no secret \"no-such\" in eu-west-1", "aws secretsmanager list-secrets");
    assert!(absent.names("skipped").contains(&"API key") && absent.names("skipped").contains(&"bucket"));

    for (secret, found, command) in [
        ("{}", "still empty", "flexorch-s3 connector create --secret docs"),
        (r#"{"bucket": "docs"}"#, "lacks `api_key` and `connector_id`", "flexorch-s3 connector create --secret docs"),
        (r#"{"api_key": "dfx_doctor_0123456789"}"#, "lacks `connector_id`", "flexorch-s3 connector create"),
        (r#"{"api_key": ["dfx_doctor_0123456789"], "connector_id": 1}"#, "`api_key`", "map_values(type)"),
        ("dfx_doctor_0123456789", "no JSON object", "put-secret-value --secret-id docs --secret-string '{}'"),
    ] {
        clinic.secrets.put("docs", secret);
        clinic.doctor(&[]).fails("secret's fields", found, command);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_needs_or_what_is_missing_but_not_needed_is_a_warning() {
    let clinic = Clinic::open("docs").await;
    let whole = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION, "prefix": "in/"});
    let mut left_over = whole.clone();
    left_over["aws_secret_access_key"] = AWS_SECRET.into();
    clinic.write(&left_over);
    let seen = clinic.doctor(&[]);
    assert_eq!(
        (seen.status, seen.names("warning")),
        (Some(0), vec!["secret's fields", "function"]),
        "{:#}",
        seen.report
    );
    assert!(seen.check("secret's fields")["command"].as_str().unwrap().contains("del(.aws_secret_access_key)"));

    let mut no_bucket = whole;
    no_bucket.as_object_mut().unwrap().remove("bucket");
    clinic.write(&no_bucket);
    let seen = clinic.doctor(&[]);
    assert_eq!(
        (seen.status, seen.names("warning")),
        (Some(0), vec!["secret's fields", "function"]),
        "{:#}",
        seen.report
    );
    assert!(seen.names("skipped").contains(&"bucket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn flexorch_away_a_revoked_key_and_a_test_that_fails_are_told_apart() {
    let mut clinic = Clinic::open("docs").await;
    clinic.flexorch.revoke_key(API_KEY);
    clinic.doctor(&[]).fails("API key", "401", ".api_key = env.KEY");
    clinic.flexorch.restore_key(API_KEY);

    let denied = Clinic::open("docs-denied").await;
    denied.doctor(&[]).fails("connector test", "Access denied", "flexorch-s3 connector test --secret docs");

    clinic.address = "http://127.0.0.1:9/v1".into();
    let seen = clinic.doctor(&[]);
    seen.fails("FlexOrch", "GET /usage/rate-limits", "curl -sS -m 10");
    assert!(seen.names("well").contains(&"bucket"), "the bucket is looked at all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_says_other_than_flexorch_is_told_with_both_ways_out() {
    let clinic = Clinic::open("docs").await;
    clinic.buckets.create("docs", REGION);
    clinic
        .write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION, "prefix": "out/"}));
    let seen = clinic.doctor(&[]);
    seen.fails("connector", r#"prefix "in/", and the secret says "out/""#, r#".prefix = "in/""#);
    assert!(seen.check("connector")["action"].as_str().unwrap().contains("del(.connector_id)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_absent_elsewhere_or_closed_is_told_apart() {
    let clinic = Clinic::open("docs").await;
    clinic.buckets.create("docs", "eu-central-1");
    clinic.doctor(&[]).fails(
        "bucket",
        "docs is in eu-central-1; the secret says eu-west-1",
        r#".region = "eu-central-1""#,
    );
    clinic.buckets.create("docs", REGION);
    clinic.buckets.set_fault(Some(AwsFault::AccessDenied));
    let seen = clinic.doctor(&[]);
    seen.fails("bucket", "could not look: s3:ListBucket on arn:aws:s3:::docs", "aws sts get-caller-identity");
    assert!(seen.check("bucket")["action"].as_str().unwrap().contains("needs s3:ListBucket on arn:aws:s3:::docs"));
    clinic.buckets.set_fault(None);
    clinic.write(&json!({"api_key": API_KEY, "connector_id": 42, "bucket": "gone", "region": REGION, "prefix": "in/"}));
    let seen = clinic.doctor(&[]);
    assert_eq!(seen.names("failed"), ["connector", "bucket"], "{:#}", seen.report);
    assert!(seen.check("bucket")["found"].as_str().unwrap().contains("no bucket \"gone\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_is_named_and_lambda_out_of_reach_stops_nothing_else() {
    let clinic = Clinic::open("docs").await;
    clinic.secrets.set_fault(Some(SecretsFault::AccessDenied));
    let seen = clinic.doctor(&[]);
    seen.fails("secret", "secretsmanager:GetSecretValue on docs", "aws sts get-caller-identity");
    clinic.secrets.set_fault(None);
    let seen = clinic.doctor(&["--function", "ingester"]);
    seen.fails("function", "lambda:GetFunction on ingester", "aws configure list");
    assert!(seen.names("well").contains(&"connector test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_looked_at_the_command_itself_fails() {
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
        let output = command.output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains(told) && output.stdout.is_empty(), "{words}");
    }
}
