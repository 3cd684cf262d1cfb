//! Which objects reach FlexOrch, as which request.

use flexorch_sandbox::RecordedRequest;
use serde_json::json;

use crate::support::app::SECRET;
use crate::support::events::{keys, s3_record, sample};
use crate::support::surroundings::API_KEY;
use crate::support::{TestApp, TestAppBuilder, s3_event, sqs_event};

#[tokio::test]
async fn a_notification_is_the_request_of_the_customers_page() {
    let app = TestApp::start().await;
    let answer = app.invoke(s3_event(["invoices/jan/inv+001.pdf", "invoices/jan/a%2Bb.pdf"])).await;
    assert_eq!(answer.ok()["forwarded"], 2);
    let [request] = &app.requests()[..] else { panic!("one request") };
    assert_eq!(
        request.body,
        json!({"source": {"connector_id": 42, "keys": ["invoices/jan/inv 001.pdf", "invoices/jan/a+b.pdf"]}})
    );
    assert_eq!(request.api_key.as_ref().unwrap().expose(), API_KEY);
    assert_eq!(request.headers["content-type"], "application/json");
}

#[tokio::test]
async fn the_sample_notification_comes_out_as_its_readme_says() {
    let secret = json!({"api_key": API_KEY, "connector_id": "42", "bucket": "my-documents", "prefix": "invoices/"});
    let app = TestAppBuilder::new().await.secrets([("docs", secret)]).start().await;
    let answer = app.invoke(sample("s3-direct.json")).await;
    let summary = answer.ok();
    for (count, expected) in [("received", 17), ("forwarded", 12), ("skipped", 4), ("rejected", 1), ("deferred", 0)] {
        assert_eq!(summary[count], expected, "{count}: {summary}");
    }
    assert_eq!(app.requests()[0].connector_id, "42");
    assert!(app.submitted_keys().contains(&"invoices/2026/11/file %41 literal.txt".to_owned()));
}

#[tokio::test]
async fn keys_are_sent_in_requests_of_at_most_max_keys_per_request() {
    let app = TestAppBuilder::new().await.env("MAX_KEYS_PER_REQUEST", 10).start().await;
    let keys = keys("k", 25);
    let answer = app.invoke(s3_event(keys.iter().map(String::as_str))).await;
    assert_eq!(answer.ok()["forwarded"], 25);
    let mut sizes: Vec<_> = app.requests().iter().map(|request| request.keys.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    let mut sent = app.submitted_keys();
    sent.sort();
    assert_eq!(sent, keys);
}

#[tokio::test]
async fn a_connectors_objects_are_as_few_requests_as_they_can_be_whatever_messages_they_came_in() {
    let secret = |id: u32, prefix: &str| json!({"api_key": API_KEY, "connector_id": id, "prefix": prefix});
    let secrets = [("one", secret(1, "one/")), ("two", secret(2, "two/"))];
    for objects_each in [60, 7, 1] {
        let builder = TestAppBuilder::new().await.secrets(secrets.clone()).env("MAX_KEYS_PER_REQUEST", 25);
        let app = builder.start().await;
        // Every other object is another connector's.
        let keys: Vec<_> =
            keys("one/", 60).into_iter().zip(keys("two/", 60)).flat_map(|(one, two)| [one, two]).collect();
        let notices = keys.chunks(objects_each).map(|keys| s3_event(keys.iter().map(String::as_str)));
        assert!(app.invoke(sqs_event(notices)).await.failures().is_empty());
        for connector in [1, 2] {
            let of_connector = |request: &&RecordedRequest| request.connector_id == connector;
            let requests = app.requests();
            let mut sizes: Vec<_> = requests.iter().filter(of_connector).map(|request| request.keys.len()).collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [10, 25, 25], "{objects_each} objects a message");
        }
    }
}

#[tokio::test]
async fn the_same_key_of_several_buckets_is_never_twice_in_one_request() {
    let secret = json!({"api_key": API_KEY, "connector_id": 42});
    let app = TestAppBuilder::new().await.secrets([(SECRET, secret)]).start().await;
    let records = [("one", "a.pdf"), ("one", "b.pdf"), ("two", "a.pdf"), ("three", "a.pdf"), ("three", "c.pdf")];
    let records: Vec<_> = records.iter().map(|(bucket, key)| s3_record(bucket, key)).collect();
    assert_eq!(app.invoke(json!({"Records": records})).await.ok()["forwarded"], 5);
    let mut requests: Vec<_> = app.requests().iter().map(|request| request.keys.clone()).collect();
    requests.sort();
    assert_eq!(requests, [vec!["a.pdf"], vec!["a.pdf"], vec!["a.pdf", "b.pdf", "c.pdf"]]);
}

