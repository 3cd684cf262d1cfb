//! The work: objects → connectors → requests → outcomes.
//!
//! [`route`], [`batch`], [`retry`] and [`pace`] decide and are pure; [`submit`] does what they decide.

pub mod batch;
pub mod pace;
pub mod retry;
pub mod route;
pub mod submit;
