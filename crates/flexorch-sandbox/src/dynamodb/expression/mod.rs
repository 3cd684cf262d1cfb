//! DynamoDB's conditions (Developer Guide, "Using expressions in DynamoDB"): comparisons and functions, joined by `AND`. Pure.
//!
//! | module | its job |
//! | --- | --- |
//! | `lexer` | text → tokens |
//! | `placeholders` | `#name` and `:value`, each of which must be defined and used |
//! | `parser` | tokens → a condition |
//! | `condition` | whether an item meets a condition |
//! | `key_condition` | the condition of a query on a key |
//!
//! An attribute is compared with a value, and `OR`, `NOT`, `IN`, parentheses, and paths into maps and lists are syntax errors: neither the
//! functions nor the command line use more.

mod condition;
mod key_condition;
mod lexer;
mod parser;
mod placeholders;
#[cfg(test)]
mod tests;

pub(super) use self::condition::Condition;
pub(super) use self::key_condition::KeyCondition;
pub(super) use self::parser::condition;
pub(super) use self::placeholders::Placeholders;
