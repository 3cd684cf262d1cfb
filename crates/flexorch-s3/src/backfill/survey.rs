//! The listing alone, counted: for `--dry-run`, and for `--count` before the first request.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chunk::Chunk;
use super::listing::{ListError, Lister};

/// Keys that a dry run shows where it is asked for more words.
const SHOWN: usize = 20;

/// What a listing comes to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Survey {
    pub listed: u64,
    pub in_scope: u64,
    pub skipped: BTreeMap<String, u64>,
    /// Of the objects in scope.
    pub bytes: u64,
    /// Requests that it takes where all goes well.
    pub requests: u64,
    /// The first keys in scope.
    pub first_keys: Vec<String>,
}

impl Survey {
    /// Goes through the listing.
    ///
    /// # Errors
    /// Where S3 does not give it.
    pub(super) async fn take(mut lister: Lister<'_>, mut seen: impl FnMut(&Self)) -> Result<Self, ListError> {
        let mut survey = Self::default();
        while !lister.is_done() {
            for chunk in lister.page().await? {
                survey.add(chunk);
            }
            seen(&survey);
        }
        Ok(survey)
    }

    fn add(&mut self, chunk: Chunk) {
        self.listed += chunk.listed;
        self.in_scope += chunk.objects.len() as u64;
        self.requests += u64::from(!chunk.objects.is_empty());
        self.bytes += chunk.objects.iter().filter_map(|object| object.size).sum::<u64>();
        for (reason, number) in chunk.skipped {
            *self.skipped.entry(reason).or_default() += number;
        }
        let room = SHOWN.saturating_sub(self.first_keys.len());
        self.first_keys.extend(chunk.objects.iter().take(room).map(|object| object.key.as_str().to_owned()));
    }
}
