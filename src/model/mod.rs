//! The types that all other modules share. Pure.
//!
//! | file | what it defines |
//! | --- | --- |
//! | [`arn`] | Amazon Resource Names |
//! | [`codes`] | the codes that FlexOrch or a dead letter states, and the names of a dead letter's attributes |
//! | [`metrics`] | the metrics' names |
//! | [`message`] | a queue's message, as far as it is sent again |
//! | [`object`] | an object that an event names |
//! | [`outcome`] | what happened to it, with every reason and class that logs and metrics write; the ledger of an invocation |
//! | [`connector`] | a FlexOrch connector, as its secret describes it |
//! | [`claim`] | the part of S3 that a connector reads, and the claim that a secret keeps while it cannot be read |
//! | [`credentials`] | FlexOrch's API key and the connector's id |
//! | [`job_id`] | the id of a FlexOrch job |
//! | [`scope`] | the operator's filters |
//! | [`settings`] | the names of the environment variables |

pub mod arn;
pub mod claim;
pub mod codes;
pub mod connector;
pub mod credentials;
pub mod job_id;
pub mod message;
pub mod metrics;
pub mod object;
pub mod outcome;
pub mod scope;
pub mod settings;
