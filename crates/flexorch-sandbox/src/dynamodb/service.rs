//! DynamoDB as a service: its JSON protocol, recorded calls, and operations.

use std::collections::BTreeMap;

use axum::Router;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::error;
use super::expression::{self, Condition, Placeholders};
use super::query::{self, Query};
use super::store::{self, Store};
use super::value::{Item, item_json, parse_item};
use crate::aws::endpoint::{Service, Shared};
use crate::aws::error::AwsError;
use crate::aws::fault::Failure;
use crate::aws::json::{self, JsonService, Request};

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoCall {
    /// The operation, `PutItem` for example.
    pub operation: String,
    /// The table's name; empty if the call names none.
    pub table: String,
    /// The region that the call was signed for.
    pub region: String,
}

/// The parameters of all operations.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    /// A name or an ARN.
    table_name: String,
    index_name: Option<String>,

    item: Option<Map<String, Json>>,
    key: Option<Map<String, Json>>,
    consistent_read: bool,

    condition_expression: Option<String>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    expression_attribute_names: BTreeMap<String, String>,
    expression_attribute_values: Map<String, Json>,

    scan_index_forward: Option<bool>,
    limit: Option<usize>,
    exclusive_start_key: Option<Map<String, Json>>,

    /// What the sandbox does not do, and would be wrong to ignore.
    #[serde(flatten)]
    others: Map<String, Json>,
}

impl Service for Store {
    type Call = DynamoCall;

    fn router(shared: Shared<Self>) -> Router {
        json::router(shared)
    }
}

impl JsonService for Store {
    const SIGNING_NAME: &'static str = "dynamodb";
    const TARGET_PREFIX: &'static str = "DynamoDB_20120810.";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.0";

    type Input = Input;
    type Error = AwsError;

    fn call(&self, request: &Request<Input>) -> DynamoCall {
        let table = store::name(&request.input.table_name).to_owned();
        DynamoCall { operation: request.operation.clone(), table, region: request.region.clone() }
    }

    fn resource(call: &DynamoCall) -> &str {
        &call.table
    }

    fn failure(failure: Failure, request: &Request<Input>) -> AwsError {
        let table = store::name(&request.input.table_name);
        match failure {
            Failure::NotFound => error::no_table(table),
            Failure::AccessDenied => {
                AwsError::access_denied("dynamodb", &request.operation, &store::arn(table, &request.region))
            }
            Failure::Throttling => AwsError::throttled(),
            Failure::ThroughputExceeded => error::throughput_exceeded(),
            Failure::Internal => error::internal(),
        }
    }

    async fn respond(shared: &Shared<Self>, request: Request<Input>, _: bool) -> Result<Json, AwsError> {
        let mut store = shared.service();
        let Request { operation, region, input, .. } = request;
        let respond: fn(&mut Store, &str, Input) -> Result<Json, AwsError> = match operation.as_str() {
            "DescribeTable" => describe_table,
            "DescribeTimeToLive" => describe_time_to_live,
            "GetItem" => get,
            "PutItem" => put,
            "Query" => query,
            _ => return Err(AwsError::unknown_operation(&operation)),
        };
        if let Some(parameter) = input.others.keys().next() {
            return Err(error::validation(format!("The sandbox does not have {operation}'s parameter {parameter}")));
        }
        respond(&mut store, &region, input)
    }
}

fn describe_table(store: &mut Store, region: &str, input: Input) -> Result<Json, AwsError> {
    let name = store::name(&input.table_name);
    Ok(json!({"Table": store.table(name)?.describe(name, &store::arn(name, region))}))
}

fn describe_time_to_live(store: &mut Store, _: &str, input: Input) -> Result<Json, AwsError> {
    let table = store.table(store::name(&input.table_name))?;
    Ok(json!({"TimeToLiveDescription": table.describe_time_to_live()}))
}

fn get(store: &mut Store, _: &str, input: Input) -> Result<Json, AwsError> {
    let key = required("key", input.key.as_ref())?;
    let item = store.table(store::name(&input.table_name))?.get(&key)?;
    Ok(item.map_or_else(|| json!({}), |item| json!({"Item": item_json(item)})))
}

fn put(store: &mut Store, _: &str, input: Input) -> Result<Json, AwsError> {
    let mut placeholders = placeholders(&input)?;
    let condition = condition("ConditionExpression", input.condition_expression.as_deref(), &mut placeholders)?;
    placeholders.check_all_used()?;
    let item = required("item", input.item.as_ref())?;
    let table = store.table_mut(store::name(&input.table_name))?;
    table.apply_pending_write()?;
    table.put(item, condition.as_ref())?;
    Ok(json!({}))
}

fn query(store: &mut Store, _: &str, input: Input) -> Result<Json, AwsError> {
    let mut placeholders = placeholders(&input)?;
    let key = condition("KeyConditionExpression", input.key_condition_expression.as_deref(), &mut placeholders)?;
    let key = key.ok_or_else(|| {
        let message = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.";
        error::validation(message)
    })?;
    let filter = condition("FilterExpression", input.filter_expression.as_deref(), &mut placeholders)?;
    placeholders.check_all_used()?;
    let query = Query {
        index: input.index_name,
        key,
        filter,
        backward: input.scan_index_forward == Some(false),
        consistent: input.consistent_read,
        limit: input.limit,
        start: input.exclusive_start_key.as_ref().map(parse_item).transpose()?,
    };
    query::page(store.table(store::name(&input.table_name))?, query, store.page_bytes)
}

fn placeholders(input: &Input) -> Result<Placeholders, AwsError> {
    Placeholders::new(input.expression_attribute_names.clone(), parse_item(&input.expression_attribute_values)?)
}

fn condition(
    parameter: &'static str,
    text: Option<&str>,
    placeholders: &mut Placeholders,
) -> Result<Option<Condition>, AwsError> {
    text.map(|text| expression::condition(text, parameter, placeholders)).transpose()
}

/// Parses a parameter that holds an item or a key.
fn required(parameter: &str, fields: Option<&Map<String, Json>>) -> Result<Item, AwsError> {
    let missing = || {
        error::validation(format!(
            "1 validation error detected: Value null at '{parameter}' failed to satisfy constraint: Member must not be null"
        ))
    };
    parse_item(fields.ok_or_else(missing)?)
}
