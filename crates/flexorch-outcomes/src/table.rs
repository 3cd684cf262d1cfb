//! The table of records: DynamoDB. Every write is conditional on what was read; calls that DynamoDB throttles are repeated until
//! the time is over.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use flexorch_s3_ingester::aws::failure::{Action, CallError, call_until};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::ingest::retry::backoff;
use jiff::Timestamp;

use crate::item::{Item, NotARecord, Stored};
use crate::record::{Record, RecordKey};
use crate::schema::{BY_JOB, BY_STATE, State, attribute, iso};

/// The records of one job that are read at a time: usually there is one.
const RECORDS_OF_JOB: i32 = 100;

/// The key of the item that holds how far everything is published: for each state an attribute with its name and a time. The item is
/// in no index.
const PUBLISHED_UNTIL: (&str, &str) = ("sweep", "published-until");
/// The key of the items that hold with which page of FlexOrch's list of jobs the next sweep begins; the name or ARN of a connector's
/// secret follows. The items are in no index.
const NEXT_PAGE: (&str, &str) = ("sweep", "next-page:");
/// Their attribute.
const PAGE: &str = "page";

/// Why the table could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum TableError {
    /// DynamoDB did not do it.
    #[error("the table of records: {0}")]
    Call(#[from] CallError),
    /// Another program wrote something else there.
    #[error("the table of records: {0}")]
    Item(#[from] NotARecord),
}

/// The result of a conditional write.
#[derive(Debug)]
pub(crate) enum Written {
    /// The record is in the table.
    Done(Box<Stored>),
    /// Another invocation has written it since it was read.
    Conflict,
}

/// A page of records.
#[derive(Debug)]
pub(crate) struct Page {
    /// The records; those that cannot be read are left out.
    pub(crate) records: Vec<Stored>,
    /// How many items were read for it.
    pub(crate) read: u64,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<Item>,
}

impl Page {
    /// Returns when the state of the last item that was read for it began; `None` after the last page.
    pub(crate) fn reached(&self) -> Option<Timestamp> {
        self.next.as_ref()?.get(attribute::CHANGED_AT)?.as_s().ok()?.parse().ok()
    }
}

/// For each state, the time before which every state that began is published. A state that is not in it: unknown.
pub(crate) type PublishedUntil = BTreeMap<State, Timestamp>;

/// A query of the records in one state, in the order in which the state began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateQuery {
    pub(crate) state: State,
    /// The earliest beginning; `None`: all.
    pub(crate) from: Option<Timestamp>,
    /// Which of them.
    pub(crate) filter: Filter,
}

/// Which records of a state a query returns; it reads the others, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// All of them.
    All,
    /// Those whose state is not published.
    Unpublished,
    /// Those without a `failure_reason`.
    WithoutReason,
}

/// A client of the table of records.
#[derive(Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
    clock: Clock,
}

impl Table {
    /// Creates a client of the table with this name or ARN.
    pub(crate) fn new(sdk: &aws_config::SdkConfig, name: String, clock: Clock) -> Self {
        Self { client: Client::new(sdk), name, clock }
    }

    /// Reads a record, as it is now.
    ///
    /// # Errors
    /// [`TableError`].
    pub(crate) async fn get(&self, key: &RecordKey, end: SystemTime) -> Result<Option<Stored>, TableError> {
        let item = self.get_item(&key.document, &key.version, end).await?;
        Ok(item.map(Stored::from_item).transpose()?)
    }

    async fn get_item(&self, document: &str, version: &str, end: SystemTime) -> Result<Option<Item>, CallError> {
        let output = self
            .repeat("dynamodb:GetItem", end, || {
                self.client
                    .get_item()
                    .table_name(&self.name)
                    .key(attribute::DOCUMENT, AttributeValue::S(document.to_owned()))
                    .key(attribute::VERSION, AttributeValue::S(version.to_owned()))
                    .consistent_read(true)
                    .send()
            })
            .await?;
        Ok(output.item)
    }

