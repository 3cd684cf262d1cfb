//! `flexorch-s3 backfill`: lists the objects that are in the bucket already and submits them at the plan's rate.
//!
//! ```text
//!   listing ──▶ chunk ──▶ engine ──▶ sink ──▶ FlexOrch, or the queue
//!     ▲                     │  ▲       │
//!     └─ ranges (gaps) ◀── journal ◀── settle (what happened to each key)
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `scope` | which objects, as typed and as resolved |
//! | `listing`, `chunk`, `ranges` | divides the bucket's listing into chunks, and records which ones are done |
//! | `engine` | lists ahead, sends, journals, waits and stops |
//! | `sink`, `queue`, `settle` | send objects, and evaluate what happened to them |
//! | `journal` | the file from which a run resumes |
//! | `plan` | rate and estimates |
//! | `survey`, `progress`, `report` | count objects, show progress, print the summary |

mod chunk;
mod engine;
mod journal;
mod listing;
pub(crate) mod plan;
mod progress;
mod queue;
mod ranges;
mod report;
pub(crate) mod scope;
mod settle;
mod sink;
mod survey;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use crate::args::{BackfillOptions, Moment};
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::Exit;
use crate::forwarder::{Forwarder, Pace, pause_of, pause_of_queue};
use crate::management::{CallError, Credits, Management};
use crate::output::print_error;
use crate::receipts::ReceiptSender;
use crate::stop::Stop;
use crate::text::{counted, escaped};
use chunk::Chunk;
use engine::{EndReason, Engine, EngineOptions};
use flexorch_s3_ingester::aws::s3::Buckets;
use flexorch_s3_ingester::aws::sqs::Queues;
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use journal::{ExistingJournal, Header, Identity, Journal, Replay};
use listing::{Lister, Listing};
use progress::{Progress, Run};
use queue::QueueSender;
use report::{DryRun, RunSummary};
use scope::{Scope, TypedScope, fingerprint};
use sink::{PendingChunk, Sink};
use survey::Survey;

/// How often FlexOrch is asked whether the plan has changed.
const ASK_PLAN_EVERY: Duration = Duration::from_secs(300);

pub(crate) async fn run(options: BackfillOptions, context: &Context) -> Result<Exit> {
    let stop = context.stop();
    let prepare = stop.unless_requested(Backfill::prepare(&options, context));
    let Some(backfill) = prepare.await.transpose()? else { return Ok(Exit::Interrupted) };
    if let Some(code) = backfill.report_if_finished()? {
        return Ok(code);
    }
    if let Some(code) = backfill.report_if_paused()? {
        return Ok(code);
    }
    match stop.unless_requested(backfill.make_ready()).await.transpose()? {
        Some(Some(ready)) => backfill.work(ready, stop).await,
        Some(None) => Ok(Exit::Success),
        None => Ok(Exit::Interrupted),
    }
}

/// A prepared backfill. Nothing is changed yet.
struct Backfill<'a> {
    options: &'a BackfillOptions,
    context: &'a Context,
    connector: Connector,
    header: Header,
    path: PathBuf,
    found: std::cell::RefCell<Option<ExistingJournal>>,
    listing: Listing,
}

/// Everything that a run needs; all services have responded.
struct Ready<'a> {
    sink: Sink,
    pace: Option<NonZeroU32>,
    credits: Result<Credits, CallError>,
    lister: Lister<'a>,
    first: Vec<Chunk>,
    total: Option<u64>,
}

