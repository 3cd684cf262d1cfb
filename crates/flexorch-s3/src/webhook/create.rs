//! `flexorch-s3 webhook create`. The order is: store a secret, register, store what FlexOrch returned, delete what is replaced. Wherever it
//! ends, running it again converges: a webhook is only trusted once its id is stored next to its secret.

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Target;
use super::plan::{Exports, Found, Plan};
use super::signing::{self, SigningSecret};
use crate::args::WebhookCreateOptions;
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{CallError, CreatedWebhook, JOB_EVENTS, Management, Webhook};
use crate::output::{SUCCESS, WARNING, confirm, styled};
use crate::text::escaped;

/// Where the signing secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    /// It was stored already.
    Stored,
    /// This command generated it.
    Random,
    /// FlexOrch generated it.
    FlexOrch,
}

/// A webhook that is registered now.
struct Registered {
    id: String,
    origin: Origin,
}

pub(crate) async fn run(options: WebhookCreateOptions, context: &Context) -> Result<Exit> {
    let target = Target::find(&options.target, &options.secret, true, context).await?;
    let (Some(url), Some(secret_id)) = (&target.url, &target.signing_secret) else {
        bail!("neither the URL nor the signing secret is known");
    };
    let flexorch = target.flexorch(context).await?;
    let mut signing = SigningSecret::read(secret_id, context).await?;
    let (stored, signed) = (signing.value()?, signing.webhooks());
    let webhooks = flexorch.webhooks().await?;
    let found = Found {
        url,
        webhooks: &webhooks,
        signed: stored.as_ref().map(|_| signed.as_slice()),
        new_secret: options.new_signing_secret,
    };
    let plan = found.plan().map_err(|Exports(id)| {
        let delete = context.commands().own(format_args!("webhook delete {} {}", quoted(&id), target.options));
        anyhow!(
            "webhook {} with this URL exports datasets too (auto_export), which would end with it: give the export a separate webhook at \
             FlexOrch, then run `{delete}`; nothing was changed",
            escaped(&id)
        )
    })?;
    let (Plan::Keep { superfluous: old, .. } | Plan::Register { replaced: old }) = &plan;
    confirm(old.is_empty() || options.yes, &question(&plan, old, &found), "nothing was changed")?;
    let registered = match &plan {
        Plan::Keep { webhook, .. } => Registered { id: webhook.id.clone(), origin: Origin::Stored },
        Plan::Register { replaced } => {
            let stored = stored.filter(|_| !options.new_signing_secret);
            register(&flexorch, &mut signing, url, stored, replaced, context).await?
        }
    };
    for webhook in old {
        flexorch.delete_webhook(&webhook.id).await.with_context(|| {
            format!(
                "webhook {} is registered, but an older one with this URL is left; run the same command again",
                registered.id
            )
        })?;
    }
    if !old.is_empty() {
        let mut signed = signing.webhooks();
        signed.retain(|id| !old.iter().any(|webhook| webhook.id == *id));
        if signed != signing.webhooks() {
            signing.note(&signed).await?;
        }
    }
    report(&plan, &registered, url, &signing, context)
}

fn question(plan: &Plan, old: &[Webhook], found: &Found<'_>) -> String {
    let url = found.url;
    let ids: Vec<_> = old.iter().map(|webhook| escaped(&webhook.id)).collect();
    let is_one = ids.len() == 1;
    let (s, ids) = (if is_one { "" } else { "s" }, ids.join(", "));
    match plan {
        Plan::Keep { webhook, .. } => {
            let deliver = if is_one { "delivers" } else { "deliver" };
            format!("Delete webhook{s} {ids}, which {deliver} to {url} besides {}?", escaped(&webhook.id))
        }
        Plan::Register { .. } => {
            let is_signed = |webhook: &Webhook| found.signed.is_some_and(|signed| signed.contains(&webhook.id));
            let why = match (found.new_secret, old.iter().all(is_signed)) {
                (true, _) => "A new signing secret is generated.".to_owned(),
                (false, true) => format!("It is disabled, or does not report {}.", JOB_EVENTS.join(" and ")),
                (false, false) => {
                    format!(
                        "The stored signing secret is not known to be {}.",
                        if is_one { "its own" } else { "theirs" }
                    )
                }
            };
            format!("Replace webhook{s} {ids} with the URL {url}? {why}")
        }
    }
}

