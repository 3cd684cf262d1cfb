//! Amazon Resource Names (AWS General Reference, "Amazon Resource Names (ARNs)"): the one parser, with a type for each resource that
//! is named here.

use std::fmt;

/// The parts of an ARN, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// Such as `aws` or `aws-cn`.
    pub partition: &'a str,
    /// Such as `sqs`.
    pub service: &'a str,
    /// `None` for a resource of all regions, such as a bucket.
    pub region: Option<&'a str>,
    /// The account's id; `None` for a bucket.
    pub account: Option<&'a str>,
    /// May contain colons.
    pub resource: &'a str,
}

/// A text that is not the ARN it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ArnError {
    /// The text.
    pub text: String,
    /// What it should be, with its form.
    pub expected: &'static str,
}

/// The ARN of an SQS queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueArn<'a> {
    /// Such as `aws` or `aws-cn`.
    pub partition: &'a str,
    /// The queue's region.
    pub region: &'a str,
    /// The queue's account.
    pub account: &'a str,
    /// The queue's name.
    pub name: &'a str,
}

/// The ARN of a Lambda function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionArn<'a> {
    /// The ARN without an alias or version.
    pub unqualified: &'a str,
    /// The function's region.
    pub region: &'a str,
    /// The function's account.
    pub account: &'a str,
    /// The function's name.
    pub name: &'a str,
    /// An alias or a version.
    pub qualifier: Option<&'a str>,
}

/// The ARN of a secret in Secrets Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretArn<'a> {
    /// The ARN without the hyphen and six characters that Secrets Manager appends (Secrets Manager User Guide, "What's in a
    /// Secrets Manager secret?").
    pub partial: &'a str,
    /// The secret's name.
    pub name: &'a str,
}

impl<'a> Arn<'a> {
    /// Parses any ARN.
    ///
    /// # Errors
    /// If the text is not an ARN.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        Self::parts(text).ok_or_else(|| error(text, "an ARN, arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE"))
    }

    fn parts(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let [prefix, partition, service, region, account, resource] =
            [next()?, next()?, next()?, next()?, next()?, next()?];
        let is_arn = prefix == "arn" && !partition.is_empty() && !service.is_empty() && !resource.is_empty();
        let given = |part: &'a str| Some(part).filter(|part| !part.is_empty());
        is_arn.then(|| Self { partition, service, region: given(region), account: given(account), resource })
    }
}

impl<'a> QueueArn<'a> {
    /// Parses a queue's ARN.
    ///
    /// # Errors
    /// If the text is not the ARN of a queue.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        match Arn::parts(text) {
            Some(Arn { partition, service: "sqs", region: Some(region), account: Some(account), resource: name })
                if !name.contains(':') =>
            {
                Ok(Self { partition, region, account, name })
            }
            _ => Err(error(text, "a queue's ARN, arn:aws:sqs:REGION:ACCOUNT:NAME")),
        }
    }

    /// Returns the queue's URL, which follows from its ARN (SQS Developer Guide, "Queue and message identifiers"). `endpoint` replaces
    /// the address of the AWS service.
    #[must_use]
    pub fn url(&self, endpoint: Option<&str>) -> String {
        let Self { partition, region, account, name } = self;
        match endpoint {
            Some(endpoint) => format!("{}/{account}/{name}", endpoint.trim_end_matches('/')),
            None => {
                let suffix = if *partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://sqs.{region}.{suffix}/{account}/{name}")
            }
        }
    }

    /// Returns the ARN of another queue of the same account and region.
    #[must_use]
    pub fn sibling(&self, name: &'a str) -> Self {
        Self { name, ..*self }
    }
}

impl fmt::Display for QueueArn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, name } = self;
        write!(f, "arn:{partition}:sqs:{region}:{account}:{name}")
    }
}

