//! One table: its items, and conditional writes. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value as Json, json};

use super::error::DynamoError;
use super::expression::{Condition, Update};
use super::schema::Schema;
use super::value::{Item, Value, item_size};
use crate::clock::Moment;

/// The value of a table's key.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) Value, pub(super) Option<Value>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let sort = || match (&self.1, &other.1) {
            (Some(a), Some(b)) => a.order(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        self.0.order(&other.0).then_with(sort)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// The items of a table, by their keys.
pub(super) type Items = BTreeMap<Key, Item>;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) schema: Schema,
    created: Moment,
    items: Items,
    /// What the indexes show, if they do not follow the table.
    frozen: Option<Items>,
    /// Items that another writer puts, each just before one of the next writes.
    overtaking: VecDeque<Item>,
}

impl Table {
    /// Creates an empty table.
    pub(super) fn new(schema: Schema, now: Moment) -> Self {
        Self { schema, created: now, items: Items::new(), frozen: None, overtaking: VecDeque::new() }
    }

    /// Returns the items, sorted by their keys.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// Returns the items by their keys: the table's, or what its indexes show.
    pub(super) fn entries(&self, of_index: bool) -> &Items {
        self.frozen.as_ref().filter(|_| of_index).unwrap_or(&self.items)
    }

    /// Removes all items.
    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    /// Keeps what the indexes show, or lets them follow the table.
    pub(super) fn freeze_indexes(&mut self, frozen: bool) {
        self.frozen = frozen.then(|| self.items.clone());
    }

    /// Puts an item just before the next write that a call asks for.
    pub(super) fn put_before_next_write(&mut self, item: Item) -> Result<(), DynamoError> {
        self.schema.check(&item)?;
        self.overtaking.push_back(item);
        Ok(())
    }

    /// Lets another writer come first, if one is to.
    pub(super) fn be_overtaken(&mut self) -> Result<(), DynamoError> {
        match self.overtaking.pop_front() {
            Some(item) => self.put(item, None).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the key of an item or of a `Key` parameter that has been checked.
    pub(super) fn key(&self, item: &Item) -> Result<Key, DynamoError> {
        let keys = &self.schema.keys;
        let partition = item.get(&keys.partition.name).cloned();
        let partition =
            partition.ok_or_else(|| DynamoError::validation("The provided key element does not match the schema"))?;
        Ok(Key(partition, keys.sort.as_ref().and_then(|sort| item.get(&sort.name)).cloned()))
    }

    fn checked_key(&self, key: &Item) -> Result<Key, DynamoError> {
        self.schema.keys.check_exactly(key)?;
        self.key(key)
    }

    /// Returns the item with this key.
    pub(super) fn get(&self, key: &Item) -> Result<Option<&Item>, DynamoError> {
        Ok(self.items.get(&self.checked_key(key)?))
    }

    /// Puts an item if the one in its place meets the condition, and returns that.
    pub(super) fn put(&mut self, item: Item, condition: Option<&Condition>) -> Result<Option<Item>, DynamoError> {
        self.schema.check(&item)?;
        let key = self.key(&item)?;
        check(condition, self.items.get(&key))?;
        Ok(self.items.insert(key, item))
    }

    /// Deletes an item if it meets the condition, and returns it.
    pub(super) fn delete(&mut self, key: &Item, condition: Option<&Condition>) -> Result<Option<Item>, DynamoError> {
        let key = self.checked_key(key)?;
        check(condition, self.items.get(&key))?;
        Ok(self.items.remove(&key))
    }

    /// Updates an item, or creates it, if it meets the condition. Returns it as it was and as it is.
    pub(super) fn update(
        &mut self,
        key: &Item,
        update: &Update,
        condition: Option<&Condition>,
    ) -> Result<(Option<Item>, Item), DynamoError> {
        let place = self.checked_key(key)?;
        if let Some(name) = update.attributes().find(|name| key.contains_key(*name)) {
            let message = format!(
                "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the key"
            );
            return Err(DynamoError::validation(message));
        }
        let before = self.items.get(&place);
        check(condition, before)?;
        let after = update.apply(before.unwrap_or(key))?;
        self.schema.check(&after)?;
        let before = self.items.insert(place, after.clone());
        Ok((before, after))
    }

    /// Returns the table's description.
    pub(super) fn describe(&self, name: &str, arn: &str) -> Json {
        let mut table = self.schema.describe(arn);
        table["TableName"] = name.into();
        table["TableArn"] = arn.into();
        table["TableId"] = format!("00000000-0000-0000-0000-{:012x}", name.len()).into();
        table["TableStatus"] = "ACTIVE".into();
        table["CreationDateTime"] = self.created.epoch_seconds().into();
        table["ItemCount"] = self.items.len().into();
        table["TableSizeBytes"] = self.items.values().map(item_size).sum::<usize>().into();
        table["BillingModeSummary"] = json!({"BillingMode": "PAY_PER_REQUEST"});
        table["ProvisionedThroughput"] =
            json!({"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0});
        table["DeletionProtectionEnabled"] = false.into();
        table
    }
}

/// Refuses a write if the item in its place, or no item, does not meet the condition.
fn check(condition: Option<&Condition>, item: Option<&Item>) -> Result<(), DynamoError> {
    let nothing = Item::new();
    match condition {
        Some(condition) if !condition.holds(item.unwrap_or(&nothing)) => Err(DynamoError::condition_failed()),
        _ => Ok(()),
    }
}
