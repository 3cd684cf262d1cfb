//! A message: what it may hold, its size and its MD5. Pure.

use std::{collections::BTreeMap, time::Duration};

use md5::{Digest, Md5};

use super::{
    super::hex,
    attribute::{self, AttributeInput, Attributes},
    check::{check_text, in_range},
    error::SqsError,
};

/// The most bytes of a message with its attributes, and of a whole batch (SQS Developer Guide, "Message quotas").
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// The longest delay of a message: 15 minutes, in seconds.
const LONGEST_DELAY: i64 = 900;

/// A message that can be sent.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) body: String,
    pub(super) attributes: Attributes,
    pub(super) delay: Duration,
    pub(super) group: Group,
}

/// The group that a message was sent in. It is returned to receivers; neither order nor deduplication follows from it here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) id: Option<String>,
    pub(super) deduplication_id: Option<String>,
}

impl Draft {
    /// Parses a message. Its size is left to the caller, because a batch has one limit for all of its messages.
    pub(super) fn read(
        body: Option<String>,
        attributes: BTreeMap<String, AttributeInput>,
        delay_seconds: Option<i64>,
    ) -> Result<Self, SqsError> {
        let body = body.filter(|body| !body.is_empty()).ok_or_else(|| SqsError::missing("MessageBody"))?;
        check_text(&body)?;
        let attributes = attribute::read(attributes)?;
        let delay = Duration::from_secs(in_range("DelaySeconds", delay_seconds, 0..=LONGEST_DELAY)?.unwrap_or(0));
        Ok(Self { body, attributes, delay, group: Group::default() })
    }

    /// Returns the bytes of the body and of the attributes' names, types and values.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, attribute)| name.len() + attribute.size());
        self.body.len() + attributes.sum::<usize>()
    }

    /// Refuses a message that is too large by itself.
    pub(super) fn check_size(&self) -> Result<(), SqsError> {
        if self.size() > MOST_BYTES {
            let message =
                format!("One or more parameters are invalid. Reason: Message must be shorter than {MOST_BYTES} bytes.");
            return Err(SqsError::invalid(message));
        }
        Ok(())
    }

    /// Returns the body's MD5.
    pub(super) fn md5_of_body(&self) -> String {
        hex::encode(&Md5::digest(self.body.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: &str) -> Result<Draft, SqsError> {
        Draft::read(Some(body.to_owned()), BTreeMap::new(), None)
    }

    #[test]
    fn the_md5_of_a_body_is_that_of_its_bytes() {
        // RFC 1321, A.5.
        assert_eq!(draft("abc").unwrap().md5_of_body(), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn a_body_has_text_that_xml_can_hold() {
        assert_eq!(draft("").unwrap_err().code, "MissingParameter");
        assert!(draft("tab\t line\r\n \u{7f} \u{fffd} \u{10ffff}").is_ok());
        for wrong in ["\0", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
            assert_eq!(draft(wrong).unwrap_err().code, "InvalidMessageContents", "{wrong:?}");
        }
    }

    #[test]
    fn a_message_has_a_mebibyte_at_most_with_its_attributes() {
        assert!(draft(&"x".repeat(MOST_BYTES)).unwrap().check_size().is_ok());
        assert!(draft(&"x".repeat(MOST_BYTES + 1)).unwrap().check_size().is_err());
        let inputs = || {
            let input = serde_json::json!({"a": {"DataType": "String", "StringValue": "xyz"}});
            serde_json::from_value::<BTreeMap<String, AttributeInput>>(input).unwrap()
        };
        let small = Draft::read(Some("x".to_owned()), inputs(), None).unwrap();
        assert_eq!(small.size(), 1 + 1 + "String".len() + "xyz".len());
        let large = Draft::read(Some("x".repeat(MOST_BYTES)), inputs(), None).unwrap();
        assert!(large.check_size().is_err());
    }
}
