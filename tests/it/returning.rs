//! What comes back, when it comes back, and what goes aside.

use flexorch_s3_ingester::model::codes::{UNREADABLE, UNSUPPORTED_FILE, attribute};
use flexorch_sandbox::aws_fault::AwsFault;
use serde_json::{Value, json};

use crate::support::app::DEAD_LETTERS;
use crate::support::events::{sample, sqs_event_received};
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

/// The visibility that each message was given, by receipt handle.
fn visibility(app: &TestApp, handle: &str) -> Option<u32> {
    let changes = app.queues.visibility_changes();
    changes
        .iter()
        .rev()
        .find(|change| change.receipt_handle == handle)
        .map(|change| u32::try_from(change.seconds).unwrap())
}

#[tokio::test]
async fn only_the_messages_with_a_deferred_object_come_back() {
    let app = TestAppBuilder::new()
        .await
        .fault("status=503,key=*b.pdf")
        .env("MAX_KEYS_PER_REQUEST", 1)
        .env("MAX_ATTEMPTS", 1)
        .start()
        .await;
    let event = sqs_event([s3_event(["a.pdf"]), s3_event(["b.pdf"]), s3_event(["d.exe"])]);
    assert_eq!(app.invoke(event).await.failures(), ["m-1"]);
}

#[tokio::test]
async fn messages_share_requests_and_each_has_its_own_result() {
    let app = TestAppBuilder::new().await.fault("reject=*007.pdf,code=RATE_LIMIT_EXCEEDED").start().await;
    let bodies = (0..300).map(|number| s3_event([format!("{number:03}.pdf").as_str()]));
    let answer = app.invoke(sqs_event(bodies)).await;
    assert_eq!(answer.failures(), ["m-7"]);
    assert_eq!(app.requests().len(), 3);
}

#[tokio::test]
async fn a_deferred_message_comes_back_after_30_seconds_doubling_with_the_receive_count() {
    for (receives, least, most) in [(1, 24, 36), (2, 48, 72), (4, 192, 288), (40, 720, 1080)] {
        let app = TestAppBuilder::new().await.fault("status=402").start().await;
        let answer = app.invoke(sqs_event_received(receives, [s3_event(["a.pdf"]).to_string()])).await;
        assert_eq!(answer.failures(), ["m-0"]);
        let seconds = visibility(&app, "handle-0").unwrap();
        assert!((least..=most).contains(&seconds), "received {receives} times: {seconds} s");
    }
}

