//! `flexorch-s3 connector …`, as typed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::rotate::RotateOptions;
use super::shared::SecretOption;

/// `flexorch-s3 connector …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorAction {
    Create(CreateOptions),
    Rotate(RotateOptions),
    /// Have FlexOrch test whether it can read the connector's bucket
    #[command(after_help = "\
Examples:
  flexorch-s3 connector test --secret flexorch/invoices
  flexorch-s3 connector test --secret flexorch/invoices 43")]
    Test(OneConnector),
    /// List the connectors that the secret's API key can see
    #[command(after_help = "\
Examples:
  flexorch-s3 connector list --secret flexorch/invoices
  flexorch-s3 connector list --secret flexorch/invoices --json")]
    List(SecretOption),
    /// Show a connector
    #[command(after_help = "\
Examples:
  flexorch-s3 connector show --secret flexorch/invoices
  flexorch-s3 connector show --secret flexorch/invoices 43 --json")]
    Show(OneConnector),
    Delete(DeleteOptions),
}

/// One connector: the secret's, unless another is named.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneConnector {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// Connector id [default: the one in the secret]
    #[arg(value_name = "CONNECTOR", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) connector: Option<String>,
}

/// Create the connector that a secret describes, test it, and write its id into the secret
///
/// The secret's JSON fields are api_key, bucket, region, prefix, aws_access_key_id and aws_secret_access_key. Missing fields are taken from
/// the options, from --fields-from, or prompted for on a terminal (secrets are not echoed). Fields that were missing are written into the
/// secret, except for the two AWS credentials, which are not needed once the connector exists.
///
/// Running it again finds the connector and does not create another.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 connector create --secret flexorch/invoices
  flexorch-s3 connector create --secret flexorch/invoices \\
    --bucket my-documents --bucket-region eu-west-1 --prefix invoices/
  aws iam create-access-key --user-name flexorch-reader --query AccessKey \\
    | jq '{aws_access_key_id: .AccessKeyId,
           aws_secret_access_key: .SecretAccessKey}' \\
    | flexorch-s3 connector create --secret flexorch/invoices --fields-from -")]
pub(crate) struct CreateOptions {
    #[command(flatten)]
    pub(crate) secret: SecretOption,
    /// Name of the connector at FlexOrch [default: bucket and prefix]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
    /// Bucket, if the secret names none
    #[arg(long)]
    pub(crate) bucket: Option<String>,
    /// The bucket's region, if the secret names none
    #[arg(long, value_name = "REGION")]
    pub(crate) bucket_region: Option<String>,
    /// Prefix that the connector reads, if the secret names none
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Read missing fields as a JSON object from standard input (-), a file, or an open file descriptor (fd:3)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) fields_from: Option<String>,
}

/// Delete a connector at FlexOrch; asks for confirmation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 connector delete --secret flexorch/invoices
  flexorch-s3 connector delete --secret flexorch/invoices 43 --yes")]
pub(crate) struct DeleteOptions {
    #[command(flatten)]
    pub(crate) which: OneConnector,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}
