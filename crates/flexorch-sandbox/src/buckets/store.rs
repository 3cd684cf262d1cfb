//! The buckets and their objects: keys, sizes and times, no contents. Pure.

use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    super::clock::Moment,
    error::S3Error,
    operation::{Listing, token, token_of_empty_page},
};

/// The most bytes of a key.
const LONGEST_KEY: usize = 1024;

/// 9999-12-31T23:59:59Z. HTTP cannot write later times.
const LAST_SECOND: u64 = 253_402_300_799;

/// The region of a bucket that was created by its first object.
const DEFAULT_REGION: &str = "us-east-1";

/// A fault of listings: a store that is not quite S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingFault {
    /// This many truncated pages without keys come before each page with keys, as in S3 if many versions are deleted.
    EmptyPages(u64),
    /// `start-after` is ignored: every listing without a continuation token begins at the first key.
    IgnoredStartAfter,
    /// A truncated page's continuation token leads to the same page again.
    SameToken,
}

/// The state of S3: all buckets, by name, and what a test has set.
#[derive(Debug, Default)]
pub struct Store {
    buckets: BTreeMap<String, Bucket>,
    /// Whether `HeadObject` returns 403 for a missing object.
    pub(super) missing_objects_denied: bool,
    /// The ARN of a destination that does not allow S3 to send.
    pub(super) refused_destination: Option<String>,
    pub(super) listing_fault: Option<ListingFault>,
    /// The number of listings so far.
    listings: u64,
    /// The notification configuration that another client writes right after the next read.
    pub(super) rival_after_read: Option<String>,
    /// The notification configuration that another client writes right after the next write.
    pub(super) rival_after_write: Option<String>,
}

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    region: String,
    /// A `String`'s order is that of its UTF-8 bytes, as S3's order of keys is.
    objects: BTreeMap<String, Object>,
    /// The XML of its notification configuration, unchanged.
    pub(super) notification: Option<String>,
}

/// An object: size and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) size: u64,
    modified: Duration,
}

/// A page of objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) objects: Vec<(String, Object)>,
    /// Whether more objects follow.
    pub(super) is_truncated: bool,
    /// The continuation token of the next page.
    pub(super) token: Option<String>,
}

impl Object {
    /// Creates an object that was written at this time, moved into the years 1970 to 9999.
    pub(super) fn new(size: u64, modified: SystemTime) -> Self {
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { size, modified: since_epoch.min(Duration::from_secs(LAST_SECOND)) }
    }

    /// Creates an object that is written now.
    pub(super) fn written(size: u64, now: Moment) -> Self {
        Self { size, modified: now.since(Moment::from_epoch(Duration::ZERO)) }
    }

    /// Returns when it was written, in whole seconds as in S3.
    pub(super) fn modified(self) -> Moment {
        Moment::from_epoch(Duration::from_secs(self.modified.as_secs()))
    }

    /// Returns when it was written, for a header.
    pub(super) fn modified_http(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.modified.as_secs()))
    }

    /// Returns the entity tag with its quotes. It changes when the object is written again, and is not a digest: there are no
    /// contents.
    pub(super) fn etag(self) -> String {
        format!("\"{:016x}{:016x}\"", self.modified.as_nanos() & u128::from(u64::MAX), self.size)
    }
}

impl Store {
    /// Creates a bucket, or moves it to another region.
    pub(super) fn create(&mut self, name: &str, region: &str) {
        let bucket = self.buckets.entry(name.to_owned()).or_insert_with(|| Bucket::empty(region));
        bucket.region = region.to_owned();
    }

    /// Returns the bucket, whatever its region.
    pub(super) fn bucket(&self, name: &str) -> Result<&Bucket, S3Error> {
        self.buckets.get(name).ok_or_else(|| S3Error::no_such_bucket(name))
    }

    /// Returns the bucket if it is in the region that a call was signed for.
    pub(super) fn bucket_in(&self, name: &str, region: &str) -> Result<&Bucket, S3Error> {
        let bucket = self.bucket(name)?;
        if bucket.region == region { Ok(bucket) } else { Err(S3Error::permanent_redirect(name, &bucket.region)) }
    }

    /// Returns the bucket for a change if it is in the region that a call was signed for.
    pub(super) fn bucket_in_mut(&mut self, name: &str, region: &str) -> Result<&mut Bucket, S3Error> {
        self.bucket_in(name, region)?;
        self.buckets.get_mut(name).ok_or_else(|| S3Error::no_such_bucket(name))
    }

    /// Returns a page of a bucket in the region that a call was signed for.
    pub(super) fn page(&mut self, name: &str, region: &str, listing: &Listing) -> Result<Page, S3Error> {
        let mut after = listing.after()?;
        self.listings += 1;
        let found = self.bucket_in(name, region)?;
        match self.listing_fault {
            Some(ListingFault::EmptyPages(pages)) if !self.listings.is_multiple_of(pages + 1) => {
                let token = token_of_empty_page(&after, self.listings);
                return Ok(Page { objects: Vec::new(), is_truncated: true, token: Some(token) });
            }
            Some(ListingFault::IgnoredStartAfter) if listing.continuation_token.is_none() => after.clear(),
            Some(ListingFault::SameToken) => {
                let mut page = found.list(&listing.prefix, &after, listing.max_keys);
                page.token = page.is_truncated.then(|| token_of_empty_page(&after, 0));
                return Ok(page);
            }
            _ => {}
        }
        Ok(found.list(&listing.prefix, &after, listing.max_keys))
    }

