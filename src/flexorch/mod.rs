//! FlexOrch's API, as far as the ingester speaks it: wire types, error classes, client. Knows nothing of S3 or Lambda.
//!
//! [`client`] sends a request. [`response`] classifies what comes back: `envelope` reads what it says about the request as a whole,
//! [`key_results`] what it says about each key, with `key_names` for the names in it. `management` is the rest of the API, which
//! only the command line needs.

pub mod client;
mod envelope;
mod key_names;
pub mod key_results;
#[cfg(feature = "cli")]
pub mod management;
pub mod response;

/// The part of a key or file name after its last slash.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
