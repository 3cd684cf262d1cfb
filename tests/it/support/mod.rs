//! What the tests share: the programs and everything around them, on random ports.

pub mod app;
pub mod events;
pub mod operator;
pub mod run;
pub mod runtime_api;
pub mod site;
pub mod starved;
pub mod surroundings;

pub use app::{TestApp, TestAppBuilder};
pub use events::{s3_event, sqs_event};
