//! Checks the bucket: does it exist, and in the secret's region?

use super::aws::Aws;
use super::check::{Check, Fix};
use super::commands::{Commands, quoted};
use super::name;
use super::subject::Subject;
use crate::aws_failure::{AwsFailure, FailureKind};
use crate::bucket::{self, Location};
use flexorch_s3_ingester::model::arn;

/// Checks the bucket, and returns its region.
pub(crate) async fn check(
    aws: &Aws<'_>,
    subject: &Subject,
    home: &str,
    commands: &Commands,
) -> (Check, Option<String>) {
    let Some(bucket) = &subject.bucket else {
        return (Check::skipped(name::BUCKET, subject.lacks("bucket")), None);
    };
    let expected = subject.region.as_deref().unwrap_or(home);
    let (client, resource) = (aws.s3(Some(expected)), arn::of_bucket(bucket, Some(expected)));
    let found = aws.within_time("s3:ListBucket", &resource, bucket::locate(&client, bucket)).await;
    let Location { region, failure } =
        found.unwrap_or_else(|failure| Location { region: None, failure: Some(failure) });
    (evaluate(bucket, expected, region.as_deref(), failure.as_ref(), subject, commands), region)
}

fn evaluate(
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
            Fix::new(
                "correct the secret's `bucket`, or create the bucket (the template's shapes Direct and Queue do); to list your buckets",
                commands.aws("s3api list-buckets --query 'Buckets[].Name'"),
            ),
        ),
        Some(region) if region != expected => {
            let says = if subject.region.is_some() { "the secret says" } else { "the configured region is" };
            let set = format!(".region = {} | del(.connector_id)", serde_json::Value::from(region));
            let create = commands.own(format_args!("connector create --secret {}", quoted(&subject.secret)));
            Check::failed(
                name::BUCKET,
                format!("{bucket} is in {region}; {says} {expected}"),
                Fix::new(
                    "write its region into the secret and create a new connector",
                    format!("{} && {create}", commands.change_secret(&subject.secret, &set)),
                ),
            )
        }
        _ => match failure {
            None => Check::well(name::BUCKET, format!("{bucket} exists in {}", region.unwrap_or(expected))),
            Some(failure) => Check::could_not_check(name::BUCKET, failure, commands),
        },
    }
}
