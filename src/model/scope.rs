//! The operator's filters: which objects are in scope.

use super::object::S3Object;
use super::outcome::SkipReason;

/// The operator's filters: `KEY_PREFIXES`, `KEY_SUFFIXES`, `MAX_OBJECT_BYTES`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// A key must start with one of them; empty: any key.
    pub key_prefixes: Vec<String>,
    /// A key must end in one of them, case aside; in lower case here. Empty: any key.
    pub key_suffixes: Vec<String>,
    /// Larger objects are skipped. An object whose size no one told is not.
    pub max_object_bytes: Option<u64>,
}

impl Scope {
    /// Why the object is out of scope; `None` where it is in.
    #[must_use]
    pub fn excludes(&self, object: &S3Object) -> Option<SkipReason> {
        let key = object.key.as_str();
        let prefixed = self.key_prefixes.is_empty() || self.key_prefixes.iter().any(|prefix| key.starts_with(prefix));
        if !prefixed {
            return Some(SkipReason::OutOfPrefix);
        }
        if !self.key_suffixes.is_empty() {
            let lower = key.to_lowercase();
            if !self.key_suffixes.iter().any(|suffix| lower.ends_with(suffix)) {
                return Some(SkipReason::OutOfSuffix);
            }
        }
        match (self.max_object_bytes, object.size) {
            (Some(most), Some(size)) if size > most => Some(SkipReason::TooLarge),
            _ => None,
        }
    }
}
