//! An IAM endpoint on loopback that the AWS SDKs can use: users and their access keys.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | the query protocol, recorded calls, faults |
//! | `store` | the users and their keys |
//! | `xml`, `error` | IAM's documents and errors |

mod error;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod xml;

use std::fmt;
use std::time::Duration;

pub use self::service::IamCall;
pub use self::store::SECRET_PREFIX;
use self::store::Store;
use super::aws::endpoint::{AwsEndpoint, Shared};

/// A running IAM endpoint. It stops in the background when it is dropped.
pub type Iam = AwsEndpoint<Store>;

impl Iam {
    /// Creates a user without access keys.
    pub fn create_user(&self, user: &str) {
        self.shared().service().create_user(user);
    }

    /// Adds an access key to a user, who is created if he does not exist, and returns its id and its secret. It works immediately.
    pub fn add_key(&self, user: &str) -> (String, String) {
        let now = self.shared().now();
        self.shared().service().add_key(user, now)
    }

    /// Returns the ids of a user's access keys, oldest first.
    pub fn keys(&self, user: &str) -> Vec<String> {
        self.shared().service().keys(user).iter().map(|key| key.id.clone()).collect()
    }

    /// Activates or deactivates an access key.
    pub fn set_active(&self, access_key_id: &str, active: bool) {
        self.shared().service().set_active(access_key_id, active);
    }

    /// Sets how long a new access key does not work yet: IAM is eventually consistent.
    pub fn set_propagation(&self, time: Duration) {
        self.shared().service().propagation = time;
    }

    /// Returns a handle by which another endpoint recognizes the access keys.
    pub fn access_keys(&self) -> AccessKeys {
        AccessKeys(self.shared().clone())
    }
}

/// A handle on the access keys. Clones are handles on the same keys.
#[derive(Clone)]
pub struct AccessKeys(Shared<Store>);

impl AccessKeys {
    /// Returns whether AWS accepts an access key now: it exists with this secret, is active, and is known everywhere.
    pub(crate) fn work(&self, access_key_id: &str, secret_access_key: &str) -> bool {
        self.0.service().works(access_key_id, secret_access_key, self.0.now())
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeys")
    }
}
