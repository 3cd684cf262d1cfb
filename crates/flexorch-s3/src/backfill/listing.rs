//! Lists a bucket page by page, as chunks.

use std::collections::VecDeque;

use super::chunk::{Chunk, Chunker};
use super::ranges::Gap;
use super::scope::Scope;
use crate::aws_failure::{AwsFailure, FailureKind};
use flexorch_s3_ingester::aws::s3::{Buckets, Keys, NoAdvance};
use flexorch_s3_ingester::model::arn;

/// What to list, and which objects are in scope.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) buckets: Buckets,
    pub(crate) bucket: String,
    /// The bucket's region.
    pub(crate) region: String,
    pub(crate) scope: Scope,
    pub(crate) keys_per_chunk: usize,
}

/// Lists gaps.
#[derive(Debug)]
pub(crate) struct Lister<'a> {
    listing: &'a Listing,
    gaps: VecDeque<Gap>,
    chunker: Option<Chunker>,
}

/// Why a page cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// The request failed.
    #[error("{0}{hint}", hint = if .0.kind == FailureKind::OtherRegion { "; preferably, write it into the connector's secret as `region`" } else { "" })]
    Aws(AwsFailure),
    /// A backfill cannot use the listing.
    #[error(
        "{0}. A backfill requires all keys in order, which directory buckets do not have: send the keys with the command submit and its \
         option --keys-from instead"
    )]
    NoAdvance(#[from] NoAdvance),
}

impl ListError {
    /// Returns whether a retry makes sense.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Aws(failure) if failure.is_transient())
    }
}

impl<'a> Lister<'a> {
    pub(crate) fn new(listing: &'a Listing, gaps: Vec<Gap>) -> Self {
        let mut lister = Self { listing, gaps: gaps.into(), chunker: None };
        lister.next_gap();
        lister
    }

    /// Returns whether everything is listed.
    pub(crate) fn is_done(&self) -> bool {
        self.chunker.is_none()
    }

    /// Lists a page, and returns the chunks that it completes. After an error, call it again for the same page.
    pub(crate) async fn page(&mut self) -> Result<Vec<Chunk>, ListError> {
        let Some(chunker) = &mut self.chunker else { return Ok(Vec::new()) };
        let Listing { buckets, bucket, region, scope, .. } = self.listing;
        let keys = Keys { bucket, region: Some(region), prefix: &scope.prefix };
        let page = buckets.page(keys, chunker.position()).await;
        let page = page.map_err(|error| {
            ListError::Aws(AwsFailure::new(&error, "s3:ListBucket", arn::of_bucket(bucket, Some(region))))
        })?;
        let chunks = chunker.take(page, scope, bucket)?;
        if chunker.is_done() {
            self.next_gap();
        }
        Ok(chunks)
    }

    fn next_gap(&mut self) {
        self.chunker = self.gaps.pop_front().map(|gap| Chunker::new(gap, self.listing.keys_per_chunk));
    }
}
