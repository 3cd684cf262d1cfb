//! Queries and scans of a table or an index, page by page. Pure.

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

use super::error::DynamoError;
use super::expression::{Condition, KeyCondition, Path};
use super::schema::{Index, Keys};
use super::table::{Key, Table};
use super::value::{Item, Value, item_json, item_size};

/// What a query or a scan asks for.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) index: Option<String>,
    /// A query's; a scan has none.
    pub(super) key: Option<Condition>,
    pub(super) filter: Option<Condition>,
    /// `None` is all attributes.
    pub(super) projection: Option<Vec<Path>>,
    pub(super) backward: bool,
    pub(super) consistent: bool,
    /// The most items that are read, before the filter.
    pub(super) limit: Option<usize>,
    pub(super) start: Option<Item>,
    /// Whether only their number is asked for.
    pub(super) count: bool,
}

/// Returns a page.
pub(super) fn page(table: &Table, read: Read, page_bytes: usize) -> Result<Json, DynamoError> {
    let index = read.index.as_deref().map(|name| table.schema.index(name)).transpose()?;
    if read.consistent && index.is_some_and(|index| index.global) {
        return Err(DynamoError::validation("Consistent reads are not supported on global secondary indexes"));
    }
    let keys = index.map_or(&table.schema.keys, |index| &index.keys);
    let is_query = read.key.is_some();
    let key = read.key.map(|condition| {
        KeyCondition::new(condition, &keys.partition.name, keys.sort.as_ref().map(|sort| sort.name.as_str()))
    });
    let key = key.transpose()?;
    if let Some(filter) = read.filter.as_ref().filter(|_| is_query)
        && let Some(name) = filter.attributes().into_iter().find(|name| keys.attributes().any(|key| key.name == **name))
    {
        let message = "Filter Expression can only contain non-primary key attributes: Primary key attribute:";
        return Err(DynamoError::validation(format!("{message} {name}")));
    }
    let mut found = select(table, index, key.as_ref());
    if read.backward {
        found.reverse();
    }
    if let Some(start) = &read.start {
        check_start(start, keys, &table.schema.keys, key.as_ref())?;
        let start = position(start, keys, &table.schema.keys);
        let passed = if read.backward { Ordering::Less } else { Ordering::Greater };
        found.retain(|(_, item)| compare(&position(item, keys, &table.schema.keys), &start) == passed);
    }

    let (mut items, mut scanned, mut bytes, mut count) = (Vec::new(), 0, 0, 0);
    let mut last = None;
    let total = found.len();
    for (_, item) in found {
        let shown = index.map_or_else(|| item.clone(), |index| index.project(item, &table.schema.keys));
        bytes += item_size(&shown);
        scanned += 1;
        if read.filter.as_ref().is_none_or(|filter| filter.holds(&shown)) {
            count += 1;
            if !read.count {
                items.push(project(&shown, read.projection.as_deref()));
            }
        }
        let ended_by_limit = read.limit.is_some_and(|limit| scanned >= limit);
        if ended_by_limit || (bytes >= page_bytes && scanned < total) {
            let mut key = table.schema.keys.of(item);
            key.extend(keys.of(item));
            last = Some(item_json(&key));
            break;
        }
    }
    let mut page = json!({"Count": count, "ScannedCount": scanned});
    if !read.count {
        page["Items"] = items.into();
    }
    if let Some(last) = last {
        page["LastEvaluatedKey"] = last;
    }
    Ok(page)
}

/// Returns the items of a partition, or all of the table or index, in their order.
fn select<'a>(table: &'a Table, index: Option<&Index>, key: Option<&KeyCondition>) -> Vec<(&'a Key, &'a Item)> {
    let keys = &table.schema.keys;
    let Some(index) = index else {
        return match key {
            None => table.entries(false).iter().collect(),
            Some(key) => {
                let of_partition = table.entries(false).range(Key(key.partition.clone(), None)..);
                let of_partition = of_partition.take_while(|(place, _)| place.0 == key.partition);
                of_partition.filter(|(_, item)| key.holds(item)).collect()
            }
        };
    };
    let is_in = |item: &Item| {
        index.keys.are_in(item)
            && key.is_none_or(|key| item.get(&index.keys.partition.name) == Some(&key.partition) && key.holds(item))
    };
    let found = table.entries(true).iter().filter(|(_, item)| is_in(item));
    let mut found: Vec<_> = found.map(|entry| (position(entry.1, &index.keys, keys), entry)).collect();
    found.sort_by(|(a, _), (b, _)| compare(a, b));
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// Returns the values that an item is sorted by: the keys of the index, then those of the table.
fn position<'a>(item: &'a Item, keys: &Keys, table: &Keys) -> Vec<&'a Value> {
    keys.attributes().chain(table.attributes()).filter_map(|key| item.get(&key.name)).collect()
}

fn compare(a: &[&Value], b: &[&Value]) -> Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| a.order(b));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Refuses an `ExclusiveStartKey` that no page of this query or scan returned.
fn check_start(start: &Item, keys: &Keys, table: &Keys, key: Option<&KeyCondition>) -> Result<(), DynamoError> {
    let is_key = |name: &String| keys.attributes().chain(table.attributes()).any(|key| key.name == *name);
    if !keys.are_in(start) || !table.are_in(start) || !start.keys().all(is_key) {
        return Err(DynamoError::validation("The provided starting key is invalid"));
    }
    match key {
        Some(key) if start.get(&keys.partition.name) != Some(&key.partition) || !key.holds(start) => {
            let message = "The provided starting key is outside query boundaries based on provided conditions";
            Err(DynamoError::validation(message))
        }
        _ => Ok(()),
    }
}

/// Returns an item's projection in DynamoDB's JSON.
pub(super) fn project(item: &Item, projection: Option<&[Path]>) -> Json {
    let Some(paths) = projection else {
        return item_json(item);
    };
    let whole = paths.iter().filter_map(|path| Some((path.whole_attribute()?, path.find(item)?)));
    item_json(&whole.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}
