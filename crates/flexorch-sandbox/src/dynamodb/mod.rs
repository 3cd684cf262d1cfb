//! An Amazon DynamoDB endpoint on loopback that the AWS SDKs can use.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | the JSON protocol, recorded calls, and operations |
//! | `input` | the fields of the operations' inputs |
//! | `store` | the tables |
//! | `table` | one table: items, conditions, writes |
//! | `query` | queries and scans, page by page |
//! | `schema` | keys and indexes of a table, and what they demand of an item |
//! | `expression` | conditions, projections and updates as text |
//! | `value`, `number` | attribute values |
//! | `error` | DynamoDB's errors |
//!
//! Stricter than needed where DynamoDB may be: a page that its limit ended always has a `LastEvaluatedKey`. Items whose time to live is
//! over are not deleted.

mod error;
mod expression;
mod input;
mod number;
mod query;
mod schema;
mod service;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Value as Json, json};

pub use self::service::DynamoCall;
use self::store::Store;
use super::aws::endpoint::AwsEndpoint;
pub use super::aws::fault::AwsFault as DynamoFault;

/// A running DynamoDB endpoint. It stops in the background when it is dropped.
pub type DynamoDb = AwsEndpoint<Store>;

/// Why a table or an item that a test prepares is not possible: DynamoDB's message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl DynamoDb {
    /// Creates a table from the input of `CreateTable`.
    ///
    /// # Errors
    ///
    /// If DynamoDB would not create it.
    pub fn create_table(&self, input: Json) -> Result<(), Refused> {
        let input = serde_json::from_value(input).map_err(|error| Refused(error.to_string()))?;
        let now = self.shared().now();
        self.shared().service().create(&input, now).map_err(refused)
    }

    /// Creates the table of documents' records: `document` and `version`, with the indexes `by-job` and `by-state`.
    ///
    /// # Errors
    ///
    /// If there is a table of this name.
    pub fn create_records_table(&self, name: &str) -> Result<(), Refused> {
        let definitions = ["document", "version", "job_id", "state", "changed_at"]
            .map(|name| json!({"AttributeName": name, "AttributeType": "S"}));
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let index = |name: &str, keys: &[Json]| json!({"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}});
        self.create_table(json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": definitions,
            "KeySchema": [key("document", "HASH"), key("version", "RANGE")],
            "GlobalSecondaryIndexes": [
                index("by-job", &[key("job_id", "HASH")]),
                index("by-state", &[key("state", "HASH"), key("changed_at", "RANGE")]),
            ],
        }))
    }

    /// Returns a table's items in plain JSON (`{"document": "bucket/key", "revision": 1}`), sorted by their keys; none if there is no such
    /// table.
    pub fn items(&self, table: &str) -> Vec<Json> {
        let service = self.shared().service();
        service.table(table).map(|table| table.items().map(value::plain_item).collect()).unwrap_or_default()
    }

    /// Puts an item in plain JSON into a table, in place of one with the same key.
    ///
    /// # Errors
    ///
    /// If there is no such table, or the item does not fit it.
    pub fn put(&self, table: &str, item: Json) -> Result<(), Refused> {
        let item = parse(&item)?;
        let mut service = self.shared().service();
        service.table_mut(table).and_then(|table| table.put(item, None)).map(drop).map_err(refused)
    }

    /// Puts an item in plain JSON just before the next write that a call asks for, as another writer does that comes between a read and a
    /// write. Called several times, it does so before as many writes, one item each.
    ///
    /// # Errors
    ///
    /// As [`DynamoDb::put`].
    pub fn put_before_next_write(&self, table: &str, item: Json) -> Result<(), Refused> {
        let item = parse(&item)?;
        let mut service = self.shared().service();
        service.table_mut(table).and_then(|table| table.put_before_next_write(item)).map_err(refused)
    }

    /// Removes the items of a table; the table stays.
    pub fn clear(&self, table: &str) {
        if let Ok(table) = self.shared().service().table_mut(table) {
            table.clear();
        }
    }

    /// Sets how many bytes of items a page of a query or scan has at most: 1 MB from the start, as in DynamoDB. A page has at least one
    /// item.
    pub fn set_page_bytes(&self, bytes: usize) {
        self.shared().service().page_bytes = bytes;
    }

    /// Keeps the indexes of all tables as they are now, whatever is written, or lets them follow again: a global secondary index is
    /// eventually consistent.
    pub fn freeze_indexes(&self, frozen: bool) {
        self.shared().service().freeze_indexes(frozen);
    }

    /// Sets the fault of all calls about one table, or removes it. It comes before other faults.
    pub fn set_table_fault(&self, table: &str, fault: Option<DynamoFault>) {
        self.shared().set_resource_fault(table, fault);
    }

    /// Returns the ARN of a table of this name in a region, whether or not it exists.
    pub fn arn(&self, table: &str, region: &str) -> String {
        store::arn(table, region)
    }
}

fn parse(item: &Json) -> Result<value::Item, Refused> {
    let item = item.as_object().and_then(value::item_from_plain);
    item.ok_or_else(|| Refused("an item is a JSON object with numbers that DynamoDB has".to_owned()))
}

fn refused(error: error::DynamoError) -> Refused {
    Refused(error.message)
}
