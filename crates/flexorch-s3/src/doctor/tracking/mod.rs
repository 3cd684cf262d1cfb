//! Reads and checks what records the documents' results: receipts queue, outcomes function, table, sweep and webhook.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `receipts` | checks the receipts queue and its dead letters |
//! | `outcomes` | finds and checks the outcomes function and its settings |
//! | `table` | checks the table: keys, indexes, time to live |
//! | `sweep` | checks whether a schedule starts a sweep |
//! | `role` | checks whether a function's role allows what it needs |
//! | `webhook` | checks whether FlexOrch has the webhook, and whether its signing secret is stored |
//! | `record` | what the table says of one object |

mod outcomes;
mod receipts;
mod record;
mod role;
mod sweep;
mod table;
mod webhook;

use jiff::Timestamp;

use super::check::{Check, skipped, without};
use super::commands::Commands;
use super::delivery::unread_queue;
use super::flexorch::WebhookFacts;
use super::function::Function;
use super::mapping;
use super::name;
use super::queue::Queue;
use super::subject::Subject;
use crate::aws_failure::AwsFailure;
use crate::tracking::{Record, queue_arn};
use flexorch_s3_ingester::model::arn::queue_name;
use flexorch_s3_ingester::model::object::ObjectKey;
use flexorch_s3_ingester::model::settings::RECEIPTS_QUEUE_URL;
use outcomes::Outcomes;
pub(crate) use record::Current;
use webhook::{Delivery, WebhookContext};

/// What to check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) of: super::delivery::Request<'a>,
    /// The ingester.
    pub(crate) function: &'a Function,
    /// Builds commands for the ingester's region.
    pub(crate) commands: &'a Commands,
}

/// What was read and is needed by checks that also need FlexOrch's responses or the object.
pub(crate) struct Tracked {
    ingester: String,
    /// How many receipts wait, if known.
    waiting: Option<u64>,
    /// The outcomes function; `None`: it was not found.
    outcomes: Option<Outcomes>,
    /// Where the webhook delivers to; `None`: it is not known.
    delivery: Option<Delivery>,
    /// When the records were read.
    read_at: Timestamp,
    /// The object's records, newest first; `None`: they were not read.
    records: Option<ReadRecords>,
}

/// The records of an object, newest first, or why they could not be read.
type ReadRecords = Result<Vec<Record>, AwsFailure>;

/// The checks that need the outcomes function and its settings.
const OF_OUTCOMES: [&str; 5] =
    [name::OUTCOMES_BATCHES, name::OUTCOMES_SETTINGS, name::OUTCOMES_ROLE, name::RECORDS, name::SWEEP];

