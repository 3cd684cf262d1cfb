//! The deliveries of webhooks: one attempt, one retry, and the record of both.
//!
//! | module | its job |
//! | --- | --- |
//! | `dispatcher` | watches for jobs that end, and delivers |
//! | `log` | the deliveries so far |
//! | `post` | one attempt, over plain HTTP |

mod dispatcher;
mod log;
mod post;

pub(crate) use self::dispatcher::Dispatcher;
pub use self::log::{DeliveryAttempt, WebhookDelivery};
