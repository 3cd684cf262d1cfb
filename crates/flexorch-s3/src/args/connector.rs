//! `flexorch-s3 connector …`, as it is typed.

use clap::{Args, Subcommand};

use super::SecretOption;

/// `flexorch-s3 connector …`.
#[derive(Debug, Subcommand)]
pub(in super::super) enum ConnectorAction {
    /// Make the connector that a secret describes, test it, and write its id into the secret
    Create(CreateOptions),
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
  flexorch-s3 connector list --secret flexorch/invoices --json | jq -r '.connectors[].id'")]
    List(SecretOption),
    /// Show a connector as FlexOrch has it
    #[command(after_help = "\
Examples:
  flexorch-s3 connector show --secret flexorch/invoices
  flexorch-s3 connector show --secret flexorch/invoices 43 --json")]
    Show(OneConnector),
    /// Delete a connector at FlexOrch, after asking
    Delete(DeleteOptions),
}

/// One connector: the secret's, unless another is named.
#[derive(Debug, Clone, Args)]
pub(in super::super) struct OneConnector {
    #[command(flatten)]
    pub secret: SecretOption,
    /// The connector's id; without it, the one in the secret
    #[arg(value_name = "CONNECTOR", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub connector: Option<String>,
}

/// `flexorch-s3 connector create`.
#[derive(Debug, Args)]
#[command(after_help = "\
The secret's JSON: api_key, bucket, region, prefix, aws_access_key_id, aws_secret_access_key. What it lacks is taken from the
options, from --fields-from, or asked for on a terminal, secrets unseen. What was not in the secret is written into it, except
for the two AWS credentials, which nothing needs afterwards. Run again, it finds the connector and makes no second one.

Examples:
  flexorch-s3 connector create --secret flexorch/invoices
  flexorch-s3 connector create --secret flexorch/invoices --bucket my-documents --bucket-region eu-west-1 --prefix invoices/
  aws iam create-access-key --user-name flexorch-reader --output json \\
    | jq '.AccessKey | {aws_access_key_id: .AccessKeyId, aws_secret_access_key: .SecretAccessKey}' \\
    | flexorch-s3 connector create --secret flexorch/invoices --fields-from -")]
pub(in super::super) struct CreateOptions {
    #[command(flatten)]
    pub secret: SecretOption,
    /// What FlexOrch is to call it; without it, the bucket and the prefix
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The bucket, where the secret names none
    #[arg(long)]
    pub bucket: Option<String>,
    /// The bucket's region, where the secret names none
    #[arg(long, value_name = "REGION")]
    pub bucket_region: Option<String>,
    /// The prefix that the connector reads, where the secret names none
    #[arg(long)]
    pub prefix: Option<String>,
    /// Read missing fields as a JSON object from standard input (-), a file, or an open file descriptor (fd:3)
    #[arg(long, value_name = "SOURCE")]
    pub fields_from: Option<String>,
}

/// `flexorch-s3 connector delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 connector delete --secret flexorch/invoices
  flexorch-s3 connector delete --secret flexorch/invoices 43 --yes")]
pub(in super::super) struct DeleteOptions {
    #[command(flatten)]
    pub which: OneConnector,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
