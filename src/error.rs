//! Errors as log lines and messages show them.

use std::error::Error;

/// Formats an error and its sources in one line. It uses their `Display` texts only: the `Debug` form of an HTTP error would hold
/// headers and bodies, and so secrets.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many libraries repeat the source's text in their own.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
