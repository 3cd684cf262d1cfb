//! The keys of a table and of its indexes, and what they demand of an item. Pure.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::error::DynamoError;
use super::input::{AttributeDefinition, IndexInput, Input, KeyElement};
use super::value::{Item, Value, item_size};

/// The largest values of keys, and the largest item, in bytes (Developer Guide, "Quotas").
const MOST_PARTITION_KEY_BYTES: usize = 2048;
const MOST_SORT_KEY_BYTES: usize = 1024;
const MOST_ITEM_BYTES: usize = 400 * 1024;

/// The keys and indexes of a table.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    pub(super) keys: Keys,
    pub(super) indexes: Vec<Index>,
}

/// A key: a partition key, and perhaps a sort key.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) partition: KeyAttribute,
    pub(super) sort: Option<KeyAttribute>,
}

/// An attribute of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyAttribute {
    pub(super) name: String,
    /// `S`, `N` or `B`.
    kind: String,
}

/// A secondary index.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) keys: Keys,
    /// Whether it is a global one, which has no consistent reads.
    pub(super) global: bool,
    /// The attributes besides the keys; `None` is all.
    projected: Option<BTreeSet<String>>,
}

fn invalid(message: impl std::fmt::Display) -> DynamoError {
    DynamoError::validation(format!("One or more parameter values were invalid: {message}"))
}

impl Schema {
    /// Checks the input of `CreateTable`.
    pub(super) fn new(input: &Input) -> Result<Self, DynamoError> {
        let definitions = &input.attribute_definitions;
        let keys = Keys::new(&input.key_schema, definitions)?;
        let mut indexes = Vec::new();
        for (global, list) in [(true, &input.global_secondary_indexes), (false, &input.local_secondary_indexes)] {
            for index in list.iter().flatten() {
                indexes.push(Index::new(index, definitions, global)?);
            }
        }
        let schema = Self { keys, indexes };
        let used: BTreeSet<&str> = schema.all_keys().flat_map(Keys::attributes).map(|key| key.name.as_str()).collect();
        if let Some(unused) = definitions.iter().find(|definition| !used.contains(definition.attribute_name.as_str())) {
            let message = "Some AttributeDefinitions are not used. AttributeDefinitions:";
            return Err(invalid(format_args!("{message} [{}]", unused.attribute_name)));
        }
        Ok(schema)
    }

    fn all_keys(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.keys).chain(self.indexes.iter().map(|index| &index.keys))
    }

    /// Returns an index by its name.
    pub(super) fn index(&self, name: &str) -> Result<&Index, DynamoError> {
        let index = self.indexes.iter().find(|index| index.name == name);
        index.ok_or_else(|| DynamoError::validation(format!("The table does not have the specified index: {name}")))
    }

    /// Refuses an item that the table or one of its indexes cannot hold.
    pub(super) fn check(&self, item: &Item) -> Result<(), DynamoError> {
        for (place, key) in self.keys.attributes().enumerate() {
            let value =
                item.get(&key.name).ok_or_else(|| invalid(format_args!("Missing the key {} in the item", key.name)))?;
            key.check(value, place)?;
        }
        for index in &self.indexes {
            for (place, key) in index.keys.attributes().enumerate() {
                let Some(value) = item.get(&key.name) else {
                    continue;
                };
                if value.kind() != key.kind {
                    return Err(invalid(format_args!(
                        "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}",
                        key.name,
                        key.kind,
                        value.kind(),
                        index.name
                    )));
                }
                if is_empty(value) {
                    return Err(DynamoError::validation(format!(
                        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The \
                         AttributeValue for a key attribute cannot contain an empty string value. IndexName: {}, IndexKey: {}",
                        index.name, key.name
                    )));
                }
                key.check(value, place)?;
            }
        }
        if item_size(item) > MOST_ITEM_BYTES {
            return Err(DynamoError::validation("Item size has exceeded the maximum allowed size"));
        }
        Ok(())
    }

    /// Returns the table's description, without what depends on its items.
    pub(super) fn describe(&self, arn: &str) -> Json {
        let mut definitions: Vec<&KeyAttribute> = self.all_keys().flat_map(Keys::attributes).collect();
        definitions.sort_by(|a, b| a.name.cmp(&b.name));
        definitions.dedup_by(|a, b| a.name == b.name);
        let definitions: Vec<Json> =
            definitions.into_iter().map(|key| json!({"AttributeName": key.name, "AttributeType": key.kind})).collect();
        let indexes = |global| {
            let indexes = self.indexes.iter().filter(|index| index.global == global);
            indexes.map(|index| index.describe(arn)).collect::<Vec<_>>()
        };
        let mut table = json!({"AttributeDefinitions": definitions, "KeySchema": self.keys.describe()});
        for (name, list) in [("GlobalSecondaryIndexes", indexes(true)), ("LocalSecondaryIndexes", indexes(false))] {
            if !list.is_empty() {
                table[name] = list.into();
            }
        }
        table
    }
}

