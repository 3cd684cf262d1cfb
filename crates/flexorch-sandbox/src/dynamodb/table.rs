//! One table: its items, and conditional writes. Pure.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value as Json, json};

use super::error;
use super::expression::Condition;
use super::schema::{Schema, key_of};
use super::value::Item;
use crate::aws::error::AwsError;

/// The attribute whose time ends an item's life, as in the template.
const EXPIRY: &str = "expires_at";

/// The items of a table, by the values of their keys.
pub(super) type Items = BTreeMap<Vec<String>, Item>;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) schema: Schema,
    /// Whether items have a time to live. The sandbox deletes none.
    pub(super) items_expire: bool,
    items: Items,
    /// What the indexes return, if they do not follow the table.
    frozen: Option<Items>,
    /// The items of another writer, each of which is put just before one of the next writes.
    pending: VecDeque<Item>,
}

impl Table {
    /// Creates an empty table.
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, items_expire: true, items: Items::new(), frozen: None, pending: VecDeque::new() }
    }

    /// Returns the items, sorted by their keys.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// Returns the items that the table's indexes return.
    pub(super) fn indexed_items(&self) -> impl Iterator<Item = &Item> {
        self.frozen.as_ref().unwrap_or(&self.items).values()
    }

    /// Removes all items.
    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    /// Freezes what the indexes return, or lets them follow the table.
    pub(super) fn freeze_indexes(&mut self, frozen: bool) {
        self.frozen = frozen.then(|| self.items.clone());
    }

    /// Puts an item just before the next write that a call asks for.
    pub(super) fn put_before_next_write(&mut self, item: Item) -> Result<(), AwsError> {
        self.schema.check(&item)?;
        self.pending.push_back(item);
        Ok(())
    }

    /// Puts the next of the other writer's items, if there is one.
    pub(super) fn apply_pending_write(&mut self) -> Result<(), AwsError> {
        self.pending.pop_front().map_or(Ok(()), |item| self.put(item, None))
    }

    /// Returns the item with this key.
    pub(super) fn get(&self, key: &Item) -> Result<Option<&Item>, AwsError> {
        Ok(self.items.get(&self.schema.exact_key(key)?))
    }

    /// Puts an item if the one in its place meets the condition. A missing item has no attributes.
    pub(super) fn put(&mut self, item: Item, condition: Option<&Condition>) -> Result<(), AwsError> {
        self.schema.check(&item)?;
        let key: Vec<_> = key_of(&item, self.schema.keys).into_iter().flatten().map(str::to_owned).collect();
        let nothing = Item::new();
        let before = self.items.get(&key).unwrap_or(&nothing);
        if condition.is_some_and(|condition| !condition.holds(before)) {
            return Err(error::condition_failed());
        }
        self.items.insert(key, item);
        Ok(())
    }

    /// Returns the table's description.
    pub(super) fn describe(&self, name: &str, arn: &str) -> Json {
        let mut table = self.schema.describe(arn);
        table["TableName"] = name.into();
        table["ItemCount"] = self.items.len().into();
        table
    }

    /// Returns the description of the table's time to live.
    pub(super) fn describe_time_to_live(&self) -> Json {
        match self.items_expire {
            true => json!({"TimeToLiveStatus": "ENABLED", "AttributeName": EXPIRY}),
            false => json!({"TimeToLiveStatus": "DISABLED"}),
        }
    }
}