    /// Writes a record if the table still has `previous` (`None`: no record).
    ///
    /// # Errors
    /// [`CallError`]; the record may have been written.
    pub(crate) async fn put(
        &self,
        record: Record,
        previous: Option<&Stored>,
        end: SystemTime,
    ) -> Result<Written, CallError> {
        // A reader of the table may take it for a floating-point number.
        let revision = fastrand::u64(1..1 << 53);
        let item = Stored::item(&record, previous, revision);
        let result = self
            .repeat("dynamodb:PutItem", end, || {
                let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
                match previous.map(|previous| previous.revision) {
                    None => put.condition_expression("attribute_not_exists(#document)"),
                    Some(None) => put
                        .condition_expression("attribute_exists(#document) AND attribute_not_exists(#revision)")
                        .expression_attribute_names("#revision", attribute::REVISION),
                    Some(Some(revision)) => put
                        .condition_expression("attribute_exists(#document) AND #revision = :revision")
                        .expression_attribute_names("#revision", attribute::REVISION)
                        .expression_attribute_values(":revision", AttributeValue::N(revision.to_string())),
                }
                .expression_attribute_names("#document", attribute::DOCUMENT)
                .send()
            })
            .await;
        match result {
            Ok(_) => Ok(Written::Done(Box::new(Stored::written(record, previous, revision)))),
            Err(CallError::Refused(refusal)) if refusal.code.as_deref() == Some("ConditionalCheckFailedException") => {
                // If the response of an earlier attempt was lost, what refuses the repeated write is that write itself.
                match self.get(&record.key, end).await {
                    Ok(Some(stored)) if stored.revision == Some(revision) => Ok(Written::Done(Box::new(stored))),
                    Err(TableError::Call(error)) => Err(error),
                    Ok(_) | Err(TableError::Item(_)) => Ok(Written::Conflict),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Returns a page of the records that name a job, as the index has them: a record of the last second may be missing.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn of_job(&self, job_id: &str, start: Option<Item>, end: SystemTime) -> Result<Page, CallError> {
        let query = || {
            self.client
                .query()
                .table_name(&self.name)
                .index_name(BY_JOB)
                .key_condition_expression("#job = :job")
                .expression_attribute_names("#job", attribute::JOB_ID)
                .expression_attribute_values(":job", AttributeValue::S(job_id.to_owned()))
                .limit(RECORDS_OF_JOB)
        };
        self.page(&query, start, end).await
    }

    /// Returns a page of the records in a state, as the index has them.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn in_state(
        &self,
        StateQuery { state, from, filter }: StateQuery,
        start: Option<Item>,
        end: SystemTime,
    ) -> Result<Page, CallError> {
        let query = || {
            let mut query = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(BY_STATE)
                .expression_attribute_names("#state", attribute::STATE)
                .expression_attribute_values(":state", AttributeValue::S(state.name().to_owned()));
            query = match from {
                None => query.key_condition_expression("#state = :state"),
                Some(from) => query
                    .key_condition_expression("#state = :state AND #changed >= :from")
                    .expression_attribute_names("#changed", attribute::CHANGED_AT)
                    .expression_attribute_values(":from", AttributeValue::S(iso(from))),
            };
            match filter {
                Filter::All => query,
                Filter::Unpublished => query
                    .filter_expression("#unpublished = :true")
                    .expression_attribute_names("#unpublished", attribute::UNPUBLISHED)
                    .expression_attribute_values(":true", AttributeValue::Bool(true)),
                Filter::WithoutReason => query
                    .filter_expression("attribute_not_exists(#reason)")
                    .expression_attribute_names("#reason", attribute::FAILURE_REASON),
            }
        };
        self.page(&query, start, end).await
    }

    async fn page(
        &self,
        query: &impl Fn() -> QueryFluentBuilder,
        start: Option<Item>,
        end: SystemTime,
    ) -> Result<Page, CallError> {
        let output: QueryOutput =
            self.repeat("dynamodb:Query", end, || query().set_exclusive_start_key(start.clone()).send()).await?;
        let read = u64::try_from(output.scanned_count).unwrap_or_default();
        let mut records = Vec::with_capacity(output.items().len());
        for item in output.items.unwrap_or_default() {
            match Stored::from_item(item) {
                Ok(stored) => records.push(stored),
                Err(error) => tracing::warn!(error = error.to_string().as_str(), "an item is not a record"),
            }
        }
        Ok(Page { records, read, next: output.last_evaluated_key.filter(|key| !key.is_empty()) })
    }

    /// Returns how far everything is published.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn published_until(&self, end: SystemTime) -> Result<PublishedUntil, CallError> {
        let (document, version) = PUBLISHED_UNTIL;
        let item = self.get_item(document, version, end).await?.unwrap_or_default();
        let until = |state: State| Some((state, item.get(state.name())?.as_s().ok()?.parse().ok()?));
        Ok(State::PUBLISHED.into_iter().filter_map(until).collect())
    }

    /// Records how far everything is published.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn set_published_until(&self, until: &PublishedUntil, end: SystemTime) -> Result<(), CallError> {
        let attributes = until.iter().map(|(state, time)| (state.name().to_owned(), AttributeValue::S(iso(*time))));
        self.put_private(PUBLISHED_UNTIL, attributes, end).await
    }

    /// Returns with which page of a connector's list of jobs the next sweep begins; `None`: with the first.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn next_page(&self, secret_id: &str, end: SystemTime) -> Result<Option<u32>, CallError> {
        let (document, version) = NEXT_PAGE;
        let item = self.get_item(document, &format!("{version}{secret_id}"), end).await?.unwrap_or_default();
        Ok(item.get(PAGE).and_then(|page| page.as_n().ok()?.parse().ok()).filter(|page| *page > 0))
    }

    /// Records with which page of a connector's list of jobs the next sweep begins.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn set_next_page(&self, secret_id: &str, page: u32, end: SystemTime) -> Result<(), CallError> {
        let (document, version) = NEXT_PAGE;
        let attribute = (PAGE.to_owned(), AttributeValue::N(page.to_string()));
        self.put_private((document, &format!("{version}{secret_id}")), [attribute].into_iter(), end).await
    }

    /// Writes an item that is not a record.
    async fn put_private(
        &self,
        (document, version): (&str, &str),
        attributes: impl Iterator<Item = (String, AttributeValue)>,
        end: SystemTime,
    ) -> Result<(), CallError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut item: Item = attributes.collect();
        item.insert(attribute::DOCUMENT.to_owned(), text(document));
        item.insert(attribute::VERSION.to_owned(), text(version));
        self.repeat("dynamodb:PutItem", end, || {
            self.client.put_item().table_name(&self.name).set_item(Some(item.clone())).send()
        })
        .await
        .map(drop)
    }

    /// Makes a call again while it fails for a transient reason and time is left.
    async fn repeat<T, E, F>(
        &self,
        permission: &'static str,
        end: SystemTime,
        start: impl Fn() -> F,
    ) -> Result<T, CallError>
    where
        E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<
            Output = Result<
                T,
                aws_smithy_runtime_api::client::result::SdkError<
                    E,
                    aws_smithy_runtime_api::client::orchestrator::HttpResponse,
                >,
            >,
        >,
    {
        let action = Action { service: "DynamoDB", permission, resource: &self.name };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match call_until(&self.clock, end, action, &start).await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            let again = self.clock.now() + backoff(attempts, fastrand::f64());
            if again >= end {
                return Err(error);
            }
            self.clock.sleep_until(again).await;
        }
    }
}
