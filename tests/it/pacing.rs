//! `REQUESTS_PER_MINUTE`, over real sockets; the arithmetic is tested beside the code, with a clock that is an argument.

use std::time::Duration;

use crate::support::TestAppBuilder;
use crate::support::events::{keys, s3_event, sqs_event};

#[tokio::test]
async fn requests_are_spread_after_a_burst_of_max_concurrent_requests() {
    let app = TestAppBuilder::new().await.env("REQUESTS_PER_MINUTE", 120).env("MAX_KEYS_PER_REQUEST", 1).start().await;
    let names = keys("k", 6);
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert_eq!(answer.ok()["forwarded"], 6);
    // Two immediately, then four at half a second each.
    assert!(answer.took >= Duration::from_millis(1900), "{:?}", answer.took);
}

#[tokio::test]
async fn what_will_not_fit_before_the_deadline_is_deferred_without_a_request_and_comes_back_in_its_turn() {
    let app = TestAppBuilder::new().await.env("REQUESTS_PER_MINUTE", 6).env("MAX_KEYS_PER_REQUEST", 1).start().await;
    let messages = keys("k", 5).into_iter().map(|key| s3_event([key.as_str()]));
    let answer = app.invoke_within(sqs_event(messages), Duration::from_secs(4)).await;
    assert_eq!(answer.failures(), ["m-2", "m-3", "m-4"]);
    assert!(answer.took < Duration::from_secs(2), "waiting in vain: {:?}", answer.took);
    assert_eq!(app.requests().len(), 2);
    let mut seconds: Vec<_> = app.queues.visibility_changes().iter().map(|change| change.seconds).collect();
    seconds.sort_unstable();
    assert!(seconds[0] >= 10 && seconds[1] > seconds[0] && seconds[2] > seconds[1], "{seconds:?}");
}

#[tokio::test]
async fn a_plans_rate_is_kept_by_two_processes_that_share_it() {
    let first = TestAppBuilder::new().await.sandbox(|options| options.requests_per_minute = Some(60));
    let one = first.env("REQUESTS_PER_MINUTE", 30).env("MAX_KEYS_PER_REQUEST", 1).start().await;
    let url = one.flexorch.base_url();
    let two = TestAppBuilder::new()
        .await
        .env("FLEXORCH_BASE_URL", &url)
        .env("REQUESTS_PER_MINUTE", 30)
        .env("MAX_KEYS_PER_REQUEST", 1)
        .start()
        .await;
    let event = |prefix: &str| s3_event(keys(prefix, 200).iter().map(String::as_str));
    let time = Duration::from_secs(9);
    let _ = tokio::join!(one.invoke_within(event("a"), time), two.invoke_within(event("b"), time));
    let requests = one.requests();
    assert!(requests.len() >= 6, "{}", requests.len());
    assert!(requests.iter().all(|request| request.status == Some(202)), "a 429 was met");
}
