//! Receipts: what FlexOrch took and rejected, request by request, in a queue, before the event is acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use flexorch_s3_ingester::model::codes::attribute;
use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::wait_until;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::app::{DEAD_LETTERS, RECEIPTS, SECRET, connector_secret};
use crate::support::events::{keys, s3_record, sample};
use crate::support::surroundings::API_KEY;
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

/// A function that sends receipts, one request at a time.
async fn builder() -> TestAppBuilder {
    TestAppBuilder::new().await.receipts().env("MAX_CONCURRENT_REQUESTS", 1)
}

/// The receipts so far, oldest first.
fn receipts(app: &TestApp) -> Vec<Value> {
    app.queues.messages(RECEIPTS).iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
}

/// The documents of a receipt.
fn documents(receipt: &Value) -> &[Value] {
    receipt["documents"].as_array().unwrap()
}

/// A field of each document, as text.
fn texts<'a>(receipt: &'a Value, field: &str) -> Vec<&'a str> {
    documents(receipt).iter().map(|document| document[field].as_str().unwrap()).collect()
}

/// The keys that each receipt names, separated by spaces.
fn keys_of(app: &TestApp) -> Vec<String> {
    receipts(app).iter().map(|receipt| texts(receipt, "key").join(" ")).collect()
}

#[tokio::test]
async fn a_receipt_says_what_was_submitted_when_and_as_which_job() {
    for (id, body_id) in [(json!(42), json!("j-1")), (json!("c-42"), json!(7))] {
        let body = json!({"data": {"job_ids": [body_id]}}).to_string().replace(',', "\\,");
        let mut secret = connector_secret();
        secret["connector_id"] = id.clone();
        let app = builder()
            .await
            .secrets([(SECRET, secret)])
            .fault(&format!("status=202,body={body},content-type=application/json"))
            .start()
            .await;
        let mut event = s3_event(["in/a+b%2B.pdf"]);
        event["Records"][0]["s3"]["object"] =
            json!({"key": "in/a+b%2B.pdf", "size": 1, "versionId": "v1", "eTag": "e1", "sequencer": "0055AE"});
        let before = Timestamp::now();
        app.invoke(event).await.ok();
        let [receipt] = &receipts(&app)[..] else { panic!("one receipt: {:#?}", receipts(&app)) };
        let submitted_at = receipt["submitted_at"].as_str().unwrap();
        let time: Timestamp = submitted_at.parse().unwrap();
        assert!(before.as_millisecond() <= time.as_millisecond() && time <= Timestamp::now(), "{submitted_at}");
        assert_eq!(submitted_at.len(), "2026-11-24T07:00:00.123Z".len());
        let expected = json!({
            "version": 1, "connector": SECRET, "connector_id": id, "submitted_at": submitted_at,
            "documents": [{
                "bucket": "my-documents", "key": "in/a b+.pdf", "version_id": "v1", "etag": "e1",
                "event_time": "2026-01-31T10:00:00.000Z", "outcome": "forwarded", "job_id": body_id,
            }],
        });
        assert_eq!(*receipt, expected);
    }
}

#[tokio::test]
async fn a_warm_event_of_one_object_costs_exactly_one_sqs_call_more_and_none_without_a_queue() {
    for (with_receipts, calls) in [(true, 1), (false, 0)] {
        let app = TestAppBuilder::new().await;
        let app = if with_receipts { app.receipts() } else { app }.dead_letters().start().await;
        for (number, event) in [s3_event(["a.pdf"]), sqs_event([s3_event(["b.pdf"])])].into_iter().enumerate() {
            app.invoke(event).await.ok();
            assert_eq!(app.queues.calls().len(), (number + 1) * calls);
        }
        assert_eq!(app.requests().len(), 2);
        assert_eq!(receipts(&app).len(), 2 * calls);
    }
}

#[tokio::test]
async fn every_request_that_was_taken_has_one_receipt_all_in_one_call() {
    let app = builder().await.env("MAX_KEYS_PER_REQUEST", 2).start().await;
    let names = keys("k", 7);
    app.invoke(s3_event(names.iter().map(String::as_str))).await.ok();
    let taken: Vec<_> = app.requests().iter().map(|request| request.keys.join(" ")).collect();
    assert_eq!((taken.len(), app.queues.calls().len()), (4, 1));
    assert_eq!(keys_of(&app), taken);
}

