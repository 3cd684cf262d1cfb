//! JSON that people write into files.

use flexorch_s3_ingester::model::connector::without_byte_order_mark;

/// A text that is not JSON, and where. It does not repeat the text, which may contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not {expected} (line {line}, column {column})")]
pub(crate) struct NotJson {
    /// The file, or whatever the text comes from.
    name: String,
    /// What it should be.
    expected: &'static str,
    line: usize,
    column: usize,
}

/// Parses JSON, which may begin with a byte-order mark. `expected` says what `T` is, such as `JSON`.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    text: &str,
    name: &str,
    expected: &'static str,
) -> Result<T, NotJson> {
    serde_json::from_str(without_byte_order_mark(text)).map_err(|error| NotJson {
        name: name.to_owned(),
        expected,
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_byte_order_mark_is_ignored_and_an_error_says_where_it_is_without_the_text() {
        assert_eq!(parse::<Value>("\u{feff}{\"a\": 1}", "a.json", "JSON"), Ok(json!({"a": 1})));
        let error = parse::<Value>("{\n  \"api_key\": dfx_hidden\n}", "a.json", "JSON").unwrap_err().to_string();
        assert_eq!(error, "a.json is not JSON (line 2, column 14)");
    }
}