impl Keys {
    fn new(elements: &[KeyElement], definitions: &[AttributeDefinition]) -> Result<Self, DynamoError> {
        let attribute = |element: &KeyElement| {
            let definition = definitions.iter().find(|definition| definition.attribute_name == element.attribute_name);
            let definition =
                definition.filter(|definition| ["S", "N", "B"].contains(&definition.attribute_type.as_str()));
            let definition = definition.ok_or_else(|| {
                invalid(format_args!(
                    "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}]",
                    element.attribute_name
                ))
            })?;
            Ok::<_, DynamoError>(KeyAttribute {
                name: definition.attribute_name.clone(),
                kind: definition.attribute_type.clone(),
            })
        };
        let kinds: Vec<&str> = elements.iter().map(|element| element.key_type.as_str()).collect();
        match (kinds.as_slice(), elements) {
            (["HASH"], [partition]) => Ok(Self { partition: attribute(partition)?, sort: None }),
            (["HASH", "RANGE"], [partition, sort]) => {
                Ok(Self { partition: attribute(partition)?, sort: Some(attribute(sort)?) })
            }
            _ => Err(invalid("A key schema is a HASH key and at most one RANGE key, in this order")),
        }
    }

    /// Returns the key's attributes, the partition key first.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Returns whether an item has all attributes of the key.
    pub(super) fn are_in(&self, item: &Item) -> bool {
        self.attributes().all(|key| item.contains_key(&key.name))
    }

    /// Returns the key's attributes of an item.
    pub(super) fn of(&self, item: &Item) -> Item {
        self.attributes().filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone()))).collect()
    }

    /// Refuses a `Key` with other attributes than these.
    pub(super) fn check_exactly(&self, key: &Item) -> Result<(), DynamoError> {
        if key.len() != self.attributes().count() || !self.are_in(key) {
            return Err(DynamoError::validation("The provided key element does not match the schema"));
        }
        self.attributes().enumerate().try_for_each(|(place, attribute)| match key.get(&attribute.name) {
            Some(value) if value.kind() == attribute.kind => attribute.check(value, place),
            _ => Err(DynamoError::validation("The provided key element does not match the schema")),
        })
    }

    fn describe(&self) -> Vec<Json> {
        let kinds = ["HASH", "RANGE"];
        let keys = self.attributes().zip(kinds);
        keys.map(|(key, kind)| json!({"AttributeName": key.name, "KeyType": kind})).collect()
    }
}

impl KeyAttribute {
    /// Refuses a value of another type, an empty one, and one that is too long. `place` is 0 for a partition key.
    fn check(&self, value: &Value, place: usize) -> Result<(), DynamoError> {
        if value.kind() != self.kind {
            return Err(invalid(format_args!(
                "Type mismatch for key {} expected: {} actual: {}",
                self.name,
                self.kind,
                value.kind()
            )));
        }
        if is_empty(value) {
            return Err(DynamoError::validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string \
                 value. Key: {}",
                self.name
            )));
        }
        let (what, most) =
            if place == 0 { ("hashkey", MOST_PARTITION_KEY_BYTES) } else { ("rangekey", MOST_SORT_KEY_BYTES) };
        if value.size() > most {
            return Err(invalid(format_args!("Size of {what} has exceeded the maximum size limit of{most} bytes")));
        }
        Ok(())
    }
}

impl Index {
    fn new(input: &IndexInput, definitions: &[AttributeDefinition], global: bool) -> Result<Self, DynamoError> {
        let others = || input.projection.non_key_attributes.iter().flatten().cloned().collect();
        let projected = match input.projection.projection_type.as_deref() {
            Some("ALL") => None,
            Some("KEYS_ONLY") => Some(BTreeSet::new()),
            Some("INCLUDE") => Some(others()),
            _ => return Err(invalid(format_args!("Unknown ProjectionType of the index {}", input.index_name))),
        };
        let keys = Keys::new(&input.key_schema, definitions)?;
        Ok(Self { name: input.index_name.clone(), keys, global, projected })
    }

    /// Returns what the index has of an item.
    pub(super) fn project(&self, item: &Item, table: &Keys) -> Item {
        let Some(projected) = &self.projected else {
            return item.clone();
        };
        let is_key = |name: &str| self.keys.attributes().chain(table.attributes()).any(|key| key.name == name);
        let kept = item.iter().filter(|(name, _)| projected.contains(*name) || is_key(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn describe(&self, table_arn: &str) -> Json {
        let projection = match &self.projected {
            None => json!({"ProjectionType": "ALL"}),
            Some(others) if others.is_empty() => json!({"ProjectionType": "KEYS_ONLY"}),
            Some(others) => json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": others}),
        };
        let mut index = json!({
            "IndexName": self.name,
            "KeySchema": self.keys.describe(),
            "Projection": projection,
            "IndexArn": format!("{table_arn}/index/{}", self.name),
        });
        if self.global {
            index["IndexStatus"] = "ACTIVE".into();
        }
        index
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::Binary(bytes) => bytes.is_empty(),
        _ => false,
    }
}
