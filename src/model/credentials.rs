//! FlexOrch's API key and a connector's id.

use std::fmt;
use std::hash::{Hash, Hasher};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;

/// An API key of FlexOrch, sent in the header `X-API-KEY`. Its `Debug` form does not show it.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Returns the key if it can be sent as a header; `None` if it is empty or has characters other than visible ASCII.
    #[must_use]
    pub fn new(key: SecretString) -> Option<Self> {
        let sendable = !key.expose_secret().is_empty() && key.expose_secret().bytes().all(|b| b.is_ascii_graphic());
        sendable.then_some(Self(key))
    }

    /// Returns the key itself, for the request's header and for redaction. Never print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for ApiKey {}

impl Hash for ApiKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.expose_secret().hash(state);
    }
}

/// A connector's id: a JSON number or string, kept as written.
///
/// FlexOrch's pages show a number, its SDKs send a string, and a number may have more digits than any integer type.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct ConnectorId(Box<RawValue>);

impl ConnectorId {
    /// Returns the id in a JSON number or a non-empty string; `None` for anything else.
    #[must_use]
    pub fn from_json(json: &RawValue) -> Option<Self> {
        let usable = match json.get().as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(json.get()).is_ok_and(|text| !text.is_empty()),
            b'-' | b'0'..=b'9' => true,
            _ => false,
        };
        usable.then(|| Self(json.to_owned()))
    }

    /// Returns an id that is a JSON string; `None` if the text is empty.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::from_json(&serde_json::value::to_raw_value(text).ok()?)
    }
}

impl PartialEq for ConnectorId {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for ConnectorId {}

impl Hash for ConnectorId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get().hash(state);
    }
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = self.0.get();
        match json.starts_with('"').then(|| serde_json::from_str::<String>(json)) {
            Some(Ok(text)) => f.write_str(&text),
            _ => f.write_str(json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Option<ConnectorId> {
        ConnectorId::from_json(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn an_id_is_written_as_it_was_read() {
        for json in ["42", "\"42\"", "123456789012345678901234567890", "-1", "1e3", "1.0", r#""a\u0062""#] {
            let id = id(json).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), json);
            assert_eq!(serde_json::to_string(&vec![&id]).unwrap(), format!("[{json}]"));
        }
    }

    #[test]
    fn an_id_is_shown_without_the_quotes_of_json() {
        for (json, shown) in
            [("123456789012345678901234567890", "123456789012345678901234567890"), (r#""a\u0062""#, "ab")]
        {
            assert_eq!(id(json).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn only_a_number_or_a_string_that_is_not_empty_is_an_id() {
        for json in ["null", "true", "[]", "{}", "\"\"", "\"\\ud800\""] {
            assert!(id(json).is_none(), "{json}");
        }
        assert!(ConnectorId::from_text("").is_none());
        assert_eq!(ConnectorId::from_text("c-1"), id("\"c-1\""));
    }
}
