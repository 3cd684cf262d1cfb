//! S3 itself, for two questions: which objects a bucket has (a reconcile), and which of two keys exists (a Batch Operations task). The
//! client is created when it is first needed, because most events do not need it.
//!
//! [`Position`] tracks the progress of a listing and reports one that does not advance.

use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use jiff::Timestamp;

use super::failure::{Action, CallError, FailureKind, call_until};
use super::sdk::{Regional, endpoint_override};
use crate::clock::Clock;
use crate::model::object::ObjectKey;

/// One page of a bucket's listing.
#[derive(Debug)]
pub struct Page {
    /// The objects, in S3's order of keys.
    pub objects: Vec<Listed>,
    /// Whether the listing continues after it.
    pub more: bool,
    /// The continuation token for the next page of the same listing.
    pub token: Option<String>,
}

/// The position at which a listing continues. Pure.
///
/// Within an invocation it is the continuation token, which a page without keys has too; in a later invocation, the last key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The last listed key; `None` if there is none yet.
    pub after: Option<String>,
    token: Option<String>,
    /// The number of consecutive pages without keys before it.
    empty_pages: u32,
}

/// The most consecutive truncated pages without keys. More mean that the store does not advance; S3 itself returns a few while it skips
/// many deleted versions.
const MOST_EMPTY_PAGES: u32 = 1_000;

/// Why a listing would never end, or would omit keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAdvance {
    /// Keys come in increasing order of their UTF-8 bytes (S3 API Reference, `ListObjectsV2`).
    #[error(
        "the listing does not advance: it has key {key:?} after {after:?}; the store ignores `start-after`, or does not sort"
    )]
    Order {
        /// The key.
        key: String,
        /// The key before it, or the key after which the page was to begin.
        after: String,
    },
    /// The next page would be this one again.
    #[error("the listing does not advance: the next page has the continuation token of this one")]
    SameToken,
    /// A truncated page has neither keys nor a token.
    #[error("the listing does not advance: a truncated page has neither keys nor a continuation token")]
    NoToken,
    /// Too many consecutive pages are empty.
    #[error("the listing does not advance: {MOST_EMPTY_PAGES} truncated pages in a row have no keys")]
    Empty,
}

impl Position {
    /// Returns the position after a key; `None`: the beginning.
    #[must_use]
    pub fn after(key: Option<String>) -> Self {
        Self { after: key, ..Self::default() }
    }

    /// Returns the position after a page that was listed from here; `None` if the page is the last one.
    ///
    /// # Errors
    /// [`NoAdvance`]: the page must not be used.
    pub fn advance(&self, page: &Page) -> Result<Option<Self>, NoAdvance> {
        let mut last = self.after.as_deref();
        for listed in &page.objects {
            let key = listed.key.as_str();
            if let Some(after) = last.filter(|last| key <= *last) {
                return Err(NoAdvance::Order { key: key.to_owned(), after: after.to_owned() });
            }
            last = Some(key);
        }
        if !page.more {
            return Ok(None);
        }
        if page.token.is_some() && page.token == self.token {
            return Err(NoAdvance::SameToken);
        }
        if page.token.is_none() && page.objects.is_empty() {
            return Err(NoAdvance::NoToken);
        }
        let empty_pages = if page.objects.is_empty() { self.empty_pages + 1 } else { 0 };
        if empty_pages > MOST_EMPTY_PAGES {
            return Err(NoAdvance::Empty);
        }
        Ok(Some(Self { after: last.map(str::to_owned), token: page.token.clone(), empty_pages }))
    }
}

/// One listed object.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The key.
    pub key: ObjectKey,
    /// The entity tag, without quotation marks.
    pub etag: Option<Box<str>>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// The time of the last modification.
    pub modified: Option<Timestamp>,
}

/// The keys to list.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Its region; `None`: the function's.
    pub region: Option<&'a str>,
    /// The prefix of the keys.
    pub prefix: &'a str,
}

/// S3 clients, created when first needed.
#[derive(Debug)]
pub struct Buckets {
    sdk: SdkConfig,
    clients: Regional<Client>,
    clock: Clock,
}

