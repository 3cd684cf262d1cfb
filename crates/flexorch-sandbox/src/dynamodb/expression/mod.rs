//! DynamoDB's expressions (Developer Guide, "Using expressions in DynamoDB"). Pure.
//!
//! | module | its job |
//! | --- | --- |
//! | `lexer` | text → tokens |
//! | `placeholders` | `#name` and `:value`, each of which must be defined and used |
//! | `path` | an attribute's place in an item |
//! | `parser` | tokens → conditions, projections, updates |
//! | `condition` | whether an item meets a condition |
//! | `key_condition` | the part of a condition that a query is made of |
//! | `update` | what an update makes of an item |

mod condition;
mod key_condition;
mod lexer;
mod parser;
mod path;
mod placeholders;
#[cfg(test)]
mod tests;
mod update;

pub(super) use self::condition::Condition;
pub(super) use self::key_condition::KeyCondition;
pub(super) use self::parser::{condition, projection, update};
pub(super) use self::path::Path;
pub(super) use self::placeholders::Placeholders;
pub(super) use self::update::Update;
