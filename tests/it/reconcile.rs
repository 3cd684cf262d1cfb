//! The order to reconcile: a bucket's listing, forwarded by the same path as events.

use std::time::{Duration, SystemTime};

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::buckets::ListingFault;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::surroundings::API_KEY;
use crate::support::{TestAppBuilder, sqs_event};

fn order(since: &str) -> Value {
    json!({"reconcile": {"since": since}})
}

fn fill(app: &TestApp, keys: impl IntoIterator<Item = String>, age: Duration) {
    for key in keys {
        app.buckets.put("my-documents", &key, 10, SystemTime::now() - age);
    }
}

/// The event that continues from an error's cursor.
fn continued(error: &str) -> Value {
    let cursor = error.split("cursor: ").nth(1).unwrap().split_whitespace().next().unwrap().trim_end_matches(';');
    json!({"reconcile": {"since": "PT24H", "cursor": cursor}})
}

#[tokio::test]
async fn what_was_modified_since_is_forwarded_and_what_is_older_is_not() {
    let app = TestApp::start().await;
    fill(&app, ["old.pdf".to_owned()], Duration::from_secs(48 * 3600));
    fill(&app, ["new a+b ü.pdf".to_owned(), "new.exe".to_owned()], Duration::from_secs(3600));
    let answer = app.invoke(order("PT24H")).await;
    let summary = answer.ok();
    assert_eq!((&summary["received"], &summary["forwarded"], &summary["rejected"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(app.flexorch.taken_keys(), ["new a+b ü.pdf"]);
}

#[tokio::test]
async fn a_bucket_is_listed_to_its_end_under_the_connectors_prefix_and_the_orders() {
    let secret = json!({"api_key": API_KEY, "connector_id": 42, "bucket": "my-documents", "prefix": "in/"});
    let app = TestAppBuilder::new().await.secrets([("docs", secret)]).start().await;
    fill(&app, (0..2500).map(|number| format!("in/{number:04}.pdf")), Duration::ZERO);
    fill(&app, ["out/x.pdf".to_owned()], Duration::ZERO);
    assert_eq!(app.invoke(order("PT1H")).await.ok()["forwarded"], 2500);
    assert_eq!(app.requests().len(), 25);
    app.flexorch.clear_requests();
    let narrowed = json!({"reconcile": {"since": "P1D", "prefix": "in/00"}});
    assert_eq!(app.invoke(narrowed).await.ok()["received"], 100);
}

#[tokio::test]
async fn an_object_of_nested_connectors_is_forwarded_once_by_the_one_that_reads_it() {
    let connector = |id: u32, prefix: &str| json!({"api_key": API_KEY, "connector_id": id, "bucket": "my-documents", "prefix": prefix});
    let app =
        TestAppBuilder::new().await.secrets([("all", connector(1, "")), ("in", connector(2, "in/"))]).start().await;
    fill(&app, ["in/a.pdf".to_owned(), "b.pdf".to_owned()], Duration::ZERO);
    assert_eq!(app.invoke(order("PT1H")).await.ok()["received"], 2);
    let mut sent: Vec<_> =
        app.requests().into_iter().map(|request| (request.connector_id.as_u64().unwrap(), request.keys)).collect();
    sent.sort();
    assert_eq!(sent, [(1, vec!["b.pdf".to_owned()]), (2, vec!["in/a.pdf".to_owned()])]);
}

#[tokio::test]
async fn a_reconcile_that_the_time_cuts_short_goes_on_from_its_cursor_until_all_is_covered() {
    let app = TestAppBuilder::new().await.fault("latency=150ms").env("DEADLINE_MARGIN_MS", 100).start().await;
    fill(&app, (0..4000).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    let mut event = order("PT24H");
    for call in 1.. {
        assert!(call < 20, "it does not come to an end");
        let answer = app.invoke_within(event, Duration::from_secs(3)).await;
        assert!(answer.took < Duration::from_secs(3));
        match answer.result {
            Ok(_) => {
                assert!(call > 1, "the time did not cut it short");
                break;
            }
            Err(error) => event = continued(error["errorMessage"].as_str().unwrap()),
        }
    }
    assert_eq!(app.flexorch.taken_keys().len(), 4000);
}

#[tokio::test]
async fn a_deferred_object_stops_the_listing_there_and_nothing_before_it_is_sent_again() {
    let app = TestAppBuilder::new().await.fault("status=503,after=2,times=1").env("MAX_ATTEMPTS", 1).start().await;
    fill(&app, (0..500).map(|number| format!("{number:03}.pdf")), Duration::ZERO);
    let answer = app.invoke(order("PT1H")).await;
    assert!(answer.error().contains("objects are deferred"), "{}", answer.error());
    let again = app.invoke(continued(answer.error())).await;
    assert_eq!(again.ok()["received"], 300);
    assert_eq!(app.flexorch.taken_keys().len(), 500);
}

#[tokio::test]
async fn a_bucket_that_cannot_be_listed_is_an_error_that_names_the_permission() {
    let app = TestApp::start().await;
    app.buckets.set_fault(Some(AwsFault::AccessDenied));
    let answer = app.invoke(order("PT1H")).await;
    assert!(answer.error().contains("s3:ListBucket"), "{}", answer.error());
}

/// How many pages were asked for.
fn pages(app: &TestApp) -> usize {
    app.buckets.calls().iter().filter(|call| call.query.contains("list-type=2")).count()
}

#[tokio::test]
async fn a_truncated_page_without_keys_is_not_the_end_of_the_bucket() {
    let app = TestApp::start().await;
    fill(&app, (0..2500).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    app.buckets.set_listing_fault(Some(ListingFault::EmptyPages(2)));
    assert_eq!(app.invoke(order("PT1H")).await.ok()["forwarded"], 2500);
    assert_eq!(app.flexorch.taken_keys().len(), 2500);
    assert_eq!(pages(&app), 9);
}

#[tokio::test]
async fn a_bucket_of_empty_pages_without_end_is_an_error_that_says_so() {
    let app = TestApp::start().await;
    fill(&app, ["a.pdf".to_owned()], Duration::ZERO);
    app.buckets.set_listing_fault(Some(ListingFault::EmptyPages(u64::MAX - 1)));
    let answer = app.invoke(order("PT1H")).await;
    assert!(answer.error().contains("does not advance"), "{}", answer.error());
    assert!(pages(&app) <= 1_001, "{} pages", pages(&app));
}

#[tokio::test]
async fn a_store_that_ignores_start_after_is_an_error_and_nothing_is_submitted_again() {
    let app = TestAppBuilder::new().await.fault("status=402,after=2,times=1").start().await;
    fill(&app, (0..1500).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    let stopped = app.invoke(order("PT1H")).await;
    app.buckets.set_listing_fault(Some(ListingFault::IgnoredStartAfter));
    app.flexorch.clear_requests();
    let before = pages(&app);
    let answer = app.invoke(continued(stopped.error())).await;
    for words in ["does not advance", "start-after", "0000.pdf", "cursor: "] {
        assert!(answer.error().contains(words), "{words}: {}", answer.error());
    }
    assert!(app.requests().is_empty());
    assert_eq!(pages(&app), before + 1);
    // Within an invocation the continuation token leads on, which such a store understands.
    let app = TestApp::start().await;
    fill(&app, (0..2500).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    app.buckets.set_listing_fault(Some(ListingFault::IgnoredStartAfter));
    assert_eq!(app.invoke(order("PT1H")).await.ok()["forwarded"], 2500);
}

#[tokio::test]
async fn a_continuation_token_that_leads_to_the_same_page_is_an_error() {
    let app = TestApp::start().await;
    fill(&app, (0..1500).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    app.buckets.set_listing_fault(Some(ListingFault::SameToken));
    let answer = app.invoke(order("PT1H")).await;
    assert!(answer.error().contains("does not advance"), "{}", answer.error());
    assert_eq!((pages(&app), app.requests().len()), (2, 10));
}

#[tokio::test]
async fn in_a_queue_a_listing_that_does_not_advance_comes_back_later_and_makes_no_new_message() {
    let app = TestAppBuilder::new().await.fault("status=402,after=2,times=1").start().await;
    fill(&app, (0..1500).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
    let stopped = app.invoke(order("PT1H")).await;
    app.buckets.set_listing_fault(Some(ListingFault::IgnoredStartAfter));
    let answer = app.invoke(sqs_event([continued(stopped.error())])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert!(app.queues.messages("retry").is_empty());
    assert!(app.queues.visibility_changes()[0].seconds >= 24);
}

#[tokio::test]
async fn in_a_queue_the_rest_of_a_reconcile_becomes_a_message_of_its_own() {
    let app = TestAppBuilder::new().await.fault("status=503,after=1,times=1").env("MAX_ATTEMPTS", 1).start().await;
    fill(&app, (0..300).map(|number| format!("{number:03}.pdf")), Duration::ZERO);
    let answer = app.invoke(sqs_event([order("PT1H")])).await;
    assert!(answer.failures().is_empty());
    let [rest] = &app.queues.messages("retry")[..] else { panic!("one message") };
    let rest: Value = serde_json::from_str(&rest.body).unwrap();
    assert!(app.invoke(sqs_event([rest])).await.failures().is_empty());
    assert_eq!(app.flexorch.taken_keys().len(), 300);
}

#[tokio::test]
async fn the_on_failure_record_of_a_reconcile_goes_on_from_the_cursor_in_its_error() {
    let app = TestAppBuilder::new().await.fault("status=503,after=1,times=1").env("MAX_ATTEMPTS", 1).start().await;
    fill(&app, (0..300).map(|number| format!("{number:03}.pdf")), Duration::ZERO);
    let failed = app.invoke(order("PT1H")).await;
    let record = json!({
        "version": "1.0", "requestContext": {"condition": "RetriesExhausted"}, "requestPayload": order("PT1H"),
        "responseContext": {"statusCode": 200}, "responsePayload": {"errorType": "ObjectsDeferred", "errorMessage": failed.error()},
    });
    app.flexorch.clear_requests();
    assert!(app.invoke(sqs_event([record])).await.failures().is_empty());
    assert_eq!(app.submitted_keys().len(), 200);
    assert_eq!(app.flexorch.taken_keys().len(), 300);
}

#[tokio::test]
async fn in_a_queue_a_reconcile_that_is_stuck_comes_back_later_and_makes_no_new_message() {
    let app = TestApp::start().await;
    app.buckets.set_fault(Some(AwsFault::AccessDenied));
    let answer = app.invoke(sqs_event([order("PT1H")])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert!(app.queues.messages("retry").is_empty());
    assert!(app.queues.visibility_changes()[0].seconds >= 24);
}

#[tokio::test]
async fn a_reconcile_leaves_what_an_unreadable_secret_claims_to_a_later_order_and_forwards_the_rest() {
    let all = json!({"api_key": API_KEY, "connector_id": 1, "bucket": "my-documents"});
    let hr = json!({"api_key": "dfx_hr_0123456789", "connector_id": 2, "bucket": "my-documents", "prefix": "hr/"});
    let mut malformed = hr.clone();
    malformed.as_object_mut().unwrap().remove("api_key");
    let app = TestAppBuilder::new().await.secrets([("all", all), ("hr", malformed)]).start().await;
    fill(&app, ["a.pdf", "hr/b.pdf", "z.pdf"].map(str::to_owned), Duration::ZERO);
    let answer = app.invoke(order("PT1H")).await;
    assert!(
        answer.error().contains("reconcile is not finished") && answer.error().contains("\"hr\""),
        "{}",
        answer.error()
    );
    assert_eq!(app.flexorch.taken_keys(), ["a.pdf", "z.pdf"]);
    app.secrets.put("hr", hr.to_string());
    assert_eq!(app.invoke(order("PT1H")).await.ok()["received"], 3);
    let of_hr = app.requests().into_iter().filter(|request| request.keys.contains(&"hr/b.pdf".to_owned()));
    let keys: Vec<_> = of_hr.map(|request| request.api_key.unwrap().expose().to_owned()).collect();
    assert_eq!(keys, ["dfx_hr_0123456789"]);
}
