//! The rotation as a state machine: from the journal's lines and what this process remembers to the next step. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::journal::{Header, Line};
use flexorch_s3_ingester::model::credentials::ConnectorId;

/// How far the clocks of IAM and of this machine may be apart: AWS refuses requests that are signed more than this off.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The first interval between two tests; it doubles up to [`LONGEST_INTERVAL`].
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(8);

/// How far a rotation is, according to its journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Progress {
    /// When access keys were requested of which it is not known whether they were created; oldest first.
    pub(super) unconfirmed: Vec<Timestamp>,
    /// The new access key.
    pub(super) key: Option<String>,
    /// The name of a connector of which it is not known whether it was created.
    requested: Option<String>,
    /// The new connector.
    pub(super) connector: Option<ConnectorId>,
    /// When the secret was seen to name the new connector.
    pub(super) written: Option<Timestamp>,
    pub(super) old_connector_deleted: bool,
    pub(super) old_key_deleted: bool,
    given_up: Option<String>,
}

/// What only this process knows.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// It has the new access key's secret.
    pub(super) holds_secret: bool,
    /// It has looked for access keys whose creation was not confirmed.
    pub(super) searched: bool,
    /// It has looked for them again in the end.
    pub(super) searched_again: bool,
    pub(super) test: Testing,
}

/// The tests of the new connector so far.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) enum Testing {
    #[default]
    NotTested,
    Failed {
        since: Timestamp,
        last: Timestamp,
        tests: u32,
        message: String,
    },
    Passed,
}

/// What a rotation depends on besides its progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How long a failed test is repeated.
    pub(super) test_for: Duration,
    /// How long running functions may use the old connector after the secret was written.
    pub(super) drain: Duration,
    /// The secret contains the access key's secret, so that it must be replaced too.
    pub(super) secret_has_credentials: bool,
}

/// The next step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Delete access keys whose creation was not confirmed: their secret is lost.
    FindLostKeys,
    CreateKey,
    /// Find out whether a connector of this name was created.
    FindConnector {
        name: String,
    },
    CreateConnector {
        key: String,
    },
    Test {
        connector: ConnectorId,
    },
    /// Wait until a new access key may have become valid.
    WaitToTest {
        until: Timestamp,
    },
    /// Give up: FlexOrch still cannot read the bucket, for the reason in its message.
    GiveUp {
        message: String,
    },
    WriteSecret {
        connector: ConnectorId,
        key: String,
    },
    /// Wait until no function uses the old connector.
    Drain {
        until: Timestamp,
    },
    DeleteOldConnector {
        new: ConnectorId,
    },
    DeleteOldKey {
        key: String,
    },
    /// Delete the new connector, which the secret does not name.
    DiscardConnector {
        connector: ConnectorId,
    },
    /// Delete the new access key, which no connector uses.
    DiscardKey {
        key: String,
    },
    Finish,
    /// Everything that was created is deleted again.
    Fail {
        reason: String,
    },
}

impl Progress {
    /// Adds a line of the journal.
    pub(super) fn apply(&mut self, line: Line) {
        match line {
            Line::KeyRequested { at } => self.unconfirmed.push(at),
            Line::KeyRefused => {
                self.unconfirmed.pop();
            }
            Line::KeyCreated { access_key_id } => {
                self.unconfirmed.pop();
                self.key = Some(access_key_id);
            }
            Line::LostKeyDeleted { .. } if !self.unconfirmed.is_empty() => {
                self.unconfirmed.remove(0);
            }
            Line::LostKeyDeleted { .. } => {}
            Line::KeyDeleted => self.key = None,
            Line::ConnectorRequested { name } => self.requested = Some(name),
            Line::ConnectorAbsent => self.requested = None,
            Line::ConnectorCreated { id } => (self.requested, self.connector) = (None, Some(id)),
            Line::ConnectorDeleted => self.connector = None,
            Line::SecretWritten { at } => self.written = Some(at),
            Line::OldConnectorDeleted => self.old_connector_deleted = true,
            Line::OldKeyDeleted => self.old_key_deleted = true,
            Line::GivenUp { reason } => self.given_up = Some(reason),
        }
    }

