//! What a backfill is about: which of the bucket's objects, as it is typed and as it is meant. Pure.

use anyhow::{Result, bail};
use jiff::{Timestamp, civil, tz::TimeZone};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use flexorch_s3_ingester::aws::s3::Listed;
use flexorch_s3_ingester::event::reconcile::Since;
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::scope::Scope as FunctionScope;

/// A time as it is typed: a time, a date (its beginning, in UTC), or a duration back from now.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Moment {
    typed: String,
    since: Since,
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let typed = text.trim();
        let date = || {
            let midnight = civil::Date::strptime("%Y-%m-%d", typed).ok()?.to_zoned(TimeZone::UTC).ok()?;
            Some(Since::At(midnight.timestamp()))
        };
        match date().or_else(|| Since::parse(typed)) {
            Some(since) => Ok(Self { typed: typed.to_owned(), since }),
            None => Err("a time such as 2026-01-31T10:00:00Z, a date such as 2026-01-31 (UTC), or a duration back from now such as \
                         P30D or PT12H"
                .to_owned()),
        }
    }
}

impl Moment {
    /// The time that it means now.
    pub(super) fn resolve(&self, now: Timestamp) -> Timestamp {
        self.since.resolve(now)
    }
}

/// The scope as it is typed; two runs with the same are the same backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TypedScope {
    /// Keys start with it; the connector's own where none is typed.
    pub prefix: String,
    pub since: Option<String>,
    pub until: Option<String>,
    /// In lower case, in order.
    pub suffixes: Vec<String>,
    pub max_bytes: Option<u64>,
}

impl TypedScope {
    /// Checks what is typed against what the connector reads.
    ///
    /// # Errors
    /// Where the connector does not read the prefix.
    pub(super) fn new(
        connector_prefix: &str,
        prefix: Option<&str>,
        since: Option<&Moment>,
        until: Option<&Moment>,
        suffixes: &[String],
        max_bytes: Option<u64>,
    ) -> Result<Self> {
        let prefix = prefix.unwrap_or(connector_prefix);
        if !prefix.starts_with(connector_prefix) {
            bail!(
                "--prefix is {prefix:?}, but the connector reads only what begins with {connector_prefix:?}: begin with that, or leave \
                 --prefix out"
            );
        }
        let mut suffixes: Vec<_> =
            suffixes.iter().map(|suffix| suffix.trim().to_lowercase()).filter(|suffix| !suffix.is_empty()).collect();
        suffixes.sort();
        suffixes.dedup();
        let typed = |moment: Option<&Moment>| moment.map(|moment| moment.typed.clone());
        Ok(Self { prefix: prefix.to_owned(), since: typed(since), until: typed(until), suffixes, max_bytes })
    }
}

/// Sixteen hexadecimal digits that stay the same for the same text.
pub(super) fn fingerprint(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The scope as it is meant.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub prefix: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    filters: FunctionScope,
}

impl Scope {
    /// The scope between two times.
    pub(super) fn new(typed: &TypedScope, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let filters = FunctionScope {
            key_prefixes: Vec::new(),
            key_suffixes: typed.suffixes.clone(),
            max_object_bytes: typed.max_bytes,
            ..FunctionScope::default()
        };
        Self { prefix: typed.prefix.clone(), since, until, filters }
    }

    /// The object to send, or why it is out of scope. An object of which nobody tells the time is in.
    pub(super) fn admit(&self, listed: Listed, bucket: &str) -> Result<S3Object, &'static str> {
        if self.since.zip(listed.modified).is_some_and(|(since, modified)| modified < since) {
            return Err("too-old");
        }
        if self.until.zip(listed.modified).is_some_and(|(until, modified)| modified >= until) {
            return Err("too-new");
        }
        // No event time: it may have been there for long, which says nothing of how fast events are.
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
    fn a_moment_is_a_time_a_date_or_a_duration_back_from_now() {
        let now: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        for (typed, meant) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
            ("P30D", "2026-01-31T00:00:00Z"),
            ("PT12H", "2026-03-01T12:00:00Z"),
        ] {
            assert_eq!(typed.parse::<Moment>().unwrap().resolve(now), meant.parse().unwrap(), "{typed}");
        }
        for wrong in ["yesterday", "2026-13-01", "2026-01-31T10:00:00", "", "-P1D"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_narrows_the_connectors_and_cannot_leave_it() {
        let scope = |prefix| TypedScope::new("invoices/", prefix, None, None, &[], None);
        assert_eq!(scope(None).unwrap().prefix, "invoices/");
        assert_eq!(scope(Some("invoices/2026/")).unwrap().prefix, "invoices/2026/");
        for wrong in ["scans/", "in", ""] {
            assert!(scope(Some(wrong)).unwrap_err().to_string().contains("invoices/"), "{wrong}");
        }
    }

    #[test]
    fn each_limit_has_its_reason_and_since_is_inclusive_where_until_is_not() {
        let typed = TypedScope::new("", None, None, None, &[".PDF".into(), " .docx".into()], Some(100)).unwrap();
        let (since, until) = ("2026-01-01T00:00:00Z".parse().ok(), "2026-02-01T00:00:00Z".parse().ok());
        let scope = Scope::new(&typed, since, until);
        let reason = |key: &str, size, modified: &str| scope.admit(listed(key, size, modified), "b").err();
        assert_eq!(reason("a.Pdf", 100, "2026-01-01T00:00:00Z"), None);
        assert_eq!(reason("a.pdf", 1, "2025-12-31T23:59:59Z"), Some("too-old"));
        assert_eq!(reason("a.pdf", 1, "2026-02-01T00:00:00Z"), Some("too-new"));
        assert_eq!(reason("a.csv", 1, "2026-01-01T00:00:00Z"), Some("out-of-suffix"));
        assert_eq!(reason("a.pdf", 101, "2026-01-01T00:00:00Z"), Some("too-large"));
        assert_eq!(reason("a/", 0, "2026-01-01T00:00:00Z"), Some("folder-marker"));
    }

    #[test]
    fn the_same_scope_typed_in_another_order_is_the_same() {
        let scope = |suffixes: &[&str]| {
            let suffixes: Vec<_> = suffixes.iter().map(|&suffix| suffix.to_owned()).collect();
            TypedScope::new("", None, None, None, &suffixes, None).unwrap()
        };
        assert_eq!(scope(&[".pdf", ".docx"]), scope(&[".DOCX", ".pdf", ""]));
        assert_eq!(fingerprint("a"), "0cc175b9c0f1b6a8");
    }
}
