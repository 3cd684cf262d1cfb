//! Batches: up to ten entries in one call, each of which succeeds or fails by itself. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{error::SqsError, input::Entry};

/// Entries that one call may have.
const MOST: usize = 10;

/// Characters that an entry's id may have.
const LONGEST_ID: usize = 80;

/// Refuses a batch as a whole (SQS API Reference, `SendMessageBatch`, "Errors").
pub(super) fn check(operation: &str, entries: &[Entry]) -> Result<(), SqsError> {
    if entries.is_empty() {
        return Err(SqsError::empty_batch(operation));
    }
    if entries.len() > MOST {
        return Err(SqsError::too_many_entries(entries.len()));
    }
    let mut seen = BTreeSet::new();
    for entry in entries {
        let id = entry.id.as_deref().ok_or_else(|| SqsError::missing("Id"))?;
        let has_other_characters = id.contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        if id.is_empty() || id.len() > LONGEST_ID || has_other_characters {
            return Err(SqsError::invalid_id());
        }
        if !seen.insert(id) {
            return Err(SqsError::repeated_id(id));
        }
    }
    Ok(())
}

/// Does each entry's work and returns the result of each. If `in_part`, every second one fails instead.
pub(super) fn act_on_each(
    entries: Vec<Entry>,
    in_part: bool,
    mut act: impl FnMut(Entry) -> Result<Value, SqsError>,
) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (position, mut entry) in entries.into_iter().enumerate() {
        let id = entry.id.take().unwrap_or_default();
        let result = if in_part && position % 2 == 1 { Err(SqsError::internal()) } else { act(entry) };
        match result {
            Ok(mut done) => {
                done["Id"] = id.into();
                successful.push(done);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "Code": error.code,
                "Message": error.message,
                "SenderFault": error.sender_fault,
            })),
        }
    }
    let mut response = json!({"Successful": successful});
    if !failed.is_empty() {
        response["Failed"] = failed.into();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(ids: &[&str]) -> Vec<Entry> {
        ids.iter().map(|id| serde_json::from_value(json!({"Id": id})).unwrap()).collect()
    }

    #[test]
    fn a_batch_has_one_to_ten_entries_with_distinct_ids() {
        let refused = |ids: &[&str]| check("SendMessageBatch", &entries(ids)).unwrap_err().code;
        assert!(refused(&[]).ends_with("EmptyBatchRequest"));
        assert!(refused(&["a"; 11]).ends_with("TooManyEntriesInBatchRequest"));
        assert!(refused(&["a", "b", "a"]).ends_with("BatchEntryIdsNotDistinct"));
        for id in ["", "a b", "é", &"x".repeat(81)] {
            assert!(refused(&[id]).ends_with("InvalidBatchEntryId"), "{id}");
        }
        assert_eq!(check("SendMessageBatch", &[Entry::default()]).unwrap_err().code, "MissingParameter");
        assert!(check("SendMessageBatch", &entries(&["a", "B-2_c"])).is_ok());
    }

    #[test]
    fn entries_fail_by_themselves() {
        let mut first = true;
        let response = act_on_each(entries(&["a", "b", "c"]), true, |_| {
            if std::mem::take(&mut first) { Err(SqsError::invalid_characters()) } else { Ok(json!({})) }
        });
        assert_eq!(response["Successful"], json!([{"Id": "c"}]));
        assert_eq!(response["Failed"][0]["Code"], "InvalidMessageContents");
        assert_eq!(response["Failed"][0]["SenderFault"], true);
        assert_eq!(response["Failed"][1]["Id"], "b");
        assert_eq!(response["Failed"][1]["SenderFault"], false);
    }
}
