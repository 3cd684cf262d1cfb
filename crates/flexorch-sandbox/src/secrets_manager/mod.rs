//! An AWS Secrets Manager endpoint on loopback that the AWS SDKs take for the real one.
//!
//! One endpoint stands for all regions: the region is the one that a call was signed for, and the log of calls keeps
//! it. Signatures are not checked, but there must be one.

mod store;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::store::Store;
use super::{aws_fault::Calls, aws_signature::ACCOUNT, clock::Clock, options::SandboxError, server::Server};

/// How a Secrets Manager beside a sandbox is set up.
#[derive(Clone, Default)]
pub struct SecretsManagerOptions {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The secrets that are there from the start: names and their `SecretString`s.
    pub secrets: Vec<(String, String)>,
}

impl fmt::Debug for SecretsManagerOptions {
    /// Shows the secrets' names, not their contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.secrets.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("SecretsManagerOptions").field("port", &self.port).field("secrets", &names).finish()
    }
}

/// What a call meets instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsFault {
    /// 400 `ResourceNotFoundException`, whatever is there.
    NotFound,
    /// 400 `AccessDeniedException`.
    AccessDenied,
    /// 400 `ThrottlingException`, which the SDKs try again by themselves.
    Throttling,
    /// 500 `InternalServiceError`, which they try again as well.
    Internal,
    /// No answer until the client goes away or the server stops.
    Hang,
    /// A 200 whose body is the beginning of the right one, with a `Content-Length` that fits.
    Truncated,
    /// A 200 whose body is shorter than its `Content-Length`, followed by the end of the connection.
    BrokenOff,
    /// A 200 whose body is a JSON object without a value.
    WithoutValue,
    /// A 200 with a proxy's page.
    Page,
}

/// One call that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsCall {
    /// The operation, `GetSecretValue` for example.
    pub operation: String,
    /// The secret's name or ARN, as it was asked for.
    pub secret_id: String,
    /// The region that the call was signed for.
    pub region: String,
    /// The name of the secret that this is, where there is such a one.
    pub name: Option<String>,
}

/// A running Secrets Manager. Dropped, it stops in the background.
#[derive(Debug)]
pub struct SecretsManager {
    server: Server,
    state: Shared,
}

/// What the calls share.
#[derive(Clone, Debug)]
struct Shared {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    calls: Calls<SecretsCall, SecretsFault>,
    /// Faults of single secrets, by name, before all others.
    of_secret: BTreeMap<String, SecretsFault>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretsManager {
    /// Starts it on 127.0.0.1, without secrets; 0 takes any free port.
    ///
    /// # Errors
    ///
    /// Where the port cannot be bound.
    pub async fn start(port: u16) -> Result<Self, SandboxError> {
        let state = Shared { state: Arc::default(), clock: Clock::start() };
        let for_server = state.clone();
        let server = Server::start(port, |stop| wire::router(for_server, stop)).await?;
        Ok(Self { server, state })
    }

    /// What `AWS_ENDPOINT_URL_SECRETS_MANAGER` is set to.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Creates a secret, or gives it a new current version.
    pub fn put(&self, name: impl Into<String>, secret_string: impl Into<String>) {
        let now = self.state.clock.now();
        let mut state = self.state.lock();
        state.store.set(name.into(), secret_string.into(), now);
    }

    /// Gives a secret bytes as its current version, instead of text.
    pub fn put_binary(&self, name: impl Into<String>, secret_binary: &[u8]) {
        let now = self.state.clock.now();
        self.state.lock().store.set_binary(name.into(), secret_binary, now);
    }

    /// Deletes a secret with all its versions, as after its recovery window.
    pub fn delete(&self, name: &str) {
        self.state.lock().store.delete(name);
    }

    /// Creates a secret without a value, as a template does that is not to know it.
    pub fn create_empty(&self, name: impl Into<String>) {
        let now = self.state.clock.now();
        self.state.lock().store.create_empty(name.into(), now);
    }

    /// A secret's versions, oldest first; the last is the current one.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.state.lock().store.versions(name)
    }

    /// The ARN that a secret of this name has in a region, whether or not it is there.
    pub fn arn(&self, name: &str, region: &str) -> String {
        store::arn(name, region)
    }

    /// The account that the ARNs name.
    pub const fn account() -> &'static str {
        ACCOUNT
    }

    /// How often `GetSecretValue` was called for the secret of this name, by its name or its ARN, whatever the answer.
    pub fn fetch_count(&self, name: &str) -> usize {
        let state = self.state.lock();
        let fetches = |call: &&SecretsCall| {
            call.operation == "GetSecretValue" && (call.name.as_deref() == Some(name) || call.secret_id == name)
        };
        state.calls.so_far().iter().filter(fetches).count()
    }

    /// The calls so far, oldest first.
    pub fn calls(&self) -> Vec<SecretsCall> {
        self.state.lock().calls.so_far().to_vec()
    }

    /// The next `count` calls meet this fault. It takes the place of an earlier `fail_next`.
    pub fn fail_next(&self, count: u64, fault: SecretsFault) {
        self.state.lock().calls.fail_next(count, fault);
    }

    /// All calls meet this fault until it is set to `None`.
    pub fn set_fault(&self, fault: Option<SecretsFault>) {
        self.state.lock().calls.set_fault(fault);
    }

    /// All calls about the secret of this name meet this fault until it is set to `None`, before all other faults.
    pub fn set_secret_fault(&self, name: &str, fault: Option<SecretsFault>) {
        let mut state = self.state.lock();
        match fault {
            Some(fault) => state.of_secret.insert(name.to_owned(), fault),
            None => state.of_secret.remove(name),
        };
    }

    /// All calls of one operation, such as `PutSecretValue`, meet this fault until it is set to `None`.
    pub fn set_operation_fault(&self, operation: &str, fault: Option<SecretsFault>) {
        self.state.lock().calls.set_operation_fault(operation, fault);
    }

    /// All answers take this long.
    pub fn set_latency(&self, latency: Duration) {
        self.state.lock().calls.set_latency(latency);
    }

    /// Stops accepting, lets what is under way end for at most a second, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_show_no_secret() {
        let options = SecretsManagerOptions { port: 1, secrets: vec![("name".to_owned(), "very-secret".to_owned())] };
        let shown = format!("{options:?}");
        assert!(shown.contains("name") && !shown.contains("very-secret"), "{shown}");
    }
}
