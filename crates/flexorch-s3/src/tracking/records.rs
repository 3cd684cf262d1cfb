//! Reads records page by page, and merges those of several queries by time. It holds a page for each query, however many records there are.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;

use super::query::{Order, Query, queries};
use super::record::Record;
use super::selection::Selection;
use crate::aws_failure::AwsFailure;

/// How often a page is asked for if DynamoDB throttles or cannot be reached, in addition to the SDK's own attempts.
const ATTEMPTS: u32 = 5;
/// The time between the first two of them, which doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The action of every call.
const ACTION: &str = "dynamodb:Query";

/// The records of a selection, in the order of their last change.
pub(crate) struct Records {
    client: Client,
    table: String,
    selection: Selection,
    order: Order,
    sources: Vec<Source>,
}

/// The pages of one query.
struct Source {
    query: Query,
    page: VecDeque<Record>,
    position: Position,
}

/// Where the next page begins.
enum Position {
    Start,
    After(std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>),
    End,
}

impl Records {
    /// Creates a reader. Reads nothing yet.
    pub(crate) fn new(client: Client, table: &str, selection: Selection, order: Order) -> Self {
        let sources = queries(&selection)
            .into_iter()
            .map(|query| Source { query, page: VecDeque::new(), position: Position::Start })
            .collect();
        Self { client, table: table.to_owned(), selection, order, sources }
    }

    /// Returns the next record, or `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Record>, AwsFailure> {
        for position in 0..self.sources.len() {
            self.fill(position).await?;
        }
        let order = self.order;
        let first =
            self.sources.iter().enumerate().filter_map(|(position, source)| Some((position, source.page.front()?)));
        let first = first.min_by(|(_, one), (_, other)| compare(one, other, order)).map(|(position, _)| position);
        let Some(position) = first else { return Ok(None) };
        Ok(self.sources[position].page.pop_front())
    }

    /// Reads pages of a query until one has a selected record, or there are no more.
    async fn fill(&mut self, position: usize) -> Result<(), AwsFailure> {
        // The versions of one document come in the order of their ids, so all of them are read before the first is returned.
        let reads_all = !self.sources[position].query.by_time;
        while (reads_all || self.sources[position].page.is_empty())
            && !matches!(self.sources[position].position, Position::End)
        {
            let output = self.page(&self.sources[position]).await?;
            let records = output.items().iter().filter_map(|item| Record::read(item).ok());
            let page: Vec<_> = records.filter(|record| self.selection.selects(record)).collect();
            let source = &mut self.sources[position];
            source.page.extend(page);
            source.position = match output.last_evaluated_key {
                Some(key) if !key.is_empty() => Position::After(key),
                _ => Position::End,
            };
            if reads_all {
                source.page.make_contiguous().sort_by(|one, other| compare(one, other, self.order));
            }
        }
        Ok(())
    }

    async fn page(&self, source: &Source) -> Result<QueryOutput, AwsFailure> {
        let (mut attempt, mut wait) = (1, FIRST_WAIT);
        loop {
            let Query { index, key_condition, filter, names, values, .. } = &source.query;
            let start = match &source.position {
                Position::After(key) => Some(key.clone()),
                Position::Start | Position::End => None,
            };
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .set_index_name(index.map(str::to_owned))
                .key_condition_expression(key_condition)
                .set_filter_expression(filter.clone())
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(values.clone()))
                .set_exclusive_start_key(start)
                .scan_index_forward(self.order == Order::OldestFirst);
            let failure = match request.send().await {
                Ok(output) => return Ok(output),
                Err(error) => AwsFailure::new(&error, ACTION, format!("table {}", self.table)),
            };
            if !failure.is_transient() || attempt == ATTEMPTS {
                return Err(failure);
            }
            tracing::info!(attempt, failure = failure.to_string().as_str(), "reading the page again");
            tokio::time::sleep(wait).await;
            (attempt, wait) = (attempt + 1, wait * 2);
        }
    }
}

/// Compares two records by the time of their last change; records of the same time by their names.
fn compare(one: &Record, other: &Record, order: Order) -> Ordering {
    let by_time = one.changed_at.cmp(&other.changed_at);
    let by_time = if order == Order::NewestFirst { by_time.reverse() } else { by_time };
    by_time.then_with(|| (&one.document, &one.version).cmp(&(&other.document, &other.version)))
}
