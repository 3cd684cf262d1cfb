//! An attribute's place in an item: `a`, `a.b`, `a[0]`.

use super::super::value::{Item, Value};

/// A place in an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Path {
    /// The attribute's name.
    pub(in super::super) attribute: String,
    /// The way into its maps and lists.
    pub(super) inner: Vec<Step>,
}

/// A step into a map or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    /// Returns the value there, if there is one.
    pub(in super::super) fn find<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        self.inner.iter().try_fold(item.get(&self.attribute)?, |value, step| match (step, value) {
            (Step::Name(name), Value::Map(fields)) => fields.get(name),
            (Step::Index(index), Value::List(values)) => values.get(*index),
            _ => None,
        })
    }

    /// Returns the attribute's name if the path is that of a whole attribute.
    pub(in super::super) fn whole_attribute(&self) -> Option<&str> {
        self.inner.is_empty().then_some(self.attribute.as_str())
    }
}
