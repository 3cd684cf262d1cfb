//! What the tests share: the function with its services, and the events that it is invoked with.

mod app;
/// The template's alarms, as the ingester's tests evaluate them.
#[path = "../../../../../tests/it/support/cloudwatch.rs"]
pub mod cloudwatch;
pub mod events;
/// The template, as the ingester's tests read it.
#[expect(dead_code, reason = "the ingester's tests read more of it")]
#[path = "../../../../../tests/it/support/template.rs"]
pub mod template;

pub use app::{App, AppBuilder, BUS, SECRET, TABLE, WEBHOOK_SECRET};
pub use events::{Delivery, batch, document, receipt, receipt_of, rejected, sqs, submitted_at};
