//! FlexOrch's faults: what an outage looks like, which requests it concerns, and how often it happens.
//!
//! A [`Fault`] is written as a flag (`status=503,times=3`) or as JSON (`{"status": 503, "times": 3}`).
//!
//! | module | its job |
//! | --- | --- |
//! | `definition` | what a fault is |
//! | `keys` | the list of the keys that a fault is written with, and their values |
//! | `meaning` | from keys to a fault and back |
//! | `flag` | a fault as a flag's value |
//! | `table` | the faults in force, and which of them apply to a request |

mod definition;
mod flag;
mod keys;
mod meaning;
mod table;

pub(crate) use self::{
    definition::default_code,
    table::{FileFaults, Seen, Verdict},
};
pub use self::{
    definition::{CannedResponse, Effect, Fault, Filter},
    keys::{FAULT_KEYS, FaultError},
    table::{FaultId, FaultStatus, Faults},
};
