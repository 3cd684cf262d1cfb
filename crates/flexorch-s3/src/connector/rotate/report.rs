//! The plan, the standing and the result of a rotation.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::drain::Drain;
use super::iam::{Key, MOST_KEYS, shortened};
use super::journal::Header;
use super::plan::Target;
use super::state::Progress;
use crate::connector_secret::SecretDocument;
use crate::context::Context;
use crate::output::{Output, SUCCESS, WARNING, styled};
use crate::text::{escaped, friendly};
use flexorch_s3_ingester::model::credentials::ConnectorId;

/// Shows what a rotation is going to do.
pub(super) fn plan(
    secret: &SecretDocument,
    header: &Header,
    target: &Target,
    keys: &[Key],
    drain: &Drain,
    test_for: Duration,
    context: &Context,
) -> Result<()> {
    let output = context.output;
    let Header { user, old_connector: old, old_key, .. } = header;
    let Target { bucket, prefix, region, .. } = target;
    let mut steps = vec![
        format!("create an access key of IAM user {user}, who has {} of {MOST_KEYS}", keys.len()),
        format!(
            "create a connector that reads s3://{}/{} in {} with it,\n     and test it for up to {}",
            escaped(bucket),
            escaped(prefix),
            escaped(region),
            friendly(test_for)
        ),
        format!("write its id into secret {:?}", secret.id),
        format!("wait {} until every running function has read it\n     ({})", friendly(drain.time), drain.basis),
        format!("delete connector {old}"),
    ];
    steps.extend(old_key.as_ref().map(|key| format!("delete access key {}", shortened(key))));
    output.line(format!("Rotation of connector {old}:"))?;
    for (number, step) in (1..).zip(steps) {
        output.line(format!("  {number}. {step}"))?;
    }
    if let (None, [key, ..]) = (old_key, keys) {
        output.line(format!(
            "{} access key {} stays: it is not known whether connector {old} uses it.\n  If it does, add --old-access-key-id {}",
            styled(WARNING, "!"),
            shortened(&key.id),
            key.id
        ))?;
    }
    Ok(())
}

/// What is reported of a rotation.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) header: &'a Header,
    pub(super) progress: &'a Progress,
    pub(super) secret: &'a SecretDocument,
    pub(super) drain: Duration,
}

/// The JSON output. It is a struct because a number in a `serde_json::Value` may lose digits.
#[derive(Serialize)]
struct Document<'a> {
    state: &'static str,
    secret: SecretNames<'a>,
    user: &'a str,
    old: Old<'a>,
    new: New<'a>,
    secret_written_at: Option<String>,
    drain_seconds: u64,
}

#[derive(Serialize)]
struct SecretNames<'a> {
    id: &'a str,
    arn: &'a str,
}

#[derive(Serialize)]
struct Old<'a> {
    connector_id: &'a ConnectorId,
    connector_deleted: bool,
    /// The end of the access key's id, if it is known.
    access_key: Option<String>,
    access_key_deleted: bool,
}

#[derive(Serialize)]
struct New<'a> {
    connector_id: Option<&'a ConnectorId>,
    access_key: Option<String>,
}

impl Report<'_> {
    /// Prints the end of a complete rotation.
    pub(super) fn finished(self, output: Output) -> Result<()> {
        let Self { header, progress, .. } = self;
        let new = progress.connector.as_ref().map(ToString::to_string).unwrap_or_default();
        let key = progress.key.as_deref().map(shortened).unwrap_or_default();
        output.line(format!(
            "{} connector {} is replaced by connector {new}, which uses access key {key}",
            styled(SUCCESS, "✓"),
            header.old_connector
        ))?;
        if let (None, [left, ..]) = (&header.old_key, header.known_keys.as_slice()) {
            output.line(format!(
                "{} access key {} of IAM user {} is left. If nothing uses it, delete it:\n  aws iam delete-access-key --user-name {} --access-key-id {left}",
                styled(WARNING, "!"),
                shortened(left),
                header.user,
                header.user,
            ))?;
        }
        self.document("finished", output)
    }

    /// Prints the JSON document of an interrupted rotation.
    pub(super) fn interrupted(self, output: Output) -> Result<()> {
        self.document("interrupted", output)
    }

    /// Returns why a rotation failed for good, and what is left.
    pub(super) fn failed(self, reason: &str) -> String {
        format!("{reason}; everything that was created is deleted again, and secret {:?} is unchanged", self.secret.id)
    }

    /// Returns what is the case now.
    pub(super) fn standing(self) -> String {
        let Self { header, progress, .. } = self;
        let old = &header.old_connector;
        match (&progress.written, &progress.connector, &progress.key) {
            (Some(_), ..) if progress.old_connector_deleted => {
                format!("connector {old} is deleted, its access key not yet")
            }
            (Some(at), Some(new), _) => {
                let at = at.strftime("%T UTC");
                let works = match &header.old_key {
                    Some(key) => format!("connector {old} and access key {} still work", shortened(key)),
                    None => format!("connector {old} still works"),
                };
                format!("connector {new} was written into the secret at {at}; {works}")
            }
            (_, Some(new), _) => {
                format!(
                    "connector {new} is created and not yet written into the secret; connector {old} works as before"
                )
            }
            (_, None, Some(key)) => {
                format!("access key {} is created, and connector {old} works as before", shortened(key))
            }
            (_, None, None) if progress.unconfirmed.is_empty() => "nothing was changed".to_owned(),
            _ => format!("connector {old} works as before"),
        }
    }

    fn document(self, state: &'static str, output: Output) -> Result<()> {
        let Self { header, progress, secret, drain } = self;
        output.document(&Document {
            state,
            secret: SecretNames { id: &secret.id, arn: &secret.arn },
            user: &header.user,
            old: Old {
                connector_id: &header.old_connector,
                connector_deleted: progress.old_connector_deleted,
                access_key: header.old_key.as_deref().map(shortened),
                access_key_deleted: progress.old_key_deleted,
            },
            new: New { connector_id: progress.connector.as_ref(), access_key: progress.key.as_deref().map(shortened) },
            secret_written_at: progress.written.map(|at| at.to_string()),
            drain_seconds: drain.as_secs(),
        })
    }
}
