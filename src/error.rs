//! Errors as people read them.

use std::error::Error;

/// An error and what it came from, in one line. Only what each says of itself: the debugging form of an HTTP error would hold
/// headers and bodies, and so secrets.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many libraries repeat their cause's words in their own.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
