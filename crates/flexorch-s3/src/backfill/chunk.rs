//! Divides a listing, page by page, into chunks, which are sent, journaled and resumed as a unit. Pure.

use std::collections::BTreeMap;
use std::mem;

use super::ranges::Gap;
use super::scope::Scope;
use flexorch_s3_ingester::aws::s3::{NoAdvance, Page, Position};
use flexorch_s3_ingester::model::object::S3Object;

/// A chunk ends after this many listed objects even if few are in scope, so that progress through the listing is journaled.
const MOST_LISTED: u64 = 10_000;

/// A part of the listing, and its objects to send.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// It starts after this key; `None`: at the beginning of the listing.
    pub(crate) after: Option<String>,
    /// It ends with this key; `None`: at the end of the listing.
    pub(crate) through: Option<String>,
    /// How many objects it contains.
    pub(crate) listed: u64,
    /// How many of them are out of scope, by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// The objects to send.
    pub(crate) objects: Vec<S3Object>,
}

/// Divides the listing of one gap into chunks.
#[derive(Debug)]
pub(crate) struct Chunker {
    through: Option<String>,
    most_objects: usize,
    /// Where the next page starts.
    position: Position,
    chunk: Chunk,
    is_done: bool,
}

impl Chunker {
    /// Starts with a gap. Chunks contain up to `most_objects` objects to send.
    pub(crate) fn new(gap: Gap, most_objects: usize) -> Self {
        let chunk = Chunk { after: gap.after.clone(), ..Chunk::default() };
        Self { through: gap.through, most_objects, position: Position::after(gap.after), chunk, is_done: false }
    }

    /// Returns where the next page starts.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Returns whether the gap is listed to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Adds the page that was listed from [`Chunker::position`], and returns the chunks that it completes.
    ///
    /// # Errors
    /// If the listing does not advance. Nothing of the page is used then.
    pub(crate) fn take(&mut self, page: Page, scope: &Scope, bucket: &str) -> Result<Vec<Chunk>, NoAdvance> {
        let next = self.position.advance(&page)?;
        let mut chunks = Vec::new();
        let mut last = None;
        for listed in page.objects {
            if self.through.as_deref().is_some_and(|through| listed.key.as_str() > through) {
                self.is_done = true;
                break;
            }
            last = Some(listed.key.as_str().to_owned());
            self.chunk.listed += 1;
            match scope.admit(listed, bucket) {
                Ok(object) => self.chunk.objects.push(object),
                Err(reason) => *self.chunk.skipped.entry(reason.to_owned()).or_default() += 1,
            }
            if self.chunk.objects.len() >= self.most_objects || self.chunk.listed >= MOST_LISTED {
                chunks.push(self.cut(last.clone()));
            }
        }
        self.is_done |= next.is_none() || (self.through.is_some() && self.through == last);
        self.position = next.unwrap_or_default();
        // Nothing is left to close where the last cut was the gap's own end.
        if self.is_done && (self.through.is_none() || self.chunk.after != self.through) {
            chunks.push(self.cut(self.through.clone()));
        }
        Ok(chunks)
    }

