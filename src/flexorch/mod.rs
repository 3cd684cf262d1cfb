//! FlexOrch's API, as far as the ingester speaks it: wire types, error classes, client. Knows nothing of S3 or Lambda.
//!
//! [`client`] sends, [`reply`] classes what comes back, [`account`] reads what a successful answer says of each key. `management`
//! is the rest of the API, which only the command line needs.

pub mod account;
pub mod client;
#[cfg(feature = "cli")]
pub mod management;
pub mod reply;

use std::fmt;
use std::hash::{Hash, Hasher};

use reqwest::header::HeaderValue;
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

    /// The header's value, marked as sensitive so that no HTTP layer prints it.
    ///
    /// # Errors
    /// Never for a key that [`ApiKey::new`] took.
    pub fn header(&self) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(self.0.expose_secret())?;
        value.set_sensitive(true);
        Ok(value)
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

/// The part of a key or file name after its last slash.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
