//! The loop of a backfill: lists ahead, sends, journals results, waits out transient failures, and stops for one of a few reasons.
//!
//! Memory holds the requests in flight, the rest of a page of the listing and a few waiting chunks, whatever the bucket's size.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::chunk::Chunk;
use super::journal::{Journal, Line, Replay, Settled};
use super::listing::{ListError, Lister};
use super::progress::Progress;
use super::settle::{NextStep, SendResult};
use super::sink::{PendingChunk, Sink};
use crate::forwarder::REQUEST_TIMEOUT;
use crate::stop::Stop;
use crate::text::friendly;
use flexorch_s3_ingester::clock::Clock;

/// The longest time to send a chunk before its results are evaluated.
const LONGEST_SEND: Duration = Duration::from_secs(600);
/// With this many chunks waiting for a retry, no new one is started.
const MOST_WAITING: usize = 16;
/// After this many requests refused as a whole and none accepted, the request itself must be wrong.
const MOST_REFUSED: u64 = 160;
/// The first wait after a failure without a retry time,
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// doubling with each up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a run ended.
#[derive(Debug)]
pub(crate) enum EndReason {
    /// All objects in scope are settled.
    Finished,
    /// All but these, which FlexOrch refuses while it accepts nothing else: they or the connector may be the cause.
    Refused {
        keys: u64,
        why: String,
    },
    /// Nothing more can be sent now.
    Stopped {
        why: String,
    },
    Interrupted,
    /// The journal cannot be written.
    Broken(Error),
}

/// Limits of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineOptions {
    pub(crate) concurrency: usize,
    pub(crate) give_up_after: Duration,
}

pub(crate) struct Engine<'a> {
    options: EngineOptions,
    clock: Clock,
    sink: &'a Sink,
    lister: Option<Lister<'a>>,
    journal: Journal,
    replay: Replay,
    progress: Progress,
    ready: VecDeque<PendingChunk>,
    /// Chunks to retry, and when.
    waiting: Vec<(SystemTime, PendingChunk)>,
    /// Chunks whose request was refused as a whole, with the value of `taken` at that time and the reason.
    refused: Vec<(u64, PendingChunk, String)>,
    /// How many requests were accepted.
    taken: u64,
    /// Requests that were refused as a whole since one was accepted.
    refused_requests: u64,
    /// Failures since an object was settled.
    failures: u32,
    settled_last: SystemTime,
    /// Nothing is sent before this.
    send_from: SystemTime,
    /// Nothing is listed before this.
    list_from: SystemTime,
    end: Option<EndReason>,
}

