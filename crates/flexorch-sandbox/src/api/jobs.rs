//! The jobs of one tenant.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::super::clock::Moment;
use super::job::{Job, Verdict};

/// The jobs of one tenant, in the order in which they were created.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// The place of each job in `jobs`, by its id; a forgotten job has none.
    places: HashMap<String, usize>,
    /// The places of the jobs whose end has not been reported.
    open: BTreeSet<usize>,
}

impl Jobs {
    /// Adds a job.
    pub(crate) fn add(&mut self, job: Job) {
        let place = self.jobs.len();
        self.places.insert(job.id.clone(), place);
        self.open.insert(place);
        self.jobs.push(job);
    }

    /// Returns how many jobs there have been, forgotten ones included.
    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Returns a job.
    pub(crate) fn get(&self, id: &str) -> Option<&Job> {
        self.places.get(id).and_then(|&place| self.jobs.get(place))
    }

    /// Returns a job in the API's form after a poll.
    pub(crate) fn poll(&mut self, id: &str, now: Moment) -> Option<Value> {
        let place = *self.places.get(id)?;
        self.jobs.get_mut(place).map(|job| job.poll(now))
    }

    /// Returns a page, newest first; the first page is 1.
    pub(crate) fn page(&self, page: usize, page_size: usize, now: Moment) -> Value {
        let first = page.saturating_sub(1).saturating_mul(page_size);
        let items: Vec<Value> = self.known().rev().skip(first).take(page_size).map(|job| job.show(now)).collect();
        json!({"items": items, "total": self.places.len(), "page": page, "page_size": page_size})
    }

    /// Returns the jobs that are not forgotten, oldest first.
    pub(crate) fn known(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.iter().filter(|job| self.places.contains_key(&job.id))
    }

    /// Sets a job's status, and returns whether there is such a job. An end is reported again.
    pub(crate) fn set(&mut self, id: &str, verdict: &Verdict, now: Moment) -> bool {
        let Some(&place) = self.places.get(id) else {
            return false;
        };
        if let Some(job) = self.jobs.get_mut(place) {
            job.set(verdict, now);
        }
        self.open.insert(place);
        true
    }

    /// Sets the status of all jobs that have not ended, and returns their number.
    pub(crate) fn set_open(&mut self, verdict: &Verdict, now: Moment) -> usize {
        let open = self.known().filter(|job| !job.has_ended(now)).map(|job| job.id.clone()).collect::<Vec<_>>();
        open.iter().filter(|id| self.set(id, verdict, now)).count()
    }

    /// Forgets a job, as if it had never existed, and returns whether there was one.
    pub(crate) fn forget(&mut self, id: &str) -> bool {
        let place = self.places.remove(id);
        place.is_some_and(|place| {
            self.open.remove(&place);
            true
        })
    }

    /// Returns the jobs that have ended since the last call.
    pub(crate) fn take_ended(&mut self, now: Moment) -> Vec<&Job> {
        let has_ended = |place: &usize| self.jobs.get(*place).is_none_or(|job| job.has_ended(now));
        let (ended, open): (BTreeSet<usize>, _) = std::mem::take(&mut self.open).into_iter().partition(has_ended);
        self.open = open;
        ended.into_iter().filter_map(|place| self.jobs.get(place)).collect()
    }

    /// Returns when the next job ends.
    pub(crate) fn next_end(&self) -> Option<Moment> {
        self.open.iter().filter_map(|&place| self.jobs.get(place)?.ends_at()).min()
    }
}
