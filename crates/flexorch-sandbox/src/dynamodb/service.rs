//! DynamoDB as a service: its JSON protocol, recorded calls, and operations.

use axum::Router;
use serde_json::{Map, Value as Json, json};

use super::error::DynamoError;
use super::expression::{self, Condition, Placeholders};
use super::input::Input;
use super::query::{self, Read};
use super::store::{self, Store};
use super::value::{Item, item_json, parse_item, plain_item};
use crate::aws::endpoint::{Service, Shared};
use crate::aws::fault::Failure;
use crate::aws::json::{self, JsonService, Request};

/// A recorded call.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamoCall {
    /// The operation, `PutItem` for example.
    pub operation: String,
    /// The table's name; empty if the call names none.
    pub table: String,
    /// The index that a query or a scan reads.
    pub index: Option<String>,
    /// The key, or the item that is put, in plain JSON.
    pub item: Option<Json>,
    /// The region that the call was signed for.
    pub region: String,
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
    type Error = DynamoError;

    fn call(&self, request: &Request<Input>) -> DynamoCall {
        let Request { operation, region, input, .. } = request;
        let item = input.item.as_ref().or(input.key.as_ref());
        DynamoCall {
            operation: operation.clone(),
            table: store::name(&input.table_name).to_owned(),
            index: input.index_name.clone(),
            item: item.and_then(|fields| parse_item(fields).ok()).map(|item| plain_item(&item)),
            region: region.clone(),
        }
    }

    fn resource(call: &DynamoCall) -> &str {
        &call.table
    }

    fn failure(failure: Failure, request: &Request<Input>) -> DynamoError {
        let table = store::name(&request.input.table_name);
        match failure {
            Failure::NotFound => DynamoError::no_table(table),
            Failure::AccessDenied => {
                DynamoError::access_denied(&request.operation, &store::arn(table, &request.region))
            }
            Failure::Throttling => DynamoError::throttled(),
            Failure::ThroughputExceeded => DynamoError::throughput_exceeded(),
            Failure::Internal => DynamoError::internal(),
        }
    }

    async fn respond(shared: &Shared<Self>, request: Request<Input>, _: bool) -> Result<Json, DynamoError> {
        let now = shared.now();
        let mut store = shared.service();
        let Request { operation, region, input, .. } = request;
        if let Some(parameter) = input.unsupported() {
            return Err(DynamoError::validation(format!("The sandbox does not know {parameter}")));
        }
        let name = store::name(&input.table_name).to_owned();
        let arn = store::arn(&name, &region);
        match operation.as_str() {
            "CreateTable" => {
                store.create(&input, now)?;
                Ok(json!({"TableDescription": store.table(&name)?.describe(&name, &arn)}))
            }
            "DescribeTable" => Ok(json!({"Table": store.table(&name)?.describe(&name, &arn)})),
            "DeleteTable" => Ok(json!({"TableDescription": store.delete(&name)?.describe(&name, &arn)})),
            "ListTables" => Ok(json!({"TableNames": store.names()})),
            "GetItem" => get(&store, &name, &input),
            "PutItem" | "DeleteItem" => write(&mut store, &operation, &name, &input),
            "UpdateItem" => update(&mut store, &name, &input),
            "Query" | "Scan" => read(&store, &operation, &name, input),
            _ => Err(DynamoError::unknown_operation(&operation)),
        }
    }
}

fn placeholders(input: &Input) -> Result<Placeholders, DynamoError> {
    let values = input.expression_attribute_values.as_ref().map(parse_item).transpose()?.unwrap_or_default();
    Placeholders::new(input.expression_attribute_names.clone().unwrap_or_default(), values)
}

fn condition(input: &Input, placeholders: &mut Placeholders) -> Result<Option<Condition>, DynamoError> {
    let text = input.condition_expression.as_deref();
    text.map(|text| expression::condition(text, "ConditionExpression", placeholders)).transpose()
}

/// Parses a parameter that holds an item or a key.
fn required(parameter: &str, fields: Option<&Map<String, Json>>) -> Result<Item, DynamoError> {
    let missing = || {
        DynamoError::validation(format!(
            "1 validation error detected: Value null at '{parameter}' failed to satisfy constraint: Member must not be null"
        ))
    };
    parse_item(fields.ok_or_else(missing)?)
}