#[tokio::test]
async fn a_deferred_message_comes_back_at_the_time_that_flexorch_named() {
    let app = TestAppBuilder::new().await.fault("status=429,retry-after=120").start().await;
    let answer = app.invoke(sqs_event_received(9, [s3_event(["a.pdf"]).to_string()])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    let seconds = visibility(&app, "handle-0").unwrap();
    assert!((118..=121).contains(&seconds), "{seconds} s");
}

/// Seconds that the one message is hidden, if FlexOrch meets every request with this fault.
async fn hidden_after(fault: &str, receives: u32) -> u32 {
    let app = TestAppBuilder::new().await.fault(fault).start().await;
    let answer = app.invoke(sqs_event_received(receives, [s3_event(["a.pdf"]).to_string()])).await;
    assert_eq!(answer.failures(), ["m-0"], "{fault}");
    // The sandbox refuses what SQS refuses, so that a timeout beyond its limit would not be here.
    visibility(&app, "handle-0").unwrap_or_else(|| panic!("{fault}: the visibility timeout was not set"))
}

#[tokio::test]
async fn the_longest_visibility_timeout_is_half_an_hour_less_than_sqs_allows() {
    for named in [43_200, 86_400, 2_592_000] {
        assert_eq!(hidden_after(&format!("status=402,retry-after={named}"), 1).await, 41_400, "{named}");
    }
}

#[tokio::test]
async fn a_429_hides_a_message_for_15_minutes_at_most() {
    assert_eq!(hidden_after("status=429,retry-after=43200", 1).await, 900);
    let without_a_time = hidden_after("status=429", 40).await;
    assert!((720..=900).contains(&without_a_time), "{without_a_time} s");
}

#[tokio::test]
async fn a_named_time_is_obeyed_however_often_the_message_was_received() {
    let seconds = hidden_after("status=429,retry-after=120", 50).await;
    assert!((118..=121).contains(&seconds), "{seconds} s");
}

#[tokio::test]
async fn after_exhausted_attempts_a_message_does_not_return_sooner_than_the_usual_backoff() {
    for fault in ["status=503,retry-after=0", "status=429,retry-after=0", "status=503,retry-after=1"] {
        let seconds = hidden_after(fault, 4).await;
        assert!((192..=288).contains(&seconds), "{fault}: {seconds} s");
    }
}

#[tokio::test]
async fn a_refusal_that_names_no_time_ahead_is_not_probed_in_a_loop() {
    let seconds = hidden_after("status=402,retry-after=0", 2).await;
    assert!((48..=72).contains(&seconds), "{seconds} s");
}

#[tokio::test]
async fn visibility_is_set_in_tens() {
    let app = TestAppBuilder::new().await.fault("status=402").start().await;
    let answer = app.invoke(sqs_event((0..25).map(|number| s3_event([format!("{number}.pdf").as_str()])))).await;
    assert_eq!(answer.failures().len(), 25);
    assert_eq!(app.queues.visibility_changes().len(), 25);
    let calls = app.queues.calls().iter().filter(|call| call.operation == "ChangeMessageVisibilityBatch").count();
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn visibility_that_cannot_be_changed_changes_nothing_in_the_answer_and_the_log_names_the_reason() {
    for (fault, reason, action) in [
        (Some(AwsFault::AccessDenied), "permission", "sqs:ChangeMessageVisibility"),
        (Some(AwsFault::Throttling), "throttled", "nothing"),
        // Every second entry of the batch alone.
        (Some(AwsFault::PartialFailure), "unavailable", "nothing"),
        // Not this receiver's messages any more.
        (None, "message-gone", "visibility timeout"),
    ] {
        let app = TestAppBuilder::new().await.fault("status=402").env("AWS_MAX_ATTEMPTS", 1).start().await;
        app.queues.set_fault(fault);
        app.queues.set_lenient_handles(fault.is_some());
        let answer = app.invoke(sqs_event([s3_event(["a.pdf"]), s3_event(["b.pdf"])])).await;
        assert_eq!(answer.failures(), ["m-0", "m-1"]);
        let logs = app.logs().await;
        let warnings: Vec<_> = logs.iter().filter(|line| !line["reason"].is_null()).collect();
        let [warning] = warnings[..] else { panic!("one warning for {reason}: {logs:#?}") };
        assert_eq!((&warning["level"], &warning["reason"]), (&json!("WARN"), &json!(reason)));
        assert!(warning["action"].as_str().unwrap().contains(action), "{warning}");
    }
}

#[tokio::test]
async fn a_rejected_object_goes_to_the_dead_letter_queue_as_a_notification_that_can_be_redriven() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let answer = app.invoke(sqs_event([s3_event(["in/vi+rus%2B.exe", "a.pdf"])])).await;
    assert!(answer.failures().is_empty());
    let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
    for (name, value) in [("connector", "connector"), ("connector_id", "42"), ("code", "UNSUPPORTED_FILE")] {
        assert_eq!(letter.attributes[name], value, "{name}");
    }
    assert!(letter.attributes.contains_key("message"));
    // Redriven: the same body comes as a message of the retry queue.
    app.flexorch.clear_requests();
    let answer = app.invoke(sqs_event_received(1, [letter.body.clone()])).await;
    assert!(answer.failures().is_empty());
    assert_eq!(app.submitted_keys(), ["in/vi rus+.exe"]);
}

/// What S3 says about an object beside its name: version, entity tag, size, sequencer and time.
const VERSIONED: [&str; 5] =
    ["v+1/%41", "d41d8cd98f00b204e9800998ecf8427e-2", "1024", "0055AED6DCD90281E5", "2026-01-31T10:00:00.123Z"];

/// What a notification's only record says about those.
fn versioned(body: &str) -> Vec<String> {
    let record = &serde_json::from_str::<Value>(body).unwrap()["Records"][0];
    let object = &record["s3"]["object"];
    [&object["versionId"], &object["eTag"], &object["size"], &object["sequencer"], &record["eventTime"]]
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .to_vec()
}

#[tokio::test]
async fn a_dead_letter_keeps_the_version_that_its_event_was_about() {
    let [version, etag, _, sequencer, time] = VERSIONED;
    let mut notification = s3_event(["a.exe"]);
    notification["Records"][0]["eventTime"] = time.into();
    let object = &mut notification["Records"][0]["s3"]["object"];
    (object["versionId"], object["eTag"], object["sequencer"]) = (version.into(), etag.into(), sequencer.into());
    // A store may write both names; the record is read all the same.
    object["etag"] = "other".into();
    let eventbridge = json!({
        "detail-type": "Object Created", "source": "aws.s3", "time": time,
        "detail": {"bucket": {"name": "my-documents"},
                   "object": {"key": "b.exe", "size": 1024, "etag": etag, "version-id": version, "sequencer": sequencer}}
    });
    for event in [notification, eventbridge] {
        let app = TestAppBuilder::new().await.dead_letters().start().await;
        assert!(app.invoke(sqs_event([event])).await.failures().is_empty());
        let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
        assert_eq!(versioned(&letter.body), VERSIONED);
        // Redriven and rejected again, it is about the same version still.
        assert!(app.invoke(sqs_event_received(1, [letter.body.clone()])).await.failures().is_empty());
        let letters = app.queues.messages(DEAD_LETTERS);
        assert_eq!(letters.len(), 2);
        assert_eq!(versioned(&letters[1].body), VERSIONED);
    }
}

#[tokio::test]
async fn what_a_job_knows_about_an_object_is_in_its_dead_letter() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let mut job = sample("batch-job-2.0.json");
    (job["tasks"][0]["s3Key"], job["tasks"][0]["s3VersionId"]) = ("a.exe".into(), "v1".into());
    app.invoke(job).await.ok();
    let [task] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
    assert_eq!(versioned(&task.body), ["v1", "null", "null", "null", "null"]);
}

