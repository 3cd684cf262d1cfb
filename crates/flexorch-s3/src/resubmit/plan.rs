//! What a resubmission would do, and what it costs.

use std::num::NonZeroU32;

use anyhow::Result;
use serde_json::{Value, json};

use super::survey::Survey;
use crate::args::QueueName;
use crate::backfill::plan::{credits_words, time_for};
use crate::context::Context;
use crate::forwarder::pause_of_queue;
use crate::management::{CallError, Credits, SHOWN_WITHIN};
use crate::output::{DIM, Output, WARNING, styled};
use crate::text::{counted, escaped, friendly, line_of};
use crate::uploads::RECORDS_PER_MESSAGE;

/// How many keys the function sends in a request, unless it is set up otherwise (MAX_KEYS_PER_REQUEST).
const KEYS_PER_REQUEST: u64 = 100;
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
    /// `None`: it is not known.
    queue: Option<String>,
    survey: Survey,
    accounts: Vec<Account>,
    /// Connectors of which nothing is known, and why.
    unknown: Vec<(String, String)>,
}

impl Plan {
    /// Completes a survey with what FlexOrch says of rate and credits.
    pub(crate) async fn new(table: &str, queue: Option<&QueueName>, survey: Survey, context: &Context) -> Self {
        let (mut accounts, mut unknown) = (Vec::new(), Vec::new());
        for (connector, documents) in survey.connectors.iter().take(CONNECTORS) {
            let Some(connector) = connector else { continue };
            match Account::read(connector, *documents, context).await {
                Ok(account) => accounts.push(account),
                Err(error) => unknown.push((connector.clone(), format!("{error:#}"))),
            }
        }
        Self { table: table.to_owned(), queue: queue.map(ToString::to_string), survey, accounts, unknown }
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
        if self.survey.unusable > 0 {
            output.line(format!(
                "  {} {}, whose document is not BUCKET/KEY, cannot be submitted",
                styled(WARNING, "!"),
                counted(self.survey.unusable, "more record")
            ))?;
        }
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
        let queue = self.queue.as_deref().unwrap_or("the function's retry queue, which --queue must name");
        output.line(format!(
            "  messages   {} to {}; the function submits them at its own rate",
            self.messages(),
            escaped(queue)
        ))?;
        output.line(format!("  requests   about {}{}", self.requests(), self.time_words()))?;
        for account in &self.accounts {
            let words = credits_words(&account.credits, Some(account.documents));
            output.line(format!("  credits    {}: {}", escaped(&account.connector), escaped(&words)))?;
        }
        for (connector, why) in &self.unknown {
            output.line(format!("  credits    {}: unknown ({})", escaped(connector), escaped(why)))?;
        }
        if self.accounts.is_empty() && self.unknown.is_empty() {
            output.line("  credits    unknown: the records name no connector")?;
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
            "unusable": self.survey.unusable,
            "reasons": self.survey.reasons,
            "connectors": accounts.collect::<Vec<_>>(),
        })
    }
}

impl Account {
    async fn read(connector: &str, documents: u64, context: &Context) -> Result<Self> {
        let found = context.connector(connector).await?;
        let flexorch = context.flexorch(found.api_key.clone())?;
        let rate = tokio::time::timeout(SHOWN_WITHIN, flexorch.rate_limits());
        let (rate, credits) = tokio::join!(rate, flexorch.credits_in_time());
        let per_minute = rate.ok().and_then(Result::ok).and_then(|rate| rate.per_minute);
        let per_minute = per_minute.and_then(|rate| NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX)));
        let pause = pause_of_queue(&found, &context.commands());
        Ok(Self { connector: connector.to_owned(), documents, per_minute, credits, pause })
    }
}
