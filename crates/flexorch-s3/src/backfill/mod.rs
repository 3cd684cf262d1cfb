//! `flexorch-s3 backfill`: what was in the bucket before the notifications, listed and sent at the plan's pace.
//!
//! ```text
//!   listing ──▶ chunk ──▶ engine ──▶ sink ──▶ FlexOrch, or the queue
//!     ▲                     │  ▲       │
//!     └─ ranges (gaps) ◀── journal ◀── settle (what became of each key)
//! ```
//!
//! | file | its part |
//! | --- | --- |
//! | `scope` | which objects, as it is typed and as it is meant |
//! | `listing`, `chunk`, `ranges` | the bucket's listing in parts, and which of them are done |
//! | `engine` | lists ahead, sends, journals, waits, ends |
//! | `sink`, `queue`, `settle` | where objects go, and what became of them |
//! | `journal` | the file that makes a run go on where the last one ended |
//! | `plan` | pace and estimates |
//! | `survey`, `progress`, `report` | what people and programs see |

mod chunk;
mod engine;
mod journal;
mod listing;
mod plan;
mod progress;
mod queue;
mod ranges;
mod report;
mod scope;
mod settle;
mod sink;
mod survey;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;

use super::args::{BackfillOptions, Via};
use super::context::Context;
use super::forwarder::{Forwarder, Pace};
use super::interruption::Interruption;
use super::{EXIT_INTERRUPTED, EXIT_NOT_WELL, EXIT_OK};
use crate::management::Management;
use chunk::Chunk;
use engine::{End, Engine, Manner};
use flexorch_s3_ingester::aws::s3::Buckets;
use flexorch_s3_ingester::error::with_causes;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use journal::{Found, Header, Identity, Journal, Replay};
use listing::{Lister, Listing};
use progress::Progress;
use queue::QueueSender;
use report::Ending;
use scope::{Scope, TypedScope, fingerprint};
use sink::{Parcel, Sink};
use survey::Survey;

pub(super) use scope::Moment;

/// So often is FlexOrch asked whether the plan has changed.
const ASK_PLAN_EVERY: Duration = Duration::from_secs(300);

/// Runs the command.
pub(super) async fn run(options: BackfillOptions, context: &Context) -> Result<u8> {
    let mut interruption = Interruption::listen()?;
    let backfill = tokio::select! {
        prepared = Backfill::prepare(&options, context) => prepared?,
        () = interruption.next() => return Ok(EXIT_INTERRUPTED),
    };
    if let Some(code) = backfill.report_if_finished()? {
        return Ok(code);
    }
    let ready = tokio::select! {
        ready = backfill.make_ready() => ready?,
        () = interruption.next() => return Ok(EXIT_INTERRUPTED),
    };
    match ready {
        Some(ready) => backfill.work(ready, &mut interruption).await,
        None => Ok(EXIT_OK),
    }
}

/// A backfill as it is asked for; nothing is changed yet.
struct Backfill<'a> {
    options: &'a BackfillOptions,
    context: &'a Context,
    connector: Connector,
    header: Header,
    path: PathBuf,
    found: std::cell::RefCell<Option<Found>>,
    listing: Listing,
}

/// Everything that is needed has answered.
struct Ready<'a> {
    sink: Sink,
    pace: Option<NonZeroU32>,
    lister: Lister<'a>,
    first: Vec<Chunk>,
    total: Option<u64>,
}

