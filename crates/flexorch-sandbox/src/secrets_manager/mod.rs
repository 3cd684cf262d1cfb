//! An AWS Secrets Manager endpoint on loopback that the AWS SDKs can use.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | the operations, and recorded calls |
//! | `store` | secrets, versions and stages |

mod service;
mod store;

pub use self::service::SecretsCall;
use self::store::Store;
use super::aws::endpoint::AwsEndpoint;
pub use super::aws::fault::AwsFault as SecretsFault;

/// A running Secrets Manager endpoint. It stops in the background when it is dropped.
pub type SecretsManager = AwsEndpoint<Store>;

impl SecretsManager {
    /// Creates a secret, or adds a new current version.
    pub fn put(&self, name: impl Into<String>, secret_string: impl Into<String>) {
        let now = self.shared().clock.now();
        self.shared().service().set(name.into(), secret_string.into(), now);
    }

    /// Creates a secret of bytes instead of text, or adds a new current version.
    pub fn put_binary(&self, name: impl Into<String>, secret_binary: &[u8]) {
        let now = self.shared().clock.now();
        self.shared().service().set_binary(name.into(), secret_binary, now);
    }

    /// Deletes a secret with all its versions, as after its recovery window.
    pub fn delete(&self, name: &str) {
        self.shared().service().delete(name);
    }

    /// Sets the fault of all calls about the secret of this name, or removes it. It comes before other faults.
    pub fn set_secret_fault(&self, name: &str, fault: Option<SecretsFault>) {
        self.shared().set_resource_fault(name, fault);
    }

    /// Creates a secret without a value, as a template does.
    pub fn create_empty(&self, name: impl Into<String>) {
        let now = self.shared().clock.now();
        self.shared().service().create_empty(name.into(), now);
    }

    /// Sets a tag of a secret, if it exists.
    pub fn tag(&self, name: &str, key: &str, value: &str) {
        self.shared().service().tag(name, key, value);
    }

    /// Returns the values of a secret's versions, oldest first; the last is the current one.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.shared().service().versions(name)
    }

    /// Returns the ARN of a secret of this name in a region, whether or not it exists.
    pub fn arn(&self, name: &str, region: &str) -> String {
        store::arn(name, region)
    }

    /// Returns how often `GetSecretValue` was called for the secret of this name, by its name or its ARN, whatever the response.
    pub fn fetch_count(&self, name: &str) -> usize {
        let fetches = |call: &SecretsCall| {
            call.operation == "GetSecretValue" && (call.name.as_deref() == Some(name) || call.secret_id == name)
        };
        self.calls().into_iter().filter(fetches).count()
    }
}
