//! Submits objects: chooses connectors, forms requests, sends them and decides the outcomes.
//!
//! | file | what it decides or does |
//! | --- | --- |
//! | [`route`] | which connector an object goes to, or why it goes nowhere |
//! | [`session`] | the submission of an invocation's objects, as a state machine: **what happens after a response, such as a 429, is in `session::lane`** |
//! | [`batch`] | which objects share a request, and the halving of refused ones |
//! | [`rate`] | the plan's rate and the cool-downs after a 429 |
//! | [`retry`] | when a failed request is tried again |
//! | [`receipt`] | what a request did, as a message for whoever follows its documents |
//! | [`submit`] | the driver: does what the session says, over HTTP |
//!
//! All but [`submit`] are pure.

pub mod batch;
pub mod rate;
pub mod receipt;
pub mod retry;
pub mod route;
pub mod session;
mod stop;
pub mod submit;
