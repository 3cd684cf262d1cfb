//! The records of submitted documents: where they are, and how they are read. `history`, `resubmit`, `webhook` and `doctor` use it.
//!
//! ```text
//!  --stack, --function, --table ──▶ locate ──▶ selection ──▶ query ──▶ records (newest or oldest first)
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `locate` | finds the table, the webhook's URL and secret, and the retry queue |
//! | `outputs`, `chain` | of a stack: its outputs; of a function: what its settings and triggers lead to |
//! | `record` | PURE: an item of the table as a record |
//! | `selection`, `query` | PURE: which records are meant; the queries that find them |
//! | `records` | reads the pages of several queries, and merges them by time |

mod chain;
mod locate;
mod outputs;
mod query;
mod record;
mod records;
mod selection;

pub(crate) use crate::args::State;
pub(crate) use locate::Tracking;
pub(crate) use query::Order;
pub(crate) use record::{Record, timestamp};
pub(crate) use records::Records;
pub(crate) use selection::Selection;

pub(crate) use chain::queue_arn;
