//! The users and their access keys. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::super::clock::Moment;
use super::error::IamError;

/// How many access keys a user may have (IAM User Guide, "IAM and AWS STS quotas").
const MOST_KEYS: usize = 2;

/// What the secret of every access key begins with, so that a test can look for them all.
pub const SECRET_PREFIX: &str = "sandbox-iam-secret/";

/// The state of IAM: all users, by name.
#[derive(Debug, Default)]
pub struct Store {
    users: BTreeMap<String, Vec<AccessKey>>,
    keys_made: u64,
    /// How long a new key does not work yet.
    pub(super) propagation: Duration,
}

/// An access key of a user.
#[derive(Clone)]
pub(super) struct AccessKey {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) active: bool,
    /// To the second, as in IAM.
    pub(super) created: Moment,
    works_from: Moment,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({})", self.id)
    }
}

impl Store {
    /// Creates a user.
    pub(super) fn create_user(&mut self, user: &str) {
        self.users.entry(user.to_owned()).or_default();
    }

    /// Adds a key that works immediately, whatever the number of keys, and returns its id and its secret.
    pub(super) fn add_key(&mut self, user: &str, now: Moment) -> (String, String) {
        let key = self.new_key(now, Duration::ZERO);
        let (id, secret) = (key.id.clone(), key.secret.clone());
        self.users.entry(user.to_owned()).or_default().push(key);
        (id, secret)
    }

    /// Returns a user's keys, oldest first; none if there is no such user.
    pub(super) fn keys(&self, user: &str) -> &[AccessKey] {
        self.users.get(user).map(Vec::as_slice).unwrap_or_default()
    }

    /// Activates or deactivates a key.
    pub(super) fn set_active(&mut self, id: &str, active: bool) {
        let keys = self.users.values_mut().flatten();
        keys.filter(|key| key.id == id).for_each(|key| key.active = active);
    }

    /// Returns whether AWS accepts a key.
    pub(super) fn works(&self, id: &str, secret: &str, now: Moment) -> bool {
        let key = self.users.values().flatten().find(|key| key.id == id);
        key.is_some_and(|key| key.active && key.secret == secret && key.works_from <= now)
    }

    /// `GetUser`.
    pub(super) fn user(&self, user: &str) -> Result<(), IamError> {
        self.list(user).map(|_| ())
    }

    /// `ListAccessKeys`.
    pub(super) fn list(&self, user: &str) -> Result<&[AccessKey], IamError> {
        self.users.get(user).map(Vec::as_slice).ok_or_else(|| IamError::no_such_user(user))
    }

    /// `CreateAccessKey`.
    pub(super) fn create(&mut self, user: &str, now: Moment) -> Result<AccessKey, IamError> {
        if self.list(user)?.len() >= MOST_KEYS {
            return Err(IamError::too_many_keys(MOST_KEYS));
        }
        let key = self.new_key(now, self.propagation);
        self.users.entry(user.to_owned()).or_default().push(key.clone());
        Ok(key)
    }

    /// `DeleteAccessKey`.
    pub(super) fn delete(&mut self, user: &str, id: &str) -> Result<(), IamError> {
        let keys = self.users.get_mut(user).ok_or_else(|| IamError::no_such_user(user))?;
        let at = keys.iter().position(|key| key.id == id).ok_or_else(|| IamError::no_such_key(id))?;
        keys.remove(at);
        Ok(())
    }

    fn new_key(&mut self, now: Moment, propagation: Duration) -> AccessKey {
        self.keys_made += 1;
        AccessKey {
            id: format!("AKIASANDBOX{:09}", self.keys_made),
            secret: format!("{SECRET_PREFIX}{:021}", self.keys_made),
            active: true,
            created: now.whole_second(),
            works_from: now + propagation,
        }
    }
}
