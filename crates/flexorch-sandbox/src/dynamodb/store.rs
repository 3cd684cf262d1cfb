//! The tables. Pure.

use std::collections::BTreeMap;

use super::error;
use super::schema::Schema;
use super::table::Table;
use crate::aws::error::AwsError;
use crate::aws::signature::ACCOUNT;

/// The most bytes of a page (Developer Guide, "Paginating table query results").
const PAGE_BYTES: usize = 1024 * 1024;

/// The state of DynamoDB: all tables, by name.
#[derive(Debug)]
pub struct Store {
    tables: BTreeMap<String, Table>,
    pub(super) page_bytes: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self { tables: BTreeMap::new(), page_bytes: PAGE_BYTES }
    }
}

/// Returns the ARN of a table in a region.
pub(super) fn arn(name: &str, region: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}")
}

/// Returns the name of the table that a call names, by its name or its ARN.
pub(super) fn name(name_or_arn: &str) -> &str {
    match name_or_arn.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":table/").map_or(name_or_arn, |(_, name)| name),
        None => name_or_arn,
    }
}

impl Store {
    /// Creates a table.
    pub(super) fn create(&mut self, name: &str, schema: Schema) -> Result<(), AwsError> {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(3..=255).contains(&name.len()) || !name.chars().all(is_of_name) {
            let message = "TableName must be 3 to 255 letters, digits, underscores, hyphens and dots";
            return Err(error::validation(message));
        }
        if self.tables.contains_key(name) {
            return Err(AwsError::client(
                "com.amazonaws.dynamodb.v20120810#ResourceInUseException",
                format!("Table already exists: {name}"),
            ));
        }
        self.tables.insert(name.to_owned(), Table::new(schema));
        Ok(())
    }

    /// Deletes a table with its items, if it exists.
    pub(super) fn delete(&mut self, name: &str) {
        self.tables.remove(name);
    }

    /// Returns a table.
    pub(super) fn table(&self, name: &str) -> Result<&Table, AwsError> {
        self.tables.get(name).ok_or_else(|| error::no_table(name))
    }

    /// Returns a table, to change it.
    pub(super) fn table_mut(&mut self, name: &str) -> Result<&mut Table, AwsError> {
        self.tables.get_mut(name).ok_or_else(|| error::no_table(name))
    }

    /// Freezes what the indexes return, or lets them follow their tables.
    pub(super) fn freeze_indexes(&mut self, frozen: bool) {
        self.tables.values_mut().for_each(|table| table.freeze_indexes(frozen));
    }
}
