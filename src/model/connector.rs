//! A FlexOrch connector as its secret describes it: which bucket it reads, and with which key FlexOrch is called.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::model::credentials::{ApiKey, ConnectorId};

/// One connector, read from one secret.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The secret that it was read from, as `CONNECTOR_SECRET_IDS` names it; it names the connector in logs.
    pub secret_id: Arc<str>,
    /// FlexOrch's id of the connector.
    pub id: ConnectorId,
    /// The key that FlexOrch is called with.
    pub api_key: ApiKey,
    /// The bucket that it reads; `None`: any.
    pub bucket: Option<String>,
    /// The prefix that it reads; empty: the whole bucket.
    pub prefix: String,
    /// The bucket's region, for the calls that go to S3 itself; `None`: the function's own.
    pub region: Option<String>,
}

/// Why a secret does not describe a connector. No variant holds a value of the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The secret is there and empty, as a newly deployed one is.
    #[error("the secret is still empty; write {{\"api_key\": …, \"connector_id\": …, \"bucket\": …}} into it")]
    Empty,
    /// The secret is not a JSON object.
    #[error(
        "the secret is not a JSON object: it must look like {{\"api_key\": …, \"connector_id\": …, \"bucket\": …}}"
    )]
    NotAnObject,
    /// A field that is needed is missing.
    #[error("the secret has no field `{0}`; add it")]
    Missing(&'static str),
    /// A field has the wrong type or an unusable value.
    #[error("the secret's field `{field}` must be {expected}")]
    Wrong {
        /// The field's name.
        field: &'static str,
        /// What is allowed there.
        expected: &'static str,
    },
}

impl Connector {
    /// Reads the JSON of a secret. Fields that are not known, and the AWS credentials that only the command line needs, are
    /// ignored.
    ///
    /// # Errors
    /// [`ConnectorError`], which names the field and never a value.
    pub fn from_secret(secret_id: &str, secret: &str) -> Result<Self, ConnectorError> {
        if secret.trim().is_empty() {
            return Err(ConnectorError::Empty);
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(secret) else {
            return Err(ConnectorError::NotAnObject);
        };
        if fields.is_empty() {
            return Err(ConnectorError::Empty);
        }
        let api_key = required(&fields, "api_key")?;
        let api_key = match api_key.as_str().map(str::trim) {
            Some(key) if !key.is_empty() => ApiKey::new(SecretString::from(key))
                .ok_or(ConnectorError::Wrong { field: "api_key", expected: "a string of visible ASCII characters" })?,
            _ => return Err(ConnectorError::Wrong { field: "api_key", expected: "a non-empty string" }),
        };
        let id = ConnectorId::from_json(required(&fields, "connector_id")?)
            .ok_or(ConnectorError::Wrong { field: "connector_id", expected: "a number or a non-empty string" })?;
        let bucket = optional_text(&fields, "bucket")?.filter(|bucket| !bucket.is_empty());
        let prefix = optional_text(&fields, "prefix")?.unwrap_or_default();
        let region = optional_text(&fields, "region")?.filter(|region| !region.is_empty());
        Ok(Self { secret_id: secret_id.into(), id, api_key, bucket, prefix, region })
    }

    /// Whether this connector may read the bucket at all.
    #[must_use]
    pub fn reads_bucket(&self, bucket: &str) -> bool {
        self.bucket.as_deref().is_none_or(|own| own == bucket)
    }

    /// Whether both are the same connector of FlexOrch's and read the same objects; the API key may differ.
    #[must_use]
    pub fn reads_the_same_as(&self, other: &Self) -> bool {
        self.id == other.id && self.bucket == other.bucket && self.prefix == other.prefix
    }
}

fn required<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a Value, ConnectorError> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(ConnectorError::Missing(name)),
        Some(value) => Ok(value),
    }
}

fn optional_text(fields: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ConnectorError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ConnectorError::Wrong { field: name, expected: "a string" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secret: &str) -> Result<Connector, ConnectorError> {
        Connector::from_secret("docs", secret)
    }

    #[test]
    fn the_connector_id_keeps_its_json_type() {
        let number = read(r#"{"api_key":"dfx_a","connector_id":42}"#).unwrap();
        let text = read(r#"{"api_key":"dfx_a","connector_id":"42"}"#).unwrap();
        assert_eq!(serde_json::to_string(&number.id).unwrap(), "42");
        assert_eq!(serde_json::to_string(&text.id).unwrap(), "\"42\"");
    }

    #[test]
    fn unknown_fields_and_aws_credentials_are_ignored() {
        let connector = read(
            r#"{"api_key":"dfx_a","connector_id":1,"bucket":"b","prefix":"p/","region":"eu-west-1",
                "aws_access_key_id":"AKIA1","aws_secret_access_key":"shh","later":{"x":1}}"#,
        )
        .unwrap();
        assert_eq!((connector.bucket.as_deref(), connector.prefix.as_str()), (Some("b"), "p/"));
        assert!(!format!("{connector:?}").contains("shh"));
    }

    #[test]
    fn the_api_key_cannot_be_printed() {
        let connector = read(r#"{"api_key":"dfx_supersecret","connector_id":1}"#).unwrap();
        assert!(!format!("{connector:?}").contains("supersecret"));
    }

    #[test]
    fn a_wrong_secret_is_named_by_its_field_and_never_by_its_value() {
        for (secret, error) in [
            ("", ConnectorError::Empty),
            ("{}", ConnectorError::Empty),
            ("dfx_plain", ConnectorError::NotAnObject),
            ("[1]", ConnectorError::NotAnObject),
            (r#"{"connector_id":1}"#, ConnectorError::Missing("api_key")),
            (r#"{"api_key":"dfx_hidden"}"#, ConnectorError::Missing("connector_id")),
        ] {
            assert_eq!(read(secret).unwrap_err(), error);
        }
        for (secret, field) in [
            (r#"{"api_key":7,"connector_id":1}"#, "api_key"),
            (r#"{"api_key":"  ","connector_id":1}"#, "api_key"),
            (r#"{"api_key":"dfx_hidden\nX-Evil: 1","connector_id":1}"#, "api_key"),
            (r#"{"api_key":"dfx_hidden","connector_id":true}"#, "connector_id"),
            (r#"{"api_key":"dfx_hidden","connector_id":""}"#, "connector_id"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"bucket":5}"#, "bucket"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"prefix":[]}"#, "prefix"),
        ] {
            let message = read(secret).unwrap_err().to_string();
            assert!(message.contains(field) && !message.contains("hidden"), "{message}");
        }
    }
}
