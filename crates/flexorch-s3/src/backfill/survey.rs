//! Counts the listing: for `--dry-run`, and for `--count` before the first request.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chunk::Chunk;
use super::listing::{ListError, Lister};
use crate::uploads::RECORDS_PER_MESSAGE;

/// How many keys a verbose dry run shows.
const SHOWN: usize = 20;

/// The totals of a listing.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Survey {
    pub(crate) listed: u64,
    pub(crate) in_scope: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    /// The size of the objects in scope.
    pub(crate) bytes: u64,
    /// Requests that it takes if none fails.
    pub(crate) requests: u64,
    /// Messages that it takes if the objects are sent to a queue.
    pub(crate) messages: u64,
    /// The first keys in scope.
    pub(crate) first_keys: Vec<String>,
}

impl Survey {
    /// Lists everything, and returns the totals.
    pub(crate) async fn run(mut lister: Lister<'_>) -> Result<Self, ListError> {
        let mut survey = Self::default();
        while !lister.is_done() {
            for chunk in lister.page().await? {
                survey.add(chunk);
            }
        }
        Ok(survey)
    }

    fn add(&mut self, chunk: Chunk) {
        self.listed += chunk.listed;
        self.in_scope += chunk.objects.len() as u64;
        self.requests += u64::from(!chunk.objects.is_empty());
        self.messages += chunk.objects.len().div_ceil(RECORDS_PER_MESSAGE) as u64;
        self.bytes += chunk.objects.iter().filter_map(|object| object.size).sum::<u64>();
        for (reason, number) in chunk.skipped {
            *self.skipped.entry(reason).or_default() += number;
        }
        let room = SHOWN.saturating_sub(self.first_keys.len());
        self.first_keys.extend(chunk.objects.iter().take(room).map(|object| object.key.as_str().to_owned()));
    }
}
