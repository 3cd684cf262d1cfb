//! The steps: each records what is about to happen, calls IAM, FlexOrch or Secrets Manager, and records what happened.

use anyhow::{Result, anyhow, bail};
use secrecy::ExposeSecret;

use super::drive::{NamedConnector, Rotation};
use super::iam::{CreateError, Key, shortened};
use super::journal::Line;
use super::plan::Target;
use super::state::{Step, Testing};
use crate::management::{CallError, NewConnector, Schedule, absent_is_deleted};
use crate::text::{escaped, friendly};
use flexorch_s3_ingester::model::credentials::ConnectorId;

impl Rotation<'_> {
    pub(super) async fn make(&mut self, step: Step) -> Result<()> {
        match step {
            Step::FindLostKeys => self.find_lost_keys().await,
            Step::CreateKey => self.create_key().await,
            Step::FindConnector { name } => self.find_connector(&name).await,
            Step::CreateConnector { key } => self.create_connector(&key).await,
            Step::Test { connector } => self.test(&connector).await,
            Step::GiveUp { message } => {
                let reason = format!(
                    "FlexOrch cannot read the bucket with the new access key: {}. IAM user {:?} needs s3:GetObject and s3:ListBucket there, and \
                     the region must be the bucket's",
                    message.trim_end_matches('.'),
                    self.header.user
                );
                self.record(Line::GivenUp { reason })
            }
            Step::WriteSecret { connector, key } => self.write_secret(&connector, &key).await,
            Step::DeleteOldConnector { new } => self.delete_old_connector(&new).await,
            Step::DeleteOldKey { key } => {
                self.keys.delete(&key).await?;
                self.record(Line::OldKeyDeleted)?;
                self.done(format_args!("access key {} deleted", shortened(&key)))
            }
            Step::DiscardConnector { connector } => self.discard_connector(&connector).await,
            Step::DiscardKey { key } => {
                self.keys.delete(&key).await?;
                self.credentials = None;
                self.record(Line::KeyDeleted)?;
                self.done(format_args!("new access key {} deleted again", shortened(&key)))
            }
            // Not made, but waited for or returned.
            Step::WaitToTest { .. } | Step::Drain { .. } | Step::Finish | Step::Fail { .. } => Ok(()),
        }
    }

    async fn find_lost_keys(&mut self) -> Result<()> {
        let keys = self.keys.list().await?;
        let lost = |key: &&Key| self.progress.is_lost(&self.header, &key.id, key.created);
        let lost: Vec<String> = keys.iter().filter(lost).map(|key| key.id.clone()).collect();
        if lost.len() > self.progress.unconfirmed.len() {
            bail!(
                "IAM user {:?} has {} new access keys, and not all of them can be this rotation's: {}. Delete the one that nothing uses \
                 (`aws iam delete-access-key --user-name {} --access-key-id ID`)",
                self.header.user,
                lost.len(),
                lost.join(", "),
                self.header.user
            );
        }
        for access_key_id in lost {
            self.keys.delete(&access_key_id).await?;
            let shown = shortened(&access_key_id);
            self.record(Line::LostKeyDeleted { access_key_id })?;
            self.done(format_args!(
                "access key {shown} deleted: an interrupted run created it, and its secret is lost"
            ))?;
        }
        match self.progress.written {
            None => self.memory.searched = true,
            Some(_) => self.memory.searched_again = true,
        }
        Ok(())
    }

    async fn create_key(&mut self) -> Result<()> {
        let at = self.context.now();
        self.record(Line::KeyRequested { at })?;
        match self.keys.create().await {
            Ok((id, credentials)) => {
                self.record(Line::KeyCreated { access_key_id: id.clone() })?;
                self.credentials = Some(credentials);
                self.done(format_args!("access key {} of IAM user {} created", shortened(&id), self.header.user))
            }
            Err(error) => {
                if matches!(error, CreateError::Refused(_)) {
                    self.record(Line::KeyRefused)?;
                }
                Err(error.into())
            }
        }
    }

    async fn find_connector(&mut self, name: &str) -> Result<()> {
        let found = self.flexorch.connectors().await?.into_iter();
        let found = found.filter(|view| view.active != Some(false)).find(|view| view.name.as_deref() == Some(name));
        match found {
            Some(view) => self.created(view.id),
            None => self.record(Line::ConnectorAbsent),
        }
    }

    async fn create_connector(&mut self, key: &str) -> Result<()> {
        let old = self.flexorch.connector(&self.header.old_connector).await?;
        let target = Target::of(&self.secret, old.as_ref())?;
        let name = target.name_with(key);
        let Target { bucket, region, prefix, .. } = target;
        let credentials = self.credentials.clone().ok_or_else(|| anyhow!("the new access key's secret is lost"))?;
        let new = NewConnector { name: name.clone(), bucket, region, prefix, credentials };
        self.record(Line::ConnectorRequested { name })?;
        match self.flexorch.create_connector(&new).await {
            Ok(view) => self.created(view.id),
            Err(error) if is_final(&error) => self.record(Line::GivenUp { reason: error.to_string() }),
            Err(error) => Err(error.into()),
        }
    }

    fn created(&mut self, id: ConnectorId) -> Result<()> {
        self.memory.test = Testing::NotTested;
        let shown = id.to_string();
        self.record(Line::ConnectorCreated { id })?;
        self.done(format_args!("connector {shown} created, which uses it"))
    }

    async fn test(&mut self, connector: &ConnectorId) -> Result<()> {
        let test = match self.flexorch.test_connector(connector).await {
            Ok(test) => test,
            Err(error) if error.is_not_found() => {
                return self.record(Line::GivenUp { reason: format!("connector {connector} does not exist any more") });
            }
            Err(error) => return Err(error.into()),
        };
        if test.success {
            self.memory.test = Testing::Passed;
            return self.done(format_args!("connector {connector}: FlexOrch can read the bucket"));
        }
        if self.memory.test == Testing::NotTested {
            self.context.output.progress(format!(
                "  FlexOrch cannot read the bucket yet: {}. A new access key works after some seconds; testing for {}",
                escaped(test.message.trim_end_matches('.')),
                friendly(self.terms.test_for)
            ));
        }
        let now = self.context.now();
        self.memory.test.failed(test.message, now);
        Ok(())
    }

    async fn write_secret(&mut self, connector: &ConnectorId, key: &str) -> Result<()> {
        self.read_secret().await?;
        if self.named()? == NamedConnector::Old {
            self.secret.set("connector_id", connector)?;
            let mut written = vec!["connector_id"];
            // Credentials that stand there are replaced; they are not added, because only `connector create` needs them.
            if self.secret.text(super::KEY_ID_FIELD)?.is_some() {
                self.secret.set(super::KEY_ID_FIELD, &key)?;
                written.push(super::KEY_ID_FIELD);
            }
            if self.terms.secret_has_credentials {
                let credentials =
                    self.credentials.as_ref().ok_or_else(|| anyhow!("the new access key's secret is lost"))?;
                self.secret.set(super::KEY_SECRET_FIELD, &credentials.secret_access_key.expose_secret())?;
                written.push(super::KEY_SECRET_FIELD);
            }
            self.secrets.write(&self.secret).await?;
            let written = written.join(", ");
            self.done(format_args!("secret {:?}: {written} written, other fields unchanged", self.secret.id))?;
        }
        self.credentials = None;
        let at = self.context.now();
        self.record(Line::SecretWritten { at })
    }

    async fn delete_old_connector(&mut self, new: &ConnectorId) -> Result<()> {
        self.read_secret().await?;
        self.named()?;
        let test = self.flexorch.test_connector(new).await?;
        if !test.success {
            bail!(
                "connector {new}, which the secret names, cannot read the bucket: {}. So nothing more is deleted; if its access key is gone, \
                 write `connector_id` {} into the secret again",
                escaped(&test.message),
                self.header.old_connector
            );
        }
        let old = self.header.old_connector.clone();
        let moved = self.copy_schedules(&old, new).await?;
        absent_is_deleted(self.flexorch.delete_connector(&old).await)?;
        self.record(Line::OldConnectorDeleted)?;
        if moved > 0 {
            self.done(format_args!("schedules of connector {old} created for connector {new}: {moved}"))?;
        }
        self.done(format_args!("connector {old} deleted"))
    }

    /// Creates the old connector's schedules for the new one: they are deleted with the old one.
    async fn copy_schedules(&self, from: &ConnectorId, to: &ConnectorId) -> Result<usize> {
        let schedules = match self.flexorch.schedules(from).await {
            Ok(schedules) => schedules,
            // The plan has none, or the connector is gone.
            Err(error) if matches!(error.error.status, 403..=405 | 501) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let active: Vec<_> = schedules.iter().filter(|schedule| schedule.is_active != Some(false)).collect();
        if active.is_empty() {
            return Ok(0);
        }
        let there = self.flexorch.schedules(to).await?;
        let mut copied = 0;
        for schedule in active {
            let same = |other: &&Schedule| {
                other.cron_expression == schedule.cron_expression && other.prefix_filter == schedule.prefix_filter
            };
            if let (None, Some(cron)) = (there.iter().find(same), &schedule.cron_expression) {
                self.flexorch.create_schedule(to, cron, schedule.prefix_filter.as_deref()).await?;
                copied += 1;
            }
        }
        Ok(copied)
    }

    async fn discard_connector(&mut self, connector: &ConnectorId) -> Result<()> {
        self.read_secret().await?;
        self.check_secret()?;
        if self.progress.written.is_some() {
            // The secret names it after all.
            return Ok(());
        }
        absent_is_deleted(self.flexorch.delete_connector(connector).await)?;
        self.record(Line::ConnectorDeleted)?;
        self.done(format_args!("new connector {connector} deleted again"))
    }
}

/// Returns whether FlexOrch refuses for good: the same request will not succeed later.
fn is_final(error: &CallError) -> bool {
    matches!(error.error.status, 400..=499) && !matches!(error.error.status, 408 | 429)
}
