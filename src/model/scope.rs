//! The operator's filters, which decide whether an object is in scope.

use wildmatch::WildMatch;

use super::object::S3Object;
use super::outcome::SkipReason;

/// The operator's filters: `KEY_PREFIXES`, `KEY_SUFFIXES`, `KEY_EXCLUDES`, `MAX_OBJECT_BYTES`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// A key must start with one of them; empty: any key.
    pub key_prefixes: Vec<String>,
    /// A key must end in one of them, case aside; in lower case here. Empty: any key.
    pub key_suffixes: Vec<String>,
    /// A key that matches one of them as a whole is skipped: `*` stands for any characters, `?` for one, and nothing else is
    /// special.
    pub key_excludes: Vec<WildMatch>,
    /// Larger objects are skipped. An object of unknown size is not.
    pub max_object_bytes: Option<u64>,
}

impl Scope {
    /// Returns why the object is out of scope; `None` if it is in scope.
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
        if self.key_excludes.iter().any(|pattern| pattern.matches(key)) {
            return Some(SkipReason::Excluded);
        }
        match (self.max_object_bytes, object.size) {
            (Some(most), Some(size)) if size > most => Some(SkipReason::TooLarge),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(pattern: &str, key: &str) -> bool {
        let scope = Scope { key_excludes: vec![WildMatch::new(pattern)], ..Scope::default() };
        let object = S3Object::new("b", super::super::object::ObjectKey::verbatim(key).unwrap());
        scope.excludes(&object) == Some(SkipReason::Excluded)
    }

    #[test]
    fn a_pattern_matches_the_whole_key_with_a_star_for_any_characters_and_a_question_mark_for_one() {
        for (pattern, key) in
            [("exports/*", "exports/a/b.pdf"), ("*.tmp", "a/b.tmp"), ("a?c", "aüc"), ("*", "x"), ("a*b*c", "a--b--c")]
        {
            assert!(excluded(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("exports/*", "in/exports/a"),
            ("*.tmp", "a.TMP"),
            ("a?c", "ac"),
            ("a", "ab"),
            ("[a]", "a"),
            ("a.c", "abc"),
        ] {
            assert!(!excluded(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn nothing_but_the_star_and_the_question_mark_is_special() {
        for text in ["[a-z]", r"a\b", "{a,b}", "a+(b)$^|"] {
            assert!(excluded(text, text) && !excluded(text, "a"), "{text}");
        }
    }
}
