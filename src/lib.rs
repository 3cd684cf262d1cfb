//! S3 `ObjectCreated` → FlexOrch, within seconds, and never an object lost.
//!
//! ```text
//!                        event/ (payload → objects)                              event/ (outcomes → answer)
//!                               │                                                        ▲
//!        Lambda ──▶ handler ────┴──▶ ingest/: route ─▶ batch ─▶ submit ─▶ outcomes ──────┘
//!                                               ▲                  │
//!                                 aws/secrets (credentials)    flexorch/client
//! ```
//!
//! | module | its one job |
//! | --- | --- |
//! | [`handler`] | composes the rest: event → objects → outcomes → answer. **Begin here.** |
//! | [`model`] | the vocabulary: objects, outcomes, connectors, the operator's filters |
//! | [`event`] | each source's wire shape, in and out |
//! | [`ingest`] | the work: which connector, which requests, when, and with what result |
//! | [`flexorch`] | FlexOrch's API: wire types, error classes, client |
//! | [`aws`] | the AWS edge: the shared HTTP client, secrets, queues, buckets |
//! | [`config`] | the environment, checked |
//! | [`telemetry`] | logs and metrics |
//! | [`redaction`] | secrets removed from what is logged, returned or sent on |
//! | [`clock`], [`error`] | the time as an argument; errors as people read them |
//!
//! Dependencies go one way: [`handler`] → [`ingest`] → [`aws`], [`flexorch`], [`event`] → [`model`].
//! [`model`], [`event`] and, in [`ingest`], `route`, `batch`, `retry` and `rate` are pure: no async
//! runtime, no HTTP, no SDK, no environment, and the time is an argument.
//!
//! `crates/flexorch-s3` is the operator's command line, and `crates/flexorch-sandbox` the services that tests and demo run against.

pub mod aws;
pub mod clock;
pub mod config;
pub mod error;
pub mod event;
pub mod flexorch;
pub mod handler;
pub mod ingest;
pub mod model;
pub mod redaction;
pub mod telemetry;
