//! Handles an invocation: receipts, a webhook or a sweep.

mod receipts;
mod webhook;

use std::path::Path;

use flexorch_s3_ingester::aws::http::HttpError;
use flexorch_s3_ingester::aws::secrets::SecretCache;
use flexorch_s3_ingester::aws::{http, runtime_api, sdk};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{ConfigError, DEFAULT_SECRET_CACHE_TTL, variable};
use flexorch_s3_ingester::event::describe;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::handler::{InvocationContext, InvocationError};
use flexorch_s3_ingester::redaction;
use flexorch_s3_ingester::telemetry::metrics::Dimensions;
use flexorch_s3_ingester::telemetry::write_line;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::apply::{Recorder, Run};
use crate::bus::Bus;
use crate::config::Config;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::signing::Signing;
use crate::sweep::Sweeper;
use crate::table::Table;
use crate::text::shortened;

/// The function, ready for events.
#[derive(Debug)]
pub struct Outcomes {
    config: Config,
    clock: Clock,
    recorder: Recorder,
    signing: Option<Signing>,
    secrets: SecretCache,
    sweeper: Sweeper,
    function_name: String,
}

/// Why the function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing started the program as a Lambda function.
    #[error("AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda function, which Lambda starts")]
    NotInLambda,
    /// There is no HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Outcomes {
    /// Puts the function together from the environment. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn from_env() -> Result<Self, StartError> {
        let config = Config::from_env()?;
        variable(runtime_api::ADDRESS).ok_or(StartError::NotInLambda)?;
        let http = http::client(variable("SSL_CERT_FILE").as_deref().map(Path::new))?;
        let (sdk, clock) = (sdk::config(&http), Clock::system());
        Ok(Self {
            recorder: Recorder {
                table: Table::new(&sdk, config.records_table.clone(), clock),
                bus: Bus::new(&sdk, config.event_bus.clone(), clock),
                clock,
                keep_for: config.keep_for,
            },
            signing: config.webhook_secret_id.clone().map(|id| Signing::new(&sdk, id, clock)),
            secrets: SecretCache::new(sdk, &config.connector_secret_ids, DEFAULT_SECRET_CACHE_TTL, clock),
            sweeper: Sweeper::new(http, &config, clock),
            function_name: variable("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| env!("CARGO_PKG_NAME").into()),
            clock,
            config,
        })
    }

    /// Handles one invocation: answers before `context.deadline`, whatever happens.
    ///
    /// # Errors
    /// [`InvocationError`] for an event that the function does not accept, and for a sweep that could not read the table.
    pub async fn handle(&self, payload: &str, context: &InvocationContext) -> Result<Value, InvocationError> {
        // At the level that is always on: every line of the invocation carries its id.
        let span = tracing::error_span!("invocation", requestId = context.request_id.as_str());
        let metrics = Metrics::default();
        // Boxed, as below: the compiler computes the layout of nested futures only so deep.
        let answer = Box::pin(self.carry_out(payload, context, &metrics)).instrument(span).await;
        let dimensions =
            Dimensions { function_name: self.function_name.clone(), request_id: context.request_id.clone() };
        metrics.lines(&dimensions, self.recorder.now()).iter().for_each(|line| write_line(line));
        answer
    }

    async fn carry_out(
        &self,
        payload: &str,
        context: &InvocationContext,
        metrics: &Metrics,
    ) -> Result<Value, InvocationError> {
        let times = Times::new(self.clock.now(), context.deadline, self.config.deadline_margin, Load::default());
        let run = Run { metrics, end: times.answer_end };
        match Event::parse(payload) {
            Some(Event::Receipts(messages)) => Ok(self.receipts(&messages, times, run).await),
            Some(Event::Webhook(request)) => {
                let end = run.end.min(self.clock.now() + webhook::MOST_TIME);
                Ok(self.webhook(request, Run { end, ..run }).await)
            }
            Some(Event::Sweep) => {
                let result = self.sweeper.sweep(&self.recorder, &self.secrets, run).await;
                let summary = result.map_err(|error| {
                    let message = redaction::redacted(&error.to_string());
                    tracing::error!(error = message.as_str(), "the sweep failed");
                    InvocationError { kind: "SweepFailed", message }
                })?;
                Ok(json!(summary))
            }
            None => {
                let message = format!(
                    "{}. Accepted are SQS batches of receipts, requests to a function URL and {{\"sweep\": {{}}}}",
                    describe(payload)
                );
                let message = redaction::redacted(&message);
                tracing::error!(error = message.as_str(), "the event is unknown");
                Err(InvocationError { kind: "UnknownEvent", message })
            }
        }
    }
}

/// Removes secrets from a text of FlexOrch's, and cuts it.
fn clean(text: &str) -> String {
    shortened(&redaction::redacted(text))
}
