//! Messages and records that cannot be read: how many dead letters they are, and how much memory they take.

use serde_json::{Value, json};

use crate::support::app::DEAD_LETTERS;
use crate::support::events::{s3_record, sample, sqs_event_received};
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

/// The most that a message may have, with its attributes' names, types and values.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// A notification whose first record says that it is S3's, and whose others are `junk`.
fn junk(records: usize, junk: &str) -> String {
    let others = vec![junk; records - 1].join(",");
    format!(r#"{{"Records":[{{"eventSource":"aws:s3"}},{others}]}}"#)
}

/// A notification about `good.pdf`, with so many records that cannot be read behind it.
fn mixed(unreadable: usize) -> Value {
    let mut event = s3_event(["good.pdf"]);
    let records = event["Records"].as_array_mut().unwrap();
    records.extend((0..unreadable).map(|number| json!({"eventName": "ObjectCreated:Put", "number": number})));
    event
}

#[tokio::test]
async fn a_message_of_junk_is_one_dead_letter_and_the_others_of_its_batch_are_forwarded() {
    let bodies = [
        s3_event(["a.pdf"]).to_string(),
        junk(60_001, "{}"),
        junk(300_000, "0"),
        junk(101, "null"),
        s3_event(["b.pdf", "c.pdf"]).to_string(),
    ];
    assert_eq!((bodies[1].len() / 1_000, bodies[2].len() / 1_000), (180, 600));
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let answer = app.invoke(sqs_event_received(1, bodies.clone())).await;
    assert!(answer.failures().is_empty(), "{:?}", answer.failures());
    assert_eq!(app.submitted_keys(), ["a.pdf", "b.pdf", "c.pdf"]);
    let letters = app.queues.messages(DEAD_LETTERS);
    assert_eq!(letters.len(), 3);
    for (body, records) in bodies[1..].iter().zip(["60001 of its", "300000 of its", "101 of its"]) {
        let letter = letters.iter().find(|letter| letter.body == *body).expect("the message as it came");
        assert_eq!(letter.attributes["code"], "UNREADABLE");
        assert!(letter.attributes["message"].contains(records), "{}", letter.attributes["message"]);
        assert!(letter.attributes["message"].contains("eventName"), "{}", letter.attributes["message"]);
    }
    // A process of 128 MB has to hold it beside everything else.
    let peak = app.peak_memory().unwrap();
    assert!(peak < 64 * 1024, "{peak} KiB");
    let metrics = app.metrics().await;
    assert_eq!((metrics["UnreadableMessages"], metrics["ObjectsReceived"]), (3.0, 3.0));
}

#[tokio::test]
async fn up_to_a_hundred_unreadable_records_of_a_message_are_dead_letters_of_their_own() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let answer = app.invoke(sqs_event([mixed(100), mixed(100)])).await;
    assert!(answer.failures().is_empty());
    assert_eq!(app.submitted_keys(), ["good.pdf"]);
    assert_eq!(app.queues.messages(DEAD_LETTERS).len(), 200);
    let metrics = app.metrics().await;
    assert_eq!((metrics["ObjectsReceived"], metrics["ObjectsRejected"]), (202.0, 200.0));
}

#[tokio::test]
async fn nothing_of_a_message_with_more_unreadable_records_is_sent_or_counted() {
    let envelope = json!({"Type": "Notification", "Message": mixed(101).to_string()});
    let failures = sample("sqs-destination-record.json");
    let mut failure: Value = serde_json::from_str(failures["Records"][0]["body"].as_str().unwrap()).unwrap();
    failure["requestPayload"] = mixed(101);
    for body in [mixed(101), envelope, failure] {
        let event = sqs_event([body]);
        let app = TestAppBuilder::new().await.dead_letters().start().await;
        assert!(app.invoke(event.clone()).await.failures().is_empty());
        assert!(app.requests().is_empty());
        let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
        assert_eq!(letter.body, event["Records"][0]["body"].as_str().unwrap());
        assert!(letter.attributes["message"].contains("101 of its records"), "{}", letter.attributes["message"]);
        let metrics = app.metrics().await;
        assert_eq!((metrics["UnreadableMessages"], metrics["ObjectsReceived"]), (1.0, 0.0));
    }
}