/// A page of the listing that is being fetched, together with its lister.
type Page<'a> = BoxFuture<'a, (Lister<'a>, Result<Vec<Chunk>, ListError>)>;

impl<'a> Engine<'a> {
    /// Creates a run that starts with the open keys of the journal.
    pub(crate) fn new(
        options: EngineOptions,
        clock: Clock,
        sink: &'a Sink,
        lister: Lister<'a>,
        (journal, replay): (Journal, Replay),
        open: Vec<PendingChunk>,
        progress: Progress,
    ) -> Self {
        let now = clock.now();
        Self {
            options,
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

    /// Runs until the end. All results are in the journal by then, whose totals are returned.
    pub(crate) async fn run(mut self, first: Vec<Chunk>, stop: &Stop) -> (EndReason, Journal, Replay) {
        let mut in_flight = FuturesUnordered::new();
        let mut page: Option<Page<'a>> = None;
        let mut signals = 0;
        let mut tick = tokio::time::interval(self.progress.interval());
        self.listed(first);
        loop {
            let now = self.clock.now();
            while self.end.is_none()
                && in_flight.len() < self.options.concurrency
                && let Some(chunk) = self.next_chunk(now)
            {
                let limit = now + self.options.give_up_after.min(LONGEST_SEND) + REQUEST_TIMEOUT;
                in_flight.push(self.sink.send(chunk, limit));
            }
            if page.is_none() && self.wants_page(now) {
                page = self.lister.take().map(next_page);
            }
            if self.end.is_some() {
                page = None;
            }
            if in_flight.is_empty() && page.is_none() {
                self.finish_if_idle();
                if let Some(end) = self.end.take() {
                    return self.close(end);
                }
            }
            let due = self.next_due(now);
            tokio::select! {
                biased;
                () = stop.after(signals + 1) => {
                    signals += 1;
                    if let Some(end) = self.end.take() {
                        return self.close(end);
                    }
                    self.stop(EndReason::Interrupted);
                    self.progress.note("stopping after the requests in flight (Ctrl-C again: immediately)");
                }
                Some((chunk, result)) = in_flight.next(), if !in_flight.is_empty() => self.settle(chunk, result),
                (lister, listed) = async { match page.as_mut() { Some(page) => page.await, None => std::future::pending().await } } => {
                    page = None;
                    self.lister = Some(lister);
                    match listed {
                        Ok(chunks) => self.listed(chunks),
                        Err(error) if error.is_transient() => {
                            self.list_from = self.after_failure(None, &error.to_string());
                        }
                        Err(error) => self.stop(EndReason::Stopped { why: error.to_string() }),
                    }
                }
                () = self.clock.sleep_until(due) => {}
                _ = tick.tick() => self.progress.show(&self.replay, in_flight.len()),
            }
        }
    }

    fn next_chunk(&mut self, now: SystemTime) -> Option<PendingChunk> {
        if now < self.send_from {
            return None;
        }
        if let Some(position) = self.waiting.iter().position(|(due, _)| *due <= now) {
            return Some(self.waiting.swap_remove(position).1);
        }
        // Another request was accepted since: the connector is not the cause, so each key is sent alone.
        if let Some(position) = self.refused.iter().position(|(taken, ..)| *taken < self.taken) {
            let (_, chunk, _) = self.refused.swap_remove(position);
            return Some(PendingChunk { singly: true, ..chunk });
        }
        if self.waiting.len() >= MOST_WAITING { None } else { self.ready.pop_front() }
    }

    fn wants_page(&self, now: SystemTime) -> bool {
        self.end.is_none()
            && now >= self.list_from
            && self.ready.len() < self.options.concurrency * 2
            && self.lister.as_ref().is_some_and(|lister| !lister.is_done())
    }

    /// Returns when to continue if nothing happens before.
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
                Ok(()) => EndReason::Finished,
                Err(error) => EndReason::Broken(error),
            },
            Some((_, _, why)) => {
                let keys = self.refused.iter().map(|(_, chunk, _)| chunk.objects.len() as u64).sum();
                EndReason::Refused { keys, why: why.clone() }
            }
        });
    }

    /// Adds chunks of the listing. A chunk without objects in scope is settled immediately.
    fn listed(&mut self, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let mut chunk = PendingChunk::from(chunk);
            if chunk.objects.is_empty() {
                let nothing = Settled::default();
                if let Err(error) = self.write(line(&mut chunk, nothing)) {
                    self.stop(EndReason::Broken(error));
                }
            } else {
                self.ready.push_back(chunk);
            }
        }
    }

    fn settle(&mut self, mut chunk: PendingChunk, result: SendResult) {
        let SendResult { settled, open, next, receipted } = result;
        let (requests, forwarded) = (settled.requests, settled.forwarded);
        if chunk.for_receipts {
            self.replay.tally.requests += settled.requests;
            if !receipted.is_empty() {
                self.settled_last = self.clock.now();
                self.failures = 0;
                if let Err(error) = self.write(Line::Receipts { keys: receipted }) {
                    self.stop(EndReason::Broken(error));
                }
            }
        } else if forwarded > 0 || !settled.rejected.is_empty() {
            self.settled_last = self.clock.now();
            self.failures = 0;
            if let Err(error) = self.write(line(&mut chunk, settled)) {
                self.stop(EndReason::Broken(error));
            }
        } else {
            // No new results except for the number of requests.
            self.replay.tally.requests += settled.requests;
            self.replay.tally.rate_limited += settled.rate_limited;
            self.replay.tally.quota_exceeded += settled.quota_exceeded;
        }
        if forwarded > 0 {
            self.taken += 1;
            self.refused_requests = 0;
        }
        chunk.objects = open;
        if self.end.is_some() {
            return;
        }
        match next {
            NextStep::Done => {}
            NextStep::Retry { not_before, affects_all, why } => {
                let due = self.after_failure(not_before, &why);
                if affects_all {
                    self.send_from = self.send_from.max(due);
                }
                self.waiting.push((due, chunk));
            }
            NextStep::Refused { why } => {
                self.refused_requests += requests;
                if self.refused_requests >= MOST_REFUSED {
                    let why = format!(
                        "FlexOrch refused the last {} requests as a whole: {why}. The cause is not a single object: check `connector_id` in the \
                         secret, or limit the backfill to files that FlexOrch supports (--prefix, --suffix)",
                        self.refused_requests
                    );
                    self.stop(EndReason::Stopped { why });
                }
                self.refused.push((self.taken, chunk, why));
            }
            NextStep::Stop { why } => self.stop(EndReason::Stopped { why }),
        }
    }

    /// Returns when to retry after a transient failure, or stops the run if that is too late.
    fn after_failure(&mut self, not_before: Option<SystemTime>, why: &str) -> SystemTime {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        self.failures += 1;
        let due = not_before.unwrap_or(self.clock.now() + wait);
        let patience = self.options.give_up_after;
        if due > self.settled_last + patience {
            let waits = match not_before {
                Some(time) => format!(
                    "FlexOrch asks to retry in {}, and --give-up-after is {}",
                    friendly(self.clock.until(time)),
                    friendly(patience)
                ),
                None => format!("no object was settled for {} (--give-up-after)", friendly(patience)),
            };
            self.stop(EndReason::Stopped { why: format!("{waits}; last failure: {why}") });
        }
        due
    }

    fn stop(&mut self, end: EndReason) {
        self.sink.stop();
        match end {
            // A journal that cannot be written takes precedence over other reasons.
            EndReason::Broken(_) => self.end = Some(end),
            end => _ = self.end.get_or_insert(end),
        }
    }

    fn write(&mut self, line: Line) -> Result<()> {
        self.journal.add(&line)?;
        self.replay.apply(line);
        Ok(())
    }

    fn close(mut self, end: EndReason) -> (EndReason, Journal, Replay) {
        self.progress.finish();
        let end = match (self.journal.sync(), end) {
            (Err(error), EndReason::Finished | EndReason::Interrupted | EndReason::Refused { .. }) => {
                EndReason::Broken(error)
            }
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

/// Returns the journal's line for a chunk.
fn line(chunk: &mut PendingChunk, settled: Settled) -> Line {
    let through = chunk.through.clone();
    match chunk.header.take() {
        Some(header) => {
            Line::Chunk { after: header.after, through, listed: header.listed, skipped: header.skipped, settled }
        }
        None => Line::Again { through, settled },
    }
}
