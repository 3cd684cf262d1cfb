//! An AWS Lambda function that tracks submitted documents: it records each in a DynamoDB table, learns how its job ended and publishes
//! that as an EventBridge event.
//!
//! ```text
//!  receipts (SQS) ──────▶ receipt ─┐                                       ┌─▶ table (DynamoDB)
//!  webhook (URL) ───────▶ webhook ─┼─▶ fact ─▶ apply: read, decide, write ─┤
//!  {"sweep": {}} ─▶ sweep ─▶ jobs ─┘              (transition, pure)       └─▶ bus (EventBridge)
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`handler`] | Handles an invocation by calling the other modules. **Start reading here.** |
//! | `event` | Recognises the three kinds of event. |
//! | [`schema`], `record` | Define the table, and a document's record with the detail of its events. |
//! | `transition` | **Decides what a record becomes**: pure, so that any order of input leads to the same. |
//! | `receipt`, `webhook`, `jobs` | Parse what the ingester, FlexOrch's webhook and FlexOrch's API say. |
//! | `apply` | Reads, decides, writes and publishes; the only writer of records. |
//! | `table`, `item`, `bus`, `signing` | The edges: DynamoDB, EventBridge, and the webhook's secret. |
//! | `sweep` | Asks for the jobs that stay open, within the plan's rate. |
//! | [`config`], `metrics`, `text` | Settings, metrics, and texts without secrets. |

#![warn(unreachable_pub)]

mod apply;
mod bus;
pub mod config;
mod event;
pub mod handler;
mod item;
mod jobs;
mod metrics;
mod receipt;
mod record;
pub mod schema;
mod signing;
mod sweep;
mod table;
mod text;
mod transition;
mod webhook;

pub use event::{SWEEP_ORDER, is_sweep_order};