#[tokio::test]
async fn a_response_that_rejects_some_keys_has_one_receipt_that_names_all_with_code_and_message() {
    let app = builder().await.dead_letters().start().await;
    app.invoke(s3_event(["a.pdf", "virus.exe", "b.pdf"])).await.ok();
    let [receipt] = &receipts(&app)[..] else { panic!("one receipt: {:#?}", receipts(&app)) };
    assert_eq!(texts(receipt, "key"), ["a.pdf", "virus.exe", "b.pdf"]);
    assert_eq!(texts(receipt, "outcome"), ["forwarded", "rejected", "forwarded"]);
    let rejected = &documents(receipt)[1];
    let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
    assert_eq!(rejected["code"].as_str(), Some(letter.attributes[attribute::CODE].as_str()));
    let message = rejected["message"].as_str().unwrap_or("-");
    assert_eq!(message, letter.attributes[attribute::MESSAGE]);
    assert!(rejected.get("job_id").is_none() && documents(receipt)[0].get("code").is_none(), "{receipt}");
}

#[tokio::test]
async fn of_a_halved_request_each_part_that_was_taken_and_each_key_that_was_refused_alone_has_a_receipt() {
    let app = builder().await.fault("status=415,code=UNSUPPORTED_FILE,message=no such type,key=*bad*").start().await;
    let mut names = keys("k", 99);
    names.insert(37, "bad.pdf".to_owned());
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert_eq!((&answer.ok()["forwarded"], &answer.ok()["rejected"]), (&json!(99), &json!(1)));
    let taken = app.requests().iter().filter(|request| request.status == Some(202)).count();
    let receipts = receipts(&app);
    assert_eq!(receipts.len(), taken + 1);
    let alone: Vec<_> = receipts.iter().filter(|receipt| texts(receipt, "outcome").contains(&"rejected")).collect();
    let [alone] = &alone[..] else { panic!("one rejected: {alone:#?}") };
    let expected = json!([{"bucket": "my-documents", "key": "bad.pdf", "event_time": "2026-01-31T10:00:00.000Z",
        "outcome": "rejected", "code": "UNSUPPORTED_FILE", "message": "no such type"}]);
    assert_eq!(alone["documents"], expected);
    let mut named: Vec<_> = receipts.iter().flat_map(|receipt| texts(receipt, "key")).collect();
    named.sort_unstable();
    names.sort_unstable();
    assert_eq!(named, names);
}

#[tokio::test]
async fn a_known_duplicate_is_forwarded_and_marked() {
    let app = builder().await.start().await;
    for _ in 0..2 {
        app.invoke(s3_event(["a.pdf"])).await.ok();
    }
    let [first, second] = &receipts(&app)[..] else { panic!("two receipts") };
    assert!(documents(first)[0].get("duplicate").is_none(), "{first}");
    assert_eq!(
        (&documents(second)[0]["outcome"], &documents(second)[0]["duplicate"]),
        (&json!("forwarded"), &json!(true))
    );
    assert_eq!(documents(first)[0]["job_id"], documents(second)[0]["job_id"]);
}

#[tokio::test]
async fn what_is_skipped_or_deferred_is_in_no_receipt() {
    for fault in ["status=503", "status=402", "status=400,code=VALIDATION_ERROR", "reject=*.pdf,code=QUOTA_EXCEEDED"] {
        let app = builder().await.fault(fault).env("MAX_ATTEMPTS", 1).env("KEY_SUFFIXES", ".pdf").start().await;
        app.invoke(sqs_event([s3_event(["a.pdf"]), s3_event(["b.txt"])])).await.ok();
        assert!(receipts(&app).is_empty(), "{fault}: {:#?}", receipts(&app));
        assert!(app.queues.calls().iter().all(|call| call.operation != "SendMessageBatch"), "{fault}");
    }
}

#[tokio::test]
async fn a_rejected_object_that_is_not_in_the_dead_letter_queue_is_deferred_and_gets_its_receipt_when_it_is_rejected_again()
 {
    let app = builder().await.dead_letters().env("AWS_MAX_ATTEMPTS", 1).start().await;
    app.queues.fail_next(1, AwsFault::AccessDenied);
    let event = || sqs_event([s3_event(["a.pdf", "b.exe"])]);
    app.invoke(event()).await.ok();
    let [first] = &receipts(&app)[..] else { panic!("one receipt") };
    assert_eq!(texts(first, "key"), ["a.pdf"]);
    app.invoke(event()).await.ok();
    assert_eq!(texts(&receipts(&app)[1], "outcome"), ["forwarded", "rejected"]);
}

