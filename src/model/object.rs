//! An object that an event names: its key, its order among events, and its position in the invocation.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that S3 encodes in the key of a notification. A space becomes `+` in a second step.
const FORM_ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// The key of an S3 object as S3 itself stores it: always decoded, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

/// Why text is not an object key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The decoded bytes are not UTF-8, which every S3 key is (S3 User Guide, "Naming Amazon S3 objects").
    #[error("the object key is not UTF-8 after decoding")]
    NotUtf8,
    /// The key is empty, which no S3 key is.
    #[error("the object key is empty")]
    Empty,
}

impl ObjectKey {
    /// Returns a key that is not encoded, as in EventBridge events and S3 listings.
    ///
    /// # Errors
    /// [`KeyError::Empty`].
    pub fn verbatim(key: impl Into<String>) -> Result<Self, KeyError> {
        let key = key.into();
        if key.is_empty() { Err(KeyError::Empty) } else { Ok(Self(key)) }
    }

    /// Decodes the key of an S3 event notification: `+` is a space, `%XX` is a byte of UTF-8, and a `%` that starts
    /// no escape is kept (S3 User Guide, "Event message structure").
    ///
    /// # Errors
    /// [`KeyError`] if the result is empty or not UTF-8.
    pub fn from_form_encoded(encoded: &str) -> Result<Self, KeyError> {
        // `+` first: a plus that is part of the key arrives as `%2B`.
        let spaced = if encoded.contains('+') { Cow::Owned(encoded.replace('+', " ")) } else { Cow::Borrowed(encoded) };
        Self::from_percent_encoded(&spaced)
    }

    /// Decodes only `%XX`, as in tasks of S3 Batch Operations; a `+` is kept.
    ///
    /// # Errors
    /// [`KeyError`] if the result is empty or not UTF-8.
    pub(crate) fn from_percent_encoded(encoded: &str) -> Result<Self, KeyError> {
        match percent_decode_str(encoded).decode_utf8() {
            Ok(decoded) => Self::verbatim(decoded),
            Err(_) => Err(KeyError::NotUtf8),
        }
    }

    /// Encodes the key as S3 event notifications do; [`ObjectKey::from_form_encoded`] decodes it.
    #[must_use]
    pub(crate) fn to_form_encoded(&self) -> String {
        utf8_percent_encode(&self.0, FORM_ENCODED).to_string().replace(' ', "+")
    }

    /// Returns the decoded key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `sequencer` of an event, which orders the events of one key (S3 User Guide, "Event message structure").
///
/// Compare sequencers of the same bucket and key only. The values are hexadecimal numbers of varying length; AWS's pages disagree
/// about the side on which the shorter is padded, and left is what makes them compare as the numbers that they are.
#[derive(Debug, Clone)]
pub struct Sequencer(String);

impl Sequencer {
    /// Returns the sequencer with this text; `None` if the text is empty.
    #[must_use]
    pub fn new(hex: impl Into<String>) -> Option<Self> {
        let hex = hex.into();
        (!hex.is_empty()).then_some(Self(hex))
    }

    /// Returns the text as it arrived.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Sequencer {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        let digits = |text: &str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
        a.len().cmp(&b.len()).then_with(|| digits(a).cmp(&digits(b)))
    }
}

impl PartialOrd for Sequencer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sequencer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Sequencer {}

/// The time of an event, with its text as received: a receipt, a dead letter and a replacement repeat it unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    text: Box<str>,
    time: Timestamp,
}

impl EventTime {
    /// Returns the text as it arrived.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }
}

impl FromStr for EventTime {
    type Err = jiff::Error;

    /// Parses an RFC 3339 timestamp.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { time: text.parse()?, text: text.into() })
    }
}

/// The part of an invocation that named an object: the position of the SQS message or of the Batch Operations task; 0 for an
/// event that arrives directly. The result of that part follows from the outcomes of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Origin(pub u32);

impl Origin {
    /// Returns the position as an index.
    #[must_use]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an event says happened to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `ObjectCreated:*`, EventBridge's `Object Created`, a listed object, or a Batch Operations task: the object is to be
    /// ingested.
    Created,
    /// Any other change, such as `ObjectRemoved:Delete`.
    Other,
}

