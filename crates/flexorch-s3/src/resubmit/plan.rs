//! What a resubmission would do, and what it costs.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::survey::Survey;
use crate::args::QueueName;
use crate::backfill::plan::{credits_words, time_for};
use crate::context::Context;
use crate::forwarder::pause_of;
use crate::management::{CallError, Credits};
use crate::output::{DIM, Output, WARNING, styled};
use crate::text::{counted, escaped, friendly, line_of};
use crate::uploads::RECORDS_PER_MESSAGE;

/// How many keys the function sends in a request, unless it is set up otherwise (MAX_KEYS_PER_REQUEST).
const KEYS_PER_REQUEST: u64 = 100;
/// How long to wait for FlexOrch: what it says is only shown.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connectors whose credits are asked for.
const CONNECTORS: usize = 5;
/// The most frequent reasons that are shown.
const REASONS: usize = 8;

/// What is known about a connector whose documents are sent.
struct Account {
    connector: String,
    documents: u64,
    per_minute: Option<NonZeroU32>,
    credits: Result<Credits, CallError>,
    pause: Option<String>,
}

pub(crate) struct Plan {
    table: String,
    queue: String,
    survey: Survey,
    accounts: Vec<Account>,
}

impl Plan {
    /// Completes a survey with what FlexOrch says of rate and credits. A connector whose secret cannot be read is left out.
    pub(crate) async fn new(table: &str, queue: &QueueName, survey: Survey, context: &Context) -> Self {
        let mut accounts = Vec::new();
        for (connector, documents) in survey.connectors.iter().take(CONNECTORS) {
            let Some(connector) = connector else { continue };
            match tokio::time::timeout(TIMEOUT, Account::read(connector, *documents, context)).await {
                Ok(Ok(account)) => accounts.push(account),
                Ok(Err(error)) => tracing::info!(error = format!("{error:#}").as_str(), "rate and credits are unknown"),
                Err(_) => tracing::info!("FlexOrch does not respond in time: rate and credits are unknown"),
            }
        }
        Self { table: table.to_owned(), queue: queue.to_string(), survey, accounts }
    }

    /// Returns how many documents would be sent.
    pub(crate) fn documents(&self) -> u64 {
        self.survey.documents
    }

    fn messages(&self) -> u64 {
        self.documents().div_ceil(RECORDS_PER_MESSAGE as u64)
    }

    fn requests(&self) -> u64 {
        self.survey.connectors.values().map(|documents| documents.div_ceil(KEYS_PER_REQUEST)).sum()
    }

    pub(crate) fn print(&self, output: Output) -> Result<()> {
        output.line(format!("{} selected in {}", counted(self.documents(), "document"), escaped(&self.table)))?;
        if self.documents() == 0 {
            return Ok(());
        }
        let mut reasons: Vec<_> = self.survey.reasons.iter().collect();
        reasons.sort_by(|(one, few), (other, many)| many.cmp(few).then(one.cmp(other)));
        for (reason, number) in reasons.iter().take(REASONS) {
            output.line(line_of("    ", &escaped(reason), &number.to_string()))?;
        }
        if let Some(rest) = reasons.len().checked_sub(REASONS).filter(|rest| *rest > 0) {
            output.line(styled(DIM, format_args!("    and {}", counted(rest as u64, "more reason"))))?;
        }
        output.line(format!(
            "  messages   {} to {}; the function submits them at its own rate",
            self.messages(),
            escaped(&self.queue)
        ))?;
        output.line(format!("  requests   about {}{}", self.requests(), self.time_words()))?;
        for account in &self.accounts {
            let words = credits_words(&account.credits, Some(account.documents));
            output.line(format!("  credits    {}: {}", escaped(&account.connector), escaped(&words)))?;
        }
        if self.accounts.is_empty() {
            output.line("  credits    unknown: no connector's secret can be read (-v says why)")?;
        }
        for pause in self.accounts.iter().filter_map(|account| account.pause.as_ref()) {
            output.line(format!("  {}     {}", styled(WARNING, "paused"), escaped(pause)))?;
        }
        if self.survey.rejected > 0 {
            output.line(styled(
                DIM,
                format_args!("  {} rejected before: FlexOrch refuses the same file again", self.survey.rejected),
            ))?;
        }
        output.line(styled(
            DIM,
            "  Only an object's current version can be submitted: what was deleted or overwritten since is skipped.",
        ))
    }

    fn time_words(&self) -> String {
        let slowest = self.accounts.iter().filter_map(|account| {
            let time = time_for(account.documents.div_ceil(KEYS_PER_REQUEST), account.per_minute)?;
            Some((time, account.per_minute?))
        });
        slowest.max().map_or_else(String::new, |(time, pace)| {
            format!(", at least {} at the plan's {pace} requests per minute", friendly(time))
        })
    }

    pub(crate) fn json(&self) -> Value {
        let accounts = self.accounts.iter().map(|account| {
            json!({
                "connector": account.connector,
                "documents": account.documents,
                "requests_per_minute": account.per_minute,
                "credits": account.credits.as_ref().ok(),
                "paused": account.pause.is_some(),
            })
        });
        json!({
            "documents": self.documents(),
            "messages": self.messages(),
            "requests": self.requests(),
            "reasons": self.survey.reasons,
            "connectors": accounts.collect::<Vec<_>>(),
        })
    }
}

impl Account {
    async fn read(connector: &str, documents: u64, context: &Context) -> Result<Self> {
        let found = context.connector(connector).await?;
        let flexorch = context.flexorch(found.api_key.clone())?;
        let (rate, credits) = tokio::join!(flexorch.rate_limits(), flexorch.credits());
        let per_minute = rate.ok().and_then(|rate| rate.per_minute);
        let per_minute = per_minute.and_then(|rate| NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX)));
        let pause = pause_of(&found, &context.commands());
        Ok(Self { connector: connector.to_owned(), documents, per_minute, credits, pause })
    }
}
