//! `flexorch-s3 webhook delete`.

use anyhow::{Result, bail};
use serde_json::json;

use super::Target;
use super::signing::SigningSecret;
use crate::args::WebhookDeleteOptions;
use crate::context::Context;
use crate::exit::{Exit, WrongArgument};
use crate::management::Webhook;
use crate::output::{SUCCESS, confirm, styled};
use crate::text::escaped;

pub(crate) async fn run(options: WebhookDeleteOptions, context: &Context) -> Result<Exit> {
    let target = Target::find(&options.target, &options.secret, false, context).await?;
    let flexorch = target.flexorch(context).await?;
    let all = flexorch.webhooks().await?;
    let chosen: Vec<&Webhook> = match (&options.webhook, &target.url) {
        (Some(id), _) => all.iter().filter(|webhook| webhook.id == *id).collect(),
        (None, Some(url)) => all.iter().filter(|webhook| webhook.delivers_to(url)).collect(),
        (None, None) => {
            let why = "specify the webhook by its id, or with --stack, --function or --url; nothing was deleted";
            return Err(WrongArgument(why.to_owned()).into());
        }
    };
    let output = context.output;
    match (chosen.is_empty(), &options.webhook) {
        (true, Some(id)) => bail!("FlexOrch has no webhook {} for this API key; nothing was deleted", escaped(id)),
        (true, None) => {
            output.line("FlexOrch has no webhook with this URL for this API key; nothing to delete")?;
            output.document(&json!({"deleted": []}))?;
            return Ok(Exit::Success);
        }
        (false, _) => {}
    }
    let describe = |webhook: &&Webhook| {
        let exports = if webhook.export.is_some() { ", which also exports datasets" } else { "" };
        format!("{} ({}{exports})", escaped(&webhook.id), escaped(&webhook.url))
    };
    let described: Vec<_> = chosen.iter().map(describe).collect();
    let s = if chosen.len() == 1 { "" } else { "s" };
    confirm(options.yes, &format!("Delete webhook{s} {}?", described.join(", ")), "nothing was deleted")?;
    for webhook in &chosen {
        flexorch.delete_webhook(&webhook.id).await?;
        output.line(format!("{} webhook {} deleted", styled(SUCCESS, "✓"), escaped(&webhook.id)))?;
    }
    if let Some(id) = &target.signing_secret {
        let mut signing = SigningSecret::read(id, context).await?;
        let mut signed = signing.webhooks();
        signed.retain(|id| !chosen.iter().any(|webhook| webhook.id == *id));
        if signed.len() != signing.webhooks().len() {
            signing.note(&signed).await?;
        }
        let create = context.commands().own(format_args!("webhook create {}", target.options));
        output.line(format!("  The signing secret stays stored; to reuse it, run `{create}`."))?;
    }
    output.line("  The outcomes function's sweep continues to check open jobs.")?;
    output.document(&json!({"deleted": chosen}))?;
    Ok(Exit::Success)
}
