//! The vocabulary that everything else shares. Pure.
//!
//! | file | what it defines |
//! | --- | --- |
//! | [`arn`] | Amazon Resource Names |
//! | [`object`] | an object that an event names |
//! | [`outcome`] | what happened to it, with every reason and class that logs and metrics write; the ledger of an invocation |
//! | [`connector`] | a FlexOrch connector, as its secret describes it |
//! | [`credentials`] | FlexOrch's API key and the connector's id |
//! | [`scope`] | the operator's filters |

pub mod arn;
pub mod connector;
pub mod credentials;
pub mod object;
pub mod outcome;
pub mod scope;
