//! Gathers the fields of a connector that its secret lacks: from options, a JSON object in a file or descriptor, or prompts.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context as _, Result, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::args::CreateOptions;
use crate::connector_secret::SecretDocument;
use crate::input;
use crate::management::AwsCredentials;
use crate::output::{ask, ask_hidden, is_interactive};
use flexorch_s3_ingester::model::credentials::ApiKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    ApiKey,
    Bucket,
    Region,
    Prefix,
    AccessKeyId,
    SecretAccessKey,
}

/// The order of the prompts.
const ALL: [Field; 6] =
    [Field::ApiKey, Field::Bucket, Field::Region, Field::Prefix, Field::AccessKeyId, Field::SecretAccessKey];

impl Field {
    /// Returns its name in a secret.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Bucket => "bucket",
            Self::Region => "region",
            Self::Prefix => "prefix",
            Self::AccessKeyId => "aws_access_key_id",
            Self::SecretAccessKey => "aws_secret_access_key",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::ApiKey => "FlexOrch API key",
            Self::Bucket => "Bucket",
            Self::Region => "The bucket's region",
            Self::Prefix => "Prefix, empty for the whole bucket",
            Self::AccessKeyId => "AWS access key id for FlexOrch to read the bucket",
            Self::SecretAccessKey => "AWS secret access key",
        }
    }

    fn is_secret(self) -> bool {
        matches!(self, Self::ApiKey | Self::AccessKeyId | Self::SecretAccessKey)
    }

    /// Returns whether it is written into the secret. The AWS credentials are not needed once the connector exists.
    fn is_kept(self) -> bool {
        !matches!(self, Self::AccessKeyId | Self::SecretAccessKey)
    }
}

/// The fields of a connector, from everywhere. They cannot be printed.
pub(crate) struct Fields {
    known: BTreeMap<Field, SecretString>,
    /// The fields that the secret lacked.
    pub(crate) added: Vec<Field>,
}

impl Fields {
    /// Gathers the fields of the secret, the options and `--fields-from`.
    ///
    /// # Errors
    /// If two of them differ, or one cannot be read.
    pub(crate) fn gather(secret: &SecretDocument, options: &CreateOptions) -> Result<Self> {
        let mut fields = Self { known: BTreeMap::new(), added: Vec::new() };
        for field in ALL {
            if let Some(text) = secret.text(field.name())? {
                fields.known.insert(field, text.into());
            }
        }
        let options = [
            (Field::Bucket, options.bucket.clone()),
            (Field::Region, options.bucket_region.clone()),
            (Field::Prefix, options.prefix.clone()),
        ]
        .into_iter()
        .filter_map(|(field, text)| Some((field, text?)))
        .map(|(field, text)| (field, SecretString::from(text)))
        .chain(options.fields_from.as_deref().map(read_source).transpose()?.into_iter().flatten())
        .collect::<Vec<_>>();
        for (field, text) in options {
            fields.add(field, text, secret)?;
        }
        Ok(fields)
    }

