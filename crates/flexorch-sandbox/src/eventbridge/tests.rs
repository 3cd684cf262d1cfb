//! The bus as the AWS SDK for Rust, and a plain HTTP client, see it: over real sockets.

use aws_sdk_eventbridge::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    types::PutEventsRequestEntry,
};
use serde_json::json;

use super::*;
use crate::tests::client;
use crate::wait_until;

struct Bench {
    bus: EventBridge,
    sdk: Client,
}

/// An entry for a document of this name.
fn entry(document: &str) -> PutEventsRequestEntry {
    let entry = PutEventsRequestEntry::builder().source("flexorch.s3-ingester").detail_type("Document Failed");
    entry.detail(json!({"document": document}).to_string()).build()
}

impl Bench {
    async fn start() -> Self {
        let bus = EventBridge::start(0).await.unwrap();
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "x", None, None, "test"))
            .retry_config(RetryConfig::standard().with_max_attempts(1))
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .http_client(crate::tests::sdk_http::sdk_http())
            .endpoint_url(bus.endpoint_url());
        Self { sdk: Client::from_conf(config.build()), bus }
    }

    /// Publishes entries; returns each one's error code, or the call's.
    async fn put(&self, entries: Vec<PutEventsRequestEntry>) -> Result<Vec<Option<String>>, String> {
        let sent = self.sdk.put_events().set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|error| error.code().unwrap_or("none").to_owned())?;
        let codes: Vec<_> = sent.entries().iter().map(|entry| entry.error_code().map(str::to_owned)).collect();
        assert_eq!(sent.failed_entry_count() as usize, codes.iter().flatten().count());
        Ok(codes)
    }

    fn published(&self) -> Vec<String> {
        self.bus.events().iter().map(|event| event.detail["document"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn events_are_published_and_can_be_read() {
    let bench = Bench::start().await;
    let own =
        PutEventsRequestEntry::builder().event_bus_name("documents").source("x").detail_type("y").detail("{}").build();
    assert_eq!(bench.put(vec![entry("b/a.pdf"), own]).await, Ok(vec![None, None]));
    let [first, second] = bench.bus.events().try_into().unwrap();
    assert_eq!((first.source.as_str(), first.detail_type.as_str()), ("flexorch.s3-ingester", "Document Failed"));
    assert_eq!((first.bus.as_str(), &first.detail), ("default", &json!({"document": "b/a.pdf"})));
    assert_eq!(second.bus, "documents");
    assert_ne!(first.id, second.id);
    bench.bus.clear_events();
    assert!(bench.bus.events().is_empty());
    bench.bus.shutdown().await;
}

#[tokio::test]
async fn a_call_fails_as_a_whole_or_entry_by_entry() {
    let bench = Bench::start().await;
    let three = || ["a", "b", "c"].map(entry).to_vec();
    bench.bus.fail_next(1, EventsFault::Throttling);
    assert_eq!(bench.put(three()).await, Err("ThrottlingException".to_owned()));
    assert!(bench.bus.events().is_empty());
    bench.bus.fail_next(1, EventsFault::PartialFailure);
    assert_eq!(bench.put(three()).await, Ok(vec![None, Some("InternalFailure".to_owned()), None]));
    bench.bus.fail_entries(Some("\"a\""));
    assert_eq!(bench.put(three()).await, Ok(vec![Some("ThrottlingException".to_owned()), None, None]));
    bench.bus.fail_entries(None);
    assert_eq!(bench.put(three()).await, Ok(vec![None, None, None]));
    assert_eq!(bench.published(), ["a", "c", "b", "c", "a", "b", "c"]);
    bench.bus.set_bus_fault("default", Some(EventsFault::AccessDenied));
    assert_eq!(bench.put(three()).await, Err("AccessDeniedException".to_owned()));
    bench.bus.set_bus_fault("default", None);
    bench.bus.set_operation_fault("PutEvents", Some(EventsFault::Internal));
    assert_eq!(bench.put(three()).await, Err("InternalException".to_owned()));
    bench.bus.set_operation_fault("PutEvents", Some(EventsFault::HangAfterEffect));
    tokio::select! {
        responded = bench.put(vec![entry("d")]) => panic!("{responded:?}"),
        () = wait_until("the event", || bench.published().last().is_some_and(|event| event == "d")) => {}
    }
    assert_eq!(bench.bus.calls().len(), 7);
}

#[tokio::test]
async fn a_call_with_too_many_entries_or_bytes_is_refused_and_an_entry_that_is_no_event_fails_alone() {
    let bench = Bench::start().await;
    let invalid = Err("ValidationException".to_owned());
    assert_eq!(bench.put(vec![entry("a"); 11]).await, invalid);
    assert_eq!(bench.put(Vec::new()).await, invalid);
    assert_eq!(bench.put(vec![entry(&"x".repeat(140_000)), entry(&"y".repeat(140_000))]).await, invalid);
    assert_eq!(bench.put(vec![entry(&"x".repeat(140_000))]).await, Ok(vec![None]));
    let builder = || PutEventsRequestEntry::builder().source("x").detail_type("y");
    let codes = bench
        .put(vec![
            builder().detail("not JSON").build(),
            builder().detail("[]").build(),
            builder().build(),
            builder().source("aws.s3").detail("{}").build(),
            entry("b"),
        ])
        .await;
    let expected = ["MalformedDetail", "MalformedDetail", "InvalidArgument", "NotAuthorizedForSourceException", ""];
    assert_eq!(codes, Ok(expected.map(|code| (!code.is_empty()).then(|| code.to_owned())).to_vec()));
    let unsigned = client().post(bench.bus.endpoint_url()).send().await.unwrap();
    assert_eq!(unsigned.status(), 400);
}
