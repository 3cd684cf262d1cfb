//! `flexorch-s3 pause` and `resume`.

use flexorch_sandbox::secrets_manager::SecretsFault;
use serde_json::json;

use crate::support::operator::{Operator, SECRET};
use crate::support::run::Run;
use crate::support::surroundings::API_KEY;

/// A secret whose text would change if it were parsed and written again.
const ODD: &str = r#"{"z":1.50,"api_key":"dfx_test_012345678\u0039","connector_id":12345678901234567890123,"bucket":"my-documents","note":{ "a" : [1,  2]}}"#;

async fn pause(operator: &Operator, more: &[&str]) -> Run {
    operator.run(&[&["pause", "--secret", SECRET], more].concat()).await
}

async fn resume(operator: &Operator) -> Run {
    operator.run(&["resume", "--secret", SECRET]).await
}

/// The secret's text, and how many versions it has had.
fn current(operator: &Operator) -> (String, usize) {
    let versions = operator.secrets.versions(SECRET);
    (versions.last().unwrap().clone(), versions.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_leaves_every_other_field_byte_for_byte_and_resuming_leaves_no_trace() {
    let operator = Operator::start().await;
    for (reason, value) in [(&[][..], "true"), (&["--reason", " until \"Monday\" "], r#""until \"Monday\"""#)] {
        operator.secrets.put(SECRET, ODD);
        pause(&operator, reason)
            .await
            .says(0, &["paused", "SECRET_CACHE_TTL_SECONDS", "never expire", "resume --secret"]);
        assert_eq!(current(&operator).0, format!(r#"{},"paused":{value}}}"#, ODD.strip_suffix('}').unwrap()));
        resume(&operator).await.says(0, &["resumed", "other fields unchanged"]);
        assert_eq!(current(&operator).0, ODD);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_if_nothing_changes_and_a_new_reason_replaces_the_old() {
    let operator = Operator::start().await;
    let (_, before) = current(&operator);
    resume(&operator).await.says(0, &["is not paused", "nothing changed"]);
    pause(&operator, &["--reason", "credits"]).await.says(0, &["paused: credits"]);
    pause(&operator, &[]).await.says(0, &["is paused already: credits", "nothing changed"]);
    pause(&operator, &["--reason", "credits"]).await.says(0, &["is paused already: credits"]);
    assert_eq!(current(&operator).1, before + 1);
    pause(&operator, &["--reason", "maintenance"])
        .await
        .says(0, &["paused: maintenance", "it was paused before: credits"]);
    let again = pause(&operator, &["--json"]).await.json();
    assert_eq!(
        (&again["paused"], &again["reason"], &again["changed"]),
        (&json!(true), &json!("maintenance"), &json!(false))
    );
    assert_eq!(again["secret"]["version_id"], json!(null));
    operator.secrets.put(SECRET, json!({"api_key": API_KEY, "paused": false}).to_string());
    resume(&operator).await.says(0, &["is not paused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_defers_a_paused_connectors_objects_and_forwards_them_after_the_pause() {
    let operator = Operator::start().await;
    operator.secrets.put(SECRET, json!({"api_key": API_KEY, "connector_id": 42, "bucket": "my-documents"}).to_string());
    let event = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"my-documents"},"object":{"key":"a.pdf"}}}]}"#;
    let invoke = async || {
        let mut command = operator.command(&["invoke", "-"]);
        command.env("CONNECTOR_SECRET_IDS", SECRET);
        Run::fed(command, event).await.out
    };
    pause(&operator, &["--reason", "maintenance until 14:00"]).await.ok();
    let shown = invoke().await;
    assert!(shown.contains("deferred") && shown.contains("maintenance until 14:00"), "{shown}");
    resume(&operator).await.ok();
    let shown = invoke().await;
    assert!(shown.contains("forwarded") && shown.contains("a.pdf"), "{shown}");
    assert_eq!(operator.flexorch.submitted_keys(), ["a.pdf"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_named_and_replaced_or_removed() {
    let operator = Operator::start().await;
    let malformed = json!({"api_key": API_KEY, "paused": ["hidden value"]}).to_string();
    for (run, value) in [(0, json!(true)), (1, json!(null))] {
        operator.secrets.put(SECRET, malformed.as_str());
        let run = if run == 0 { pause(&operator, &[]).await } else { resume(&operator).await };
        run.says(0, &["`paused` must be `true`, `false` or a string"]);
        assert!(!run.shown().contains("hidden value"), "{run}");
        assert_eq!(operator.secret()["paused"], value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_and_denied_permissions_are_named_and_change_nothing() {
    let operator = Operator::start().await;
    let before = current(&operator);
    for reason in ["", "  "] {
        pause(&operator, &["--reason", reason]).await.says(2, &["a reason must not be empty"]);
    }
    operator
        .run(&["pause", "--secret", "flexorch/nothing-here"])
        .await
        .says(1, &["no secret \"flexorch/nothing-here\""]);
    operator.secrets.put("empty", "");
    operator.run(&["pause", "--secret", "empty"]).await.says(1, &["is empty", "nothing was changed"]);
    operator.secrets.set_operation_fault("PutSecretValue", Some(SecretsFault::AccessDenied));
    pause(&operator, &[]).await.says(1, &["needs secretsmanager:PutSecretValue on arn:aws:secretsmanager:"]);
    assert_eq!(current(&operator), before);
}
