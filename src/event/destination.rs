//! The record that Lambda sends to a destination: the event of an asynchronous invocation, wrapped, with the invocation's result
//! (Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reconcile::cursor_in;
use super::wire::text;
use super::{Contents, UnknownEvent, read_notice};
use crate::model::object::Origin;

/// The `condition` of an event that the function handled; every other value, such as `RetriesExhausted`, is a failure.
const SUCCESS: &str = "Success";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "requestContext", borrow)]
    context: Option<&'a RawValue>,
    #[serde(rename = "responsePayload", borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    condition: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(rename = "errorMessage", borrow)]
    error_message: Option<&'a RawValue>,
}

/// Reads the wrapped event, unless the record says that its invocation succeeded. A record without a condition counts as a failure:
/// submitting an object twice costs little, losing one costs a lot.
///
/// If a reconcile stopped before its end, its error names a cursor, and the reconcile continues from there.
pub(super) fn read(
    request: &RawValue,
    record: &str,
    origin: Origin,
    depth: u8,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    let record: Option<Record<'_>> = serde_json::from_str(record).ok();
    if record.as_ref().is_some_and(Record::succeeded) {
        return Ok(());
    }
    let before = contents.reconciles.len();
    read_notice(request.get(), origin, depth + 1, contents)?;
    if let Some((_, order)) = contents.reconciles.get_mut(before) {
        let message = record.as_ref().and_then(Record::error_message);
        if let Some(cursor) = message.as_deref().and_then(cursor_in) {
            order.cursor = Some(cursor);
        }
    }
    Ok(())
}

impl<'a> Record<'a> {
    fn succeeded(&self) -> bool {
        let context: Option<Context<'_>> = self.context.and_then(|context| serde_json::from_str(context.get()).ok());
        let condition = context.and_then(|context| text(context.condition?));
        condition.is_some_and(|condition| condition == SUCCESS)
    }

    fn error_message(&self) -> Option<Cow<'a, str>> {
        let response: Response<'_> = serde_json::from_str(self.response?.get()).ok()?;
        text(response.error_message?)
    }
}
