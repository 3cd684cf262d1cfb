//! `flexorch-s3 connector rotate`, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::shared::{SecretOption, duration};

/// Replace the access key with which FlexOrch reads the bucket; ingestion goes on
///
/// Creates an access key of the IAM user and a connector that uses it, has FlexOrch test it, writes its id into the secret, waits until every
/// running function has read the secret, and deletes the old connector and the old access key. At any time the secret names a connector that
/// works, and the old connector works until no function uses it. The command shows the plan and asks for confirmation.
///
/// Every step is recorded in a journal before it is made. If the rotation is interrupted or stops, run the same command again: it continues.
/// If FlexOrch cannot read the bucket with the new access key, the new connector and key are deleted, and the secret is unchanged.
///
/// The old access key is deleted only if it is known: by --old-access-key-id, from the secret, or from FlexOrch. Use one IAM user per
/// connector: IAM allows a user two access keys. Finish a running backfill first; its journal belongs to the old connector.
///
/// Requires iam:ListAccessKeys, iam:CreateAccessKey and iam:DeleteAccessKey on the user, secretsmanager:GetSecretValue and PutSecretValue on
/// the secret; without --user also secretsmanager:DescribeSecret; with --function also lambda:GetFunctionConfiguration.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 connector rotate --secret flexorch/invoices \\
    --user flexorch-s3-ingester-connector --function flexorch-ingest
  flexorch-s3 connector rotate --secret flexorch/invoices \\
    --user flexorch-reader --old-access-key-id AKIAIOSFODNN7EXAMPLE \\
    --drain 10m --yes")]
pub(crate) struct RotateOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// IAM user with which FlexOrch reads the bucket [default: STACK-connector, if a CloudFormation stack created the secret]
    #[arg(long, value_name = "IAM_USER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// The access key that the old connector uses, to be deleted in the end [default: the one that the secret or FlexOrch names, if any]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) old_access_key_id: Option<String>,
    /// The Lambda function that reads the secret: how long to wait follows from its settings
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// How long to wait until every running function has read the secret, regardless of its settings [default: the function's SECRET_CACHE_TTL_SECONDS plus its
    /// timeout; without --function 6m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) drain: Option<Duration>,
    /// How long to repeat a failed test of the new connector; a new access key works after some seconds
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub(crate) test_for: Duration,
    /// Journal file [default: a file in the current directory, named after the secret]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}
