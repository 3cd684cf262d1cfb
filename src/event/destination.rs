//! The record that Lambda sends to an on-failure destination: the event that failed, wrapped (Lambda Developer Guide,
//! "Capturing records of Lambda asynchronous invocations").

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reconcile::cursor_in;
use super::wire::text;
use super::{Contents, UnknownEvent, read_notice};
use crate::model::object::Origin;

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "responsePayload", borrow)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(rename = "errorMessage", borrow)]
    error_message: Option<&'a RawValue>,
}

/// Reads the event inside. Where a reconcile had stopped half-way, its error names the cursor, and it goes on from there.
pub(super) fn read(
    request: &RawValue,
    record: &str,
    origin: Origin,
    depth: u8,
    contents: &mut Contents,
) -> Result<(), UnknownEvent> {
    let before = contents.reconciles.len();
    read_notice(request.get(), origin, depth + 1, contents)?;
    if let Some((_, order)) = contents.reconciles.get_mut(before) {
        let response = serde_json::from_str::<Record<'_>>(record).ok().and_then(|record| record.response);
        let message = response.and_then(|response| text(response.error_message?));
        if let Some(cursor) = message.as_deref().and_then(cursor_in) {
            order.cursor = Some(cursor);
        }
    }
    Ok(())
}
