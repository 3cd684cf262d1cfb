//! `flexorch-s3`, the built program.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncBufReadExt, BufReader};

use unicode_width::UnicodeWidthStr;

use crate::support::REPOSITORY;
use crate::support::run::{PROGRAM, Run};

fn flexorch_s3(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(arguments).current_dir(REPOSITORY);
    command
}

fn invoke(arguments: &[&str]) -> Run {
    flexorch_s3(&[&["invoke"], arguments].concat()).output().unwrap().into()
}

#[test]
fn invoke_shows_what_happened_to_every_object_and_keeps_odd_keys_intact() {
    let run = invoke(&["--sandbox", "--no-fail", "events/s3-direct.json"]);
    let shown = run.ok();
    for told in [
        "forwarded  my-documents/invoices/日本/請求書 2026-11.pdf",
        "invoices/2026/11/q1+q2 summary.pdf",
        "invoices/2026/11/file %41 literal.txt",
        "folder-marker",
        "UNSUPPORTED_FILE",
        "received 17 = forwarded 12 + skipped 4 + rejected 1 + deferred 0",
        "FlexOrch (sandbox) accepted 12 documents; the dead-letter queue has 1 message.",
    ] {
        assert!(shown.contains(told), "{told} is not in:\n{shown}");
    }
}

/// Runs a command on a terminal of 80 columns, and returns what it prints there.
fn on_a_terminal(mut command: Command) -> String {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).and_then(|()| unlockpt(&controller)).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&controller, size).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || File::options().read(true).write(true).open(&path).unwrap();
    command.env("TERM", "xterm");
    let mut child = command.stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().unwrap();
    drop(command);
    let (mut controller, mut printed) = (File::from(controller), Vec::new());
    // Once the program has closed its end, reading fails.
    let _ = controller.read_to_end(&mut printed);
    child.wait().unwrap();
    String::from_utf8(printed).unwrap()
}

#[test]
fn a_table_fits_the_terminal_and_a_pipe_gets_whole_keys() {
    let folder = tempfile::tempdir().unwrap();
    let key = format!("invoices/{}/end.pdf", "long/".repeat(190));
    let object = serde_json::json!({"bucket": {"name": "my-documents"}, "object": {"key": key}});
    let event = serde_json::json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": object}]});
    let file = folder.path().join("event.json");
    std::fs::write(&file, event.to_string()).unwrap();
    let command = || {
        let mut command = flexorch_s3(&["invoke", "--sandbox", "event.json"]);
        command.current_dir(folder.path());
        command
    };
    let shown = on_a_terminal(command());
    let table: Vec<_> = shown.lines().filter(|line| line.contains("OUTCOME") || line.contains("job j-1")).collect();
    let plain = |line: &str| anstream::adapter::strip_str(line).to_string();
    assert!(table.len() == 2 && table.iter().all(|line| plain(line).width() <= 80), "{shown}");
    assert!(shown.contains("\u{1b}[") && shown.contains("…") && shown.contains("/end.pdf  job j-1"), "{shown}");
    let piped = Run::from(command().output().unwrap());
    assert!(piped.out.contains(&key) && !piped.out.contains('\u{1b}'), "{piped}");
}

#[test]
fn an_event_that_is_not_json_is_refused_with_its_place_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("a.json"), folder.path().join("b.json"));
    std::fs::write(&good, "\u{feff}{\"reconcile\": {\"since\": \"PT24H\"}}").unwrap();
    std::fs::write(&bad, "{\n  \"Records\": [\n}").unwrap();
    let run = invoke(&["--sandbox", good.to_str().unwrap()]);
    run.says(0, &["forwarded 2"]);
    let run = invoke(&["--sandbox", good.to_str().unwrap(), bad.to_str().unwrap()]);
    run.says(1, &["b.json is not JSON (line 3, column 1)"]);
    assert!(run.out.is_empty(), "{run}");
}

#[test]
fn demo_explains_the_plain_case_first_fits_100_columns_and_ends_with_the_total() {
    let run = Run::from(flexorch_s3(&["demo"]).output().unwrap());
    let shown = run.ok();
    assert!(shown.lines().all(|line| line.width() <= 100), "{shown}");
    let place = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words} is not in:\n{shown}"));
    let order =
        ["nothing leaves this machine", "s3-direct.json", "batch-job-1.0.json", "Base64", "unknown.json", "Next: "];
    assert!(order.map(place).is_sorted(), "{shown}");
    let total = shown.lines().last().unwrap();
    assert_eq!(total, "✓ 19 samples as expected: 64 objects, 43 forwarded, 18 skipped, 3 rejected");
    let again = Run::from(flexorch_s3(&["demo", "--fault", "status=503,times=2"]).output().unwrap());
    assert_eq!(again.out.lines().last(), Some(total), "two failures are retried: {again}");
}

#[test]
fn demo_is_exit_status_3_if_a_sample_does_not_end_as_expected() {
    let run = Run::from(flexorch_s3(&["demo", "--fault", "status=402,code=TRIAL_EXPIRED"]).output().unwrap());
    run.says(3, &["✗ not as expected: error ObjectsDeferred", "TRIAL_EXPIRED", "of 19 samples not as expected: "]);
}

