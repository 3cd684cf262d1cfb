//! The outcomes function as a built program, against the sandbox's services. Tests are sentences of the contract.

mod receipts;
mod settings;
mod support;
mod sweep;
mod unpublished;
mod webhook;
