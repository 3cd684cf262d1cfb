//! The work: objects → connectors → requests → outcomes.
//!
//! [`route`], [`batch`], [`retry`] and [`rate`] decide and are pure; [`submit`] does what they decide, and `lane`
//! holds what an invocation's requests share.

pub mod batch;
mod lane;
pub mod rate;
pub mod retry;
pub mod route;
mod stop;
pub mod submit;