impl Buckets {
    /// Creates the cache, without clients.
    #[must_use]
    pub fn new(sdk: SdkConfig, clock: Clock) -> Self {
        Self { sdk, clients: Regional::new(), clock }
    }

    /// Lists keys from a position on, a page of up to 1,000 at a time (`ListObjectsV2`).
    ///
    /// # Errors
    /// [`CallError`], which names the required permission.
    pub async fn list(&self, keys: Keys<'_>, from: &Position, end: SystemTime) -> Result<Page, CallError> {
        let bucket = keys.bucket;
        let action = Action { service: "S3", permission: "s3:ListBucket", resource: &format!("bucket {bucket:?}") };
        let output = call_until(&self.clock, end, action, || self.list_request(keys, from).send()).await;
        output.map(|output| page_of(&output)).map_err(|error| with_bucket_hint(error, bucket))
    }

    /// Lists a page from a position on, with the SDK's own error and time limits.
    ///
    /// # Errors
    /// The SDK's error.
    pub async fn page(&self, keys: Keys<'_>, from: &Position) -> Result<Page, Box<SdkError<ListObjectsV2Error>>> {
        Ok(page_of(&self.list_request(keys, from).send().await.map_err(Box::new)?))
    }

    fn list_request(&self, keys: Keys<'_>, from: &Position) -> ListObjectsV2FluentBuilder {
        let request = self.client(keys.region).list_objects_v2().bucket(keys.bucket).prefix(keys.prefix);
        match &from.token {
            Some(token) => request.continuation_token(token),
            None => request.set_start_after(from.after.clone()),
        }
    }

