//! Reads and writes a connector's secret. Unknown fields stay unchanged.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use indexmap::IndexMap;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::aws_failure::{AwsFailure, FailureKind};
use crate::commands::{Commands, quoted};
use crate::region::in_region;
use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::connector::{Connector, ConnectorError, Pause, without_byte_order_mark};
use flexorch_s3_ingester::model::credentials::{ApiKey, ConnectorId};

/// Why a secret could not be read. No variant contains a value of the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is no secret of this name in this region.
    #[error(
        "there is no secret {id:?} in {region}: {}, or create the secret (`aws secretsmanager create-secret --name …`; a deployed stack has \
         one, output ConnectorSecretArns)",
        if id.starts_with("arn:") { "check the ARN and its account (--profile)" } else { "select another region with --region, pass the whole ARN" }
    )]
    Absent { id: String, region: String },
    #[error("secret {0:?} is binary: write it as a SecretString")]
    Binary(String),
    /// Its text is not a JSON object.
    #[error("secret {id:?} is not a JSON object (line {line}, column {column}); nothing was changed")]
    NotAnObject { id: String, line: usize, column: usize },
    #[error(transparent)]
    Aws(#[from] AwsFailure),
}

/// Why a secret could not be written. No variant contains a value of the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// A value cannot be serialized. serde_json's message may repeat a part of it.
    #[error("the secret cannot be serialized as JSON")]
    NotJson,
    #[error(transparent)]
    Aws(#[from] AwsFailure),
}

/// Why a field of a secret cannot be used. No variant contains a value of the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    /// A field has another type than it should.
    #[error("secret {id:?}: the field `{field}` must be {expected}")]
    Wrong { id: String, field: &'static str, expected: &'static str },
    #[error("secret {id:?} contains no `api_key`: run `{create}`, which asks for it")]
    NoApiKey { id: String, create: String },
    /// It does not describe a connector.
    #[error("secret {id:?}: {error} (complete it with `{create}`)")]
    Incomplete { id: String, create: String, error: ConnectorError },
}

/// A client of Secrets Manager that reads and writes secrets.
#[derive(Debug, Clone)]
pub(crate) struct SecretStore {
    sdk: SdkConfig,
    commands: Commands,
}

/// A secret's fields, each value as written.
pub(crate) struct SecretDocument {
    /// The secret, as requested.
    pub(crate) id: String,
    /// Its whole ARN.
    pub(crate) arn: String,
    /// The command that completes it.
    create: String,
    fields: IndexMap<String, Box<RawValue>>,
}

impl fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.keys().collect();
        f.debug_struct("SecretDocument").field("id", &self.id).field("fields", &names).finish_non_exhaustive()
    }
}

impl SecretStore {
    /// Creates a client. The commands are suggested by errors.
    pub(crate) fn new(sdk: SdkConfig, commands: Commands) -> Self {
        Self { sdk, commands }
    }

    /// Reads a secret. A secret without a value has no fields.
    pub(crate) async fn read(&self, id: &str) -> Result<SecretDocument, ReadError> {
        let answer = match self.client(id).get_secret_value().secret_id(id).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let failure = AwsFailure::new(&error, "secretsmanager:GetSecretValue", id);
                // A secret that was created without a value has no version.
                if failure.kind == FailureKind::NotFound && failure.cause.contains("staging label") {
                    return Ok(self.document(id, self.arn(id).await?, IndexMap::new()));
                }
                if failure.kind == FailureKind::NotFound {
                    let region = self.client(id).config().region().map(ToString::to_string).unwrap_or_default();
                    return Err(ReadError::Absent { id: id.to_owned(), region });
                }
                return Err(failure.into());
            }
        };
        let arn = answer.arn().unwrap_or(id).to_owned();
        let Some(text) = answer.secret_string() else {
            return Err(ReadError::Binary(id.to_owned()));
        };
        flexorch_s3_ingester::redaction::register_connector_secret(text);
        let fields = SecretDocument::parse(id, text)?;
        Ok(self.document(id, arn, fields))
    }

    fn document(&self, id: &str, arn: String, fields: IndexMap<String, Box<RawValue>>) -> SecretDocument {
        let create = self.commands.own(format_args!("connector create --secret {}", quoted(id)));
        SecretDocument { id: id.to_owned(), arn, create, fields }
    }

    /// Writes a secret as a new version, and returns the version's id.
    pub(crate) async fn write(&self, secret: &SecretDocument) -> Result<String, WriteError> {
        let text = serde_json::to_string(&secret.fields).map_err(|_| WriteError::NotJson)?;
        let request = self.client(&secret.id).put_secret_value().secret_id(&secret.id).secret_string(text);
        let answer = request
            .send()
            .await
            .map_err(|error| AwsFailure::new(&error, "secretsmanager:PutSecretValue", &secret.arn))?;
        Ok(answer.version_id().unwrap_or_default().to_owned())
    }

    async fn arn(&self, id: &str) -> Result<String, AwsFailure> {
        let answer = self.client(id).describe_secret().secret_id(id).send().await;
        let answer = answer.map_err(|error| AwsFailure::new(&error, "secretsmanager:DescribeSecret", id))?;
        Ok(answer.arn().unwrap_or(id).to_owned())
    }

    /// Returns a client for the secret's region.
    fn client(&self, id: &str) -> Client {
        Client::new(&in_region(&self.sdk, region_of(id)))
    }
}