impl<'a> FunctionArn<'a> {
    /// Parses a function's ARN, with or without an alias or version.
    ///
    /// # Errors
    /// If the text is not the ARN of a function.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        let parts = Arn::parts(text).and_then(|arn| {
            let (region, account) = (arn.region?, arn.account?);
            let resource = arn.resource.strip_prefix("function:").filter(|_| arn.service == "lambda")?;
            let (name, qualifier) = resource.split_once(':').map_or((resource, None), |(name, q)| (name, Some(q)));
            let unqualified = qualifier.map_or(text, |qualifier| &text[..text.len() - qualifier.len() - 1]);
            (!name.is_empty()).then_some(Self { unqualified, region, account, name, qualifier })
        });
        parts.ok_or_else(|| error(text, "a function's ARN, arn:aws:lambda:REGION:ACCOUNT:function:NAME"))
    }
}

impl<'a> SecretArn<'a> {
    /// Parses the whole ARN of a secret.
    ///
    /// # Errors
    /// If the text is not the ARN of a secret.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        let parts = Arn::parts(text).filter(|arn| arn.service == "secretsmanager").and_then(|arn| {
            let (name, suffix) = arn.resource.strip_prefix("secret:")?.rsplit_once('-')?;
            Some(Self { partial: &text[..text.len() - suffix.len() - 1], name })
        });
        parts.ok_or_else(|| error(text, "a secret's ARN, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX"))
    }
}

/// Returns the region of a resource that is named by its ARN or, without a region, by its name.
#[must_use]
pub fn region_of(name_or_arn: &str) -> Option<&str> {
    Arn::parts(name_or_arn)?.region
}

/// Returns the account of a resource that is named by its ARN or, without an account, by its name.
#[must_use]
pub fn account_of(name_or_arn: &str) -> Option<&str> {
    Arn::parts(name_or_arn)?.account
}

/// Returns the last part of a queue's ARN, or the text itself if it is not one.
#[must_use]
pub fn queue_name(arn: &str) -> &str {
    QueueArn::parse(arn).map_or(arn, |arn| arn.name)
}

/// Returns the name of a secret that is named by its name, its ARN, or its ARN without the hyphen and six characters that Secrets
/// Manager appends to the name (Secrets Manager User Guide, "What's in a Secrets Manager secret?"). An ARN whose last part looks like
/// that suffix is read as one that has it: Secrets Manager itself cannot tell the two apart either, and advises against such names.
#[must_use]
pub fn secret_name(name_or_arn: &str) -> &str {
    const SUFFIX: usize = 6;
    let Some(Arn { service: "secretsmanager", resource, .. }) = Arn::parts(name_or_arn) else { return name_or_arn };
    let Some(name) = resource.strip_prefix("secret:") else { return name_or_arn };
    match name.rsplit_once('-') {
        Some((name, suffix)) if suffix.len() == SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            name
        }
        _ => name,
    }
}

