//! The built function, started as Lambda starts it, against a local Runtime API, embedded FlexOrch and AWS endpoints.
//!
//! Each file is a part of the contract; each test's name is a sentence of it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets something unexpected fails there")]

mod alarms;
mod blocks;
mod deadline;
mod failures;
mod halving;
mod names;
mod pacing;
mod receipts;
mod reconcile;
mod renewal;
mod returning;
mod routing;
mod secrets;
mod settings;
mod sources;
mod support;
mod telemetry;
mod template;
mod tls;
mod unreadable;
