//! FlexOrch's decisions: tenants, rules and responses, without HTTP, a clock or a lock.
//!
//! | module | its job |
//! | --- | --- |
//! | `flexorch` | the whole state |
//! | `rules`, `ids` | the limits of every tenant, and the ids that were issued |
//! | `tenant`, `connector`, `schedule`, `webhook`, `jobs`, `job` | what belongs to one API key |
//! | `rate` | the requests of a minute |
//! | `submission`, `form` | the body of a submission |
//! | `usage` | the usage endpoints |
//! | `response` | envelopes and errors |

pub(crate) mod connector;
mod flexorch;
pub(crate) mod form;
mod ids;
pub(crate) mod job;
mod jobs;
mod rate;
pub(crate) mod response;
mod rules;
pub(crate) mod schedule;
pub(crate) mod submission;
mod tenant;
pub(crate) mod usage;
pub(crate) mod webhook;

pub(crate) use self::{flexorch::FlexOrch, rules::Rules};