#[tokio::test]
async fn a_rejected_object_is_deferred_where_the_dead_letter_queue_cannot_be_reached() {
    for fault in [AwsFault::AccessDenied, AwsFault::PartialFailure] {
        let app = TestAppBuilder::new().await.dead_letters().env("AWS_MAX_ATTEMPTS", 1).start().await;
        app.queues.set_fault(Some(fault));
        let answer = app.invoke(sqs_event([s3_event(["a.exe"]), s3_event(["b.exe"]), s3_event(["c.pdf"])])).await;
        let expected: &[&str] = if matches!(fault, AwsFault::PartialFailure) { &["m-1"] } else { &["m-0", "m-1"] };
        assert_eq!(answer.failures(), expected, "{fault:?}");
        let logs = app.logs().await;
        assert!(logs.iter().any(|line| line["class"] == "dead-letter-unavailable"), "{logs:#?}");
    }
}

#[tokio::test]
async fn without_a_dead_letter_queue_a_rejected_object_is_logged_and_its_message_done() {
    let app = TestApp::start().await;
    assert!(app.invoke(sqs_event([s3_event(["a.exe"])])).await.failures().is_empty());
    let logs = app.logs().await;
    assert_eq!(logs.iter().filter(|line| line["level"] == "ERROR" && line["class"] == "rejected").count(), 1);
}

