//! Handles an invocation: receipts, a webhook or a sweep.

use std::path::Path;
use std::time::Duration;

use flexorch_s3_ingester::aws::http::HttpError;
use flexorch_s3_ingester::aws::secrets::SecretCache;
use flexorch_s3_ingester::aws::{http, runtime_api, sdk};
use flexorch_s3_ingester::clock::Clock;
use flexorch_s3_ingester::config::{ConfigError, variable};
use flexorch_s3_ingester::event::describe;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::handler::{InvocationContext, InvocationError};
use flexorch_s3_ingester::redaction;
use flexorch_s3_ingester::telemetry::metrics::Dimensions;
use flexorch_s3_ingester::telemetry::write_line;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::apply::{ApplyError, CONCURRENT_RECORDS, Recorder, Run};
use crate::bus::Bus;
use crate::config::Config;
use crate::event::{Event, Message};
use crate::metrics::Metrics;
use crate::receipt;
use crate::signing::Signing;
use crate::sweep::Sweeper;
use crate::table::Table;
use crate::text::shortened;
use crate::transition::Fact;
use crate::webhook::{Refusal, Request};

/// A webhook is answered within this time: its sender, which does not wait for long, tries again after a 503.
const WEBHOOK_TIME: Duration = Duration::from_secs(20);

/// How long a connector's secret is used before it is fetched again: the ingester's default.
const SECRET_TIME_TO_LIVE: Duration = Duration::from_secs(300);

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

/// Why a webhook's delivery is not done.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    /// It is not a delivery of FlexOrch's, or not one that can be read.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No record names the job, so far.
    #[error("no record names the job {0:?} so far; a sweep finds it later")]
    UnknownJob(String),
    /// The signing secret cannot be fetched.
    #[error("the webhook's secret cannot be fetched: {0}")]
    Secret(flexorch_s3_ingester::aws::failure::CallError),
    /// It cannot be recorded or published now.
    #[error(transparent)]
    Apply(#[from] ApplyError),
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
            secrets: SecretCache::new(sdk, &config.connector_secret_ids, SECRET_TIME_TO_LIVE, clock),
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
                let end = run.end.min(self.clock.now() + WEBHOOK_TIME);
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

    /// Records a batch of receipts and returns which messages come back.
    async fn receipts(&self, messages: &[Message], times: Times, run: Run<'_>) -> Value {
        // FlexOrch's messages in receipts may repeat an API key, which is known only once its secret was read.
        if messages.iter().any(|message| message.body.contains("\"message\"")) {
            self.secrets.connectors(times.secrets_end).await;
        }
        let mut failures = vec![false; messages.len()];
        let mut submissions = Vec::new();
        for (position, message) in messages.iter().enumerate() {
            match receipt::parse(&message.body, clean) {
                Ok(documents) => submissions.extend(documents.into_iter().map(|document| (position, document))),
                Err(error) => {
                    failures[position] = true;
                    tracing::error!(
                        messageId = message.id.as_str(),
                        error = error.to_string().as_str(),
                        "a receipt cannot be read"
                    );
                }
            }
        }
        let documents = submissions.len();
        let mut results = stream::iter(submissions)
            .map(|(position, submission)| async move { (position, self.recorder.submitted(&submission, run).await) })
            .buffer_unordered(CONCURRENT_RECORDS);
        while let Some((position, result)) = results.next().await {
            // One line a message: the documents of one usually fail for the same reason.
            if let Err(error) = result
                && !std::mem::replace(&mut failures[position], true)
            {
                tracing::error!(
                    messageId = messages[position].id.as_str(),
                    error = error.to_string().as_str(),
                    "a receipt cannot be recorded now; it comes back"
                );
            }
        }
        let failed: Vec<_> = messages.iter().zip(&failures).filter(|(_, failed)| **failed).collect();
        tracing::info!(receipts = messages.len(), documents, failed = failed.len(), "receipts recorded");
        let failed: Vec<_> = failed.iter().map(|(message, _)| json!({"itemIdentifier": message.id})).collect();
        json!({ "batchItemFailures": failed })
    }

    /// Handles a request to the function's URL and returns the HTTP response.
    async fn webhook(&self, request: Request<'_>, run: Run<'_>) -> Value {
        let error = match self.deliver(request, run).await {
            Ok(()) => return json!({"statusCode": 204}),
            Err(error) => error,
        };
        let text = redaction::redacted(&error.to_string());
        let status = match &error {
            DeliveryError::Refused(refusal) => {
                if *refusal == Refusal::Signature {
                    run.metrics.count_rejected_webhook();
                }
                tracing::warn!(status = refusal.status(), error = text.as_str(), "a webhook is refused");
                refusal.status()
            }
            DeliveryError::UnknownJob(_) => {
                tracing::warn!(error = text.as_str(), "a webhook cannot be recorded yet");
                503
            }
            DeliveryError::Secret(_) | DeliveryError::Apply(_) => {
                tracing::error!(error = text.as_str(), "a webhook cannot be recorded now");
                503
            }
        };
        // The caller learns no more than a refused one may know.
        let shown = if status == 503 { "try again later".to_owned() } else { text };
        let mut headers = json!({"content-type": "application/json"});
        if status == 405 {
            headers["allow"] = json!("POST");
        }
        json!({"statusCode": status, "headers": headers, "body": json!({"error": shown}).to_string()})
    }

    async fn deliver(&self, request: Request<'_>, run: Run<'_>) -> Result<(), DeliveryError> {
        let signed = request.check()?;
        let signing = self.signing.as_ref().ok_or(Refusal::Signature)?;
        if !signing.verifies(&signed, run.end).await.map_err(DeliveryError::Secret)? {
            return Err(Refusal::Signature.into());
        }
        let Some(end) = signed.read(clean)? else { return Ok(()) };
        let records = self.recorder.table.of_job(&end.job_id, run.end).await.map_err(ApplyError::from)?;
        if records.is_empty() {
            return Err(DeliveryError::UnknownJob(end.job_id));
        }
        let end = Box::pin(self.sweeper.explain(end, &records, &self.secrets, run.end)).await;
        let job_id = end.job_id.clone();
        self.recorder.about(&records, &Fact::Ended(end), run).await?;
        tracing::info!(job = job_id.as_str(), records = records.len(), "a webhook is recorded");
        Ok(())
    }
}

/// Removes secrets from a text of FlexOrch's, and cuts it.
fn clean(text: &str) -> String {
    shortened(&redaction::redacted(text))
}