/// Returns a bucket's ARN, in the partition of its region. Without a region, the partition is `aws`.
#[must_use]
pub fn of_bucket(bucket: &str, region: Option<&str>) -> String {
    let partition = match region {
        Some(china) if china.starts_with("cn-") => "aws-cn",
        Some(government) if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:s3:::{bucket}")
}

fn error(text: &str, expected: &'static str) -> ArnError {
    ArnError { text: text.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts_and_its_resource_may_contain_colons() {
        let arn = Arn::parse("arn:aws:lambda:eu-west-1:123456789012:function:ingest:live").unwrap();
        assert_eq!((arn.service, arn.resource), ("lambda", "function:ingest:live"));
        for wrong in ["", "ingest", "team:docs", "arn:aws:sqs:eu-west-1:123456789012", "urn:aws:sqs:r:1:q", "arn:::::q"]
        {
            assert!(Arn::parse(wrong).unwrap_err().to_string().contains("is not an ARN"), "{wrong}");
        }
    }

    #[test]
    fn a_queue_has_a_region_an_account_and_a_name() {
        let text = "arn:aws-cn:sqs:cn-north-1:123456789012:retry";
        let arn = QueueArn::parse(text).unwrap();
        assert_eq!((arn.region, arn.account, arn.name), ("cn-north-1", "123456789012", "retry"));
        assert_eq!(arn.to_string(), text);
        assert_eq!(arn.url(None), "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/retry");
        assert_eq!(arn.url(Some("http://127.0.0.1:1/")), "http://127.0.0.1:1/123456789012/retry");
        assert_eq!(arn.sibling("dead").to_string(), "arn:aws-cn:sqs:cn-north-1:123456789012:dead");
        for wrong in ["retry", "arn:aws:sns:eu-west-1:1:t", "arn:aws:sqs::1:q", "arn:aws:sqs:eu-west-1::q"] {
            assert!(QueueArn::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!((queue_name(text), queue_name("retry")), ("retry", "retry"));
    }

    #[test]
    fn a_function_may_have_an_alias_or_version() {
        let plain = "arn:aws:lambda:eu-west-1:123456789012:function:ingest";
        let arn = FunctionArn::parse(plain).unwrap();
        assert_eq!((arn.name, arn.qualifier, arn.unqualified), ("ingest", None, plain));
        let alias = format!("{plain}:live");
        let arn = FunctionArn::parse(&alias).unwrap();
        assert_eq!((arn.name, arn.qualifier, arn.unqualified), ("ingest", Some("live"), plain));
        for wrong in ["ingest", "arn:aws:lambda:eu-west-1:1:layer:a", "arn:aws:lambda:eu-west-1:1:function:"] {
            assert!(FunctionArn::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secrets_arn_ends_in_a_suffix_that_is_not_part_of_its_name() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/in-voices-AbCdEf";
        let secret = SecretArn::parse(arn).unwrap();
        assert_eq!(secret.name, "flexorch/in-voices");
        assert_eq!(secret.partial, arn.strip_suffix("-AbCdEf").unwrap());
        assert!(SecretArn::parse("flexorch/in-voices").is_err());
    }

    #[test]
    fn a_secrets_name_is_the_same_whether_it_is_given_by_name_arn_or_arn_without_the_suffix() {
        let arn = |resource: &str| format!("arn:aws:secretsmanager:eu-west-1:123456789012:{resource}");
        for (id, name) in [
            ("flexorch/my-invoices".to_owned(), "flexorch/my-invoices"),
            (arn("secret:flexorch/my-invoices-AbCdEf"), "flexorch/my-invoices"),
            (arn("secret:flexorch/my-invoices"), "flexorch/my-invoices"),
            // A name is never shortened, whatever its end looks like; in a whole ARN only the appended suffix is removed.
            ("ingest-secret".to_owned(), "ingest-secret"),
            (arn("secret:ingest-secret-AbCdEf"), "ingest-secret"),
            // Ambiguous: read as an ARN with the suffix.
            (arn("secret:ingest-secret"), "ingest"),
            // No suffix has such a character.
            (arn("secret:in-a.b.c."), "in-a.b.c."),
            // Not secrets.
            (arn("other:in-AbCdEf"), &arn("other:in-AbCdEf")),
            ("arn:aws:sqs:eu-west-1:123456789012:q-AbCdEf".to_owned(), "arn:aws:sqs:eu-west-1:123456789012:q-AbCdEf"),
        ] {
            assert_eq!(secret_name(&id), name, "{id}");
        }
    }

    #[test]
    fn a_bucket_is_in_its_regions_partition_and_has_no_region_and_no_account() {
        for (region, arn) in [
            (None, "arn:aws:s3:::docs"),
            (Some("eu-west-1"), "arn:aws:s3:::docs"),
            (Some("cn-north-1"), "arn:aws-cn:s3:::docs"),
            (Some("us-gov-east-1"), "arn:aws-us-gov:s3:::docs"),
        ] {
            assert_eq!(of_bucket("docs", region), arn);
            assert_eq!((region_of(arn), account_of(arn)), (None, None));
        }
        assert_eq!(region_of("arn:aws:sqs:eu-west-1:123456789012:q"), Some("eu-west-1"));
        assert_eq!(account_of("arn:aws:sqs:eu-west-1:123456789012:q"), Some("123456789012"));
        assert_eq!(region_of("team:docs"), None);
    }
}