    /// Returns what to do next.
    pub(super) fn next(&self, header: &Header, terms: Terms, memory: &Memory, now: Timestamp) -> Step {
        match (self.written, &self.connector) {
            (Some(written), Some(new)) => self.after_writing(new, written, header, terms, memory, now),
            _ => self.before_writing(terms, memory, now),
        }
    }

    fn before_writing(&self, terms: Terms, memory: &Memory, now: Timestamp) -> Step {
        // What an earlier process may have created comes first.
        if !self.unconfirmed.is_empty() && !memory.searched {
            return Step::FindLostKeys;
        }
        if let Some(name) = &self.requested {
            return Step::FindConnector { name: name.clone() };
        }
        // A connector needs the key's secret when it is created, and so does the secret if it has the old one.
        let is_lost = !memory.holds_secret && (self.connector.is_none() || terms.secret_has_credentials);
        match (&self.given_up, &self.connector, &self.key) {
            (Some(_), Some(connector), _) => Step::DiscardConnector { connector: connector.clone() },
            (None, Some(connector), _) if is_lost => Step::DiscardConnector { connector: connector.clone() },
            (Some(_), None, Some(key)) => Step::DiscardKey { key: key.clone() },
            (None, None, Some(key)) if is_lost => Step::DiscardKey { key: key.clone() },
            (Some(reason), None, None) => Step::Fail { reason: reason.clone() },
            (None, _, None) => Step::CreateKey,
            (None, None, Some(key)) => Step::CreateConnector { key: key.clone() },
            (None, Some(connector), Some(key)) => match &memory.test {
                Testing::Passed => Step::WriteSecret { connector: connector.clone(), key: key.clone() },
                Testing::NotTested => Step::Test { connector: connector.clone() },
                Testing::Failed { since, last, tests, message } => {
                    let next = later(*last, interval(*tests));
                    match () {
                        () if next > later(*since, terms.test_for) => Step::GiveUp { message: message.clone() },
                        () if next > now => Step::WaitToTest { until: next },
                        () => Step::Test { connector: connector.clone() },
                    }
                }
            },
        }
    }

    fn after_writing(
        &self,
        new: &ConnectorId,
        written: Timestamp,
        header: &Header,
        terms: Terms,
        memory: &Memory,
        now: Timestamp,
    ) -> Step {
        let until = later(written, terms.drain);
        match &header.old_key {
            _ if !self.old_connector_deleted && until > now => Step::Drain { until },
            _ if !self.old_connector_deleted => Step::DeleteOldConnector { new: new.clone() },
            Some(key) if !self.old_key_deleted => Step::DeleteOldKey { key: key.clone() },
            // IAM's list may have lacked a key that was created immediately before.
            _ if !self.unconfirmed.is_empty() && !memory.searched_again => Step::FindLostKeys,
            _ => Step::Finish,
        }
    }

    /// Returns whether this access key was created by an unconfirmed request of this rotation. `created` is IAM's time.
    pub(super) fn is_lost(&self, header: &Header, id: &str, created: Option<Timestamp>) -> bool {
        let requested = self.unconfirmed.first().and_then(|at| at.checked_sub(CLOCK_SKEW).ok());
        let is_new = matches!((requested, created), (Some(requested), Some(created)) if created >= requested);
        is_new && self.key.as_deref() != Some(id) && !header.known_keys.iter().any(|known| known == id)
    }
}

impl Testing {
    /// Adds a failed test.
    pub(super) fn failed(&mut self, message: String, now: Timestamp) {
        let (since, tests) = match self {
            Self::Failed { since, tests, .. } => (*since, *tests),
            _ => (now, 0),
        };
        *self = Self::Failed { since, last: now, tests: tests + 1, message };
    }
}

fn interval(tests: u32) -> Duration {
    (FIRST_INTERVAL * 2_u32.saturating_pow(tests.saturating_sub(1))).min(LONGEST_INTERVAL)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
