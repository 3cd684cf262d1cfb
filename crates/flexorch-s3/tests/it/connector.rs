//! `flexorch-s3 connector …` and what every command has in common.

use std::io::Write;

use flexorch_sandbox::secrets_manager::SecretsFault;
use flexorch_sandbox::{Fault, SandboxOptions};
use serde_json::json;

use crate::support::operator::{Operator, SECRET, fresh_secret};
use crate::support::run::{PROGRAM, Run};
use crate::support::surroundings::{API_KEY, CONNECTORS_SECRET_KEY};

const CREATE: [&str; 4] = ["connector", "create", "--secret", SECRET];

#[tokio::test(flavor = "multi_thread")]
async fn create_creates_tests_and_writes_the_id_without_changing_other_fields() {
    let operator = Operator::start().await;
    let odd = r#"{"note": {"a" : 1.50}, "api_key":"dfx_test_0123456789","bucket":"my-documents","region":"eu-west-1","prefix":"invoices/","aws_access_key_id":"AKIAIOSFODNN7EXAMPLE","aws_secret_access_key":"wJalrXUtnFEMI/K7MDENG+hidden"}"#;
    operator.secrets.put(SECRET, odd);
    let done = operator.run(&CREATE).await;
    done.says(0, &["connector 42", "created", "FlexOrch can read s3://my-documents/invoices/", "connector_id written"]);
    let versions = operator.secrets.versions(SECRET);
    assert_eq!(versions.len(), 3, "one new version");
    let written = versions.last().unwrap();
    assert!(written.starts_with(r#"{"note":{"a" : 1.50},"api_key":"#), "fields stay as they are: {written}");
    assert!(written.ends_with(r#""connector_id":42}"#), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn create_again_finds_the_connector_and_creates_no_second() {
    let operator = Operator::start().await;
    operator.run(&CREATE).await.says(0, &[]);
    operator.run(&CREATE).await.says(0, &["already exists", "is complete"]);
    // Even where the secret lost the id.
    operator.secrets.put(SECRET, fresh_secret().to_string());
    operator.run(&CREATE).await.says(0, &["already exists", "connector_id written"]);
    assert_eq!(operator.secret()["connector_id"], 42);
    let listed = operator.run(&["connector", "list", "--secret", SECRET, "--json"]).await.json();
    assert_eq!(listed["connectors"].as_array().unwrap().len(), 1);
    assert_eq!(listed["secret_connector_id"], 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_empty_is_filled_from_a_descriptor_and_the_aws_credentials_are_not_kept() {
    let operator = Operator::start().await;
    for (name, fields) in [("empty", fresh_secret()), ("braces", fresh_secret())] {
        if name == "empty" {
            operator.secrets.create_empty(name);
        } else {
            operator.secrets.put(name, "{}");
        }
        let command = operator.command(&["connector", "create", "--secret", name, "--fields-from", "-", "--json"]);
        let done = Run::fed(command, &fields.to_string()).await;
        done.says(0, &[]);
        assert_eq!(done.json()["secret"]["written"], json!(["api_key", "bucket", "region", "prefix", "connector_id"]));
        let text = operator.secrets.versions(name).last().unwrap().clone();
        assert!(
            text.contains(API_KEY) && !text.contains(CONNECTORS_SECRET_KEY),
            "the API key is kept, AWS's secret key is not"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_come_from_an_open_descriptor_too() {
    let operator = Operator::start().await;
    operator.secrets.put(SECRET, "");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(fresh_secret().to_string().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let script = format!("exec {PROGRAM} connector create --secret {SECRET} --fields-from fd:3 3<{path}");
    let mut command = operator.program("bash");
    command.args(["-c", &script]);
    Run::of(command).await.says(0, &["created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_region_is_read_from_s3_if_it_is_missing() {
    let operator = Operator::start().await;
    operator.buckets.create("my-documents", "eu-central-1");
    let mut secret = fresh_secret();
    secret.as_object_mut().unwrap().remove("region");
    operator.secrets.put(SECRET, secret.to_string());
    operator.run(&CREATE).await.says(0, &["in eu-central-1", "region, connector_id written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_lacks_fields_is_named_with_them_without_a_terminal() {
    let operator = Operator::start().await;
    operator.secrets.put(SECRET, json!({"bucket": "b"}).to_string());
    operator.run(&CREATE).await.says(1, &["lacks `api_key`", "--fields-from"]);
    operator.secrets.put(SECRET, json!({"api_key": API_KEY, "bucket": "b"}).to_string());
    operator.run(&CREATE).await.says(1, &["lacks `region`"]);
    operator.secrets.put(SECRET, json!({"api_key": API_KEY, "bucket": "b", "region": "eu-west-1"}).to_string());
    operator.run(&CREATE).await.says(1, &["`aws_access_key_id`, `aws_secret_access_key`"]);
    assert_eq!(operator.secrets.versions(SECRET).len(), 4, "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_whose_test_fails_is_deleted_and_the_secret_is_unchanged() {
    let operator = Operator::start().await;
    let mut secret = fresh_secret();
    secret["bucket"] = "documents-denied".into();
    operator.secrets.put(SECRET, secret.to_string());
    operator.run(&CREATE).await.says(1, &["s3:ListBucket", "the new connector was deleted", "documents-denied"]);
    assert_eq!(operator.secret(), secret);
    let listed = operator.run(&["connector", "list", "--secret", SECRET]).await;
    listed.says(0, &["FlexOrch has no connector"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_likely_mistake_has_its_own_error_and_changes_nothing() {
    let operator = Operator::start().await;
    let before = operator.secret();

    let mut command = operator.command(&CREATE);
    command.env_remove("AWS_ACCESS_KEY_ID");
    Run::of(command).await.says(1, &["no AWS credentials found", "--profile"]);
    let mut command = operator.command(&CREATE);
    command.env_remove("AWS_REGION");
    Run::of(command).await.says(1, &["no AWS region", "--region"]);
    let missing = ["connector", "create", "--secret", "flexorch/nothing-here", "--region", "us-east-1"];
    operator.run(&missing).await.says(1, &["no secret \"flexorch/nothing-here\" in us-east-1", "--region"]);

    operator.secrets.set_operation_fault("GetSecretValue", Some(SecretsFault::AccessDenied));
    operator.run(&CREATE).await.says(1, &["needs secretsmanager:GetSecretValue on flexorch/invoices"]);
    operator.secrets.set_operation_fault("GetSecretValue", None);

    let mut command = operator.command(&CREATE);
    command.env("FLEXORCH_BASE_URL", "http://127.0.0.1:1/v1");
    Run::of(command).await.says(1, &["GET /connectors", "FLEXORCH_BASE_URL"]);
    let mut command = operator.command(&CREATE);
    command.env("FLEXORCH_BASE_URL", "http://example.com/v1");
    Run::of(command).await.says(1, &["https"]);
    let mut command = operator.command(&CREATE);
    command.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1");
    Run::of(command).await.says(1, &["secretsmanager cannot be reached", "--endpoint-url"]);

    operator.flexorch.revoke_key(API_KEY);
    operator.run(&CREATE).await.says(1, &["401", "write a valid API key into the secret"]);
    assert!(operator.flexorch.restore_key(API_KEY));

    assert_eq!(operator.secret(), before);
    let listed = operator.run(&["connector", "list", "--secret", SECRET]).await;
    listed.says(0, &["FlexOrch has no connector"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_cannot_be_written_is_reported_and_found_by_the_next_run() {
    let operator = Operator::start().await;
    operator.secrets.set_operation_fault("PutSecretValue", Some(SecretsFault::AccessDenied));
    let told =
        ["connector 42 exists", "run the command again", "secretsmanager:PutSecretValue on arn:aws:secretsmanager:"];
    operator.run(&CREATE).await.says(1, &told);
    operator.secrets.set_operation_fault("PutSecretValue", None);
    operator.run(&CREATE).await.says(0, &["already exists", "connector_id written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_reads_something_else_is_not_taken_for_the_secrets() {
    let operator = Operator::start().await;
    operator.run(&CREATE).await.says(0, &[]);
    let mut secret = operator.secret();
    secret["prefix"] = "scans/".into();
    operator.secrets.put(SECRET, secret.to_string());
    operator
        .run(&CREATE)
        .await
        .says(1, &["connector 42", "s3://my-documents/invoices/", "s3://my-documents/scans/", "nothing was changed"]);
    // Another prefix is another connector.
    secret.as_object_mut().unwrap().remove("connector_id");
    operator.secrets.put(SECRET, secret.to_string());
    operator.run(&CREATE).await.says(0, &["created"]);
    assert_ne!(operator.secret()["connector_id"], 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn show_and_test_report_on_the_secrets_connector_and_on_others() {
    let operator = Operator::start().await;
    operator.run(&["connector", "show", "--secret", SECRET]).await.says(1, &["names no connector", "connector create"]);
    operator.run(&CREATE).await.says(0, &[]);
    operator
        .run(&["connector", "show", "--secret", SECRET])
        .await
        .says(0, &["s3://my-documents/invoices/ in eu-west-1", "active"]);
    let shown = operator.run(&["connector", "show", "--secret", SECRET, "--json"]).await.json();
    assert_eq!((&shown["connector"]["id"], &shown["connector"]["bucket"]), (&json!(42), &json!("my-documents")));
    let tested = operator.run(&["connector", "test", "--secret", SECRET, "--json"]).await;
    tested.says(0, &[]);
    assert_eq!(tested.json()["test"]["success"], true);
    operator
        .run(&["connector", "test", "--secret", SECRET, "4711"])
        .await
        .says(1, &["no connector 4711", "connector list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_asks_first_and_a_deleted_connector_can_be_created_again() {
    let operator = Operator::start().await;
    operator.run(&CREATE).await.says(0, &[]);
    let delete = ["connector", "delete", "--secret", SECRET];
    operator.run(&delete).await.says(1, &["Delete connector 42", "--yes"]);
    operator.run(&["connector", "show", "--secret", SECRET]).await.says(0, &[]);
    operator.run(&[&delete[..], &["--yes"]].concat()).await.says(0, &["connector 42 deleted", "connector create"]);
    operator.run(&["connector", "show", "--secret", SECRET]).await.says(1, &["no connector 42"]);
    operator.run(&[&delete[..], &["4711", "--yes"]].concat()).await.says(1, &["no connector 4711"]);
    operator.run(&CREATE).await.says(0, &["created", "connector_id written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out_as_flexorch_says() {
    let operator = Operator::start().await;
    for fault in ["status=429,code=RATE_LIMIT_EXCEEDED,retry-after=1,times=1", "status=503,times=1,method=GET"] {
        operator.flexorch.faults().add(fault.parse().unwrap());
    }
    operator.run(&CREATE).await.says(0, &["created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_creates_no_second_connector() {
    let operator = Operator::start().await;
    operator.flexorch.faults().add("reset,processed,times=1,method=POST,path=/v1/connectors".parse().unwrap());
    operator.run(&CREATE).await.says(1, &["not known", "run the command again"]);
    operator.run(&CREATE).await.says(0, &["already exists"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verbosity_prints_a_secret() {
    let operator = Operator::start().await;
    // FlexOrch's own words may repeat what it was sent; `Run` looks for both secrets in all output.
    let fault = format!(
        "status=422,code=VALIDATION_ERROR,message=bad {},method=POST,path=/v1/connectors,times=1",
        CONNECTORS_SECRET_KEY
    );
    operator.flexorch.faults().add(fault.parse().unwrap());
    operator.run(&[&CREATE[..], &["-vvv"]].concat()).await.says(1, &["[redacted]"]);
    let fault = format!("status=403,code=FORBIDDEN,message=key {} is odd,times=1", API_KEY);
    operator.flexorch.faults().add(fault.parse().unwrap());
    operator.run(&[&CREATE[..], &["-vvv"]].concat()).await.says(1, &["[redacted]"]);
    operator.run(&[&CREATE[..], &["-vvv"]].concat()).await.says(0, &["created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_created_listed_run_and_deleted() {
    let operator = Operator::start().await;
    operator.run(&CREATE).await.says(0, &[]);
    let schedule = |rest: &[&'static str]| [&["schedule"], rest, &["--secret", SECRET]].concat();
    operator.run(&schedule(&["list"])).await.says(0, &["has no schedule"]);
    let made = operator.run(&schedule(&["create", "--cron", "0 2 * * *", "--prefix", "invoices/old/", "--json"])).await;
    made.says(0, &[]);
    let id = made.json()["schedule"]["id"].to_string();
    operator.run(&schedule(&["list"])).await.says(0, &["0 2 * * *", "s3://my-documents/invoices/old/"]);
    operator.run(&["schedule", "logs", &id, "--secret", SECRET]).await.says(0, &["has not run yet"]);
    operator.run(&["schedule", "trigger", &id, "--secret", SECRET]).await.says(0, &["started"]);
    operator.run(&["schedule", "logs", &id, "--secret", SECRET]).await.says(0, &["completed"]);
    operator.run(&["schedule", "delete", &id, "--secret", SECRET]).await.says(1, &["Delete schedule", "--yes"]);
    operator.run(&["schedule", "delete", &id, "--secret", SECRET, "--yes"]).await.says(0, &["deleted"]);
    operator.run(&schedule(&["list"])).await.says(0, &["has no schedule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_the_plan_does_not_allow_is_explained() {
    let trial = Operator::with(SandboxOptions { plan: "trial".parse().unwrap(), ..SandboxOptions::default() }).await;
    let starter = Operator::start().await;
    for (operator, code) in [(&trial, "403"), (&starter, "429")] {
        operator.run(&CREATE).await.says(0, &[]);
        let hourly = ["schedule", "create", "--cron", "0 * * * *", "--secret", SECRET];
        operator
            .run(&hourly)
            .await
            .says(1, &["the plan does not allow this schedule", "one run a day on Starter", code]);
        operator
            .run(&["schedule", "trigger", "7", "--secret", SECRET])
            .await
            .says(1, &["no schedule 7", "schedule list"]);
        operator.run(&["schedule", "create", "--cron", "daily", "--secret", SECRET]).await.says(2, &["five"]);
        let wrong = ["schedule", "create", "--cron", "0 25 * * *", "--secret", SECRET];
        operator.run(&wrong).await.says(2, &["\"25\" is not a valid hour: expected 0-23"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_short_interval_is_asked_for_once_and_a_used_up_minute_is_waited_out() {
    let operator = Operator::start().await;
    operator.run(&CREATE).await.says(0, &[]);
    let create = ["schedule", "create", "--cron", "0 2 * * *", "--secret", SECRET];
    let refusal = |fault: &str| fault.parse::<Fault>().unwrap();
    operator
        .flexorch
        .faults()
        .add(refusal("status=429,code=RATE_LIMIT_EXCEEDED,message=24 hours,times=1,path=*schedules"));
    let run = operator.run(&create).await;
    run.says(1, &["the plan does not allow this schedule", "one run a day on Starter", "429", "24 hours"]);
    assert!(!run.err.contains("retry in a minute"), "{run}");
    operator
        .flexorch
        .faults()
        .add(refusal("status=429,code=RATE_LIMIT_EXCEEDED,retry-after=1,times=1,path=*schedules"));
    operator.run(&create).await.says(0, &["schedule 1 created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn suggested_commands_have_the_given_options_and_quoted_names() {
    let operator = Operator::start().await;
    let odd = "flexorch/in voices";
    operator.secrets.put(odd, r#"{"connector_id": 42}"#);
    let url = operator.flexorch.base_url();
    let options = ["--secret", odd, "--region", "eu-west-1", "--flexorch-url", &url];
    let suffix = format!("--secret '{odd}' --region eu-west-1 --flexorch-url {url}`");
    let run = operator.run(&[&["connector", "test"], &options[..]].concat()).await;
    run.says(1, &[&format!("`flexorch-s3 connector create {suffix}")]);
    operator.secrets.put(odd, fresh_secret().to_string());
    let made = operator.run(&[&["connector", "create"], &options[..]].concat()).await;
    made.says(0, &[&format!("next: flexorch-s3 doctor --secret '{odd}' --region eu-west-1 --flexorch-url {url}")]);
    let run = operator.run(&[&["connector", "show", "7"], &options[..]].concat()).await;
    run.says(1, &[&format!("`flexorch-s3 connector list {suffix}")]);
    let run = operator.run(&[&["schedule", "trigger", "7"], &options[..]].concat()).await;
    run.says(1, &[&format!("`flexorch-s3 schedule list {suffix}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_a_wrong_argument_and_is_not_repeated() {
    let operator = Operator::start().await;
    for url in ["http://api.flexorch.com/v1", "https://me:s3cr3t@api.flexorch.com/v1", "flexorch"] {
        let run = operator.run(&["connector", "list", "--secret", SECRET, "--flexorch-url", url]).await;
        run.says(2, &["--flexorch-url", "must be"]);
        assert!(!run.err.contains("s3cr3t"), "{run}");
    }
    let run = operator.run(&["connector", "list", "--secret", SECRET, "--endpoint-url", "nowhere"]).await;
    run.says(2, &["--endpoint-url", "http://127.0.0.1:4566"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_with_a_byte_order_mark_are_read_and_unreadable_ones_are_located() {
    let operator = Operator::start().await;
    operator.secrets.put(SECRET, "{}");
    let fields = operator.folder.path().join("fields.json");
    let create = ["connector", "create", "--secret", SECRET, "--fields-from", "fields.json"];
    std::fs::write(&fields, "{\n  \"api_key\": dfx_hidden\n}").unwrap();
    let run = operator.run(&create).await;
    run.says(1, &["--fields-from fields.json is not a JSON object (line 2, column 14)"]);
    assert!(!run.err.contains("dfx_hidden"), "{run}");
    std::fs::write(&fields, format!("\u{feff}{}", fresh_secret())).unwrap();
    operator.run(&create).await.says(0, &["connector 42", "created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_and_never_with_no_color() {
    let operator = Operator::start().await;
    assert!(!operator.run(&CREATE).await.out.contains('\u{1b}'), "a pipe is no terminal");
    assert!(operator.run(&[&CREATE[..], &["--color", "always"]].concat()).await.out.contains("\u{1b}["));
    let mut command = operator.command(&CREATE);
    command.env("NO_COLOR", "1").env("CLICOLOR", "1");
    assert!(!Run::of(command).await.out.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_printed_for_each_shell() {
    let operator = Operator::start().await;
    for (shell, told) in
        [("bash", "complete -F _flexorch__s3"), ("zsh", "#compdef flexorch-s3"), ("fish", "complete -c flexorch-s3")]
    {
        operator.run(&["completions", shell]).await.says(0, &[told, "connector"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_profile_takes_precedence_over_the_environment() {
    let operator = Operator::start().await;
    let list = |profile: &str| operator.command(&["connector", "list", "--secret", SECRET, "--profile", profile]);
    Run::of(list("no-such-profile")).await.says(1, &["no-such-profile"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let profile = "[profile work]\nregion = eu-central-1\naws_access_key_id = AKIAWORK\naws_secret_access_key = x\n";
    std::fs::write(&file, profile).unwrap();
    let mut command = list("work");
    command.env("AWS_CONFIG_FILE", &file).env_remove("AWS_REGION");
    Run::of(command).await.says(0, &["FlexOrch has no connector"]);
    assert_eq!(operator.secrets.calls().last().unwrap().region, "eu-central-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_id_beyond_64_bits_is_found_written_and_shown_digit_by_digit() {
    const ID: &str = "123456789012345678901234567890";
    let listed = format!(
        r#"{{"data": [{{"id": {ID}, "type": "s3", "config": {{"bucket": "my-documents", "prefix": "invoices/"}}}}]}}"#
    );
    let shown = format!(r#"{{"data": {{"id": {ID}, "config": {{"bucket": "my-documents", "prefix": "invoices/"}}}}}}"#);
    let tested = r#"{"data": {"success": true, "message": "ok"}}"#.to_owned();
    let test_path = format!("/connectors/{ID}/test");
    let faults =
        [("/connectors", listed), (&*format!("/connectors/{ID}"), shown), (&*test_path, tested)].map(|(path, body)| {
            serde_json::from_value::<Fault>(json!({"path": path, "status": 200, "body": body})).unwrap()
        });
    let operator = Operator::with(SandboxOptions { faults: faults.to_vec(), ..SandboxOptions::default() }).await;
    operator.run(&CREATE).await.says(0, &[ID, "already exists", "connector_id written"]);
    let written = operator.secrets.versions(SECRET).pop().unwrap();
    assert!(written.ends_with(&format!(r#""connector_id":{ID}}}"#)), "{written}");
    operator.run(&CREATE).await.says(0, &["is complete"]);
    for arguments in [["connector", "list"], ["connector", "show"], ["connector", "test"]] {
        let command = [&arguments[..], &["--secret", SECRET, "--json"]].concat();
        let out = operator.run(&command).await.out;
        assert!(out.contains(&format!(r#""id": {ID}"#)), "{arguments:?}: {out}");
    }
}
