//! `flexorch-s3 connector …`: FlexOrch's connectors.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `create` | finds or creates the connector that a secret describes, tests it, and writes its id into the secret |
//! | `fields` | gathers the fields that the secret lacks |
//! | `rotate` | replaces the access key with which FlexOrch reads the bucket |
//! | `view` | a connector and its test, as text |

mod create;
mod fields;
mod rotate;
mod view;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::args::{ConnectorAction, DeleteOptions, OneConnector, SecretOption};
use crate::commands::{Commands, quoted};
use crate::connector_secret::SecretDocument;
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{ConnectorTest, ConnectorView, Management, moment};
use crate::output::{DIM, SUCCESS, confirm, styled};
use crate::text::{escaped, table, text_of};
use flexorch_s3_ingester::model::credentials::ConnectorId;
use view::{place, test_result};

pub(crate) async fn run(action: ConnectorAction, context: &Context) -> Result<Exit> {
    match action {
        ConnectorAction::Create(options) => create::run(options, context).await,
        ConnectorAction::Rotate(options) => rotate::run(options, context).await,
        ConnectorAction::Test(which) => test(&which, context).await,
        ConnectorAction::List(secret) => list(&secret, context).await,
        ConnectorAction::Show(which) => show(&which, context).await,
        ConnectorAction::Delete(options) => delete(options, context).await,
    }
}

/// The JSON output of a command. It is a struct because a number in a `serde_json::Value` may lose digits, and a connector's id
/// must not.
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

/// The selected connector: by its id, or the secret's.
struct Chosen {
    commands: Commands,
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
            let create = context.commands().own(format_args!("connector create --secret {}", quoted(&secret.id)));
            bail!("secret {:?} names no connector: pass an id, or create one with `{create}`", secret.id);
        };
        Ok(Self { commands: context.commands(), secret, flexorch, id })
    }

    async fn view(&self) -> Result<ConnectorView> {
        match self.flexorch.connector(&self.id).await? {
            Some(view) => Ok(view),
            None => bail!(
                "FlexOrch has no connector {} for this API key: list them with `{}`",
                escaped(&self.id.to_string()),
                self.commands.own(format_args!("connector list --secret {}", quoted(&self.secret.id)))
            ),
        }
    }
}

async fn test(which: &OneConnector, context: &Context) -> Result<Exit> {
    let chosen = Chosen::read(which, context).await?;
    let view = chosen.view().await?;
    let found = chosen.flexorch.test_connector(&chosen.id).await?;
    context.output.line(test_result(&view, &found))?;
    context.output.document(&Document { test: Some(&found), ..Document::of(&view) })?;
    Ok(if found.success { Exit::Success } else { Exit::Problem })
}

async fn list(secret: &SecretOption, context: &Context) -> Result<Exit> {
    let secret = context.secret(&secret.secret).await?;
    let connectors = context.flexorch(secret.api_key()?)?.connectors().await?;
    let own = secret.connector_id()?.map(|id| id.to_string());
    let mut rows = table(["ID", "NAME", "READS", "ACTIVE", "LAST USED", ""]);
    for view in &connectors {
        let in_secret = if own.as_deref() == Some(view.id.to_string().as_str()) { "the secret's" } else { "" };
        rows.add_row([
            view.id.to_string(),
            escaped(view.name.as_deref().unwrap_or("-")),
            place(view),
            view.active.map_or("-", |active| if active { "yes" } else { "no" }).to_owned(),
            view.last_used_at.as_deref().map_or_else(|| "never".to_owned(), moment),
            in_secret.to_owned(),
        ]);
    }
    match connectors.is_empty() {
        true => context.output.line("FlexOrch has no connectors for this API key.")?,
        false => context.output.line(text_of(&rows).trim_end())?,
    }
    context.output.document(&Listed { connectors: &connectors, secret_connector_id: secret.connector_id()? })?;
    Ok(Exit::Success)
}

async fn show(which: &OneConnector, context: &Context) -> Result<Exit> {
    let view = Chosen::read(which, context).await?.view().await?;
    let date = |text: &Option<String>| text.as_deref().map_or_else(|| "never".to_owned(), moment);
    for (name, value) in [
        ("connector", view.id.to_string()),
        ("name", escaped(view.name.as_deref().unwrap_or("-"))),
        ("reads", place(&view)),
        ("active", view.active.map_or("unknown", |active| if active { "yes" } else { "no" }).to_owned()),
        ("created", date(&view.created_at)),
        ("last tested", date(&view.last_tested_at)),
        ("last used", date(&view.last_used_at)),
    ] {
        context.output.line(format!("{} {value}", styled(DIM, format_args!("{name:<12}"))))?;
    }
    context.output.document(&Document::of(&view))?;
    Ok(Exit::Success)
}

async fn delete(options: DeleteOptions, context: &Context) -> Result<Exit> {
    let chosen = Chosen::read(&options.which, context).await?;
    let view = chosen.view().await?;
    let name = escaped(view.name.as_deref().unwrap_or("no name"));
    let question = format!("Delete connector {} ({name}), which reads {}?", view.id, place(&view));
    confirm(options.yes, &question, "nothing was deleted")?;
    chosen.flexorch.delete_connector(&chosen.id).await?;
    let output = context.output;
    output.line(format!("{} connector {} deleted", styled(SUCCESS, "✓"), view.id))?;
    let was_own = chosen.secret.connector_id()?.is_some_and(|own| own.to_string() == view.id.to_string());
    if was_own {
        let create = chosen.commands.own(format_args!("connector create --secret {}", quoted(&chosen.secret.id)));
        output.line(format!(
            "  Secret {:?} still names it: uploads wait in the retry queue until you create another connector with `{create}`.",
            chosen.secret.id
        ))?;
    }
    output.document(&Deleted { deleted: &view, named_in_secret: was_own })?;
    Ok(Exit::Success)
}
