//! `flexorch-s3`, the built program, against embedded FlexOrch and AWS endpoints. A file for each command.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets something unexpected fails there")]

mod attach;
mod backfill;
mod command_line;
mod connector;
mod doctor;
mod doctor_chain;
mod doctor_hang;
mod doctor_object;
mod doctor_tracking;
mod doctor_waiting;
mod history;
mod letters;
mod pause;
mod receipts;
mod redaction;
mod resubmit;
mod rotate;
mod sandbox;
mod submit;
mod support;
mod webhook;