#[tokio::test]
async fn a_request_of_more_than_a_hundred_keys_has_several_receipts() {
    let app = builder()
        .await
        .sandbox(|options| options.max_keys_per_request = 1000)
        .env("MAX_KEYS_PER_REQUEST", 1000)
        .start()
        .await;
    let names = keys("k", 250);
    app.invoke(s3_event(names.iter().map(String::as_str))).await.ok();
    assert_eq!(app.requests().len(), 1);
    let receipts = receipts(&app);
    assert_eq!(receipts.iter().map(|receipt| documents(receipt).len()).collect::<Vec<_>>(), [100, 100, 50]);
    assert!(receipts.iter().all(|receipt| receipt["submitted_at"] == receipts[0]["submitted_at"]));
}

#[tokio::test]
async fn long_keys_whatever_their_characters_are_split_into_receipts_of_256_kb() {
    let app = builder().await.start().await;
    // A control character takes six bytes in JSON, and two others are refused by SQS unless they are escaped.
    let long = |number: usize| format!("{number:03}%EF%BF%BE%EF%BF%BF{}.pdf", "%01".repeat(500));
    let names: Vec<_> = (0..100).map(long).collect();
    assert_eq!(app.invoke(s3_event(names.iter().map(String::as_str))).await.ok()["forwarded"], 100);
    assert_eq!(app.requests().len(), 1);
    let messages = app.queues.messages(RECEIPTS);
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.body.len() <= 262_144));
    let receipts = receipts(&app);
    // Each is a call for itself, and the calls are concurrent.
    let mut named: Vec<_> = receipts.iter().flat_map(|receipt| texts(receipt, "key")).collect();
    named.sort_unstable();
    assert_eq!(named, app.submitted_keys());
    assert!(named[0].contains("\u{fffe}\u{ffff}"));
}

#[tokio::test]
async fn whatever_brings_an_object_its_request_has_a_receipt() {
    let job = sample("batch-job-2.0.json");
    let task_keys = job["tasks"].as_array().unwrap().len();
    let reconcile = json!({"reconcile": {"since": "PT1H"}});
    let mixed = sqs_event([s3_event(["a.pdf"]), reconcile.clone(), s3_event(["b.pdf"])]);
    for (event, objects) in [
        (sample("s3-direct.json"), None),
        (sample("eventbridge-direct.json"), None),
        (job, Some(task_keys)),
        (reconcile, Some(1)),
        (mixed, Some(3)),
    ] {
        let text = event.to_string();
        let bucket = |name: &str| json!({"api_key": API_KEY, "connector_id": 42, "bucket": name});
        let app = builder()
            .await
            .secrets([(SECRET, bucket("my-documents")), ("any", json!({"api_key": API_KEY, "connector_id": 43}))]);
        let app = app.start().await;
        app.buckets.put("my-documents", "listed.pdf", 10, std::time::SystemTime::now());
        app.invoke(event).await.ok();
        let receipts = receipts(&app);
        let named: usize = receipts.iter().map(|receipt| documents(receipt).len()).sum();
        let mut keys: Vec<_> = receipts.iter().flat_map(|receipt| texts(receipt, "key")).collect();
        let mut submitted = app.submitted_keys();
        keys.sort_unstable();
        submitted.sort_unstable();
        assert_eq!(keys, submitted, "{text}");
        assert!(objects.map_or(named > 0, |objects| named == objects), "{named}: {text}");
    }
}

#[tokio::test]
async fn each_connectors_receipt_names_it() {
    let connector =
        |id: u32| json!({"api_key": format!("dfx_key_{id}"), "connector_id": id, "bucket": format!("b{id}")});
    let app = builder().await.secrets([("one", connector(1)), ("two", connector(2))]).start().await;
    app.invoke(json!({"Records": [s3_record("b1", "a.pdf"), s3_record("b2", "a.pdf")]})).await.ok();
    let mut seen: Vec<_> = receipts(&app)
        .into_iter()
        .map(|receipt| {
            (receipt["connector"].to_string(), receipt["connector_id"].to_string(), texts(&receipt, "bucket").join(" "))
        })
        .collect();
    seen.sort();
    let expected = [("\"one\"", "1", "b1"), ("\"two\"", "2", "b2")];
    assert_eq!(seen, expected.map(|(name, id, bucket)| (name.to_owned(), id.to_owned(), bucket.to_owned())));
}

