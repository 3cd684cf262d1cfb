//! The queues as the AWS SDK for Rust, and a plain HTTP client, see them: over real sockets.

use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
        MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use serde_json::{Value, json};

use super::*;
use crate::aws_fault::AwsFault;
use crate::tests::client;
use crate::wait_until;

struct Bench {
    queues: Queues,
    sqs: Client,
    url: String,
}

impl Bench {
    async fn start() -> Self {
        let queues = Queues::start(0).await.unwrap();
        let url = queues.create("retry");
        let sqs = sdk(&queues, 1);
        Self { queues, sqs, url }
    }

    async fn send(&self, body: &str) -> String {
        let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
        sent.message_id().unwrap().to_owned()
    }

    async fn receive(&self, wait_seconds: i32) -> Vec<Message> {
        let call = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let call = call.message_attribute_names("All").wait_time_seconds(wait_seconds);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        call.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn batch(&self, entries: Vec<(String, String)>) -> (Vec<String>, Vec<String>) {
        let entries = entries
            .into_iter()
            .map(|(id, body)| SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap());
        let call = self.sqs.send_message_batch().queue_url(&self.url);
        let response = call.set_entries(Some(entries.collect())).send().await.unwrap();
        let failed = response.failed().iter().map(|entry| format!("{} {}", entry.id(), entry.code()));
        (response.successful().iter().map(|entry| entry.id().to_owned()).collect(), failed.collect())
    }

    async fn raw(&self, operation: &str, body: Value) -> (u16, Value) {
        let scope = "AKIDEXAMPLE/20260131/eu-west-1/sqs/aws4_request";
        let call = client().post(self.queues.endpoint_url());
        let call = call.header("x-amz-target", format!("AmazonSQS.{operation}"));
        let call = call.header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"));
        let response = call.body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

fn sdk(queues: &Queues, attempts: u32) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "x", None, None, "test"))
        .retry_config(
            RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(Duration::from_millis(1)),
        )
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .http_client(crate::tests::sdk_http::sdk_http())
        .endpoint_url(queues.endpoint_url());
    Client::from_conf(config.build())
}

fn code<E: ProvideErrorMetadata>(error: SdkError<E>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("none").to_owned()
}

fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

#[tokio::test]
async fn a_message_is_sent_received_with_its_attributes_and_deleted() {
    let bench = Bench::start().await;
    let bytes = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 1])).build().unwrap();
    let call = bench.sqs.send_message().queue_url(&bench.url).message_body("abc");
    let call = call.message_attributes("reason", text("é <&> \"")).message_attributes("bytes", bytes);
    let sent = call.send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("900150983cd24fb0d6963f7d28e17f72"));
    let received = bench.receive(0).await.remove(0);
    assert_eq!(received.body(), Some("abc"));
    assert_eq!(received.message_id(), sent.message_id());
    assert_eq!(received.md5_of_message_attributes(), sent.md5_of_message_attributes());
    assert_eq!(received.message_attributes().unwrap()["reason"].string_value(), Some("é <&> \""));
    assert_eq!(received.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    let stored = bench.queues.messages("retry").remove(0);
    assert_eq!((stored.attributes["bytes"].as_str(), stored.in_flight), ("AAE=", true));
    assert!(bench.receive(0).await.is_empty());
    let delete = bench.sqs.delete_message().queue_url(&bench.url);
    delete.receipt_handle(received.receipt_handle().unwrap()).send().await.unwrap();
    assert!(bench.queues.messages("retry").is_empty());
    bench.queues.shutdown().await;
}

