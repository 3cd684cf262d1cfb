//! Receipts of what `submit` and `backfill` send: as the function's, so that these documents are tracked too.

use std::collections::BTreeSet;
use std::process::Command;

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::stub::Stub;
use serde_json::{Value, json};

use crate::support::keys;
use crate::support::run::Run;
use crate::support::site::{SECRET, Site};
use crate::support::surroundings::REGION;

const QUEUE: &str = "receipts";

/// A site with a queue for receipts.
async fn site() -> Site {
    let site = Site::start().await;
    site.queues.create(QUEUE);
    site
}

fn receipts(site: &Site) -> Vec<Value> {
    site.queues.messages(QUEUE).iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
}

/// The keys that the receipts name.
fn keys_of(site: &Site) -> Vec<String> {
    let documents = receipts(site).into_iter().flat_map(|receipt| receipt["documents"].as_array().unwrap().clone());
    documents.map(|document| document["key"].as_str().unwrap().to_owned()).collect()
}

/// A Lambda API with a function that has these variables.
async fn lambda(variables: Value) -> Stub {
    let response = json!({"FunctionName": "ingest", "Environment": {"Variables": variables}}).to_string();
    Stub::start(move |_, _| (200, "application/json", response.clone())).await.unwrap()
}

#[tokio::test]
async fn submit_sends_a_receipt_for_every_request_in_the_functions_format() {
    let site = site().await;
    let url = site.queues.url(QUEUE);
    let names = keys("k", 150);
    std::fs::write(site.folder.path().join("keys.txt"), format!("{}\nvirus.exe", names.join("\n"))).unwrap();
    let output = site.run(&["submit", "--keys-from", "keys.txt", "--concurrency", "1", "--receipts-queue", &url]).await;
    assert_eq!(output.status, Some(3), "{output}");
    let receipts = receipts(&site);
    let sizes: Vec<_> = receipts.iter().map(|receipt| receipt["documents"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 51]);
    assert_eq!(keys_of(&site), site.flexorch.submitted_keys());
    let [first, second] = &receipts[..] else { unreachable!() };
    assert_eq!(
        (&first["version"], &first["connector"], &first["connector_id"]),
        (&json!(1), &json!(SECRET), &json!(42))
    );
    assert_eq!(
        first["documents"][0],
        json!({"bucket": "my-documents", "key": "k000.pdf", "outcome": "forwarded", "job_id": "j-1"})
    );
    assert_eq!(second["documents"][50]["outcome"], "rejected");
    assert_eq!(second["documents"][50]["code"], "UNSUPPORTED_FILE");
}