#[tokio::test]
async fn a_receipt_is_sent_before_the_event_is_acknowledged() {
    for event in [s3_event(["a.pdf"]), sqs_event([s3_event(["a.pdf"])]), sample("batch-job-1.0.json")] {
        let app = builder().await.secrets([(SECRET, json!({"api_key": API_KEY, "connector_id": 42}))]).start().await;
        // SQS takes it and does not respond: there is no answer as long as it is not known to be there.
        app.queues.set_fault(Some(AwsFault::HangAfterEffect));
        tokio::select! {
            answer = app.invoke(event) => panic!("the event was acknowledged: {answer:?}"),
            () = wait_until("a call of SQS", || !app.queues.calls().is_empty()) => {}
        }
        assert_eq!(app.requests()[0].status, Some(202));
        assert_eq!(app.queues.calls()[0].operation, "SendMessageBatch");
    }
}

#[tokio::test]
async fn a_receipt_that_cannot_be_sent_is_logged_with_its_jobs_and_counted_and_delivery_is_not_affected() {
    for (fault, hint) in [
        (AwsFault::AccessDenied, "sqs:SendMessage"),
        (AwsFault::NotFound, ""),
        (AwsFault::Throttling, ""),
        (AwsFault::Internal, ""),
        (AwsFault::Hang, "in time"),
        (AwsFault::Page, ""),
        (AwsFault::WithoutValue, ""),
    ] {
        let app = builder().await.env("MAX_KEYS_PER_REQUEST", 2).start().await;
        app.queues.set_operation_fault("SendMessageBatch", Some(fault));
        let event = sqs_event([s3_event(["a.pdf", "b.pdf"]), s3_event(["c.exe"])]);
        let answer = app.invoke_within(event, Duration::from_secs(4)).await;
        assert!(answer.failures().is_empty(), "{fault:?}: {answer:?}");
        assert!(answer.took <= Duration::from_secs(3), "{fault:?}: {:?}", answer.took);
        // Two of the faults damage only the response: the receipts are in the queue, but the function cannot know.
        assert_eq!(app.requests().len(), 2);
        let lines = app.output().await;
        let parsed: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let lost: Vec<_> = parsed
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("receipt is lost")))
            .collect();
        assert_eq!(lost.len(), 2, "{fault:?}: {lines:#?}");
        assert!(lost.iter().all(|line| line["level"] == "ERROR" && line["connector"] == SECRET), "{lost:#?}");
        assert!(lost.iter().all(|line| line["error"].as_str().unwrap().contains(hint)), "{fault:?}: {lost:#?}");
        let jobs: Vec<Value> =
            lost.iter().map(|line| serde_json::from_str(line["jobs"].as_str().unwrap()).unwrap()).collect();
        assert!(jobs[0]["a.pdf"].is_string() && jobs[0]["b.pdf"].is_string(), "{jobs:?}");
        assert_eq!(jobs[1], json!({"c.exe": null}));
        let metric = |name: &str| parsed.iter().filter_map(|line| line[name].as_f64()).sum::<f64>();
        let figures = ["ReceiptsLost", "ObjectsForwarded", "ObjectsRejected", "ObjectsDeferred"].map(metric);
        assert_eq!(figures, [2.0, 2.0, 1.0, 0.0], "{fault:?}");
    }
}

#[tokio::test]
async fn receipts_that_sqs_refuses_once_are_sent_again() {
    let app = builder().await.env("MAX_KEYS_PER_REQUEST", 1).start().await;
    // Every second entry of a batch fails: 2 of 5, then 1 of 2, then none of 1.
    app.queues.set_operation_fault("SendMessageBatch", Some(AwsFault::PartialFailure));
    let names = keys("k", 5);
    app.invoke(s3_event(names.iter().map(String::as_str))).await.ok();
    let sent: BTreeSet<_> = keys_of(&app).into_iter().collect();
    assert_eq!(sent, names.into_iter().collect());
    assert_eq!(app.queues.calls().len(), 3);
    assert_eq!(app.metrics().await["ReceiptsLost"], 0.0);
}

