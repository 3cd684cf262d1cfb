//! Which keys and events a notification matches (S3 User Guide, "Configuring event notifications using object key name
//! filtering").

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that S3 wants percent-encoded in a filter: all but its "safe characters" and the slash. A space is then written `+`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'!')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b' ');

/// The maximum length of an encoded prefix or suffix (S3 API Reference, `FilterRule`).
const LONGEST: usize = 1024;

/// The keys that a notification matches, not URL-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The prefix of the keys.
    pub(crate) prefix: String,
    /// The suffix of the keys, case-sensitive.
    pub(crate) suffix: String,
}

/// A prefix or suffix that S3 does not accept in a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// It contains an asterisk.
    #[error("the {name} {text:?} contains a *: S3 supports no wildcards in a notification's filter")]
    Wildcard {
        /// `prefix` or `suffix`.
        name: &'static str,
        /// The prefix or suffix.
        text: String,
    },
    #[error("the encoded {name} is {length} characters long; S3 accepts {LONGEST}")]
    TooLong {
        /// `prefix` or `suffix`.
        name: &'static str,
        /// Its length once encoded.
        length: usize,
    },
}

impl Filter {
    pub(crate) fn new(prefix: &str, suffix: &str) -> Result<Self, FilterError> {
        for (name, text) in [("prefix", prefix), ("suffix", suffix)] {
            if text.contains('*') {
                return Err(FilterError::Wildcard { name, text: text.to_owned() });
            }
            let length = encoded(text).len();
            if length > LONGEST {
                return Err(FilterError::TooLong { name, length });
            }
        }
        Ok(Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    /// Returns the prefix as encoded in a filter.
    pub(crate) fn written_prefix(&self) -> String {
        encoded(&self.prefix)
    }

    /// Returns whether a key can match both filters.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self, other);
        (a.prefix.starts_with(&b.prefix) || b.prefix.starts_with(&a.prefix))
            && (a.suffix.ends_with(&b.suffix) || b.suffix.ends_with(&a.suffix))
    }

    /// Returns whether every key that matches the other filter matches this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.prefix.starts_with(&self.prefix) && other.suffix.ends_with(&self.suffix)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.prefix.as_str(), self.suffix.as_str()) {
            ("", "") => f.write_str("all keys"),
            (prefix, "") => write!(f, "prefix {prefix:?}"),
            ("", suffix) => write!(f, "suffix {suffix:?}"),
            (prefix, suffix) => write!(f, "prefix {prefix:?} suffix {suffix:?}"),
        }
    }
}

/// Encodes a prefix or suffix for a filter.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string().replace(' ', "+")
}

/// Decodes a prefix or suffix of a filter. Text that is not URL-encoded UTF-8 is returned unchanged.
pub(crate) fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text.to_owned(),
    }
}

/// Returns whether every event of the narrow type is one of the wide type: `s3:ObjectCreated:*` covers `s3:ObjectCreated:Put`.
pub(crate) fn event_covers(wide: &str, narrow: &str) -> bool {
    wide == narrow || wide.strip_suffix('*').is_some_and(|stem| narrow.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(prefix: &str, suffix: &str) -> Filter {
        Filter::new(prefix, suffix).unwrap()
    }

    #[test]
    fn prefixes_and_suffixes_are_written_as_s3_wants_them() {
        for (plain, written) in [
            ("invoices/2026/", "invoices/2026/"),
            ("a b/", "a+b/"),
            ("a+b/", "a%2Bb/"),
            ("日本/", "%E6%97%A5%E6%9C%AC/"),
            ("100% (safe!)'_-.", "100%25+(safe!)'_-."),
            ("", ""),
        ] {
            assert_eq!((encoded(plain).as_str(), decoded(written).as_str()), (written, plain));
        }
        assert_eq!(decoded("%FF"), "%FF");
        assert_eq!(decoded("100%"), "100%");
    }

    #[test]
    fn what_s3_takes_in_no_filter_is_refused() {
        assert!(Filter::new("", "*.pdf").unwrap_err().to_string().contains("wildcards"));
        assert!(Filter::new(&"é".repeat(171), "").unwrap_err().to_string().contains("1026 characters"));
        assert!(Filter::new(&"x".repeat(1024), "").is_ok());
    }

    #[test]
    fn filters_overlap_where_a_key_can_pass_both() {
        for (a, b, overlap) in [
            (("images", ".jpg"), ("images", ".png"), false),
            (("images/", ""), ("logs/", ""), false),
            (("images", ""), ("", ".jpg"), true),
            (("images", ".jpg"), ("images/2026", "jpg"), true),
            (("", ""), ("images", ".jpg"), true),
            (("a", ".pdf"), ("b", ".pdf"), false),
        ] {
            let (a, b) = (filter(a.0, a.1), filter(b.0, b.1));
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (overlap, overlap), "{a} and {b}");
        }
        assert!(filter("in", "").covers(&filter("in/x", ".pdf")));
        assert!(!filter("in/x", "").covers(&filter("in", ".pdf")));
    }

    #[test]
    fn an_event_type_with_a_star_covers_its_family() {
        assert!(event_covers("s3:ObjectCreated:*", "s3:ObjectCreated:Put"));
        assert!(event_covers("s3:ObjectCreated:*", "s3:ObjectCreated:*"));
        assert!(!event_covers("s3:ObjectCreated:Put", "s3:ObjectCreated:*"));
        assert!(!event_covers("s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"));
    }
}
