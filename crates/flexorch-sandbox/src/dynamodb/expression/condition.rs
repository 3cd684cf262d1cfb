//! Conditions, and whether an item meets one.

use std::cmp::Ordering;

use super::super::value::{Item, Value};
use super::path::Path;

/// A condition on an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Condition {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(Operand, Comparator, Operand),
    /// `value BETWEEN low AND high`.
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    /// `attribute_type(path, :type)`.
    HasType(Path, Operand),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Operand {
    Path(Path),
    Value(Value),
    /// `size(path)`.
    Size(Path),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    /// Returns the comparison of a symbol.
    pub(super) fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Returns whether the comparison is one of sizes.
    pub(super) fn needs_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Returns whether two values compare so. A value that is not there equals none; values of different types have no order.
    pub(super) fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let equal = matches!((left, right), (Some(left), Some(right)) if left == right);
        let order = left.zip(right).and_then(|(left, right)| left.compare(right));
        match self {
            Self::Equal => equal,
            Self::NotEqual => !equal,
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Operand {
    fn value(&self, item: &Item) -> Option<Value> {
        match self {
            Self::Path(path) => path.find(item).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::Size(path) => {
                let size = match path.find(item)? {
                    Value::Text(text) => text.chars().count(),
                    Value::Binary(bytes) => bytes.len(),
                    Value::List(values) | Value::Set(_, values) => values.len(),
                    Value::Map(fields) => fields.len(),
                    Value::Number(_) | Value::Bool(_) | Value::Null => return None,
                };
                Some(Value::Number(super::super::number::Number::whole(i64::try_from(size).ok()?)))
            }
        }
    }

    fn attribute(&self) -> Option<&str> {
        match self {
            Self::Path(path) | Self::Size(path) => Some(&path.attribute),
            Self::Value(_) => None,
        }
    }
}

impl Condition {
    /// Returns whether an item meets the condition. A missing item has no attributes.
    pub(in super::super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Not(inner) => !inner.holds(item),
            Self::Compare(left, comparator, right) => {
                comparator.holds(left.value(item).as_ref(), right.value(item).as_ref())
            }
            Self::Between(value, low, high) => {
                let value = value.value(item);
                Comparator::GreaterOrEqual.holds(value.as_ref(), low.value(item).as_ref())
                    && Comparator::LessOrEqual.holds(value.as_ref(), high.value(item).as_ref())
            }
            Self::In(value, list) => {
                let value = value.value(item);
                list.iter().any(|other| Comparator::Equal.holds(value.as_ref(), other.value(item).as_ref()))
            }
            Self::Exists(path) => path.find(item).is_some(),
            Self::NotExists(path) => path.find(item).is_none(),
            Self::HasType(path, kind) => {
                matches!((path.find(item), kind.value(item)), (Some(value), Some(Value::Text(kind))) if value.kind() == kind)
            }
            Self::BeginsWith(value, prefix) => match (value.value(item), prefix.value(item)) {
                (Some(Value::Text(text)), Some(Value::Text(prefix))) => text.starts_with(&prefix),
                (Some(Value::Binary(bytes)), Some(Value::Binary(prefix))) => bytes.starts_with(&prefix),
                _ => false,
            },
            Self::Contains(value, part) => match (value.value(item), part.value(item)) {
                (Some(Value::Text(text)), Some(Value::Text(part))) => text.contains(&part),
                (Some(Value::List(values) | Value::Set(_, values)), Some(part)) => values.contains(&part),
                _ => false,
            },
        }
    }

    /// Returns the names of the attributes that the condition is about.
    pub(in super::super) fn attributes(&self) -> Vec<&str> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.attributes().into_iter().chain(right.attributes()).collect()
            }
            Self::Not(inner) => inner.attributes(),
            Self::Compare(left, _, right) | Self::BeginsWith(left, right) | Self::Contains(left, right) => {
                left.attribute().into_iter().chain(right.attribute()).collect()
            }
            Self::Between(value, low, high) => {
                [value, low, high].into_iter().filter_map(|operand| operand.attribute()).collect()
            }
            Self::In(value, list) => {
                value.attribute().into_iter().chain(list.iter().filter_map(Operand::attribute)).collect()
            }
            Self::Exists(path) | Self::NotExists(path) | Self::HasType(path, _) => vec![&path.attribute],
        }
    }
}
