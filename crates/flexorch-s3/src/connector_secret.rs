//! A connector's secret, read and written whole: fields that nobody here knows stay as they are.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use indexmap::IndexMap;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;

use super::aws_failure::{AwsFailure, FailureKind};
use flexorch_s3_ingester::aws::secrets::region_of;
use flexorch_s3_ingester::model::connector::{Connector, ConnectorError};
use flexorch_s3_ingester::model::credentials::{ApiKey, ConnectorId};

/// Why a secret could not be read. No variant holds a value of the secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// There is none of this name, in this region at least.
    #[error(
        "there is no secret {id:?} in {region}: name another region with --region, give the whole ARN, or make it \
         (`aws secretsmanager create-secret --name …`; a deployed stack has one, output ConnectorSecretArns)"
    )]
    Absent {
        /// The secret, as it was asked for.
        id: String,
        /// Where it was looked for.
        region: String,
    },
    /// It holds bytes.
    #[error("secret {0:?} holds bytes, not text: write it as a SecretString")]
    Binary(String),
    /// Its text is something else than a JSON object.
    #[error("secret {id:?} is not a JSON object (line {line}, column {column}); nothing was changed")]
    NotAnObject {
        /// The secret, as it was asked for.
        id: String,
        /// Where the text stops being one.
        line: usize,
        /// The same.
        column: usize,
    },
    /// Secrets Manager did not give it.
    #[error(transparent)]
    Aws(#[from] AwsFailure),
}

/// Secrets Manager, for those who write as well.
#[derive(Debug, Clone)]
pub(super) struct SecretStore {
    sdk: SdkConfig,
}

/// A secret's fields, each value as it was written.
pub(super) struct SecretDocument {
    /// The secret, as it was asked for.
    pub id: String,
    /// Its whole ARN.
    pub arn: String,
    fields: IndexMap<String, Box<RawValue>>,
}

impl fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.keys().collect();
        f.debug_struct("SecretDocument").field("id", &self.id).field("fields", &names).finish_non_exhaustive()
    }
}

impl SecretStore {
    /// Secrets Manager as the SDK's configuration reaches it.
    pub(super) fn new(sdk: SdkConfig) -> Self {
        Self { sdk }
    }

    /// Reads a secret. One that has no value yet has no fields.
    ///
    /// # Errors
    /// The action and the secret that were asked for, and what to do.
    pub(super) async fn read(&self, id: &str) -> Result<SecretDocument, ReadError> {
        let answer = match self.client(id).get_secret_value().secret_id(id).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let failure = AwsFailure::new(&error, "secretsmanager:GetSecretValue", id);
                // Made without a value: there is no version to have.
                if failure.kind == FailureKind::NotFound && failure.words.contains("staging label") {
                    return Ok(SecretDocument { id: id.to_owned(), arn: self.arn(id).await?, fields: IndexMap::new() });
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
        Ok(SecretDocument { id: id.to_owned(), arn, fields })
    }

    /// Writes a secret as a new version, and answers the version's id.
    ///
    /// # Errors
    /// The action and the secret that were asked for, and what to do.
    pub(super) async fn write(&self, secret: &SecretDocument) -> Result<String> {
        let text =
            serde_json::to_string(&secret.fields).map_err(|_| anyhow!("the secret cannot be written as JSON"))?;
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

    /// The client for the secret's own region.
    fn client(&self, id: &str) -> Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.sdk);
        if let Some(region) = region_of(id) {
            config.set_region(Some(aws_config::Region::new(region.to_owned())));
        }
        Client::from_conf(config.build())
    }
}

impl SecretDocument {
    fn parse(id: &str, text: &str) -> Result<IndexMap<String, Box<RawValue>>, ReadError> {
        if text.trim().is_empty() {
            return Ok(IndexMap::new());
        }
        // serde_json's own words may repeat a part of the text.
        serde_json::from_str(text).map_err(|error| ReadError::NotAnObject {
            id: id.to_owned(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// Whether nothing was written into it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// A field's text; `None` where it is missing, null or empty.
    ///
    /// # Errors
    /// Where it is something else.
    pub(super) fn text(&self, field: &str) -> Result<Option<String>> {
        match self.value(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(_) => bail!("secret {:?}: the field `{field}` must be a string", self.id),
        }
    }

    /// The connector's id, where the secret names one.
    ///
    /// # Errors
    /// Where the field is neither a number nor text.
    pub(super) fn connector_id(&self) -> Result<Option<ConnectorId>> {
        match self.fields.get("connector_id") {
            None => Ok(None),
            Some(unset) if matches!(unset.get(), "null" | "\"\"") => Ok(None),
            Some(id) => ConnectorId::from_json(id)
                .map(Some)
                .ok_or_else(|| anyhow!("secret {:?}: the field `connector_id` must be a number or a string", self.id)),
        }
    }

    /// The key for FlexOrch.
    ///
    /// # Errors
    /// Where there is none that can be sent.
    pub(super) fn api_key(&self) -> Result<ApiKey> {
        let Some(key) = self.text("api_key")? else {
            bail!(
                "secret {:?} holds no `api_key`: `flexorch-s3 connector create --secret {}` asks for it and writes it there",
                self.id,
                self.id
            );
        };
        ApiKey::new(SecretString::from(key))
            .ok_or_else(|| anyhow!("secret {:?}: the field `api_key` must be visible ASCII characters", self.id))
    }

    /// The connector that the secret describes, as the function reads it.
    ///
    /// # Errors
    /// What is missing, and which command mends it.
    pub(super) fn connector(&self) -> Result<Connector> {
        self.as_connector().map_err(|error| {
            anyhow!("secret {:?}: {error} (`flexorch-s3 connector create --secret {}` completes it)", self.id, self.id)
        })
    }

    /// The same, with the bare error.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn as_connector(&self) -> Result<Connector, ConnectorError> {
        let text = serde_json::to_string(&self.fields).map_err(|_| ConnectorError::NotAnObject)?;
        Connector::from_secret(&self.id, &text)
    }

    /// Sets a field. The others stay as they are, byte for byte.
    ///
    /// # Errors
    /// Never for what JSON can hold.
    pub(super) fn set(&mut self, field: &str, value: &impl serde::Serialize) -> Result<()> {
        let raw = serde_json::value::to_raw_value(value).map_err(|_| anyhow!("`{field}` cannot be written as JSON"))?;
        self.fields.insert(field.to_owned(), raw);
        Ok(())
    }

    fn value(&self, field: &str) -> Option<Value> {
        serde_json::from_str(self.fields.get(field)?.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> SecretDocument {
        SecretDocument { id: "docs".into(), arn: "docs".into(), fields: SecretDocument::parse("docs", text).unwrap() }
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