impl SecretDocument {
    fn parse(id: &str, text: &str) -> Result<IndexMap<String, Box<RawValue>>, ReadError> {
        if without_byte_order_mark(text).trim().is_empty() {
            return Ok(IndexMap::new());
        }
        // serde_json's message may repeat a part of the text.
        serde_json::from_str(without_byte_order_mark(text)).map_err(|error| ReadError::NotAnObject {
            id: id.to_owned(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// Returns whether it has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns a field's text, or `None` if it is missing, null or empty.
    pub(crate) fn text(&self, field: &'static str) -> Result<Option<String>, FieldError> {
        match self.value(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(field, "a string")),
        }
    }

    /// Returns the texts of a field that is a list; what is not text is left out.
    pub(crate) fn texts(&self, field: &str) -> Vec<String> {
        let Some(Value::Array(items)) = self.value(field) else { return Vec::new() };
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the connector's id, if the secret names one.
    ///
    /// # Errors
    /// If the field is neither a number nor text.
    pub(crate) fn connector_id(&self) -> Result<Option<ConnectorId>, FieldError> {
        match self.fields.get("connector_id") {
            None => Ok(None),
            Some(unset) if matches!(unset.get(), "null" | "\"\"") => Ok(None),
            Some(id) => {
                ConnectorId::from_json(id).map(Some).ok_or_else(|| self.wrong("connector_id", "a number or a string"))
            }
        }
    }

    /// Returns FlexOrch's API key.
    ///
    /// # Errors
    /// If there is none that can be sent in a header.
    pub(crate) fn api_key(&self) -> Result<ApiKey, FieldError> {
        let Some(key) = self.text("api_key")? else {
            return Err(FieldError::NoApiKey { id: self.id.clone(), create: self.create.clone() });
        };
        ApiKey::new(SecretString::from(key)).ok_or_else(|| self.wrong("api_key", "visible ASCII characters"))
    }

    /// Returns the connector that the secret describes, as the function reads it.
    ///
    /// # Errors
    /// If a field is missing or wrong, with the command that completes the secret.
    pub(crate) fn connector(&self) -> Result<Connector, FieldError> {
        let incomplete = |error| FieldError::Incomplete { id: self.id.clone(), create: self.create.clone(), error };
        self.as_connector().map_err(incomplete)
    }

    /// Returns the connector that the secret describes, as the function reads it.
    pub(crate) fn as_connector(&self) -> Result<Connector, ConnectorError> {
        let text = serde_json::to_string(&self.fields).map_err(|_| ConnectorError::NotAnObject)?;
        Connector::from_secret(&self.id, &text)
    }

    /// Sets a field. The others stay unchanged, byte for byte.
    pub(crate) fn set(&mut self, field: &str, value: &impl serde::Serialize) -> Result<(), WriteError> {
        let raw = serde_json::value::to_raw_value(value).map_err(|_| WriteError::NotJson)?;
        self.fields.insert(field.to_owned(), raw);
        Ok(())
    }

    /// Removes a field. The others stay unchanged, byte for byte, and in their order.
    pub(crate) fn remove(&mut self, field: &str) {
        self.fields.shift_remove(field);
    }

    /// Returns whether the connector is paused, as the function reads it.
    pub(crate) fn paused(&self) -> Result<Pause, ConnectorError> {
        self.fields.get("paused").map_or(Ok(Pause::No), |value| Pause::read(value))
    }

    fn wrong(&self, field: &'static str, expected: &'static str) -> FieldError {
        FieldError::Wrong { id: self.id.clone(), field, expected }
    }

    fn value(&self, field: &str) -> Option<Value> {
        serde_json::from_str(self.fields.get(field)?.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> SecretDocument {
        let fields = SecretDocument::parse("docs", text).unwrap();
        SecretDocument { id: "docs".into(), arn: "docs".into(), create: "create".into(), fields }
    }

    #[test]
    fn a_new_field_leaves_the_others_byte_for_byte_and_in_their_order() {
        let mut secret = document(r#"{"z":1.50,"api_key":"dfx_\u0061","big":12345678901234567890123,"a":{ "x" : 1}}"#);
        secret.set("connector_id", &42).unwrap();
        assert_eq!(
            serde_json::to_string(&secret.fields).unwrap(),
            r#"{"z":1.50,"api_key":"dfx_\u0061","big":12345678901234567890123,"a":{ "x" : 1},"connector_id":42}"#
        );
    }

    #[test]
    fn a_connector_id_is_read_and_written_digit_by_digit() {
        for id in ["123456789012345678901234567890", "1e3", "\"c-1\""] {
            let from = document(&format!(r#"{{"connector_id": {id}}}"#)).connector_id().unwrap().unwrap();
            let mut to = document("{}");
            to.set("connector_id", &from).unwrap();
            assert_eq!(serde_json::to_string(&to.fields).unwrap(), format!(r#"{{"connector_id":{id}}}"#));
        }
        for unset in ["{}", r#"{"connector_id": null}"#, r#"{"connector_id": ""}"#] {
            assert_eq!(document(unset).connector_id().unwrap(), None);
        }
        assert!(document(r#"{"connector_id": []}"#).connector_id().is_err());
    }

    #[test]
    fn neither_debug_nor_an_error_shows_a_value() {
        let secret = document(r#"{"api_key":"dfx_hidden"}"#);
        assert!(!format!("{secret:?}").contains("hidden"));
        let error = SecretDocument::parse("docs", "dfx_hidden").unwrap_err().to_string();
        assert!(error.contains("docs") && !error.contains("hidden"), "{error}");
        let error = document(r#"{"bucket":["hidden"]}"#).text("bucket").unwrap_err().to_string();
        assert!(error.contains("bucket") && !error.contains("hidden"), "{error}");
    }
}
