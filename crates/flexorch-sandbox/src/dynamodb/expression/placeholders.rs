//! `ExpressionAttributeNames` and `ExpressionAttributeValues`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::error;
use super::super::value::{Item, Value};
use crate::aws::error::AwsError;

/// The words that are no attribute's name in an expression (Developer Guide, "Reserved words in DynamoDB").
const RESERVED_WORDS: &str = include_str!("reserved_words.txt");

/// The names and values that a request's expressions may use, and which of them they used.
#[derive(Debug, Default)]
pub(in super::super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: Item,
    used: BTreeSet<String>,
}

impl Placeholders {
    /// Returns the placeholders of a request.
    pub(in super::super) fn new(names: BTreeMap<String, String>, values: Item) -> Result<Self, AwsError> {
        for (parameter, sign, mut keys) in [
            ("ExpressionAttributeNames", '#', names.keys().collect::<Vec<_>>()),
            ("ExpressionAttributeValues", ':', values.keys().collect()),
        ] {
            keys.retain(|key| key.len() < 2 || !key.starts_with(sign));
            if let Some(key) = keys.first() {
                let message = format!("{parameter} contains invalid key: Syntax error; key: \"{key}\"");
                return Err(error::validation(message));
            }
        }
        Ok(Self { names, values, used: BTreeSet::new() })
    }

    /// Returns the attribute that `#name` stands for.
    pub(super) fn name(&mut self, placeholder: &str, expression: &str) -> Result<String, AwsError> {
        self.used.insert(placeholder.to_owned());
        self.names.get(placeholder).cloned().ok_or_else(|| {
            error::validation(format!(
                "Invalid {expression}: An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            ))
        })
    }

    /// Returns the value of `:value`.
    pub(super) fn value(&mut self, placeholder: &str, expression: &str) -> Result<Value, AwsError> {
        self.used.insert(placeholder.to_owned());
        self.values.get(placeholder).cloned().ok_or_else(|| {
            error::validation(format!(
                "Invalid {expression}: An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            ))
        })
    }

    /// Refuses placeholders that no expression used.
    pub(in super::super) fn check_all_used(&self) -> Result<(), AwsError> {
        for (parameter, names) in [
            ("ExpressionAttributeNames", self.names.keys().collect::<Vec<_>>()),
            ("ExpressionAttributeValues", self.values.keys().collect()),
        ] {
            let unused: Vec<&str> =
                names.into_iter().filter(|name| !self.used.contains(*name)).map(String::as_str).collect();
            if !unused.is_empty() {
                let message =
                    format!("Value provided in {parameter} unused in expressions: keys: {{{}}}", unused.join(", "));
                return Err(error::validation(message));
            }
        }
        Ok(())
    }
}

/// Returns whether a word must be written as a placeholder.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED_WORDS.split_whitespace().any(|reserved| reserved.eq_ignore_ascii_case(word))
}
