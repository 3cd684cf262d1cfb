//! `flexorch-s3 submit`.

use flexorch_sandbox::secrets_manager::SecretsFault;
use flexorch_sandbox::wait_until;
use serde_json::json;

use crate::support::keys;
use crate::support::run::{PROGRAM, Run, Running};
use crate::support::site::{SECRET, Site};
use crate::support::surroundings::{API_KEY, REGION};

#[tokio::test]
async fn submit_sends_keys_as_they_are_and_says_how_many() {
    let site = Site::start().await;
    let odd = ["invoices/日本/請求書 2026.pdf", "a+b %41.pdf", "q&a\t'\".pdf"];
    let output = site.run(&[&["submit"], &odd[..]].concat()).await;
    assert_eq!(output.status, Some(0), "{output}");
    let lines: Vec<_> = output.out.lines().collect();
    assert_eq!(lines[0], "forwarded  invoices/日本/請求書 2026.pdf  job j-1");
    assert_eq!(lines[2], "forwarded  q&a\\t'\".pdf  job j-3");
    assert_eq!(lines[3..], ["received 3 = forwarded 3 + skipped 0 + rejected 0 + deferred 0"]);
    assert_eq!(site.flexorch.submitted_keys(), odd);
}

#[tokio::test]
async fn keys_from_a_file_go_in_batches_and_windows_line_ends_and_empty_lines_do_no_harm() {
    let site = Site::start().await;
    let names = keys("k", 250);
    std::fs::write(site.folder.path().join("keys.txt"), format!("{}\r\n\r\n\nlast.pdf", names.join("\r\n"))).unwrap();
    let output = site.run(&["submit", "--keys-from", "keys.txt", "--concurrency", "1"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    let sizes: Vec<_> = site.flexorch.requests().iter().map(|request| request.keys.len()).collect();
    assert_eq!(sizes, [100, 100, 51]);
    assert_eq!(site.flexorch.submitted_keys()[..250], names);
}

#[tokio::test]
async fn keys_come_from_standard_input_too_and_the_json_document_has_each_with_its_job() {
    let site = Site::start().await;
    let output = Run::fed(site.command(&["submit", "--keys-from", "-", "--json"]), "a.pdf\nbad.exe\n").await;
    assert_eq!(output.status, Some(3), "{output}");
    let document = output.json();
    assert_eq!(document["summary"]["forwarded"], 1);
    assert!(document["objects"][0]["job_id"].is_string());
    assert_eq!(
        (&document["objects"][1]["key"], &document["objects"][1]["reason"]),
        (&json!("bad.exe"), &json!("UNSUPPORTED_FILE"))
    );
}

#[tokio::test]
async fn the_keys_before_one_that_cannot_be_read_are_sent_and_reported() {
    let site = Site::start().await;
    std::fs::write(site.folder.path().join("keys.txt"), b"a.pdf\nb.pdf\n\xff.pdf\nc.pdf\n").unwrap();
    let output = site.run(&["submit", "--keys-from", "keys.txt"]).await;
    assert_eq!(output.status, Some(1), "{output}");
    assert!(output.shown().contains("forwarded 2") && output.shown().contains("not UTF-8"), "{output}");
    assert_eq!(site.submitted_keys(), ["a.pdf", "b.pdf"]);
}

#[tokio::test]
async fn a_key_outside_the_connectors_prefix_is_reported_and_sent_only_on_request() {
    let site = Site::start().await;
    site.put_secret(&json!({"prefix": "invoices/"}));
    let output = site.run(&["submit", "invoices/a.pdf", "scans/b.pdf"]).await;
    assert_eq!(output.status, Some(3));
    assert!(output.shown().contains("skipped    scans/b.pdf  out-of-prefix"), "{output}");
    assert_eq!(site.flexorch.submitted_keys(), ["invoices/a.pdf"]);
    let output = site.run(&["submit", "--any-prefix", "scans/b.pdf"]).await;
    assert_eq!(output.status, Some(0));
    assert_eq!(site.flexorch.submitted_keys(), ["invoices/a.pdf", "scans/b.pdf"]);
}

#[tokio::test]
async fn a_key_that_is_named_twice_is_sent_once() {
    let site = Site::start().await;
    let output = site.run(&["submit", "a.pdf", "b.pdf", "a.pdf"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.submitted_keys(), ["a.pdf", "b.pdf"]);
    assert!(output.out.contains("received 2 = forwarded 2") && output.out.contains("1 repeated key"), "{output}");
    assert!(!output.out.contains("superseded"), "{output}");
    let output = site.run(&["submit", "--json", "a.pdf", "a.pdf"]).await;
    assert_eq!((&output.json()["summary"]["received"], &output.json()["summary"]["repeated"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn an_s3_address_is_a_key_if_it_is_in_the_connectors_bucket() {
    let site = Site::start().await;
    let output = site.run(&["submit", "s3://my-documents/a b.pdf", "plain.pdf"]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(site.flexorch.submitted_keys(), ["a b.pdf", "plain.pdf"]);
    for (address, told) in [
        ("s3://other/a.pdf", "is in bucket \"other\", but the secret's connector reads \"my-documents\""),
        ("s3://my-documents", "names no object"),
        ("s3://my-documents/", "names no object"),
    ] {
        let output = site.run(&["submit", "fine.pdf", address]).await;
        assert!(output.failed().contains(told) && output.err.contains("nothing was sent"), "{output}");
    }
    site.put_secret(&json!({"bucket": null}));
    let output = site.run(&["submit", "s3://my-documents/a.pdf"]).await;
    assert!(output.failed().contains("pass the key alone"), "{output}");
    assert_eq!(site.flexorch.requests().len(), 1);
}

#[tokio::test]
async fn a_paused_connector_gets_nothing_and_the_command_that_resumes_it_is_named() {
    let site = Site::start().await;
    site.put_secret(&json!({"paused": "maintenance until Monday"}));
    site.fill(["a.pdf".to_owned()]);
    let told = ["maintenance until Monday", "flexorch-s3 resume --secret flexorch/documents --region eu-west-1"];
    for command in ["submit", "backfill"] {
        let arguments: &[&str] =
            if command == "submit" { &["a.pdf", "--region", REGION] } else { &["--region", REGION] };
        site.run(&[&[command], arguments].concat()).await.says(3, &told);
        let json = site.run(&[&[command], arguments, &["--json"]].concat()).await;
        assert_eq!(json.status, Some(3), "{json}");
        json.json();
    }
    site.run(&["backfill", "--dry-run"]).await.says(0, &["in scope   1", "maintenance until Monday"]);
    let url = site.queues.url("retry");
    site.run(&["backfill", "--queue", &url]).await.says(0, &["queued     1", "wait in the queue"]);
    assert!(site.flexorch.requests().is_empty());
}

#[tokio::test]
async fn the_secret_may_come_from_the_environment_and_the_option_wins() {
    let site = Site::start().await;
    let mut command = site.program(PROGRAM);
    command.args(["submit", "a.pdf"]).env("FLEXORCH_S3_SECRET", SECRET);
    Run::of(command).await.says(0, &["forwarded  a.pdf"]);
    let mut command = site.command(&["submit", "b.pdf"]);
    command.env("FLEXORCH_S3_SECRET", "another");
    Run::of(command).await.says(0, &["forwarded  b.pdf"]);
}

#[tokio::test]
async fn a_secret_with_a_byte_order_mark_is_read() {
    let site = Site::start().await;
    let secret = format!("\u{feff}{{\"api_key\": \"{API_KEY}\", \"connector_id\": 42, \"bucket\": \"my-documents\"}}");
    site.secrets.put(SECRET, secret);
    site.run(&["submit", "a.pdf"]).await.says(0, &["forwarded  a.pdf"]);
}

#[tokio::test]
async fn a_rejected_key_is_exit_status_3_and_the_reason_is_reported() {
    let site = Site::start().await;
    let output = site.run(&["submit", "a.pdf", "virus.exe"]).await;
    assert_eq!(output.status, Some(3));
    assert!(output.shown().contains("rejected   virus.exe  UNSUPPORTED_FILE"), "{output}");
    assert!(output.shown().contains("received 2 = forwarded 1 + skipped 0 + rejected 1 + deferred 0"));
}

#[tokio::test]
async fn a_refused_api_key_costs_one_request_for_all_keys_and_says_what_to_do() {
    let site = Site::start().await;
    site.flexorch.revoke_key(API_KEY);
    let names = keys("k", 500);
    std::fs::write(site.folder.path().join("keys.txt"), names.join("\n")).unwrap();
    let output = site.run(&["submit", "--keys-from", "keys.txt", "--concurrency", "1"]).await;
    assert_eq!(output.status, Some(3));
    assert_eq!(site.flexorch.requests().len(), 1);
    assert!(output.shown().contains("deferred 500"), "{output}");
    assert!(output.shown().contains("write a valid `api_key` into the connector's secret"));
}

#[tokio::test]
async fn submit_waits_as_long_as_a_429_says() {
    let site = Site::with(|options| options.faults.push("status=429,retry-after=1,times=1".parse().unwrap())).await;
    let output = site.run(&["submit", "a.pdf"]).await;
    assert_eq!((output.status, site.flexorch.requests().len()), (Some(0), 2), "{output}");
}

#[tokio::test]
async fn what_keeps_submit_from_beginning_is_a_clear_error() {
    let site = Site::start().await;
    let missing = site.run(&["submit", "--keys-from", "no-such-file.txt"]).await;
    assert_eq!(missing.status, Some(1));
    assert!(missing.shown().contains("no-such-file.txt"), "{missing}");
    assert_eq!(site.run(&["submit"]).await.status, Some(2));
    let mut command = site.command(&["submit", "a.pdf"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let nobody = Run::of(command).await;
    assert_eq!(nobody.status, Some(1));
    assert!(nobody.shown().contains("no AWS credentials"), "{nobody}");
    site.secrets.put(SECRET, "");
    let empty = site.run(&["submit", "a.pdf"]).await;
    assert_eq!(empty.status, Some(1));
    assert!(empty.shown().contains("connector create"), "{empty}");
    assert!(site.flexorch.requests().is_empty());
}

#[tokio::test]
async fn what_was_not_submitted_is_not_said_to_be_tried_again() {
    let site = Site::with(|options| options.faults.push("status=503,times=1,retry-after=900".parse().unwrap())).await;
    let run = site.run(&["submit", "a.pdf"]).await;
    run.says(3, &["deferred   a.pdf", "unavailable: not known to be submitted: run the command again"]);
    assert!(!run.out.contains("tried again"), "{run}");
}

#[tokio::test]
async fn an_interrupted_submission_says_what_was_not_submitted() {
    let site = Site::with(|options| options.faults.push("status=503,retry-after=60".parse().unwrap())).await;
    let running = Running::start(site.command(&["submit", "a.pdf"]));
    site.until_requests(1).await;
    running.signal("-INT");
    let run = running.finish().await;
    run.says(130, &["deferred   a.pdf", "interrupted; deferred keys were not submitted: run the command again"]);
    assert!(!run.out.contains("the function's timeout"), "{run}");
}

#[tokio::test]
async fn ctrl_c_ends_a_submission_that_waits_for_the_secret() {
    let site = Site::start().await;
    site.secrets.set_fault(Some(SecretsFault::Hang));
    let calls = site.secrets.calls().len();
    let running = Running::start(site.command(&["submit", "a.pdf"]));
    wait_until("the call", || site.secrets.calls().len() > calls).await;
    running.signal("-INT");
    running.finish().await.says(130, &["interrupted; nothing was submitted"]);
}