#[tokio::test]
async fn an_object_of_a_bucket_without_a_connector_is_skipped_with_a_warning() {
    let app = TestApp::start().await;
    let answer = app.invoke(json!({"Records": [s3_record("stranger", "a.pdf")]})).await;
    assert_eq!(answer.ok()["skipped_by_reason"], json!({"no-connector": 1}));
    assert!(app.requests().is_empty());
    let warned = app
        .logs()
        .await
        .into_iter()
        .any(|line| line["level"] == "WARN" && line["class"] == "no-connector" && line["bucket"] == "stranger");
    assert!(warned);
}

#[tokio::test]
async fn only_keys_under_a_prefix_with_a_suffix_and_of_a_size_are_forwarded() {
    let app = TestAppBuilder::new()
        .await
        .env("KEY_PREFIXES", "invoices/,scans/")
        .env("KEY_SUFFIXES", ".pdf,.TIFF")
        .env("MAX_OBJECT_BYTES", 2000)
        .start()
        .await;
    let mut large = s3_record("my-documents", "invoices/large.pdf");
    large["s3"]["object"]["size"] = json!(2001);
    let mut unknown = s3_record("my-documents", "scans/unknown-size.tiff");
    unknown["s3"]["object"].as_object_mut().unwrap().remove("size");
    let mut event = s3_event(["invoices/a.PDF", "scans/b.tiff", "drafts/c.pdf", "invoices/d.exe"]);
    event["Records"].as_array_mut().unwrap().extend([large, unknown]);
    let answer = app.invoke(event).await;
    assert_eq!(answer.ok()["skipped_by_reason"], json!({"out-of-prefix": 1, "out-of-suffix": 1, "too-large": 1}));
    let mut sent = app.submitted_keys();
    sent.sort();
    assert_eq!(sent, ["invoices/a.PDF", "scans/b.tiff", "scans/unknown-size.tiff"]);
}

#[tokio::test]
async fn of_several_connectors_the_longest_prefix_of_the_bucket_takes_the_object() {
    let connector = |id: u32, bucket: &str, prefix: &str| json!({"api_key": format!("dfx_{id}_key"), "connector_id": id, "bucket": bucket, "prefix": prefix});
    let app = TestAppBuilder::new()
        .await
        .secrets([
            ("all", connector(1, "my-documents", "")),
            ("invoices", connector(2, "my-documents", "invoices/")),
            ("other", connector(3, "archive", "invoices/")),
        ])
        .start()
        .await;
    let event = json!({"Records": [
        s3_record("my-documents", "invoices/a.pdf"),
        s3_record("my-documents", "letters/b.pdf"),
        s3_record("archive", "invoices/c.pdf"),
    ]});
    assert_eq!(app.invoke(event).await.ok()["forwarded"], 3);
    let mut sent: Vec<_> = app
        .requests()
        .into_iter()
        .map(|request| {
            (request.connector_id.as_u64().unwrap(), request.api_key.unwrap().expose().to_owned(), request.keys)
        })
        .collect();
    sent.sort();
    let expected =
        [(1, "dfx_1_key", "letters/b.pdf"), (2, "dfx_2_key", "invoices/a.pdf"), (3, "dfx_3_key", "invoices/c.pdf")];
    assert_eq!(sent, expected.map(|(id, key, name)| (id, key.to_owned(), vec![name.to_owned()])));
}

#[tokio::test]
async fn a_key_is_sent_once_an_invocation_and_the_highest_sequencer_stands() {
    let app = TestAppBuilder::new().await.env("MAX_OBJECT_BYTES", 10).start().await;
    // Only the record with the highest sequencer is small enough to be forwarded.
    let numbered = |sequencer: &str, size: u64| {
        let mut record = s3_record("my-documents", "a.pdf");
        record["s3"]["object"]["sequencer"] = json!(sequencer);
        record["s3"]["object"]["size"] = json!(size);
        record
    };
    let event = json!({"Records": [numbered("0A", 11), numbered("100", 2), numbered("FF", 11)]});
    let answer = app.invoke(event).await;
    assert_eq!(
        (answer.ok()["forwarded"].clone(), answer.ok()["skipped_by_reason"].clone()),
        (json!(1), json!({"superseded": 2}))
    );
    assert_eq!(app.submitted_keys(), ["a.pdf"]);
}

