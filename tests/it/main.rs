//! The built function, started as Lambda starts it, against a local Runtime API, FlexOrch's sandbox and local AWS endpoints.
//!
//! Each file is a part of the contract; each test's name is a sentence of it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets something unexpected fails there")]

mod attach;
mod backfill;
mod command_line;
mod connector;
mod deadline;
mod doctor;
mod failures;
mod halving;
mod pacing;
mod reconcile;
mod renewal;
mod returning;
mod routing;
mod secrets;
mod settings;
mod sources;
mod submit;
mod support;
mod telemetry;
mod tls;
mod unreadable;
