//! The AWS edge: one HTTP client for the SDK and FlexOrch, the SDK's configuration, the reader of its errors, and
//! the clients of the services.

pub mod failure;
pub mod http;
pub mod runtime_api;
pub mod s3;
pub mod sdk;
pub mod secrets;
pub mod sqs;
