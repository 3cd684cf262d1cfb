//! The part of S3 that a connector reads, and the claim to it that a secret keeps while it cannot be read.

use std::fmt;
use std::sync::Arc;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::object::S3Object;

/// The part of S3 that a connector reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadScope {
    /// The bucket; `None`: any.
    pub bucket: Option<String>,
    /// The prefix of its keys; empty: all keys.
    pub prefix: String,
}

/// How specific a scope that contains an object is; the most specific one reads it. Two scopes that contain the same object with the
/// same specificity have the same bucket and prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Specificity {
    prefix_bytes: usize,
    names_bucket: bool,
}

impl Specificity {
    /// Returns the specificity of a bucket (`None`: any) and a prefix for an object; `None` if they do not contain it.
    #[must_use]
    pub(crate) fn of(bucket: Option<&str>, prefix: &str, object: &S3Object) -> Option<Self> {
        let contains = bucket.is_none_or(|bucket| bucket == object.bucket) && object.key.as_str().starts_with(prefix);
        contains.then_some(Self { prefix_bytes: prefix.len(), names_bucket: bucket.is_some() })
    }
}

impl ReadScope {
    /// Returns the scope that the text of a malformed secret still states; `None` if it names no bucket.
    ///
    /// In a text that is not JSON as a whole, the fields before the error count. A prefix that is missing or not a string
    /// counts as empty, so that the claim covers too much rather than too little.
    #[must_use]
    pub(crate) fn stated_in(secret: &str) -> Option<Self> {
        let mut stated = StatedFields::default();
        // The caller knows the error; `stated` has what was read before it.
        let _ = serde_json::Deserializer::from_str(secret).deserialize_map(&mut stated);
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let bucket = text(stated.bucket).filter(|bucket| !bucket.is_empty())?;
        Some(Self { bucket: Some(bucket), prefix: text(stated.prefix).unwrap_or_default() })
    }
}

impl fmt::Display for ReadScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bucket {
            Some(bucket) => write!(f, "bucket {bucket:?}")?,
            None => f.write_str("any bucket")?,
        }
        write!(f, " and prefix {:?}", self.prefix)
    }
}

/// The two fields of a secret that state its scope, as far as its text can be parsed.
#[derive(Default)]
struct StatedFields {
    bucket: Option<Value>,
    prefix: Option<Value>,
}

impl<'de> Visitor<'de> for &mut StatedFields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "bucket" => self.bucket = Some(fields.next_value()?),
                "prefix" => self.prefix = Some(fields.next_value()?),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The objects that a secret that cannot be read keeps from the other connectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The secret, as `CONNECTOR_SECRET_IDS` names it.
    pub secret_id: Arc<str>,
    /// The objects that it claims.
    pub scope: ClaimScope,
    /// Why the secret cannot be read; it names the secret.
    pub why: Arc<str>,
}

/// The objects that a secret that cannot be read claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimScope {
    /// Every object: the secret may describe a connector of any scope.
    Everything,
    /// The objects that a connector of this scope would read.
    Part(ReadScope),
    /// No object that a known connector reads.
    Nothing,
}

impl fmt::Display for ClaimScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("every object"),
            Self::Part(scope) => write!(f, "the objects of {scope}, and those that no connector reads"),
            Self::Nothing => f.write_str("the objects that no connector reads"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(secret: &str) -> Option<(String, String)> {
        let scope = ReadScope::stated_in(secret)?;
        Some((scope.bucket?, scope.prefix))
    }

    #[test]
    fn a_malformed_secret_states_its_scope_if_it_names_a_bucket() {
        for (secret, scope) in [
            (r#"{"bucket":"docs","prefix":"hr/","api_key":5}"#, Some(("docs", "hr/"))),
            (r#"{"api_key":"x","b\u0075cket":"docs"}"#, Some(("docs", ""))),
            (r#"{"bucket":"docs","prefix":["hr/"]}"#, Some(("docs", ""))),
            (r#"{"prefix":"hr/"}"#, None),
            (r#"{"bucket":"","prefix":"hr/"}"#, None),
            (r#"{"bucket":7,"prefix":"hr/"}"#, None),
            (r#"["bucket","docs"]"#, None),
            ("bucket: docs", None),
            ("", None),
        ] {
            assert_eq!(
                stated(secret),
                scope.map(|(bucket, prefix)| (bucket.to_owned(), prefix.to_owned())),
                "{secret}"
            );
        }
    }

    #[test]
    fn the_fields_before_a_syntax_error_are_stated() {
        for secret in [
            r#"{"bucket":"docs","prefix":"hr/","api_key":"dfx_a""#,
            r#"{"api_key":"dfx_a","bucket":"docs","prefix":"hr/",}"#,
            r#"{"bucket":"docs","prefix":"hr/" "api_key":"dfx_a"}"#,
        ] {
            assert_eq!(stated(secret), Some(("docs".to_owned(), "hr/".to_owned())), "{secret}");
        }
        assert_eq!(stated(r#"{"api_key":dfx_a,"bucket":"docs"}"#), None);
    }
}
