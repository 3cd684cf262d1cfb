//! Checks of single values. Pure.

use super::error::SqsError;

/// Refuses text that XML 1.0 cannot hold, as SQS does for bodies and attributes.
pub(super) fn check_text(text: &str) -> Result<(), SqsError> {
    let is_invalid =
        |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.contains(is_invalid) { Err(SqsError::invalid_characters()) } else { Ok(()) }
}

/// Returns a number of a call, if it has one, and refuses it outside its bounds.
pub(super) fn in_range(
    parameter: &str,
    value: Option<i64>,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<Option<u64>, SqsError> {
    value
        .map(|value| {
            u64::try_from(value).ok().filter(|_| bounds.contains(&value)).ok_or_else(|| {
                let (least, most) = (bounds.start(), bounds.end());
                SqsError::invalid(format!(
                    "Value {value} for parameter {parameter} is invalid. Reason: Must be between {least} and {most}, \
                     if provided."
                ))
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_within_their_bounds() {
        assert_eq!(in_range("DelaySeconds", Some(900), 0..=900), Ok(Some(900)));
        assert_eq!(in_range("DelaySeconds", None, 0..=900), Ok(None));
        for wrong in [-1, 901] {
            let error = in_range("DelaySeconds", Some(wrong), 0..=900).unwrap_err();
            assert!(error.message.contains("DelaySeconds") && error.message.contains(&wrong.to_string()));
        }
    }
}