/// Registers a webhook whose signing secret is stored before and after.
async fn register(
    flexorch: &Management,
    signing: &mut SigningSecret,
    url: &Url,
    stored: Option<SecretString>,
    replaced: &[Webhook],
    context: &Context,
) -> Result<Registered> {
    // Those of another API key, which sign with the same secret.
    let is_replaced = |id: &String| replaced.iter().any(|old| old.id == *id);
    let others: Vec<_> = signing.webhooks().into_iter().filter(|id| !is_replaced(id)).collect();
    let (secret, origin) = match stored {
        Some(secret) => (secret, Origin::Stored),
        None => {
            let secret = signing::random()?;
            // No webhook signs with it yet.
            signing.store(&secret, &[]).await?;
            (secret, Origin::Random)
        }
    };
    let CreatedWebhook { id, secret: own } = create(flexorch, url, &secret, replaced).await?;
    let own = own.filter(|own| own.expose_secret() != secret.expose_secret());
    let Some(own) = own else {
        let signed = if origin == Origin::Stored { others.clone() } else { Vec::new() };
        let signed: Vec<_> = signed.into_iter().chain([id.clone()]).collect();
        signing.note(&signed).await.with_context(|| {
            format!("webhook {id} is registered, but its id could not be stored next to its signing secret; run the same command again")
        })?;
        if origin != Origin::Stored {
            warn_of_others(&others, context);
        }
        return Ok(Registered { id, origin });
    };
    if let Err(error) = signing.store(&own, std::slice::from_ref(&id)).await {
        // Nothing stays registered that cannot be verified.
        return Err(match flexorch.delete_webhook(&id).await {
            Ok(()) => error.context("the signing secret generated by FlexOrch could not be stored; the webhook was deleted again"),
            Err(undeleted) => error.context(format!(
                "the signing secret generated by FlexOrch could not be stored, and webhook {id} could not be deleted again ({undeleted}); run \
                 the same command again, which replaces it"
            )),
        });
    }
    warn_of_others(&others, context);
    Ok(Registered { id, origin: Origin::FlexOrch })
}

/// Says which webhooks signed with the secret that was just replaced.
fn warn_of_others(others: &[String], context: &Context) {
    if others.is_empty() {
        return;
    }
    let others: Vec<_> = others.iter().map(|id| escaped(id)).collect();
    context.output.progress(format!(
        "{} the signing secret is a new one, and only one can be stored: deliveries of webhook {} are refused from now on, unless that is gone",
        styled(WARNING, "!"),
        others.join(", ")
    ));
}

/// Creates the webhook; if FlexOrch has one URL only once, after the old ones are deleted.
async fn create(
    flexorch: &Management,
    url: &Url,
    secret: &SecretString,
    replaced: &[Webhook],
) -> Result<CreatedWebhook> {
    let again = |error: CallError| {
        let what = match error.may_have_happened() {
            true => {
                "it is not known whether the webhook was registered; run the same command again, which replaces it if it was"
            }
            false => "the webhook was not registered; run the same command again",
        };
        anyhow!(error).context(what)
    };
    match flexorch.create_webhook(url, secret).await {
        Err(error) if error.error.status == 409 && !replaced.is_empty() => {
            for webhook in replaced {
                flexorch.delete_webhook(&webhook.id).await?;
            }
            flexorch.create_webhook(url, secret).await.map_err(again)
        }
        other => other.map_err(again),
    }
}

fn report(plan: &Plan, registered: &Registered, url: &Url, signing: &SigningSecret, context: &Context) -> Result<Exit> {
    let output = context.output;
    let id = escaped(&registered.id);
    let (created, old) = match plan {
        Plan::Keep { superfluous, .. } => (false, superfluous),
        Plan::Register { replaced } => (true, replaced),
    };
    let done = if created { "registered" } else { "is registered already; nothing to register" };
    output.line(format!("{} webhook {id} {done}", styled(SUCCESS, "✓")))?;
    output.line(format!("  delivers {} to {}", JOB_EVENTS.join(" and "), escaped(url.as_str())))?;
    let made = match registered.origin {
        Origin::Stored => "as before",
        Origin::Random => "a new one, generated at random",
        Origin::FlexOrch => "generated by FlexOrch",
    };
    output.line(format!("  signing secret in {}: {made}", escaped(signing.arn())))?;
    let replaced: Vec<_> = old.iter().map(|webhook| webhook.id.as_str()).collect();
    if !replaced.is_empty() {
        output.line(format!("  deleted: {}", escaped(&replaced.join(", "))))?;
    }
    output.document(&json!({
        "webhook": {"id": registered.id, "url": url.as_str(), "events": JOB_EVENTS},
        "created": created,
        "deleted": replaced,
        "signing_secret": {"arn": signing.arn(), "origin": registered.origin},
    }))?;
    Ok(Exit::Success)
}
