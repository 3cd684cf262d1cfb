//! What the chain is for: the connector's bucket and prefix, as far as they are known.

use super::super::connector_secret::SecretDocument;

/// The connector, as its secret describes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    /// The secret, as it was asked for.
    pub secret: String,
    /// Its whole ARN.
    pub secret_arn: Option<String>,
    /// The bucket that the connector reads.
    pub bucket: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The prefix that the connector reads; `None`: the secret does not say so.
    pub prefix: Option<String>,
}

impl Subject {
    /// Takes from the secret what there is.
    pub(super) fn new(id: &str, secret: Option<&SecretDocument>) -> Self {
        let text = |field: &str| secret.and_then(|secret| secret.text(field).ok().flatten());
        let whole = secret.filter(|secret| !secret.is_empty());
        Self {
            secret: id.to_owned(),
            secret_arn: secret.map(|secret| secret.arn.clone()),
            bucket: text("bucket"),
            region: text("region"),
            prefix: whole.map(|_| text("prefix").unwrap_or_default()),
        }
    }

    /// Whether an entry of `CONNECTOR_SECRET_IDS` means this secret: by its name, its ARN, or its ARN without the six characters
    /// at the end (Secrets Manager User Guide, "What's in a secret?").
    pub(super) fn is_named_by(&self, entry: &str) -> bool {
        let Some(arn) = &self.secret_arn else { return entry == self.secret };
        let partial = arn.rsplit_once('-').map(|(start, _)| start);
        let name = partial.and_then(|partial| partial.splitn(7, ':').nth(6));
        entry == self.secret || entry == arn || Some(entry) == partial || Some(entry) == name
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