#[tokio::test]
async fn a_receipt_is_sent_again_until_the_deadline_while_sqs_fails() {
    for fault in [AwsFault::Internal, AwsFault::Throttling, AwsFault::PartialFailure] {
        let app = builder().await.start().await;
        // The SDK makes three attempts for each call.
        app.queues.fail_next(12, fault);
        app.invoke_within(s3_event(["a.pdf"]), Duration::from_secs(60)).await.ok();
        assert_eq!(keys_of(&app), ["a.pdf"], "{fault:?}");
        assert_eq!(app.metrics().await["ReceiptsLost"], 0.0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_queue_that_hangs_leaves_time_for_the_receipts() {
    let app = builder().await.dead_letters().start().await;
    app.queues.fail_next(1, AwsFault::Hang);
    let event = sqs_event([s3_event(["a.pdf"]), s3_event(["b.exe"])]);
    let answer = app.invoke_within(event, Duration::from_secs(4)).await;
    assert_eq!(answer.failures(), ["m-1"]);
    assert_eq!(keys_of(&app), ["a.pdf"]);
    assert!(answer.took <= Duration::from_secs(3), "{:?}", answer.took);
}

#[tokio::test]
async fn a_queue_that_hangs_does_not_hold_up_the_answer_for_ten_thousand_objects() {
    let app = builder()
        .await
        .dead_letters()
        .env("MAX_KEYS_PER_REQUEST", 10)
        .env("AWS_LAMBDA_LOG_LEVEL", "INFO")
        .start()
        .await;
    app.queues.set_fault(Some(AwsFault::Hang));
    let bodies = (0..10_000).map(|number| s3_event([format!("{number}.pdf").as_str()]));
    let answer = app.invoke_within(sqs_event(bodies), Duration::from_secs(20)).await;
    assert!(answer.took <= Duration::from_secs(19), "{:?}", answer.took);
    let deferred = answer.failures().len() as f64;
    let receipts = (app.flexorch.taken_keys().len() / 10) as f64;
    assert!(receipts > 0.0, "nothing was taken in time");
    let metrics = app.metrics().await;
    assert_eq!((metrics["ObjectsDeferred"], metrics["ReceiptsLost"]), (deferred, receipts));
}

#[tokio::test]
async fn a_message_that_is_settled_in_part_has_a_receipt_for_each_part_when_it_is_settled() {
    let app = builder()
        .await
        .fault("status=503,key=wait.pdf,times=1")
        .env("MAX_ATTEMPTS", 1)
        .env("MAX_KEYS_PER_REQUEST", 1)
        .start()
        .await;
    app.queues.send("retry", &s3_event(["a.pdf", "wait.pdf"]).to_string(), &[]).unwrap();
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert_eq!(keys_of(&app), ["a.pdf"]);
    app.queues.skip(app.queues.next_visible("retry").unwrap());
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert_eq!(keys_of(&app), ["a.pdf", "wait.pdf"]);
    // The replacement repeats it as received.
    assert_eq!(documents(&receipts(&app)[1])[0]["event_time"], "2026-01-31T10:00:00.000Z");
}

#[tokio::test]
async fn no_secret_that_flexorch_repeats_is_in_a_receipt_or_in_the_log_of_a_lost_one() {
    let body = json!({"data": {"jobs": [{"filename": "a.pdf", "job_id": format!("job-{API_KEY}")}],
        "rejected": [{"filename": "b.pdf", "error": "BAD", "message": format!("the key {API_KEY} may not")}]}});
    let body = body.to_string().replace(',', "\\,");
    for lost in [false, true] {
        let app = builder().await.fault(&format!("status=202,body={body},content-type=application/json")).start().await;
        if lost {
            app.queues.set_fault(Some(AwsFault::AccessDenied));
        }
        app.invoke(s3_event(["a.pdf", "b.pdf"])).await.ok();
        let text = format!("{:?}", app.queues.messages(RECEIPTS));
        assert_eq!(text.contains("[redacted]"), !lost, "{text}");
        let output = app.output().await.join("\n");
        assert!(output.contains("receipt is lost") == lost, "{output}");
        assert!(!text.contains(API_KEY) && !output.contains(API_KEY), "{text} {output}");
    }
}
