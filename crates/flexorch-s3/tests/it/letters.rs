//! `flexorch-s3 letters …` against dead letters that the function's own handler wrote, and messages that SQS moved.

use std::ops::Deref;
use std::process::Command;
use std::time::{Duration, Instant};

use flexorch_sandbox::SandboxOptions;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::stub::Stub;
use serde_json::{Value, json};

use crate::support::keys;
use crate::support::run::{Run, Running};
use crate::support::surroundings::{API_KEY, REGION, Surroundings};

const SECRET: &str = "flexorch/invoices";
/// A little longer than a letter stays hidden after a kill.
const HIDDEN: Duration = Duration::from_secs(301);

/// The queues `retry` and `dead`, the latter with the former's dead letters, and a connector's secret.
struct Depot(Surroundings);

impl Deref for Depot {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.0
    }
}

impl Depot {
    async fn open() -> Self {
        let depot = Self(Surroundings::start(SandboxOptions::default()).await);
        depot.queues.create("retry");
        depot.queues.create("dead");
        depot.queues.set_redrive("retry", "dead", 100);
        depot.queues.set_lenient_handles(false);
        let secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "docs", "region": REGION});
        depot.secrets.put(SECRET, secret.to_string());
        depot
    }

    /// Has the function's handler process an event, with `dead` as its dead-letter queue. Returns what it printed.
    async fn handle(&self, event: &str) -> String {
        let mut command = self.command(&["invoke", "-"]);
        command.env("CONNECTOR_SECRET_IDS", SECRET).env("DEAD_LETTER_QUEUE_URL", self.queues.url("dead"));
        Run::fed(command, event).await.shown()
    }

    /// Puts messages into `dead` as SQS moves them: without attributes.
    fn move_into_dead(&self, keys: &[String]) {
        for key in keys {
            self.queues.send("dead", &notification(&[key]), &[]).unwrap();
        }
    }

    fn letters(&self, action: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["letters", action]);
        if !more.iter().any(|option| ["--function", "--queue"].contains(option)) {
            command.args(["--queue", &self.queues.url("dead")]);
        }
        command.args(more);
        command
    }

    async fn run(&self, action: &str, more: &[&str]) -> Run {
        Run::of(self.letters(action, more)).await
    }

    /// The bodies in a queue, sorted.
    fn bodies(&self, queue: &str) -> Vec<String> {
        let mut bodies: Vec<_> = self.queues.messages(queue).into_iter().map(|message| message.body).collect();
        bodies.sort();
        bodies
    }

    /// Each of these keys is in `retry`, once, and `dead` is empty.
    #[track_caller]
    fn has_redriven(&self, keys: &[String]) {
        let mut expected: Vec<_> = keys.iter().map(|key| notification(&[key])).collect();
        expected.sort();
        assert_eq!(self.bodies("retry"), expected);
        assert_eq!(self.bodies("dead"), [""; 0]);
    }

    /// So many letters are in `dead`, and all of them are visible.
    #[track_caller]
    fn has_visible(&self, letters: usize) {
        let dead = self.queues.messages("dead");
        assert_eq!(dead.len(), letters);
        assert!(dead.iter().all(|letter| !letter.in_flight), "{dead:#?}");
    }

    /// Waits until this is so.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it does not happen");
    }

    /// A Lambda API with a function that has this dead-letter queue and reads these queues.
    async fn lambda(&self, dead_letters: Option<&str>, reads: &[&str]) -> Stub {
        let mappings: Vec<_> = reads
            .iter()
            .map(|queue| json!({"UUID": queue, "EventSourceArn": self.queues.arn(queue, REGION)}))
            .collect();
        let variables = dead_letters.map_or_else(|| json!({}), |url| json!({"DEAD_LETTER_QUEUE_URL": url}));
        // Both calls understand this, and each ignores the other's part.
        let response =
            json!({"FunctionName": "ingest", "Environment": {"Variables": variables}, "EventSourceMappings": mappings});
        Stub::start(move |_, _| (200, "application/json", response.to_string())).await.unwrap()
    }
}

