//! The keys that a fault is written with, in one list, and their values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The key says what happens. A fault has one of these.
    Effect,
    /// The key says more about one of these effects.
    Detail(&'static [&'static str]),
    /// The key says when the effect happens, or to which requests.
    Condition,
}

use Role::{Condition, Detail, Effect};

/// Declares [`FaultSpec`] and [`FAULT_KEYS`] from one list: each key's name, field, type and role.
macro_rules! fault_keys {
    ($($(#[$attribute:meta])* $name:literal $field:ident: $type:ty, $role:expr;)*) => {
        /// The keys of a fault.
        pub const FAULT_KEYS: &[&str] = &[$($name),*];

        /// The role of each of [`FAULT_KEYS`].
        pub(super) const ROLES: &[Role] = &[$($role),*];

        /// A fault as it is written: every key on its own, not yet checked.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default, expecting = "a fault, such as {\"status\": 503, \"times\": 3}")]
        pub(super) struct FaultSpec {
            $(
                #[serde(rename = $name, skip_serializing_if = "Field::is_absent")]
                $(#[$attribute])*
                pub(super) $field: $type,
            )*
        }

        impl FaultSpec {
            /// Sets the value of a key from text.
            pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), FaultError> {
                match key {
                    $($name => self.$field.add($name, value),)*
                    _ => Err(FaultError::UnknownKey(key.to_owned())),
                }
            }

            /// Returns the keys that have a value, with their roles.
            pub(super) fn given(&self) -> Vec<(&'static str, Role)> {
                let absent = [$(self.$field.is_absent()),*];
                let keys = FAULT_KEYS.iter().copied().zip(ROLES.iter().copied());
                keys.zip(absent).filter_map(|(key, absent)| (!absent).then_some(key)).collect()
            }
        }
    };
}

fault_keys! {
    "status" status: Option<u16>, Effect;
    "code" code: Option<String>, Detail(&["status", "reject"]);
    "message" message: Option<String>, Detail(&["status"]);
    "body" body: Option<String>, Detail(&["status"]);
    #[serde(alias = "content_type")]
    "content-type" content_type: Option<String>, Detail(&["status"]);
    #[serde(alias = "retry_after")]
    "retry-after" retry_after: Option<NumberOrText>, Detail(&["status"]);
    "header" header: Vec<String>, Detail(&["status"]);
    "hang" hang: bool, Effect;
    "reset" reset: bool, Effect;
    "truncate" truncate: bool, Effect;
    "endless" endless: bool, Effect;
    "reject" reject: Option<String>, Effect;
    #[serde(alias = "fail_job")]
    "fail-job" fail_job: Option<String>, Effect;
    "reason" reason: Option<String>, Detail(&["fail-job"]);
    "latency" latency: Option<String>, Condition;
    "processed" processed: bool, Condition;
    "key" key: Option<String>, Condition;
    "connector" connector: Option<NumberOrText>, Condition;
    "path" path: Option<String>, Condition;
    "method" method: Option<String>, Condition;
    "after" after: Option<u64>, Condition;
    "times" times: Option<u64>, Condition;
    "random" random: Option<f64>, Condition;
}

/// The value of a key.
trait Field {
    /// Returns whether the key is not there.
    fn is_absent(&self) -> bool;
    /// Sets the value, or adds one to a list.
    fn add(&mut self, key: &'static str, text: &str) -> Result<(), FaultError>;
}

impl<T: FromStr> Field for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn add(&mut self, key: &'static str, text: &str) -> Result<(), FaultError> {
        // Only a number can fail, and only a number may have spaces around it.
        let value = text.parse().or_else(|_| text.trim().parse());
        *self = Some(value.map_err(|_| bad(key, text, "a number of its kind"))?);
        Ok(())
    }
}

impl Field for Vec<String> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn add(&mut self, _: &'static str, text: &str) -> Result<(), FaultError> {
        self.push(text.to_owned());
        Ok(())
    }
}

impl Field for bool {
    fn is_absent(&self) -> bool {
        !self
    }

    fn add(&mut self, key: &'static str, text: &str) -> Result<(), FaultError> {
        *self = match text.trim() {
            "" | "true" => true,
            "false" => false,
            _ => return Err(bad(key, text, "true or false")),
        };
        Ok(())
    }
}

/// A `Retry-After` or a connector's id, which JSON may write as a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
    Number(u64),
    Text(String),
}

impl FromStr for NumberOrText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Text(text.to_owned()))
    }
}

impl fmt::Display for NumberOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Why a fault is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has such a key.
    #[error("a fault has no {0:?}: use {list}", list = join(FAULT_KEYS, "or"))]
    UnknownKey(String),
    /// The value is not of the key's kind.
    #[error("{key}={value:?} is not {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// One fault has two effects.
    #[error("one fault has one effect, and this one has {0} and {1}: write two faults (they are tried in their order)")]
    TwoEffects(&'static str, &'static str),
    /// A key says more about an effect that the fault does not have.
    #[error("{key} means nothing without {effects}", effects = join(effects, "or"))]
    Without {
        /// The key.
        key: &'static str,
        /// The effects that it belongs to.
        effects: &'static [&'static str],
    },
    /// The fault has neither an effect nor a latency.
    #[error("the fault does not say what goes wrong: add latency, {list}", list = join(&effects(), "or"))]
    Nothing,
}

/// Returns the error of a value that is not allowed.
pub(super) fn bad(key: &'static str, value: impl ToString, expected: &'static str) -> FaultError {
    FaultError::BadValue { key, value: value.to_string(), expected }
}

fn effects() -> Vec<&'static str> {
    let keys = FAULT_KEYS.iter().zip(ROLES);
    keys.filter(|(_, role)| **role == Effect).map(|(key, _)| *key).collect()
}

/// Joins words: `a, b or c`.
fn join(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., word] => format!("{} {last} {word}", words.join(", ")),
    }
}
