//! `flexorch-s3 doctor` while a service does not respond: only what needs it could not be checked.

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::dynamodb::DynamoFault;

use crate::doctor_tracking::{doctor, tracked};
use crate::support::clinic::Diagnosis;

const KEY: [&str; 4] = ["--timeout", "8s", "--key", "in/a.pdf"];

/// Exactly these checks could not be made, and no others were skipped.
#[track_caller]
fn could_not_be_made(seen: &Diagnosis, failed: &[&str], skipped: &[&str]) {
    assert_eq!((&seen.names("failed")[..], &seen.names("skipped")[..]), (failed, skipped), "{:#}", seen.report);
    for check in failed {
        assert!(seen.text(check).starts_with("could not be checked: "), "{:#}", seen.report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dynamodb_the_rest_of_the_tracking_is_checked() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 10, std::time::SystemTime::now());
    clinic.dynamodb.set_fault(Some(DynamoFault::Hang));
    could_not_be_made(&doctor(&clinic, &KEY).await, &["records table", "object's record"], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sqs_what_is_not_a_queue_is_checked() {
    let clinic = tracked().await;
    clinic.buckets.put("docs", "in/a.pdf", 10, std::time::SystemTime::now());
    clinic.queues.set_fault(Some(AwsFault::Hang));
    could_not_be_made(
        &doctor(&clinic, &KEY).await,
        &["permission", "retry queue", "receipts queue"],
        &["dead-letter queue", "waiting", "dead letters", "receipts waiting", "dead receipts", "object's delivery"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_s3_what_is_not_the_bucket_is_checked() {
    let clinic = tracked().await;
    clinic.buckets.set_fault(Some(AwsFault::Hang));
    let skipped = ["permission", "object's scope", "object's notification", "object's delivery"];
    could_not_be_made(&doctor(&clinic, &KEY).await, &["bucket", "notification", "object"], &skipped);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_flexorchs_webhooks_only_they_are_unknown() {
    let clinic = tracked().await;
    clinic.queues.send("retry", "{}", &[]).unwrap();
    clinic.flexorch.faults().add("hang,path=/v1/webhooks".parse().unwrap());
    let seen = doctor(&clinic, &["--timeout", "4s"]).await;
    could_not_be_made(&seen, &["exports", "webhook"], &[]);
    assert!(seen.text("waiting").contains("1 message: 1 visible"), "{:#}", seen.report);
    assert!(seen.text("webhook").contains("doctor --secret docs --function ingest --timeout 5m"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_credits_the_connector_is_tested_and_what_waits_is_counted() {
    let clinic = tracked().await;
    clinic.queues.send("retry", "{}", &[]).unwrap();
    clinic.flexorch.faults().add("hang,path=/v1/usage".parse().unwrap());
    let seen = doctor(&clinic, &["--timeout", "4s"]).await;
    could_not_be_made(&seen, &["credits"], &[]);
    assert!(
        seen.text("waiting").contains("FlexOrch did not say in time whether something blocks them"),
        "{:#}",
        seen.report
    );
}
