//! `flexorch-s3 resubmit`.

use std::time::SystemTime;

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;
use flexorch_sandbox::stub::Stub;
use serde_json::{Value, json};

use crate::support::records::{Archive, BUCKET, CONNECTOR, STACK, TABLE, at};
use crate::support::run::{Run, Running};
use crate::support::surroundings::REGION;

/// Puts an object and a failed record of it.
fn fail(archive: &Archive, key: &str, second: u32) {
    archive.buckets.put(BUCKET, key, 10, SystemTime::now());
    archive.put(
        key,
        "failed",
        &at(second),
        &json!({"failure_reason": "cannot be read", "job_id": format!("j-{second}")}),
    );
}

/// The keys of the events in the retry queue, repeats included.
fn queued(archive: &Archive) -> Vec<String> {
    let bodies = archive.queues.messages("retry").into_iter().map(|message| message.body);
    let records =
        bodies.flat_map(|body| serde_json::from_str::<Value>(&body).unwrap()["Records"].as_array().unwrap().clone());
    let mut keys: Vec<_> = records.map(|record| record["s3"]["object"]["key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

fn names(number: u32) -> Vec<String> {
    (0..number).map(|key| format!("k{key:03}")).collect()
}

async fn resubmit(archive: &Archive, more: &[&str]) -> Run {
    archive.run(&[&["resubmit", "--stack", STACK], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_it_takes_and_a_dry_run_sends_nothing() {
    let archive = Archive::open().await;
    names(205).iter().zip(1..).for_each(|(key, second)| fail(&archive, key, second));
    archive.put("done", "processed", &at(9), &json!({}));
    let run = resubmit(&archive, &["--dry-run"]).await;
    run.says(
        0,
        &[
            "205 documents selected",
            "cannot be read  205",
            "messages   21 to http",
            "requests   about 3, at least 3s at the plan's 60 requests per minute",
            "credits    flexorch/invoices: ",
            "current version",
            "dry run, nothing was sent",
        ],
    );
    let plan = resubmit(&archive, &["--dry-run", "--json"]).await.json();
    assert_eq!(
        (&plan["state"], &plan["plan"]["documents"], &plan["done"]["sent"]),
        (&json!("dry-run"), &json!(205), &json!(0))
    );
    resubmit(&archive, &[]).await.says(1, &["Submit 205 documents again", "Cannot ask without a terminal", "--yes"]);
    assert_eq!(queued(&archive), [""; 0]);
    resubmit(&archive, &["--key", "done", "--yes"]).await.says(0, &["0 documents selected", "nothing to do"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn current_versions_are_sent_as_events_that_name_the_records_version() {
    let archive = Archive::open().await;
    fail(&archive, "in/a +ü.pdf", 1);
    fail(&archive, "gone.pdf", 2);
    fail(&archive, "again.pdf", 3);
    archive.put("gone-for-good.pdf", "failed", &at(4), &json!({}));
    archive.put("again.pdf", "failed", &at(3), &json!({"version": "0123456789abcdef"}));
    archive.put("rejected.exe", "rejected", &at(5), &json!({}));
    let etag = {
        let client = flexorch_s3_ingester::aws::http::client(None).unwrap();
        let url = format!("{}/{BUCKET}/again.pdf", archive.buckets.endpoint_url());
        let scope = format!("AKIDEXAMPLE/20260131/{REGION}/s3/aws4_request");
        let request =
            client.head(url).header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"));
        let head = request.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD").send().await.unwrap();
        head.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned()
    };
    archive.put("again.pdf", "failed", &at(6), &json!({"version": etag}));
    let run = resubmit(&archive, &["--yes", "--json"]).await;
    let done = &run.json()["done"];
    // `again.pdf` has a record without a version, one of an overwritten version, and one of the current version.
    assert_eq!(done, &json!({"sent": 4, "unchecked": 3, "overwritten": 1, "deleted": 1}), "{run}");
    assert_eq!(queued(&archive), ["again.pdf", "again.pdf", "gone.pdf", "in/a+%2B%C3%BC.pdf"]);
    let bodies: String = archive.queues.messages("retry").into_iter().map(|message| message.body).collect();
    assert!(bodies.contains(&format!("\"eTag\":\"{etag}\"")) && !bodies.contains("versionId"), "{bodies}");
    let files: Vec<_> = std::fs::read_dir(archive.folder.path()).unwrap().collect();
    assert!(files.is_empty(), "the journal is removed at the end: {files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_submits_what_was_sent() {
    let archive = Archive::open().await;
    let names: Vec<_> = names(3).iter().map(|name| format!("{name}.pdf")).collect();
    names.iter().zip(1..).for_each(|(key, second)| fail(&archive, key, second));
    resubmit(&archive, &["--yes"])
        .await
        .says(0, &["✓ 3 documents sent to", "3 sent without a check", "history --stack ingest"]);
    let message = &archive.queues.messages("retry")[0];
    let event = json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m-1", "body": message.body, "receiptHandle": "AQEB"}]});
    let mut command = archive.command(&["invoke", "-"]);
    command.env("CONNECTOR_SECRET_IDS", CONNECTOR);
    Run::fed(command, &event.to_string()).await.says(0, &["forwarded 3"]);
    assert_eq!(archive.flexorch.submitted_keys(), names);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failure_left_is_sent_by_the_next_run_and_nothing_is_sent_twice() {
    let archive = Archive::open().await;
    names(250).iter().zip(1..).for_each(|(key, second)| fail(&archive, key, second));
    archive.queues.set_fault(Some(AwsFault::AccessDenied));
    let run = resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(1, &["sqs:SendMessage", "run the same command again to continue (journal j.jsonl)"]);
    assert_eq!(queued(&archive), [""; 0]);
    assert_eq!(stop_within_the_first_batch(&archive).await.len(), 50);
    // Of each call, every second message fails: it is sent again until all are in the queue.
    archive.queues.set_fault(Some(AwsFault::PartialFailure));
    let run = resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(0, &["resumes: 50 documents done already", "✓ 200 documents sent"]);
    assert_eq!(queued(&archive), names(250));
}

/// Runs with the journal `j.jsonl` until SQS, which takes every second one of the first ten messages, denies all further calls. Returns
/// the keys in the queue.
async fn stop_within_the_first_batch(archive: &Archive) -> Vec<String> {
    archive.queues.fail_next(1, AwsFault::PartialFailure);
    archive.queues.set_fault(Some(AwsFault::AccessDenied));
    let run = resubmit(archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(1, &["✓ 50 documents sent", "sqs:SendMessage"]);
    archive.queues.set_fault(None);
    queued(archive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_continued_and_what_failed_again_meanwhile_is_not_part_of_it() {
    let archive = Archive::open().await;
    names(350).iter().zip(1..).for_each(|(key, second)| fail(&archive, key, second));
    let journaled = stop_within_the_first_batch(&archive).await;
    // The next batch gets into the queue, and SQS never responds.
    archive.queues.set_fault(Some(AwsFault::HangAfterEffect));
    let running = Running::start(archive.command(&["resubmit", "--stack", STACK, "--yes", "--journal", "j.jsonl"]));
    let sent = async {
        while queued(&archive).len() < 150 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), sent).await.unwrap();
    running.signal("-KILL");
    assert_eq!(running.finish().await.status, None, "it was killed");
    archive.queues.set_fault(None);
    let in_flight = without(&queued(&archive), &journaled);
    // One that was sent failed again, after the run began.
    archive.put(&journaled[0], "failed", "2126-11-24T00:00:00.000Z", &json!({}));
    let run = resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(0, &["resumes: 50 documents done already", "✓ 300 documents sent"]);
    // Only the batch in flight is sent twice.
    assert_eq!(in_flight.len(), 100);
    assert_eq!(without(&queued(&archive), &names(350)), in_flight);
}

/// All of these keys except one occurrence of each of the others.
fn without(keys: &[String], others: &[String]) -> Vec<String> {
    let mut left = keys.to_vec();
    for other in others {
        let position = left.iter().position(|key| key == other).unwrap_or_else(|| panic!("{other} is lost"));
        left.remove(position);
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_does_not_continue_a_journal_and_a_table_needs_a_queue() {
    let archive = Archive::open().await;
    names(5).iter().zip(1..).for_each(|(key, second)| fail(&archive, key, second));
    archive.queues.set_operation_fault("SendMessageBatch", Some(AwsFault::AccessDenied));
    assert_eq!(resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await.status, Some(1));
    archive.queues.set_operation_fault("SendMessageBatch", None);
    let other = resubmit(&archive, &["--yes", "--journal", "j.jsonl", "--prefix", "k001"]).await;
    other.says(1, &["the journal j.jsonl belongs to another resubmission", "nothing was sent"]);
    let table = archive.run(&["resubmit", "--table", TABLE, "--yes"]).await;
    table.says(2, &["the retry queue is not known: name it with --queue"]);
    let url = archive.queues.url("retry");
    let run = archive.run(&["resubmit", "--table", TABLE, "--queue", &url, "--prefix", "k001", "--yes"]).await;
    run.says(0, &["✓ 1 document sent"]);
    assert_eq!(queued(&archive), ["k001"]);
    archive.run(&["resubmit", "--table", TABLE, "--state", "processed"]).await.says(2, &["failed, rejected, open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_may_not_be_read_are_sent_unchecked() {
    let archive = Archive::open().await;
    archive.put("a.pdf", "failed", &at(1), &json!({"version": "0123"}));
    archive.buckets.set_missing_objects_denied(true);
    let unchecked = "1 sent without a check of the version: s3:GetObject on";
    resubmit(&archive, &["--yes"]).await.says(0, &["✓ 1 document sent", unchecked, "your AWS identity needs"]);
    assert_eq!(queued(&archive), ["a.pdf"]);
}

/// The current time, as the table has it.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Begins a run, which sends nothing, and then fails another document.
async fn begin_and_fail_later(archive: &Archive) {
    names(5).iter().zip(1..).for_each(|(key, second)| fail(archive, key, second));
    archive.queues.set_operation_fault("SendMessageBatch", Some(AwsFault::AccessDenied));
    resubmit(archive, &["--yes", "--journal", "j.jsonl"]).await.says(1, &["your AWS identity needs sqs:SendMessage"]);
    archive.queues.set_operation_fault("SendMessageBatch", None);
    // Later than the run by more than a table's time shows.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    archive.buckets.put(BUCKET, "later", 10, SystemTime::now());
    archive.put("later", "failed", &now(), &json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continued_run_says_what_it_covers_and_suggests_a_command_for_what_failed_later() {
    let archive = Archive::open().await;
    begin_and_fail_later(&archive).await;
    let covers = [
        "resumes: 0 documents done already by the run begun at 20",
        "records changed until 20",
        "1 document changed later, not included",
        "5 documents selected",
    ];
    let plan = resubmit(&archive, &["--dry-run", "--journal", "j.jsonl"]).await;
    plan.says(0, &[&covers[..], &["dry run, nothing was sent"]].concat());
    let run = resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(0, &[&covers[..], &["✓ 5 documents sent", "1 document changed later and was not included"]].concat());
    assert_eq!(queued(&archive), names(5));
    let (_, suggested) = run.out.split_once("for these: flexorch-s3 ").unwrap();
    let mut words = shlex::split(suggested.lines().next().unwrap()).unwrap();
    words.push("--yes".to_owned());
    archive.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await.says(0, &["✓ 1 document sent"]);
    assert_eq!(queued(&archive).iter().filter(|key| *key == "later").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_nothing_is_left_does_not_hide_what_failed_later() {
    let archive = Archive::open().await;
    begin_and_fail_later(&archive).await;
    names(5).iter().zip(1..).for_each(|(key, second)| archive.put(key, "processed", &at(second), &json!({})));
    let plan = resubmit(&archive, &["--dry-run", "--journal", "j.jsonl"]).await;
    plan.says(0, &["is complete (journal j.jsonl); a new run follows", "1 document selected"]);
    assert!(archive.folder.path().join("j.jsonl").exists(), "a dry run changes nothing");
    let run = resubmit(&archive, &["--yes", "--journal", "j.jsonl"]).await;
    run.says(0, &["is complete (journal j.jsonl); a new run follows", "✓ 1 document sent"]);
    assert_eq!(queued(&archive), ["later"]);
    assert!(!archive.folder.path().join("j.jsonl").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_needs_no_queue_and_says_why_credits_are_unknown() {
    let archive = Archive::open().await;
    fail(&archive, "a.pdf", 1);
    archive.put("", "failed", &at(2), &json!({}));
    let mut command = archive.command(&["resubmit", "--table", TABLE, "--dry-run"]);
    // Nothing listens there.
    command.env("FLEXORCH_BASE_URL", "http://127.0.0.1:9/v1");
    let run = Run::of(command).await;
    run.says(
        0,
        &[
            "1 document selected",
            "1 more record, whose document is not BUCKET/KEY, cannot be submitted",
            "messages   1 to the function's retry queue, which --queue must name",
            "credits    flexorch/invoices: unknown (FlexOrch, GET /usage: ",
        ],
    );
    archive.secrets.set_operation_fault("GetSecretValue", Some(SecretsFault::AccessDenied));
    resubmit(&archive, &["--dry-run"])
        .await
        .says(0, &["credits    flexorch/invoices: unknown (secretsmanager:GetSecretValue on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_paused_connector_the_documents_wait_in_the_queue() {
    let archive = Archive::open().await;
    fail(&archive, "a.pdf", 1);
    archive.run(&["pause", "--secret", CONNECTOR, "--reason", "maintenance"]).await.ok();
    let run = resubmit(&archive, &["--yes"]).await;
    run.says(0, &["(maintenance): objects wait in the queue until you run", "✓ 1 document sent"]);
    assert!(!run.shown().contains("nothing is sent"), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_does_not_exist_is_not_a_run_that_can_be_continued() {
    let archive = Archive::open().await;
    fail(&archive, "a.pdf", 1);
    let url = archive.queues.url("retry").replace("/retry", "/wrong");
    let run = resubmit(&archive, &["--yes", "--queue", &url]).await;
    run.says(1, &["nothing was sent", "check the queue's name, region and account"]);
    assert!(!run.err.contains("to continue"), "{run}");
    assert_eq!(std::fs::read_dir(archive.folder.path()).unwrap().count(), 0, "no journal is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region_is_an_error_and_a_refusal_is_reported_with_its_reason() {
    let archive = Archive::open().await;
    archive.put("a.pdf", "failed", &at(1), &json!({"version": "0123"}));
    for (s3, status, words) in [
        (301, 1, ["s3:GetObject on", "is in another region: select it with --region"]),
        (400, 0, ["✓ 1 document sent", "1 sent without a check of the version: s3:GetObject on"]),
    ] {
        let buckets = Stub::start(move |_, _| (s3, "application/xml", String::new())).await.unwrap();
        let mut command = archive.command(&["resubmit", "--stack", STACK, "--yes"]);
        command.env("AWS_ENDPOINT_URL_S3", buckets.url());
        let run = Run::of(command).await;
        run.says(status, &words);
        assert_eq!(run.shown().contains("HTTP status 400"), s3 == 400, "{run}");
    }
}
