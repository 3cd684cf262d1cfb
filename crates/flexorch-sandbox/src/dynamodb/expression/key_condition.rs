//! `KeyConditionExpression`: the partition that a query reads, and which sort keys of it.

use super::super::error::DynamoError;
use super::super::value::{Item, Value};
use super::condition::{Comparator, Condition, Operand};

/// The items that a query reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyCondition {
    /// The partition key's value.
    pub(in super::super) partition: Value,
    /// The condition on the sort key, if there is one.
    sort: Option<Condition>,
}

impl KeyCondition {
    /// Checks a condition against a table's or index's key.
    pub(in super::super) fn new(
        condition: Condition,
        partition_key: &str,
        sort_key: Option<&str>,
    ) -> Result<Self, DynamoError> {
        let parts = match condition {
            Condition::And(left, right) => vec![*left, *right],
            single => vec![single],
        };
        let (mut partition, mut sort) = (None, None);
        for part in parts {
            let (attribute, is_value) = restricted(&part)?;
            let of_sort_key = sort_key == Some(attribute.as_str());
            match is_value {
                Some(value) if attribute == partition_key && partition.is_none() => partition = Some(value),
                _ if attribute == partition_key => {
                    return Err(DynamoError::validation("Query key condition not supported"));
                }
                _ if of_sort_key && sort.is_none() => sort = Some(part),
                _ if of_sort_key => {
                    let message = "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key";
                    return Err(DynamoError::validation(message));
                }
                _ => return Err(missing(partition_key, sort_key, partition.is_some())),
            }
        }
        let partition = partition.ok_or_else(|| missing(partition_key, sort_key, false))?;
        Ok(Self { partition, sort })
    }

    /// Returns whether an item of the partition is one to read.
    pub(in super::super) fn holds(&self, item: &Item) -> bool {
        self.sort.as_ref().is_none_or(|sort| sort.holds(item))
    }
}

fn missing(partition_key: &str, sort_key: Option<&str>, has_partition: bool) -> DynamoError {
    let key = if has_partition { sort_key.unwrap_or(partition_key) } else { partition_key };
    DynamoError::validation(format!("Query condition missed key schema element: {key}"))
}

/// Returns the attribute that a part restricts, and the value that it must equal, if it must.
fn restricted(part: &Condition) -> Result<(String, Option<Value>), DynamoError> {
    let invalid = |what: &str| DynamoError::validation(format!("Invalid KeyConditionExpression: {what}"));
    match part {
        Condition::Compare(_, Comparator::NotEqual, _) => {
            Err(invalid("Unsupported operator in KeyConditionExpression: operator: <>"))
        }
        Condition::Compare(Operand::Path(path), comparator, Operand::Value(value)) => {
            let equal = (*comparator == Comparator::Equal).then(|| value.clone());
            Ok((path.attribute.clone(), equal))
        }
        Condition::Between(Operand::Path(path), Operand::Value(_), Operand::Value(_))
        | Condition::BeginsWith(Operand::Path(path), Operand::Value(_)) => Ok((path.attribute.clone(), None)),
        Condition::Or(..) => Err(invalid("Invalid operator used in KeyConditionExpression: OR")),
        Condition::Not(_) => Err(invalid("Invalid operator used in KeyConditionExpression: NOT")),
        _ => Err(invalid("Invalid condition in KeyConditionExpression: a key is compared with a value")),
    }
}
