//! A deferred object never expires, and what is settled is settled once: copies and replacements of messages, in a queue that keeps
//! SQS's limits.

use std::time::Duration;

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::queues::StoredMessage;
use serde_json::{Value, json};

use crate::support::app::{DEAD_LETTERS, SECRET, connector_secret};
use crate::support::events::{s3_record, sample, sqs_event_received};
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

const QUEUE: &str = "retry";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The messages of the retry queue.
fn queued(app: &TestApp) -> Vec<StoredMessage> {
    app.queues.messages(QUEUE)
}

/// The keys that a message names, as they are on the wire.
fn keys(message: &StoredMessage) -> Vec<String> {
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let key = |record: &Value| record["s3"]["object"]["key"].as_str().unwrap_or("unreadable").to_owned();
    body["Records"].as_array().unwrap().iter().map(key).collect()
}

/// Lets the time pass until the next message of the retry queue is visible.
fn wait(app: &TestApp) {
    app.queues.skip(app.queues.next_visible(QUEUE).expect("a hidden message"));
}

/// Receives the retry queue's messages until nothing is visible, lets the time pass to the next that is, and so on for this long.
async fn work_for(app: &TestApp, time: Duration) -> Duration {
    let mut passed = Duration::ZERO;
    loop {
        while app.work_off(QUEUE).await.is_some() {}
        let Some(next) = app.queues.next_visible(QUEUE).filter(|next| passed + *next < time) else { return passed };
        app.queues.skip(next);
        passed += next;
    }
}

/// A record with everything that an event says of an object.
fn full_record(key: &str) -> Value {
    let mut record = s3_record("my-documents", key);
    record["s3"]["object"] = json!({"key": key, "size": 1024, "eTag": "e1", "versionId": "v1", "sequencer": "0055AE"});
    record
}

