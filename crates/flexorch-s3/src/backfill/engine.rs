//! The work itself: lists ahead, sends, journals what is settled, waits out what passes, and ends for one of a few reasons.
//!
//! In memory are the requests under way, the rest of a page of the listing and a few chunks that wait; a bucket of any size takes
//! no more.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::super::forwarder::REQUEST_TIMEOUT;
use super::super::interruption::Interruption;
use super::chunk::Chunk;
use super::journal::{Journal, Line, Replay, Settled};
use super::listing::{ListError, Lister};
use super::progress::Progress;
use super::settle::{Judged, Next};
use super::sink::{Parcel, Sink};
use flexorch_s3_ingester::clock::Clock;

/// A chunk is worked at for so long at most before it is looked at again.
const LONGEST_SEND: Duration = Duration::from_secs(600);
/// So many chunks may wait for another try before no new one is begun.
const MOST_WAITING: usize = 16;
/// So many requests may be refused as a whole, and none taken, before it is not the keys.
const MOST_REFUSED: u64 = 160;
/// The first wait after a failure for which nobody named a time,
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// doubling with each up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why the work ended.
#[derive(Debug)]
pub(super) enum End {
    /// Every object in scope is settled.
    Finished,
    /// All but these, which FlexOrch refuses while it takes nothing else: whose fault that is cannot be told.
    Refused {
        keys: u64,
        why: String,
    },
    /// Nothing more can be sent for now.
    Stopped {
        why: String,
    },
    Interrupted,
    /// The journal cannot be written.
    Broken(Error),
}

/// How the work is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub concurrency: usize,
    pub give_up_after: Duration,
}

/// The work.
pub(super) struct Engine<'a> {
    manner: Manner,
    clock: Clock,
    sink: &'a Sink,
    lister: Option<Lister<'a>>,
    journal: Journal,
    replay: Replay,
    progress: Progress,
    ready: VecDeque<Parcel>,
    /// Those that are tried again, and when.
    waiting: Vec<(SystemTime, Parcel)>,
    /// Those whose request was refused as a whole, and how often requests had been taken by then.
    refused: Vec<(u64, Parcel, String)>,
    /// How often a request was taken.
    taken: u64,
    /// Requests that were refused as a whole since one was taken.
    refused_requests: u64,
    /// Failures since something was settled.
    failures: u32,
    settled_last: SystemTime,
    /// Nothing is sent before this.
    send_from: SystemTime,
    /// Nothing is listed before this.
    list_from: SystemTime,
    end: Option<End>,
}