#[test]
fn invoke_as_json_is_for_machines() {
    let results = invoke(&["--sandbox", "--json", "events/sqs-mixed.json", "events/s3-test-event.json"]).json();
    let mixed = &results[0];
    assert_eq!(mixed["answer"], serde_json::json!({"batchItemFailures": []}));
    assert_eq!((&mixed["summary"]["received"], &mixed["unreadable_messages"]), (&11.into(), &2.into()));
    let objects = mixed["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 11);
    assert!(objects.iter().all(|object| object["outcome"].is_string() && object["key"].is_string()));
    assert!(objects.iter().any(|object| object["outcome"] == "forwarded" && object["job_id"].is_string()));
    assert_eq!(results[1]["summary"]["received"], 0);
}

#[tokio::test]
async fn invoke_reads_an_event_from_standard_input() {
    let event = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"x%1B[2J.pdf"}}}]}"#;
    let command = flexorch_s3(&["invoke", "--sandbox", "--bucket", "b", "--prefix", "", "-"]);
    let shown = Run::fed(command, event).await.out;
    assert!(shown.contains("forwarded  b/x\\u{1b}[2J.pdf"), "a key controls the terminal: {shown:?}");
}

#[test]
fn an_error_from_the_handler_is_exit_status_3_unless_no_fail_is_given() {
    let output = invoke(&["--sandbox", "events/unknown.json"]);
    assert_eq!(output.status, Some(3));
    assert!(output.out.contains("UnknownEvent"));
    assert_eq!(invoke(&["--sandbox", "--no-fail", "events/unknown.json"]).status, Some(0));
    let output = invoke(&["--sandbox", "--fault", "status=402,code=TRIAL_EXPIRED", "events/eventbridge-direct.json"]);
    assert_eq!(output.status, Some(3));
    assert!(output.out.contains("deferred") && output.out.contains("TRIAL_EXPIRED"));
}

#[test]
fn a_rejected_or_deferred_object_is_exit_status_3_unless_no_fail_is_given() {
    let rejected = ["--sandbox", "events/sqs-s3.json"];
    let deferred = ["--sandbox", "--fault", "status=402,code=TRIAL_EXPIRED", "events/sqs-sns-raw.json"];
    for arguments in [&rejected[..], &deferred[..]] {
        assert_eq!(invoke(arguments).status, Some(3), "{arguments:?}");
        assert_eq!(invoke(&[arguments, &["--no-fail"]].concat()).status, Some(0), "{arguments:?}");
    }
    assert_eq!(invoke(&["--sandbox", "events/sqs-sns-raw.json"]).status, Some(0));
}

#[test]
fn what_cannot_be_run_is_an_error_that_says_what_and_which() {
    for (arguments, told) in [
        (&["invoke", "--sandbox", "no-such-event.json"][..], "no-such-event.json"),
        (&["invoke", "events/s3-direct.json"], "CONNECTOR_SECRET_IDS"),
        (&["invoke", "--sandbox", "--fault", "explode", "events/s3-direct.json"], "explode"),
        (&["invoke", "--bucket", "b", "events/s3-direct.json"], "--sandbox"),
        (&["sandbox", "--secrets-manager", "--secret", "a={\"api_key\":1}"], "NAME=@FILE"),
        (&["sandbox", "--secrets-manager", "--secret", "a=@no-such-secret.json"], "no-such-secret.json"),
    ] {
        let run = Run::from(flexorch_s3(arguments).output().unwrap());
        assert!(matches!(run.status, Some(1 | 2)), "{arguments:?}");
        assert!(run.err.contains(told), "{arguments:?}: {run}");
    }
}

#[test]
fn every_sample_event_runs_through_the_sandbox() {
    let results = invoke(&["--sandbox", "--no-fail", "--json", "events"]).json();
    let failed: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| !result["error"].is_null())
        .map(|result| result["event"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["events/unknown.json"]);
    for result in results.as_array().unwrap() {
        let count = |field: &str| result["summary"][field].as_u64().unwrap();
        assert_eq!(count("received"), count("forwarded") + count("skipped") + count("rejected") + count("deferred"));
        assert_eq!(count("deferred"), 0, "{}", result["event"]);
    }
}

#[tokio::test]
async fn the_sandbox_prints_its_base_url_first_and_ends_on_sigterm() {
    let mut sandbox = tokio::process::Command::new(PROGRAM)
        .args(["sandbox", "--port", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
    let base = lines.next_line().await.unwrap().unwrap();
    assert!(base.starts_with("http://127.0.0.1:") && base.ends_with("/v1"), "{base}");
    let status = status_line(&base).await;
    assert!(status.contains("401"), "{status}");
    let pid = sandbox.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(sandbox.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_sandbox_runs_aws_services_and_prints_their_endpoints() {
    let mut sandbox = tokio::process::Command::new(PROGRAM)
        .args(["sandbox", "--port", "0", "--s3", "--bucket", "docs", "--objects", "1500", "--sqs", "--queue", "retry"])
        .args(["--secrets-manager", "--secret", "docs=@examples/secret.json"])
        .current_dir(REPOSITORY)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while !printed.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
        printed.push(lines.next_line().await.unwrap().unwrap());
    }
    for variable in ["AWS_ENDPOINT_URL_SECRETS_MANAGER=", "AWS_ENDPOINT_URL_S3=", "AWS_ENDPOINT_URL_SQS=", "queue: "] {
        assert!(printed.iter().any(|line| line.starts_with(&format!("{variable}http://127.0.0.1:"))), "{printed:?}");
    }
}

/// The status line of `GET {base}/connectors` without a key.
async fn status_line(base: &str) -> String {
    use tokio::io::AsyncWriteExt;
    let authority = base.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let request = format!("GET /v1/connectors HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream).lines().next_line().await.unwrap().unwrap()
}

#[test]
fn the_sandboxes_help_names_every_key_of_a_fault() {
    let help = String::from_utf8(flexorch_s3(&["sandbox", "--help"]).output().unwrap().stdout).unwrap();
    let words: Vec<_> = help.split(|c: char| !c.is_ascii_alphabetic() && c != '-').collect();
    for key in flexorch_sandbox::FAULT_KEYS {
        assert!(words.contains(key), "{key} is not in:\n{help}");
    }
}
