//! The part of FlexOrch's API that the function uses: wire types, error classes, client. It does not depend on S3 or Lambda.
//!
//! [`client`] sends a request. [`response`] classifies what comes back: `envelope` reads what it says about the request as a whole,
//! [`key_results`] what it says about each key, with `key_names` for the names in it. The command line implements the rest of the API.

pub mod client;
mod envelope;
mod key_names;
pub mod key_results;
pub mod response;

pub use envelope::error_in;

/// Returns the part of a key or file name after its last slash.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
