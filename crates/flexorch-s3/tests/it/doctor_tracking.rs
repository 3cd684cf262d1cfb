//! `flexorch-s3 doctor` and tracking.

use flexorch_sandbox::dynamodb::DynamoFault;
use serde_json::json;

use crate::support::account::{STACK_TAG, queue_arn};
use crate::support::clinic::{Clinic, Diagnosis, FUNCTION, post};
use crate::support::records::TABLE;

/// The outcomes function.
const OUTCOMES: &str = "outcomes";
/// Its URL.
const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";
/// The checks of the tracking, in their order.
const CHECKS: [&str; 12] = [
    "tracking",
    "receipts queue",
    "ingester's role",
    "outcomes function",
    "receipts' batches",
    "outcomes' settings",
    "outcomes' role",
    "records table",
    "sweep",
    "receipts waiting",
    "dead receipts",
    "webhook",
];

/// A function with tracking, in which all is well.
pub async fn tracked() -> Clinic {
    let clinic = Clinic::open("docs").await;
    for queue in ["receipts", "receipts-dlq"] {
        clinic.queues.create(queue);
    }
    clinic.queues.set_redrive("receipts", "receipts-dlq", 48);
    clinic.account.set_variable(FUNCTION, "RECEIPTS_QUEUE_URL", &clinic.queues.url("receipts"));
    clinic.account.create_function(
        OUTCOMES,
        &[
            ("RECORDS_TABLE", TABLE),
            ("CONNECTOR_SECRET_IDS", "docs"),
            ("FLEXORCH_BASE_URL", &clinic.address),
            ("WEBHOOK_SECRET_ID", "webhook"),
        ],
    );
    clinic.account.map(OUTCOMES, "receipts");
    clinic.account.set_url(OUTCOMES, URL);
    clinic.account.schedule("every-15-minutes", OUTCOMES, true);
    clinic.dynamodb.create_records_table(TABLE).unwrap();
    let webhook = json!({"url": URL, "events": ["job.completed", "job.failed"], "secret": "signing-secret-0123"});
    let made = post(&format!("{}/webhooks", clinic.address), &webhook).await;
    let id = [&made["data"]["id"], &made["id"]].into_iter().find(|id| !id.is_null()).unwrap();
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    clinic.secrets.put("webhook", json!({"signing_secret": "signing-secret-0123", "webhooks": [id]}).to_string());
    clinic
}

