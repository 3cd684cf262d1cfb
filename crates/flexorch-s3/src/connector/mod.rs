//! `flexorch-s3 connector …`: FlexOrch's side of the way.
//!
//! | file | its part |
//! | --- | --- |
//! | `create` | the connector that a secret describes: found or made, tested, and written into the secret |
//! | `fields` | where the fields come from that the secret lacks |

mod create;
mod fields;

use anyhow::{Result, bail};
use serde::Serialize;

use super::args::{ConnectorAction, DeleteOptions, OneConnector, SecretOption};
use super::connector_secret::SecretDocument;
use super::context::Context;
use super::output::{BAD, FAINT, GOOD, confirm, styled};
use super::table::{shown, table, text_of};
use super::{EXIT_NOT_WELL, EXIT_OK};
use crate::management::{ConnectorTest, ConnectorView, Management, moment};
use flexorch_s3_ingester::model::credentials::ConnectorId;

/// Runs one of the commands.
pub(super) async fn run(action: ConnectorAction, context: &Context) -> Result<u8> {
    match action {
        ConnectorAction::Create(options) => create::run(options, context).await,
        ConnectorAction::Test(which) => test(&which, context).await,
        ConnectorAction::List(secret) => list(&secret, context).await,
        ConnectorAction::Show(which) => show(&which, context).await,
        ConnectorAction::Delete(options) => delete(options, context).await,
    }
}

/// What a command found or did, for programs. The documents are structs because a number in a `serde_json::Value` may lose digits,
/// and a connector's id must not.
#[derive(Serialize)]
struct Document<'a> {
    connector: &'a ConnectorView,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<&'a ConnectorTest>,
}

impl<'a> Document<'a> {
    fn of(connector: &'a ConnectorView) -> Self {
        Self { connector, created: None, secret: None, test: None }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    connectors: &'a [ConnectorView],
    secret_connector_id: Option<ConnectorId>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a ConnectorView,
    named_in_secret: bool,
}

/// A connector that was chosen: by its id, or as the secret's.
struct Chosen {
    secret: SecretDocument,
    flexorch: Management,
    id: ConnectorId,
}

impl Chosen {
    async fn read(which: &OneConnector, context: &Context) -> Result<Self> {
        let secret = context.secret(&which.secret.secret).await?;
        let flexorch = context.flexorch(secret.api_key()?)?;
        let named = which.connector.as_ref().and_then(|id| ConnectorId::from_text(id));
        let Some(id) = named.or(secret.connector_id()?) else {
            bail!(
                "secret {:?} names no connector: name one, or make one with `flexorch-s3 connector create --secret {}`",
                secret.id,
                secret.id
            );
        };
        Ok(Self { secret, flexorch, id })
    }