/// The listing's next page, with the lister on its way.
type Page<'a> = BoxFuture<'a, (Lister<'a>, Result<Vec<Chunk>, ListError>)>;

impl<'a> Engine<'a> {
    /// Begins with what the journal leaves open and the first chunks of the listing.
    pub(super) fn new(
        manner: Manner,
        clock: Clock,
        sink: &'a Sink,
        lister: Lister<'a>,
        (journal, replay): (Journal, Replay),
        open: Vec<Parcel>,
        progress: Progress,
    ) -> Self {
        let now = clock.now();
        Self {
            manner,
            clock,
            sink,
            lister: Some(lister),
            journal,
            replay,
            progress,
            ready: open.into(),
            waiting: Vec::new(),
            refused: Vec::new(),
            taken: 0,
            refused_requests: 0,
            failures: 0,
            settled_last: now,
            send_from: now,
            list_from: now,
            end: None,
        }
    }

    /// Works until the end. What is known then is in the journal, whose sums are answered.
    pub(super) async fn run(mut self, first: Vec<Chunk>, interruption: &mut Interruption) -> (End, Journal, Replay) {
        let mut under_way = FuturesUnordered::new();
        let mut page: Option<Page<'a>> = None;
        let mut tick = tokio::time::interval(self.progress.interval());
        self.listed(first);
        loop {
            let now = self.clock.now();
            while self.end.is_none()
                && under_way.len() < self.manner.concurrency
                && let Some(parcel) = self.next_parcel(now)
            {
                let limit = now + self.manner.give_up_after.min(LONGEST_SEND) + REQUEST_TIMEOUT;
                under_way.push(self.sink.send(parcel, limit));
            }
            if page.is_none() && self.wants_page(now) {
                page = self.lister.take().map(next_page);
            }
            if self.end.is_some() {
                page = None;
            }
            if under_way.is_empty() && page.is_none() {
                self.finish_if_idle();
                if let Some(end) = self.end.take() {
                    return self.close(end);
                }
            }
            let due = self.next_due(now);
            tokio::select! {
                biased;
                () = interruption.next() => {
                    if let Some(end) = self.end.take() {
                        return self.close(end);
                    }
                    self.stop(End::Interrupted);
                    self.progress.note("stopping: the requests under way are waited for (again: at once)");
                }
                Some((parcel, judged)) = under_way.next(), if !under_way.is_empty() => self.settle(parcel, judged),
                (lister, listed) = async { match page.as_mut() { Some(page) => page.await, None => std::future::pending().await } } => {
                    page = None;
                    self.lister = Some(lister);
                    match listed {
                        Ok(chunks) => self.listed(chunks),
                        Err(error) if error.is_passing() => {
                            self.list_from = self.after_failure(None, &error.to_string());
                        }
                        Err(error) => self.stop(End::Stopped { why: error.to_string() }),
                    }
                }
                () = self.clock.sleep_until(due) => {}
                _ = tick.tick() => self.progress.show(&self.replay, under_way.len()),
            }
        }
    }

    fn next_parcel(&mut self, now: SystemTime) -> Option<Parcel> {
        if now < self.send_from {
            return None;
        }
        if let Some(position) = self.waiting.iter().position(|(due, _)| *due <= now) {
            return Some(self.waiting.swap_remove(position).1);
        }
        // Another request was taken since: so it is not the connector, and each key can be asked for alone.
        if let Some(position) = self.refused.iter().position(|(taken, ..)| *taken < self.taken) {
            let (_, parcel, _) = self.refused.swap_remove(position);
            return Some(Parcel { singly: true, ..parcel });
        }
        if self.waiting.len() >= MOST_WAITING { None } else { self.ready.pop_front() }
    }

    fn wants_page(&self, now: SystemTime) -> bool {
        self.end.is_none()
            && now >= self.list_from
            && self.ready.len() < self.manner.concurrency * 2
            && self.lister.as_ref().is_some_and(|lister| !lister.is_done())
    }

    /// When there is something to do, if nothing happens before.
    fn next_due(&self, now: SystemTime) -> SystemTime {
        let dues = self.waiting.iter().map(|(due, _)| *due).chain([self.send_from, self.list_from]);
        dues.filter(|due| *due > now).min().unwrap_or(now + LONGEST_WAIT)
    }

    fn finish_if_idle(&mut self) {
        let all_listed = self.lister.as_ref().is_some_and(Lister::is_done);
        let nothing_to_send = self.ready.is_empty() && self.waiting.is_empty();
        if self.end.is_some() || !all_listed || !nothing_to_send {
            return;
        }
        if self.refused.iter().any(|(taken, ..)| *taken < self.taken) {
            return;
        }
        self.end = Some(match self.refused.first() {
            None => match self.write(Line::Finished { at: self.timestamp() }) {
                Ok(()) => End::Finished,
                Err(error) => End::Broken(error),
            },
            Some((_, _, why)) => {
                let keys = self.refused.iter().map(|(_, parcel, _)| parcel.objects.len() as u64).sum();
                End::Refused { keys, why: why.clone() }
            }
        });
    }

    /// Takes the listing's next chunks; one without an object in scope is settled already.
    fn listed(&mut self, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let mut parcel = Parcel::from(chunk);
            if parcel.objects.is_empty() {
                let nothing = Settled::default();
                if let Err(error) = self.write(line(&mut parcel, nothing)) {
                    self.stop(End::Broken(error));
                }
            } else {
                self.ready.push_back(parcel);
            }
        }
    }

    fn settle(&mut self, mut parcel: Parcel, judged: Judged) {
        let Judged { settled, open, next } = judged;
        let (requests, forwarded) = (settled.requests, settled.forwarded);
        if forwarded > 0 || !settled.rejected.is_empty() {
            self.settled_last = self.clock.now();
            self.failures = 0;
            if let Err(error) = self.write(line(&mut parcel, settled)) {
                self.stop(End::Broken(error));
            }
        } else {
            // Nothing is known that was not known before, but that it took requests.
            self.replay.tally.requests += settled.requests;
            self.replay.tally.rate_limited += settled.rate_limited;
        }
        if forwarded > 0 {
            self.taken += 1;
            self.refused_requests = 0;
        }
        parcel.objects = open;
        if self.end.is_some() {
            return;
        }
        match next {
            Next::Nothing => {}
            Next::Again { not_before, concerns_all, why } => {
                let due = self.after_failure(not_before, &why);
                if concerns_all {
                    self.send_from = self.send_from.max(due);
                }
                self.waiting.push((due, parcel));
            }
            Next::Refused { why } => {
                self.refused_requests += requests;
                if self.refused_requests >= MOST_REFUSED {
                    let why = format!(
                        "FlexOrch refused the last {} requests as a whole and took none between: {why}. It is not single objects: check \
                         `connector_id` in the secret, or narrow the backfill (--prefix, --suffix) to what FlexOrch takes",
                        self.refused_requests
                    );
                    self.stop(End::Stopped { why });
                }
                self.refused.push((self.taken, parcel, why));
            }
            Next::Stop { why } => self.stop(End::Stopped { why }),
        }
    }

    /// When to try again after a failure that may pass; where that is too late, the work ends.
    fn after_failure(&mut self, not_before: Option<SystemTime>, why: &str) -> SystemTime {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        self.failures += 1;
        let due = not_before.unwrap_or(self.clock.now() + wait);
        let patience = self.manner.give_up_after;
        if due > self.settled_last + patience {
            let waits = match not_before {
                Some(time) => format!(
                    "FlexOrch asks to come back in {}, and --give-up-after is {}",
                    super::plan::in_words(self.clock.until(time)),
                    super::plan::in_words(patience)
                ),
                None => format!("nothing was settled for {} (--give-up-after)", super::plan::in_words(patience)),
            };
            self.stop(End::Stopped { why: format!("{waits}; last seen: {why}") });
        }
        due
    }

    fn stop(&mut self, end: End) {
        self.sink.stop();
        match end {
            // Whatever else ends the work, that has to be told.
            End::Broken(_) => self.end = Some(end),
            end => _ = self.end.get_or_insert(end),
        }
    }

    fn write(&mut self, line: Line) -> Result<()> {
        self.journal.add(&line)?;
        self.replay.apply(line);
        Ok(())
    }

    fn close(mut self, end: End) -> (End, Journal, Replay) {
        self.progress.finish();
        let end = match (self.journal.sync(), end) {
            (Err(error), End::Finished | End::Interrupted | End::Refused { .. }) => End::Broken(error),
            (_, end) => end,
        };
        (end, self.journal, self.replay)
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn next_page(mut lister: Lister<'_>) -> Page<'_> {
    Box::pin(async move {
        let listed = lister.page().await;
        (lister, listed)
    })
}

/// The journal's line about a parcel.
fn line(parcel: &mut Parcel, settled: Settled) -> Line {
    let through = parcel.through.clone();
    match parcel.news.take() {
        Some(news) => Line::Chunk { after: news.after, through, listed: news.listed, skipped: news.skipped, settled },
        None => Line::Again { through, settled },
    }
}
