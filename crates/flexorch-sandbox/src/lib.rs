//! FlexOrch's API and the AWS endpoints that an ingester needs, embedded, with faults: for tests, demos and rehearsals. Depends on no
//! other package of this workspace.
//!
//! ```text
//!  client ──▶ server ──▶ http::front_door ─────────────▶ http::* ──▶ api
//!             (loopback,  log, faults, key, rate limit    handlers    (pure: tenants,
//!              resets)          │          │                           rules, responses)
//!                               ▼          ▼
//!                            record      fault
//!
//!  AWS SDK ──▶ server ──▶ aws (recorded calls, faults, JSON) ──▶ secrets_manager, queues, buckets, iam,
//!                                                                 dynamodb, eventbridge
//!  function ─▶ server ──▶ runtime_api
//! ```
//!
//! | module | its job |
//! | --- | --- |
//! | [`services`] | all services, started together |
//! | `sandbox`, `options` | FlexOrch: start, control, settings |
//! | `server` | HTTP on 127.0.0.1, with connections that can be reset |
//! | `http` | routes, the front door, the admin path `/_sandbox` |
//! | `api` | FlexOrch's decisions, without HTTP or a clock |
//! | `fault` | FlexOrch's faults, and which requests they apply to |
//! | `record` | the submissions so far |
//! | `delivery` | webhooks: the watch for jobs that end, attempts, the deliveries so far |
//! | `aws` | what the AWS endpoints share |
//! | `body` | bodies that end too early, or never |
//! | [`secrets_manager`], [`queues`], [`buckets`], [`iam`] | AWS Secrets Manager, Amazon SQS, Amazon S3, and IAM's access keys |
//! | [`dynamodb`], [`eventbridge`] | Amazon DynamoDB and Amazon EventBridge |
//! | [`stub`] | a server with the responses of its caller |
//! | [`runtime_api`], [`program`] | Lambda's Runtime API, for a function that runs as a local process, and that process |
//! | [`function`] | a function's process with all services |
//! | `wait` | waiting for a condition |
//!
//! Any key that starts with `dfx_` is a separate tenant. Keys are kept in memory only and shown masked.
//! If FlexOrch's behaviour is not known, the sandbox does the stricter thing, and the item's comment says so.

#![warn(unreachable_pub)]

mod api;
mod api_key;
mod aws;
mod body;
pub mod buckets;
mod clock;
mod delivery;
pub mod dynamodb;
pub mod eventbridge;
mod fault;
pub mod function;
mod hex;
mod http;
pub mod iam;
mod options;
pub mod program;
pub mod queues;
mod record;
pub mod runtime_api;
mod sandbox;
pub mod secrets_manager;
mod server;
pub mod services;
pub mod stub;
#[cfg(test)]
mod tests;
mod wait;

/// The faults of the AWS endpoints.
pub mod aws_fault {
    pub use super::aws::fault::AwsFault;
}

pub use self::{
    api_key::ApiKey,
    delivery::{DeliveryAttempt, WebhookDelivery},
    fault::{CannedResponse, Effect, FAULT_KEYS, Fault, FaultError, FaultId, FaultStatus, Faults, Filter},
    options::{Plan, SandboxOptions, UnknownPlan, UnknownWebhookSecrets, WebhookOptions, WebhookSecrets},
    record::RecordedRequest,
    sandbox::Sandbox,
    server::SandboxError,
    services::Services,
    wait::wait_until,
};