#[tokio::test]
async fn backfill_sends_receipts_with_the_listings_etag_and_a_second_run_sends_none() {
    let site = site().await;
    let names = keys("in/", 250);
    site.fill(names.clone());
    let arn = site.queues.arn(QUEUE, REGION);
    let output = site.run(&["backfill", "--receipts-queue", &arn]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!(receipts(&site).len(), 3);
    assert_eq!(keys_of(&site).into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
    assert!(receipts(&site)[0]["documents"][0]["etag"].is_string(), "{:?}", receipts(&site)[0]);
    assert_eq!(site.run(&["backfill", "--receipts-queue", &arn]).await.status, Some(0));
    assert_eq!(receipts(&site).len(), 3);
}

#[tokio::test]
async fn the_queue_is_named_by_option_by_environment_or_by_the_function_that_has_it() {
    let site = site().await;
    let url = site.queues.url(QUEUE);
    let tracked = lambda(json!({"RECEIPTS_QUEUE_URL": url})).await;
    let untracked = lambda(json!({})).await;
    let mut expected = Vec::new();
    let with = |key: &str, change: &dyn Fn(&mut Command)| {
        let mut command = site.command(&["submit", key]);
        change(&mut command);
        command
    };
    for (key, command, is_sent) in [
        ("a.pdf", with("a.pdf", &|command| _ = command.env("RECEIPTS_QUEUE_URL", &url)), true),
        (
            "b.pdf",
            with("b.pdf", &|command| {
                // A typed function is used instead of the variable, whatever that is.
                command.args(["--function", "ingest"]).env("AWS_ENDPOINT_URL_LAMBDA", tracked.url());
                _ = command.env("RECEIPTS_QUEUE_URL", "no queue")
            }),
            true,
        ),
        (
            "c.pdf",
            with("c.pdf", &|command| {
                _ = command.args(["--function", "ingest"]).env("AWS_ENDPOINT_URL_LAMBDA", untracked.url())
            }),
            false,
        ),
        ("d.pdf", with("d.pdf", &|_| {}), false),
    ] {
        let output = Run::of(command).await;
        output.says(0, &["forwarded 1"]);
        assert_eq!(output.err.contains("function ingest has no RECEIPTS_QUEUE_URL"), key == "c.pdf", "{output}");
        expected.extend(is_sent.then(|| key.to_owned()));
    }
    assert_eq!(keys_of(&site), expected);
    let calls = site.queues.calls();
    assert_eq!(calls.len(), 2, "nothing else is asked of SQS: {calls:?}");
}

#[tokio::test]
async fn a_backfill_to_the_queue_leaves_the_receipts_to_the_function() {
    let site = site().await;
    site.fill(keys("in/", 5));
    let (retry, receipts_queue) = (site.queues.url("retry"), site.queues.url(QUEUE));
    let output = site.run(&["backfill", "--queue", &retry, "--receipts-queue", &receipts_queue]).await;
    assert_eq!(output.status, Some(0), "{output}");
    assert_eq!((site.queues.messages("retry").len(), receipts(&site).len()), (1, 0));
}

/// An SQS that refuses these messages, which is no reason to expect that it refuses the next ones.
async fn refusing() -> Stub {
    Stub::refusing("InvalidMessageContents", "The message has characters that are not allowed.").await.unwrap()
}

/// The command line with these arguments and that SQS.
fn refused(site: &Site, sqs: &Stub, arguments: &[&str]) -> Command {
    let mut command = site.command(arguments);
    command.env("AWS_ENDPOINT_URL_SQS", sqs.url());
    command
}

#[tokio::test]
async fn receipts_that_cannot_be_sent_are_a_problem_that_is_reported_and_what_was_sent_stays_sent() {
    let site = site().await;
    site.fill(keys("in/", 150));
    site.queues.set_fault(Some(AwsFault::AccessDenied));
    let url = site.queues.url(QUEUE);
    let output = site.run(&["submit", "a.pdf", "--receipts-queue", &url]).await;
    output.says(
        3,
        &[
            "forwarded 1",
            "1 receipt with 1 document could not be sent",
            "sqs:SendMessage",
            "submit these keys again with `flexorch-s3 submit --function NAME`",
        ],
    );
    let output = Run::of(refused(&site, &refusing().await, &["backfill", "--receipts-queue", &url])).await;
    output.says(3, &["forwarded  150", "2 receipts with 150 documents could not be sent"]);
    let verbose = site.run(&["submit", "b.pdf", "--receipts-queue", &url, "-v"]).await;
    assert!(verbose.err.contains(r#"{\"b.pdf\":\"j-"#), "{verbose}");
    // FlexOrch knows the document, and its job is not lost.
    site.queues.set_fault(None);
    site.run(&["submit", "a.pdf", "--receipts-queue", &url]).await.says(0, &["known content"]);
    let document = receipts(&site)[0]["documents"][0].clone();
    assert_eq!((&document["duplicate"], &document["job_id"]), (&json!(true), &json!("j-1")));
}

#[tokio::test]
async fn without_a_bucket_or_with_a_queue_that_is_none_nothing_is_sent() {
    let site = site().await;
    site.run(&["submit", "a.pdf", "--receipts-queue", "receipts"])
        .await
        .says(2, &["--receipts-queue", "expected the queue's ARN"]);
    site.put_secret(&json!({"bucket": null}));
    let url = site.queues.url(QUEUE);
    site.run(&["submit", "a.pdf", "--receipts-queue", &url]).await.says(1, &["names no bucket", "nothing was sent"]);
    assert!(site.flexorch.requests().is_empty());
}

#[tokio::test]
async fn a_backfill_is_not_done_before_every_receipt_is_sent() {
    let site = site().await;
    let names = keys("in/", 150);
    site.fill(names.clone());
    let url = site.queues.url(QUEUE);
    let run = Run::of(refused(&site, &refusing().await, &["backfill", "--receipts-queue", &url])).await;
    run.says(3, &["finished without all receipts", "untracked  150", "Run the same command again"]);
    let without = site.run(&["backfill"]).await;
    without.says(3, &["untracked  150", "Run the same command with --receipts-queue or --function"]);
    let run = site.run(&["backfill", "--receipts-queue", &url, "--json"]).await;
    assert_eq!((run.status, &run.json()["without_receipt"]), (Some(0), &json!(0)), "{run}");
    assert_eq!(run.json()["summary"]["forwarded"], 150, "each counts once");
    assert_eq!(keys_of(&site).into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
    let document = &receipts(&site)[0]["documents"][0];
    assert!(document["duplicate"] == true && document["job_id"].is_string() && document["etag"].is_string());
    let submitted = site.submitted_keys().len();
    site.run(&["backfill", "--receipts-queue", &url]).await.says(0, &["The journal is finished; nothing to do"]);
    assert_eq!((site.submitted_keys().len(), receipts(&site).len()), (submitted, 2));
}

#[tokio::test]
async fn a_receipts_queue_that_refuses_or_does_not_exist_stops_a_backfill() {
    let site = site().await;
    site.fill(keys("in/", 1000));
    let url = site.queues.url(QUEUE);
    site.queues.set_fault(Some(AwsFault::AccessDenied));
    let run = site.run(&["backfill", "--receipts-queue", &url, "--concurrency", "1"]).await;
    let needs = format!("your AWS identity needs sqs:SendMessage on {url}");
    run.says(1, &["receipts cannot be sent to", &needs, "to continue, run the same command again", "untracked  100"]);
    site.queues.set_fault(None);
    let wrong = url.replace("/receipts", "/wrong");
    let run = site.run(&["backfill", "--receipts-queue", &wrong, "--concurrency", "1"]).await;
    run.says(1, &["receipts cannot be sent to", "check the queue's name, region and account"]);
    site.run(&["backfill", "--receipts-queue", &url]).await.says(0, &["✓ finished", "forwarded  1000"]);
    assert_eq!(keys_of(&site).into_iter().collect::<BTreeSet<_>>(), keys("in/", 1000).into_iter().collect());
}

#[tokio::test]
async fn an_empty_variable_is_not_a_queue_and_a_wrong_one_is_named() {
    let site = site().await;
    for (value, status) in [("", 0), (" ", 0), ("receipts", 2)] {
        let mut command = site.command(&["submit", "a.pdf"]);
        command.env("RECEIPTS_QUEUE_URL", value);
        let run = Run::of(command).await;
        assert_eq!(run.status, Some(status), "{run}");
        assert_eq!(run.err.contains("RECEIPTS_QUEUE_URL is \"receipts\""), status == 2, "{run}");
    }
    let mut command = site.command(&["submit", "--help"]);
    command.env("RECEIPTS_QUEUE_URL", site.queues.url(QUEUE));
    let run = Run::of(command).await;
    assert!(run.ok().contains("RECEIPTS_QUEUE_URL") && !run.out.contains(&site.queues.url(QUEUE)), "{run}");
}
