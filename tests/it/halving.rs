//! Requests that FlexOrch refuses as a whole.

use serde_json::json;

use crate::support::app::{SECRET, connector_secret};
use crate::support::events::{keys, sqs_event_received};
use crate::support::{TestAppBuilder, s3_event};

#[tokio::test]
async fn a_refused_request_is_halved_until_the_culprit_stands_alone_and_the_rest_is_forwarded_once() {
    for status in [400, 422] {
        let app = TestAppBuilder::new()
            .await
            .fault(&format!("status={status},code=VALIDATION_ERROR,key=*bad*"))
            .start()
            .await;
        let mut names = keys("k", 99);
        names.insert(37, "bad.pdf".to_owned());
        let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
        assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["rejected"].clone()), (json!(99), json!(1)));
        let requests = app.requests();
        assert!(requests.len() <= 15, "{} requests for one culprit of a hundred", requests.len());
        let mut taken: Vec<_> = requests
            .iter()
            .filter(|request| request.status == Some(202))
            .flat_map(|request| request.keys.clone())
            .collect();
        let sent = taken.len();
        taken.sort();
        taken.dedup();
        assert_eq!((sent, taken.len()), (99, 99), "no accepted key is sent twice");
    }
}

#[tokio::test]
async fn several_culprits_are_each_found() {
    let app = TestAppBuilder::new().await.fault("status=422,code=VALIDATION_ERROR,key=*bad*").start().await;
    let mut names = keys("k", 92);
    for (number, place) in [3, 4, 5, 20, 40, 60, 80, 90].into_iter().enumerate() {
        names.insert(place, format!("bad{number}.pdf"));
    }
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["rejected"].clone()), (json!(92), json!(8)));
    assert!(app.requests().len() <= 1 + 2 * 8 * 7, "{}", app.requests().len());
}

#[tokio::test]
async fn a_lone_key_is_rejected_when_the_code_is_the_files_own() {
    for fault in ["status=413", "status=415", "status=400,code=UNSUPPORTED_FILE", "status=422,code=FILE_TOO_LARGE"] {
        let app = TestAppBuilder::new().await.fault(fault).start().await;
        let answer = app.invoke(s3_event(["a.pdf"])).await;
        assert_eq!(answer.ok()["rejected"], 1, "{fault}");
    }
}

#[tokio::test]
async fn a_lone_key_is_deferred_while_flexorch_has_taken_nothing_and_rejected_once_it_has() {
    let app = TestAppBuilder::new().await.fault("status=400,code=MISSING_INPUT,key=*bad*").start().await;
    let first = app.invoke(s3_event(["bad.pdf"])).await;
    assert!(first.error().contains("1 request-refused"), "{}", first.error());
    assert_eq!(app.invoke(s3_event(["good.pdf"])).await.ok()["forwarded"], 1);
    assert_eq!(app.invoke(s3_event(["bad.pdf"])).await.ok()["rejected"], 1);
}

#[tokio::test]
async fn a_broken_request_form_drains_nothing_into_the_dead_letter_queue() {
    let app = TestAppBuilder::new().await.dead_letters().fault("status=400,code=VALIDATION_ERROR").start().await;
    let names = keys("k", 250);
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert!(answer.error().contains("250 of 250 objects are deferred"), "{}", answer.error());
    assert_eq!(app.requests().len(), 16, "2·⌈log2 100⌉ + 2");
    assert!(app.queues.messages(crate::support::app::DEAD_LETTERS).is_empty());
}

#[tokio::test]
async fn a_request_that_was_only_too_large_teaches_a_smaller_size() {
    let app = TestAppBuilder::new().await.sandbox(|options| options.max_keys_per_request = 60).start().await;
    let names = keys("a", 100);
    assert_eq!(app.invoke(s3_event(names.iter().map(String::as_str))).await.ok()["forwarded"], 100);
    assert_eq!(app.requests().len(), 3);
    let names = keys("b", 100);
    assert_eq!(app.invoke(s3_event(names.iter().map(String::as_str))).await.ok()["forwarded"], 100);
    let sizes: Vec<_> = app.requests()[3..].iter().map(|request| request.keys.len()).collect();
    assert_eq!(sizes, [50, 50], "the size is remembered");
}

