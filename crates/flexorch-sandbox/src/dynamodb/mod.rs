//! An Amazon DynamoDB endpoint on loopback that the AWS SDKs can use.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | the JSON protocol, recorded calls, and operations |
//! | `store` | the tables |
//! | `table` | one table: items, conditional writes |
//! | `query` | queries, page by page |
//! | `schema` | keys and indexes of a table, and what they require of an item |
//! | `expression` | conditions as text |
//! | `value` | attribute values |
//! | `error` | DynamoDB's errors |
//!
//! It has the operations that the functions and the command line call, with the parameters that they use; others are refused. Expired
//! items are not deleted.

mod error;
mod expression;
mod query;
mod schema;
mod service;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod value;

use serde_json::Value as Json;

use self::schema::Schema;
pub use self::service::DynamoCall;
use self::store::Store;
use super::aws::endpoint::AwsEndpoint;
pub use super::aws::fault::AwsFault as DynamoFault;
use crate::aws::error::AwsError;

/// A running DynamoDB endpoint. It stops in the background when it is dropped.
pub type DynamoDb = AwsEndpoint<Store>;

/// DynamoDB's message that refuses a table or an item that a test prepares.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl DynamoDb {
    /// Creates the table of documents' records: `document` and `version`, with the indexes `by-job` and `by-state`, and a time to live.
    ///
    /// # Errors
    ///
    /// If there is a table of this name, or it is not one that a table can have.
    pub fn create_records_table(&self, name: &str) -> Result<(), Refused> {
        self.shared().service().create(name, Schema::of_records()).map_err(refused)
    }

    /// Returns the ARN of a table of this name in a region, whether or not it exists.
    pub fn arn(&self, name: &str, region: &str) -> String {
        store::arn(name, region)
    }

    /// Deletes a table with its items, if it exists.
    pub fn delete_table(&self, name: &str) {
        self.shared().service().delete(name);
    }

    /// Deletes an index of a table.
    pub fn delete_index(&self, table: &str, index: &str) {
        if let Ok(table) = self.shared().service().table_mut(table) {
            table.schema.indexes.retain(|known| known.name != index);
        }
    }

    /// Sets whether the items of a table have a time to live. It is described only: no item is deleted.
    pub fn set_time_to_live(&self, table: &str, enabled: bool) {
        if let Ok(table) = self.shared().service().table_mut(table) {
            table.items_expire = enabled;
        }
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
        service.table_mut(table).and_then(|table| table.put(item, None)).map_err(refused)
    }

    /// Puts an item in plain JSON just before the next write that a call asks for, as a concurrent writer does. Called several times, it
    /// puts one item before each of the next writes.
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

    /// Sets after how many bytes of items a query's page ends: 1 MB from the start, as in DynamoDB. A page has at least one item.
    pub fn set_page_bytes(&self, bytes: usize) {
        self.shared().service().page_bytes = bytes;
    }

    /// Freezes the indexes of all tables, whatever is written, or lets them follow again: a global secondary index is eventually
    /// consistent.
    pub fn freeze_indexes(&self, frozen: bool) {
        self.shared().service().freeze_indexes(frozen);
    }

    /// Sets the fault of all calls about one table, or removes it. It comes before other faults.
    pub fn set_table_fault(&self, table: &str, fault: Option<DynamoFault>) {
        self.shared().set_resource_fault(table, fault);
    }
}

fn parse(item: &Json) -> Result<value::Item, Refused> {
    let item = item.as_object().and_then(value::item_from_plain);
    item.ok_or_else(|| Refused("an item is a JSON object without nulls and fractions".to_owned()))
}

fn refused(error: AwsError) -> Refused {
    Refused(error.message)
}
