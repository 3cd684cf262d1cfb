//! `UpdateExpression`: what an update makes of an item.

use super::super::error::DynamoError;
use super::super::value::{Item, Value};
use super::path::Path;

/// An update, for whole attributes: the sandbox changes no parts of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Update {
    pub(super) set: Vec<(String, Source)>,
    pub(super) remove: Vec<String>,
    /// Adds to a number, or to a set.
    pub(super) add: Vec<(String, Value)>,
}

/// Where a new value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Value(Value),
    Path(Path),
    IfNotExists(Path, Box<Self>),
    /// The sum, or the difference if it says so.
    Sum(Box<Self>, Box<Self>, bool),
}

impl Source {
    fn value(&self, item: &Item) -> Result<Value, DynamoError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Path(path) => path.find(item).cloned().ok_or_else(|| {
                DynamoError::validation(
                    "The provided expression refers to an attribute that does not exist in the item",
                )
            }),
            Self::IfNotExists(path, other) => {
                path.find(item).map_or_else(|| other.value(item), |value| Ok(value.clone()))
            }
            Self::Sum(left, right, negated) => sum(&left.value(item)?, &right.value(item)?, *negated),
        }
    }
}

fn sum(left: &Value, right: &Value, negated: bool) -> Result<Value, DynamoError> {
    let (Value::Number(left), Value::Number(right)) = (left, right) else {
        return Err(DynamoError::validation("An operand in the update expression has an incorrect data type"));
    };
    let sum = left.add(right, negated).map(Value::Number);
    sum.ok_or_else(|| DynamoError::validation("The sandbox adds whole numbers only"))
}

impl Update {
    /// Returns the names of the attributes that it changes.
    pub(in super::super) fn attributes(&self) -> impl Iterator<Item = &str> {
        let (set, add) = (self.set.iter().map(|(name, _)| name), self.add.iter().map(|(name, _)| name));
        set.chain(add).chain(&self.remove).map(String::as_str)
    }

    /// Returns the item after the update. All sources are read from the item before it.
    pub(in super::super) fn apply(&self, before: &Item) -> Result<Item, DynamoError> {
        let mut after = before.clone();
        for (name, source) in &self.set {
            after.insert(name.clone(), source.value(before)?);
        }
        for name in &self.remove {
            after.remove(name);
        }
        for (name, added) in &self.add {
            let value = match (before.get(name), added) {
                (None, Value::Number(_) | Value::Set(..)) => added.clone(),
                (Some(Value::Set(kind, members)), Value::Set(other, more)) if kind == other => {
                    let mut all: Vec<Value> = members.iter().chain(more).cloned().collect();
                    all.sort_by(Value::order);
                    all.dedup();
                    Value::Set(kind, all)
                }
                (before, added) => sum(before.unwrap_or(added), added, false)?,
            };
            after.insert(name.clone(), value);
        }
        Ok(after)
    }
}
