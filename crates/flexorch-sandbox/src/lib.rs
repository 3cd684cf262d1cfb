//! FlexOrch's API and the AWS endpoints that an ingester needs, embedded, with faults: for tests, demos and rehearsals. Depends on no
//! other package of this workspace.
//!
//! ```text
//!  client ──▶ server ──▶ http::front_door ─────────────▶ http::* ──▶ api
//!             (loopback,  log, faults, key, rate limit    handlers    (pure: tenants,
//!              resets)          │          │                           rules, answers)
//!                               ▼          ▼
//!                            record      fault
//! ```
//!
//! | module | its job |
//! | --- | --- |
//! | `options` | how a sandbox is set up |
//! | `server` | HTTP on 127.0.0.1, with connections that can be reset |
//! | `http` | routes, the front door, the admin path `/_sandbox` |
//! | `api` | what FlexOrch decides, without HTTP or a clock |
//! | `fault` | what goes wrong, for which requests, how often |
//! | `record` | what was submitted |
//! | [`secrets_manager`] | an AWS Secrets Manager endpoint beside it |
//! | [`queues`] | an Amazon SQS endpoint beside it |
//! | [`buckets`] | an Amazon S3 endpoint beside it |
//! | [`aws_fault`], `aws_signature` | what the AWS endpoints share |
//! | [`runtime_api`] | Lambda's Runtime API, for a function that runs as a local process |
//! | [`services`] | FlexOrch, Secrets Manager, SQS and S3, started together |
//!
//! Any key that starts with `dfx_` is a tenant of its own. Keys are kept in memory alone and shown masked.
//! Where FlexOrch's behaviour is not known, the sandbox does the stricter thing, and the item's comment says so.

mod api;
mod api_key;
pub mod aws_fault;
mod aws_signature;
pub mod buckets;
mod clock;
mod fault;
mod http;
mod options;
pub mod queues;
mod record;
pub mod runtime_api;
pub mod secrets_manager;
mod server;
pub mod services;
pub mod stub;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use self::{
    api::{FlexOrch, Rules},
    clock::Clock,
    http::Shared,
    record::Log,
    secrets_manager::SecretsManager,
    server::Server,
};
pub use self::{
    api_key::ApiKey,
    fault::{CannedAnswer, Effect, Fault, FaultError, FaultId, FaultSpec, FaultStatus, Faults, Filter, NumberOrText},
    options::{Plan, SandboxError, SandboxOptions, UnknownPlan},
    record::RecordedRequest,
    services::Services,
};

/// A running sandbox. Dropped, it stops in the background; [`Sandbox::shutdown`] waits for the end.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    shared: Shared,
    secrets_manager: Option<SecretsManager>,
}

impl Sandbox {
    /// Starts it on 127.0.0.1, in the background of the present Tokio runtime.
    ///
    /// # Errors
    ///
    /// Where the port, or the Secrets Manager's, cannot be bound.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let shared = Shared {
            flexorch: Arc::new(Mutex::new(FlexOrch::new(Rules::from(&options)))),
            faults: Faults::new(options.seed, options.faults),
            log: Log::default(),
            clock: Clock::start(),
            latency: options.latency,
        };
        let for_server = shared.clone();
        let server = Server::start(options.port, |stop| http::router(for_server, stop)).await?;
        let secrets_manager = match options.secrets_manager {
            Some(options) => {
                let secrets_manager = SecretsManager::start(options.port).await?;
                for (name, secret_string) in options.secrets {
                    secrets_manager.put(name, secret_string);
                }
                Some(secrets_manager)
            }
            None => None,
        };
        Ok(Self { server, shared, secrets_manager })
    }

    /// What a client's base URL is, `http://127.0.0.1:8642/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Where the admin path is, `http://127.0.0.1:8642/_sandbox`.
    pub fn admin_url(&self) -> String {
        format!("http://{}/_sandbox", self.server.address())
    }

    /// The submissions so far, oldest first, whatever became of them: the last 50,000, or 64 MB of bodies.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.list()
    }

    /// Forgets the submissions so far. The tenants' documents stay known.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// The keys of all submissions so far in their order, as often as they were sent, whether or not they were taken.
    pub fn submitted_keys(&self) -> Vec<String> {
        let requests = self.shared.log.list();
        requests.into_iter().flat_map(|request| request.keys).collect()
    }

    /// The keys that the API took, sorted: once for each document, over all tenants and connectors.
    pub fn taken_keys(&self) -> Vec<String> {
        self.shared.flexorch().taken_keys()
    }

    /// The faults, to add and take away.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Stops an API key from working: 401 from its next request on.
    pub fn revoke_key(&self, key: &str) {
        self.shared.flexorch().revoke(ApiKey::new(key));
    }

    /// Lets a revoked API key work again; `false` where it was not revoked.
    pub fn restore_key(&self, key: &str) -> bool {
        self.shared.flexorch().restore(&ApiKey::new(key))
    }

    /// Changes the rate limit of all tenants at once; `None` is unlimited.
    pub fn set_requests_per_minute(&self, limit: Option<u32>) {
        self.shared.flexorch().rules.requests_per_minute = limit;
    }

    /// The Secrets Manager beside it, where the options asked for one.
    pub fn secrets_manager(&self) -> Option<&SecretsManager> {
        self.secrets_manager.as_ref()
    }

    /// Stops accepting, lets what is under way end for at most a second, and returns when nothing runs any more.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        if let Some(secrets_manager) = self.secrets_manager {
            secrets_manager.shutdown().await;
        }
    }
}
