//! Conditions, and whether an item meets one.

use std::cmp::Ordering;

use super::super::value::{Item, Value};

/// A condition on an item: all of its terms hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Condition(pub(super) Vec<Term>);

/// A condition on one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) attribute: String,
    pub(super) test: Test,
}

/// A test of an attribute. An attribute that does not exist passes `NotExists` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Compare(Comparator, Value),
    /// `attribute BETWEEN low AND high`.
    Between(Value, Value),
    BeginsWith(Value),
    Contains(Value),
    Exists,
    NotExists,
}

/// A comparison. Values of different types meet none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
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
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, left: &Value, right: &Value) -> bool {
        left.compare(right).is_some_and(match self {
            Self::Equal => Ordering::is_eq,
            Self::Less => Ordering::is_lt,
            Self::LessOrEqual => Ordering::is_le,
            Self::Greater => Ordering::is_gt,
            Self::GreaterOrEqual => Ordering::is_ge,
        })
    }
}

impl Term {
    /// Returns whether an item passes the test.
    pub(super) fn holds(&self, item: &Item) -> bool {
        let Some(value) = item.get(&self.attribute) else {
            return self.test == Test::NotExists;
        };
        let text = |part: &Value, test: fn(&str, &str) -> bool| {
            value.text().zip(part.text()).is_some_and(|(text, part)| test(text, part))
        };
        match &self.test {
            Test::Compare(comparator, other) => comparator.holds(value, other),
            Test::Between(low, high) => {
                Comparator::GreaterOrEqual.holds(value, low) && Comparator::LessOrEqual.holds(value, high)
            }
            Test::BeginsWith(prefix) => text(prefix, |text, prefix| text.starts_with(prefix)),
            Test::Contains(part) => text(part, |text, part| text.contains(part)),
            Test::Exists => true,
            Test::NotExists => false,
        }
    }
}

impl Condition {
    /// Returns whether an item meets the condition. A missing item has no attributes.
    pub(in super::super) fn holds(&self, item: &Item) -> bool {
        self.0.iter().all(|term| term.holds(item))
    }

    /// Returns the names of the attributes that the condition is about.
    pub(in super::super) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|term| term.attribute.as_str())
    }
}
