//! The connector that is checked, as far as its secret describes it.

use crate::connector_secret::SecretDocument;
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
    /// Its region.
    pub(crate) region: Option<String>,
    /// The prefix that the connector reads; `None` if the secret is missing or empty.
    pub(crate) prefix: Option<String>,
}

impl Subject {
    /// Reads the known fields of the secret.
    pub(crate) fn new(id: &str, secret: Option<&SecretDocument>) -> Self {
        let text = |field: &'static str| secret.and_then(|secret| secret.text(field).ok().flatten());
        let whole = secret.filter(|secret| !secret.is_empty());
        Self {
            secret: id.to_owned(),
            secret_arn: secret.map(|secret| secret.arn.clone()),
            bucket: text("bucket"),
            region: text("region"),
            prefix: whole.map(|_| text("prefix").unwrap_or_default()),
        }
    }

    /// Returns whether an entry of `CONNECTOR_SECRET_IDS` names this secret: by its name, its ARN, or its ARN without the suffix.
    pub(crate) fn is_named_by(&self, entry: &str) -> bool {
        let Some(arn) = &self.secret_arn else { return entry == self.secret };
        let is_part = SecretArn::parse(arn).is_ok_and(|arn| entry == arn.partial || entry == arn.name);
        entry == self.secret || entry == arn || is_part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(subject.is_named_by(entry), "{entry}");
        }
        for entry in
            ["flexorch/in", "flexorch/in-voices-AbCdEf", "arn:aws:secretsmanager:eu-west-1:1:secret:other-AbCdEf"]
        {
            assert!(!subject.is_named_by(entry), "{entry}");
        }
    }
}
