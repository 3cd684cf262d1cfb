//! A FlexOrch connector as its secret describes it: the bucket that it reads and the API key of its requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::model::claim::ReadScope;
use crate::model::credentials::{ApiKey, ConnectorId};

/// One connector, read from one secret.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The secret that it was read from, as `CONNECTOR_SECRET_IDS` names it; it names the connector in logs.
    pub secret_id: Arc<str>,
    /// FlexOrch's id of the connector.
    pub id: ConnectorId,
    /// The API key that is sent to FlexOrch.
    pub api_key: ApiKey,
    /// The bucket that it reads; `None`: any.
    pub bucket: Option<String>,
    /// The prefix that it reads; empty: the whole bucket.
    pub prefix: String,
    /// The bucket's region, for the calls that go to S3 itself; `None`: the function's own.
    pub region: Option<String>,
    /// Why nothing is submitted for this connector until the secret changes; `None`: it is not paused. The secret's credentials
    /// are redacted from it, and it is at most `PAUSE_REASON_CHARACTERS` characters long.
    pub paused: Option<String>,
    /// The `locale` of its submissions, instead of `LOCALE`; `None`: `LOCALE`.
    pub locale: Option<String>,
    /// The `pipeline_config` of its submissions, a JSON object as it is written, instead of `PIPELINE_CONFIG`; `None`:
    /// `PIPELINE_CONFIG`.
    pub pipeline_config: Option<Box<RawValue>>,
}

/// The longest reason for a pause that is kept, in characters: it is part of a log line for every object.
pub(crate) const PAUSE_REASON_CHARACTERS: usize = 300;

/// The reason for a pause if the secret gives none.
const NO_PAUSE_REASON: &str = "the secret gives no reason";

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

/// What a secret's field `paused` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// Nothing is paused: the field is `null`, `false` or empty.
    No,
    /// The connector is paused, for this reason if the field states one.
    Yes(Option<String>),
}

impl Pause {
    /// Parses the field's value.
    ///
    /// # Errors
    /// If it has another type than it may have.
    pub fn read(value: &RawValue) -> Result<Self, ConnectorError> {
        match (value.get(), text_in(value)) {
            ("null" | "false", _) => Ok(Self::No),
            ("true", _) => Ok(Self::Yes(None)),
            (_, Some(text)) if text.is_empty() => Ok(Self::No),
            (_, Some(text)) => Ok(Self::Yes(Some(text).filter(|text| !text.trim().is_empty()))),
            (_, None) => {
                let expected = "`true`, `false` or a string that says why";
                Err(ConnectorError::Wrong { field: "paused", expected })
            }
        }
    }
}