#[tokio::test]
async fn without_a_dead_letter_queue_a_message_of_junk_fails_alone() {
    let app = TestApp::start().await;
    let answer = app.invoke(sqs_event([mixed(101), s3_event(["a.pdf"])])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert_eq!(app.submitted_keys(), ["a.pdf"]);
    assert_eq!(app.metrics().await["ObjectsReceived"], 1.0);
}

#[tokio::test]
async fn a_direct_event_of_junk_is_an_error_that_says_so() {
    let mut sns = sample("sns-direct.json");
    sns["Records"][0]["Sns"]["Message"] = mixed(101).to_string().into();
    for event in [mixed(101), sns] {
        let app = TestAppBuilder::new().await.dead_letters().start().await;
        let answer = app.invoke(event).await;
        assert!(answer.error().contains("101 of its records cannot be read"), "{}", answer.error());
        assert!(app.requests().is_empty() && app.queues.messages(DEAD_LETTERS).is_empty());
    }
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    let answer = app.invoke(mixed(100)).await;
    assert_eq!((&answer.ok()["received"], &answer.ok()["rejected"]), (&json!(101), &json!(100)));
    assert_eq!(app.queues.messages(DEAD_LETTERS).len(), 100);
}

#[tokio::test]
async fn every_task_of_a_job_gets_its_result_however_many_cannot_be_read() {
    let mut event = sample("batch-job-2.0.json");
    let task =
        |number: usize| json!({"taskId": format!("t-{number}"), "s3Key": "bad%FF.pdf", "s3Bucket": "my-documents"});
    event["tasks"] = (0..150).map(task).collect();
    event["tasks"][149]["s3Key"] = json!("good.pdf");
    let app = TestApp::start().await;
    let answer = app.invoke(event).await;
    let results = answer.ok()["results"].as_array().unwrap();
    let failed = results.iter().filter(|result| result["resultCode"] == "PermanentFailure").count();
    assert_eq!((results.len(), failed), (150, 149));
    assert_eq!(app.submitted_keys(), ["good.pdf"]);
}

#[tokio::test]
async fn an_unreadable_message_of_the_largest_size_reaches_the_dead_letter_queue() {
    for (room, attributes) in [(0, 0), (15, 0), (60, 2), (2_000, 2)] {
        let app = TestAppBuilder::new().await.dead_letters().start().await;
        let body = "x".repeat(LARGEST_MESSAGE - room);
        let answer = app.invoke(sqs_event_received(1, [body.clone()])).await;
        assert!(answer.failures().is_empty(), "{room} bytes are left");
        let [letter] = &app.queues.messages(DEAD_LETTERS)[..] else { panic!("one dead letter") };
        assert!(letter.body == body, "it is not the message as it came");
        assert_eq!(letter.attributes.len(), attributes, "{:?}", letter.attributes);
    }
}

#[tokio::test]
async fn a_record_keeps_its_own_text_in_its_dead_letter() {
    let mut event = s3_event(["good.pdf"]);
    let record = json!({"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "no-bucket.pdf"}}, "mine": [1, {}]});
    event["Records"].as_array_mut().unwrap().extend([record.clone(), s3_record("my-documents", "%FF")]);
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    assert!(app.invoke(sqs_event([event])).await.failures().is_empty());
    let letters = app.queues.messages(DEAD_LETTERS);
    let bodies: Vec<Value> = letters.iter().map(|letter| serde_json::from_str(&letter.body).unwrap()).collect();
    assert_eq!(bodies, [json!({"Records": [record]}), json!({"Records": [s3_record("my-documents", "%FF")]})]);
}
