//! The bucket's listing as a source of chunks, a page at a time.

use std::collections::VecDeque;

use super::super::arn;
use super::super::aws_failure::{AwsFailure, FailureKind};
use super::chunk::{Chunk, Chunker, OutOfOrder};
use super::ranges::Gap;
use super::scope::Scope;
use flexorch_s3_ingester::aws::s3::Buckets;

/// Where objects are listed, and which of them are in scope.
#[derive(Debug)]
pub(super) struct Listing {
    pub buckets: Buckets,
    pub bucket: String,
    /// The bucket's.
    pub region: String,
    pub scope: Scope,
    pub keys_per_chunk: usize,
}

/// Goes through what is to be listed.
#[derive(Debug)]
pub(super) struct Lister<'a> {
    listing: &'a Listing,
    gaps: VecDeque<Gap>,
    chunker: Option<Chunker>,
}

/// Why a page cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    /// S3 refuses, or cannot be reached.
    #[error("{0}{hint}", hint = if .0.kind == FailureKind::OtherRegion { "; best write it into the connector's secret, as `region`" } else { "" })]
    Aws(AwsFailure),
    /// The listing cannot be gone by.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
}

impl ListError {
    /// Whether another try makes sense.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Aws(failure) if failure.kind == FailureKind::Unavailable)
    }
}

impl<'a> Lister<'a> {
    /// Lists these parts.
    pub(super) fn new(listing: &'a Listing, gaps: Vec<Gap>) -> Self {
        let mut lister = Self { listing, gaps: gaps.into(), chunker: None };
        lister.next_gap();
        lister
    }

    /// Whether everything has been listed.
    pub(super) fn is_done(&self) -> bool {
        self.chunker.is_none()
    }

    /// Lists a page, and answers the chunks that it completes. After an error it can be called again for the same page.
    ///
    /// # Errors
    /// [`ListError`].
    pub(super) async fn page(&mut self) -> Result<Vec<Chunk>, ListError> {
        let Some(chunker) = &mut self.chunker else { return Ok(Vec::new()) };
        let Listing { buckets, bucket, region, scope, .. } = self.listing;
        let page = buckets.page(bucket, Some(region), &scope.prefix, chunker.next_page_after()).await;
        let page = page.map_err(|error| {
            ListError::Aws(AwsFailure::new(&error, "s3:ListBucket", arn::of_bucket(bucket, Some(region))))
        })?;
        let chunks = chunker.take(page.objects, page.more, scope, bucket)?;
        if chunker.is_done() {
            self.next_gap();
        }
        Ok(chunks)
    }

    fn next_gap(&mut self) {
        self.chunker = self.gaps.pop_front().map(|gap| Chunker::new(gap, self.listing.keys_per_chunk));
    }
}
