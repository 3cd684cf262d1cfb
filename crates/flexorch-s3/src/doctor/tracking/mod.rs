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

use super::aws::within_time;
use super::check::{Check, Fix, skipped, without};
use super::commands::Commands;
use super::delivery::unread_queue;
use super::flexorch::FlexOrchFacts;
use super::function::Function;
use super::mapping;
use super::name;
use super::queue::Queue;
use super::subject::Subject;
use crate::aws_failure::AwsFailure;
use crate::commands::quoted;
use crate::tracking::{Record, queue_arn};
use flexorch_s3_ingester::model::arn::queue_name;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::settings::RECEIPTS_QUEUE_URL;
use outcomes::Outcomes;
use webhook::Delivery;

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
    records: Option<Result<Vec<Record>, AwsFailure>>,
}

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
            let fix = self.function.set(
                "correct it, or remove it to switch tracking off",
                RECEIPTS_QUEUE_URL,
                "",
                self.commands,
            );
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
        let outcomes = self.outcomes(&arn, outcomes).await;
        tracked.waiting = self.receipts(&arn, queue, outcomes.as_ref()).await;
        let send = role::Need { actions: &["sqs:SendMessage"], resource: arn.clone() };
        self.of.report.add([self.role(name::INGESTER_ROLE, self.function, &[send]).await]);
        if let Some(outcomes) = &outcomes {
            let delivery = Delivery::read(self.of.aws, self.of.secrets, outcomes).await;
            let needs = role::needs_of(outcomes, &arn, self.of.subject, delivery.secret_arn());
            self.of.report.add([match needs[..] {
                [] => Check::skipped(name::OUTCOMES_ROLE, "the settings are invalid"),
                _ => self.role(name::OUTCOMES_ROLE, &outcomes.function, &needs).await,
            }]);
            tracked.delivery = Some(delivery);
            if let (Some(key), Some(bucket), Some(table)) = (self.of.key, &self.of.subject.bucket, outcomes.table()) {
                let client = aws_sdk_dynamodb::Client::new(&self.of.aws.config(outcomes.function.region()));
                let read = record::read(client, table, bucket, key);
                let records = within_time("dynamodb:Query", table, read).await;
                tracked.records = Some(records.and_then(|records| records));
            }
        }
        tracked.outcomes = outcomes;
        Some(tracked)
    }

    /// Checks the outcomes function, and what it uses.
    async fn outcomes(&self, queue: &str, found: Result<Option<Outcomes>, AwsFailure>) -> Option<Outcomes> {
        let outcomes = match found {
            Ok(Some(outcomes)) => outcomes,
            other => {
                let why = match &other {
                    Err(failure) => without(failure),
                    Ok(_) => "there is no outcomes function".to_owned(),
                };
                self.of.report.add([outcomes::not_found(queue, other.err().as_ref(), self.commands)]);
                self.of.report.add(skipped(&OF_OUTCOMES, &why));
                return None;
            }
        };
        let function = &outcomes.function;
        let mut state = super::function::state(function, "", self.commands);
        state.check = name::OUTCOMES;
        self.of.report.add([state]);
        let (mappings, timers) =
            tokio::join!(mapping::read(self.of.aws, function), sweep::Timers::read(self.of.aws, function));
        self.of.report.add([
            outcomes::batches(mappings, queue, function, self.commands),
            outcomes.settings(self.of.subject, self.of.address, self.commands),
        ]);
        self.of.report.add([match outcomes.table() {
            Some(table) => table::check(self.of.aws, table, function, self.commands).await,
            None => Check::skipped(name::RECORDS, "the settings are invalid"),
        }]);
        self.of.report.add([Check::decided(name::SWEEP, timers.check(function, self.commands))]);
        Some(outcomes)
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
    pub(crate) fn conclude(&self, flexorch: &FlexOrchFacts, subject: &Subject, commands: &Commands) -> Vec<Check> {
        let create = Fix::new(
            "register it; the command is safe to repeat",
            commands.own(format_args!(
                "webhook create --function {} --secret {}",
                quoted(&self.ingester),
                quoted(&subject.secret)
            )),
        );
        vec![match (&self.delivery, &self.outcomes) {
            (Some(delivery), Some(outcomes)) => {
                let decision = delivery.check(&outcomes.function.name, flexorch, create, commands);
                Check::decided(name::WEBHOOK, decision)
            }
            _ => Check::skipped(name::WEBHOOK, "the outcomes function is not known"),
        }]
    }

    /// Says what the table knows of the object.
    pub(crate) fn object(
        &self,
        key: &ObjectKey,
        object: Option<&S3Object>,
        subject: &Subject,
        commands: &Commands,
    ) -> Vec<Check> {
        let context = record::RecordContext {
            ingester: &self.ingester,
            waiting: self.waiting,
            outcomes: self.outcomes.as_ref().map(|outcomes| &outcomes.function),
            secret: &subject.secret,
            bucket: subject.bucket.as_deref().unwrap_or_default(),
            key: key.as_str(),
            object,
            commands,
        };
        vec![match &self.records {
            None => Check::skipped(name::OBJECT_RECORD, "the table is not known"),
            Some(Err(failure)) => Check::could_not_check(name::OBJECT_RECORD, failure, commands),
            Some(Ok(records)) => context.check(records, self.read_at),
        }]
    }
}
