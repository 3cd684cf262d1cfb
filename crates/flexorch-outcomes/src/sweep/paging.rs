//! Decides which pages of FlexOrch's list of jobs are read: while they pay, and from where the last sweep stopped. Pure.

use std::collections::HashSet;

/// Pages without a job that is asked for are read up to this part of the jobs: young jobs of a busy account are newer than those.
const USELESS_PAGES_SHARE: usize = 10;
/// And no more than this.
const MOST_USELESS_PAGES: usize = 20;

/// The first page of the list, which has the newest jobs.
pub(super) const FIRST_PAGE: u32 = 1;

/// The pages of one API key's list in one sweep.
///
/// A list grows at its front, so what a former sweep did not reach is on the same page or a later one. After the end, the pages before
/// the one that this sweep began with are read.
#[derive(Debug)]
pub(super) struct Paging {
    /// The next page.
    page: u32,
    /// The page that this sweep began with.
    first: u32,
    progress: Progress,
    read: usize,
    answered: usize,
    useless_pages: usize,
    previous: HashSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The pages from the first one on are being read.
    ToTheEnd,
    /// The pages before the first one are being read.
    FromTheFront,
    /// There are pages left, but asking for single jobs costs less.
    TooFewAnswers,
    /// All pages are read, or the list cannot be used.
    Done,
}

impl Paging {
    /// Begins with the page `first`, for so many jobs that are asked for.
    pub(super) fn new(jobs: usize, first: u32) -> Self {
        Self {
            page: first,
            first,
            progress: Progress::ToTheEnd,
            read: 0,
            answered: 0,
            useless_pages: (jobs / USELESS_PAGES_SHARE).min(MOST_USELESS_PAGES),
            previous: HashSet::new(),
        }
    }

    /// Returns the page to read; `None` if no page is worth a request.
    pub(super) fn page(&self) -> Option<u32> {
        matches!(self.progress, Progress::ToTheEnd | Progress::FromTheFront).then_some(self.page)
    }

    /// Takes the ids on the page, and how many of them were asked for.
    pub(super) fn received(&mut self, ids: HashSet<String>, answered: usize) {
        self.read += 1;
        self.answered += answered;
        let is_last = ids.is_empty() || ids.len() < self.previous.len() || ids == self.previous;
        self.previous = ids;
        self.page += 1;
        match self.progress {
            Progress::ToTheEnd if is_last && self.first > FIRST_PAGE => {
                self.progress = Progress::FromTheFront;
                self.page = FIRST_PAGE;
                self.previous.clear();
            }
            Progress::ToTheEnd if is_last => self.progress = Progress::Done,
            Progress::FromTheFront if is_last || self.page >= self.first => self.progress = Progress::Done,
            _ => {}
        }
        if self.progress != Progress::Done && self.read > self.answered + self.useless_pages {
            self.progress = Progress::TooFewAnswers;
        }
    }

    /// Takes note that the list is not there or cannot be read.
    pub(super) fn give_up(&mut self) {
        self.progress = Progress::Done;
    }

    /// Whether the last sweep did not get to the end of the list.
    pub(super) fn is_continued(&self) -> bool {
        self.first > FIRST_PAGE
    }

    /// Returns the page with which the next sweep begins.
    pub(super) fn resume(&self) -> u32 {
        if self.progress == Progress::Done { FIRST_PAGE } else { self.page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(page: u32, count: usize) -> HashSet<String> {
        (0..count).map(|job| format!("{page}-{job}")).collect()
    }

    /// Reads a list of so many full pages and returns the pages that were read.
    fn read(paging: &mut Paging, pages: u32, answered: usize, most: usize) -> Vec<u32> {
        let mut read = Vec::new();
        while let Some(page) = paging.page().filter(|_| read.len() < most) {
            read.push(page);
            paging.received(ids(page, if page <= pages { 100 } else { 0 }), if page <= pages { answered } else { 0 });
        }
        read
    }

    #[test]
    fn a_sweep_goes_on_with_the_page_at_which_the_last_one_stopped_and_then_reads_the_pages_before() {
        let mut first = Paging::new(900, 1);
        assert_eq!(read(&mut first, 9, 100, 7), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((first.resume(), first.is_continued()), (8, false));
        let mut second = Paging::new(900, first.resume());
        assert_eq!(read(&mut second, 9, 100, 20), [8, 9, 10, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((second.resume(), second.is_continued()), (1, true));
    }

    #[test]
    fn pages_that_answer_too_little_are_read_on_by_the_next_sweep() {
        let mut paging = Paging::new(50, 1);
        assert_eq!(read(&mut paging, 100, 0, 100), [1, 2, 3, 4, 5, 6]);
        assert_eq!((paging.page(), paging.resume()), (None, 7));
        paging.give_up();
        assert_eq!(paging.resume(), 1);
    }

    #[test]
    fn a_shorter_or_repeated_page_is_the_last() {
        let mut shorter = Paging::new(250, 1);
        shorter.received(ids(1, 100), 100);
        shorter.received(ids(2, 50), 50);
        assert_eq!((shorter.page(), shorter.resume()), (None, 1));
        let mut repeated = Paging::new(250, 1);
        repeated.received(ids(1, 100), 100);
        repeated.received(ids(1, 100), 0);
        assert_eq!(repeated.page(), None);
    }
}
