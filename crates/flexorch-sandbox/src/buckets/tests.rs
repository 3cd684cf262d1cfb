//! The buckets as the AWS SDK for Rust sees them: over real sockets.

use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{
        EncodingType, Event, EventBridgeConfiguration, FilterRule, FilterRuleName, NotificationConfiguration,
        NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
    },
};

use super::*;
use crate::tests::client;

const TIME: u64 = 1_700_000_000;

struct Bench {
    buckets: Buckets,
    s3: Client,
}

impl Bench {
    async fn start(keys: &[&str]) -> Self {
        let buckets = Buckets::start(0).await.unwrap();
        buckets.create("docs", "eu-west-1");
        for key in keys {
            buckets.put("docs", *key, 7, at(TIME));
        }
        let s3 = sdk(&buckets, "eu-west-1", 1);
        Self { buckets, s3 }
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.s3.list_objects_v2().bucket("docs").prefix(prefix).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    async fn raw(&self, path: &str) -> String {
        let call = client().get(format!("{}/{path}", self.buckets.endpoint_url()));
        let scope = "AKIDEXAMPLE/20260131/eu-west-1/s3/aws4_request";
        let call = call.header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"));
        call.send().await.unwrap().text().await.unwrap()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn sdk(buckets: &Buckets, region: &'static str, attempts: u32) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "x", None, None, "test"))
        .retry_config(
            RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(Duration::from_millis(1)),
        )
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .http_client(crate::tests::sdk_http::sdk_http())
        .endpoint_url(buckets.endpoint_url())
        .force_path_style(true);
    Client::from_conf(config.build())
}

fn code<E: ProvideErrorMetadata>(error: SdkError<E>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("none").to_owned()
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap().status().as_u16()
}

#[tokio::test]
async fn objects_are_listed_with_their_keys_as_they_are() {
    let keys = ["a b+c%20d.pdf", "a&<b>\"'.pdf", "a\r\n\tb", "é/日本.pdf", "\u{1f600}"];
    let bench = Bench::start(&keys).await;
    let mut expected = keys.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(bench.keys("").await, expected);
    assert_eq!(bench.keys("a b+").await, ["a b+c%20d.pdf"]);
    let listed = bench.s3.list_objects_v2().bucket("docs").start_after("a&<b>\"'.pdf").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(2));
    let object = &listed.contents()[0];
    assert_eq!((object.size(), object.last_modified().unwrap().secs()), (Some(7), i64::try_from(TIME).unwrap()));
    assert!(object.e_tag().unwrap().starts_with('"'));
    let call = bench.s3.list_objects_v2().bucket("docs").prefix("a b+").encoding_type(EncodingType::Url);
    assert_eq!(call.send().await.unwrap().contents()[0].key(), Some("a+b%2Bc%2520d.pdf"));
    bench.buckets.shutdown().await;
}

#[tokio::test]
async fn a_hundred_thousand_objects_are_listed_page_by_page() {
    let bench = Bench::start(&[]).await;
    let objects = (0..100_000).rev().map(|n| (format!("in/{n:06}.pdf"), n, at(TIME)));
    bench.buckets.put_many("docs", objects.chain([("z".to_owned(), 1, at(TIME))]));
    let started = Instant::now();
    let mut pages = bench.s3.list_objects_v2().bucket("docs").prefix("in/").into_paginator().send();
    let (mut seen, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        count += 1;
        seen.extend(page.unwrap().contents.unwrap().into_iter().map(|object| object.key.unwrap()));
    }
    assert_eq!((count, seen.len()), (100, 100_000));
    assert!(seen.is_sorted() && seen[99_999] == "in/099999.pdf");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let query = &bench.buckets.calls()[0].query;
    assert!(query.contains("list-type=2") && query.contains("prefix=in"), "{query}");
}

#[tokio::test]
async fn an_object_is_put_and_asked_for() {
    let bench = Bench::start(&[]).await;
    let key = "in/a b+c é.pdf";
    let body = ByteStream::from_static(b"0123456789");
    let put = bench.s3.put_object().bucket("docs").key(key).body(body).send().await.unwrap();
    let head = bench.s3.head_object().bucket("docs").key(key).send().await.unwrap();
    assert_eq!((head.content_length(), head.e_tag()), (Some(10), put.e_tag()));
    let age = SystemTime::now().duration_since(at(head.last_modified().unwrap().secs().unsigned_abs())).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!(bench.keys("in/").await, [key]);
    let call = &bench.buckets.calls()[0];
    assert_eq!((call.method.as_str(), call.key.as_deref(), call.region.as_str()), ("PUT", Some(key), "eu-west-1"));
    let long = bench.s3.put_object().bucket("docs").key("x".repeat(1025)).send().await;
    assert_eq!(code(long.unwrap_err()), "KeyTooLongError");
}

#[tokio::test]
async fn a_missing_object_is_404_without_a_body_or_403_if_set() {
    let bench = Bench::start(&[]).await;
    let head = || bench.s3.head_object().bucket("docs").key("none").send();
    let missing = head().await.unwrap_err();
    assert!(missing.as_service_error().unwrap().is_not_found(), "{missing:?}");
    assert_eq!((status(&missing), missing.raw_response().unwrap().body().bytes().map(<[u8]>::len)), (404, Some(0)));
    bench.buckets.set_missing_objects_denied(true);
    assert_eq!(status(&head().await.unwrap_err()), 403);
}

#[tokio::test]
async fn buckets_are_where_they_are() {
    let bench = Bench::start(&["a"]).await;
    let nowhere = bench.s3.list_objects_v2().bucket("other").send().await.unwrap_err();
    assert!(nowhere.as_service_error().unwrap().is_no_such_bucket(), "{nowhere:?}");
    let global = sdk(&bench.buckets, "us-east-1", 1);
    let located = global.get_bucket_location().bucket("docs").send().await.unwrap();
    assert_eq!(located.location_constraint().unwrap().as_str(), "eu-west-1");
    let redirected = global.list_objects_v2().bucket("docs").send().await.unwrap_err();
    assert_eq!(redirected.raw_response().unwrap().headers().get("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!((status(&redirected), code(redirected)), (301, "PermanentRedirect".to_owned()));
    let redirected = global.head_bucket().bucket("docs").send().await.unwrap_err();
    assert_eq!(redirected.raw_response().unwrap().headers().get("x-amz-bucket-region"), Some("eu-west-1"));
    let head = bench.s3.head_bucket().bucket("docs").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("eu-west-1"));
    assert_eq!(status(&bench.s3.head_bucket().bucket("other").send().await.unwrap_err()), 404);
}

fn queue(id: &str, event: Event, prefix: &str) -> QueueConfiguration {
    let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
    let filter = NotificationConfigurationFilter::builder().key(S3KeyFilter::builder().filter_rules(rule).build());
    let queue = QueueConfiguration::builder().id(id).queue_arn(format!("arn:aws:sqs:eu-west-1:123456789012:{id}"));
    queue.events(event).filter(filter.build()).build().unwrap()
}

#[tokio::test]
async fn notifications_are_kept_unchanged_and_refused_if_they_overlap() {
    let bench = Bench::start(&[]).await;
    let put = |configuration: &NotificationConfiguration| {
        let call = bench.s3.put_bucket_notification_configuration().bucket("docs");
        call.notification_configuration(configuration.clone()).send()
    };
    let get = || bench.s3.get_bucket_notification_configuration().bucket("docs").send();
    let none = get().await.unwrap();
    assert!(none.queue_configurations().is_empty() && none.event_bridge_configuration().is_none());

    let orders = queue("orders", Event::from("s3:ObjectCreated:Put"), "orders/");
    let mut configuration = NotificationConfiguration::builder()
        .queue_configurations(orders.clone())
        .queue_configurations(queue("removals", Event::from("s3:ObjectRemoved:*"), "orders/"))
        .event_bridge_configuration(EventBridgeConfiguration::builder().build());
    put(&configuration.clone().build()).await.unwrap();
    let kept = get().await.unwrap();
    assert_eq!((kept.queue_configurations().len(), &kept.queue_configurations()[0]), (2, &orders));
    assert!(kept.event_bridge_configuration().is_some());

    configuration = configuration.queue_configurations(queue("all", Event::from("s3:ObjectCreated:*"), "ord"));
    assert_eq!(code(put(&configuration.build()).await.unwrap_err()), "InvalidArgument");
    assert_eq!(get().await.unwrap().queue_configurations().len(), 2);
    bench.buckets.refuse_destination(orders.queue_arn().into());
    let alone = NotificationConfiguration::builder().queue_configurations(orders).build();
    assert_eq!(code(put(&alone).await.unwrap_err()), "InvalidArgument");
    let call = bench.s3.put_bucket_notification_configuration().bucket("docs").notification_configuration(alone);
    call.skip_destination_validation(true).send().await.unwrap();
    assert_eq!(get().await.unwrap().queue_configurations().len(), 1);
}

#[tokio::test]
async fn faults_meet_the_next_calls_or_all_of_them() {
    let bench = Bench::start(&["a"]).await;
    let list = || bench.s3.list_objects_v2().bucket("docs").send();
    for (fault, number, kind) in [
        (AwsFault::AccessDenied, 403, "AccessDenied"),
        (AwsFault::Throttling, 503, "SlowDown"),
        (AwsFault::Internal, 500, "InternalError"),
    ] {
        bench.buckets.set_fault(Some(fault));
        let error = list().await.unwrap_err();
        assert_eq!((status(&error), code(error)), (number, kind.to_owned()));
    }
    bench.buckets.set_fault(Some(AwsFault::PartialFailure));
    assert!(list().await.is_ok());
    bench.buckets.set_fault(None);
    bench.buckets.fail_next(1, AwsFault::Throttling);
    assert!(sdk(&bench.buckets, "eu-west-1", 2).list_objects_v2().bucket("docs").send().await.is_ok());

    bench.buckets.set_fault(Some(AwsFault::Hang));
    assert!(tokio::time::timeout(Duration::from_millis(100), list()).await.is_err());
    bench.buckets.set_fault(None);
    bench.buckets.set_latency(Duration::from_millis(80));
    let started = Instant::now();
    list().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(80));
    bench.buckets.shutdown().await;
}

#[tokio::test]
async fn what_is_not_signed_or_not_there_is_refused_in_xml() {
    let bench = Bench::start(&["a"]).await;
    let url = format!("{}/docs?list-type=2", bench.buckets.endpoint_url());
    let unsigned = client().get(url).send().await.unwrap();
    assert_eq!(
        (unsigned.status().as_u16(), &unsigned.headers()["content-type"]),
        (403, &"application/xml".parse().unwrap())
    );
    assert!(bench.raw("docs?policy").await.contains("<Code>NotImplemented</Code>"));
    assert!(bench.raw("docs?list-type=2&max-keys=-1").await.contains("<ArgumentName>maxKeys</ArgumentName>"));
    assert!(bench.raw("docs?list-type=2&continuation-token=x").await.contains("<Code>InvalidArgument</Code>"));
    let empty = bench.raw("docs?list-type=2&max-keys=0").await;
    assert!(empty.contains("<KeyCount>0</KeyCount>") && empty.contains("<IsTruncated>false</IsTruncated>"), "{empty}");
}

#[tokio::test]
async fn a_bucket_is_created_by_its_first_object() {
    let bench = Bench::start(&[]).await;
    bench.buckets.put("other", "a", 1, at(TIME));
    let listed = sdk(&bench.buckets, "us-east-1", 1).list_objects_v2().bucket("other").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(1));
}
