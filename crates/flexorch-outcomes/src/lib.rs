//! Follows submitted documents to their end.

#![warn(unreachable_pub)]

mod apply;
mod bus;
pub mod config;
mod event;
pub mod handler;
mod item;
mod jobs;
pub mod metrics;
mod receipt;
mod record;
mod signing;
mod sweep;
mod table;
mod text;
mod transition;
mod webhook;
