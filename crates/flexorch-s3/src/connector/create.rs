//! `flexorch-s3 connector create`: finds or creates the connector that a secret describes, tests it, and writes its id into the secret.

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::Document;
use super::fields::{Field, Fields};
use super::view::{place, test_result};
use crate::args::CreateOptions;
use crate::bucket;
use crate::commands::quoted;
use crate::connector_secret::SecretDocument;
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{ConnectorTest, ConnectorView, Management, NewConnector};
use crate::output::{DIM, SUCCESS, styled};
use crate::text::escaped;
use flexorch_s3_ingester::aws::s3::client;

/// Runs the command. Writes the secret last, so that an earlier failure leaves it unchanged.
pub(crate) async fn run(options: CreateOptions, context: &Context) -> Result<Exit> {
    let mut secret = context.secret(&options.secret.secret).await?;
    let mut fields = Fields::gather(&secret, &options)?;
    fields.complete(&[Field::ApiKey, Field::Bucket, Field::Prefix], &secret)?;
    if !fields.has(Field::Region)
        && let Some(region) = bucket_region(context, fields.text(Field::Bucket)).await?
    {
        fields.found(Field::Region, region, &secret)?;
    }
    fields.complete(&[Field::Region], &secret)?;
    let flexorch = context.flexorch(fields.api_key()?)?;
    let (view, created) = match find(&secret, &fields, &options, &flexorch).await? {
        Some(view) => (view, false),
        None => {
            fields.complete(&[Field::AccessKeyId, Field::SecretAccessKey], &secret)?;
            (create(&fields, &options, &flexorch).await?, true)
        }
    };
    let found = test(&view, created, &flexorch).await?;
    let mut written = fields.write_into(&mut secret)?;
    if secret.connector_id()?.as_ref() != Some(&view.id) {
        secret.set("connector_id", &view.id)?;
        written.push("connector_id");
    }
    let version = match written.is_empty() {
        true => None,
        false => Some(context.secrets().await?.write(&secret).await.with_context(|| {
            format!(
                "connector {} exists, but its id could not be written into the secret {:?}: run the command again, which finds the connector",
                view.id, secret.id
            )
        })?),
    };
    report(&secret, &view, created, &found, &written, context)?;
    context.output.document(&Document {
        created: Some(created),
        secret: Some(json!({"id": secret.id, "arn": secret.arn, "written": written, "version_id": version})),
        test: Some(&found),
        ..Document::of(&view)
    })?;
    Ok(if found.success { Exit::Success } else { Exit::Problem })
}

/// Asks S3 for a bucket's region, and returns `None` if S3 does not return it.
async fn bucket_region(context: &Context, bucket: &str) -> Result<Option<String>> {
    Ok(bucket::locate(&client(context.aws().await?, None), bucket).await.region)
}

/// Finds an existing connector: the secret's, or one with the same bucket and prefix.
async fn find(
    secret: &SecretDocument,
    fields: &Fields,
    options: &CreateOptions,
    flexorch: &Management,
) -> Result<Option<ConnectorView>> {
    let own = secret.connector_id()?;
    if let Some(id) = &own
        && let Some(view) = flexorch.connector(id).await?
    {
        let reads_the_same = view.bucket.as_deref().is_none_or(|bucket| bucket == fields.text(Field::Bucket))
            && view.prefix.as_deref().unwrap_or_default() == fields.text(Field::Prefix);
        if !reads_the_same {
            bail!(
                "secret {:?} names connector {id}, which reads {}, but the secret's bucket and prefix are s3://{}/{}: correct them, or \
                 remove `connector_id` from the secret to create another connector; nothing was changed",
                secret.id,
                place(&view),
                escaped(fields.text(Field::Bucket)),
                escaped(fields.text(Field::Prefix)),
            );
        }
        return Ok(Some(view));
    }
    let mut same: Vec<_> = flexorch.connectors().await?;
    same.retain(|view| {
        view.kind.as_deref().is_none_or(|kind| kind == "s3")
            && view.active != Some(false)
            && view.bucket.as_deref() == Some(fields.text(Field::Bucket))
            && view.prefix.as_deref().unwrap_or_default() == fields.text(Field::Prefix)
            && options.name.as_deref().is_none_or(|name| view.name.as_deref() == Some(name))
    });
    match same.len() {
        0 | 1 => Ok(same.pop()),
        many => {
            let ids: Vec<_> = same.iter().map(|view| view.id.to_string()).collect();
            bail!(
                "{many} connectors read s3://{}/{}: {}. Select one with --name, or write its id into the secret {:?} as `connector_id`; \
                 nothing was changed",
                escaped(fields.text(Field::Bucket)),
                escaped(fields.text(Field::Prefix)),
                ids.join(", "),
                secret.id
            )
        }
    }
}

async fn create(fields: &Fields, options: &CreateOptions, flexorch: &Management) -> Result<ConnectorView> {
    let (bucket, prefix) = (fields.text(Field::Bucket), fields.text(Field::Prefix));
    let new = NewConnector {
        name: options.name.clone().unwrap_or_else(|| format!("{bucket}/{prefix}")),
        bucket: bucket.to_owned(),
        region: fields.text(Field::Region).to_owned(),
        prefix: prefix.to_owned(),
        credentials: fields.credentials()?,
    };
    flexorch.create_connector(&new).await.map_err(|error| match error.error.status {
        0 | 500..=599 => anyhow::Error::from(error).context(
            "it is not known whether the connector was created: run the command again, which finds it if it was",
        ),
        _ => error.into(),
    })
}

/// Tests the connector. Deletes a new one that cannot read its bucket, because its credentials cannot be changed.
async fn test(view: &ConnectorView, created: bool, flexorch: &Management) -> Result<ConnectorTest> {
    let found = flexorch.test_connector(&view.id).await.with_context(|| {
        format!("connector {} exists, but could not be tested: run the command again, which finds it", view.id)
    })?;
    if created && !found.success {
        let left = match flexorch.delete_connector(&view.id).await {
            Ok(()) => "the new connector was deleted and the secret is unchanged".to_owned(),
            Err(error) => format!("the new connector {} could not be deleted: {error}", view.id),
        };
        bail!(
            "FlexOrch cannot read {} with these credentials: {}. Their IAM user needs s3:GetObject and s3:ListBucket there (a new access key \
             works after some seconds), and the region must be the bucket's; {left}",
            place(view),
            escaped(&found.message)
        );
    }
    Ok(found)
}

fn report(
    secret: &SecretDocument,
    view: &ConnectorView,
    created: bool,
    found: &ConnectorTest,
    written: &[&str],
    context: &Context,
) -> Result<()> {
    let output = context.output;
    let (done, name) = (styled(SUCCESS, "✓"), escaped(view.name.as_deref().unwrap_or("no name")));
    let made = if created { "created" } else { "already exists" };
    output.line(format!("{done} connector {} ({name}) {made}; reads {}", view.id, place(view)))?;
    output.line(test_result(view, found))?;
    output.line(match written {
        [] => format!("{done} secret {:?} is complete; nothing changed", secret.id),
        written => format!("{done} secret {:?}: {} written, other fields unchanged", secret.id, written.join(", ")),
    })?;
    let next = context.commands().own(format_args!("doctor --secret {}", quoted(&secret.id)));
    output.line(styled(DIM, format_args!("  next: {next}")))
}