impl<'a> Backfill<'a> {
    async fn prepare(options: &'a BackfillOptions, context: &'a Context) -> Result<Self> {
        if options.via == Via::Api && options.queue.is_some() {
            bail!("--queue goes with --via queue: add that, or leave --queue out to send to FlexOrch directly");
        }
        let connector = context.connector(&options.secret.secret).await?;
        let Some(bucket) = connector.bucket.clone() else {
            bail!(
                "secret {:?} names no bucket: write `bucket` into it (`flexorch-s3 connector create --secret {}` asks for it)",
                connector.secret_id,
                connector.secret_id
            );
        };
        let typed = TypedScope::new(
            &connector.prefix,
            options.prefix.as_deref(),
            options.since.as_ref(),
            options.until.as_ref(),
            &options.suffixes,
            options.max_bytes,
        )?;
        let identity = Identity {
            bucket: bucket.clone(),
            connector_id: connector.id.to_string(),
            flexorch_url: context.flexorch_url()?.to_string(),
            queue: options.queue.clone(),
            scope: typed,
        };
        let path = options.journal.clone().unwrap_or_else(|| default_path(&identity));
        let found = if options.dry_run { None } else { Journal::find(&path)? };
        let now = Timestamp::try_from(context.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        let resolve = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.resolve(now));
        let mut header = Header::new(identity, resolve(&options.since), resolve(&options.until), now);
        if let Some(found) = &found {
            let differences = found.header.identity.differences(&header.identity);
            if !differences.is_empty() {
                bail!(
                    "the journal {} is another backfill's: {}. Name another file with --journal; nothing was changed",
                    path.display(),
                    differences.join(", ")
                );
            }
            if !options.restart {
                // A duration back from now means the same time in every run.
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

    /// What a journal says that is finished already.
    fn report_if_finished(&self) -> Result<Option<u8>> {
        let found = self.found.borrow();
        let Some(found) = found.as_ref().filter(|found| found.replay.is_finished && !self.options.restart) else {
            return Ok(None);
        };
        self.summary("finished", None, None, &found.replay)?;
        self.context
            .output
            .progress("The journal says that it is finished, so nothing is done: --restart starts over.");
        Ok(Some(code_of(&found.replay)))
    }

    /// Asks everybody whom it takes. `None`: that was all there is to do.
    async fn make_ready(&self) -> Result<Option<Ready<'_>>> {
        let flexorch = self.context.flexorch(self.connector.api_key.clone())?;
        let pace = self.pace(&flexorch).await?;
        let whole = || Lister::new(&self.listing, vec![ranges::Gap { after: None, through: None }]);
        if self.options.dry_run {
            let survey = Survey::take(whole(), |_| {}).await?;
            report::dry_run(self.context.output, &self.header, &survey, pace, self.context.is_verbose())?;
            return Ok(None);
        }
        let sink = match &self.options.queue {
            Some(url) => Sink::Queue(QueueSender::new(self.context.aws().await?, url)?),
            None => {
                let pace = Pace {
                    keys_per_request: self.options.keys_per_request,
                    concurrency: self.options.concurrency,
                    requests_per_minute: pace,
                };
                Sink::FlexOrch(Box::new(Forwarder::new(self.context, self.connector.clone(), pace).await?))
            }
        };
        let gaps = match self.found.borrow().as_ref().filter(|_| !self.options.restart) {
            Some(found) => found.replay.done.gaps(),
            None => vec![ranges::Gap { after: None, through: None }],
        };
        // Before the journal is made: what keeps the bucket from being listed leaves nothing behind.
        let mut lister = Lister::new(&self.listing, gaps);
        let first = lister.page().await?;
        let total = match self.options.count {
            true => Some(Survey::take(whole(), |_| {}).await?.in_scope),
            false => None,
        };
        Ok(Some(Ready { sink, pace, lister, first, total }))
    }

    /// This backfill's requests a minute; `None`: as many as there are.
    async fn pace(&self, flexorch: &Management) -> Result<Option<NonZeroU32>> {
        if self.options.via == Via::Queue {
            return Ok(None);
        }
        if let Some(own) = self.options.requests_per_minute {
            return Ok(Some(own));
        }
        let plan = match flexorch.rate_limits().await {
            Ok(limits) => limits.per_minute,
            Err(error) if matches!(error.error.status, 404 | 405 | 501) => {
                self.context.output.progress(format!(
                    "FlexOrch does not say what the plan allows; {} requests a minute are assumed (--requests-per-minute says otherwise)",
                    plan::SMALL_PLAN
                ));
                Some(plan::SMALL_PLAN)
            }
            Err(error) => {
                return Err(
                    anyhow!(error).context("nothing was sent (with --requests-per-minute the plan is not asked for)")
                );
            }
        };
        Ok(plan::pace(plan, self.options.share))
    }

    async fn work(&self, ready: Ready<'_>, interruption: &mut Interruption) -> Result<u8> {
        let Ready { sink, pace, lister, first, total } = ready;
        let output = self.context.output;
        let (journal, replay) = self.journal()?;
        let open = self.open_parcels(&replay)?;
        output.progress(self.opening_words(pace, &replay));
        let manner = Manner { concurrency: self.options.concurrency.get(), give_up_after: self.options.give_up_after };
        let progress = Progress::begin(output, total, &replay);
        let began = std::time::Instant::now();
        let engine = Engine::new(manner, self.context.clock, &sink, lister, (journal, replay), open, progress);
        let (end, journal, replay) = tokio::select! {
            ended = engine.run(first, interruption) => ended,
            never = self.follow_plan(&sink, pace) => match never {},
        };
        let took = Some(began.elapsed());
        let go_on = format!("run the same command again to go on (journal {})", journal.path().display());
        match end {
            End::Finished => {
                self.summary("finished", None, took, &replay)?;
                Ok(code_of(&replay))
            }
            End::Refused { keys, why } => {
                let reason = format!(
                    "{keys} objects were refused and FlexOrch took nothing after them, so whether it is they or the connector cannot be \
                     told: {why}; {go_on}"
                );
                self.summary("incomplete", Some(&reason), took, &replay)?;
                output.progress(reason);
                journal.discard_if_new();
                Ok(EXIT_NOT_WELL)
            }
            End::Interrupted => {
                self.summary("interrupted", None, took, &replay)?;
                output.progress(format!("interrupted; {go_on}"));
                journal.discard_if_new();
                Ok(EXIT_INTERRUPTED)
            }
            End::Stopped { why } => {
                self.summary("stopped", Some(&why), took, &replay)?;
                journal.discard_if_new();
                Err(anyhow!("{why}; {go_on}"))
            }
            End::Broken(error) => {
                self.summary("stopped", Some(&with_causes(&*error)), took, &replay)?;
                Err(error.context("stopped: what was settled since is sent again by the next run"))
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

    /// What the journal leaves open goes first.
    fn open_parcels(&self, replay: &Replay) -> Result<Vec<Parcel>> {
        let object = |key: &String| Ok(S3Object::new(self.listing.bucket.as_str(), ObjectKey::verbatim(key.as_str())?));
        let parcel = |(through, keys): (&Option<String>, &Vec<String>)| {
            let objects: Result<Vec<_>> = keys.iter().map(object).collect();
            Ok(Parcel { through: through.clone(), news: None, objects: objects?, singly: false })
        };
        replay.open.iter().map(parcel).collect()
    }

    /// Asks now and then whether the plan has changed, and keeps its pace. It never ends.
    async fn follow_plan(&self, sink: &Sink, mut pace: Option<NonZeroU32>) -> std::convert::Infallible {
        let flexorch = self.context.flexorch(self.connector.api_key.clone());
        loop {
            tokio::time::sleep(ASK_PLAN_EVERY).await;
            if self.options.via == Via::Queue || self.options.requests_per_minute.is_some() {
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

    fn opening_words(&self, pace: Option<NonZeroU32>, replay: &Replay) -> String {
        let at = match (&self.options.queue, pace) {
            (Some(queue), _) => format!(" into {queue}"),
            (None, Some(pace)) => format!(" at {pace} requests a minute"),
            (None, None) => ", as fast as FlexOrch answers".to_owned(),
        };
        let on = if replay.lines > 0 { "goes on" } else { "begins" };
        let prefix = &self.header.identity.scope.prefix;
        super::table::shown(&format!(
            "s3://{}/{prefix}: {on}{at}; journal {}",
            self.listing.bucket,
            self.path.display()
        ))
    }

    fn summary(
        &self,
        state: &'static str,
        reason: Option<&str>,
        took: Option<Duration>,
        replay: &Replay,
    ) -> Result<()> {
        let journal = self.path.display().to_string();
        let ending = Ending { header: &self.header, journal: &journal, state, reason, took };
        report::summary(self.context.output, &ending, replay)
    }
}

fn default_path(identity: &Identity) -> PathBuf {
    let text = serde_json::to_string(identity).unwrap_or_default();
    PathBuf::from(format!("flexorch-backfill-{}-{}.jsonl", identity.bucket, fingerprint(&text)))
}

fn code_of(replay: &Replay) -> u8 {
    if replay.tally.rejected > 0 { EXIT_NOT_WELL } else { EXIT_OK }
}