impl Request<'_> {
    /// Checks everything that needs no response of FlexOrch. Returns `None` if the function sends no receipts.
    pub(crate) async fn run(&self) -> Option<Tracked> {
        let Some(url) = self.function.setting(RECEIPTS_QUEUE_URL) else {
            let found = "off: what happens to a document after its submission is not recorded (optional; template parameter Tracking)";
            self.of.report.add([Check::well(name::TRACKING, found)]);
            return None;
        };
        self.of.report.expect(&name::OF_TRACKING);
        if self.of.key.is_some() {
            self.of.report.expect(&[name::OBJECT_RECORD]);
        }
        let mut tracked = Tracked {
            ingester: self.function.name.clone(),
            waiting: None,
            outcomes: None,
            delivery: None,
            read_at: self.of.now,
            records: None,
        };
        let Some(arn) = queue_arn(url, &self.function.arn) else {
            let fix = self.function.set_receipts_queue(self.commands);
            self.of.report.add([Check::failed(
                name::TRACKING,
                format!("{RECEIPTS_QUEUE_URL} is {url:?}, not a queue's URL"),
                fix,
            )]);
            self.of
                .report
                .add(skipped(&name::OF_TRACKING[..name::OF_TRACKING.len() - 1], "the receipts queue is not known"));
            return Some(tracked);
        };
        self.of.report.add([Check::well(name::TRACKING, format!("on: receipts are sent to {}", queue_name(&arn)))]);
        let (queue, outcomes) = tokio::join!(Queue::read(self.of.aws, &arn), Outcomes::find(self.of.aws, &arn));
        let send = role::Need { actions: &["sqs:SendMessage"], resource: arn.clone() };
        let needs = [send];
        let found = outcomes.as_ref().ok().and_then(Option::as_ref);
        let (waiting, (), (delivery, records)) = tokio::join!(
            self.receipts(&arn, queue, found),
            async { self.of.report.add([self.role(name::INGESTER_ROLE, self.function, &needs).await]) },
            async {
                match found {
                    Some(outcomes) => self.outcomes(&arn, outcomes).await,
                    None => {
                        self.no_outcomes(&arn, outcomes.as_ref().err());
                        (None, None)
                    }
                }
            }
        );
        (tracked.waiting, tracked.delivery, tracked.records) = (waiting, delivery, records);
        tracked.outcomes = outcomes.ok().flatten();
        Some(tracked)
    }

    /// Reports that the outcomes function was not found, or could not be read.
    fn no_outcomes(&self, queue: &str, failure: Option<&AwsFailure>) {
        let why = failure.map_or_else(|| "there is no outcomes function".to_owned(), without);
        self.of.report.add([outcomes::not_found(queue, failure, self.commands)]);
        self.of.report.add(skipped(&OF_OUTCOMES, &why));
    }

    /// Checks the outcomes function, and what it uses: concurrently, so that a service that does not respond hides only what needs it.
    /// Returns where the webhook delivers to, and the object's records.
    async fn outcomes(&self, queue: &str, outcomes: &Outcomes) -> (Option<Delivery>, Option<ReadRecords>) {
        let (function, report) = (&outcomes.function, self.of.report);
        let mut state = super::function::state(function, "", self.commands);
        state.check = name::OUTCOMES;
        report.add([state, outcomes.settings(self.of.subject, self.of.address, self.commands)]);
        let batches = async {
            let mappings = mapping::read(self.of.aws, function).await;
            report.add([outcomes::batches(mappings, queue, function, self.commands)]);
        };
        let table = async {
            report.add([match outcomes.table() {
                Some(table) => table::check(self.of.aws, table, function, self.commands).await,
                None => Check::skipped(name::RECORDS, "the settings are invalid"),
            }]);
        };
        let sweep = async {
            let timers = sweep::Timers::read(self.of.aws, function).await;
            report.add([Check::decided(name::SWEEP, timers.check(function, self.commands))]);
        };
        let delivery = async {
            let delivery = Delivery::read(self.of.aws, self.of.secrets, outcomes).await;
            let needs = role::needs_of(outcomes, queue, self.of.subject, delivery.secret_arn());
            report.add([match needs[..] {
                [] => Check::skipped(name::OUTCOMES_ROLE, "the settings are invalid"),
                _ => self.role(name::OUTCOMES_ROLE, function, &needs).await,
            }]);
            delivery
        };
        let ((), (), (), delivery, records) = tokio::join!(batches, table, sweep, delivery, self.records(outcomes));
        (Some(delivery), records)
    }

    /// Reads the object's records, if there is an object to check.
    async fn records(&self, outcomes: &Outcomes) -> Option<ReadRecords> {
        let (key, bucket, table) = (self.of.key?, self.of.subject.bucket.as_ref()?, outcomes.table()?);
        let client = aws_sdk_dynamodb::Client::new(&self.of.aws.config(outcomes.function.region()));
        let records = self.of.aws.within_time("dynamodb:Query", table, record::read(client, table, bucket, key)).await;
        Some(records.and_then(|records| records))
    }

    async fn role(&self, check: &'static str, function: &Function, needs: &[role::Need]) -> Check {
        role::check(check, self.of.aws, function, needs, self.commands).await
    }

    /// Checks the receipts queue and its dead letters. Returns how many receipts wait.
    async fn receipts(
        &self,
        arn: &str,
        queue: Result<Option<Queue>, AwsFailure>,
        outcomes: Option<&Outcomes>,
    ) -> Option<u64> {
        let queue = match queue {
            Ok(Some(queue)) => queue,
            other => {
                self.of.report.add([unread_queue(name::RECEIPTS_QUEUE, arn, &other, self.commands)]);
                let why = other.err().map_or_else(|| "there is no receipts queue".to_owned(), |error| without(&error));
                self.of.report.add(skipped(&[name::RECEIPTS_WAITING, name::RECEIPTS_DEAD], &why));
                return None;
            }
        };
        let function = outcomes.map(|outcomes| &outcomes.function);
        self.of.report.add([
            receipts::queue(&queue, function, self.commands),
            receipts::waiting(&queue, function, self.commands),
        ]);
        self.of.report.add([match queue.redrive() {
            None => Check::skipped(name::RECEIPTS_DEAD, "the receipts queue has no dead-letter queue"),
            Some((dead, _)) => match Queue::read(self.of.aws, &dead).await {
                Ok(Some(dead)) => receipts::dead_letters(&dead, &queue, self.commands),
                other => unread_queue(name::RECEIPTS_DEAD, &dead, &other, self.commands),
            },
        }]);
        Some(queue.all())
    }
}

impl Tracked {
    /// Makes the check that needs FlexOrch's webhooks.
    pub(crate) fn conclude(&self, webhooks: &WebhookFacts, subject: &Subject, commands: &Commands) -> Check {
        let (Some(delivery), Some(outcomes)) = (&self.delivery, &self.outcomes) else {
            return Check::skipped(name::WEBHOOK, "the outcomes function is not known");
        };
        let context = WebhookContext {
            outcomes: &outcomes.function,
            ingester: &self.ingester,
            secret: &subject.secret,
            webhooks,
            commands,
        };
        Check::decided(name::WEBHOOK, delivery.check(context))
    }

    /// Returns the record of the object's current version, if it has one.
    pub(crate) fn record(&self, current: Current<'_>) -> Option<&Record> {
        current.record(self.records.as_ref()?.as_ref().ok()?)
    }

    /// Says what the table knows of the object.
    pub(crate) fn object(
        &self,
        key: &ObjectKey,
        current: Current<'_>,
        subject: &Subject,
        commands: &Commands,
    ) -> Check {
        let context = record::RecordContext {
            ingester: &self.ingester,
            waiting: self.waiting,
            outcomes: self.outcomes.as_ref().map(|outcomes| &outcomes.function),
            secret: &subject.secret,
            bucket: subject.bucket.as_deref().unwrap_or_default(),
            key: key.as_str(),
            current,
            commands,
        };
        match &self.records {
            None => Check::skipped(name::OBJECT_RECORD, "the table is not known"),
            Some(Err(failure)) => Check::could_not_check(name::OBJECT_RECORD, failure, commands),
            Some(Ok(records)) => context.check(records, self.read_at),
        }
    }
}