#[tokio::test]
async fn with_one_key_a_request_a_few_refused_keys_do_not_keep_the_others_from_being_sent() {
    let app = TestAppBuilder::new()
        .await
        .fault("status=400,code=VALIDATION_ERROR,key=bad*")
        .env("MAX_KEYS_PER_REQUEST", 1)
        .start()
        .await;
    let answer = app.invoke(s3_event(["bad1.pdf", "bad2.pdf", "bad3.pdf", "good.pdf"])).await;
    assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["rejected"].clone()), (json!(1), json!(3)));
}

#[tokio::test]
async fn a_tenth_of_unsupported_files_in_a_thousand_holds_none_of_the_others_back() {
    let app = TestAppBuilder::new().await.fault("status=415,code=UNSUPPORTED_FILE,key=*bad*").start().await;
    let names: Vec<_> =
        (0..1000).map(|number| format!("{}{number:04}.pdf", if number % 10 == 3 { "bad" } else { "ok" })).collect();
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert_eq!((answer.ok()["forwarded"].clone(), answer.ok()["rejected"].clone()), (json!(900), json!(100)));
}

#[tokio::test]
async fn one_key_that_flexorch_answers_with_500_does_not_hold_its_neighbours_back() {
    let app = TestAppBuilder::new().await.fault("status=500,key=*poison*").env("MAX_ATTEMPTS", 2).start().await;
    assert_eq!(app.invoke(s3_event(["first.pdf"])).await.ok()["forwarded"], 1);
    let mut names = keys("k", 99);
    names.insert(61, "poison.pdf".to_owned());
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert!(answer.error().contains("1 of 100 objects are deferred (1 unavailable)"), "{}", answer.error());
    assert_eq!(app.flexorch.taken_keys().len(), 100);
    assert!(app.requests().len() <= 1 + 2 + 14, "{}", app.requests().len());
}

#[tokio::test]
async fn an_outage_with_500_after_a_success_costs_few_requests() {
    let app = TestAppBuilder::new().await.fault("status=500,after=1").env("MAX_ATTEMPTS", 2).start().await;
    assert_eq!(app.invoke(s3_event(["first.pdf"])).await.ok()["forwarded"], 1);
    let names = keys("k", 1000);
    let answer = app.invoke(s3_event(names.iter().map(String::as_str))).await;
    assert!(answer.error().contains("1000 of 1000 objects are deferred (1000 unavailable)"), "{}", answer.error());
    assert!(app.requests().len() <= 1 + 2 * 2 + 14, "{}", app.requests().len());
}

#[tokio::test]
async fn what_one_connector_id_has_accepted_says_nothing_about_another() {
    let app = TestAppBuilder::new()
        .await
        .fault("status=422,code=VALIDATION_ERROR,connector=43")
        .env("SECRET_CACHE_TTL_SECONDS", 0)
        .start()
        .await;
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    let mut secret = connector_secret();
    secret["connector_id"] = json!(43);
    app.secrets.put(SECRET, secret.to_string());
    let answer = app.invoke(s3_event(["b.pdf"])).await;
    assert!(answer.error().contains("1 request-refused"), "{}", answer.error());
}

#[tokio::test]
async fn a_message_that_keeps_coming_back_is_searched_for_the_key_that_fails_with_500() {
    // Once some of its objects are settled, another message that names only the rest takes its place.
    for (receives, forwarded, failures) in [(2, 0, &["m-0"][..]), (3, 7, &[])] {
        let app = TestAppBuilder::new().await.fault("status=500,key=*poison*").env("MAX_ATTEMPTS", 1).start().await;
        let names = ["a.pdf", "b.pdf", "c.pdf", "poison.pdf", "d.pdf", "e.pdf", "f.pdf", "g.pdf"];
        let event = sqs_event_received(receives, [s3_event(names).to_string()]);
        assert_eq!(app.invoke(event).await.failures(), failures);
        assert_eq!(app.flexorch.taken_keys().len(), forwarded, "received {receives} times");
    }
}
