//! `flexorch-s3 pause` and `resume`: write the field `paused` into a connector's secret, or remove it.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::args::{PauseOptions, ResumeOptions};
use crate::commands::quoted;
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
    Remove,
}

pub(crate) async fn run(options: PauseOptions, context: &Context) -> Result<Exit> {
    let secret = context.secret(&options.secret.secret).await?;
    if secret.is_empty() {
        bail!("secret {:?} is empty: it describes no connector that could be paused; nothing was changed", secret.id);
    }
    let before = secret.paused();
    let change = to_pause(&before, options.reason);
    apply(secret, before, change, context).await
}

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
    let done = Done { secret: &secret, before: &before, after: &after, version: version.as_deref() };
    done.report(context)?;
    context.output.document(&done.json())?;
    Ok(Exit::Success)
}

/// What a command found and did.
struct Done<'a> {
    secret: &'a SecretDocument,
    before: &'a Result<Pause, ConnectorError>,
    after: &'a Pause,
    /// The secret's new version; `None`: nothing changed.
    version: Option<&'a str>,
}

impl Done<'_> {
    fn report(&self, context: &Context) -> Result<()> {
        let (output, id) = (context.output, &self.secret.id);
        if let Err(error) = self.before {
            output.line(format!("{} {error}; the value that was there is gone", styled(WARNING, "!")))?;
        }
        let changed = self.version.is_some();
        let what = match (self.after, changed) {
            (Pause::Yes(reason), false) => format!("is paused already{}; nothing changed", because(reason.as_deref())),
            (Pause::No, false) => "is not paused; nothing changed".to_owned(),
            (Pause::Yes(reason), true) => format!("paused{}; other fields unchanged", because(reason.as_deref())),
            (Pause::No, true) => "resumed; other fields unchanged".to_owned(),
        };
        output.line(format!("{} secret {id:?} {what}", styled(SUCCESS, "✓")))?;
        match (self.before, self.after) {
            (Ok(Pause::Yes(reason)), Pause::Yes(_)) if changed => {
                output.line(format!("  it was paused before{}", because(reason.as_deref())))?;
            }
            (_, Pause::Yes(_)) if changed => {
                output.line(FOLLOWS)?;
                output.line(
                    "  From then on the connector's objects wait and never expire. What FlexOrch accepted before stays accepted.",
                )?;
            }
            (_, Pause::No) if changed => {
                output.line(FOLLOWS)?;
                output.line(
                    "  The objects that waited follow by themselves, most of them within 15 minutes after that.",
                )?;
            }
            _ => {}
        }
        if let Pause::Yes(_) = self.after {
            let resume = context.commands().own(format_args!("resume --secret {}", quoted(id)));
            output.line(styled(DIM, format_args!("  to resume: {resume}")))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let reason = if let Pause::Yes(reason) = self.after { reason.as_deref() } else { None };
        json!({
            "secret": {"id": self.secret.id, "arn": self.secret.arn, "version_id": self.version},
            "paused": *self.after != Pause::No,
            "reason": reason,
            "changed": self.version.is_some(),
            "was_malformed": self.before.is_err(),
        })
    }
}

/// When the function notices a change of its secret.
const FOLLOWS: &str = "  Every process of the function follows within its SECRET_CACHE_TTL_SECONDS (default 300 s).";

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(|| ", without a reason".to_owned(), |reason| format!(": {}", escaped(reason)))
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
