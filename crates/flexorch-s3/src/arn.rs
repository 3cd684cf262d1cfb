//! ARNs (AWS General Reference, "Amazon Resource Names").

/// An ARN's parts, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`. A bucket's has no region and no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    /// Such as `sqs`.
    pub service: &'a str,
    /// Empty where it is in none.
    pub region: &'a str,
    /// Empty where it names none.
    pub account: &'a str,
    /// May hold colons.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN; `None` for anything else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
            ("arn", partition, service, region, account, resource) if !partition.is_empty() && !resource.is_empty() => {
                Some(Self { service, region, account, resource })
            }
            _ => None,
        }
    }
}

/// The region in an ARN; `None` where it names none, and for what is no ARN.
pub(super) fn region_of(arn: &str) -> Option<&str> {
    Arn::parse(arn).map(|arn| arn.region).filter(|region| !region.is_empty())
}

/// The account in an ARN; `None` where it names none, and for what is no ARN.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    Arn::parse(arn).map(|arn| arn.account).filter(|account| !account.is_empty())
}

/// A bucket's ARN, in the partition of its region; `None`: a region of the usual one.
pub(super) fn of_bucket(bucket: &str, region: Option<&str>) -> String {
    let partition = match region {
        Some(china) if china.starts_with("cn-") => "aws-cn",
        Some(government) if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:s3:::{bucket}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts_and_its_resource_may_hold_colons() {
        let arn = Arn::parse("arn:aws:lambda:eu-west-1:123456789012:function:ingest:live").unwrap();
        assert_eq!((arn.service, arn.resource), ("lambda", "function:ingest:live"));
        for wrong in ["", "ingest", "arn:aws:sqs:eu-west-1:123456789012", "urn:aws:sqs:r:1:q"] {
            assert_eq!(Arn::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_buckets_arn_has_no_region_and_no_account_and_its_regions_partition() {
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
    }
}
