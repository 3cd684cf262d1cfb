//! `flexorch-s3 history`.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flexorch_sandbox::dynamodb::DynamoFault;
use flexorch_sandbox::stub::Stub;
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::records::{Archive, BUCKET, ELSEWHERE, STACK, TABLE, at};
use crate::support::run::{Run, Running};

/// The documents of a JSON output, in its order.
fn documents(run: &Run) -> Vec<String> {
    let records = run.json()["records"].as_array().unwrap().clone();
    records.iter().map(|record| record["document"].as_str().unwrap().to_owned()).collect()
}

/// Records of all states, one a second, `k000` the oldest.
fn fill(archive: &Archive, number: u32) {
    for second in 0..number {
        let state = ["submitted", "processed", "failed", "rejected"][(second % 4) as usize];
        archive.put(&format!("k{second:03}"), state, &at(second), &json!({"job_id": format!("j-{second}")}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_all_states_come_newest_first_from_however_many_pages() {
    let archive = Archive::open().await;
    fill(&archive, 100);
    archive.dynamodb.put(TABLE, json!({"document": "sweep", "version": "published-until", "until": at(1)})).unwrap();
    let expected: Vec<_> = (0..100).rev().map(|number| format!("{BUCKET}/k{number:03}")).collect();
    for page_bytes in [300, 5_000, 1_000_000] {
        archive.dynamodb.set_page_bytes(page_bytes);
        let run = archive.run(&["history", "--stack", STACK, "--json"]).await;
        assert_eq!(documents(&run), expected, "{page_bytes}");
        assert_eq!((&run.json()["count"], &run.json()["complete"]), (&json!(100), &json!(true)));
    }
    let run = archive.run(&["history", "--table", TABLE, "--limit", "3", "--json"]).await;
    assert_eq!((documents(&run), &run.json()["complete"]), (expected[..3].to_vec(), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn states_times_and_connectors_select() {
    let archive = Archive::open().await;
    fill(&archive, 8);
    archive.put("other", "failed", &at(100), &json!({"connector": "flexorch/other", "connector_id": 7}));
    for (options, keys) in [
        (&["--state", "failed"][..], &["other", "k006", "k002"][..]),
        (&["--state", "open"], &["k004", "k000"]),
        (&["--state", "submitted,rejected"], &["k007", "k004", "k003", "k000"]),
        (&["--since", "2026-11-24T00:00:06Z"], &["other", "k007", "k006"]),
        (&["--since", "2026-11-24T00:00:06Z", "--state", "failed", "--connector", "42"], &["k006"]),
        (&["--connector", "flexorch/other"], &["other"]),
        (&["--prefix", "k00", "--state", "processed"], &["k005", "k001"]),
        (&["--key", "k003"], &["k003"]),
        (&["--key", "k00"], &[]),
        (&["--bucket", "another"], &[]),
        (&["--since", "1d", "--prefix", "nothing"], &[]),
    ] {
        let run = archive.run(&[&["history", "--stack", STACK, "--json"], options].concat()).await;
        assert_eq!(run.status, Some(0), "{run}");
        let expected: Vec<_> = keys.iter().map(|key| format!("{BUCKET}/{key}")).collect();
        assert_eq!(documents(&run), expected, "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_record_for_each_version_and_is_read_alone_if_its_bucket_is_known() {
    let archive = Archive::open().await;
    fill(&archive, 40);
    for (version, second) in [("v-b", 200), ("v-a", 300), ("v-c", 100)] {
        archive.put("in/a.pdf", "processed", &at(second), &json!({"version": version}));
    }
    let reads = |archive: &Archive| archive.dynamodb.calls().len();
    let before = reads(&archive);
    let run = archive.run(&["history", "--stack", STACK, "--key", "in/a.pdf", "--json"]).await;
    let versions: Vec<_> = run.json()["records"].as_array().unwrap().iter().map(|one| one["version"].clone()).collect();
    assert_eq!(versions, ["v-a", "v-b", "v-c"]);
    assert_eq!(reads(&archive) - before, 1);
    // Without the bucket, the records of all states are read.
    let run = archive.run(&["history", "--table", TABLE, "--key", "in/a.pdf", "--json"]).await;
    assert_eq!(documents(&run).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_control_the_terminal_and_programs_get_it_unchanged() {
    let archive = Archive::open().await;
    let key = "in/a\u{1b}[2J,\"b\"\nc.pdf";
    let why = json!({"failure_reason": "AccessDenied\u{7} by KMS", "code": "FETCH_FAILED"});
    archive.put(key, "failed", &at(1), &why);
    let run = archive.run(&["history", "--stack", STACK]).await;
    run.says(0, &["DOCUMENT", "failed", "in/a\\u{1b}[2J,\"b\"\\nc.pdf", "FETCH_FAILED: AccessDenied\\u{7} by KMS"]);
    assert!(!run.shown().contains('\u{7}') && !run.shown().contains('\u{1b}'), "{run}");
    let run = archive.run(&["history", "--stack", STACK, "--json"]).await;
    assert_eq!(documents(&run), [format!("{BUCKET}/{key}")]);
    let csv = archive.run(&["history", "--stack", STACK, "--csv"]).await;
    let quoted = format!("\"{BUCKET}/in/a\u{1b}[2J,\"\"b\"\"\nc.pdf\",-,failed,{},", at(1));
    assert!(csv.ok().starts_with("document,version,state,changed_at,") && csv.out.contains(&quoted), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_counts_by_state_connector_day_and_reason() {
    let archive = Archive::open().await;
    fill(&archive, 40);
    archive.put("old", "failed", "2026-11-23T12:00:00.000Z", &json!({"code": "GONE", "connector": "flexorch/other"}));
    archive.dynamodb.set_page_bytes(2_000);
    let run = archive.run(&["history", "--stack", STACK, "--summary", "--json"]).await;
    let summary = run.json();
    assert_eq!(
        summary["summary"],
        json!({"submitted": 31, "processed": 10, "failed": 11, "open": 10, "rejected": 10}),
        "submitted = processed + failed + open"
    );
    let by = |list: &str, name: &str| -> BTreeMap<String, Value> {
        let entries = summary[list].as_array().unwrap().clone();
        entries.into_iter().map(|entry| (entry[name].as_str().unwrap().to_owned(), entry["failed"].clone())).collect()
    };
    let expected = [("2026-11-23", 1), ("2026-11-24", 10)].map(|(day, failed)| (day.to_owned(), json!(failed)));
    assert_eq!(by("days", "day"), BTreeMap::from(expected));
    assert_eq!(by("connectors", "connector")["flexorch/other"], json!(1));
    assert_eq!(summary["reasons"], json!([{"reason": "no reason", "count": 20}, {"reason": "GONE", "count": 1}]));
    let text = archive.run(&["history", "--stack", STACK, "--summary"]).await;
    text.says(
        0,
        &["submitted 31 = processed 10 + failed 11 + open 10; rejected 10", "2026-11-23   1  ▓", "GONE", "░ open"],
    );
    archive.run(&["history", "--table", TABLE, "--summary", "--bucket", "none"]).await.says(0, &["no records match"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_table_is_read_to_its_end_and_a_denied_or_missing_one_is_named() {
    let archive = Archive::open().await;
    fill(&archive, 8);
    archive.dynamodb.fail_next(2, DynamoFault::ThroughputExceeded);
    let run = archive.run(&["history", "--stack", STACK, "--json"]).await;
    assert_eq!(documents(&run).len(), 8, "{run}");
    archive.dynamodb.set_operation_fault("Query", Some(DynamoFault::AccessDenied));
    archive.run(&["history", "--stack", STACK]).await.says(1, &["needs dynamodb:Query on table records"]);
    archive.dynamodb.set_operation_fault("Query", None);
    archive
        .run(&["history", "--table", "nothing"])
        .await
        .says(1, &["table nothing does not exist here: check its name, the region (--region)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_or_function_without_tracking_says_how_to_switch_it_on() {
    let archive = Archive::open().await;
    archive
        .run(&["history", "--stack", "without-tracking"])
        .await
        .says(1, &["stack without-tracking has no output RecordsTable", "Tracking=true"]);
    archive.run(&["history", "--stack", "nothing"]).await.says(1, &["cloudformation:DescribeStacks", "does not exist"]);
    archive.run(&["history"]).await.says(2, &["--stack <NAME>|--function <NAME>|--table <NAME>"]);
    for wrong in [&["--bucket", "s3://docs/a"][..], &["--since", "soon"], &["--csv", "--json"], &["--state", "lost"]] {
        assert_eq!(archive.run(&[&["history", "--table", TABLE], wrong].concat()).await.status, Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_or_table_that_is_named_by_its_arn_is_read_in_its_region() {
    let archive = Archive::open().await;
    fill(&archive, 2);
    let table = archive.dynamodb.arn(TABLE, "us-east-1");
    for option in [["--stack", ELSEWHERE], ["--table", &table]] {
        let before = archive.dynamodb.calls().len();
        let run = archive.run(&[&["history", "--json"], &option[..]].concat()).await;
        assert_eq!(documents(&run).len(), 2, "{option:?}");
        let calls = archive.dynamodb.calls().split_off(before);
        assert!(!calls.is_empty() && calls.iter().all(|call| call.region == "us-east-1"), "{option:?}: {calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_leads_through_its_receipts_queue_to_the_table() {
    let archive = Archive::open().await;
    fill(&archive, 2);
    let account = Account::start().await;
    archive.queues.create("receipts");
    account.create_function("ingest", &[("RECEIPTS_QUEUE_URL", &archive.queues.url("receipts"))]);
    account.create_function("outcomes", &[("RECORDS_TABLE", TABLE)]);
    account.create_function("plain", &[]);
    account.map("outcomes", "receipts");
    for function in ["ingest", "outcomes"] {
        let mut command = archive.command(&["history", "--function", function, "--json"]);
        command.env("AWS_ENDPOINT_URL_LAMBDA", account.url());
        assert_eq!(documents(&Run::of(command).await).len(), 2, "{function}");
    }
    let mut command = archive.command(&["history", "--function", "plain"]);
    command.env("AWS_ENDPOINT_URL_LAMBDA", account.url());
    Run::of(command).await.says(1, &["neither RECEIPTS_QUEUE_URL nor RECORDS_TABLE", "Tracking=true"]);
}

/// A DynamoDB that returns one record and says that there are more, and responds to the next query with what `then` returns.
async fn one_page(then: impl Fn() -> (u16, &'static str, String) + Clone + Send + Sync + 'static) -> Stub {
    Stub::start(move |_, body| {
        let query: Value = serde_json::from_slice(body).unwrap();
        if query.get("ExclusiveStartKey").is_some() {
            return then();
        }
        let item = json!({"document": {"S": "docs/a"}, "version": {"S": "-"}, "state": {"S": "failed"}, "changed_at": {"S": at(1)}});
        let page = json!({"Items": [item], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": {"document": {"S": "docs/a"}}});
        (200, "application/x-amz-json-1.0", page.to_string())
    })
    .await
    .unwrap()
}

fn history_of(archive: &Archive, dynamodb: &Stub) -> Command {
    let mut command = archive.command(&["history", "--table", TABLE, "--state", "failed", "--json"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_whole_document_even_if_a_later_page_cannot_be_read() {
    let archive = Archive::open().await;
    let denied = || {
        let error = json!({"__type": "com.amazonaws#AccessDeniedException", "message": "not authorized"});
        (400, "application/x-amz-json-1.0", error.to_string())
    };
    let run = Run::of(history_of(&archive, &one_page(denied).await)).await;
    run.says(1, &["needs dynamodb:Query"]);
    assert_eq!((documents(&run), &run.json()["complete"]), (vec!["docs/a".to_owned()], &json!(false)));
    archive.dynamodb.set_operation_fault("Query", Some(DynamoFault::AccessDenied));
    let run = archive.run(&["history", "--table", TABLE, "--json"]).await;
    assert_eq!((run.status, run.out.as_str()), (Some(1), ""), "before the first page, nothing is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_whole_document_after_an_interruption() {
    let archive = Archive::open().await;
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let (seen, has_come) = std::sync::mpsc::channel::<()>();
    let (hold, seen) = (Arc::new(Mutex::new(hold)), Arc::new(Mutex::new(seen)));
    let hanging = one_page(move || {
        seen.lock().unwrap().send(()).unwrap();
        // Until the test is over. Other tasks of this thread go on meanwhile.
        let _ = tokio::task::block_in_place(|| hold.lock().unwrap().recv());
        (500, "application/x-amz-json-1.0", String::new())
    });
    let dynamodb = hanging.await;
    let running = Running::start(history_of(&archive, &dynamodb));
    tokio::task::spawn_blocking(move || has_come.recv_timeout(Duration::from_secs(60))).await.unwrap().unwrap();
    running.signal("-INT");
    let run = running.finish().await;
    drop(release);
    assert_eq!(run.status, Some(130), "{run}");
    assert_eq!((documents(&run), &run.json()["complete"]), (vec!["docs/a".to_owned()], &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_match_are_not_records_that_do_not_exist() {
    let archive = Archive::open().await;
    archive.run(&["history", "--table", TABLE]).await.says(0, &["no records in records"]);
    fill(&archive, 3);
    for more in [&[][..], &["--summary"]] {
        let run = archive.run(&[&["history", "--table", TABLE, "--prefix", "nothing"], more].concat()).await;
        run.says(0, &["no records match in records"]);
    }
}