/// One object that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// The bucket's name.
    pub bucket: String,
    /// The decoded key.
    pub key: ObjectKey,
    /// The version that the event is about, `null` included; `None` in a bucket without versioning.
    pub version_id: Option<Box<str>>,
    /// The entity tag, without quotation marks.
    pub etag: Option<Box<str>>,
    /// The size in bytes, if the source states it.
    pub size: Option<u64>,
    /// The order of this event among those of the same key, if the source states it.
    pub sequencer: Option<Sequencer>,
    /// The time of the event at S3, from which `IngestLag` is measured.
    pub event_time: Option<EventTime>,
    /// What the event says happened to the object.
    pub change: Change,
    /// The part of the invocation that named it.
    pub origin: Origin,
}

impl S3Object {
    /// Returns a created object of which only the name is known, in the first part of its invocation.
    #[must_use]
    pub fn new(bucket: impl Into<String>, key: ObjectKey) -> Self {
        Self {
            bucket: bucket.into(),
            key,
            version_id: None,
            etag: None,
            size: None,
            sequencer: None,
            event_time: None,
            change: Change::Created,
            origin: Origin::default(),
        }
    }

    /// Returns the time of the event at S3, if the source states it.
    #[must_use]
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.event_time.as_ref().map(EventTime::time)
    }

    /// Whether the object is a folder marker: the console's "create folder" makes an empty object whose key ends in a slash.
    #[must_use]
    pub fn is_folder_marker(&self) -> bool {
        self.size == Some(0) && self.key.as_str().ends_with('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(encoded: &str) -> String {
        ObjectKey::from_form_encoded(encoded).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_plus_is_a_space_and_an_encoded_plus_is_a_plus() {
        assert_eq!(form("red+flower.jpg"), "red flower.jpg");
        assert_eq!(form("c%2B%2B+notes.pdf"), "c++ notes.pdf");
    }

    #[test]
    fn an_encoded_slash_and_a_literal_one_are_the_same_key() {
        assert_eq!(form("a%2Fb%2fc.pdf"), "a/b/c.pdf");
        assert_eq!(form("a/b/c.pdf"), "a/b/c.pdf");
    }

    #[test]
    fn a_percent_sign_that_starts_no_escape_stays() {
        assert_eq!(form("100%.pdf"), "100%.pdf");
        assert_eq!(form("50%2"), "50%2");
        assert_eq!(form("a%zz%41"), "a%zzA");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_key() {
        assert_eq!(ObjectKey::from_form_encoded("a%FFb"), Err(KeyError::NotUtf8));
        assert_eq!(ObjectKey::from_form_encoded(""), Err(KeyError::Empty));
    }

    #[test]
    fn a_batch_task_keeps_its_plus() {
        assert_eq!(ObjectKey::from_percent_encoded("a+b%20c").unwrap().as_str(), "a+b c");
    }

    #[test]
    fn sequencers_compare_as_hexadecimal_numbers_of_any_length() {
        let seq = |s: &str| Sequencer::new(s).unwrap();
        assert!(seq("0055AED6DCD90281E5") > seq("0055AED6DCD90281E4"));
        assert!(seq("100") > seq("0FF"));
        assert!(seq("ab") < seq("0AC"));
        assert_eq!(seq("00ab"), seq("AB"));
        assert!(Sequencer::new("").is_none());
    }

    proptest! {
        #[test]
        fn every_key_survives_encoding_and_decoding(key in ".{1,200}") {
            let key = ObjectKey::verbatim(key).unwrap();
            prop_assert_eq!(ObjectKey::from_form_encoded(&key.to_form_encoded()).unwrap(), key);
        }

        #[test]
        fn decoding_never_panics(text in ".{0,200}") {
            let _ = ObjectKey::from_form_encoded(&text);
            let _ = ObjectKey::from_percent_encoded(&text);
        }

        #[test]
        fn sequencers_order_like_the_numbers_they_are(a in any::<u64>(), b in any::<u64>(), pad in 16usize..24) {
            let (x, y) = (Sequencer::new(format!("{a:x}")).unwrap(), Sequencer::new(format!("{b:0pad$X}")).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
