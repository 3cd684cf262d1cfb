//! A bucket's notification configuration: what it contains, what can be added, what S3 would refuse. Pure.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `configuration` | S3's XML, entry by entry, each with the text that it was read from |
//! | `filter` | which keys and events an entry matches, and whether two entries overlap |
//! | `change` | adds or removes an entry and leaves the others unchanged |
//! | `policy` | whether a destination's policy allows a service to send to it; adds or removes a statement |
//! | `own` | how the entries and statements that `attach` adds are named |

mod change;
mod configuration;
mod filter;
mod own;
mod policy;
#[cfg(test)]
mod tests;

pub(crate) use change::{Change, Selector, attach, detach, switch_event_bridge};
pub(crate) use configuration::{Configuration, ConfigurationError, Destination, Entry, Notification, Service};
pub(crate) use filter::Filter;
pub(crate) use policy::{Grantee, Policy, matches_wildcard, own_statement_id};
