//! An AWS Lambda function that forwards S3 `ObjectCreated` notifications to FlexOrch and loses no object.
//!
//! ```text
//!          event                          ingest                                            handler
//! Lambda ───────▶ objects ─▶ route ─▶ batch ─▶ session ◀─▶ submit ─▶ outcomes ─▶ settle, answer ──────▶ Lambda
//!                              ▲                             │ │
//!                aws::secrets (connectors) ◀─────────────────┘ └─────▶ flexorch::client
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`handler`] | Handles an invocation by calling the other modules. **Start reading here.** |
//! | [`model`] | Defines the types that all modules share: objects, outcomes, connectors, filters, codes. |
//! | [`event`] | Parses the payload of each source and builds its response. |
//! | [`ingest`] | Chooses connectors, forms requests, sends them and decides the outcomes. |
//! | [`flexorch`] | Implements FlexOrch's API: wire types, classes of responses, client. |
//! | [`aws`] | Calls AWS: the shared HTTP client, Secrets Manager, SQS, S3, Lambda's Runtime API. |
//! | [`program`] | Runs a function under Lambda's runtime; the programs of both functions use it. |
//! | [`config`] | Reads and checks the environment. |
//! | [`telemetry`] | Writes logs and metrics. |
//! | [`redaction`] | Removes secrets from what is logged, returned or sent on. |
//! | [`clock`] | Tells the time and waits. |
//! | [`error`] | Formats errors with their sources. |
//!
//! # Where to find
//!
//! - *When a message is acknowledged*: `handler/acknowledge.rs` decides, `handler/queue.rs` does it.
//! - *What happens after a 429*: `Lane::failed` in `ingest/session/lane/responses.rs`; [`ingest::rate`] pauses the API key.
//! - *What a receipt holds*: `ingest/receipt.rs`; `handler/receipts.rs` sends it.
//! - *Where a new source is added*: [`event`], whose documentation lists the steps.
//! - *The text of a doctor check*: `crates/flexorch-s3/src/doctor`, one file for each check.
//!
//! # Dependencies
//!
//! They go one way: [`handler`] → [`ingest`] → [`aws`], [`flexorch`], [`event`] → [`model`]. [`model`], [`event`], [`ingest`]
//! without `submit` and `stop`, and the readers of responses in [`flexorch`] are pure: no async runtime, no I/O, no environment,
//! and the time and randomness are arguments. `.ci/check-purity` checks that.
//!
//! `crates/flexorch-s3` is the command line and `crates/flexorch-outcomes` the function that follows submitted documents to their end; both
//! use this library. `crates/flexorch-sandbox` has the services that tests and the demo run against; it depends on no other package of the
//! workspace.

#![warn(unreachable_pub)]

pub mod aws;
pub mod clock;
pub mod config;
pub mod error;
pub mod event;
pub mod flexorch;
pub mod handler;
pub mod ingest;
pub mod model;
pub mod program;
pub mod redaction;
pub mod telemetry;
