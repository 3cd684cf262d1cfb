//! `flexorch-s3 doctor`, the built program: what is between the bucket and FlexOrch. What could not be read is neither well nor a
//! diagnosis, and nothing is proposed that belongs to someone else.

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;

use serde_json::json;

use crate::support::account::{STACK_TAG, function_arn, queue_arn};
use crate::support::clinic::{Clinic, Diagnosis, FUNCTION};
use crate::support::surroundings::API_KEY;

/// Checks the function `ingest`.
async fn doctor(clinic: &Clinic) -> Diagnosis {
    clinic.doctor(&["--function", FUNCTION]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_list_of_mappings_is_no_diagnosis_of_the_notification() {
    let clinic = Clinic::open("docs").await;
    clinic.account.deny("lambda:ListEventSourceMappings");
    // The bucket notifies the on-failure destination, so that much is known.
    let seen = doctor(&clinic).await;
    seen.could_not_check(&["batches"], "lambda:ListEventSourceMappings");
    assert!(seen.names("well").contains(&"notification"), "{:#}", seen.report);
    assert!(seen.text("pace").contains("lambda:ListEventSourceMappings"), "{:#}", seen.report);

    // Nothing shows whose queue the bucket notifies.
    clinic.account.set_on_failure(FUNCTION, None);
    clinic.account.set_variable(FUNCTION, "DEAD_LETTER_QUEUE_URL", "");
    let seen = doctor(&clinic).await;
    seen.could_not_check(&["notification", "batches"], "lambda:ListEventSourceMappings");
    for skipped in ["permission", "pace", "retry queue", "waiting", "dead letters"] {
        assert_eq!(seen.check(skipped)["status"], "skipped", "{:#}", seen.report);
        assert!(seen.text(skipped).contains("lambda:ListEventSourceMappings"), "{:#}", seen.report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_attributes_of_the_queue_are_no_diagnosis_of_the_notification() {
    let clinic = Clinic::open("docs").await;
    clinic.queues.set_operation_fault("GetQueueAttributes", Some(AwsFault::AccessDenied));
    let seen = doctor(&clinic).await;
    seen.could_not_check(&["permission", "retry queue"], "sqs:GetQueueAttributes");
    assert!(seen.text("notification").contains("retry is notified"), "{:#}", seen.report);
    assert!(seen.text("waiting").contains("sqs:GetQueueAttributes"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_mapping_is_the_only_diagnosis_and_its_command_creates_it_for_the_functions_own_queue() {
    let clinic = Clinic::open("docs").await;
    clinic.account.unmap();
    let create = format!("--event-source-arn {}", queue_arn("retry"));
    doctor(&clinic).await.fails("batches", "the function reads no queue", &create);
    // Its dead-letter queue shows the queue just as well.
    clinic.account.set_on_failure(FUNCTION, None);
    doctor(&clinic).await.fails("batches", "the function reads no queue", &create);
    // And so does its stack.
    clinic.account.set_variable(FUNCTION, "DEAD_LETTER_QUEUE_URL", "");
    clinic.account.set_tag(FUNCTION, STACK_TAG, "documents");
    clinic.queues.set_tag("retry", STACK_TAG, "documents");
    let seen = doctor(&clinic).await;
    seen.fails("batches", "the function reads no queue", &create);
    assert!(seen.text("batches").contains("stack documents"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_teams_queue_is_never_proposed() {
    let clinic = Clinic::open("docs").await;
    clinic.queues.create("orders");
    clinic.notify("docs", &[("Queue", &queue_arn("orders"), "")]);
    clinic.account.unmap();
    // Nothing shows which queue is the function's own.
    clinic.account.set_on_failure(FUNCTION, None);
    clinic.account.set_variable(FUNCTION, "DEAD_LETTER_QUEUE_URL", "");
    let seen = doctor(&clinic).await;
    assert_eq!(seen.names("failed"), ["notification", "batches"], "{:#}", seen.report);
    for check in ["notification", "batches"] {
        let text = seen.text(check);
        assert!(
            !text.contains("create-event-source-mapping") && !text.contains("flexorch-s3 attach --bucket"),
            "{text}"
        );
    }
    assert!(seen.text("notification").contains("orders, which the function does not read"), "{:#}", seen.report);
    // If something shows it, that is proposed.
    clinic.account.set_on_failure(FUNCTION, Some("retry"));
    let seen = doctor(&clinic).await;
    assert!(!seen.text("batches").contains("orders") && seen.text("batches").contains(&queue_arn("retry")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_may_not_be_read_is_not_said_to_be_unnamed_by_the_function() {
    let clinic = Clinic::open("docs").await;
    clinic.secrets.set_fault(Some(SecretsFault::AccessDenied));
    let seen = doctor(&clinic).await;
    seen.could_not_check(&["secret"], "secretsmanager:GetSecretValue");
    assert!(seen.names("well").contains(&"function's secret"), "{:#}", seen.report);
    for skipped in ["API key", "bucket", "filters", "notification", "exports"] {
        assert_eq!(seen.check(skipped)["status"], "skipped", "{:#}", seen.report);
    }
    assert!(seen.text("filters").contains("secretsmanager:GetSecretValue"), "{:#}", seen.report);
    // The function names a secret by an ARN; whose it is cannot be known.
    let other = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf";
    clinic.account.set_variable(FUNCTION, "CONNECTOR_SECRET_IDS", other);
    doctor(&clinic).await.could_not_check(&["secret", "function's secret"], "secretsmanager:GetSecretValue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_notification_of_the_bucket_does_not_hide_the_function() {
    let clinic = Clinic::open("docs").await;
    clinic.account.create_function("thumbnails", &[("SIZE", "64")]);
    let thumbnails = function_arn("thumbnails");
    clinic.notify("docs", &[("CloudFunction", &thumbnails, "images/"), ("Queue", &queue_arn("retry"), "in/")]);
    let seen = clinic.doctor(&[]).await;
    assert_eq!((seen.run.status, seen.report["well"].as_bool()), (Some(0), Some(true)), "{:#}", seen.report);
    assert!(seen.text("function").starts_with("ingest (found by the bucket's notification)"), "{:#}", seen.report);

    // Another team's function alone is not taken for it, and what the bucket does not lead to is found by its secret.
    clinic.notify("docs", &[("CloudFunction", &thumbnails, "")]);
    let seen = clinic.doctor(&[]).await;
    assert!(seen.text("function").starts_with("ingest (found by its CONNECTOR_SECRET_IDS)"), "{:#}", seen.report);
    assert_eq!(seen.names("failed"), ["notification"], "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_function_the_rest_is_not_called_well() {
    let clinic = Clinic::open("docs").await;
    clinic.account.set_variable(FUNCTION, "CONNECTOR_SECRET_IDS", "other");
    let seen = clinic.doctor(&[]).await;
    assert_eq!((seen.run.status, &seen.report["well"]), (Some(3), &false.into()), "{:#}", seen.report);
    assert_eq!(seen.names("failed"), ["function"], "{:#}", seen.report);
    assert!(seen.text("function").contains("could not be checked"), "{:#}", seen.report);
    assert!(seen.text("function").contains("--function NAME"), "{:#}", seen.report);
    assert!(seen.names("skipped").contains(&"dead letters") && seen.names("well").contains(&"bucket"));

    // Two functions name the secret: which is meant is not guessed.
    clinic.account.set_variable(FUNCTION, "CONNECTOR_SECRET_IDS", "docs");
    clinic.account.create_function("ingest-old", &[("CONNECTOR_SECRET_IDS", "docs")]);
    clinic.notify("docs", &[]);
    let seen = clinic.doctor(&[]).await;
    assert!(seen.text("function").contains("several name this secret: ingest, ingest-old"), "{:#}", seen.report);

    clinic.account.deny("lambda:ListFunctions");
    let seen = clinic.doctor(&[]).await;
    assert!(seen.text("function").contains("lambda:ListFunctions"), "{:#}", seen.report);
    assert_eq!(seen.run.status, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_region_than_the_functions_is_named_by_its_arn() {
    let clinic = Clinic::open("docs").await;
    let arn = clinic.secrets.arn("docs", "us-east-1");
    clinic.account.set_variable(FUNCTION, "CONNECTOR_SECRET_IDS", &arn);
    clinic.queues.send("retry", "{}", &[]).unwrap();
    clinic.write(
        &json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": "eu-west-1", "prefix": "in/",
                         "paused": "maintenance"}),
    );
    let function = function_arn(FUNCTION);
    let there = ["--secret", "docs", "--region", "us-east-1", "--function", &function, "--json"];
    let seen = Diagnosis::of(clinic.command(&there)).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    // The secret's own check selects its region, the function's the function's.
    assert_eq!(seen.check("pause")["command"], "flexorch-s3 resume --secret docs --region us-east-1");
    let resume = format!("flexorch-s3 resume --secret {arn} --region eu-west-1");
    assert_eq!(seen.check("waiting")["command"], resume.as_str());
    clinic.follow(&resume).await.ok();
    // A secret that is named by its ARN is changed in its region by the AWS CLI, too, which does not select it.
    clinic.write(
        &json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": "eu-west-1", "prefix": "in/",
                         "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}),
    );
    let seen = Diagnosis::of(clinic.command(&["--secret", &arn, "--function", &function, "--json"])).await;
    let command = seen.text("secret's fields");
    assert_eq!(command.matches("--region us-east-1").count(), 2, "{command}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_rules_are_no_diagnosis_if_eventbridge_may_deliver() {
    let clinic = Clinic::open("docs").await;
    let xml = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
    clinic.buckets.set_notification("docs", "eu-west-1", xml);
    clinic.account.deny("events:ListRuleNamesByTarget");
    let seen = doctor(&clinic).await;
    seen.could_not_check(&["notification"], "events:ListRuleNamesByTarget");
    assert!(seen.text("permission").contains("events:ListRuleNamesByTarget"), "{:#}", seen.report);
    clinic.account.allow_all();
    clinic.account.add_rule("uploads", "docs", "retry");
    let seen = doctor(&clinic).await;
    assert!(seen.text("notification").contains("retry is notified (by the rule uploads)"), "{:#}", seen.report);
    seen.fails("permission", "does not allow arn:aws:events", "sqs set-queue-attributes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_invoked_directly_is_checked_with_its_destination() {
    let clinic = Clinic::open("docs").await;
    clinic.notify("docs", &[("CloudFunction", &function_arn(FUNCTION), "in/")]);
    clinic.account.allow_s3(FUNCTION, "docs");
    let seen = doctor(&clinic).await;
    assert_eq!(seen.run.status, Some(0), "{:#}", seen.report);
    assert!(seen.names("well").contains(&"failed notifications"), "{:#}", seen.report);
    for (action, checks) in [
        ("lambda:GetPolicy", &["permission"][..]),
        ("lambda:GetFunctionEventInvokeConfig", &["failed notifications"]),
        ("lambda:GetFunction", &["function"]),
    ] {
        clinic.account.deny(action);
        doctor(&clinic).await.could_not_check(checks, action);
        clinic.account.allow_all();
    }
    clinic.account.set_on_failure(FUNCTION, None);
    let set = format!("put-function-event-invoke-config --function-name {FUNCTION}");
    doctor(&clinic).await.fails("failed notifications", "lost: the function has no on-failure destination", &set);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_a_stack_owns_function_or_queue_the_remedy_names_its_parameter_and_the_deployment() {
    let clinic = Clinic::open("docs").await;
    clinic.account.set_variable(FUNCTION, "KEY_PREFIXES", "out/");
    assert!(!doctor(&clinic).await.text("filters").contains("sam deploy"));
    clinic.account.set_tag(FUNCTION, STACK_TAG, "documents");
    clinic.queues.set_tag("retry", STACK_TAG, "documents");
    clinic.allow_s3("retry", "other").await;
    let seen = doctor(&clinic).await;
    assert_eq!(seen.names("failed"), ["filters", "permission"], "{:#}", seen.report);
    for (check, parameter) in [("filters", "KeyPrefixes"), ("permission", "BucketName")] {
        let text = seen.text(check);
        assert!(text.contains(parameter) && text.contains("stack documents") && text.contains("sam deploy"), "{text}");
    }
    // Whether a stack owns it is not known either if its tags may not be read.
    clinic.account.deny("lambda:ListTags");
    assert!(doctor(&clinic).await.text("filters").contains("if a stack owns it, also set its parameter KeyPrefixes"));
}