impl<'a> Backfill<'a> {
    async fn prepare(options: &'a BackfillOptions, context: &'a Context) -> Result<Self> {
        let connector = context.connector(&options.secret.secret).await?;
        let Some(bucket) = connector.bucket.clone() else {
            let create =
                context.commands().own(format_args!("connector create --secret {}", quoted(&connector.secret_id)));
            bail!(
                "secret {:?} names no bucket: write `bucket` into it (`{create}` prompts for it)",
                connector.secret_id
            );
        };
        let typed = TypedScope::new(&connector.prefix, &options.scope)?;
        let identity = Identity {
            bucket: bucket.clone(),
            connector_id: connector.id.to_string(),
            flexorch_url: context.flexorch_url()?.to_string(),
            queue: options.queue.as_ref().map(ToString::to_string),
            scope: typed,
        };
        let path = options.journal.clone().unwrap_or_else(|| default_path(&identity));
        let found = if options.dry_run { None } else { Journal::find(&path)? };
        let now = context.now();
        let resolve = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.resolve(now));
        let mut header = Header {
            identity,
            modified_since: resolve(&options.scope.since),
            modified_until: resolve(&options.scope.until),
            begun: now,
        };
        if let Some(found) = &found {
            journal::KIND.check_same(&path, &found.header.identity.parts(), &header.identity.parts())?;
            if !options.restart {
                // Keep the times as resolved by the first run.
                header = found.header.clone();
            }
        }
        let listing = Listing {
            buckets: Buckets::new(context.aws().await?.clone(), context.clock),
            bucket,
            region: match &connector.region {
                Some(region) => region.clone(),
                None => context.region().await?,
            },
            scope: Scope::new(&header.identity.scope, header.modified_since, header.modified_until),
            keys_per_chunk: options.keys_per_request.get(),
        };
        Ok(Self { options, context, connector, header, path, found: found.into(), listing })
    }

    /// Prints the summary of a backfill whose journal is finished, and returns the exit status.
    fn report_if_finished(&self) -> Result<Option<Exit>> {
        let found = self.found.borrow();
        let Some(found) = found.as_ref().filter(|found| found.replay.is_finished && !self.options.restart) else {
            return Ok(None);
        };
        let wants_receipts = self.options.receipts.receipts_queue.is_some() || self.options.receipts.function.is_some();
        if !found.replay.without_receipt.is_empty() {
            if wants_receipts {
                return Ok(None);
            }
            self.summary("finished", None, None, &found.replay)?;
            print_error(&escaped(&untracked(&found.replay, false)));
            return Ok(Some(Exit::Problem));
        }
        self.summary("finished", None, None, &found.replay)?;
        self.context.output.progress("The journal is finished; nothing to do. To start over, use --restart.");
        Ok(Some(code_of(&found.replay)))
    }

    /// Refuses to send to FlexOrch while the connector is paused, and returns the exit status. A queue may be filled: there the objects
    /// wait for the end of the pause.
    fn report_if_paused(&self) -> Result<Option<Exit>> {
        if self.options.dry_run || self.options.queue.is_some() {
            return Ok(None);
        }
        let Some(pause) = self.pause() else { return Ok(None) };
        print_error(&escaped(&pause));
        self.context.output.document(&json!({"state": "paused", "reason": pause}))?;
        Ok(Some(Exit::Problem))
    }

    fn pause(&self) -> Option<String> {
        let pause = if self.options.queue.is_some() { pause_of_queue } else { pause_of };
        pause(&self.connector, &self.context.commands())
    }

    /// Calls every service that a run needs. Returns `None` after a dry run.
    async fn make_ready(&self) -> Result<Option<Ready<'_>>> {
        let flexorch = self.context.flexorch(self.connector.api_key.clone())?;
        let (pace, credits) = tokio::join!(self.pace(&flexorch), flexorch.credits_in_time());
        let pace = pace?;
        let whole = || Lister::new(&self.listing, vec![ranges::Gap { after: None, through: None }]);
        if self.options.dry_run {
            let survey = Survey::run(whole()).await?;
            let pause = self.pause();
            let found = DryRun {
                header: &self.header,
                survey: &survey,
                pace,
                credits: &credits,
                pause: pause.as_deref(),
                show_keys: self.context.is_verbose(),
            };
            report::dry_run(self.context.output, &found)?;
            return Ok(None);
        }
        let sink = match &self.options.queue {
            Some(address) => {
                let queues = Queues::new(self.context.aws().await?.clone(), self.context.clock);
                Sink::Queue(Box::new(QueueSender::new(queues, address.clone())))
            }
            None => {
                let pace = Pace {
                    keys_per_request: self.options.keys_per_request,
                    concurrency: self.options.concurrency,
                    requests_per_minute: pace,
                };
                let (context, connector) = (self.context, self.connector.clone());
                let receipts = ReceiptSender::find(&self.options.receipts, &connector, context).await?;
                Sink::FlexOrch(Box::new(Forwarder::new(context, connector, pace, receipts).await?))
            }
        };
        let gaps = match self.found.borrow().as_ref().filter(|_| !self.options.restart) {
            Some(found) => found.replay.done.gaps(),
            None => vec![ranges::Gap { after: None, through: None }],
        };
        // Before the journal is created, so that a bucket that cannot be listed leaves no journal behind.
        let mut lister = Lister::new(&self.listing, gaps);
        let first = lister.page().await?;
        let total = match self.options.count {
            true => Some(Survey::run(whole()).await?.in_scope),
            false => None,
        };
        Ok(Some(Ready { sink, pace, credits, lister, first, total }))
    }

    /// Returns the requests per minute of this backfill, or `None` for no limit.
    async fn pace(&self, flexorch: &Management) -> Result<Option<NonZeroU32>> {
        if self.options.queue.is_some() {
            return Ok(None);
        }
        if let Some(own) = self.options.requests_per_minute {
            return Ok(Some(own));
        }
        let plan = match flexorch.rate_limits().await {
            Ok(limits) => limits.per_minute,
            Err(error) if matches!(error.error.status, 404 | 405 | 501) => {
                self.context.output.progress(format!(
                    "FlexOrch does not report the plan's rate; assuming {} requests per minute (to change it: --requests-per-minute)",
                    plan::SMALL_PLAN
                ));
                Some(plan::SMALL_PLAN)
            }
            Err(error) => {
                return Err(anyhow!(error).context("nothing was sent (to skip this request: --requests-per-minute)"));
            }
        };
        Ok(plan::pace(plan, self.options.share))
    }

    async fn work(&self, ready: Ready<'_>, stop: &Stop) -> Result<Exit> {
        let Ready { sink, pace, credits, lister, first, total } = ready;
        let output = self.context.output;
        let (journal, replay) = self.journal()?;
        let mut open = self.open_chunks(&replay)?;
        if sink.sends_receipts() {
            open.extend(self.chunks_without_receipt(&replay)?);
        }
        output.progress(self.opening_line(pace, &replay));
        let rest = total.map(|total| total.saturating_sub(replay.tally.settled()));
        output.progress(format!("credits: {}", escaped(&plan::credits_words(&credits, rest))));
        if let Some(pause) = self.pause() {
            output.progress(escaped(&pause));
        }
        let options =
            EngineOptions { concurrency: self.options.concurrency.get(), give_up_after: self.options.give_up_after };
        let run = Run::begin(report::unit_of(&self.header), pace, &replay);
        let progress = Progress::begin(output, total, run);
        let engine = Engine::new(options, self.context.clock, &sink, lister, (journal, replay), open, progress);
        let (end, journal, replay) = tokio::select! {
            ended = engine.run(first, stop) => ended,
            never = self.follow_plan(&sink, pace) => match never {},
        };
        let resume = format!("to continue, run the same command again (journal {})", journal.path().display());
        match sink.lost_receipts() {
            // The reason is why it ended.
            Some(_) if matches!(&end, EndReason::Stopped { why } if sink.refused_receipts().is_some_and(|refused| refused == *why)) =>
                {}
            Some(lost) => print_error(&escaped(&format!("{lost}. Run the same command again: {RECEIPTS_AGAIN}"))),
            None if !replay.without_receipt.is_empty() => {
                print_error(&escaped(&untracked(&replay, sink.sends_receipts())))
            }
            None => {}
        }
        match end {
            EndReason::Finished => {
                self.summary("finished", None, Some(&run), &replay)?;
                Ok(code_of(&replay))
            }
            EndReason::Refused { keys, why } => {
                let reason = format!(
                    "FlexOrch refused {} and accepted none after that, so either they or the connector may be the cause: {why}; \
                     {resume}",
                    counted(keys, "object")
                );
                self.summary("incomplete", Some(&reason), Some(&run), &replay)?;
                output.progress(reason);
                journal.discard_if_new();
                Ok(Exit::Problem)
            }
            EndReason::Interrupted => {
                self.summary("interrupted", None, Some(&run), &replay)?;
                output.progress(format!("interrupted; {resume}"));
                journal.discard_if_new();
                Ok(Exit::Interrupted)
            }
            EndReason::Stopped { why } => {
                self.summary("stopped", Some(&why), Some(&run), &replay)?;
                journal.discard_if_new();
                Err(anyhow!("{why}; {resume}"))
            }
            EndReason::Broken(error) => {
                self.summary("stopped", Some(&with_causes(&*error)), Some(&run), &replay)?;
                Err(error.context("stopped; the next run sends objects again whose results are not in the journal"))
            }
        }
    }

    fn journal(&self) -> Result<(Journal, Replay)> {
        match self.found.borrow_mut().take() {
            Some(mut found) if self.options.restart => {
                found.journal.restart(&self.header)?;
                Ok((found.journal, Replay::default()))
            }
            Some(found) => Ok((found.journal, found.replay)),
            None => Ok((Journal::create(&self.path, &self.header)?, Replay::default())),
        }
    }

    /// Returns the open keys of the journal, which are sent first.
    fn open_chunks(&self, replay: &Replay) -> Result<Vec<PendingChunk>> {
        let object = |key: &String| Ok(S3Object::new(self.listing.bucket.as_str(), ObjectKey::verbatim(key.as_str())?));
        let chunk = |(through, keys): (&Option<String>, &Vec<String>)| {
            let objects: Result<Vec<_>> = keys.iter().map(object).collect();
            Ok(PendingChunk {
                through: through.clone(),
                header: None,
                objects: objects?,
                singly: false,
                for_receipts: false,
            })
        };
        replay.open.iter().map(chunk).collect()
    }

    /// Returns the keys of the journal whose receipts could not be sent.
    fn chunks_without_receipt(&self, replay: &Replay) -> Result<Vec<PendingChunk>> {
        let object = |(key, etag): (&String, &Option<String>)| {
            let object = S3Object::new(self.listing.bucket.as_str(), ObjectKey::verbatim(key.as_str())?);
            Ok(S3Object { etag: etag.as_deref().map(Into::into), ..object })
        };
        let objects: Vec<_> = replay.without_receipt.iter().map(object).collect::<Result<_>>()?;
        let chunk = |objects: &[S3Object]| PendingChunk {
            through: None,
            header: None,
            objects: objects.to_vec(),
            singly: false,
            for_receipts: true,
        };
        Ok(objects.chunks(self.listing.keys_per_chunk).map(chunk).collect())
    }

    /// Asks from time to time whether the plan has changed, and adapts the rate. Never returns.
    async fn follow_plan(&self, sink: &Sink, mut pace: Option<NonZeroU32>) -> std::convert::Infallible {
        let flexorch = self.context.flexorch(self.connector.api_key.clone());
        loop {
            tokio::time::sleep(ASK_PLAN_EVERY).await;
            if self.options.queue.is_some() || self.options.requests_per_minute.is_some() {
                continue;
            }
            let Ok(flexorch) = &flexorch else { continue };
            let Ok(limits) = flexorch.rate_limits().await else { continue };
            let now = plan::pace(limits.per_minute, self.options.share);
            if now != pace {
                tracing::info!(requests_per_minute = now.map(NonZeroU32::get), "the plan has changed");
                sink.set_pace(now);
                pace = now;
            }
        }
    }

    fn opening_line(&self, pace: Option<NonZeroU32>, replay: &Replay) -> String {
        let at = match (&self.options.queue, pace) {
            (Some(queue), _) => format!(" into {queue}"),
            (None, Some(pace)) => format!(" at {pace} requests per minute"),
            (None, None) => ", as fast as FlexOrch responds".to_owned(),
        };
        let on = if replay.lines > 0 { "resumes" } else { "starts" };
        let prefix = &self.header.identity.scope.prefix;
        escaped(&format!("s3://{}/{prefix}: {on}{at}; journal {}", self.listing.bucket, self.path.display()))
    }

    fn summary(&self, state: &'static str, reason: Option<&str>, run: Option<&Run>, replay: &Replay) -> Result<()> {
        let journal = self.path.display().to_string();
        let ending = RunSummary { header: &self.header, journal: &journal, state, reason, run };
        report::summary(self.context.output, &ending, replay)
    }
}

fn default_path(identity: &Identity) -> PathBuf {
    let text = serde_json::to_string(identity).unwrap_or_default();
    PathBuf::from(format!("flexorch-backfill-{}-{}.jsonl", identity.bucket, fingerprint(&text)))
}

fn code_of(replay: &Replay) -> Exit {
    let is_complete = replay.tally.rejected == 0 && replay.without_receipt.is_empty();
    if is_complete { Exit::Success } else { Exit::Problem }
}

/// What the next run does about receipts that could not be sent.
const RECEIPTS_AGAIN: &str =
    "it submits these documents again, FlexOrch recognizes them, and the receipts name their jobs";

/// Says how many documents are not tracked, and what to do.
fn untracked(replay: &Replay, sends_receipts: bool) -> String {
    let command = if sends_receipts { "again" } else { "with --receipts-queue or --function" };
    format!(
        "{} submitted without a receipt, so not tracked. Run the same command {command}: {RECEIPTS_AGAIN}",
        counted(replay.without_receipt.len() as u64, "document")
    )
}