#[tokio::test]
async fn a_message_comes_back_when_its_visibility_is_changed_and_counts_its_receives() {
    let bench = Bench::start().await;
    bench.send("a").await;
    let handle = bench.receive(0).await.remove(0).receipt_handle.unwrap();
    let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id("0").receipt_handle(&handle);
    let entry = entry.visibility_timeout(1).build().unwrap();
    let change = bench.sqs.change_message_visibility_batch().queue_url(&bench.url).entries(entry);
    assert_eq!(change.send().await.unwrap().successful().len(), 1);
    let started = Instant::now();
    let again = bench.receive(5).await.remove(0);
    assert_eq!(again.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "2");
    assert!((300..5000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let change = VisibilityChange { queue: "retry".to_owned(), receipt_handle: handle, seconds: 1 };
    assert_eq!(bench.queues.visibility_changes(), [change]);
    let entry = DeleteMessageBatchRequestEntry::builder().id("0").receipt_handle(again.receipt_handle().unwrap());
    let delete = bench.sqs.delete_message_batch().queue_url(&bench.url).entries(entry.build().unwrap());
    assert_eq!(delete.send().await.unwrap().successful().len(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_when_a_message_is_sent() {
    let bench = Bench::start().await;
    let started = Instant::now();
    // The runtime has one thread, and nothing yields between the record of the poll and its wait: what is recorded waits.
    let is_waiting = || bench.queues.calls().iter().any(|call| call.operation == "ReceiveMessage");
    let (received, _) = tokio::join!(bench.receive(20), async {
        wait_until("the poll", is_waiting).await;
        bench.send("a").await
    });
    assert_eq!(received.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_queue_is_found_by_name_and_described() {
    let bench = Bench::start().await;
    let found = bench.sqs.get_queue_url().queue_name("retry").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(bench.url.as_str()));
    bench.send("a").await;
    bench.send("b").await;
    bench.sqs.receive_message().queue_url(&bench.url).send().await.unwrap();
    let call = bench.sqs.get_queue_attributes().queue_url(&bench.url).attribute_names(QueueAttributeName::All);
    let attributes = call.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "1");
    assert_eq!(attributes[&QueueAttributeName::QueueArn], bench.queues.arn("retry", "eu-west-1"));
}

#[tokio::test]
async fn a_queue_shows_its_tags_its_dead_letter_queue_and_whose_it_is() {
    let queues = Queues::start(0).await.unwrap();
    let (sdk, retry, dead) = (sdk(&queues, 1), queues.create("retry"), queues.create("dead"));
    queues.set_redrive("retry", "dead", 120);
    queues.set_tag("retry", "team", "documents");
    let attributes = sdk.get_queue_attributes().queue_url(&retry).attribute_names(QueueAttributeName::All).send().await;
    let policy = attributes.unwrap().attributes.unwrap()[&QueueAttributeName::RedrivePolicy].clone();
    assert!(policy.contains(&queues.arn("dead", "eu-west-1")) && policy.contains("120"), "{policy}");
    let sources = sdk.list_dead_letter_source_queues().queue_url(&dead).send().await.unwrap();
    assert_eq!(sources.queue_urls(), std::slice::from_ref(&retry));
    let tags = sdk.list_queue_tags().queue_url(&retry).send().await.unwrap();
    assert_eq!(tags.tags().unwrap()["team"], "documents");
    assert!(sdk.list_queue_tags().queue_url(&dead).send().await.unwrap().tags().is_none());
}

#[tokio::test]
async fn an_unknown_queue_is_an_error_that_the_sdk_knows() {
    let bench = Bench::start().await;
    let url = bench.url.replace("retry", "other");
    let error = bench.sqs.send_message().queue_url(&url).message_body("a").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist(), "{error:?}");
    assert_eq!(code(error), "AWS.SimpleQueueService.NonExistentQueue");
    let (status, body) = bench.raw("GetQueueUrl", json!({"QueueName": "other"})).await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazonaws.sqs#QueueDoesNotExist")));
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole_or_entry_by_entry() {
    let bench = Bench::start().await;
    let entry = |id: &str, body: &str| (id.to_owned(), body.to_owned());
    let (successful, failed) = bench.batch(vec![entry("a", "x"), entry("b", "\u{1}"), entry("c", "y")]).await;
    assert_eq!(
        (successful, failed),
        (vec!["a".to_owned(), "c".to_owned()], vec!["b InvalidMessageContents".to_owned()])
    );
    let refused = async |entries: Vec<Value>| {
        let body = json!({"QueueUrl": bench.url, "Entries": entries});
        bench.raw("SendMessageBatch", body).await.1["__type"].as_str().unwrap().to_owned()
    };
    let eleven = (0..11).map(|id| json!({"Id": id.to_string(), "MessageBody": "x"})).collect();
    assert!(refused(eleven).await.ends_with("TooManyEntriesInBatchRequest"));
    let large = "x".repeat(600_000);
    let two = ["a", "b"].map(|id| json!({"Id": id, "MessageBody": large})).to_vec();
    assert!(refused(two).await.ends_with("BatchRequestTooLong"));
    assert!(refused(Vec::new()).await.ends_with("EmptyBatchRequest"));
    assert_eq!(bench.queues.messages("retry").len(), 2);
    let entries: Vec<usize> = bench.queues.calls().iter().map(|call| call.entries).collect();
    assert_eq!(entries, [3, 11, 2, 0]);
}

#[tokio::test]
async fn values_that_sqs_refuses_are_refused() {
    let bench = Bench::start().await;
    let send = |body: String| bench.sqs.send_message().queue_url(&bench.url).message_body(body);
    assert_eq!(code(send("\0".to_owned()).send().await.unwrap_err()), "InvalidMessageContents");
    assert_eq!(code(send("x".repeat(1024 * 1024 + 1)).send().await.unwrap_err()), "InvalidParameterValue");
    assert!(send("x".repeat(1024 * 1024)).send().await.is_ok());
    let empty = send("x".to_owned()).message_attributes("reason", text(""));
    assert_eq!(code(empty.send().await.unwrap_err()), "InvalidParameterValue");
    let change = bench.sqs.change_message_visibility().queue_url(&bench.url).receipt_handle("made-up");
    assert_eq!(code(change.clone().visibility_timeout(43_201).send().await.unwrap_err()), "InvalidParameterValue");
    // Counted from the receive, which was before.
    assert_eq!(code(change.clone().visibility_timeout(43_200).send().await.unwrap_err()), "InvalidParameterValue");
    change.clone().visibility_timeout(43_199).send().await.unwrap();
    bench.queues.set_lenient_handles(false);
    assert_eq!(code(change.visibility_timeout(1).send().await.unwrap_err()), "ReceiptHandleIsInvalid");
    assert_eq!(bench.queues.visibility_changes().len(), 1);
}

#[tokio::test]
async fn faults_meet_the_next_calls_or_all_of_them() {
    let bench = Bench::start().await;
    let send = || bench.sqs.send_message().queue_url(&bench.url).message_body("a").send();
    for (fault, kind) in [
        (AwsFault::AccessDenied, "AccessDenied"),
        (AwsFault::Throttling, "RequestThrottled"),
        (AwsFault::Internal, "InternalError"),
    ] {
        bench.queues.set_fault(Some(fault));
        assert_eq!(code(send().await.unwrap_err()), kind);
    }
    bench.queues.set_fault(None);
    for fault in [AwsFault::Throttling, AwsFault::Internal] {
        bench.queues.fail_next(1, fault);
        let patient = sdk(&bench.queues, 2);
        assert!(patient.send_message().queue_url(&bench.url).message_body("a").send().await.is_ok(), "{fault:?}");
    }
    bench.queues.set_fault(Some(AwsFault::PartialFailure));
    let entries = ["a", "b", "c"].map(|id| (id.to_owned(), id.to_owned()));
    let (successful, failed) = bench.batch(entries.to_vec()).await;
    assert_eq!((successful.len(), failed), (2, vec!["b InternalError".to_owned()]));
    assert!(send().await.is_ok());

    bench.queues.set_fault(Some(AwsFault::Hang));
    assert!(tokio::time::timeout(Duration::from_millis(100), send()).await.is_err());
    bench.queues.set_fault(None);
    bench.queues.set_latency(Duration::from_millis(80));
    let started = Instant::now();
    send().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(80));
    bench.queues.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_not_signed_or_not_known_is_refused() {
    let bench = Bench::start().await;
    let unsigned = client().post(bench.queues.endpoint_url()).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    let (status, body) = bench.raw("PurgeQueue", json!({"QueueUrl": bench.url})).await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazon.coral.service#UnknownOperationException")));
    let (_, body) = bench.raw("ReceiveMessageBatch", json!({"QueueUrl": bench.url})).await;
    assert_eq!(body["__type"], "com.amazon.coral.service#UnknownOperationException");
    let (_, body) = bench.raw("SendMessage", json!({"QueueUrl": bench.url})).await;
    assert!(body["message"].as_str().unwrap().contains("MessageBody"));
    let (_, body) = bench.raw("SendMessage", json!([1])).await;
    assert_eq!(body["__type"], "com.amazon.coral.service#SerializationException");
    let (status, _) = bench.raw("ReceiveMessage", json!({"QueueUrl": bench.url, "WaitTimeSeconds": 21})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_policy_is_kept_unchanged_until_it_is_removed() {
    let bench = Bench::start().await;
    let set = |name: QueueAttributeName, value: &str| {
        bench.sqs.set_queue_attributes().queue_url(&bench.url).attributes(name, value).send()
    };
    let get = || async {
        let call = bench.sqs.get_queue_attributes().queue_url(&bench.url).attribute_names(QueueAttributeName::Policy);
        call.send().await.unwrap().attributes().and_then(|all| all.get(&QueueAttributeName::Policy).cloned())
    };
    assert_eq!(get().await, None);
    let policy = r#"{ "Version":"2012-10-17", "Statement":[]}"#;
    set(QueueAttributeName::Policy, policy).await.unwrap();
    assert_eq!((get().await.as_deref(), bench.queues.policy("retry").as_deref()), (Some(policy), Some(policy)));
    let wrong = set(QueueAttributeName::Policy, "everybody").await.unwrap_err();
    assert_eq!(wrong.as_service_error().and_then(ProvideErrorMetadata::code), Some("InvalidAttributeValue"));
    let unknown = set(QueueAttributeName::from("Colour"), "blue").await.unwrap_err();
    assert_eq!(unknown.as_service_error().and_then(ProvideErrorMetadata::code), Some("InvalidAttributeName"));
    assert_eq!(get().await.as_deref(), Some(policy));
    set(QueueAttributeName::Policy, "").await.unwrap();
    assert_eq!(get().await, None);
}

#[tokio::test]
async fn a_message_keeps_its_group() {
    let bench = Bench::start().await;
    let call = bench.sqs.send_message().queue_url(&bench.url).message_body("a").message_group_id("g");
    call.message_deduplication_id("d").send().await.unwrap();
    let call = bench.sqs.receive_message().queue_url(&bench.url);
    let received = call.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
    let attributes = received.messages()[0].attributes().unwrap();
    assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], "g");
    assert_eq!(attributes[&MessageSystemAttributeName::MessageDeduplicationId], "d");
}
