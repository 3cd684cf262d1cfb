//! The keys of a table and of its indexes, and what they require of an item. Pure.

use serde_json::{Value as Json, json};

use super::error;
use super::value::{Item, Value, item_size};
use crate::aws::error::AwsError;

/// The largest values of keys, and the largest item, in bytes (Developer Guide, "Quotas").
const MOST_PARTITION_KEY_BYTES: usize = 2048;
const MOST_SORT_KEY_BYTES: usize = 1024;
const MOST_ITEM_BYTES: usize = 400 * 1024;

/// The names of a key's attributes, which are text: the partition key's and, if there is one, the sort key's.
pub(super) type Keys = &'static [&'static str];

/// The keys and indexes of a table.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) keys: Keys,
    pub(super) indexes: Vec<Index>,
}

/// A global secondary index, which has all attributes of its items.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) keys: Keys,
}

fn invalid(message: impl std::fmt::Display) -> AwsError {
    error::validation(format!("One or more parameter values were invalid: {message}"))
}

/// Returns the values of a key's attributes; `None` if an item lacks one of them.
pub(super) fn key_of(item: &Item, keys: Keys) -> Option<Vec<&str>> {
    keys.iter().map(|key| item.get(*key).and_then(Value::text)).collect()
}

impl Schema {
    /// Returns the schema of a table of documents' records.
    pub(super) fn of_records() -> Self {
        let indexes = vec![
            Index { name: "by-job", keys: &["job_id"] },
            Index { name: "by-state", keys: &["state", "changed_at"] },
        ];
        Self { keys: &["document", "version"], indexes }
    }

    /// Returns an index by its name.
    pub(super) fn index(&self, name: &str) -> Result<&Index, AwsError> {
        let index = self.indexes.iter().find(|index| index.name == name);
        index.ok_or_else(|| error::validation(format!("The table does not have the specified index: {name}")))
    }

    /// Refuses an item that the table or one of its indexes cannot hold.
    pub(super) fn check(&self, item: &Item) -> Result<(), AwsError> {
        if let Some(missing) = self.keys.iter().find(|key| !item.contains_key(**key)) {
            return Err(invalid(format_args!("Missing the key {missing} in the item")));
        }
        let indexes = self.indexes.iter().map(|index| ("Index Key", index.keys));
        for (what, keys) in std::iter::once(("key", self.keys)).chain(indexes) {
            for (key, most) in keys.iter().zip([MOST_PARTITION_KEY_BYTES, MOST_SORT_KEY_BYTES]) {
                item.get(*key).map_or(Ok(()), |value| check_key(&format!("{what} {key}"), value, most))?;
            }
        }
        if item_size(item) > MOST_ITEM_BYTES {
            return Err(error::validation("Item size has exceeded the maximum allowed size"));
        }
        Ok(())
    }

    /// Returns the key that a `Key` parameter has, which must have these attributes and no others.
    pub(super) fn exact_key(&self, key: &Item) -> Result<Vec<String>, AwsError> {
        let values = key_of(key, self.keys).filter(|_| key.len() == self.keys.len());
        let values = values.ok_or_else(|| error::validation("The provided key element does not match the schema"))?;
        self.check(key)?;
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Returns the part of a table's description that does not depend on its items.
    pub(super) fn describe(&self, arn: &str) -> Json {
        let elements = |keys: Keys| {
            let elements = keys.iter().zip(["HASH", "RANGE"]);
            elements.map(|(key, kind)| json!({"AttributeName": key, "KeyType": kind})).collect::<Vec<_>>()
        };
        let index = |Index { name, keys }: &Index| {
            json!({
                "IndexName": name,
                "KeySchema": elements(keys),
                "Projection": {"ProjectionType": "ALL"},
                "IndexStatus": "ACTIVE",
                "IndexArn": format!("{arn}/index/{name}"),
            })
        };
        let mut definitions: Vec<_> = self.indexes.iter().flat_map(|index| index.keys).chain(self.keys).collect();
        definitions.sort_unstable();
        definitions.dedup();
        let definition = |name| json!({"AttributeName": name, "AttributeType": "S"});
        json!({
            "TableArn": arn,
            "TableStatus": "ACTIVE",
            "KeySchema": elements(self.keys),
            "AttributeDefinitions": definitions.into_iter().map(definition).collect::<Vec<_>>(),
            "GlobalSecondaryIndexes": self.indexes.iter().map(index).collect::<Vec<_>>(),
        })
    }
}

/// Refuses the value of a key's attribute that is no text, empty, or too long.
fn check_key(what: &str, value: &Value, most: usize) -> Result<(), AwsError> {
    let Some(text) = value.text() else {
        return Err(invalid(format_args!("Type mismatch for {what} expected: S actual: {}", value.kind())));
    };
    if text.is_empty() {
        let message = "The AttributeValue for a key attribute cannot contain an empty string value.";
        return Err(error::validation(format!("One or more parameter values are not valid. {message} {what}")));
    }
    if text.len() > most {
        return Err(invalid(format_args!("Size of {what} has exceeded the maximum size limit of {most} bytes")));
    }
    Ok(())
}
