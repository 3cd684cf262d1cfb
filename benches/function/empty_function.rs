//! The floor that the function is measured against: Lambda's Rust runtime around a handler that does nothing.
//!
//! It takes an event as the function does, as JSON text that it does not look into, and has the same release profile and the
//! same versions and features of every crate.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handler = service_fn(async |_: LambdaEvent<Box<RawValue>>| Ok::<(), Diagnostic>(()));
    runtime.block_on(lambda_runtime::Runtime::new(handler).run())
}
