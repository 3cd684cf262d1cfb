//! `flexorch-s3 connector rotate`: replaces the access key with which FlexOrch reads a bucket.
//!
//! ```text
//!   plan ──▶ journal (the intent) ──▶ state: journal so far → next step ──▶ steps: make it, record it ─┐
//!                                       ▲                                                              │
//!                                       └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `plan` | what is going to happen, and what speaks against it |
//! | `journal` | the lines of the journal, from which an interrupted rotation continues |
//! | `state` | the next step |
//! | `drive`, `steps`, `wait` | go from step to step; make them; wait, counted down |
//! | `iam`, `drain` | the user's access keys; how long functions may use the old connector |
//! | `report` | the plan, the standing and the result, as text and as JSON |

mod drain;
mod drive;
mod iam;
mod journal;
mod plan;
mod report;
mod state;
mod steps;
mod wait;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::args::RotateOptions;
use crate::connector_secret::{SecretDocument, SecretStore};
use crate::context::Context;
use crate::exit::Exit;
use crate::journal_file::JournalFile;
use crate::management::Management;
use crate::output::confirm;
use crate::stop::Stop;
use drain::Drain;
use drive::{Ending, Rotation};
use iam::{AccessKeys, Key};
use journal::{Header, KIND};
use plan::{Named, Target};
use report::Report;
use state::{Memory, Progress, Terms};

/// The fields of the access key in a connector's secret.
const KEY_ID_FIELD: &str = "aws_access_key_id";
const KEY_SECRET_FIELD: &str = "aws_secret_access_key";

pub(crate) async fn run(options: RotateOptions, context: &Context) -> Result<Exit> {
    let secret = context.secret(&options.secret.secret).await?;
    let flexorch = context.flexorch(secret.api_key()?)?;
    let path = options.journal.clone().unwrap_or_else(|| default_path(&secret));
    let mut progress = Progress::default();
    let found = JournalFile::find(&path, &KIND, |line| progress.apply(line))?;
    let drain = Drain::of(&options, context).await?;
    let subject = Subject { options: &options, context, secret, flexorch, drain };
    let (journal, (header, keys)) = match found {
        Some((journal, header)) => (Some(journal), subject.resume(header, &path).await?),
        None => (None, subject.plan().await?),
    };
    // Only now: a question that waits for its answer ends with the process.
    let stop = context.stop();
    let journal = match journal {
        Some(journal) => journal,
        None => JournalFile::create(&path, &KIND, &header)?,
    };
    subject.rotate(stop, journal, header, progress, keys).await
}

/// The secret whose connector is rotated, and how.
struct Subject<'a> {
    options: &'a RotateOptions,
    context: &'a Context,
    secret: SecretDocument,
    flexorch: Management,
    drain: Drain,
}

