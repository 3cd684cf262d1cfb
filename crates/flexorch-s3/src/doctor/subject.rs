//! The connector that is checked, as far as its secret describes it.

use super::check::without;
use super::secret::SecretState;
use crate::aws_failure::AwsFailure;
use flexorch_s3_ingester::model::arn::SecretArn;

/// The connector, as its secret describes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    /// The secret, as requested.
    pub(crate) secret: String,
    /// Its whole ARN.
    pub(crate) secret_arn: Option<String>,
    /// The bucket that the connector reads.
    pub(crate) bucket: Option<String>,
    pub(crate) region: Option<String>,
    /// The prefix that the connector reads; `None` if it is not known.
    pub(crate) prefix: Option<String>,
    /// Why the secret could not be read.
    pub(crate) unread: Option<AwsFailure>,
}

impl Subject {
    /// Reads the known fields of the secret.
    pub(crate) fn new(id: &str, secret: &SecretState) -> Self {
        let document = secret.document();
        let text = |field: &'static str| document.and_then(|secret| secret.text(field).ok().flatten());
        let whole = document.filter(|secret| !secret.is_empty());
        Self {
            secret: id.to_owned(),
            secret_arn: document.map(|secret| secret.arn.clone()),
            bucket: text("bucket"),
            region: text("region"),
            prefix: whole.map(|_| text("prefix").unwrap_or_default()),
            unread: match secret {
                SecretState::Unread(failure) => Some(failure.clone()),
                _ => None,
            },
        }
    }

    /// Returns it as commands for a function in this region name it: a name means a secret of the region that a command selects, so a secret
    /// of another region is named by its ARN.
    pub(crate) fn in_commands_for(&self, region: Option<&str>, home: &str) -> Self {
        match &self.secret_arn {
            Some(arn) if region.is_some_and(|region| region != home) => Self { secret: arn.clone(), ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Returns which entry of `CONNECTOR_SECRET_IDS` names this secret: by its name, its ARN, or its ARN without the suffix.
    ///
    /// # Errors
    /// If none appears to, but the secret's ARN is unknown because it could not be read.
    pub(crate) fn named_by<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<&'a str>, &AwsFailure> {
        match (entries.into_iter().find(|entry| self.is_named_by(entry)), &self.unread) {
            (Some(entry), _) => Ok(Some(entry)),
            (None, None) => Ok(None),
            (None, Some(failure)) => Err(failure),
        }
    }

    fn is_named_by(&self, entry: &str) -> bool {
        let is_part_of = |arn: &str, entry: &str| {
            entry == arn || SecretArn::parse(arn).is_ok_and(|arn| entry == arn.partial || entry == arn.name)
        };
        entry == self.secret
            || match &self.secret_arn {
                Some(arn) => is_part_of(arn, entry),
                // One of the two may be the ARN of the other.
                None => is_part_of(&self.secret, entry) || is_part_of(entry, &self.secret),
            }
    }

    /// Returns why a field of the secret is not known: the secret could not be read, or does not have it.
    pub(crate) fn lacks(&self, field: &str) -> String {
        match (&self.unread, &self.secret_arn) {
            (Some(failure), _) => without(failure),
            (None, None) => "there is no secret that can be read".to_owned(),
            (None, Some(_)) => format!("the secret names no {field}"),
        }
    }

    /// Returns why what the secret says is not known.
    pub(crate) fn unknown(&self, what: &str) -> String {
        self.unread.as_ref().map_or_else(|| format!("{what} is unknown"), without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_secret_is_named_by_its_name_its_arn_or_a_part_of_it() {
        let subject = Subject {
            secret: "flexorch/in-voices".into(),
            secret_arn: Some("arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-voices-AbCdEf".into()),
            ..Subject::default()
        };
        for entry in [
            "flexorch/in-voices",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-voices-AbCdEf",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-voices",
        ] {
            assert!(subject.named_by([entry]).unwrap().is_some(), "{entry}");
        }
        for entry in
            ["flexorch/in", "flexorch/in-voices-AbCdEf", "arn:aws:secretsmanager:eu-west-1:1:secret:other-AbCdEf"]
        {
            assert!(subject.named_by([entry]).unwrap().is_none(), "{entry}");
        }
    }

    #[test]
    fn whether_a_secret_that_cannot_be_read_is_named_is_known_only_if_it_is() {
        let unread = Some(AwsFailure::timed_out(Duration::ZERO, "secretsmanager:GetSecretValue", "docs"));
        let subject = Subject { secret: "docs".into(), unread, ..Subject::default() };
        for entry in ["docs", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:docs-AbCdEf"] {
            assert!(subject.named_by(["other", entry]).unwrap().is_some(), "{entry}");
        }
        assert!(subject.named_by(["other"]).is_err());
    }
}
