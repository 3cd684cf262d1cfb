//! Queries of a table or an index, page by page. Pure.

use serde_json::{Value as Json, json};

use super::error;
use super::expression::{Condition, KeyCondition};
use super::schema::{Keys, key_of};
use super::table::Table;
use super::value::{Item, item_json, item_size};
use crate::aws::error::AwsError;

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) index: Option<String>,
    pub(super) key: Condition,
    pub(super) filter: Option<Condition>,
    pub(super) backward: bool,
    pub(super) consistent: bool,
    /// The most items that are read.
    pub(super) limit: Option<usize>,
    pub(super) start: Option<Item>,
}

/// Returns a page.
pub(super) fn page(table: &Table, query: Query, page_bytes: usize) -> Result<Json, AwsError> {
    let index = query.index.as_deref().map(|name| table.schema.index(name)).transpose()?;
    if query.consistent && index.is_some() {
        return Err(error::validation("Consistent reads are not supported on global secondary indexes"));
    }
    let keys = index.map_or(table.schema.keys, |index| index.keys);
    let key = KeyCondition::new(query.key, keys)?;
    let of_key = |filter: &Condition| filter.attributes().find(|name| keys.contains(name)).map(str::to_owned);
    if let Some(name) = query.filter.as_ref().and_then(of_key) {
        let message = "Filter Expression can only contain non-primary key attributes: Primary key attribute:";
        return Err(error::validation(format!("{message} {name}")));
    }
    let items: Vec<&Item> = if index.is_some() { table.indexed_items().collect() } else { table.items().collect() };
    // Sorted by the index's key, then by the table's.
    let position = |item| Some((key_of(item, keys)?, key_of(item, table.schema.keys)?));
    let found = items.into_iter().filter(|item| key.holds(item));
    let mut found: Vec<_> = found.filter_map(|item| Some((position(item)?, item))).collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(start) = &query.start {
        check_start(start, keys, table.schema.keys, &key)?;
        let start = position(start);
        found.retain(
            |(place, _)| if query.backward { Some(place) < start.as_ref() } else { Some(place) > start.as_ref() },
        );
    }
    if query.backward {
        found.reverse();
    }

    let (mut items, mut scanned, mut bytes, mut last) = (Vec::new(), 0, 0, None);
    let total = found.len();
    for (_, item) in found {
        bytes += item_size(item);
        scanned += 1;
        if query.filter.as_ref().is_none_or(|filter| filter.holds(item)) {
            items.push(item_json(item));
        }
        // If the limit is reached, DynamoDB does not look whether there are more.
        if bytes >= page_bytes && scanned < total || Some(scanned) == query.limit {
            let is_key = |name: &str| keys.contains(&name) || table.schema.keys.contains(&name);
            let key = item.iter().filter(|(name, _)| is_key(name)).map(|(name, value)| (name.clone(), value.clone()));
            last = Some(item_json(&key.collect()));
            break;
        }
    }
    let mut page = json!({"Count": items.len(), "ScannedCount": scanned, "Items": items});
    if let Some(last) = last {
        page["LastEvaluatedKey"] = last;
    }
    Ok(page)
}

/// Refuses an `ExclusiveStartKey` that no page of this query returned.
fn check_start(start: &Item, keys: Keys, table: Keys, key: &KeyCondition) -> Result<(), AwsError> {
    let is_other = |name: &str| !keys.contains(&name) && !table.contains(&name);
    if key_of(start, keys).is_none() || key_of(start, table).is_none() || start.keys().any(|name| is_other(name)) {
        return Err(error::validation("The provided starting key is invalid"));
    }
    if !key.holds(start) {
        let message = "The provided starting key is outside query boundaries based on provided conditions";
        return Err(error::validation(message));
    }
    Ok(())
}
