//! What the tests share: the function with its services, and the events that it is invoked with.

mod app;
mod events;

pub use app::{App, AppBuilder, BUS, TABLE, WEBHOOK_SECRET};
pub use events::{Delivery, batch, document, receipt, receipt_of, rejected, sqs, submitted_at};