#[tokio::test]
async fn what_is_not_created_and_folder_markers_are_skipped_without_a_request() {
    let app = TestApp::start().await;
    let mut removed = s3_record("my-documents", "a.pdf");
    removed["eventName"] = json!("ObjectRemoved:Delete");
    let mut marker = s3_record("my-documents", "new/");
    marker["s3"]["object"]["size"] = json!(0);
    let answer = app.invoke(json!({"Records": [removed, marker]})).await;
    assert_eq!(answer.ok()["skipped_by_reason"], json!({"not-created": 1, "folder-marker": 1}));
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn a_connectors_own_locale_and_pipeline_config_win_over_the_environments() {
    let own = json!({"api_key": API_KEY, "connector_id": 1, "bucket": "own", "locale": "fr",
        "pipeline_config": {"document_type_hint": "invoice"}});
    let other = json!({"api_key": API_KEY, "connector_id": 2, "bucket": "other"});
    let app = TestAppBuilder::new()
        .await
        .secrets([("own", own), ("other", other)])
        .env("LOCALE", "de")
        .env("PIPELINE_CONFIG", r#"{"ocr": 1}"#)
        .start()
        .await;
    let event = json!({"Records": [s3_record("own", "a.pdf"), s3_record("other", "b.pdf")]});
    assert_eq!(app.invoke(event).await.ok()["forwarded"], 2);
    let mut sent: Vec<_> = app
        .requests()
        .into_iter()
        .map(|request| {
            (
                request.connector_id.as_u64().unwrap(),
                request.body["locale"].clone(),
                request.body["pipeline_config"].clone(),
            )
        })
        .collect();
    sent.sort_by_key(|(connector, ..)| *connector);
    assert_eq!(sent, [(1, json!("fr"), json!({"document_type_hint": "invoice"})), (2, json!("de"), json!({"ocr": 1}))]);
}

#[tokio::test]
async fn locale_and_pipeline_config_are_sent_only_when_they_are_set() {
    let app = TestAppBuilder::new()
        .await
        .env("LOCALE", "de")
        .env("PIPELINE_CONFIG", r#"{"ocr": {"mode": "fast"}}"#)
        .start()
        .await;
    app.invoke(s3_event(["a.pdf"])).await.ok();
    let body = &app.requests()[0].body;
    assert_eq!((&body["locale"], &body["pipeline_config"]), (&json!("de"), &json!({"ocr": {"mode": "fast"}})));
}

#[tokio::test]
async fn a_document_that_flexorch_knows_is_forwarded_and_counted_as_a_duplicate() {
    let app = TestApp::start().await;
    assert_eq!(app.invoke(s3_event(["a.pdf"])).await.ok()["duplicates"], 0);
    let again = app.invoke(s3_event(["a.pdf"])).await;
    assert_eq!((again.ok()["forwarded"].clone(), again.ok()["duplicates"].clone()), (json!(1), json!(1)));
}

#[tokio::test]
async fn an_event_that_is_out_of_scope_stands_for_another_only_if_it_is_known_to_be_newer() {
    let record = |size: u64, sequencer: Option<&str>, time: Option<&str>| {
        let mut record = s3_record("my-documents", "a.pdf");
        record["s3"]["object"]["size"] = json!(size);
        match time {
            Some(time) => record["eventTime"] = json!(time),
            None => drop(record.as_object_mut().unwrap().remove("eventTime")),
        }
        if let Some(sequencer) = sequencer {
            record["s3"]["object"]["sequencer"] = json!(sequencer);
        }
        record
    };
    let (earlier, later) = (Some("2026-01-31T10:00:00.000Z"), Some("2026-01-31T10:00:01.000Z"));
    for (small, large, forwarded) in [
        (record(1, None, None), record(9000, None, None), 1),
        (record(1, Some("5"), earlier), record(9000, None, None), 1),
        (record(1, None, earlier), record(9000, Some("5"), None), 1),
        (record(1, None, earlier), record(9000, None, earlier), 1),
        (record(1, Some("5"), earlier), record(9000, Some("6"), earlier), 0),
        (record(1, None, earlier), record(9000, None, later), 0),
        (record(1, Some("6"), earlier), record(9000, Some("5"), later), 1),
    ] {
        for records in [[&small, &large], [&large, &small]] {
            let app = TestAppBuilder::new().await.env("MAX_OBJECT_BYTES", 2000).start().await;
            let answer = app.invoke(json!({"Records": records})).await;
            let summary = answer.ok();
            assert_eq!(
                (&summary["forwarded"], &summary["skipped"]),
                (&json!(forwarded), &json!(2 - forwarded)),
                "{records:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_that_matches_an_excluding_pattern_is_skipped() {
    let app = TestAppBuilder::new().await.env("KEY_EXCLUDES", "exports/*,*.tmp.pdf").start().await;
    let answer = app.invoke(s3_event(["exports/a.pdf", "b.tmp.pdf", "in/exports/c.pdf", "B.TMP.PDF"])).await;
    assert_eq!(answer.ok()["skipped_by_reason"], json!({"excluded": 2}));
    assert_eq!(app.submitted_keys(), ["in/exports/c.pdf", "B.TMP.PDF"]);
}