#[tokio::test]
async fn a_message_that_is_settled_in_part_is_replaced_by_one_that_names_only_its_deferred_objects() {
    let app = TestAppBuilder::new()
        .await
        .dead_letters()
        .fault("status=503,key=*wait*,times=1")
        .env("MAX_ATTEMPTS", 1)
        .env("MAX_KEYS_PER_REQUEST", 1)
        .env("KEY_SUFFIXES", ".pdf,.exe")
        .start()
        .await;
    let keys_sent = ["a.pdf", "b.exe", "c.txt", "wait+%C3%BC%2B.pdf"];
    let body = json!({"Records": keys_sent.map(full_record)});
    app.queues.send(QUEUE, &body.to_string(), &[("sender", "backfill"), ("code", "X")]).unwrap();
    let answer = app.work_off(QUEUE).await.unwrap();
    assert!(answer.failures().is_empty(), "{:?}", answer.failures());
    let [replacement] = &queued(&app)[..] else { panic!("one message: {:#?}", queued(&app)) };
    assert_eq!(keys(replacement), ["wait+%C3%BC%2B.pdf"]);
    let record: Value = serde_json::from_str::<Value>(&replacement.body).unwrap()["Records"][0].take();
    assert_eq!(record["s3"]["object"], full_record("wait+%C3%BC%2B.pdf")["s3"]["object"]);
    assert_eq!(record["eventTime"], "2026-01-31T10:00:00.000Z");
    assert_eq!(
        replacement.attributes,
        [("code", "X"), ("sender", "backfill")].map(|(n, v)| (n.into(), v.into())).into()
    );
    // It is delayed by what the message would have been hidden for.
    let delay = app.queues.next_visible(QUEUE).unwrap().as_secs();
    assert!((23..=36).contains(&delay), "{delay} s");
    wait(&app);
    assert!(app.work_off(QUEUE).await.unwrap().failures().is_empty());
    assert!(queued(&app).is_empty());
    let mut taken = app.flexorch.taken_keys();
    taken.sort();
    assert_eq!(taken, ["a.pdf", "wait ü+.pdf"]);
    assert_eq!(app.queues.messages(DEAD_LETTERS).len(), 1);
    let metrics = app.metrics().await;
    let figures = [
        "ObjectsReceived",
        "ObjectsForwarded",
        "ObjectsRejected",
        "ObjectsSkipped",
        "ObjectsDeferred",
        "MessagesRenewed",
    ];
    assert_eq!(figures.map(|name| metrics[name]), [5.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
}

#[tokio::test]
async fn whatever_carries_it_a_rejected_object_is_one_dead_letter_and_a_forwarded_one_one_submission() {
    let event = s3_event(["a.pdf", "b.exe", "wait.pdf"]);
    let envelope = json!({"Type": "Notification", "Message": event.to_string()});
    let mut failure: Value =
        serde_json::from_str(sample("sqs-destination-record.json")["Records"][0]["body"].as_str().unwrap()).unwrap();
    failure["requestPayload"] = event.clone();
    for body in [event, envelope, failure] {
        let app = TestAppBuilder::new()
            .await
            .dead_letters()
            .fault("status=503,key=wait.pdf,times=5")
            .env("MAX_KEYS_PER_REQUEST", 1)
            .env("MAX_ATTEMPTS", 1)
            .start()
            .await;
        app.queues.send(QUEUE, &body.to_string(), &[]).unwrap();
        work_for(&app, DAY).await;
        assert!(queued(&app).is_empty());
        assert_eq!(app.queues.messages(DEAD_LETTERS).len(), 1);
        let submitted = app.submitted_keys();
        let times = |key: &str| submitted.iter().filter(|submitted| *submitted == key).count();
        assert_eq!((times("a.pdf"), times("b.exe"), times("wait.pdf")), (1, 1, 6), "{submitted:?}");
    }
}

#[tokio::test]
async fn a_replacement_keeps_the_records_that_cannot_be_read_if_there_is_no_dead_letter_queue() {
    let body = || {
        let mut event = s3_event(["a.pdf", "bad%FF.pdf", "wait.pdf"]);
        event["Records"].as_array_mut().unwrap().push(json!({"eventName": "ObjectCreated:Put", "x": [1]}));
        event.to_string()
    };
    let builder =
        || async { TestAppBuilder::new().await.fault("status=402,key=wait.pdf").env("MAX_KEYS_PER_REQUEST", 1) };
    let app = builder().await.start().await;
    app.queues.send(QUEUE, &body(), &[]).unwrap();
    assert!(app.work_off(QUEUE).await.unwrap().failures().is_empty());
    let [replacement] = &queued(&app)[..] else { panic!("one message") };
    assert_eq!(keys(replacement), ["wait.pdf", "bad%FF.pdf", "unreadable"]);
    assert!(replacement.body.contains(r#""x":[1]"#), "{}", replacement.body);
    // With one they are there, and not kept.
    let app = builder().await.dead_letters().start().await;
    app.queues.send(QUEUE, &body(), &[]).unwrap();
    assert!(app.work_off(QUEUE).await.unwrap().failures().is_empty());
    let [replacement] = &queued(&app)[..] else { panic!("one message") };
    assert_eq!(keys(replacement), ["wait.pdf"]);
    assert_eq!(app.queues.messages(DEAD_LETTERS).len(), 2);
}

#[tokio::test]
async fn a_message_that_was_received_often_is_renewed() {
    let app = TestAppBuilder::new()
        .await
        .fault("status=503,times=3")
        .env("MAX_ATTEMPTS", 1)
        .env("RENEW_AFTER_RECEIVES", 3)
        .start()
        .await;
    let body = s3_event(["a.pdf"]).to_string();
    app.queues.send(QUEUE, &body, &[("sender", "é <&> \"")]).unwrap();
    let id = queued(&app)[0].id.clone();
    for receive in 1..=3 {
        assert_eq!(app.work_off(QUEUE).await.unwrap().failures().len(), usize::from(receive < 3), "{receive}");
        wait(&app);
    }
    let [copy] = &queued(&app)[..] else { panic!("one message") };
    assert_ne!(copy.id, id);
    assert_eq!((&copy.body, copy.receive_count), (&body, 0));
    assert_eq!(copy.attributes, [("sender".into(), "é <&> \"".into())].into());
    assert!(app.work_off(QUEUE).await.unwrap().failures().is_empty());
    assert!(queued(&app).is_empty());
    assert_eq!(app.flexorch.taken_keys(), ["a.pdf"]);
    let metrics = app.metrics().await;
    assert_eq!((metrics["MessagesRenewed"], metrics["ObjectsDeferred"]), (1.0, 3.0));
}

#[tokio::test]
async fn a_message_that_is_a_week_old_is_renewed() {
    let app = TestAppBuilder::new().await.fault("status=402").start().await;
    app.queues.set_retention(QUEUE, 14 * DAY);
    app.queues.send(QUEUE, &s3_event(["a.pdf"]).to_string(), &[]).unwrap();
    let id = queued(&app)[0].id.clone();
    app.queues.skip(7 * DAY - Duration::from_secs(60));
    assert_eq!(app.work_off(QUEUE).await.unwrap().failures().len(), 1);
    app.queues.skip(Duration::from_secs(60));
    assert!(app.work_off(QUEUE).await.unwrap().failures().is_empty());
    let [copy] = &queued(&app)[..] else { panic!("one message") };
    assert_ne!(copy.id, id);
}

#[tokio::test]
async fn the_attributes_of_a_copy_are_those_of_the_message_whatever_their_type() {
    let app = TestAppBuilder::new().await.fault("status=402").env("RENEW_AFTER_RECEIVES", 1).start().await;
    let mut event = sqs_event_received(1, [s3_event(["a.pdf"]).to_string(), s3_event(["b.pdf"]).to_string()]);
    event["Records"][0]["messageAttributes"] = json!({
        "text": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String.label"},
        "number": {"stringValue": "-1.5", "dataType": "Number"},
        "bytes": {"binaryValue": "AAEC", "dataType": "Binary"},
    });
    // A copy without it would not be one.
    event["Records"][1]["messageAttributes"] = json!({"odd": {"dataType": "String"}});
    assert_eq!(app.invoke(event).await.failures(), ["m-1"]);
    let [copy] = &queued(&app)[..] else { panic!("one message") };
    let expected = [("bytes", "AAEC"), ("number", "-1.5"), ("text", "x")];
    assert_eq!(copy.attributes, expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[tokio::test]
async fn if_the_send_fails_the_message_stays_deferred_as_usual() {
    let faults = [AwsFault::AccessDenied, AwsFault::Throttling, AwsFault::Internal, AwsFault::PartialFailure];
    for fault in faults {
        let app = TestAppBuilder::new()
            .await
            .fault("status=402,key=wait*")
            .env("MAX_KEYS_PER_REQUEST", 1)
            .env("RENEW_AFTER_RECEIVES", 2)
            .env("AWS_MAX_ATTEMPTS", 1)
            .start()
            .await;
        app.queues.set_operation_fault("SendMessageBatch", Some(fault));
        let bodies = [s3_event(["wait1.pdf"]), s3_event(["a.pdf", "wait2.pdf"])].map(|body| body.to_string());
        let answer = app.invoke(sqs_event_received(2, bodies)).await;
        // Of a batch that fails in part, the second entry does.
        let expected: &[&str] = if fault == AwsFault::PartialFailure { &["m-1"] } else { &["m-0", "m-1"] };
        assert_eq!(answer.failures(), expected, "{fault:?}");
        let changes = app.queues.visibility_changes();
        assert_eq!(changes.len(), expected.len(), "{fault:?}");
        assert!(changes.iter().all(|change| (48..=72).contains(&change.seconds)), "{fault:?}: {changes:?}");
        let logs = app.logs().await;
        let named = logs.iter().any(|line| line["error"].as_str().is_some_and(|text| text.contains("sqs:SendMessage")));
        assert_eq!(named, fault == AwsFault::AccessDenied, "{fault:?}: {logs:#?}");
    }
}

#[tokio::test]
async fn a_send_that_hangs_does_not_hold_up_the_answer_and_its_messages_return() {
    let app = TestAppBuilder::new().await.fault("status=402").env("RENEW_AFTER_RECEIVES", 1).start().await;
    app.queues.set_fault(Some(AwsFault::Hang));
    let bodies = (0..300).map(|number| s3_event([format!("{number}.pdf").as_str()]));
    let answer = app.invoke_within(sqs_event(bodies), Duration::from_secs(4)).await;
    assert_eq!(answer.failures().len(), 300);
    assert!(answer.took <= Duration::from_secs(3), "{:?}", answer.took);
}

#[tokio::test]
async fn a_fifo_queues_messages_are_handed_back_and_not_copied() {
    let app = TestAppBuilder::new()
        .await
        .fault("status=402,key=wait*")
        .env("MAX_KEYS_PER_REQUEST", 1)
        .env("RENEW_AFTER_RECEIVES", 1)
        .start()
        .await;
    let mut event = sqs_event([s3_event(["wait1.pdf"]), s3_event(["a.pdf", "wait2.pdf"])]);
    for record in event["Records"].as_array_mut().unwrap() {
        record["eventSourceARN"] = "arn:aws:sqs:eu-west-1:123456789012:retry.fifo".into();
    }
    assert_eq!(app.invoke(event).await.failures(), ["m-0", "m-1"]);
    assert!(app.queues.calls().iter().all(|call| call.operation == "ChangeMessageVisibilityBatch"));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_never_renewed() {
    let app = TestAppBuilder::new().await.env("RENEW_AFTER_RECEIVES", 1).start().await;
    let unreadable_record = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}).to_string();
    let answer = app.invoke(sqs_event_received(500, ["no json".to_owned(), unreadable_record])).await;
    assert_eq!(answer.failures(), ["m-0", "m-1"]);
    assert!(queued(&app).is_empty());
}

#[tokio::test]
async fn two_thousand_messages_are_renewed_in_two_hundred_calls() {
    let app = TestAppBuilder::new().await.fault("status=402").env("RENEW_AFTER_RECEIVES", 1).start().await;
    let bodies = (0..2000).map(|number| s3_event([format!("{number}.pdf").as_str()]));
    assert!(app.invoke(sqs_event(bodies)).await.failures().is_empty());
    assert_eq!((queued(&app).len(), app.queues.calls().len()), (2000, 200));
}

#[tokio::test]
async fn a_month_without_credits_loses_nothing_and_fills_no_dead_letter_queue() {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    // FlexOrch names the end of the month, a day, or nothing; what is deferred then returns every 15 minutes.
    for (fault, time) in [
        ("status=402,retry-after=2592000", MONTH),
        ("status=429,code=QUOTA_EXCEEDED,retry-after=86400", MONTH),
        ("status=402", 3 * DAY),
    ] {
        let app =
            TestAppBuilder::new().await.dead_letters().fault(fault).env("SECRET_CACHE_TTL_SECONDS", 0).start().await;
        app.queues.set_retention(QUEUE, 14 * DAY);
        app.queues.set_redrive(QUEUE, DEAD_LETTERS, 120);
        let names = crate::support::events::keys("in/", 3);
        for name in &names {
            app.queues.send(QUEUE, &s3_event([name.as_str()]).to_string(), &[]).unwrap();
        }
        let passed = work_for(&app, time).await;
        assert!(passed > time - DAY, "{fault}: {passed:?}");
        assert_eq!((queued(&app).len(), app.queues.expired(QUEUE)), (3, 0), "{fault}");
        assert!(app.queues.messages(DEAD_LETTERS).is_empty(), "{fault}");
        app.flexorch.faults().clear();
        // With another API key the test need not wait for the minute between two probes, which is one of real time.
        app.secrets.put(SECRET, secret_with_key("dfx_next_month").to_string());
        work_for(&app, DAY).await;
        assert!(queued(&app).is_empty(), "{fault}");
        assert_eq!(app.flexorch.taken_keys(), names, "{fault}");
    }
}

/// The connector's secret with this API key.
fn secret_with_key(key: &str) -> Value {
    let mut secret = connector_secret();
    secret["api_key"] = json!(key);
    secret
}