/// A secret's fields, each with the text of its value.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Connector {
    /// Parses the JSON of a secret. Unknown fields, and the AWS credentials that only the command line needs, are ignored.
    ///
    /// # Errors
    /// [`ConnectorError`], which names the field and never a value.
    pub fn from_secret(secret_id: &str, secret: &str) -> Result<Self, ConnectorError> {
        let secret = without_byte_order_mark(secret);
        if secret.trim().is_empty() {
            return Err(ConnectorError::Empty);
        }
        let fields: Fields<'_> = serde_json::from_str(secret).map_err(|_| ConnectorError::NotAnObject)?;
        if fields.is_empty() {
            return Err(ConnectorError::Empty);
        }
        let wrong = |field, expected| ConnectorError::Wrong { field, expected };
        let api_key = match text_in(required(&fields, "api_key")?) {
            Some(key) if !key.trim().is_empty() => ApiKey::new(SecretString::from(key.trim()))
                .ok_or(wrong("api_key", "a string of visible ASCII characters"))?,
            _ => return Err(wrong("api_key", "a non-empty string")),
        };
        let id = ConnectorId::from_json(required(&fields, "connector_id")?)
            .ok_or(wrong("connector_id", "a number or a non-empty string"))?;
        Ok(Self {
            secret_id: secret_id.into(),
            id,
            bucket: optional_text(&fields, "bucket")?.filter(|bucket| !bucket.is_empty()),
            prefix: optional_text(&fields, "prefix")?.unwrap_or_default(),
            region: optional_text(&fields, "region")?.filter(|region| !region.is_empty()),
            paused: pause_reason(&fields, &api_key)?,
            locale: optional_text(&fields, "locale")?.filter(|locale| !locale.is_empty()),
            pipeline_config: match optional(&fields, "pipeline_config") {
                Some(config) if !config.get().starts_with('{') => {
                    return Err(wrong("pipeline_config", "a JSON object"));
                }
                config => config.map(ToOwned::to_owned),
            },
            api_key,
        })
    }

    /// Returns the part of S3 that it reads.
    #[must_use]
    pub fn read_scope(&self) -> ReadScope {
        ReadScope { bucket: self.bucket.clone(), prefix: self.prefix.clone() }
    }

    /// Whether this connector may read the bucket at all.
    #[must_use]
    pub(crate) fn reads_bucket(&self, bucket: &str) -> bool {
        self.bucket.as_deref().is_none_or(|own| own == bucket)
    }

    /// Whether both describe the same connector of FlexOrch with the same scope: equal id, bucket and prefix. Objects that were
    /// routed by one of them may then be submitted with the other's API key.
    #[must_use]
    pub fn is_same_connector(&self, other: &Self) -> bool {
        (&self.id, &self.bucket, &self.prefix) == (&other.id, &other.bucket, &other.prefix)
    }
}

/// Returns a text without the byte-order mark that some editors and shells write at its beginning.
#[must_use]
pub fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn required<'a>(fields: &Fields<'a>, name: &'static str) -> Result<&'a RawValue, ConnectorError> {
    optional(fields, name).ok_or(ConnectorError::Missing(name))
}

fn optional<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    fields.get(name).copied().filter(|value| value.get() != "null")
}

fn optional_text(fields: &Fields<'_>, name: &'static str) -> Result<Option<String>, ConnectorError> {
    match optional(fields, name) {
        None => Ok(None),
        Some(value) => text_in(value).map(Some).ok_or(ConnectorError::Wrong { field: name, expected: "a string" }),
    }
}