    fn add(&mut self, field: Field, text: SecretString, secret: &SecretDocument) -> Result<()> {
        match self.known.get(&field) {
            Some(known) if known.expose_secret() == text.expose_secret() => {}
            Some(_) => bail!(
                "`{}` has two different values: the secret {:?} (or another option) has it already; change it there first",
                field.name(),
                secret.id
            ),
            None => {
                self.known.insert(field, text);
                self.added.push(field);
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, field: Field) -> bool {
        self.known.contains_key(&field)
    }

    pub(crate) fn found(&mut self, field: Field, text: String, secret: &SecretDocument) -> Result<()> {
        self.add(field, text.into(), secret)
    }

    /// Prompts for the fields that are still missing.
    ///
    /// # Errors
    /// If there is no terminal: which are missing, and how to provide them.
    pub(crate) fn complete(&mut self, needed: &[Field], secret: &SecretDocument) -> Result<()> {
        // An empty prefix means the whole bucket, so it may be missing.
        let missing: Vec<Field> = needed.iter().copied().filter(|field| !self.known.contains_key(field)).collect();
        let required: Vec<_> = missing.iter().filter(|field| **field != Field::Prefix).collect();
        if required.is_empty() {
            return Ok(());
        }
        if !is_interactive() {
            let names: Vec<_> = required.iter().map(|field| format!("`{}`", field.name())).collect();
            bail!(
                "secret {:?} lacks {}: write them into it, pass them as JSON with --fields-from - (or a file, or fd:3), or run the command \
                 on a terminal, which prompts for them",
                secret.id,
                names.join(", ")
            );
        }
        for field in missing {
            let answer = if field.is_secret() { ask_hidden(field.question())? } else { ask(field.question())? };
            if answer.is_empty() && field != Field::Prefix {
                bail!("`{}` is required; nothing was changed", field.name());
            }
            self.add(field, answer.into(), secret)?;
        }
        Ok(())
    }

    /// Returns a field that is not secret.
    pub(crate) fn text(&self, field: Field) -> &str {
        debug_assert!(!field.is_secret());
        self.known.get(&field).map(ExposeSecret::expose_secret).unwrap_or_default()
    }

    /// Returns FlexOrch's API key.
    ///
    /// # Errors
    /// If it cannot be sent in a header.
    pub(crate) fn api_key(&self) -> Result<ApiKey> {
        let key = self.known.get(&Field::ApiKey).cloned().and_then(ApiKey::new);
        key.ok_or_else(|| anyhow!("`api_key` must be visible ASCII characters"))
    }

    /// Returns the credentials for FlexOrch to read the bucket.
    pub(crate) fn credentials(&self) -> Result<AwsCredentials> {
        let of = |field: Field| self.known.get(&field).cloned().ok_or_else(|| anyhow!("`{}` is missing", field.name()));
        Ok(AwsCredentials { access_key_id: of(Field::AccessKeyId)?, secret_access_key: of(Field::SecretAccessKey)? })
    }

    /// Writes the fields that the secret lacked into it, except for the AWS credentials, and returns their names.
    pub(crate) fn write_into(&self, secret: &mut SecretDocument) -> Result<Vec<&'static str>> {
        let mut written = Vec::new();
        let mut added = self.added.clone();
        added.sort_unstable();
        for field in added.into_iter().filter(|field| field.is_kept()) {
            if let Some(text) = self.known.get(&field) {
                secret.set(field.name(), &text.expose_secret())?;
                written.push(field.name());
            }
        }
        Ok(written)
    }
}

/// Reads a JSON object of fields from standard input, an open descriptor or a file.
fn read_source(source: &str) -> Result<Vec<(Field, SecretString)>> {
    let mut text = String::new();
    let read = match (source, source.strip_prefix("fd:")) {
        ("-", _) => std::io::stdin().lock().read_to_string(&mut text),
        (_, Some(number)) => {
            number.parse::<u32>().map_err(|_| anyhow!("--fields-from {source}: fd: must be followed by a number"))?;
            std::fs::File::open(format!("/dev/fd/{number}")).and_then(|mut file| file.read_to_string(&mut text))
        }
        (path, None) => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read --fields-from {source}"))?;
    parse_fields(&text, &format!("--fields-from {source}"))
}

fn parse_fields(text: &str, source: &str) -> Result<Vec<(Field, SecretString)>> {
    let names = ALL.map(Field::name).join(", ");
    let fields = input::parse::<Map<_, _>>(text, source, "a JSON object");
    let fields = fields.with_context(|| format!("expected a JSON object with some of {names}"))?;
    fields
        .into_iter()
        .map(|(name, value)| {
            let field = ALL.into_iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| anyhow!("{source}: unknown field {name:?}; allowed are {names}"))?;
            match value {
                Value::String(text) if field == Field::Prefix || !text.trim().is_empty() => {
                    Ok((field, SecretString::from(text.trim())))
                }
                _ => Err(anyhow!("{source}: field `{name}` must be a non-empty string")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name_and_errors_never_repeat_them() {
        let fields = parse_fields("\u{feff}{\"api_key\":\" dfx_a \",\"prefix\":\"\"}", "f").unwrap();
        assert_eq!(fields.len(), 2);
        for (text, told) in [
            ("{\n\"api_key\":\"dfx_hidden", "f is not a JSON object (line 2, column 21)"),
            (r#"["dfx_hidden"]"#, "JSON object"),
            (r#"{"secret":"dfx_hidden"}"#, "\"secret\""),
            (r#"{"api_key":["dfx_hidden"]}"#, "`api_key`"),
            (r#"{"api_key":" "}"#, "`api_key`"),
        ] {
            let Err(error) = parse_fields(text, "f") else { panic!("{text} is taken") };
            let error = format!("{error:#}");
            assert!(error.contains(told) && !error.contains("hidden"), "{error}");
        }
    }
}
