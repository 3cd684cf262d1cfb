//! What the tests share: the built function and everything around it, on random ports.

pub mod answer;
pub mod app;
pub mod cloudwatch;
pub mod events;
pub mod starved;
pub mod template;

pub use app::{TestApp, TestAppBuilder};
pub use events::{s3_event, sqs_event};
pub use flexorch_sandbox::services as surroundings;