fn text_in(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Returns why the connector is paused, without the credentials that are in the same secret.
fn pause_reason(fields: &Fields<'_>, api_key: &ApiKey) -> Result<Option<String>, ConnectorError> {
    let reason = match fields.get("paused").map(|value| Pause::read(value)).transpose()? {
        None | Some(Pause::No) => return Ok(None),
        Some(Pause::Yes(None)) => return Ok(Some(NO_PAUSE_REASON.to_owned())),
        Some(Pause::Yes(Some(reason))) => reason,
    };
    let aws = ["aws_access_key_id", "aws_secret_access_key"].map(|name| optional(fields, name).and_then(text_in));
    // Redacted first, shortened then: a cut could leave a part of a credential that is not recognized any more.
    let reason = aws
        .iter()
        .flatten()
        .map(String::as_str)
        .chain([api_key.expose()])
        .filter(|credential| !credential.is_empty())
        .fold(reason, |reason, credential| reason.replace(credential, "[redacted]"));
    Ok(Some(match reason.chars().nth(PAUSE_REASON_CHARACTERS) {
        None => reason,
        Some(_) => reason.chars().take(PAUSE_REASON_CHARACTERS - 1).chain(['…']).collect(),
    }))
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
    fn a_byte_order_mark_before_the_json_is_ignored() {
        assert!(read("\u{feff}{\"api_key\":\"dfx_a\",\"connector_id\":1}").is_ok());
        assert_eq!(read("\u{feff}").unwrap_err(), ConnectorError::Empty);
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
            (r#"{"api_key":"dfx_hidden","connector_id":1,"paused":1}"#, "paused"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"paused":{"why":"dfx_hidden"}}"#, "paused"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"locale":["de"]}"#, "locale"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"pipeline_config":"{}"}"#, "pipeline_config"),
            (r#"{"api_key":"dfx_hidden","connector_id":1,"pipeline_config":[1]}"#, "pipeline_config"),
        ] {
            let message = read(secret).unwrap_err().to_string();
            assert!(message.contains(field) && !message.contains("hidden"), "{message}");
        }
    }

    #[test]
    fn a_connector_id_of_any_length_and_notation_stays_as_it_is_written() {
        for id in ["123456789012345678901234567890", "1e3", "1.0", "\"007\""] {
            let connector = read(&format!(r#"{{"api_key":"dfx_a","connector_id": {id} }}"#)).unwrap();
            assert_eq!(serde_json::to_string(&connector.id).unwrap(), id);
        }
    }

    #[test]
    fn a_field_that_is_given_twice_counts_as_it_is_given_last() {
        let connector = read(r#"{"api_key":"dfx_a","connector_id":1,"prefix":"a/","prefix":"b/"}"#).unwrap();
        assert_eq!(connector.prefix, "b/");
    }

    #[test]
    fn locale_and_pipeline_config_are_optional_and_kept_as_written() {
        let bare = read(r#"{"api_key":"dfx_a","connector_id":1,"locale":null,"pipeline_config":null}"#).unwrap();
        assert!(bare.locale.is_none() && bare.pipeline_config.is_none());
        let own = read(
            r#"{"api_key":"dfx_a","connector_id":1,"locale":"de","pipeline_config":{ "big":12345678901234567890123}}"#,
        )
        .unwrap();
        assert_eq!(own.locale.as_deref(), Some("de"));
        assert_eq!(own.pipeline_config.unwrap().get(), r#"{ "big":12345678901234567890123}"#);
    }

    fn paused(value: &str) -> Option<String> {
        read(&format!(
            r#"{{"api_key":"dfx_key","connector_id":1,"aws_secret_access_key":"shh/key","aws_access_key_id":"","paused":{value}}}"#
        ))
        .unwrap()
        .paused
    }

    #[test]
    fn a_connector_is_paused_by_true_or_by_a_reason() {
        for value in ["false", "null", r#""""#] {
            assert_eq!(paused(value), None, "{value}");
        }
        for value in ["true", r#""  ""#] {
            assert_eq!(paused(value).as_deref(), Some(NO_PAUSE_REASON), "{value}");
        }
        assert_eq!(paused(r#""maintenance until Monday""#).as_deref(), Some("maintenance until Monday"));
    }

    #[test]
    fn the_reason_for_a_pause_holds_no_credential_and_is_redacted_before_it_is_cut() {
        let reason = paused(r#""dfx_key expired, shh/key too""#).unwrap();
        assert_eq!(reason, "[redacted] expired, [redacted] too");
        for before in PAUSE_REASON_CHARACTERS - 10..PAUSE_REASON_CHARACTERS {
            let reason = paused(&format!("\"{}dfx_key\"", "ü".repeat(before))).unwrap();
            assert!(!reason.contains("dfx") && reason.chars().count() <= PAUSE_REASON_CHARACTERS, "{reason}");
        }
        let whole = "x".repeat(PAUSE_REASON_CHARACTERS);
        assert_eq!(paused(&format!("\"{whole}\"")), Some(whole));
    }

    #[test]
    fn another_id_bucket_or_prefix_is_another_connector_and_another_key_is_not() {
        let connector = |fields: &str| read(&format!(r#"{{"api_key":"dfx_a","connector_id":1,{fields}}}"#)).unwrap();
        let one = connector(r#""bucket":"b","prefix":"p/""#);
        assert!(one.is_same_connector(&connector(r#""bucket":"b","prefix":"p/","api_key":"dfx_b","locale":"de""#)));
        for other in [
            r#""bucket":"b","prefix":"p/","connector_id":"1""#,
            r#""bucket":"c","prefix":"p/""#,
            r#""prefix":"p/""#,
            r#""bucket":"b","prefix":"q/""#,
        ] {
            assert!(!one.is_same_connector(&connector(other)), "{other}");
        }
    }
}
