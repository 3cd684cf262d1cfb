//! `flexorch-s3 webhook list`.

use anyhow::Result;
use serde::Serialize;

use super::Target;
use super::signing::SigningSecret;
use crate::args::WebhookListOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{Webhook, moment};
use crate::output::{DIM, styled};
use crate::text::{escaped, table, text_of};

/// A webhook, and what it is to the stack.
#[derive(Serialize)]
struct Item<'a> {
    #[serde(flatten)]
    webhook: &'a Webhook,
    /// Whether it has the stack's URL; null without --stack, --function and --url.
    own: Option<bool>,
    /// Whether it is known to sign with the stored secret; null if that was not read.
    signing_secret_stored: Option<bool>,
}

#[derive(Serialize)]
struct Listed<'a> {
    url: Option<&'a str>,
    webhooks: Vec<Item<'a>>,
}

pub(crate) async fn run(options: WebhookListOptions, context: &Context) -> Result<Exit> {
    let target = Target::find(&options.target, &options.secret, false, context).await?;
    let flexorch = target.flexorch(context).await?;
    let webhooks = flexorch.webhooks().await?;
    let signed = match &target.signing_secret {
        Some(id) => {
            let signing = SigningSecret::read(id, context).await?;
            Some(signing.value()?.map(|_| signing.webhooks()).unwrap_or_default())
        }
        None => None,
    };
    let items: Vec<_> = webhooks
        .iter()
        .map(|webhook| {
            let own = target.url.as_ref().map(|url| webhook.delivers_to(url));
            let stored = signed.as_ref().map(|signed| signed.contains(&webhook.id));
            Item { webhook, own, signing_secret_stored: stored }
        })
        .collect();
    let output = context.output;
    match items.is_empty() {
        true => output.line("FlexOrch has no webhooks for this API key.")?,
        false => {
            let mut rows = table(["ID", "URL", "EVENTS", "ACTIVE", "CREATED", "NOTE"]);
            rows.add_rows(items.iter().map(row));
            output.line(text_of(&rows).trim_end())?;
        }
    }
    let create = context.commands().own(format_args!("webhook create {}", target.options));
    if let Some(url) = target.url.as_ref().filter(|_| items.iter().all(|item| item.own != Some(true))) {
        output.line(styled(
            DIM,
            format_args!("  none delivers to {}: to register it, run `{create}`", escaped(url.as_str())),
        ))?;
    }
    output.document(&Listed { url: target.url.as_ref().map(reqwest::Url::as_str), webhooks: items })?;
    Ok(Exit::Success)
}

fn row(item: &Item<'_>) -> [String; 6] {
    let webhook = item.webhook;
    let note = match (item.own, item.signing_secret_stored) {
        (Some(true), Some(true)) => "the stack's",
        (Some(true), _) => "the stack's, but its signing secret is not known to be stored",
        _ => "",
    };
    [
        escaped(&webhook.id),
        escaped(&webhook.url),
        escaped(&webhook.events.join(", ")),
        if webhook.active { "yes" } else { "no" }.to_owned(),
        webhook.created_at.as_deref().map_or_else(|| "-".to_owned(), |time| escaped(&moment(time))),
        note.to_owned(),
    ]
}