pub async fn doctor(clinic: &Clinic, more: &[&str]) -> Diagnosis {
    clinic.doctor(&[&["--function", FUNCTION], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_the_tracking_is_checked_and_without_it_only_that_it_is_off() {
    let clinic = tracked().await;
    let seen = doctor(&clinic, &[]).await;
    let well = seen.names("well");
    assert_eq!(well[well.len() - CHECKS.len()..], CHECKS, "{:#}", seen.report);
    let calls: Vec<_> = clinic.dynamodb.calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(calls, ["DescribeTable", "DescribeTimeToLive"], "doctor only reads");
    assert_eq!(seen.run.status, Some(0));
    let plain = Clinic::open("docs").await;
    let seen = doctor(&plain, &[]).await;
    assert!(seen.text("tracking").starts_with("off: "), "{:#}", seen.report);
    assert!(seen.report["checks"].as_array().unwrap().iter().all(|check| check["check"] != "records table"));
    assert_eq!(seen.run.status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_link_is_named_with_the_command_that_is_next() {
    let clinic = tracked().await;
    let (account, dynamodb) = (&clinic.account, &clinic.dynamodb);
    account.unschedule();
    doctor(&clinic, &[]).await.fails("sweep", "nothing starts it", "aws scheduler list-schedules");
    account.schedule("every-15-minutes", OUTCOMES, false);
    doctor(&clinic, &[]).await.fails("sweep", "is disabled", "--name every-15-minutes");
    account.schedule("every-15-minutes", OUTCOMES, true);
    dynamodb.delete_index(TABLE, "by-state");
    doctor(&clinic, &[]).await.fails(
        "records table",
        "no index by-state",
        "aws dynamodb describe-table --table-name records",
    );
    dynamodb.delete_table(TABLE);
    doctor(&clinic, &[]).await.fails("records table", "there is no table records", "aws dynamodb list-tables");
    dynamodb.create_records_table(TABLE).unwrap();
    dynamodb.set_time_to_live(TABLE, false);
    let seen = doctor(&clinic, &[]).await;
    assert_eq!(seen.check("records table")["status"], "warning");
    assert!(seen.text("records table").contains("update-time-to-live --table-name records"), "{:#}", seen.report);
    dynamodb.set_time_to_live(TABLE, true);
    account.set_variable(OUTCOMES, "RECORD_DAYS", "0");
    doctor(&clinic, &[]).await.fails("outcomes' settings", "RECORD_DAYS", ".Variables.RECORD_DAYS");
    account.set_variable(OUTCOMES, "RECORD_DAYS", "90");
    account.set_variable(OUTCOMES, "CONNECTOR_SECRET_IDS", "other");
    doctor(&clinic, &[]).await.fails("outcomes' settings", "do not name this secret", "other,arn:aws:secretsmanager:");
    account.set_variable(OUTCOMES, "CONNECTOR_SECRET_IDS", "docs");
    clinic.queues.send("receipts-dlq", "a receipt", &[]);
    doctor(&clinic, &[]).await.fails("dead receipts", "1 receipt in", "aws sqs start-message-move-task");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_sends_its_own_event_starts_no_sweep() {
    let clinic = tracked().await;
    for input in [None, Some("{}"), Some(r#"{"sweep": null}"#)] {
        clinic.account.schedule_with("every-15-minutes", OUTCOMES, true, input);
        let seen = doctor(&clinic, &[]).await;
        seen.fails(
            "sweep",
            r#"schedule sweep/every-15-minutes does not send {"sweep": {}}"#,
            "aws scheduler update-schedule",
        );
        assert!(seen.text("sweep").contains(r#".Target.Input = ({"sweep": {}} | tojson)"#), "{:#}", seen.report);
    }
    clinic.account.unschedule();
    clinic.account.add_timer("tick", OUTCOMES, None);
    doctor(&clinic, &[]).await.fails("sweep", "rule tick does not send", "aws events put-targets --rule tick");
    clinic.account.unschedule();
    clinic.account.add_timer("tick", OUTCOMES, Some(r#"{"sweep":{}}"#));
    let seen = doctor(&clinic, &[]).await;
    assert_eq!((seen.run.status, seen.text("sweep").trim()), (Some(0), "started by rule tick"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipts_queue_without_a_dead_letter_queue_is_a_warning_with_the_command_that_creates_one() {
    let clinic = tracked().await;
    // A queue that never had one.
    clinic.queues.create("receipts-of-another");
    clinic.account.set_variable(FUNCTION, "RECEIPTS_QUEUE_URL", &clinic.queues.url("receipts-of-another"));
    clinic.account.map(OUTCOMES, "receipts-of-another");
    let seen = doctor(&clinic, &[]).await;
    assert_eq!(seen.names("warning"), ["receipts queue"], "{:#}", seen.report);
    let text = seen.text("receipts queue");
    for words in [
        "has no dead-letter queue",
        "create-queue --queue-name receipts-of-another-dlq && aws sqs set-queue-attributes",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(text.contains(&queue_arn("receipts-of-another-dlq")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_flexorch_cannot_call_is_named_with_the_command_that_opens_it() {
    let clinic = tracked().await;
    clinic.account.close_url(OUTCOMES);
    let open = "aws lambda update-function-url-config --function-name outcomes --auth-type NONE";
    doctor(&clinic, &[]).await.fails("webhook", "AuthType is AWS_IAM", open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_to_a_function_that_refuses_every_delivery_is_a_warning_until_it_is_deleted() {
    let clinic = tracked().await;
    clinic.account.set_variable(OUTCOMES, "WEBHOOK_SECRET_ID", "");
    let seen = doctor(&clinic, &[]).await;
    assert_eq!((seen.names("warning"), seen.run.status), (vec!["webhook"], Some(0)), "{:#}", seen.report);
    let text = seen.text("webhook");
    assert!(text.contains("refuses every delivery with 401") && text.contains("WEBHOOK_SECRET_ID"), "{text}");
    let delete = seen.check("webhook")["command"].as_str().unwrap();
    clinic.follow(&format!("{delete} --yes")).await.says(0, &["deleted"]);
    let seen = doctor(&clinic, &[]).await;
    assert!(seen.text("webhook").starts_with("not used (optional"), "{:#}", seen.report);
    assert_eq!(seen.run.status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_flexorch_does_not_have_or_whose_secret_is_not_stored_is_named() {
    let clinic = tracked().await;
    clinic.secrets.put("webhook", "{}");
    let create = "flexorch-s3 webhook create --function ingest --secret docs";
    let seen = doctor(&clinic, &[]).await;
    seen.fails("webhook", "no signing secret", create);
    clinic.follow(&format!("{} --yes", seen.check("webhook")["command"].as_str().unwrap())).await.ok();
    assert_eq!(doctor(&clinic, &[]).await.run.status, Some(0));
    clinic.secrets.put("webhook", json!({"signing_secret": "another-0123456789", "webhooks": []}).to_string());
    let seen = doctor(&clinic, &[]).await;
    assert_eq!(seen.check("webhook")["status"], "warning", "{:#}", seen.report);
    clinic.account.set_url(OUTCOMES, "https://other.lambda-url.eu-west-1.on.aws/");
    doctor(&clinic, &[]).await.fails("webhook", "FlexOrch has no webhook with the URL", create);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_secret_that_webhook_create_cannot_use_is_first_made_one_that_it_can() {
    let clinic = tracked().await;
    let create = "flexorch-s3 webhook create --function ingest --secret docs";
    for (junk, why) in
        [("not json", "it is not a JSON object"), (r#"{"signing_secret": 1}"#, "`signing_secret` is not text")]
    {
        clinic.secrets.put("webhook", junk);
        let seen = doctor(&clinic, &[]).await;
        seen.fails("webhook", why, create);
        let replace = "put-secret-value --secret-id webhook --secret-string '{}' && ";
        assert!(seen.text("webhook").contains(replace), "{:#}", seen.report);
    }
    clinic.secrets.delete("webhook");
    let seen = doctor(&clinic, &[]).await;
    seen.fails(
        "webhook",
        "there is no such secret",
        "create-secret --name webhook --secret-string '{}' && flexorch-s3",
    );
    let text = seen.text("webhook");
    assert!(text.contains("WebhookSecretArn") && !text.contains("ConnectorSecretArns"), "{text}");
    // A new secret has another ARN.
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ingest/webhook-AbCdEf";
    clinic.account.set_variable(OUTCOMES, "WEBHOOK_SECRET_ID", arn);
    let seen = doctor(&clinic, &[]).await;
    seen.fails("webhook", "there is no such secret", "create-secret --name ingest/webhook ");
    let set = format!(".Variables.WEBHOOK_SECRET_ID = \"{}\"", arn.trim_end_matches("-AbCdEf"));
    assert!(seen.text("webhook").contains(&set), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_receipts_queue_is_never_fixed_by_switching_tracking_off() {
    let clinic = tracked().await;
    let fifo = format!("{}.fifo", clinic.queues.url("receipts"));
    clinic.account.set_variable(FUNCTION, "RECEIPTS_QUEUE_URL", &fifo);
    let seen = doctor(&clinic, &[]).await;
    assert!(seen.names("failed").contains(&"settings"), "{:#}", seen.report);
    assert_eq!(seen.check("settings")["command"], "aws sqs list-queues");
    clinic.account.set_tag(FUNCTION, STACK_TAG, "documents");
    let seen = doctor(&clinic, &[]).await;
    let text = seen.text("settings");
    for words in
        ["output ReceiptsQueueUrl", "switch tracking off", "aws cloudformation describe-stacks --stack-name documents"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("update-function-configuration"), "{text}");
    clinic.account.set_variable(FUNCTION, "RECEIPTS_QUEUE_URL", "receipts");
    let seen = doctor(&clinic, &[]).await;
    assert!(seen.text("tracking").contains("output ReceiptsQueueUrl"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_neither_good_nor_bad() {
    let clinic = tracked().await;
    for operation in ["DescribeTable", "DescribeTimeToLive"] {
        clinic.dynamodb.set_operation_fault(operation, Some(DynamoFault::AccessDenied));
        doctor(&clinic, &[]).await.could_not_check(&["records table"], &format!("dynamodb:{operation}"));
        clinic.dynamodb.set_operation_fault(operation, None);
    }
    for (action, check) in [
        ("scheduler:ListSchedules", "sweep"),
        ("scheduler:GetSchedule", "sweep"),
        ("lambda:GetFunctionUrlConfig", "webhook"),
    ] {
        clinic.account.deny(action);
        doctor(&clinic, &[]).await.could_not_check(&[check], action);
        clinic.account.allow_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_lacks_a_permission_is_named_with_it_and_without_iam_it_is_not_known() {
    let clinic = tracked().await;
    let account = &clinic.account;
    account.forbid(FUNCTION, "sqs:SendMessage", ":receipts");
    doctor(&clinic, &[]).await.fails("ingester's role", "sqs:SendMessage on", "--action-names sqs:SendMessage");
    account.allow_all();
    for (action, resource) in [
        ("sqs:DeleteMessage", ":receipts"),
        ("dynamodb:PutItem", ":table/records"),
        ("dynamodb:Query", ":table/records/index/by-state"),
        ("events:PutEvents", ":event-bus/default"),
        ("secretsmanager:GetSecretValue", ""),
    ] {
        account.forbid(OUTCOMES, action, resource);
        let show = "aws iam simulate-principal-policy --policy-source-arn arn:aws:iam::123456789012:role/outcomes";
        doctor(&clinic, &[]).await.fails("outcomes' role", &format!("does not allow {action} on arn:aws:"), show);
        account.allow_all();
    }
    // It queries the indexes only.
    account.forbid(OUTCOMES, "dynamodb:Query", ":table/records");
    assert_eq!(doctor(&clinic, &[]).await.check("outcomes' role")["status"], "well");
    account.allow_all();
    account.deny("iam:SimulatePrincipalPolicy");
    let seen = doctor(&clinic, &[]).await;
    assert_eq!((seen.names("warning"), seen.run.status), (vec!["ingester's role", "outcomes' role"], Some(0)));
    for check in seen.names("warning") {
        let text = seen.text(check);
        assert!(
            text.starts_with(
                "not known, because IAM did not simulate it: iam:SimulatePrincipalPolicy on arn:aws:iam::"
            ),
            "{text}"
        );
        assert!(text.contains("your AWS identity needs iam:SimulatePrincipalPolicy"), "{text}");
    }
}
