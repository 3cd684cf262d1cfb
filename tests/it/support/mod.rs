//! What the tests share: the function and everything around it, on random ports.

pub mod app;
pub mod events;
pub mod operator;
pub mod runtime_api;

pub use app::{TestApp, TestAppBuilder};
pub use events::{s3_event, sqs_event};