impl Subject<'_> {
    /// Checks that a new rotation can begin, shows the plan and asks.
    async fn plan(&self) -> Result<(Header, AccessKeys)> {
        let Self { options, context, secret, flexorch, drain } = self;
        let Some(old_connector) = secret.connector_id()? else {
            bail!(
                "secret {:?} names no connector: create one with `flexorch-s3 connector create --secret {}`",
                secret.id,
                secret.id
            );
        };
        let view = flexorch.connector(&old_connector).await?;
        let target = Target::of(secret, view.as_ref())?;
        let user = match &options.user {
            Some(user) => user.clone(),
            None => plan::user_of_stack(secret, context).await?,
        };
        let keys = AccessKeys::new(context.aws().await?, &user);
        let before = keys.list().await?;
        let in_secret = secret.text(KEY_ID_FIELD)?;
        let at_flexorch = view.as_ref().and_then(|view| view.access_key_id.as_deref());
        let named = Named { told: options.old_access_key_id.as_deref(), recorded: [in_secret.as_deref(), at_flexorch] };
        let old_key = plan::old_key(&user, named, &before)?;
        let header = Header {
            secret: secret.arn.clone(),
            user,
            flexorch_url: context.flexorch_url()?.to_string(),
            old_connector,
            old_key,
            known_keys: before.iter().map(|key| key.id.clone()).collect(),
            begun: context.now(),
        };
        report::plan(secret, &header, &target, &before, drain, options.test_for, context)?;
        if !options.yes {
            let question = format!("Rotate the access key of connector {}?", header.old_connector);
            confirm(false, &question, "nothing was changed")?;
            if keys.list().await? != before {
                bail!("the access keys of IAM user {:?} have changed meanwhile: run the command again", header.user);
            }
        }
        Ok((header, keys))
    }

    /// Checks that the journal of an interrupted rotation belongs to this command.
    async fn resume(&self, mut header: Header, path: &Path) -> Result<(Header, AccessKeys)> {
        let Self { options, context, secret, .. } = self;
        let url = context.flexorch_url()?.to_string();
        let old_key = header.old_key.as_ref().zip(options.old_access_key_id.as_ref());
        let (recorded_key, own_key) = old_key.map(|(old, own)| (old.clone(), own.clone())).unwrap_or_default();
        let parts = |secret: &str, url: String, user: &String, key: String| {
            [("secret", secret.to_owned()), ("FlexOrch at", url), ("IAM user", user.clone()), ("old access key", key)]
        };
        let recorded = parts(&header.secret, header.flexorch_url.clone(), &header.user, recorded_key);
        let own = parts(&secret.arn, url, options.user.as_ref().unwrap_or(&header.user), own_key);
        KIND.check_same(path, &recorded, &own)?;
        let keys = AccessKeys::new(context.aws().await?, &header.user);
        if let Some(told) = &options.old_access_key_id {
            // A key that the rotation created is never the old one.
            let known: Vec<Key> =
                keys.list().await?.into_iter().filter(|key| header.known_keys.contains(&key.id)).collect();
            if header.old_key.is_none() && !known.iter().any(|key| key.id == *told) {
                return Err(plan::Obstacle::NotTheUsers { user: header.user, id: told.clone(), keys: known }.into());
            }
            header.old_key = Some(told.clone());
        }
        context.output.line(format!(
            "Continuing the rotation of connector {} that began at {} (journal {})",
            header.old_connector,
            header.begun.strftime("%F %T UTC"),
            path.display()
        ))?;
        Ok((header, keys))
    }

    async fn rotate(
        self,
        stop: &Stop,
        journal: JournalFile,
        header: Header,
        progress: Progress,
        keys: AccessKeys,
    ) -> Result<Exit> {
        let Self { options, context, secret, flexorch, drain } = self;
        let terms = Terms {
            test_for: options.test_for,
            drain: drain.time,
            secret_has_credentials: secret.text(KEY_SECRET_FIELD)?.is_some(),
        };
        let secrets: SecretStore = context.secrets().await?;
        let (memory, credentials) = (Memory::default(), None);
        let mut rotation = Rotation {
            context,
            header,
            journal,
            progress,
            terms,
            secrets,
            secret,
            flexorch,
            keys,
            memory,
            credentials,
        };
        let ended = rotation.run(stop).await;
        let Rotation { journal, header, progress, secret, .. } = rotation;
        let path = journal.path().to_owned();
        let is_over = matches!(ended, Ok(Ending::Finished | Ending::Failed(_))) || progress == Progress::default();
        if is_over {
            journal.remove()?;
        }
        let again = if is_over {
            String::new()
        } else {
            format!("; to continue, run the same command again (journal {})", path.display())
        };
        let report = Report { header: &header, progress: &progress, secret: &secret, drain: drain.time };
        match ended {
            Ok(Ending::Finished) => {
                report.finished(context.output)?;
                Ok(Exit::Success)
            }
            Ok(Ending::Failed(reason)) => Err(anyhow!("{}", report.failed(&reason))),
            Ok(Ending::Interrupted) => {
                report.interrupted(context.output)?;
                context.output.progress(format!("interrupted: {}{again}", report.standing()));
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(anyhow!("{error:#}; {}{again}", report.standing())),
        }
    }
}

/// Returns the journal's path for a secret, whose whole ARN ends with its name and six random characters.
fn default_path(secret: &SecretDocument) -> PathBuf {
    let name = secret.arn.rsplit(':').next().unwrap_or(&secret.arn);
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    PathBuf::from(format!("flexorch-rotate-{name}.jsonl"))
}
