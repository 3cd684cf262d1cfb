//! A bucket's notification configuration: what is in it, what may be added, what S3 would refuse. Pure.
//!
//! | module | its job |
//! | --- | --- |
//! | `configuration` | S3's XML, entry by entry, each with the text that it was read from |
//! | `filter` | which keys and events an entry is for, and whether two are for the same |
//! | `change` | an entry more or less, and nothing else touched |
//! | `policy` | whether a destination's policy lets a service in, and a statement more or less there |

mod change;
mod configuration;
mod filter;
mod policy;
#[cfg(test)]
mod tests;

pub(super) use change::{Change, Which, attach, detach, switch_event_bridge};
pub(super) use configuration::{Configuration, ConfigurationError, Destination, Entry, Notification, Service};
pub(super) use filter::Filter;
pub(super) use policy::{Policy, Visitor, is_like, own_statement_id};

/// What the Id of every notification that `attach` makes begins with.
pub(super) const OWN: &str = "flexorch-s3-";

/// The event type of all ways in which an object comes to be (S3 User Guide, "Supported event types for SQS, SNS, and Lambda").
pub(super) const OBJECT_CREATED: &str = "s3:ObjectCreated:*";

/// Twelve hexadecimal digits that stand for these parts together, in this order.
fn digest(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        // No part holds it, so that no two lists look the same.
        digest.update([0]);
    }
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
