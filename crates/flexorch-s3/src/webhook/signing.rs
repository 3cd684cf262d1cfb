//! The signing secret in Secrets Manager: `{"signing_secret": "…", "webhooks": ["<id>", …]}`. The receiver reads only the former; the
//! latter are the webhooks that are known to sign with it.

use anyhow::{Context as _, Result, anyhow};
use secrecy::{ExposeSecret, SecretString};

use crate::commands::quoted;
use crate::connector_secret::{FieldError, ReadError, SecretDocument, SecretStore};
use crate::context::Context;
use flexorch_s3_ingester::model::arn::SecretArn;
use flexorch_s3_ingester::redaction;

/// The field that the receiver reads.
const SECRET: &str = "signing_secret";
/// The field of the webhooks that sign with it.
const WEBHOOKS: &str = "webhooks";
/// The bytes of a new secret, as many as an HMAC-SHA256 has.
const BYTES: usize = 32;

/// A stored signing secret, or the place for one.
pub(crate) struct SigningSecret {
    store: SecretStore,
    document: SecretDocument,
}

impl SigningSecret {
    /// Reads it. It may be empty.
    ///
    /// # Errors
    /// If it does not exist, cannot be read, or is no JSON object.
    pub(crate) async fn read(id: &str, context: &Context) -> Result<Self> {
        let store = context.secrets().await?;
        let document = store.read(id).await.map_err(|error| match error {
            ReadError::Absent { id, region } => {
                let name = quoted(SecretArn::parse(&id).map_or(id.as_str(), |arn| arn.name));
                let create = context.commands().in_region(&region);
                let create =
                    create.aws(format_args!("secretsmanager create-secret --name {name} --secret-string '{{}}'"));
                anyhow!("there is no secret {id:?} in {region} for the signing secret: create it with `{create}`")
            }
            ReadError::NotAnObject { .. } => anyhow!(error).context(unusable(id, context)),
            other => other.into(),
        })?;
        let signing = Self { store, document };
        // Known from now on, so that it is never printed.
        signing
            .value()
            .with_context(|| unusable(id, context))?
            .iter()
            .for_each(|secret| redaction::register(secret.expose_secret()));
        Ok(signing)
    }

    pub(crate) fn arn(&self) -> &str {
        &self.document.arn
    }

    /// Returns the secret, if there is one.
    pub(crate) fn value(&self) -> Result<Option<SecretString>> {
        Ok(self.document.text(SECRET)?.map(SecretString::from))
    }

    /// Returns the ids of the webhooks that are known to sign with it.
    pub(crate) fn webhooks(&self) -> Vec<String> {
        self.document.texts(WEBHOOKS)
    }

    /// Replaces the secret, before or after a webhook signs with it. Other fields stay unchanged.
    pub(crate) async fn store(&mut self, secret: &SecretString, webhooks: &[String]) -> Result<()> {
        redaction::register(secret.expose_secret());
        self.document.set(SECRET, &secret.expose_secret())?;
        self.note(webhooks).await
    }

    /// Notes which webhooks sign with the secret.
    pub(crate) async fn note(&mut self, webhooks: &[String]) -> Result<()> {
        self.document.set(WEBHOOKS, &webhooks)?;
        self.store.write(&self.document).await?;
        Ok(())
    }
}

/// Says what to do about a secret from which the receiver cannot read the signing secret either.
fn unusable(id: &str, context: &Context) -> String {
    let put = format!("secretsmanager put-secret-value --secret-id {} --secret-string '{{}}'", quoted(id));
    format!(
        "the signing secret must be {{\"signing_secret\": \"…\"}}: correct it, or empty it with `{}`, and `webhook create` generates one",
        context.commands().aws(put)
    )
}

/// Returns the webhooks that are known to sign with the secret of a document; `None`: it holds none. The secret itself is not returned.
///
/// # Errors
/// If the secret is not text.
pub(crate) fn signing_fields(document: &SecretDocument) -> Result<Option<Vec<String>>, FieldError> {
    let Some(secret) = document.text(SECRET)? else { return Ok(None) };
    redaction::register(&secret);
    Ok(Some(document.texts(WEBHOOKS)))
}

/// Generates a random signing secret: 64 hexadecimal digits.
pub(crate) fn random() -> Result<SecretString> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("{error}"))
        .context("cannot generate a random signing secret")?;
    Ok(SecretString::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signing_secrets_differ_and_have_64_digits() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(one.expose_secret().len() == 64 && one.expose_secret().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
