//! The outcomes function as a built program, against the sandbox's services. Tests are sentences of the contract.

#![expect(clippy::unwrap_used, reason = "a test that meets something unexpected fails there")]

mod alarms;
mod concurrent;
mod reasons;
mod receipts;
mod settings;
mod support;
mod sweep;
mod unpublished;
mod webhook;
