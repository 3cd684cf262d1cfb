//! The bucket: is it there, and in the region that the secret says?

use super::super::arn;
use super::super::aws_failure::{AwsFailure, FailureKind};
use super::super::bucket::{self, Found};
use super::aws::{Aws, within_time};
use super::check::{Check, Next};
use super::commands::{Commands, quoted};
use super::name;
use super::subject::Subject;

/// Where the bucket is, and the check.
pub(super) async fn look(aws: &Aws<'_>, subject: &Subject, home: &str, commands: &Commands) -> (Check, Option<String>) {
    let Some(bucket) = &subject.bucket else {
        return (Check::skipped(name::BUCKET, "the secret names no bucket"), None);
    };
    let expected = subject.region.as_deref().unwrap_or(home);
    let (client, resource) = (aws.s3(Some(expected)), arn::of_bucket(bucket, Some(expected)));
    let found = within_time("s3:ListBucket", &resource, bucket::find(&client, bucket)).await;
    let Found { region, failure } = found.unwrap_or_else(|failure| Found { region: None, failure: Some(failure) });
    (judge(bucket, expected, region.as_deref(), failure.as_ref(), subject, commands), region)
}

fn judge(
    bucket: &str,
    expected: &str,
    region: Option<&str>,
    failure: Option<&AwsFailure>,
    subject: &Subject,
    commands: &Commands,
) -> Check {
    let is_absent = failure.is_some_and(|failure| failure.kind == FailureKind::NotFound);
    match region {
        _ if is_absent => Check::failed(
            name::BUCKET,
            format!("there is no bucket {bucket:?}"),
            Next::new(
                "correct the secret's `bucket`, or make the bucket (the template's shapes Direct and Queue do); these are yours",
                commands.aws("s3api list-buckets --query 'Buckets[].Name'"),
            ),
        ),
        Some(region) if region != expected => {
            let says = if subject.region.is_some() { "the secret says" } else { "was asked for in" };
            let set = format!(".region = {} | del(.connector_id)", serde_json::Value::from(region));
            let create = commands.own(format_args!("connector create --secret {}", quoted(&subject.secret)));
            Check::failed(
                name::BUCKET,
                format!("{bucket} is in {region}; {says} {expected}"),
                Next::new(
                    "write its region into the secret and have a connector for it made",
                    format!("{} && {create}", commands.change_secret(&subject.secret, &set)),
                ),
            )
        }
        _ => match failure {
            None => Check::well(name::BUCKET, format!("{bucket} is there, in {}", region.unwrap_or(expected))),
            Some(failure) => Check::could_not_look(name::BUCKET, failure, commands),
        },
    }
}