    fn cut(&mut self, through: Option<String>) -> Chunk {
        let next = Chunk { after: through.clone(), ..Chunk::default() };
        Chunk { through, ..mem::replace(&mut self.chunk, next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ScopeOptions;
    use crate::backfill::ranges::Done;
    use crate::backfill::scope::TypedScope;
    use flexorch_s3_ingester::aws::s3::Listed;
    use flexorch_s3_ingester::model::object::ObjectKey;
    use proptest::prelude::*;

    fn scope() -> Scope {
        let options = ScopeOptions { suffixes: vec![".pdf".into()], ..ScopeOptions::default() };
        Scope::new(&TypedScope::new("", &options).unwrap(), None, None)
    }

    fn listed(key: &str) -> Listed {
        Listed { key: ObjectKey::verbatim(key).unwrap(), etag: None, size: Some(1), modified: None }
    }

    /// Lists a gap of a bucket in pages.
    fn chunks(keys: &[String], gap: Gap, most: usize, page: usize) -> Vec<Chunk> {
        let mut chunker = Chunker::new(gap, most);
        let mut chunks = Vec::new();
        while !chunker.is_done() {
            let rest = keys.iter().filter(|key| Some(key.as_str()) > chunker.position().after.as_deref());
            let rest: Vec<_> = rest.map(|key| listed(key)).collect();
            let more = rest.len() > page;
            let objects = rest.into_iter().take(page).collect();
            chunks.extend(chunker.take(Page { objects, more, token: None }, &scope(), "b").unwrap());
        }
        chunks
    }

    #[test]
    fn an_empty_bucket_is_one_empty_chunk_to_the_end() {
        let all = Gap { after: None, through: None };
        assert_eq!(chunks(&[], all, 100, 1000), [Chunk::default()]);
    }

    #[test]
    fn a_listing_out_of_order_is_an_error() {
        let mut chunker = Chunker::new(Gap { after: None, through: None }, 10);
        let page = Page { objects: vec![listed("b"), listed("a")], more: false, token: None };
        let error = chunker.take(page, &scope(), "b").unwrap_err();
        assert_eq!(error, NoAdvance::Order { key: "a".into(), after: "b".into() });
    }

    #[test]
    fn a_truncated_page_without_keys_is_not_the_end_of_the_listing() {
        let mut chunker = Chunker::new(Gap { after: None, through: None }, 10);
        let page = |keys: &[&str], more, token: Option<&str>| Page {
            objects: keys.iter().map(|key| listed(key)).collect(),
            more,
            token: token.map(str::to_owned),
        };
        assert!(chunker.take(page(&["a.pdf"], true, Some("t")), &scope(), "b").unwrap().is_empty());
        assert!(chunker.take(page(&[], true, Some("u")), &scope(), "b").unwrap().is_empty() && !chunker.is_done());
        assert_eq!(chunker.take(page(&[], true, Some("u")), &scope(), "b"), Err(NoAdvance::SameToken));
        let [chunk] = &chunker.take(page(&["b.pdf"], false, None), &scope(), "b").unwrap()[..] else {
            panic!("one chunk")
        };
        assert_eq!((chunk.listed, chunk.objects.len()), (2, 2));
    }

    proptest! {
        #[test]
        fn chunks_cover_the_gap_without_a_seam_and_hold_every_object_once(
            numbers in proptest::collection::btree_set(0usize..300, 0..120),
            most in 1usize..20,
            page in 1usize..50,
            bounds in (0usize..300, 0usize..300, any::<(bool, bool)>()),
        ) {
            let name = |number: usize| format!("{number:04}.{}", if number.is_multiple_of(3) { "csv" } else { "pdf" });
            let keys: Vec<_> = numbers.iter().map(|number| name(*number)).collect();
            let (low, high) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1) + 1);
            let gap = Gap { after: bounds.2.0.then(|| name(low)), through: bounds.2.1.then(|| name(high)) };
            let chunks = chunks(&keys, gap.clone(), most, page);
            let mut done = Done::default();
            if gap.after.is_some() {
                done.add(None, gap.after.clone());
            }
            if gap.through.is_some() {
                done.add(gap.through.clone(), None);
            }
            for chunk in &chunks {
                prop_assert!(chunk.objects.len() <= most);
                prop_assert_eq!(chunk.listed, chunk.objects.len() as u64 + chunk.skipped.values().sum::<u64>());
                done.add(chunk.after.clone(), chunk.through.clone());
            }
            prop_assert!(done.gaps().is_empty());
            let sent: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.objects).map(|object| object.key.as_str()).collect();
            let within = |key: &&String| {
                gap.after.as_ref().is_none_or(|after| *key > after) && gap.through.as_ref().is_none_or(|through| *key <= through)
            };
            let expected: Vec<_> = keys.iter().filter(within).filter(|key| key.ends_with(".pdf")).map(String::as_str).collect();
            prop_assert_eq!(sent, expected);
        }
    }
}
