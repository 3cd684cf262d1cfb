//! `flexorch-s3 webhook list`.

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::Target;
use super::signing::SigningSecret;
use crate::args::WebhookListOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{Webhook, moment};
use crate::output::{DIM, columns, styled};
use crate::text::{escaped, table, text_within};

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
        false => output.line(text(&items, columns()).trim_end())?,
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

const HEADINGS: [&str; 6] = ["ID", "URL", "EVENTS", "ACTIVE", "CREATED", "NOTE"];

/// Returns a table, or, if that is wider than the terminal, a line for each value: a URL that is shortened cannot be compared.
fn text(items: &[Item<'_>], terminal: Option<usize>) -> String {
    let mut rows = table(HEADINGS);
    rows.add_rows(items.iter().map(row));
    let table = text_within(&rows, None, None);
    let is_wider = |columns: usize| table.lines().any(|line| line.width() > columns);
    if !terminal.is_some_and(is_wider) {
        return table;
    }
    let block = |item: &Item<'_>| {
        let values = HEADINGS.iter().zip(row(item)).filter(|(_, value)| !value.is_empty());
        values.map(|(heading, value)| format!("{heading:<8} {value}\n")).collect::<String>()
    };
    items.iter().map(block).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_is_too_narrow_for_the_table_gets_every_url_whole() {
        let webhook = Webhook {
            id: "wh_1".into(),
            url: "https://abcdefghijklmnopqrstuvwxyz0123456789.lambda-url.eu-west-1.on.aws/".into(),
            events: vec!["job.completed".into(), "job.failed".into()],
            active: true,
            created_at: None,
            export: None,
        };
        let items = [Item { webhook: &webhook, own: Some(true), signing_secret_stored: Some(true) }];
        for narrow in [40, 80] {
            let text = text(&items, Some(narrow));
            assert!(
                text.contains(&format!("URL      {}\n", webhook.url)) && text.contains("NOTE     the stack's\n"),
                "{text}"
            );
        }
        for wide in [None, Some(200)] {
            assert_eq!(text(&items, wide).lines().count(), 2);
        }
    }
}