    async fn view(&self) -> Result<ConnectorView> {
        match self.flexorch.connector(&self.id).await? {
            Some(view) => Ok(view),
            None => bail!(
                "FlexOrch knows no connector {} for this API key: `flexorch-s3 connector list --secret {}` shows those it knows",
                self.id,
                self.secret.id
            ),
        }
    }
}

async fn test(which: &OneConnector, context: &Context) -> Result<u8> {
    let chosen = Chosen::read(which, context).await?;
    let view = chosen.view().await?;
    let found = chosen.flexorch.test_connector(&chosen.id).await?;
    context.output.line(test_line(&view, &found))?;
    context.output.document(&Document { test: Some(&found), ..Document::of(&view) })?;
    Ok(if found.success { EXIT_OK } else { EXIT_NOT_WELL })
}

/// What a test found, as a line; where it failed, with what to do.
fn test_line(view: &ConnectorView, found: &ConnectorTest) -> String {
    let place = place(view);
    if found.success {
        let took = found.latency_ms.map(|millis| format!(" ({millis} ms)")).unwrap_or_default();
        return format!("{} connector {}: FlexOrch can read {place}{took}", styled(GOOD, "✓"), view.id);
    }
    format!(
        "{} connector {}: FlexOrch cannot read {place}: {}\n  The IAM user behind it needs s3:GetObject and s3:ListBucket there, and \
         the region must be the bucket's; a connector's credentials cannot be changed, only a new one made.",
        styled(BAD, "✗"),
        view.id,
        shown(&found.message)
    )
}

/// What a connector reads.
fn place(view: &ConnectorView) -> String {
    let bucket = view.bucket.as_deref().unwrap_or("(a bucket that FlexOrch does not show)");
    let region = view.region.as_deref().map(|region| format!(" in {region}")).unwrap_or_default();
    format!("s3://{}/{}{}", shown(bucket), shown(view.prefix.as_deref().unwrap_or_default()), shown(&region))
}

async fn list(secret: &SecretOption, context: &Context) -> Result<u8> {
    let secret = context.secret(&secret.secret).await?;
    let connectors = context.flexorch(secret.api_key()?)?.connectors().await?;
    let own = secret.connector_id()?.map(|id| id.to_string());
    let mut rows = table(["ID", "NAME", "READS", "ACTIVE", "LAST USED", ""]);
    for view in &connectors {
        let of_secret = if own.as_deref() == Some(view.id.to_string().as_str()) { "the secret's" } else { "" };
        rows.add_row([
            view.id.to_string(),
            shown(view.name.as_deref().unwrap_or("-")),
            place(view),
            view.active.map_or("-", |active| if active { "yes" } else { "no" }).to_owned(),
            view.last_used_at.as_deref().map_or_else(|| "never".to_owned(), moment),
            of_secret.to_owned(),
        ]);
    }
    match connectors.is_empty() {
        true => context.output.line("FlexOrch has no connector for this API key.")?,
        false => context.output.line(text_of(&rows).trim_end())?,
    }
    context.output.document(&Listed { connectors: &connectors, secret_connector_id: secret.connector_id()? })?;
    Ok(EXIT_OK)
}

async fn show(which: &OneConnector, context: &Context) -> Result<u8> {
    let view = Chosen::read(which, context).await?.view().await?;
    let date = |text: &Option<String>| text.as_deref().map_or_else(|| "never".to_owned(), moment);
    for (name, value) in [
        ("connector", view.id.to_string()),
        ("name", shown(view.name.as_deref().unwrap_or("-"))),
        ("reads", place(&view)),
        ("active", view.active.map_or("not shown", |active| if active { "yes" } else { "no" }).to_owned()),
        ("made", date(&view.created_at)),
        ("last tested", date(&view.last_tested_at)),
        ("last used", date(&view.last_used_at)),
    ] {
        context.output.line(format!("{} {value}", styled(FAINT, format_args!("{name:<12}"))))?;
    }
    context.output.document(&Document::of(&view))?;
    Ok(EXIT_OK)
}

async fn delete(options: DeleteOptions, context: &Context) -> Result<u8> {
    let chosen = Chosen::read(&options.which, context).await?;
    let view = chosen.view().await?;
    let name = shown(view.name.as_deref().unwrap_or("no name"));
    let question = format!("Delete connector {} ({name}), which reads {}?", view.id, place(&view));
    if !options.yes && !confirm(&question, "--yes")? {
        bail!("nothing was deleted");
    }
    chosen.flexorch.delete_connector(&chosen.id).await?;
    let output = context.output;
    output.line(format!("{} connector {} is deleted", styled(GOOD, "✓"), view.id))?;
    let was_own = chosen.secret.connector_id()?.is_some_and(|own| own.to_string() == view.id.to_string());
    if was_own {
        output.line(format!(
            "  Secret {:?} still names it: what is uploaded waits in the retry queue until `flexorch-s3 connector create --secret {}` has \
             made another.",
            chosen.secret.id, chosen.secret.id
        ))?;
    }
    output.document(&Deleted { deleted: &view, named_in_secret: was_own })?;
    Ok(EXIT_OK)
}
