//! What the tests share: the function with its services, and the events that it is invoked with.

mod app;
mod events;

pub use app::{App, AppBuilder, BUS, SECRET, TABLE, WEBHOOK_SECRET};
pub use events::{Answered, Delivery, SIGNING_SECRET, batch, document, receipt, rejected, sqs};