    /// Whether the object exists (`HeadObject`). `None` if S3 does not tell: without `s3:ListBucket` it returns 403 for an object that does
    /// not exist.
    ///
    /// # Errors
    /// [`CallError`], if the failure is transient.
    pub async fn exists(&self, bucket: &str, key: &ObjectKey, end: SystemTime) -> Result<Option<bool>, CallError> {
        let action = Action { service: "S3", permission: "s3:GetObject", resource: &format!("bucket {bucket:?}") };
        let request = || self.client(None).head_object().bucket(bucket).key(key.as_str()).send();
        match call_until(&self.clock, end, action, request).await {
            Ok(_) => Ok(Some(true)),
            Err(error) => match error.status() {
                Some(404) => Ok(Some(false)),
                Some(400..=499) if !error.is_transient() => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn client(&self, region: Option<&str>) -> Client {
        self.clients.get(region, |region| client_in(&self.sdk, region))
    }
}

/// Returns a client for a region; `None`: the configured one.
#[must_use]
pub fn client(sdk: &SdkConfig, region: Option<&str>) -> Client {
    client_in(sdk, region.map(|region| Region::new(region.to_owned())))
}

fn client_in(sdk: &SdkConfig, region: Option<Region>) -> Client {
    let mut config = aws_sdk_s3::config::Builder::from(sdk);
    if region.is_some() {
        config.set_region(region);
    }
    // A store at another endpoint usually has no host name for each bucket.
    config.set_force_path_style(Some(endpoint_override(sdk, "S3").is_some()));
    Client::from_conf(config.build())
}

fn page_of(output: &ListObjectsV2Output) -> Page {
    let objects = output
        .contents()
        .iter()
        .filter_map(|object| {
            let modified = object.last_modified().and_then(|time| {
                Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).unwrap_or_default()).ok()
            });
            Some(Listed {
                key: ObjectKey::verbatim(object.key()?).ok()?,
                etag: object.e_tag().and_then(unquoted),
                size: object.size().and_then(|size| u64::try_from(size).ok()),
                modified,
            })
        })
        .collect();
    let token = output.next_continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
    Page { objects, more: output.is_truncated().unwrap_or(false), token }
}

/// Returns an entity tag as notifications write it: responses put it in quotation marks (RFC 9110, 8.8.3). `None` if it is empty.
fn unquoted(etag: &str) -> Option<Box<str>> {
    let etag = etag.trim_matches('"');
    (!etag.is_empty()).then(|| etag.into())
}

fn with_bucket_hint(error: CallError, bucket: &str) -> CallError {
    error.with_hint(|refusal| match refusal.kind() {
        FailureKind::NotFound => Some(format!("is {bucket:?} the bucket's name?")),
        FailureKind::OtherRegion => {
            Some(format!("bucket {bucket:?} is in another region: write `region` into the connector's secret"))
        }
        _ => None,
    })
}

/// The time limit of calls to S3 that an invocation makes before it knows its objects.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(keys: &[&str], more: bool, token: Option<&str>) -> Page {
        let listed =
            |key: &&str| Listed { key: ObjectKey::verbatim(*key).unwrap(), etag: None, size: None, modified: None };
        Page { objects: keys.iter().map(listed).collect(), more, token: token.map(str::to_owned) }
    }

    fn at(after: Option<&str>, token: Option<&str>) -> Position {
        Position { after: after.map(str::to_owned), token: token.map(str::to_owned), empty_pages: 0 }
    }

    #[test]
    fn a_listing_goes_on_by_its_token_and_after_its_last_key() {
        let start = at(Some("a"), None);
        assert_eq!(start.advance(&page(&["b", "c"], true, Some("t"))), Ok(Some(at(Some("c"), Some("t")))));
        assert_eq!(start.advance(&page(&["b", "c"], true, None)), Ok(Some(at(Some("c"), None))));
        assert_eq!(start.advance(&page(&["b"], false, None)), Ok(None));
        assert_eq!(start.advance(&page(&[], false, None)), Ok(None));
    }

    #[test]
    fn a_truncated_page_without_keys_is_not_the_end() {
        let start = at(Some("a"), Some("t"));
        let next = start.advance(&page(&[], true, Some("u"))).unwrap().unwrap();
        assert_eq!((next.after.as_deref(), next.token.as_deref()), (Some("a"), Some("u")));
        assert_eq!(start.advance(&page(&[], true, Some("t"))), Err(NoAdvance::SameToken));
        assert_eq!(start.advance(&page(&[], true, None)), Err(NoAdvance::NoToken));
    }

    #[test]
    fn empty_pages_without_end_are_an_error_and_a_key_between_them_begins_the_count_anew() {
        let mut position = Position::default();
        let tokens = ["t", "u"];
        for number in 0..MOST_EMPTY_PAGES as usize {
            position = position.advance(&page(&[], true, Some(tokens[number % 2]))).unwrap().unwrap();
        }
        assert_eq!(position.advance(&page(&[], true, Some("v"))), Err(NoAdvance::Empty));
        assert_eq!(position.advance(&page(&["a"], true, Some("v"))), Ok(Some(at(Some("a"), Some("v")))));
    }

    #[test]
    fn keys_that_do_not_increase_are_an_error() {
        let order = |key: &str, after: &str| Err(NoAdvance::Order { key: key.into(), after: after.into() });
        for (keys, expected) in [
            (&["a"][..], order("a", "b")),
            (&["b"], order("b", "b")),
            (&["A", "c"], order("A", "b")),
            (&["d", "c"], order("c", "d")),
            (&["c", "c"], order("c", "c")),
        ] {
            for more in [true, false] {
                assert_eq!(at(Some("b"), None).advance(&page(keys, more, Some("t"))), expected, "{keys:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_store_lists_positions_increase_strictly_or_it_is_an_error(
            pages in proptest::collection::vec(
                (proptest::collection::vec("[a-d]{1,2}", 0..4), any::<bool>(), proptest::option::of("[tu]")), 0..12),
        ) {
            let (mut position, mut keys) = (Position::default(), Vec::new());
            for (listed, more, token) in &pages {
                let listed: Vec<_> = listed.iter().map(String::as_str).collect();
                let Ok(next) = position.advance(&page(&listed, *more, token.as_deref())) else { break };
                keys.extend(listed.iter().map(|key| (*key).to_owned()));
                let Some(next) = next else { break };
                prop_assert!(next != position, "the same page would be asked for again");
                position = next;
            }
            prop_assert!(keys.is_sorted_by(|one, next| one < next));
        }
    }
}
