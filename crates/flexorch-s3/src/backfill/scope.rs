//! The scope of a backfill: which of the bucket's objects, as typed and as resolved. Pure.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::args::{Moment, ScopeOptions};
use flexorch_s3_ingester::aws::s3::Listed;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::scope::Scope as FunctionScope;

/// The scope as typed. Two runs with the same scope are the same backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TypedScope {
    /// The prefix of the keys: the connector's if none is typed.
    pub(crate) prefix: String,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    /// In lower case, sorted.
    pub(crate) suffixes: Vec<String>,
    /// Patterns, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) excludes: Vec<String>,
    pub(crate) max_bytes: Option<u64>,
}

impl TypedScope {
    /// Creates a scope within the connector's prefix.
    ///
    /// # Errors
    /// If the connector does not read the prefix.
    pub(crate) fn new(connector_prefix: &str, options: &ScopeOptions) -> Result<Self> {
        let prefix = options.prefix.as_deref().unwrap_or(connector_prefix);
        if !prefix.starts_with(connector_prefix) {
            bail!(
                "--prefix {prefix:?} is outside the connector's prefix {connector_prefix:?}: start with that, or omit --prefix"
            );
        }
        let typed = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.typed().to_owned());
        Ok(Self {
            prefix: prefix.to_owned(),
            since: typed(&options.since),
            until: typed(&options.until),
            suffixes: listed(options.suffixes.iter().map(|suffix| suffix.to_lowercase())),
            excludes: listed(options.excludes.iter().cloned()),
            max_bytes: options.max_bytes,
        })
    }
}

/// Returns the items of a list that are not empty, without surrounding blanks, sorted, each once.
fn listed(items: impl Iterator<Item = String>) -> Vec<String> {
    let items = items.map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
    items.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns sixteen hexadecimal digits that identify a text.
pub(crate) fn fingerprint(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The resolved scope.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) prefix: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    filters: FunctionScope,
}

impl Scope {
    /// Resolves a scope.
    pub(crate) fn new(typed: &TypedScope, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let filters = FunctionScope {
            key_prefixes: Vec::new(),
            key_suffixes: typed.suffixes.clone(),
            key_excludes: typed.excludes.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            max_object_bytes: typed.max_bytes,
        };
        Self { prefix: typed.prefix.clone(), since, until, filters }
    }

    /// Returns the object to send, or why it is out of scope. An object without a modification time is in scope.
    pub(crate) fn admit(&self, listed: Listed, bucket: &str) -> Result<S3Object, &'static str> {
        if self.since.zip(listed.modified).is_some_and(|(since, modified)| modified < since) {
            return Err("too-old");
        }
        if self.until.zip(listed.modified).is_some_and(|(until, modified)| modified >= until) {
            return Err("too-new");
        }
        // No event time: the object's age must not count as ingest lag.
        let object = S3Object { etag: listed.etag, size: listed.size, ..S3Object::new(bucket, listed.key) };
        if object.is_folder_marker() {
            return Err("folder-marker");
        }
        match self.filters.excludes(&object) {
            Some(reason) => Err(reason.as_str()),
            None => Ok(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexorch_s3_ingester::model::object::ObjectKey;

    fn listed(key: &str, size: u64, modified: &str) -> Listed {
        Listed {
            key: ObjectKey::verbatim(key).unwrap(),
            etag: None,
            size: Some(size),
            modified: Some(modified.parse().unwrap()),
        }
    }

    #[test]
    fn a_prefix_narrows_the_connectors_and_cannot_leave_it() {
        let scope = |prefix: Option<&str>| {
            let prefix = prefix.map(str::to_owned);
            TypedScope::new("invoices/", &ScopeOptions { prefix, ..ScopeOptions::default() })
        };
        assert_eq!(scope(None).unwrap().prefix, "invoices/");
        assert_eq!(scope(Some("invoices/2026/")).unwrap().prefix, "invoices/2026/");
        for wrong in ["scans/", "in", ""] {
            assert!(scope(Some(wrong)).unwrap_err().to_string().contains("invoices/"), "{wrong}");
        }
    }

    #[test]
    fn each_limit_has_its_reason_and_since_is_inclusive_where_until_is_not() {
        let options = ScopeOptions {
            suffixes: vec![".PDF".into(), " .docx".into()],
            excludes: vec!["*/draft-?.pdf".into(), String::new()],
            max_bytes: Some(100),
            ..ScopeOptions::default()
        };
        let typed = TypedScope::new("", &options).unwrap();
        let (since, until) = ("2026-01-01T00:00:00Z".parse().ok(), "2026-02-01T00:00:00Z".parse().ok());
        let scope = Scope::new(&typed, since, until);
        let reason = |key: &str, size, modified: &str| scope.admit(listed(key, size, modified), "b").err();
        assert_eq!(reason("a.Pdf", 100, "2026-01-01T00:00:00Z"), None);
        assert_eq!(reason("a.pdf", 1, "2025-12-31T23:59:59Z"), Some("too-old"));
        assert_eq!(reason("a.pdf", 1, "2026-02-01T00:00:00Z"), Some("too-new"));
        assert_eq!(reason("a.csv", 1, "2026-01-01T00:00:00Z"), Some("out-of-suffix"));
        assert_eq!(reason("a.pdf", 101, "2026-01-01T00:00:00Z"), Some("too-large"));
        assert_eq!(reason("a/draft-1.pdf", 1, "2026-01-01T00:00:00Z"), Some("excluded"));
        assert_eq!(reason("a/Draft-1.pdf", 1, "2026-01-01T00:00:00Z"), None);
        assert_eq!(reason("a/", 0, "2026-01-01T00:00:00Z"), Some("folder-marker"));
    }

    #[test]
    fn the_same_scope_typed_in_another_order_is_the_same() {
        let scope = |items: &[&str]| {
            let items: Vec<_> = items.iter().map(|&item| item.to_owned()).collect();
            let options = ScopeOptions { suffixes: items.clone(), excludes: items, ..ScopeOptions::default() };
            TypedScope::new("", &options).unwrap()
        };
        assert_eq!(scope(&[".pdf", ".docx"]), scope(&[".docx", " .pdf", ""]));
        let without = serde_json::to_string(&scope(&[])).unwrap();
        assert_eq!(
            without, r#"{"prefix":"","since":null,"until":null,"suffixes":[],"max_bytes":null}"#,
            "as in older journals"
        );
        assert_eq!(fingerprint("a"), "0cc175b9c0f1b6a8");
    }
}