fn get(store: &Store, name: &str, input: &Input) -> Result<Json, DynamoError> {
    let key = required("key", input.key.as_ref())?;
    let mut placeholders = placeholders(input)?;
    let text = input.projection_expression.as_deref();
    let projection = text.map(|text| expression::projection(text, &mut placeholders)).transpose()?;
    placeholders.check_all_used()?;
    let item = store.table(name)?.get(&key)?;
    Ok(item.map_or_else(|| json!({}), |item| json!({"Item": query::project(item, projection.as_deref())})))
}

fn write(store: &mut Store, operation: &str, name: &str, input: &Input) -> Result<Json, DynamoError> {
    let mut placeholders = placeholders(input)?;
    let condition = condition(input, &mut placeholders)?;
    placeholders.check_all_used()?;
    let returns_old = returns(input, &["NONE", "ALL_OLD"])? == "ALL_OLD";
    let before = if operation == "PutItem" {
        let item = required("item", input.item.as_ref())?;
        store.table_to_write(name)?.put(item, condition.as_ref())?
    } else {
        let key = required("key", input.key.as_ref())?;
        store.table_to_write(name)?.delete(&key, condition.as_ref())?
    };
    Ok(match before {
        Some(before) if returns_old => json!({"Attributes": item_json(&before)}),
        _ => json!({}),
    })
}

fn update(store: &mut Store, name: &str, input: &Input) -> Result<Json, DynamoError> {
    let key = required("key", input.key.as_ref())?;
    let mut placeholders = placeholders(input)?;
    let condition = condition(input, &mut placeholders)?;
    let text = input.update_expression.as_deref();
    let update = text.map(|text| expression::update(text, &mut placeholders)).transpose()?.unwrap_or_default();
    placeholders.check_all_used()?;
    let returns = returns(input, &["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"])?;
    let (before, after) = store.table_to_write(name)?.update(&key, &update, condition.as_ref())?;
    let updated = |item: Item| {
        let is_updated = |name: &String| update.attributes().any(|attribute| attribute == name);
        item.into_iter().filter(|(name, _)| is_updated(name)).collect()
    };
    let attributes: Option<Item> = match returns {
        "ALL_OLD" => before,
        "UPDATED_OLD" => before.map(updated),
        "ALL_NEW" => Some(after),
        "UPDATED_NEW" => Some(updated(after)),
        _ => None,
    };
    Ok(attributes.map_or_else(|| json!({}), |item| json!({"Attributes": item_json(&item)})))
}

/// Returns `ReturnValues`, if the operation has it.
fn returns<'a>(input: &'a Input, allowed: &[&str]) -> Result<&'a str, DynamoError> {
    let returns = input.return_values.as_deref().unwrap_or("NONE");
    if allowed.contains(&returns) {
        return Ok(returns);
    }
    Err(DynamoError::validation(format!("Return values set to invalid value: {returns}")))
}

fn read(store: &Store, operation: &str, name: &str, input: Input) -> Result<Json, DynamoError> {
    let mut placeholders = placeholders(&input)?;
    let key = match (operation, &input.key_condition_expression) {
        ("Query", Some(text)) => Some(expression::condition(text, "KeyConditionExpression", &mut placeholders)?),
        ("Query", None) => {
            let message =
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.";
            return Err(DynamoError::validation(message));
        }
        _ => None,
    };
    let filter = input.filter_expression.as_deref();
    let filter = filter.map(|text| expression::condition(text, "FilterExpression", &mut placeholders)).transpose()?;
    let projection = input.projection_expression.as_deref();
    let projection = projection.map(|text| expression::projection(text, &mut placeholders)).transpose()?;
    placeholders.check_all_used()?;
    let limit = match input.limit {
        None => None,
        Some(limit) => Some(usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| {
            DynamoError::validation(format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value \
                 greater than or equal to 1"
            ))
        })?),
    };
    let count = input.select.as_deref() == Some("COUNT");
    if count && projection.is_some() {
        return Err(DynamoError::validation(
            "Cannot specify the ProjectionExpression when choosing to get only the COUNT",
        ));
    }
    let start: Option<Item> = input.exclusive_start_key.as_ref().map(parse_item).transpose()?;
    let read = Read {
        index: input.index_name,
        key,
        filter,
        projection,
        backward: input.scan_index_forward == Some(false),
        consistent: input.consistent_read,
        limit,
        start,
        count,
    };
    query::page(store.table(name)?, read, store.page_bytes)
}
