//! Which keys and which events a notification is for (S3 User Guide, "Configuring event notifications using object key name
//! filtering").

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What S3 wants percent-encoded in a filter: all but its "safe characters" and the slash. A space is written `+` afterwards.
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

/// Characters that a prefix or a suffix may have (S3 API Reference, `FilterRule`).
const LONGEST: usize = 1024;

/// The keys that a notification is for, as they are, not encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Filter {
    /// What they start with.
    pub prefix: String,
    /// What they end in. Case matters.
    pub suffix: String,
}

impl Filter {
    /// Refuses what S3 takes in no filter.
    pub(in super::super) fn checked(prefix: &str, suffix: &str) -> Result<Self, String> {
        for (name, text) in [("prefix", prefix), ("suffix", suffix)] {
            if text.contains('*') {
                return Err(format!(
                    "the {name} {text:?} holds a *, and S3 has no wildcards in a notification's filter"
                ));
            }
            let length = encoded(text).len();
            if length > LONGEST {
                return Err(format!("the {name} is {length} characters long once encoded; S3 takes {LONGEST}"));
            }
        }
        Ok(Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    /// The prefix as it is written into a filter.
    pub(in super::super) fn written_prefix(&self) -> String {
        encoded(&self.prefix)
    }

    /// Whether a key can pass both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self, other);
        (a.prefix.starts_with(&b.prefix) || b.prefix.starts_with(&a.prefix))
            && (a.suffix.ends_with(&b.suffix) || b.suffix.ends_with(&a.suffix))
    }

    /// Whether every key that passes the other passes this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
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

/// A prefix or suffix as it is written into a filter.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string().replace(' ', "+")
}

/// A prefix or suffix as it was meant by whoever wrote it into a filter. What is no encoding stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text.to_owned(),
    }
}

/// Whether every event of the narrow type is one of the wide type: `s3:ObjectCreated:*` covers `s3:ObjectCreated:Put`.
pub(super) fn event_covers(wide: &str, narrow: &str) -> bool {
    wide == narrow || wide.strip_suffix('*').is_some_and(|stem| narrow.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(prefix: &str, suffix: &str) -> Filter {
        Filter::checked(prefix, suffix).unwrap()
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
        assert!(Filter::checked("", "*.pdf").unwrap_err().contains("wildcards"));
        assert!(Filter::checked(&"é".repeat(171), "").unwrap_err().contains("1026 characters"));
        assert!(Filter::checked(&"x".repeat(1024), "").is_ok());
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
