//! The operator's command line: set up, prove, backfill.

pub mod sandbox;
