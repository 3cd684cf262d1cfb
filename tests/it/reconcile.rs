//! The order to reconcile: a bucket's listing, forwarded by the same path as events.

use std::time::{Duration, SystemTime};

use flexorch_sandbox::aws_fault::AwsFault;
use flexorch_sandbox::buckets::ListingFault;
use serde_json::{Value, json};

use crate::support::app::{DEAD_LETTERS, SECRET, TestApp};
use crate::support::surroundings::API_KEY;
use crate::support::{TestAppBuilder, s3_event, sqs_event};

fn order(since: &str) -> Value {
    json!({"reconcile": {"since": since}})
}

fn fill(app: &TestApp, keys: impl IntoIterator<Item = String>, age: Duration) {
    for key in keys {
        app.buckets.put("my-documents", &key, 10, SystemTime::now() - age);
    }
}

/// Puts as many objects as this into the bucket: `0000.pdf`, `0001.pdf`, ….
fn fill_with(app: &TestApp, count: usize) {
    fill(app, (0..count).map(|number| format!("{number:04}.pdf")), Duration::ZERO);
}

/// The function with a fault of FlexOrch's, one request in flight and one attempt for each.
async fn request_by_request(fault: &str) -> TestApp {
    let builder = TestAppBuilder::new().await.fault(fault);
    builder.env("MAX_ATTEMPTS", 1).env("MAX_CONCURRENT_REQUESTS", 1).start().await
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
async fn what_no_event_had_brought_is_counted() {
    let app = TestApp::start().await;
    let keys = (0..5).map(|number| format!("{number}.pdf"));
    fill(&app, keys.chain(["bad.exe".to_owned()]), Duration::ZERO);
    for key in ["0.pdf", "3.pdf"] {
        app.invoke(s3_event([key])).await.ok();
    }
    app.invoke(order("PT1H")).await.ok();
    let metrics = app.metrics().await;
    assert_eq!((metrics["ReconcileFound"], metrics["ObjectsForwarded"]), (3.0, 7.0));
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
    fill_with(&app, 4000);
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
    let app = request_by_request("status=503,after=2,times=1").await;
    fill_with(&app, 500);
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

#[tokio::test]
async fn a_rejected_object_is_logged_and_counted_at_every_run_and_is_no_dead_letter() {
    let app = TestAppBuilder::new().await.dead_letters().start().await;
    fill(&app, ["a.exe".to_owned(), "b.pdf".to_owned()], Duration::ZERO);
    for _ in 0..2 {
        assert_eq!(app.invoke(order("PT1H")).await.ok()["rejected"], 1);
    }
    assert!(app.queues.messages(DEAD_LETTERS).is_empty());
    let logs = app.logs().await;
    assert_eq!(logs.iter().filter(|line| line["class"] == "rejected" && line["level"] == "ERROR").count(), 2);
}

/// How many pages were asked for.
fn pages(app: &TestApp) -> usize {
    app.buckets.calls().iter().filter(|call| call.query.contains("list-type=2")).count()
}

#[tokio::test]
async fn a_truncated_page_without_keys_is_not_the_end_of_the_bucket() {
    let app = TestApp::start().await;
    fill_with(&app, 2500);
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
    fill_with(&app, 1500);
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
    fill_with(&app, 2500);
    app.buckets.set_listing_fault(Some(ListingFault::IgnoredStartAfter));
    assert_eq!(app.invoke(order("PT1H")).await.ok()["forwarded"], 2500);
}

#[tokio::test]
async fn a_continuation_token_that_leads_to_the_same_page_is_an_error() {
    let app = TestApp::start().await;
    fill_with(&app, 1500);
    app.buckets.set_listing_fault(Some(ListingFault::SameToken));
    let answer = app.invoke(order("PT1H")).await;
    assert!(answer.error().contains("does not advance"), "{}", answer.error());
    assert_eq!((pages(&app), app.requests().len()), (2, 10));
}

/// Checks that an order in a queue is handed back for later, without a new message.
async fn comes_back_later(app: &TestApp, order: Value) {
    let answer = app.invoke(sqs_event([order])).await;
    assert_eq!(answer.failures(), ["m-0"]);
    assert!(app.queues.messages("retry").is_empty());
    assert!(app.queues.visibility_changes()[0].seconds >= 24);
}

#[tokio::test]
async fn in_a_queue_a_listing_that_does_not_advance_comes_back_later_and_makes_no_new_message() {
    let app = TestAppBuilder::new().await.fault("status=402,after=2,times=1").start().await;
    fill_with(&app, 1500);
    let stopped = app.invoke(order("PT1H")).await;
    app.buckets.set_listing_fault(Some(ListingFault::IgnoredStartAfter));
    comes_back_later(&app, continued(stopped.error())).await;
}

#[tokio::test]
async fn in_a_queue_the_rest_of_a_reconcile_becomes_a_message_of_its_own() {
    let app = request_by_request("status=503,after=1,times=1").await;
    fill_with(&app, 300);
    let answer = app.invoke(sqs_event([order("PT1H")])).await;
    assert!(answer.failures().is_empty());
    let [rest] = &app.queues.messages("retry")[..] else { panic!("one message") };
    let rest: Value = serde_json::from_str(&rest.body).unwrap();
    assert_eq!(rest["reconcile"]["hop"], 1);
    assert!(app.invoke(sqs_event([rest])).await.failures().is_empty());
    assert_eq!(app.flexorch.taken_keys().len(), 300);
}

/// The orders in the retry queue.
fn orders(app: &TestApp) -> Vec<Value> {
    let messages = app.queues.messages("retry");
    messages.iter().map(|message| serde_json::from_str::<Value>(&message.body).unwrap()["reconcile"].take()).collect()
}

#[tokio::test]
async fn in_a_queue_a_reconcile_that_the_time_cuts_short_goes_on_hop_by_hop() {
    let app = TestAppBuilder::new()
        .await
        .fault("latency=150ms")
        .env("DEADLINE_MARGIN_MS", 100)
        .env("MAX_CONCURRENT_REQUESTS", 1)
        .start()
        .await;
    fill_with(&app, 4000);
    app.queues.send("retry", &order("PT24H").to_string(), &[]).unwrap();
    let mut hops = Vec::new();
    while let Some(answer) = app.work_off_within("retry", Duration::from_secs(3)).await {
        assert!(answer.failures().is_empty());
        hops.extend(orders(&app).iter().map(|order| order["hop"].as_u64().unwrap()));
    }
    assert!(hops.len() > 1 && hops.iter().copied().eq(1..=hops.len() as u64), "{hops:?}");
    assert!(app.queues.messages("retry").is_empty());
    assert_eq!(app.flexorch.taken_keys().len(), 4000);
}

#[tokio::test]
async fn in_a_queue_a_reconcile_goes_on_later_after_a_deferred_object_and_never_immediately_without_progress() {
    let app = TestAppBuilder::new().await.fault("status=402,after=1").env("MAX_CONCURRENT_REQUESTS", 1).start().await;
    fill_with(&app, 300);
    app.queues.send("retry", &order("PT1H").to_string(), &[]).unwrap();
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    let delay = app.queues.next_visible("retry").unwrap().as_secs();
    assert!((23..=36).contains(&delay), "{delay} s");
    // It is received again and again, and comes no further: one message, which is received more and more rarely.
    for receive in 1..=4_u32 {
        app.queues.skip(app.queues.next_visible("retry").unwrap());
        assert_eq!(app.work_off("retry").await.unwrap().failures().len(), 1);
        let [order] = &orders(&app)[..] else { panic!("one order") };
        assert_eq!(order["hop"], 1);
        let hidden = app.queues.next_visible("retry").unwrap().as_secs();
        assert!(hidden >= 23 << (receive - 1), "{receive}: {hidden} s");
    }
}

#[tokio::test]
async fn in_a_queue_a_key_that_always_fails_waits_alone_and_the_rest_of_the_bucket_is_listed() {
    let app = request_by_request("status=500,key=*poison*").await;
    fill_with(&app, 1_500);
    // On the first page, behind keys that FlexOrch accepts.
    fill(&app, ["0500-poison ü.pdf".to_owned()], Duration::ZERO);
    app.queues.send("retry", &order("PT1H").to_string(), &[]).unwrap();
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert_eq!(app.flexorch.taken_keys().len(), 1_500);
    let [message] = &app.queues.messages("retry")[..] else { panic!("one message") };
    let event: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(event["Records"].as_array().unwrap().len(), 1, "{event}");
    assert!(app.queues.next_visible("retry").unwrap() >= Duration::from_secs(23));
    // It is a message like any other: forwarded once FlexOrch takes it.
    app.flexorch.faults().clear();
    app.queues.skip(app.queues.next_visible("retry").unwrap());
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert!(app.flexorch.taken_keys().contains(&"0500-poison ü.pdf".to_owned()));
    assert!(app.queues.messages("retry").is_empty());
}

#[tokio::test]
async fn a_stuck_order_is_renewed_like_any_message() {
    let app = TestAppBuilder::new().await.env("RENEW_AFTER_RECEIVES", 2).start().await;
    app.buckets.set_fault(Some(AwsFault::AccessDenied));
    let body = order("PT1H").to_string();
    app.queues.send("retry", &body, &[]).unwrap();
    for receive in 1..=2 {
        assert_eq!(app.work_off("retry").await.unwrap().failures().len(), 2 - receive, "{receive}");
        app.queues.skip(app.queues.next_visible("retry").unwrap());
    }
    let [copy] = &app.queues.messages("retry")[..] else { panic!("one message") };
    assert_eq!((&copy.body, copy.receive_count), (&body, 0));
    assert_eq!(app.metrics().await["MessagesRenewed"], 1.0);
}

#[tokio::test]
async fn in_a_queue_a_connector_that_waits_has_no_other_connectors_bucket_listed_again() {
    let connector = |id: u32, bucket: &str| json!({"api_key": API_KEY, "connector_id": id, "bucket": bucket, "region": "eu-west-1"});
    let app = TestAppBuilder::new()
        .await
        .secrets([("waits", connector(1, "my-documents")), ("works", connector(2, "other")), ("gone", json!([]))])
        .fault("status=503,connector=1")
        .env("MAX_ATTEMPTS", 1)
        .start()
        .await;
    app.buckets.create("other", "eu-west-1");
    fill(&app, ["a.pdf".to_owned()], Duration::ZERO);
    app.buckets.put("other", "b.pdf", 10, SystemTime::now());
    app.queues.send("retry", &order("PT24H").to_string(), &[]).unwrap();
    // The first order is followed by one for each of the two that wait.
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert_eq!(orders(&app).len(), 2);
    for _ in 0..4 {
        app.queues.skip(Duration::from_secs(1200));
        assert_eq!(app.work_off("retry").await.unwrap().failures().len(), 2);
    }
    let lists = |bucket: &str| app.buckets.calls().iter().filter(|call| call.bucket == bucket).count();
    assert_eq!((lists("my-documents"), lists("other")), (5, 1));
    assert_eq!(app.flexorch.taken_keys(), ["b.pdf"]);
    // Once FlexOrch takes it and the secret can be read, nothing is left.
    app.flexorch.faults().clear();
    app.secrets.put("gone", connector(3, "third").to_string());
    app.buckets.create("third", "eu-west-1");
    app.buckets.put("third", "c.pdf", 10, SystemTime::now());
    app.queues.skip(Duration::from_secs(1200));
    assert!(app.work_off("retry").await.unwrap().failures().is_empty());
    assert!(orders(&app).is_empty());
    assert_eq!(app.flexorch.taken_keys(), ["a.pdf", "b.pdf", "c.pdf"]);
}

#[tokio::test]
async fn the_on_failure_record_of_a_reconcile_goes_on_from_the_cursor_in_its_error() {
    let app = request_by_request("status=503,after=1,times=1").await;
    fill_with(&app, 300);
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
    for (fault, level, blocked) in [(AwsFault::AccessDenied, "ERROR", 1.0), (AwsFault::Internal, "WARN", 0.0)] {
        let app = TestAppBuilder::new().await.env("AWS_MAX_ATTEMPTS", 1).start().await;
        app.buckets.set_fault(Some(fault));
        comes_back_later(&app, order("PT1H")).await;
        let output = app.output().await;
        let logs: Vec<Value> = output.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let is_it = |line: &&Value| line["message"].as_str().is_some_and(|text| text.starts_with("a reconcile waits"));
        let [line] = logs.iter().filter(is_it).collect::<Vec<_>>()[..] else { panic!("{logs:?}") };
        assert_eq!((&line["level"], &line["connector"]), (&json!(level), &json!(SECRET)), "{line}");
        assert!(line["error"].as_str().unwrap().contains("my-documents"), "{line}");
        let counted: f64 = logs.iter().filter_map(|line| line["ReconcilesBlocked"].as_f64()).sum();
        assert_eq!(counted, blocked, "{fault:?}");
    }
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

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_logged_once_however_many_parts_of_an_event_need_it() {
    let app = TestAppBuilder::new().await.secrets([("docs", json!({"api_key": 5}))]).start().await;
    app.invoke(sqs_event([s3_event(["a.pdf"]), order("PT1H"), order("PT2H")])).await;
    let logged =
        app.logs().await.into_iter().filter(|line| {
            line["level"] == "ERROR" && line["secret"] == "docs" && line["span"]["name"] == "invocation"
        });
    assert_eq!(logged.count(), 1);
}
