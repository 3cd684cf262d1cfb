//! Text from other systems: identifiers, and messages without secrets.

use serde_json::value::RawValue;

/// The most characters that are kept of a message: an item of the table and an event hold far more, but readers do not.
const LONGEST_MESSAGE: usize = 1_000;

/// Returns an id, which may be a JSON number or string, as text; `None` for anything else and for empty text.
pub(crate) fn identifier(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(json.get()).ok().filter(|text| !text.trim().is_empty()),
        b'-' | b'0'..=b'9' => Some(json.get().to_owned()),
        _ => None,
    }
}

/// Shortens a message from which the known secrets are removed, and removes what looks like another API key.
pub(crate) fn shortened(message: &str) -> String {
    cut(&without_key_like_words(message))
}

/// Cuts text to [`LONGEST_MESSAGE`]. Remove secrets first: a part of a secret would not be recognised.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Removes what looks like one of FlexOrch's API keys, for keys that this process has not read: of a connector that is not
/// configured here, or whose secret cannot be read.
fn without_key_like_words(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_of_word) {
        let word = &rest[start..];
        let word = &word[..word.find(|c| !is_of_word(c)).unwrap_or(word.len())];
        clean.push_str(&rest[..start]);
        clean.push_str(if is_key_like(word) { flexorch_s3_ingester::redaction::REDACTED } else { word });
        rest = &rest[start + word.len()..];
    }
    clean.push_str(rest);
    clean
}

/// Whether a key may be in a word: FlexOrch's keys begin with `dfx_`, older ones with `fx_`.
fn is_key_like(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.match_indices("fx_").any(|(position, prefix)| {
        let before = word[..position].bytes().next_back();
        position + prefix.len() < word.len() && before.is_none_or(|byte| byte == b'd' || !byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_api_key_is_removed() {
        assert_eq!(
            without_key_like_words("key dfx_aB-1_2, and DFX_x. dfx_ ü"),
            "key [redacted], and [redacted]. dfx_ ü"
        );
        assert_eq!(without_key_like_words("fx_old sfx_x fx_ a-dfx_x"), "[redacted] sfx_x fx_ [redacted]");
        assert_eq!(without_key_like_words("nothing"), "nothing");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(2_000)).chars().count(), LONGEST_MESSAGE + 1);
        assert_eq!(cut("short"), "short");
    }
}
