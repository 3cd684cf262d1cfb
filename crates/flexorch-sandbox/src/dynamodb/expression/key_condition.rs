//! `KeyConditionExpression`: the partition that a query reads, and which of its sort keys.

use super::super::error;
use super::super::schema::Keys;
use super::super::value::Item;
use super::condition::{Comparator, Condition, Test};
use crate::aws::error::AwsError;

/// A condition on a key: the partition key's value and at most one condition on the sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyCondition(Condition);

impl KeyCondition {
    /// Checks a condition against a table's or an index's key.
    pub(in super::super) fn new(condition: Condition, keys: Keys) -> Result<Self, AwsError> {
        let invalid = |what: &str| error::validation(format!("Invalid KeyConditionExpression: {what}"));
        for term in &condition.0 {
            match (keys.iter().position(|key| *key == term.attribute), &term.test) {
                (None, _) => return Err(missing(keys.last())),
                (_, Test::Exists | Test::NotExists | Test::Contains(_)) => {
                    return Err(invalid("Invalid operator used in KeyConditionExpression"));
                }
                (Some(0), Test::Compare(Comparator::Equal, _)) | (Some(1..), _) => {}
                (Some(0), _) => return Err(error::validation("Query key condition not supported")),
            }
        }
        let conditions = |key: &str| condition.attributes().filter(|attribute| *attribute == key).count();
        if keys.iter().any(|key| conditions(key) > 1) {
            return Err(invalid("KeyConditionExpressions must only contain one condition per key"));
        }
        if keys.first().is_some_and(|partition| conditions(partition) == 0) {
            return Err(missing(keys.first()));
        }
        Ok(Self(condition))
    }

    /// Returns whether a query with this condition reads an item.
    pub(in super::super) fn holds(&self, item: &Item) -> bool {
        self.0.holds(item)
    }
}

fn missing(key: Option<&&str>) -> AwsError {
    let key = key.copied().unwrap_or_default();
    error::validation(format!("Query condition missed key schema element: {key}"))
}