fn unreadable_batch() -> Value {
    let bodies = ["no json at all", r#"{"version":"2.0","routeKey":"$default"}"#, "[]", ""];
    let mut bodies: Vec<String> = bodies.map(str::to_owned).to_vec();
    bodies.push(s3_event(["good.pdf"]).to_string());
    sqs_event_received(1, bodies)
}

#[tokio::test]
async fn a_message_that_cannot_be_read_fails_alone() {
    let app = TestApp::start().await;
    let answer = app.invoke(unreadable_batch()).await;
    assert_eq!(answer.failures(), ["m-0", "m-1", "m-2", "m-3"]);
    assert_eq!(app.submitted_keys(), ["good.pdf"]);
    assert_eq!(app.metrics().await["UnreadableMessages"], 4.0);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_goes_to_the_dead_letter_queue_with_the_reason() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let mut event = unreadable_batch();
    // SQS has no empty messages; the one above could not be sent on.
    event["Records"].as_array_mut().unwrap().remove(3);
    let answer = app.invoke(event).await;
    assert!(answer.failures().is_empty(), "{:?}", answer.failures());
    let letters = app.queues.messages(DEAD_LETTERS);
    let bodies: Vec<_> = letters.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(bodies, ["no json at all", r#"{"version":"2.0","routeKey":"$default"}"#, "[]"]);
    assert!(letters[1].attributes["message"].contains("routeKey"));
    assert!(letters.iter().all(|letter| letter.attributes[attribute::CODE] == UNREADABLE));
}

#[tokio::test]
async fn the_runbook_names_the_codes_and_attributes_that_the_function_writes() {
    let runbook = include_str!("../../docs/deploying.md");
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let mut bad_record = s3_event(["a.pdf"]);
    bad_record["Records"].as_array_mut().unwrap().push(json!({}));
    assert!(app.invoke(sqs_event([s3_event(["a.exe"]), bad_record, json!({})])).await.failures().is_empty());
    let letters = app.queues.messages(DEAD_LETTERS);
    let mut codes: Vec<_> = letters.iter().map(|letter| letter.attributes[attribute::CODE].as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [UNREADABLE, UNREADABLE, UNSUPPORTED_FILE]);
    for name in codes.into_iter().chain(letters.iter().flat_map(|letter| letter.attributes.keys().map(String::as_str)))
    {
        assert!(runbook.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_touch_its_neighbours() {
    let mut event = s3_event(["good.pdf", "bad%FF.pdf"]);
    event["Records"].as_array_mut().unwrap().push(json!({"eventName": "ObjectCreated:Put"}));
    let app = TestApp::start().await;
    assert!(app.invoke(sqs_event([event.clone()])).await.failures().is_empty());
    assert_eq!(app.submitted_keys(), ["good.pdf"]);
    // Without a dead-letter queue the records are kept, without the object that is settled: they fail alone from now on.
    let [rest] = &app.queues.messages("retry")[..] else { panic!("one message") };
    let rest: Value = serde_json::from_str(&rest.body).unwrap();
    assert_eq!(rest["Records"], json!([event["Records"][1], event["Records"][2]]));
    assert_eq!(app.invoke(sqs_event([rest])).await.failures(), ["m-0"]);
    assert_eq!(app.submitted_keys(), ["good.pdf"]);
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    assert!(app.invoke(sqs_event([event])).await.failures().is_empty());
    let letters = app.queues.messages(DEAD_LETTERS);
    assert_eq!(letters.len(), 2);
    let body: Value = serde_json::from_str(&letters[0].body).unwrap();
    assert_eq!(body["Records"][0]["s3"]["object"]["key"], "bad%FF.pdf");
}

#[tokio::test]
async fn three_thousand_messages_are_thirty_requests() {
    let app = TestApp::start().await;
    let bodies = (0..3000).map(|number| s3_event([format!("in/{number:04}.pdf").as_str()]));
    let answer = app.invoke(sqs_event(bodies)).await;
    assert!(answer.failures().is_empty());
    assert_eq!(app.requests().len(), 30);
    assert_eq!(app.flexorch.taken_keys().len(), 3000);
}
