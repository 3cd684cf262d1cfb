//! FlexOrch's API key and a connector's id.

use std::fmt;
use std::hash::{Hash, Hasher};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

/// The key that FlexOrch is called with (header `X-API-KEY`). It cannot be printed.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Takes a key that can be sent as a header; `None` where it cannot.
    #[must_use]
    pub fn new(key: SecretString) -> Option<Self> {
        let sendable = !key.expose_secret().is_empty() && key.expose_secret().bytes().all(|b| b.is_ascii_graphic());
        sendable.then_some(Self(key))
    }

    /// The key itself, for the request's header and for removing it from text. Never print it.
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

/// A connector's id. FlexOrch's pages show a number, its SDKs send a string: the JSON type of the secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ConnectorId(Value);

impl ConnectorId {
    /// Takes a JSON number or a non-empty string; `None` for anything else.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Number(_) => Some(Self(value.clone())),
            Value::String(text) if !text.is_empty() => Some(Self(value.clone())),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(text),
            other => write!(f, "{other}"),
        }
    }
}
