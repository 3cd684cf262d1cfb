//! `flexorch-s3 pause` and `resume`: write the field `paused` into a connector's secret, or remove it.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{PauseOptions, ResumeOptions};
use crate::connector_secret::SecretDocument;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{DIM, SUCCESS, WARNING, styled};
use crate::text::escaped;
use flexorch_s3_ingester::model::connector::{ConnectorError, Pause};

/// The secret's field.
const FIELD: &str = "paused";

/// What to do with the field.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// It says what it should already.
    None,
    /// Write it, with this reason if there is one.
    Set(Option<String>),
    /// Remove it.
    Remove,
}

/// Runs `pause`.
pub(crate) async fn run(options: PauseOptions, context: &Context) -> Result<Exit> {
    let secret = context.secret(&options.secret.secret).await?;
    if secret.is_empty() {
        bail!("secret {:?} is empty: it describes no connector that could be paused; nothing was changed", secret.id);
    }
    let before = secret.paused();
    let change = to_pause(&before, options.reason);
    apply(secret, before, change, context).await
}

/// Runs `resume`.
pub(crate) async fn run_resume(options: ResumeOptions, context: &Context) -> Result<Exit> {
    let secret = context.secret(&options.secret.secret).await?;
    let before = secret.paused();
    let change = to_resume(&before);
    apply(secret, before, change, context).await
}

/// Decides how to pause. A reason that is there already stays unless there is a new one.
fn to_pause(before: &Result<Pause, ConnectorError>, reason: Option<String>) -> Change {
    match (before, reason) {
        (Ok(Pause::Yes(_)), None) => Change::None,
        (Ok(Pause::Yes(Some(old))), Some(new)) if *old == new => Change::None,
        (_, reason) => Change::Set(reason),
    }
}

/// Decides how to resume.
fn to_resume(before: &Result<Pause, ConnectorError>) -> Change {
    match before {
        Ok(Pause::No) => Change::None,
        // A value of another type makes the whole secret malformed for the function, so removing it is the fix.
        Ok(Pause::Yes(_)) | Err(_) => Change::Remove,
    }
}

/// Writes the secret, unless nothing changes, and reports.
async fn apply(
    mut secret: SecretDocument,
    before: Result<Pause, ConnectorError>,
    change: Change,
    context: &Context,
) -> Result<Exit> {
    let after = match &change {
        Change::None => before.clone().unwrap_or(Pause::No),
        Change::Remove => Pause::No,
        Change::Set(reason) => Pause::Yes(reason.clone()),
    };
    let version = match &change {
        Change::None => None,
        Change::Remove => {
            secret.remove(FIELD);
            Some(context.secrets().await?.write(&secret).await?)
        }
        Change::Set(reason) => {
            match reason {
                Some(reason) => secret.set(FIELD, reason)?,
                None => secret.set(FIELD, &true)?,
            }
            Some(context.secrets().await?.write(&secret).await?)
        }
    };
    report(&secret, &before, &after, version.is_some(), context)?;
    let reason = if let Pause::Yes(reason) = &after { reason.as_deref() } else { None };
    context.output.document(&json!({
        "secret": {"id": secret.id, "arn": secret.arn, "version_id": version},
        "paused": after != Pause::No,
        "reason": reason,
        "changed": version.is_some(),
    }))?;
    Ok(Exit::Success)
}

fn report(
    secret: &SecretDocument,
    before: &Result<Pause, ConnectorError>,
    after: &Pause,
    changed: bool,
    context: &Context,
) -> Result<()> {
    let (output, done, id) = (context.output, styled(SUCCESS, "✓"), &secret.id);
    let because = |pause: &Pause| match pause {
        Pause::Yes(Some(reason)) => format!(": {}", escaped(reason)),
        Pause::Yes(None) => ", without a reason".to_owned(),
        Pause::No => String::new(),
    };
    if let Err(error) = before {
        output.line(format!("{} {error}: the value that was there is gone", styled(WARNING, "!")))?;
    }
    match (after, changed) {
        (Pause::Yes(_), false) => {
            output.line(format!("{done} secret {id:?} is paused already{}; nothing changed", because(after)))?;
        }
        (Pause::No, false) => output.line(format!("{done} secret {id:?} is not paused; nothing changed"))?,
        (Pause::Yes(_), true) => {
            output.line(format!("{done} secret {id:?} paused{}; other fields unchanged", because(after)))?;
            if let Ok(Pause::Yes(_)) = before {
                let replaced = before.as_ref().map(because).unwrap_or_default();
                output.line(styled(DIM, format_args!("  it was paused before{replaced}")))?;
            } else {
                output.line(
                    "  Every process of the function follows within its SECRET_CACHE_TTL_SECONDS (default 300 s). From then on the \
                     connector's\n  objects wait and never expire. What FlexOrch accepted before stays accepted.",
                )?;
            }
        }
        (Pause::No, true) => {
            output.line(format!("{done} secret {id:?} resumed; other fields unchanged"))?;
            output.line(
                "  Every process of the function follows within its SECRET_CACHE_TTL_SECONDS (default 300 s). The objects that waited \
                 follow\n  by themselves, at the latest 15 minutes after that.",
            )?;
        }
    }
    match after {
        Pause::Yes(_) => output.line(styled(DIM, format_args!("  to resume: flexorch-s3 resume --secret {id}"))),
        Pause::No => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: Result<Pause, ConnectorError> = Err(ConnectorError::Wrong { field: FIELD, expected: "" });

    #[test]
    fn a_pause_is_written_only_if_it_changes_something() {
        let reason = |text: &str| Some(text.to_owned());
        for (before, typed, expected) in [
            (Ok(Pause::No), None, Change::Set(None)),
            (Ok(Pause::No), reason("a"), Change::Set(reason("a"))),
            (Ok(Pause::Yes(None)), None, Change::None),
            (Ok(Pause::Yes(reason("a"))), None, Change::None),
            (Ok(Pause::Yes(reason("a"))), reason("a"), Change::None),
            (Ok(Pause::Yes(reason("a"))), reason("b"), Change::Set(reason("b"))),
            (Ok(Pause::Yes(None)), reason("b"), Change::Set(reason("b"))),
            (MALFORMED, None, Change::Set(None)),
        ] {
            assert_eq!(to_pause(&before, typed.clone()), expected, "{before:?} {typed:?}");
        }
    }

    #[test]
    fn a_pause_of_any_kind_is_removed() {
        assert_eq!(to_resume(&Ok(Pause::No)), Change::None);
        assert_eq!(to_resume(&Ok(Pause::Yes(None))), Change::Remove);
        assert_eq!(to_resume(&MALFORMED), Change::Remove);
    }
}
