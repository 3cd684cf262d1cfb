//! Finds what belongs to the tracking of a stack or a function, or takes the table as it was named.

use anyhow::{Context as _, Result, anyhow};
use reqwest::Url;

use super::chain::{Chain, split};
use super::outputs::{Outputs, output};
use super::query::Order;
use super::records::Records;
use super::selection::Selection;
use crate::args::{QueueName, TrackingOption};
use crate::context::Context;
use crate::exit::WrongArgument;
use crate::region::in_region;
use flexorch_outcomes::config::variable::WEBHOOK_SECRET_ID;
use flexorch_s3_ingester::model::arn::region_of;

/// Where the records and everything around them are.
#[derive(Debug)]
pub(crate) enum Tracking {
    /// A stack's outputs say.
    Stack(Outputs),
    /// A function's settings and triggers say.
    Function(Box<Chain>),
    /// Only the table is known.
    Table(String),
}

impl Tracking {
    /// Finds it.
    pub(crate) async fn find(option: &TrackingOption, context: &Context) -> Result<Self> {
        let TrackingOption { stack, function, table } = option;
        match (stack, function, table) {
            (Some(stack), _, _) => Self::of_stack(stack, context).await,
            (None, Some(function), _) => Self::of_function(function, context).await,
            (None, None, table) => Ok(Self::Table(table.clone().unwrap_or_default())),
        }
    }

    /// Reads a stack's outputs.
    pub(crate) async fn of_stack(stack: &str, context: &Context) -> Result<Self> {
        Ok(Self::Stack(Outputs::read(context.aws().await?, stack).await?))
    }

    pub(crate) async fn of_function(function: &str, context: &Context) -> Result<Self> {
        Ok(Self::Function(Box::new(Chain::follow(context.aws().await?, function).await?)))
    }

    pub(crate) fn table(&self) -> Result<&str> {
        match self {
            Self::Stack(outputs) => Self::required(outputs, output::RECORDS_TABLE, "Tracking=true"),
            Self::Function(chain) => Ok(chain.table()),
            Self::Table(table) => Ok(table),
        }
    }

    pub(crate) async fn records(&self, selection: Selection, order: Order, context: &Context) -> Result<Records> {
        let region = match self {
            Self::Function(chain) => chain.region(),
            Self::Stack(outputs) => region_of(&outputs.stack),
            Self::Table(table) => region_of(table),
        };
        let client = aws_sdk_dynamodb::Client::new(&in_region(context.aws().await?, region));
        Ok(Records::new(client, self.table()?, selection, order))
    }

    /// Returns the stack's bucket.
    pub(crate) fn bucket(&self) -> Option<&str> {
        match self {
            Self::Stack(outputs) => outputs.get(output::BUCKET_NAME),
            Self::Function(_) | Self::Table(_) => None,
        }
    }

    pub(crate) fn connector_secrets(&self) -> Vec<String> {
        match self {
            Self::Stack(outputs) => split(outputs.get(output::CONNECTOR_SECRET_ARNS).unwrap_or_default()),
            Self::Function(chain) => chain.connector_secrets(),
            Self::Table(_) => Vec::new(),
        }
    }

    /// Returns the URL that a webhook delivers to.
    pub(crate) async fn webhook_url(&self) -> Result<Url> {
        let text = match self {
            Self::Stack(outputs) => {
                Self::required(outputs, output::WEBHOOK_URL, "Tracking=true and FlexOrchWebhook=true")?.to_owned()
            }
            Self::Function(chain) => chain.url().await?.ok_or_else(|| {
                anyhow!("function {} has no URL: deploy the template with FlexOrchWebhook=true", chain.outcomes())
            })?,
            Self::Table(_) => return Err(anyhow!("a table has no webhook")),
        };
        text.parse().with_context(|| format!("the webhook's URL is {text:?}"))
    }

    /// Returns the secret with the signing secret.
    pub(crate) fn webhook_secret(&self) -> Result<&str> {
        match self {
            Self::Stack(outputs) => {
                Self::required(outputs, output::WEBHOOK_SECRET_ARN, "Tracking=true and FlexOrchWebhook=true")
            }
            Self::Function(chain) => chain.webhook_secret().ok_or_else(|| {
                anyhow!(
                    "function {} has no {WEBHOOK_SECRET_ID}, so it refuses every webhook: deploy the template with FlexOrchWebhook=true",
                    chain.outcomes()
                )
            }),
            Self::Table(_) => Err(anyhow!("a table has no webhook")),
        }
    }

    /// Returns the queue that the ingester reads.
    ///
    /// # Errors
    /// If it is not known, or there are several.
    pub(crate) async fn retry_queue(&self) -> Result<QueueName> {
        let arns = match self {
            Self::Stack(outputs) => {
                let url = Self::required(outputs, output::RETRY_QUEUE_URL, "this project's template")?;
                return url.parse().with_context(|| format!("the stack's retry queue is {url:?}"));
            }
            Self::Function(chain) => chain.ingesters_queues().await?,
            Self::Table(_) => Vec::new(),
        };
        match &arns[..] {
            [only] => Ok(QueueName::Arn(only.clone())),
            [] => Err(WrongArgument(
                "the retry queue is not known: name it with --queue (the stack's output RetryQueueUrl); nothing was sent".to_owned(),
            )
            .into()),
            several => Err(WrongArgument(format!(
                "the function reads several queues: {}; name one with --queue; nothing was sent",
                several.join(", ")
            ))
            .into()),
        }
    }

    fn required<'a>(outputs: &'a Outputs, output: &str, by: &str) -> Result<&'a str> {
        outputs.get(output).ok_or_else(|| {
            anyhow!("stack {} has no output {output}: deploy it with {by} (`sam deploy`)", outputs.stack)
        })
    }
}
