//! `flexorch-s3 webhook …`, as typed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use reqwest::Url;

use super::shared::SECRET_VARIABLE;

/// `flexorch-s3 webhook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookAction {
    Create(WebhookCreateOptions),
    List(WebhookListOptions),
    Delete(WebhookDeleteOptions),
}

/// Register the outcomes function's URL at FlexOrch, and store the signing secret
///
/// Registers the URL with the events job.completed and job.failed. The signing secret is written to Secrets Manager before
/// the URL is registered, as {"signing_secret": "…", "webhooks": ["ID"]}. A secret that is stored already is reused; otherwise a random one is
/// generated. If FlexOrch returns another signing secret, that one is stored. It is never printed.
///
/// If it is interrupted, run the same command again. A webhook with the same URL whose signing secret is not known to be the stored one is
/// replaced, after a confirmation. The sweep of the outcomes function finds what a webhook does not report.
///
/// Requires secretsmanager:GetSecretValue on the connector's secret, and secretsmanager:GetSecretValue and secretsmanager:PutSecretValue on the
/// signing secret; with --stack also cloudformation:DescribeStacks; with --function also lambda:GetFunctionConfiguration,
/// lambda:ListEventSourceMappings and lambda:GetFunctionUrlConfig.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 webhook create --stack flexorch-ingest
  flexorch-s3 webhook create --function ingest --secret flexorch/invoices
  flexorch-s3 webhook create --secret flexorch/invoices \\
    --url https://abc.lambda-url.eu-west-1.on.aws/ \\
    --signing-secret flexorch/webhook")]
pub(crate) struct WebhookCreateOptions {
    #[command(flatten)]
    pub(crate) target: WebhookTarget,
    #[command(flatten)]
    pub(crate) secret: ApiKeySecret,
    /// Generate a new signing secret, and register the webhook again with it
    #[arg(long)]
    pub(crate) new_signing_secret: bool,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// List the webhooks of the connector's API key
///
/// Shows which one is the stack's, and whether its signing secret is stored.
///
/// Requires secretsmanager:GetSecretValue on the connector's secret; with --stack or --function as `webhook create`, without
/// secretsmanager:PutSecretValue.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 webhook list --stack flexorch-ingest
  flexorch-s3 webhook list --secret flexorch/invoices --json")]
pub(crate) struct WebhookListOptions {
    #[command(flatten)]
    pub(crate) target: WebhookTarget,
    #[command(flatten)]
    pub(crate) secret: ApiKeySecret,
}

/// Delete a webhook by its id, or the stack's; asks for confirmation
///
/// The signing secret stays in Secrets Manager, and `webhook create` reuses it. Without a webhook, the sweep of the outcomes function
/// finds how each job ended.
///
/// Requires the permissions of `webhook list`; secretsmanager:PutSecretValue on the signing secret, if it is the stack's webhook.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flexorch-s3 webhook delete --stack flexorch-ingest
  flexorch-s3 webhook delete wh_1 --secret flexorch/invoices --yes")]
pub(crate) struct WebhookDeleteOptions {
    /// The webhook's id [default: all with the URL of --stack, --function or --url]
    #[arg(value_name = "WEBHOOK", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) webhook: Option<String>,
    #[command(flatten)]
    pub(crate) target: WebhookTarget,
    #[command(flatten)]
    pub(crate) secret: ApiKeySecret,
    /// Skip confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The URL that a webhook delivers to, and where its signing secret is.
#[derive(Debug, Clone, Args)]
pub(crate) struct WebhookTarget {
    /// CloudFormation stack with FlexOrchWebhook=true: its name or ARN
    #[arg(long, value_name = "NAME", conflicts_with_all = ["function", "url"], value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stack: Option<String>,
    /// Function with RECEIPTS_QUEUE_URL, or its outcomes function: name or ARN
    #[arg(long, value_name = "NAME", conflicts_with = "url", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
    /// The webhook's URL (the stack's output WebhookUrl)
    #[arg(long, value_parser = delivery_url)]
    pub(crate) url: Option<Url>,
    /// Where the signing secret is stored: a secret's name or ARN [default: the stack's output WebhookSecretArn, or the function's
    /// WEBHOOK_SECRET_ID]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) signing_secret: Option<String>,
}

/// The connector's secret, whose API key is used.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApiKeySecret {
    /// The connector's secret, whose API key is used: its name or ARN [default: the first one of --stack or --function]
    #[arg(long, visible_alias = "connector-secret", value_name = "ID", env = SECRET_VARIABLE, hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) secret: Option<String>,
}

/// A text that is not a URL to which FlexOrch can deliver.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an https URL without credentials, such as https://abc.lambda-url.eu-west-1.on.aws/ (http only for a loopback host)"
)]
struct NotADeliveryUrl;

/// Parses a URL to which FlexOrch can deliver.
fn delivery_url(text: &str) -> Result<Url, NotADeliveryUrl> {
    let is_local = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    let is_usable = |url: &Url| {
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_local(url);
        is_safe && url.has_host() && url.username().is_empty() && url.password().is_none()
    };
    Url::parse(text.trim()).ok().filter(is_usable).ok_or(NotADeliveryUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_delivered_over_tls_except_to_this_machine() {
        for good in [
            "https://abc.lambda-url.eu-west-1.on.aws/",
            "http://127.0.0.1:3000/x",
            "http://localhost:1",
            "http://[::1]/",
        ] {
            assert!(delivery_url(good).is_ok(), "{good}");
        }
        for bad in ["", "abc", "http://example.com/", "https://u:p@example.com/", "ftp://127.0.0.1/"] {
            assert_eq!(delivery_url(bad), Err(NotADeliveryUrl), "{bad}");
        }
    }
}
