//! The tables as the AWS SDK for Rust, and a plain HTTP client, see them: over real sockets.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, TableStatus},
};
use serde_json::{Value as Json, json};

use super::*;
use crate::tests::client;
use crate::wait_until;

const TABLE: &str = "records";

struct Bench {
    dynamodb: DynamoDb,
    sdk: Client,
}

type Attributes = HashMap<String, AttributeValue>;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn code<E: ProvideErrorMetadata>(error: SdkError<E>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("none").to_owned()
}

fn record(document: &str, state: &str, changed_at: &str) -> Json {
    json!({"document": document, "version": "-", "state": state, "changed_at": changed_at, "job_id": format!("job-{document}")})
}

impl Bench {
    async fn start() -> Self {
        let dynamodb = DynamoDb::start(0).await.unwrap();
        dynamodb.create_records_table(TABLE).unwrap();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "x", None, None, "test"))
            .retry_config(RetryConfig::standard().with_max_attempts(1))
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .http_client(crate::tests::sdk_http::sdk_http())
            .endpoint_url(dynamodb.endpoint_url());
        Self { sdk: Client::from_conf(config.build()), dynamodb }
    }

    async fn put(&self, item: Attributes, condition: &str, revision: Option<u64>) -> Result<(), String> {
        let call = self.sdk.put_item().table_name(TABLE).set_item(Some(item)).condition_expression(condition);
        let call =
            call.set_expression_attribute_values(revision.map(|revision| [(":r".to_owned(), number(revision))].into()));
        call.send().await.map(drop).map_err(code)
    }

    /// A query of the index `by-state` for this state.
    fn by_state(&self, state: &str) -> QueryFluentBuilder {
        let call =
            self.sdk.query().table_name(TABLE).index_name("by-state").key_condition_expression("#state = :state");
        call.expression_attribute_names("#state", "state").expression_attribute_values(":state", text(state))
    }

    async fn raw(&self, operation: &str, body: Json) -> (u16, Json) {
        let scope = "AKIDEXAMPLE/20260131/eu-west-1/dynamodb/aws4_request";
        let call = client().post(self.dynamodb.endpoint_url());
        let call = call.header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let call = call.header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=0"));
        let response = call.body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

fn item(document: &str, revision: u64) -> Attributes {
    [("document", text(document)), ("version", text("-")), ("revision", number(revision))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn documents(items: &[Attributes]) -> Vec<&str> {
    items.iter().map(|item| item["document"].as_s().unwrap().as_str()).collect()
}

#[tokio::test]
async fn an_item_is_put_and_read() {
    let bench = Bench::start().await;
    let key = item("b/a.pdf", 0).into_iter().filter(|(name, _)| name != "revision").collect();
    let get = bench.sdk.get_item().table_name(TABLE).consistent_read(true).set_key(Some(key));
    assert_eq!(get.clone().send().await.unwrap().item(), None);
    bench.sdk.put_item().table_name(TABLE).set_item(Some(item("b/a.pdf", 7))).send().await.unwrap();
    assert_eq!(get.send().await.unwrap().item(), Some(&item("b/a.pdf", 7)));
    assert_eq!(bench.dynamodb.items(TABLE), [json!({"document": "b/a.pdf", "version": "-", "revision": 7})]);
    let calls: Vec<_> = bench.dynamodb.calls().into_iter().map(|call| (call.operation, call.table)).collect();
    assert_eq!(calls[1], ("PutItem".to_owned(), TABLE.to_owned()));
    bench.dynamodb.shutdown().await;
}

#[tokio::test]
async fn of_two_writers_that_read_the_same_revision_one_writes() {
    let bench = Bench::start().await;
    let new = "attribute_not_exists(document)";
    assert_eq!(bench.put(item("b/a", 1), new, None).await, Ok(()));
    assert_eq!(bench.put(item("b/a", 1), new, None).await, Err("ConditionalCheckFailedException".to_owned()));
    assert_eq!(bench.put(item("b/a", 2), "revision = :r", Some(1)).await, Ok(()));
    assert_eq!(
        bench.put(item("b/a", 2), "revision = :r", Some(1)).await,
        Err("ConditionalCheckFailedException".to_owned())
    );
    assert_eq!(
        bench.put(item("b/b", 2), "revision = :r", Some(1)).await,
        Err("ConditionalCheckFailedException".to_owned())
    );
    assert_eq!(bench.put(item("b/a", 2), "revision = :r", None).await, Err("ValidationException".to_owned()));
    assert_eq!(bench.put(item("b/a", 2), new, Some(1)).await, Err("ValidationException".to_owned()));
}

#[tokio::test]
async fn an_index_is_read_in_the_order_of_its_sort_key() {
    let bench = Bench::start().await;
    for (document, state, at) in
        [("c", "failed", "3"), ("a", "failed", "2"), ("d", "submitted", "1"), ("b", "failed", "2")]
    {
        bench.dynamodb.put(TABLE, record(document, state, at)).unwrap();
    }
    // In no index.
    bench.dynamodb.put(TABLE, json!({"document": "sweep", "version": "published-until", "at": "1"})).unwrap();
    let found = bench.by_state("failed").send().await.unwrap();
    assert_eq!((documents(found.items()), found.last_evaluated_key()), (vec!["a", "b", "c"], None));
    let backward = bench.by_state("failed").scan_index_forward(false).send().await.unwrap();
    assert_eq!(documents(backward.items()), ["c", "b", "a"]);
    let since = |condition: &str, at: &str| {
        let call = bench.by_state("failed").key_condition_expression(format!("#state = :state AND {condition}"));
        call.expression_attribute_values(":at", text(at)).send()
    };
    for (condition, at, count) in [
        ("changed_at > :at", "2", 1),
        ("changed_at >= :at", "2", 3),
        ("changed_at < :at", "3", 2),
        ("changed_at = :at", "3", 1),
        ("begins_with(changed_at, :at)", "2", 2),
        ("changed_at BETWEEN :at AND :at", "2", 2),
    ] {
        assert_eq!(since(condition, at).await.unwrap().count(), count, "{condition}");
    }
    let by_job = bench.sdk.query().table_name(TABLE).index_name("by-job").key_condition_expression("job_id = :job");
    let by_job = by_job.expression_attribute_values(":job", text("job-d")).send().await.unwrap();
    assert_eq!(documents(by_job.items()), ["d"]);
    let of_document = bench.sdk.query().table_name(TABLE).key_condition_expression("document = :d AND version = :v");
    let of_document = of_document.expression_attribute_values(":d", text("sweep"));
    assert_eq!(of_document.expression_attribute_values(":v", text("published-until")).send().await.unwrap().count(), 1);
}

#[tokio::test]
async fn pages_are_followed_by_their_last_key_in_both_directions_also_among_equal_sort_keys() {
    let bench = Bench::start().await;
    let all: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    for document in &all {
        // Two items have each sort key, whose order is the opposite of the documents'.
        let at = format!("{:02}", 20 - document.parse::<u32>().unwrap() / 2);
        bench.dynamodb.put(TABLE, record(document, "failed", &at)).unwrap();
    }
    let mut expected: Vec<&str> = all.iter().map(String::as_str).collect();
    expected.sort_by_key(|document| (20 - document.parse::<u32>().unwrap() / 2, document.to_string()));
    for (forward, page_bytes, least_pages) in [(true, 100, 6), (false, 100, 6), (true, 1, 20), (false, 1, 20)] {
        bench.dynamodb.set_page_bytes(page_bytes);
        let (mut found, mut start, mut pages) = (Vec::new(), None, 0);
        loop {
            let call = bench.by_state("failed").scan_index_forward(forward);
            let page = call.set_exclusive_start_key(start).send().await.unwrap();
            assert_eq!(page.scanned_count() as usize, page.items().len());
            found.extend(documents(page.items()).into_iter().map(str::to_owned));
            pages += 1;
            start = page.last_evaluated_key().cloned();
            if start.is_none() {
                break;
            }
        }
        if !forward {
            found.reverse();
        }
        assert_eq!(found, expected);
        assert!(pages >= least_pages, "{pages}");
    }
}

#[tokio::test]
async fn a_filter_leaves_items_out_after_they_were_counted_for_the_page() {
    let bench = Bench::start().await;
    for number in 0..10 {
        let mut record = record(&format!("{number}"), "failed", &number.to_string());
        if number == 7 {
            record["unpublished"] = true.into();
        }
        bench.dynamodb.put(TABLE, record).unwrap();
    }
    bench.dynamodb.set_page_bytes(300);
    let page = |start| {
        let call = bench.by_state("failed").filter_expression("unpublished = :true").set_exclusive_start_key(start);
        call.expression_attribute_values(":true", AttributeValue::Bool(true)).send()
    };
    let first = page(None).await.unwrap();
    assert_eq!((first.count(), first.scanned_count() < 7), (0, true), "{first:?}");
    let second = page(first.last_evaluated_key().cloned()).await.unwrap();
    assert_eq!(documents(second.items()), ["7"]);
}

#[tokio::test]
async fn what_dynamodb_refuses_is_refused() {
    let bench = Bench::start().await;
    let key = json!({"document": {"S": "a"}, "version": {"S": "-"}});
    let put = |more: Json| {
        let mut item = key.clone();
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"TableName": TABLE, "Item": item})
    };
    let query = |more: Json| {
        let mut input = json!({
            "TableName": TABLE, "IndexName": "by-state", "KeyConditionExpression": "#s = :s",
            "ExpressionAttributeNames": {"#s": "state"}, "ExpressionAttributeValues": {":s": {"S": "failed"}},
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for (operation, input, part) in [
        ("PutItem", put(json!({"job_id": {"N": "1"}})), "Type mismatch for Index Key job_id"),
        ("PutItem", put(json!({"quality": {"SS": ["a"]}})), "no values of type SS"),
        ("PutItem", json!({"TableName": TABLE, "ReturnValues": "ALL_OLD"}), "PutItem's parameter ReturnValues"),
        ("PutItem", put(json!({"job_id": {"S": ""}})), "empty string"),
        ("PutItem", put(json!({"version": {"S": ""}})), "empty string"),
        ("PutItem", put(json!({"version": {"N": "1"}})), "Type mismatch for key version"),
        ("PutItem", put(json!({"version": {"S": "v".repeat(1025)}})), "maximum size"),
        ("PutItem", put(json!({"failure_reason": {"S": "x".repeat(410_000)}})), "Item size"),
        ("PutItem", json!({"TableName": TABLE, "Item": {"document": {"S": "a"}}}), "Missing the key version"),
        ("PutItem", json!({"TableName": TABLE}), "at 'item'"),
        ("GetItem", json!({"TableName": TABLE, "Key": {"document": {"S": "a"}}}), "does not match the schema"),
        ("Query", query(json!({"ConsistentRead": true})), "Consistent reads"),
        ("Query", query(json!({"IndexName": "by-day"})), "specified index: by-day"),
        (
            "Query",
            query(json!({"KeyConditionExpression": "state = :s", "ExpressionAttributeNames": {}})),
            "reserved keyword: state",
        ),
        ("Query", query(json!({"FilterExpression": "#s = :s"})), "non-primary key"),
        ("Query", query(json!({"Select": "COUNT"})), "Query's parameter Select"),
        ("Query", query(json!({"ExclusiveStartKey": key.clone()})), "starting key"),
        ("Query", json!({"TableName": TABLE}), "KeyConditionExpression"),
        ("Query", json!({"TableName": TABLE, "KeyConditions": {}}), "KeyConditions"),
    ] {
        let (status, error) = bench.raw(operation, input).await;
        assert_eq!(
            (status, &error["__type"]),
            (400, &json!("com.amazon.coral.validate#ValidationException")),
            "{part}: {error}"
        );
        assert!(error["message"].as_str().unwrap().contains(part), "{part}: {error}");
    }
    let (_, missing) = bench.raw("GetItem", json!({"TableName": "none", "Key": key})).await;
    assert_eq!(missing["__type"], "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException");
    assert_eq!(bench.raw("Vanish", json!({})).await.1["__type"], "UnknownOperationException");
    let unsigned = client().post(bench.dynamodb.endpoint_url()).send().await.unwrap();
    assert_eq!(unsigned.status(), 400);
}

#[tokio::test]
async fn a_table_is_created_described_changed_and_deleted() {
    let bench = Bench::start().await;
    let describe = |name: &str| bench.sdk.describe_table().table_name(name).send();
    let indexes = async || {
        let table = describe(TABLE).await.unwrap().table.unwrap();
        let names = table.global_secondary_indexes().iter().filter_map(|index| index.index_name()).map(str::to_owned);
        names.collect::<Vec<_>>()
    };
    let expiry = async || {
        let expiry = bench.sdk.describe_time_to_live().table_name(TABLE).send().await.unwrap();
        expiry.time_to_live_description.unwrap().attribute_name
    };
    let table = describe(TABLE).await.unwrap().table.unwrap();
    assert_eq!((table.table_name(), table.table_status()), (Some(TABLE), Some(&TableStatus::Active)));
    let by_arn = describe(table.table_arn().unwrap()).await.unwrap().table;
    assert_eq!(by_arn, Some(table));
    assert_eq!(
        (indexes().await, expiry().await.as_deref()),
        (vec!["by-job".into(), "by-state".into()], Some("expires_at"))
    );
    bench.dynamodb.delete_index(TABLE, "by-job");
    bench.dynamodb.set_time_to_live(TABLE, false);
    assert_eq!((indexes().await, expiry().await), (vec!["by-state".to_owned()], None));

    for wrong in [TABLE, "x1", "a table"] {
        assert!(bench.dynamodb.create_records_table(wrong).is_err(), "{wrong}");
    }
    bench.dynamodb.delete_table(TABLE);
    assert_eq!(code(describe(TABLE).await.unwrap_err()), "ResourceNotFoundException");
    assert!(bench.dynamodb.put(TABLE, record("a", "failed", "1")).is_err());
    bench.dynamodb.create_records_table(TABLE).unwrap();
    assert_eq!(indexes().await.len(), 2);
}

#[tokio::test]
async fn faults_meet_the_operations_that_they_are_for() {
    let bench = Bench::start().await;
    bench.dynamodb.set_operation_fault("PutItem", Some(DynamoFault::ThroughputExceeded));
    let new = "attribute_not_exists(document)";
    assert_eq!(bench.put(item("a", 1), new, None).await, Err("ProvisionedThroughputExceededException".to_owned()));
    bench.dynamodb.set_operation_fault("PutItem", Some(DynamoFault::Throttling));
    assert_eq!(bench.put(item("a", 1), new, None).await, Err("ThrottlingException".to_owned()));
    assert_eq!(bench.by_state("failed").send().await.unwrap().count(), 0);
    bench.dynamodb.set_operation_fault("PutItem", None);
    bench.dynamodb.set_table_fault(TABLE, Some(DynamoFault::AccessDenied));
    assert_eq!(code(bench.by_state("failed").send().await.unwrap_err()), "AccessDeniedException");
    bench.dynamodb.set_table_fault(TABLE, None);
    bench.dynamodb.fail_next(1, DynamoFault::Internal);
    assert_eq!(code(bench.by_state("failed").send().await.unwrap_err()), "InternalServerError");

    bench.dynamodb.fail_next(1, DynamoFault::HangAfterEffect);
    tokio::select! {
        responded = bench.put(item("a", 1), new, None) => panic!("{responded:?}"),
        () = wait_until("the item", || !bench.dynamodb.items(TABLE).is_empty()) => {}
    }
}

#[tokio::test]
async fn indexes_can_stay_behind_the_table() {
    let bench = Bench::start().await;
    bench.dynamodb.put(TABLE, record("a", "submitted", "1")).unwrap();
    bench.dynamodb.freeze_indexes(true);
    bench.dynamodb.put(TABLE, record("a", "processed", "2")).unwrap();
    let count = async |state| bench.by_state(state).send().await.unwrap().count();
    assert_eq!((count("submitted").await, count("processed").await), (1, 0));
    assert_eq!(bench.dynamodb.items(TABLE)[0]["state"], "processed");
    bench.dynamodb.freeze_indexes(false);
    assert_eq!((count("submitted").await, count("processed").await), (0, 1));
    bench.dynamodb.clear(TABLE);
    assert_eq!(count("processed").await, 0);
}

#[tokio::test]
async fn another_writer_comes_between_a_read_and_a_write() {
    let bench = Bench::start().await;
    bench.dynamodb.put(TABLE, json!({"document": "a", "version": "-", "revision": 1})).unwrap();
    for revision in [2, 3] {
        let theirs = json!({"document": "a", "version": "-", "revision": revision});
        bench.dynamodb.put_before_next_write(TABLE, theirs).unwrap();
    }
    assert!(bench.dynamodb.put_before_next_write(TABLE, json!({"document": "a"})).is_err());
    let conflict = Err("ConditionalCheckFailedException".to_owned());
    assert_eq!(bench.put(item("a", 2), "revision = :r", Some(1)).await, conflict);
    assert_eq!(bench.put(item("a", 3), "revision = :r", Some(2)).await, conflict);
    assert_eq!(bench.put(item("a", 4), "revision = :r", Some(3)).await, Ok(()));
    assert_eq!(bench.dynamodb.items(TABLE)[0]["revision"], 4);
}
