//! Drives a rotation: from step to step until its end, or until it is interrupted.

use std::future::Future;

use anyhow::{Result, bail};

use super::iam::AccessKeys;
use super::journal::{Header, Line};
use super::state::{Memory, Progress, Step, Terms};
use super::wait::{Wait, wait};
use crate::connector_secret::{SecretDocument, SecretStore};
use crate::context::Context;
use crate::journal_file::JournalFile;
use crate::management::{AwsCredentials, Management};
use crate::output::{Output, SUCCESS, styled};
use crate::stop::Stop;
use flexorch_s3_ingester::model::credentials::ConnectorId;

/// A rotation at work.
pub(super) struct Rotation<'a> {
    pub(super) context: &'a Context,
    pub(super) header: Header,
    pub(super) journal: JournalFile,
    pub(super) progress: Progress,
    pub(super) terms: Terms,
    pub(super) secrets: SecretStore,
    pub(super) secret: SecretDocument,
    pub(super) flexorch: Management,
    pub(super) keys: AccessKeys,
    pub(super) memory: Memory,
    /// The new access key, until the secret is written.
    pub(super) credentials: Option<AwsCredentials>,
}

#[derive(Debug)]
pub(super) enum Ending {
    Finished,
    /// It failed for good, and everything that was created is deleted again.
    Failed(String),
    Interrupted,
}

/// The connector that the secret names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedConnector {
    Old,
    New,
}

impl Rotation<'_> {
    /// Makes the steps that are left. An interruption ends it after the current step, a second one immediately.
    pub(super) async fn run(&mut self, stop: &Stop) -> Result<Ending> {
        self.check_secret()?;
        loop {
            let step = self.next();
            tracing::info!(?step, "rotation");
            let waiting = match step {
                Step::Finish => return Ok(Ending::Finished),
                Step::Fail { reason } => return Ok(Ending::Failed(reason)),
                Step::WaitToTest { until } => Some(Wait { until, what: "until the new access key works" }),
                Step::Drain { until } => Some(Wait { until, what: "until every running function has read the secret" }),
                _ => None,
            };
            let interrupted = match waiting {
                Some(waiting) => wait(&waiting, self.context, stop).await,
                None => {
                    let output = self.context.output;
                    match finish(self.make(step), output, stop).await {
                        Some(result) => result.map(|()| stop.is_requested())?,
                        None => true,
                    }
                }
            };
            if interrupted {
                return Ok(Ending::Interrupted);
            }
        }
    }

    fn next(&mut self) -> Step {
        self.memory.holds_secret = self.credentials.is_some();
        self.progress.next(&self.header, self.terms, &self.memory, self.context.now())
    }

    /// Records a line before anything else happens.
    pub(super) fn record(&mut self, line: Line) -> Result<()> {
        self.journal.add(&line)?;
        self.journal.sync()?;
        self.progress.apply(line);
        Ok(())
    }

    pub(super) fn done(&self, what: impl std::fmt::Display) -> Result<()> {
        self.context.output.line(format!("{} {what}", styled(SUCCESS, "✓")))
    }

    /// Takes note of a secret that was written while the journal was not.
    pub(super) fn check_secret(&mut self) -> Result<()> {
        if self.named()? == NamedConnector::New && self.progress.written.is_none() {
            let at = self.context.now();
            self.record(Line::SecretWritten { at })?;
        }
        Ok(())
    }

    /// Returns which connector the secret names. Ids are compared as text: someone may have written a number as a string.
    pub(super) fn named(&self) -> Result<NamedConnector> {
        let named = self.secret.connector_id()?.map(|id| id.to_string());
        let is = |id: Option<&ConnectorId>| id.is_some_and(|id| named.as_deref() == Some(id.to_string().as_str()));
        let new = self.progress.connector.as_ref();
        match (is(new), is(Some(&self.header.old_connector)), &self.progress.written, new) {
            (true, ..) => Ok(NamedConnector::New),
            (_, true, None, _) => Ok(NamedConnector::Old),
            (_, _, Some(_), Some(new)) => bail!(
                "secret {:?} names connector {} instead of {new}: someone has changed it since the rotation wrote it. To complete the rotation, \
                 set `connector_id` to {new} again; to undo it, delete connector {new} and its access key, and remove the journal",
                self.secret.id,
                named.as_deref().unwrap_or("none"),
            ),
            _ => bail!(
                "secret {:?} names connector {} instead of {}: someone has changed it since the rotation began. To rotate that connector, \
                 first delete what this rotation created, and remove the journal",
                self.secret.id,
                named.as_deref().unwrap_or("none"),
                self.header.old_connector
            ),
        }
    }

    /// Reads the secret as it is now.
    pub(super) async fn read_secret(&mut self) -> Result<()> {
        let id = std::mem::take(&mut self.secret.id);
        self.secret = self.secrets.read(&id).await.inspect_err(|_| self.secret.id.clone_from(&id))?;
        Ok(())
    }
}

/// Waits for the end of a step, and returns its result. A second interruption ends it: `None`.
async fn finish<T>(step: impl Future<Output = T>, output: Output, stop: &Stop) -> Option<T> {
    let given_up = async {
        stop.requested().await;
        output.progress("finishing this step; interrupt again to stop immediately");
        stop.insisted().await;
    };
    tokio::select! {
        result = step => Some(result),
        () = given_up => None,
    }
}
