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
    /// The page before: its jobs, and how many items it had.
    previous: (HashSet<String>, usize),
    /// How many pages in a row had the same jobs as the page before.
    repeated: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The pages from the first one on are being read.
    ToTheEnd,
    /// The pages before the first one are being read.
    FromTheFront,
    /// There are pages left, for the next sweep: asking for single jobs costs less, or a page cannot be read now.
    Paused,
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
            previous: (HashSet::new(), 0),
            repeated: 0,
        }
    }

    /// Returns the page to read; `None` if no page is worth a request.
    pub(super) fn page(&self) -> Option<u32> {
        matches!(self.progress, Progress::ToTheEnd | Progress::FromTheFront).then_some(self.page)
    }

    /// Takes the ids on the page, how many items it has, and how many of the jobs were asked for.
    pub(super) fn received(&mut self, ids: HashSet<String>, items: usize, answered: usize) {
        self.read += 1;
        self.answered += answered;
        // Once may be chance: as many new jobs as a page has came between two requests.
        self.repeated = if ids == self.previous.0 { self.repeated + 1 } else { 0 };
        let is_last = items == 0 || items < self.previous.1 || self.repeated > 1;
        self.previous = (ids, items);
        self.page = self.page.saturating_add(1);
        match self.progress {
            Progress::ToTheEnd if is_last && self.first > FIRST_PAGE => {
                self.progress = Progress::FromTheFront;
                self.page = FIRST_PAGE;
                self.previous = (HashSet::new(), 0);
            }
            Progress::ToTheEnd if is_last => self.progress = Progress::Done,
            Progress::FromTheFront if is_last || self.page >= self.first => self.progress = Progress::Done,
            _ => {}
        }
        if self.progress != Progress::Done && self.read > self.answered + self.useless_pages {
            self.progress = Progress::Paused;
        }
    }

    /// Leaves the other pages to the next sweep.
    pub(super) fn pause(&mut self) {
        self.progress = Progress::Paused;
    }

    /// Takes note that the list is not there or cannot be used.
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
            let items = if page <= pages { 100 } else { 0 };
            paging.received(ids(page, items), items, answered.min(items));
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
        paging.pause();
        assert_eq!((paging.page(), paging.resume()), (None, 7));
        paging.give_up();
        assert_eq!(paging.resume(), 1);
    }

    #[test]
    fn a_page_that_is_not_there_begins_again_at_the_front() {
        let mut paging = Paging::new(10, u32::MAX);
        paging.received(HashSet::new(), 0, 0);
        assert_eq!(paging.page(), Some(1));
    }

    #[test]
    fn a_page_that_is_shorter_or_repeated_twice_is_the_last() {
        let mut shorter = Paging::new(250, 1);
        shorter.received(ids(1, 100), 100, 100);
        // A job that cannot be read is an item, too.
        shorter.received(ids(2, 99), 100, 99);
        assert_eq!(shorter.page(), Some(3));
        shorter.received(ids(3, 50), 50, 50);
        assert_eq!((shorter.page(), shorter.resume()), (None, 1));
        let mut repeated = Paging::new(250, 1);
        for page in [Some(2), Some(3), None] {
            repeated.received(ids(1, 100), 100, 100);
            assert_eq!(repeated.page(), page, "once may be chance");
        }
    }
}
