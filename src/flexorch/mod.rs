//! FlexOrch's API, as far as the ingester speaks it: wire types, error classes, client. Knows nothing of S3 or Lambda.
//!
//! [`client`] sends a request, [`response`] classifies what comes back, [`key_results`] reads what a successful response says about
//! each key. The rest of the API is the command line's.

pub mod client;
pub mod key_results;
pub mod response;

/// The part of a key or file name after its last slash.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
