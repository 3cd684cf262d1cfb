//! The function responds before its deadline, whatever the endpoint does.

use std::time::Duration;

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::secrets_manager::SecretsFault;

use crate::support::events::{keys, sqs_event};
use crate::support::{TestAppBuilder, s3_event};

#[tokio::test]
async fn whatever_flexorch_does_the_answer_comes_the_margin_before_the_deadline() {
    for fault in ["hang", "endless,latency=10s", "latency=20s", "status=503", "reset", "status=429,retry-after=2"] {
        let app = TestAppBuilder::new()
            .await
            .fault(fault)
            .env("DEADLINE_MARGIN_MS", 500)
            .env("MAX_KEYS_PER_REQUEST", 2)
            .start()
            .await;
        let names = keys("k", 20);
        let answer = app.invoke_within(s3_event(names.iter().map(String::as_str)), Duration::from_secs(3)).await;
        assert!(answer.error().contains("20 of 20 objects are deferred"), "{fault}: {}", answer.error());
        assert!(answer.took <= Duration::from_millis(2500), "{fault}: {:?}", answer.took);
    }
}

#[tokio::test]
async fn with_no_time_at_all_everything_is_deferred_without_a_request() {
    let app = TestAppBuilder::new().await.env("DEADLINE_MARGIN_MS", 5000).start().await;
    let answer = app.invoke_within(s3_event(["a.pdf"]), Duration::from_secs(2)).await;
    assert!(answer.error().contains("1 deadline"), "{}", answer.error());
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn no_request_is_started_that_cannot_finish() {
    let app = TestAppBuilder::new()
        .await
        .fault("latency=900ms")
        .env("MAX_KEYS_PER_REQUEST", 1)
        .env("MAX_CONCURRENT_REQUESTS", 1)
        .env("DEADLINE_MARGIN_MS", 200)
        .start()
        .await;
    let answer = app.invoke_within(s3_event(["a.pdf", "b.pdf", "c.pdf", "d.pdf"]), Duration::from_secs(3)).await;
    assert!(answer.error().contains("objects are deferred"), "{}", answer.error());
    let requests = app.requests();
    assert!(!requests.is_empty(), "none was started, so none could be cut off");
    assert!(requests.iter().all(|request| request.status.is_some()), "a request was cut off");
}

#[tokio::test]
async fn a_hanging_secrets_manager_does_not_hold_up_the_answer() {
    let builder = TestAppBuilder::new().await;
    builder.secrets_manager().set_fault(Some(SecretsFault::Hang));
    let app = builder.start().await;
    let answer = app.invoke_within(s3_event(["a.pdf"]), Duration::from_secs(3)).await;
    assert!(answer.error().contains("1 secret-unavailable"), "{}", answer.error());
    assert!(answer.took <= Duration::from_secs(2), "{:?}", answer.took);
}

#[tokio::test]
async fn what_is_finished_before_the_deadline_counts_message_by_message() {
    let app = TestAppBuilder::new()
        .await
        .fault("hang,key=slow*")
        .env("MAX_KEYS_PER_REQUEST", 1)
        .env("REQUEST_TIMEOUT_MS", 60000)
        .start()
        .await;
    let event = sqs_event([s3_event(["slow.pdf"]), s3_event(["quick.pdf"]), s3_event(["fast.pdf"])]);
    let answer = app.invoke_within(event, Duration::from_secs(4)).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert!(answer.took <= Duration::from_secs(3), "{:?}", answer.took);
}

/// Ten thousand messages and a function with little of a core. What is built for the tests is ten times slower than what is deployed,
/// so that a fifth of a core is less than the 7 % that 128 MB bring.
#[tokio::test]
async fn a_starved_function_answers_in_time_for_ten_thousand_messages_while_flexorch_and_sqs_hang() {
    const TIME: Duration = Duration::from_secs(20);
    let app = TestAppBuilder::new().await.fault("hang").env("AWS_LAMBDA_LOG_LEVEL", "INFO").start().await;
    app.queues.set_fault(Some(AwsFault::Hang));
    let names = keys("in/", 10_000);
    let event = sqs_event(names.iter().map(|name| s3_event([name.as_str()])));
    let starved = app.starve(0.2);
    let answer = app.invoke_within(event, TIME).await;
    drop(starved);
    assert_eq!(answer.failures().len(), 10_000);
    assert!(answer.took <= TIME - Duration::from_secs(1), "{:?}", answer.took);
}

#[tokio::test]
async fn once_the_time_is_over_no_call_begins_and_few_lines_are_written() {
    let app = TestAppBuilder::new().await.env("DEADLINE_MARGIN_MS", 5000).start().await;
    let names = keys("in/", 500);
    let event = sqs_event(names.iter().map(|name| s3_event([name.as_str()])));
    let answer = app.invoke_within(event, Duration::from_secs(2)).await;
    assert_eq!(answer.failures().len(), 500);
    assert!(app.queues.calls().is_empty() && app.requests().is_empty());
    let logs = app.logs().await;
    assert_eq!(logs.iter().filter(|line| line["class"] == "deadline").count(), 100);
    let rest: Vec<_> = logs.iter().filter(|line| line["objects"] == 400).collect();
    assert_eq!(rest.len(), 1, "{logs:#?}");
}
