//! The function answers before Lambda ends it, whatever the endpoint does.

use std::time::Duration;

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
