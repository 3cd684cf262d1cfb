//! `flexorch-s3 webhook …`: FlexOrch's webhook that reports how each job ended to the outcomes function.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `create` | stores the signing secret, registers the webhook, and deletes the ones that it replaces, in this order |
//! | `plan` | PURE: whether there is something to register, and which webhooks are in the way |
//! | `signing` | the signing secret in Secrets Manager, and which webhooks are signed with it |
//! | `list`, `delete` | shows webhooks; deletes one |

mod create;
mod delete;
mod list;
mod plan;
mod signing;

use anyhow::Result;
use reqwest::Url;

use crate::args::{ApiKeySecret, WebhookAction, WebhookTarget};
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::{Exit, WrongArgument};
use crate::management::Management;
use crate::tracking::Tracking;
pub(crate) use signing::signing_fields;

pub(crate) async fn run(action: WebhookAction, context: &Context) -> Result<Exit> {
    match action {
        WebhookAction::Create(options) => create::run(options, context).await,
        WebhookAction::List(options) => list::run(options, context).await,
        WebhookAction::Delete(options) => delete::run(options, context).await,
    }
}

/// Says how to reach the webhooks of a stack or function that has none, or no longer.
fn left_behind(tracking: &Tracking, secret: &ApiKeySecret, context: &Context) -> String {
    let first = || tracking.connector_secrets().into_iter().next();
    let secret = secret.secret.clone().or_else(first).unwrap_or_else(|| "ID".to_owned());
    let list = context.commands().own(format_args!("webhook list --secret {}", quoted(&secret)));
    format!(
        "no webhook is known by this stack or function; to list or delete those of the API key, specify the secret alone: `{list}`"
    )
}

/// What the options name, as far as they do.
struct Target {
    /// Where the webhook delivers to.
    url: Option<Url>,
    /// Where its signing secret is stored.
    signing_secret: Option<String>,
    /// Whose API key is used.
    connector_secret: String,
    /// The options that named all this, for suggested commands.
    options: String,
}

impl Target {
    /// Finds what the options name. `needs_url` is whether the command cannot do without the URL and the signing secret.
    async fn find(target: &WebhookTarget, secret: &ApiKeySecret, needs_url: bool, context: &Context) -> Result<Self> {
        let WebhookTarget { stack, function, url, signing_secret } = target;
        let tracking = match (stack, function) {
            (Some(stack), _) => Some(Tracking::of_stack(stack, context).await?),
            (None, Some(function)) => Some(Tracking::of_function(function, context).await?),
            (None, None) => None,
        };
        let wrong = |why: &str| WrongArgument(why.to_owned());
        let url = match (&tracking, url) {
            (_, Some(url)) => Some(url.clone()),
            (Some(tracking), None) => match tracking.webhook_url().await {
                Err(error) if !needs_url => return Err(error.context(left_behind(tracking, secret, context))),
                url => Some(url?),
            },
            (None, None) if needs_url => {
                return Err(wrong("specify the webhook's URL with --stack, --function or --url").into());
            }
            (None, None) => None,
        };
        let signing_secret = match (&tracking, signing_secret) {
            (_, Some(secret)) => Some(secret.clone()),
            (Some(tracking), None) => Some(tracking.webhook_secret()?.to_owned()),
            (None, None) if needs_url => {
                let why = "--url needs --signing-secret: the secret in Secrets Manager from which the receiver reads {\"signing_secret\": \
                           \"…\"} (WEBHOOK_SECRET_ID of the outcomes function); nothing was registered";
                return Err(wrong(why).into());
            }
            (None, None) => None,
        };
        let first = || tracking.as_ref().and_then(|tracking| tracking.connector_secrets().into_iter().next());
        let connector_secret = secret.secret.clone().or_else(first);
        let connector_secret = connector_secret
            .ok_or_else(|| wrong("specify the connector's secret, whose API key is used, with --secret"))?;
        let named = [
            ("--stack", stack.as_deref()),
            ("--function", function.as_deref()),
            ("--url", target.url.as_ref().map(Url::as_str)),
            ("--signing-secret", target.signing_secret.as_deref()),
            ("--secret", secret.secret.as_deref()),
        ];
        let options = named.iter().filter_map(|(option, value)| Some(format!("{option} {}", quoted((*value)?))));
        Ok(Self { url, signing_secret, connector_secret, options: options.collect::<Vec<_>>().join(" ") })
    }

    /// Returns a client with the connector's API key.
    async fn flexorch(&self, context: &Context) -> Result<Management> {
        let secret = context.secret(&self.connector_secret).await?;
        context.flexorch(secret.api_key()?)
    }
}