    /// Puts objects into a bucket, in place of those with the same keys. Creates the bucket in the default region if it does not
    /// exist.
    pub(super) fn put(&mut self, name: &str, objects: impl IntoIterator<Item = (String, Object)>) {
        let bucket = self.buckets.entry(name.to_owned()).or_insert_with(|| Bucket::empty(DEFAULT_REGION));
        bucket.objects.extend(objects);
    }
}

impl Bucket {
    fn empty(region: &str) -> Self {
        Self { region: region.to_owned(), objects: BTreeMap::new(), notification: None }
    }

    /// Returns its region.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Returns an object.
    pub(super) fn object(&self, key: &str) -> Option<Object> {
        self.objects.get(key).copied()
    }

    /// Returns up to `most` objects whose keys start with `prefix` and come after `after`.
    pub(super) fn list(&self, prefix: &str, after: &str, most: usize) -> Page {
        // An empty `after` comes before every key, since no key is empty.
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let mut found = self
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.clone(), *object));
        let objects: Vec<_> = found.by_ref().take(most).collect();
        // An empty page was asked for: it is never truncated.
        let is_truncated = most > 0 && found.next().is_some();
        let token = objects.last().filter(|_| is_truncated).map(|(last, _)| token(last));
        Page { objects, is_truncated, token }
    }
}

/// Refuses a key that is too long.
pub(super) fn check_key(key: &str) -> Result<(), S3Error> {
    if key.len() > LONGEST_KEY { Err(S3Error::key_too_long(key.len(), LONGEST_KEY)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: Object = Object { size: 1, modified: Duration::from_nanos(1_700_000_000_500_000_000) };

    fn bucket(keys: &[&str]) -> Bucket {
        let objects = keys.iter().map(|key| ((*key).to_owned(), OBJECT)).collect();
        Bucket { region: "eu-west-1".to_owned(), objects, notification: None }
    }

    fn keys(page: Page) -> Vec<String> {
        page.objects.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn keys_come_in_the_order_of_their_utf_8_bytes() {
        // In UTF-16, U+1F600 comes before U+FF21.
        let bucket = bucket(&["b", "\u{1f600}", "a/1", "Z", "\u{ff21}", "a", "a!"]);
        assert_eq!(keys(bucket.list("", "", 1000)), ["Z", "a", "a!", "a/1", "b", "\u{ff21}", "\u{1f600}"]);
    }

    #[test]
    fn a_page_has_the_keys_of_a_prefix_after_a_key() {
        let bucket = bucket(&["a", "in/1", "in/2", "in/3", "z"]);
        let list = |after, most| bucket.list("in/", after, most);
        assert_eq!(keys(list("", 10)), ["in/1", "in/2", "in/3"]);
        assert_eq!(keys(list("in/1", 10)), ["in/2", "in/3"]);
        assert_eq!(keys(list("b", 10)), ["in/1", "in/2", "in/3"]);
        assert!(keys(list("y", 10)).is_empty());
        assert!(list("in/1", 1).is_truncated);
        assert!(!list("in/1", 2).is_truncated);
        assert_eq!(list("", 0), Page { objects: Vec::new(), is_truncated: false, token: None });
    }

    #[test]
    fn a_prefix_that_is_itself_a_key_is_listed_once() {
        let bucket = bucket(&["in/", "in/1"]);
        assert_eq!(keys(bucket.list("in/", "", 10)), ["in/", "in/1"]);
        assert_eq!(keys(bucket.list("in/", "in/", 10)), ["in/1"]);
    }

    #[test]
    fn a_bucket_elsewhere_is_named_with_its_region() {
        let mut store = Store::default();
        store.create("docs", "eu-west-1");
        assert!(store.bucket_in("docs", "eu-west-1").is_ok());
        let elsewhere = store.bucket_in("docs", "us-east-1").unwrap_err();
        assert_eq!((elsewhere.status, elsewhere.bucket_region.as_deref()), (301, Some("eu-west-1")));
        assert_eq!(store.bucket_in("other", "eu-west-1").unwrap_err().code, "NoSuchBucket");
    }

    #[test]
    fn times_are_whole_seconds_that_http_can_write() {
        assert_eq!(OBJECT.modified().rfc3339(), "2023-11-14T22:13:20.000Z");
        assert_eq!(OBJECT.modified_http(), "Tue, 14 Nov 2023 22:13:20 GMT");
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Object::new(0, early).modified_http(), "Thu, 01 Jan 1970 00:00:00 GMT");
        let late = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(Object::new(0, late).modified_http(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