fn notification(keys: &[&str]) -> String {
    let record = |key: &&str| {
        json!({"eventName": "ObjectCreated:Put", "eventTime": "2026-01-02T03:04:05Z",
               "s3": {"bucket": {"name": "docs"}, "object": {"key": key}}})
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()}).to_string()
}

/// An SQS event of messages with these bodies.
fn sqs_event(bodies: &[&str]) -> String {
    let message = |(number, body): (usize, &&str)| json!({"eventSource": "aws:sqs", "messageId": format!("m-{number}"), "body": body, "receiptHandle": "AQEB"});
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_codes_and_objects_of_the_functions_letters_and_leaves_all_of_them_visible() {
    let depot = Depot::open().await;
    depot.handle(&sqs_event(&[&notification(&["in/a+b.exe", "in/c.exe"]), "no event"])).await;
    depot.move_into_dead(&["in/d.pdf".to_owned()]);
    let run = depot.run("list", &[]).await;
    run.says(
        0,
        &[
            "4 dead letters in dead",
            "docs/in/a b.exe",
            "docs/in/d.pdf",
            "flexorch/invoices (42)",
            "letters redrive --queue",
        ],
    );
    for line in ["UNSUPPORTED_FILE", "UNREADABLE", "none"] {
        assert!(run.out.lines().any(|shown| shown.trim_start().starts_with(line)), "{line}: {run}");
    }
    depot.has_visible(4);
    let listed = depot
        .run("list", &["--code", "unsupported_file", "--connector", SECRET, "--limit", "1", "--json"])
        .await
        .json();
    assert_eq!((&listed["letters"], &listed["not_selected"]), (&json!(2), &json!(2)));
    assert_eq!(listed["groups"][0]["code"], "UNSUPPORTED_FILE");
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let listed = depot.run("list", &["--prefix", "in/a", "--json"]).await.json();
    assert_eq!((&listed["items"][0]["key"], &listed["letters"]), (&json!("in/a b.exe"), &json!(1)));
    let listed = depot.run("list", &["--newer-than", "7d", "--json"]).await.json();
    assert_eq!(listed["letters"], 1, "the age is the event's, and one letter has no event");
    depot.has_visible(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_letter_is_a_notification_again_which_the_function_forwards() {
    let depot = Depot::open().await;
    depot.handle(&notification(&["in/a.exe"])).await;
    let refused = depot.queues.messages("dead");
    assert_eq!(refused[0].attributes["code"], "UNSUPPORTED_FILE");
    let run = depot.run("redrive", &["--yes"]).await;
    run.says(0, &["UNSUPPORTED_FILE", "✓ 1 dead letter redriven to retry", "FlexOrch refuses such files"]);
    let redriven = depot.queues.messages("retry");
    assert_eq!((&redriven[0].body, redriven[0].attributes.len()), (&refused[0].body, 0));
    depot.has_visible(0);
    // The same object once FlexOrch takes it.
    let fixed = redriven[0].body.replace(".exe", ".pdf");
    assert!(depot.handle(&sqs_event(&[&fixed])).await.contains("forwarded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_selected_stays_visible_and_what_cannot_be_read_stays_unless_it_is_named() {
    let depot = Depot::open().await;
    depot.handle(&sqs_event(&[&notification(&["a.exe"]), "no event"])).await;
    depot.queues.send("dead", &notification(&["b.pdf"]), &[("trace", "t"), ("message", "not the function's")]).unwrap();
    depot
        .run("redrive", &["--code", "none", "--yes"])
        .await
        .says(0, &["1 dead letter in dead; 2 not selected", "1 dead letter redriven"]);
    let moved = depot.queues.messages("retry");
    assert_eq!(moved[0].attributes.keys().collect::<Vec<_>>(), ["message", "trace"], "as SQS had it");
    depot.has_visible(2);
    let rest = depot.run("redrive", &["--yes"]).await;
    rest.says(0, &["1 dead letter redriven", "--code UNREADABLE"]);
    assert_eq!(depot.bodies("dead"), ["no event"]);
    depot.run("redrive", &["--yes"]).await.says(0, &["nothing to do", "--code UNREADABLE"]);
    depot.run("redrive", &["--yes", "--code", "UNREADABLE"]).await.says(0, &["1 dead letter redriven"]);
    depot.has_visible(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_redrive_and_drop_show_the_plan_and_change_nothing() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 3));
    depot.run("redrive", &[]).await.says(1, &["3 dead letters in dead", "Redrive 3 dead letters to retry?", "--yes"]);
    depot.run("drop", &["--code", "none"]).await.says(1, &["Delete 3 dead letters for good?", "--yes"]);
    depot.has_visible(3);
    assert!(depot.bodies("retry").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_fails_in_a_batch_is_tried_again_and_none_is_sent_twice_or_lost() {
    for operation in ["SendMessageBatch", "DeleteMessageBatch"] {
        let depot = Depot::open().await;
        let keys = keys("in/", 25);
        depot.move_into_dead(&keys);
        depot.queues.set_latency(Duration::from_millis(20));
        depot.queues.set_operation_fault(operation, Some(AwsFault::PartialFailure));
        let running = Running::start(depot.letters("redrive", &["--yes"]));
        // The first letter goes alone, so that half of the second call fails.
        let calls = |depot: &Depot| depot.queues.calls().iter().filter(|call| call.operation == operation).count();
        depot.until(|depot| calls(depot) >= 2).await;
        depot.queues.set_operation_fault(operation, None);
        running.finish().await.says(0, &["25 dead letters redriven", "the last failure: InternalError"]);
        depot.has_redriven(&keys);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_deleted_is_reported_and_the_next_run_sends_it_again() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 12));
    depot.queues.set_operation_fault("DeleteMessageBatch", Some(AwsFault::Internal));
    let stopped = depot.run("redrive", &["--yes"]).await;
    let sent = depot.bodies("retry").len();
    stopped.says(1, &[&format!("{sent} sent, but not deleted"), "every letter failed", "12 dead letters left"]);
    assert!((1..=3).contains(&sent), "letters are sent one at a time until one is deleted: {sent}");
    depot.has_visible(12);
    depot.queues.set_operation_fault("DeleteMessageBatch", None);
    depot.run("redrive", &["--yes"]).await.says(0, &["12 dead letters redriven"]);
    assert_eq!((depot.bodies("retry").len(), depot.bodies("dead").len()), (12 + sent, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_after_one_letter_at_most() {
    for (operation, permission, sent) in
        [("SendMessageBatch", "sqs:SendMessage", 0), ("DeleteMessageBatch", "sqs:DeleteMessage", 1)]
    {
        let depot = Depot::open().await;
        depot.move_into_dead(&keys("in/", 12));
        depot.queues.set_operation_fault(operation, Some(AwsFault::AccessDenied));
        depot.run("redrive", &["--yes"]).await.says(1, &[permission, "stopped", "run the same command again"]);
        assert_eq!(depot.bodies("retry").len(), sent, "{operation}");
        depot.has_visible(12);
    }
    for (operation, permission) in
        [("GetQueueAttributes", "needs sqs:GetQueueAttributes on"), ("ReceiveMessage", "needs sqs:ReceiveMessage on")]
    {
        let depot = Depot::open().await;
        depot.queues.set_operation_fault(operation, Some(AwsFault::AccessDenied));
        depot.run("list", &[]).await.says(1, &[permission]);
    }
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 1));
    depot.queues.set_operation_fault("ChangeMessageVisibilityBatch", Some(AwsFault::AccessDenied));
    depot.run("list", &[]).await.says(0, &["1 dead letter hidden for up to 5m", "sqs:ChangeMessageVisibility"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_sqs_stops_the_run_and_loses_nothing() {
    let depot = Depot::open().await;
    let keys = keys("in/", 30);
    depot.move_into_dead(&keys);
    depot.queues.set_operation_fault("SendMessageBatch", Some(AwsFault::Internal));
    let stopped = depot.run("redrive", &["--yes", "--json"]).await;
    stopped.says(1, &["every letter failed", "InternalError"]);
    assert_eq!((&stopped.json()["done"], &stopped.json()["state"]), (&json!(0), &json!("stopped")));
    depot.has_visible(30);
    depot.queues.set_operation_fault("SendMessageBatch", None);
    depot.run("redrive", &["--yes"]).await.says(0, &["30 dead letters redriven"]);
    depot.has_redriven(&keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_makes_the_letters_visible_and_the_next_run_continues() {
    let depot = Depot::open().await;
    let keys = keys("in/", 40);
    depot.move_into_dead(&keys);
    let mut running = Running::start(depot.letters("redrive", &["--yes", "--per-minute", "60"]));
    running.until_printed("redriving 40 dead letters from dead to retry").await;
    depot.until(|depot| !depot.bodies("retry").is_empty()).await;
    running.signal("-INT");
    let run = running.finish().await;
    run.says(130, &["interrupted", "visible again", "run the same command again"]);
    let done = depot.bodies("retry").len();
    assert!((1..40).contains(&done), "{done}: {run}");
    depot.has_visible(40 - done);
    depot.run("redrive", &["--yes"]).await.says(0, &[]);
    depot.has_redriven(&keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_the_letters_are_read_changes_nothing() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 200));
    depot.queues.set_latency(Duration::from_millis(100));
    for action in [&["list"][..], &["redrive", "--yes"]] {
        let running = Running::start(depot.letters(action[0], &action[1..]));
        depot.until(|depot| depot.queues.messages("dead").iter().any(|letter| letter.in_flight)).await;
        running.signal("-TERM");
        running.finish().await.says(130, &["interrupted before all letters were read"]);
        depot.has_visible(200);
    }
    assert!(depot.bodies("retry").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redrive_loses_nothing_and_repeats_no_more_than_what_was_in_flight() {
    let depot = Depot::open().await;
    let keys = keys("in/", 300);
    depot.move_into_dead(&keys);
    let running = Running::start(depot.letters("redrive", &["--yes"]));
    depot.until(|depot| depot.bodies("retry").len() >= 20).await;
    // From here on, what is sent is not deleted: some of it is in both queues when the program is killed.
    depot.queues.set_operation_fault("DeleteMessageBatch", Some(AwsFault::Hang));
    depot.until(|depot| depot.bodies("retry").len() + depot.bodies("dead").len() > keys.len()).await;
    running.signal("-KILL");
    running.finish().await;
    depot.queues.set_operation_fault("DeleteMessageBatch", None);
    let left = depot.bodies("dead").len();
    assert!(left > 0, "it was finished before the kill");
    let hidden = depot.run("list", &[]).await;
    hidden.says(0, &["more hidden", "visible within 5m"]);
    depot.queues.skip(HIDDEN);
    depot.run("redrive", &["--yes"]).await.says(0, &[&format!("{left} dead letters redriven")]);
    let redriven = depot.bodies("retry");
    assert!(redriven.len() <= 340, "{}", redriven.len());
    let mut distinct = redriven;
    distinct.dedup();
    assert_eq!(distinct.len(), 300);
    depot.has_visible(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_dead_letter_queue_is_read_and_only_its_source_is_sent_to() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 2));
    let (retry, dead) = (depot.queues.url("retry"), depot.queues.url("dead"));
    depot.run("list", &["--queue", &retry]).await.says(2, &["is not a dead-letter queue", "--function"]);
    depot.run("drop", &["--queue", &retry, "--all", "--yes"]).await.says(2, &["is not a dead-letter queue"]);
    depot
        .run("redrive", &["--to", &dead, "--yes"])
        .await
        .says(2, &["is the dead-letter queue itself", "nothing was sent"]);
    for wrong in ["dead", "https://example.com/dead"] {
        depot.run("list", &["--queue", wrong]).await.says(2, &["expected the queue's ARN or its plain URL"]);
    }
    let absent = depot.queues.url("nothing-here");
    depot.run("list", &["--queue", &absent]).await.says(1, &["--queue", "sqs:GetQueueAttributes on", "does not exist"]);
    // Without the permission, the operator's word counts; sending needs to know where to.
    depot.queues.set_operation_fault("ListDeadLetterSourceQueues", Some(AwsFault::AccessDenied));
    depot.run("list", &["--queue", &dead]).await.says(0, &["could not be checked", "sqs:ListDeadLetterSourceQueues"]);
    depot.run("redrive", &["--yes"]).await.says(1, &["sqs:ListDeadLetterSourceQueues"]);
    depot.run("list", &["--queue", &retry]).await.says(1, &["sqs:ListDeadLetterSourceQueues"]);
    depot.queues.set_operation_fault("ListDeadLetterSourceQueues", None);
    let foreign = dead.replace("123456789012", "999999999999");
    depot.run("list", &["--queue", &foreign]).await.says(1, &["999999999999", "the account"]);
    depot.run("redrive", &["--to", &absent, "--yes"]).await.says(1, &["--to", "nothing-here"]);

    depot.queues.create("other");
    depot.queues.set_redrive("other", "dead", 3);
    depot.run("redrive", &["--yes"]).await.says(2, &["dead: it has several source queues", &retry, "--to"]);
    depot.has_visible(2);
    let arn = depot.queues.arn("other", REGION);
    depot.run("redrive", &["--to", &arn, "--yes"]).await.says(0, &["2 dead letters redriven to other"]);
    assert_eq!(depot.bodies("other").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_names_its_dead_letter_queue_and_the_queue_that_it_reads() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 2));
    depot.queues.create("other");
    depot.queues.set_redrive("other", "dead", 3);
    let lambda = depot.lambda(Some(&depot.queues.url("dead")), &["retry", "unrelated"]).await;
    let function = async |lambda: &Stub, action, more: &[&str]| {
        let mut command = depot.letters(action, &[&["--function", "ingest"], more].concat());
        command.env("AWS_ENDPOINT_URL_LAMBDA", lambda.url());
        Run::of(command).await
    };
    function(&lambda, "list", &[]).await.says(0, &["2 dead letters in dead", "letters redrive --function ingest"]);
    function(&lambda, "redrive", &["--yes"]).await.says(0, &["2 dead letters redriven to retry"]);
    let of_work = depot.lambda(Some(&depot.queues.url("retry")), &["retry"]).await;
    function(&of_work, "list", &[])
        .await
        .says(2, &["DEAD_LETTER_QUEUE_URL of function ingest", "is not a dead-letter queue"]);
    let unset = depot.lambda(None, &["retry"]).await;
    function(&unset, "list", &[]).await.says(1, &["has no DEAD_LETTER_QUEUE_URL", "--queue"]);
    let denied = Stub::start(|_, _| {
        (403, "application/json", r#"{"Message":"not authorized","Code":"AccessDeniedException"}"#.to_owned())
    });
    function(&denied.await.unwrap(), "list", &[]).await.says(1, &["needs lambda:GetFunctionConfiguration on ingest"]);
    depot
        .run("list", &["--queue", &depot.queues.url("dead"), "--function", "ingest"])
        .await
        .says(2, &["cannot be used with"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_needs_a_filter_or_all_and_deletes_only_what_it_selects() {
    let depot = Depot::open().await;
    depot.handle(&sqs_event(&[&notification(&["in/a.exe"]), "no event"])).await;
    depot.queues.send("dead", &notification(&["in/b.pdf", "out/c.pdf"]), &[]).unwrap();
    depot.run("drop", &["--yes"]).await.says(2, &["would delete every dead letter", "--all", "nothing was deleted"]);
    depot.run("drop", &["--all", "--code", "none", "--yes"]).await.says(2, &["cannot be used with"]);
    depot.has_visible(3);
    depot
        .run("drop", &["--prefix", "in/", "--yes"])
        .await
        .says(0, &["1 dead letter in dead; 2 not selected", "1 dead letter deleted"]);
    assert!(depot.bodies("dead").contains(&notification(&["in/b.pdf", "out/c.pdf"])), "it names another key too");
    depot.run("drop", &["--code", "UNREADABLE", "--yes"]).await.says(0, &["1 dead letter deleted"]);
    let done = depot.run("drop", &["--all", "--yes", "--json"]).await.json();
    assert_eq!((&done["action"], &done["done"], &done["state"]), (&json!("drop"), &json!(1), &json!("complete")));
    depot.has_visible(0);
    assert!(depot.bodies("retry").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn export_writes_every_letter_whole_and_deletes_none() {
    let depot = Depot::open().await;
    depot.handle(&notification(&["in/a.exe"])).await;
    depot.move_into_dead(&["in/b.pdf".to_owned()]);
    depot.run("export", &["--output", "letters.jsonl"]).await.says(0, &["2 dead letters written to letters.jsonl"]);
    let text = std::fs::read_to_string(depot.folder.path().join("letters.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut bodies: Vec<_> = lines.iter().map(|line| line["body"].as_str().unwrap().to_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, depot.bodies("dead"));
    let refused = lines.iter().find(|line| line["code"] == "UNSUPPORTED_FILE").unwrap();
    assert_eq!(refused["attributes"]["connector"], json!({"type": "String", "value": SECRET}));
    assert_eq!((&refused["bucket"], &refused["key"]), (&json!("docs"), &json!("in/a.exe")));
    depot
        .run("export", &["--output", "letters.jsonl"])
        .await
        .says(1, &["letters.jsonl", "not overwritten", "nothing was read"]);
    let printed = depot.run("export", &["--code", "none"]).await;
    assert_eq!(printed.json()["key"], "in/b.pdf");
    depot.has_visible(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_keeps_to_its_pace() {
    let depot = Depot::open().await;
    depot.move_into_dead(&keys("in/", 4));
    let mut running = Running::start(depot.letters("redrive", &["--yes", "--per-minute", "120"]));
    running.until_printed("redriving 4 dead letters from dead to retry, in about 2s").await;
    let begun = Instant::now();
    running.finish().await.says(0, &["4 dead letters redriven"]);
    // Half a second after the first letter come the others.
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_keeps_its_group_and_in_a_fifo_queue_its_deduplication_id() {
    let depot = Depot::open().await;
    for (dead, retry) in [("dead.fifo", "retry.fifo"), ("fair-dead", "fair-retry")] {
        depot.queues.create(dead);
        depot.queues.create(retry);
        depot.queues.set_redrive(retry, dead, 3);
        for key in ["a", "b", "c"] {
            depot.queues.send_in_group(dead, &notification(&[key]), "g", key).unwrap();
        }
        let url = depot.queues.url(dead);
        depot
            .run("redrive", &["--queue", &url, "--to", &depot.queues.url("retry.fifo"), "--yes"])
            .await
            .says(if dead == "dead.fifo" { 0 } else { 2 }, &[]);
        if dead == "fair-dead" {
            depot.run("redrive", &["--queue", &url, "--yes"]).await.says(0, &["3 dead letters redriven"]);
        }
        let redriven = depot.queues.messages(retry);
        let bodies: Vec<_> = redriven.iter().map(|message| message.body.clone()).collect();
        assert_eq!(bodies, ["a", "b", "c"].map(|key| notification(&[key])), "in order");
        assert!(redriven.iter().all(|message| message.group.as_deref() == Some("g")));
        assert_eq!(redriven[0].deduplication_id.as_deref(), (dead == "dead.fifo").then_some("a"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_happen_to_letters_by_themselves_is_pointed_out() {
    let depot = Depot::open().await;
    depot.queues.create("deader");
    depot.queues.set_redrive("dead", "deader", 7);
    depot.move_into_dead(&keys("in/", 1));
    depot
        .run("list", &[])
        .await
        .says(0, &["dead moves a message to arn:aws:sqs:eu-west-1:123456789012:deader after 7 receives"]);
    depot.queues.set_retention("dead", Duration::from_secs(4 * 86_400 + 3600));
    assert!(!depot.run("list", &[]).await.shown().contains("SQS deletes the oldest"));
    depot.queues.set_retention("dead", Duration::from_secs(2 * 86_400));
    depot.run("list", &[]).await.says(0, &["SQS deletes the oldest in 4"]);
}
