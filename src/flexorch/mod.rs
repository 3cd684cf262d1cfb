//! FlexOrch's API, as far as the ingester speaks it: wire types, error classes, client. Knows nothing of S3 or Lambda.
//!
//! [`client`] sends a request, [`response`] classifies what comes back, [`key_results`] reads what a successful response says about
//! each key. `management` is the rest of the API, which only the command line needs.

pub mod client;
pub mod key_results;
#[cfg(feature = "cli")]
pub mod management;
pub mod response;

/// The part of a key or file name after its last slash.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
