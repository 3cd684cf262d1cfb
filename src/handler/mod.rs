//! Composes the rest: event → objects → outcomes → response.
//!
//! | file | what it does |
//! | --- | --- |
//! | `settle` | objects → outcomes: connectors, routes, submission |
//! | `dead_letter` | sends rejected objects and unreadable messages to the dead-letter queue |
//! | [`receipts`] | sends what FlexOrch accepted and rejected to the receipts queue |
//! | `reconcile` | an order to reconcile → objects, page by page |
//! | [`acknowledge`] | pure: when a message is acknowledged, when it returns, and what is sent in addition |
//! | `queue` | carries out these decisions, and builds the response to a batch of messages |
//! | `answer` | outcomes → the response to a direct invocation and to a Batch Operations job |
//! | [`times`] | pure: the time limits of an invocation's parts |
//! | `run` | an invocation in progress: its times, metrics and report |
//! | `report` | the results of an invocation, for logs, metrics and the command line |

pub mod acknowledge;
mod answer;
mod dead_letter;
mod queue;
pub mod receipts;
mod reconcile;
mod report;
mod run;
mod settle;
pub mod times;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Client;
use serde_json::Value;
use tracing::Instrument;

use crate::aws::http::HttpError;
use crate::aws::s3::Buckets;
use crate::aws::secrets::{Connectors, SecretCache};
use crate::aws::sqs::Queues;
use crate::aws::{http, sdk};
use crate::clock::Clock;
use crate::config::{Config, variable};
use crate::event::{Carrier, Invocation, UnknownEvent};
use crate::flexorch::client::{FlexOrchClient, SubmitOptions};
use crate::ingest::route::{ConnectorConflict, check_distinct};
use crate::ingest::session::{OFTEN_RECEIVED, Settings};
use crate::ingest::submit::Submitter;
use crate::model::object::Origin;
use crate::telemetry::metrics::{Dimensions, Extra};

pub use answer::InvocationError;
pub use report::{Report, Reported};

use queue::QueueEvent;
use reconcile::Reconciling;
use run::Run;
use times::{Load, Times};

/// The time limit for fetching secrets during initialization, for which Lambda allows ten seconds (Lambda Developer Guide, "Understanding
/// the Lambda execution environment lifecycle"). Slower ones are fetched with the first event.
const WARM_UP: Duration = Duration::from_secs(5);

/// The function, ready for events.
#[derive(Debug)]
pub struct Ingester {
    config: Config,
    clock: Clock,
    secrets: Arc<SecretCache>,
    submitter: Submitter,
    queues: Queues,
    buckets: Buckets,
    function_name: String,
    prints_metrics: bool,
}

/// Why the function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The program was not started as a Lambda function.
    #[error(
        "AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda function, which Lambda starts; run it with `cargo lambda watch`, or use `flexorch-s3 invoke`"
    )]
    NotInLambda,
    /// The HTTP client could not be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Two secrets claim the same objects.
    #[error(transparent)]
    Conflict(#[from] ConnectorConflict),
}

/// The context of an invocation.
#[derive(Debug, Clone)]
pub struct InvocationContext {
    /// Lambda's id of the request.
    pub request_id: String,
    /// The time at which Lambda ends the invocation.
    pub deadline: SystemTime,
}

/// Milliseconds since 1970, in September 2001: no invocation's deadline is before it.
const LEAST_DEADLINE: u64 = 1_000_000_000_000;

impl InvocationContext {
    /// Returns the context for a deadline from the Runtime API, in milliseconds since 1970 (Lambda Developer Guide, "Using the Lambda
    /// runtime API for custom runtimes"). `cargo lambda watch` sends a constant number of milliseconds instead, which is read as a duration
    /// from now: as a date it would have passed long ago.
    #[must_use]
    pub fn new(request_id: String, deadline_ms: u64, now: SystemTime) -> Self {
        let since = if deadline_ms < LEAST_DEADLINE { now } else { SystemTime::UNIX_EPOCH };
        Self { request_id, deadline: since + Duration::from_millis(deadline_ms) }
    }
}

/// The result of an invocation.
#[derive(Debug)]
pub struct Handled {
    /// The response, or the error that makes Lambda deliver the event again.
    pub answer: Result<Value, InvocationError>,
    /// The outcome of every object.
    pub report: Report,
}

impl Ingester {
    /// Creates the function. It fetches nothing yet: see [`Ingester::warm_up`].
    ///
    /// # Errors
    /// [`StartError`] if a TLS root file cannot be used.
    pub fn new(config: Config, clock: Clock) -> Result<Self, StartError> {
        let roots = variable("SSL_CERT_FILE");
        let http = http::client(roots.as_deref().map(std::path::Path::new))?;
        let sdk = sdk::config(&http);
        Ok(Self::with_clients(config, clock, http, sdk))
    }

    /// Creates the function with an existing HTTP client and SDK configuration.
    #[must_use]
    pub fn with_clients(config: Config, clock: Clock, http: Client, sdk: aws_config::SdkConfig) -> Self {
        let secrets =
            Arc::new(SecretCache::new(sdk.clone(), &config.connector_secret_ids, config.secret_cache_ttl, clock));
        let options = SubmitOptions { locale: config.locale.clone(), pipeline_config: config.pipeline_config.clone() };
        let client = FlexOrchClient::new(http, &config.flexorch_base_url, options, clock);
        Self {
            submitter: Submitter::new(client, Arc::clone(&secrets), Settings::from(&config), clock),
            secrets,
            queues: Queues::new(sdk.clone(), clock),
            buckets: Buckets::new(sdk, clock),
            function_name: variable("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "flexorch-s3-ingester".into()),
            prints_metrics: true,
            clock,
            config,
        }
    }

    /// Returns the same function without metrics on standard output, for a command line with its own output.
    #[must_use]
    pub fn without_metrics(self) -> Self {
        Self { prints_metrics: false, ..self }
    }

    /// Fetches the secrets, so that the first event does not wait. A failure is logged, and the first event tries again.
    ///
    /// # Errors
    /// [`StartError::Conflict`] if two connectors have the same scope. If that happens later, they only defer each other's objects.
    pub async fn warm_up(&self) -> Result<(), StartError> {
        let connectors = self.secrets.connectors(self.clock.now() + WARM_UP).await;
        log_secret_errors(&connectors);
        check_distinct(&connectors.known)?;
        Ok(())
    }

    /// Handles one invocation: responds before `context.deadline`, whatever happens, and gives every object an outcome.
    pub async fn handle(&self, payload: &str, context: &InvocationContext) -> Handled {
        // At the highest level, which is always on: every line of the invocation has its id.
        let span = tracing::error_span!("invocation", requestId = context.request_id.as_str());
        self.handle_in_span(payload, context).instrument(span).await
    }

    async fn handle_in_span(&self, payload: &str, context: &InvocationContext) -> Handled {
        let began = self.clock.now();
        let invocation = Invocation::read(payload);
        let mut run = Run::new(self.times(context, invocation.as_ref().ok(), began), self.clock);
        let answer = match invocation {
            Ok(invocation) => self.carry_out(invocation, payload, &mut run).await,
            Err(error) => Err(unknown(error)),
        };
        let answer = answer.map_err(InvocationError::redacted);
        run.report.log(&answer, &run.metrics);
        if self.prints_metrics {
            self.print_metrics(context, &run);
        }
        Handled { answer, report: run.report }
    }

    fn print_metrics(&self, context: &InvocationContext, run: &Run) {
        let Run { metrics, report, .. } = run;
        let dimensions =
            Dimensions { function_name: self.function_name.clone(), request_id: context.request_id.clone() };
        let extra = Extra {
            unreadable_messages: report.unreadable_messages,
            messages_renewed: report.renewed,
            receipts_lost: report.receipts_lost,
            reconcile_found: report.reconcile_found,
            reconciles_blocked: report.reconciles_blocked,
            secret_fetches: self.secrets.take_fetch_count(),
        };
        let lines = metrics.lines(&report.counts, extra, &dimensions, self.clock.now());
        lines.iter().for_each(|line| crate::telemetry::write_line(line));
    }

    async fn carry_out(&self, invocation: Invocation, payload: &str, run: &mut Run) -> Result<Value, InvocationError> {
        let Invocation { carrier, contents } = invocation;
        run.report.source = answer::source_name(&carrier);
        if let Carrier::Queue(batch) = &carrier {
            let often = (0..).zip(&batch.messages).filter(|(_, message)| message.receive_count >= OFTEN_RECEIVED);
            run.redelivered = often.map(|(position, _)| Origin(position)).collect();
        }
        let mut objects = contents.objects;
        if matches!(carrier, Carrier::BatchJob(_)) {
            self.decide_plus_signs(&mut objects, run).await;
        }
        self.settle(objects, run).await;
        self.settle_unreadable_records(contents.unreadable, &carrier, run).await;
        let named = run.report.objects.len();
        let mut orders = Vec::with_capacity(contents.reconciles.len());
        let can_set_aside = match &carrier {
            Carrier::Queue(batch) => batch.queue_for_copies().is_some(),
            Carrier::Direct | Carrier::BatchJob(_) => false,
        };
        for (origin, order) in contents.reconciles {
            orders.push(self.reconcile(Reconciling { origin, order, can_set_aside }, run).await);
        }
        // Before the event is acknowledged: after a crash the event returns, and FlexOrch names the jobs again.
        match carrier {
            Carrier::Direct => {
                run.report.receipts_lost = self.send_receipts(run).await;
                answer::direct(&run.report, &orders)
            }
            Carrier::BatchJob(job) => {
                run.report.receipts_lost = self.send_receipts(run).await;
                answer::batch_job(&job, &run.report)
            }
            Carrier::Queue(batch) => {
                self.answer_queue(QueueEvent { payload, batch: &batch, orders: &orders, named }, run).await
            }
        }
    }

    /// Returns the times of an invocation whose payload was read from `began` on.
    fn times(&self, context: &InvocationContext, invocation: Option<&Invocation>, began: SystemTime) -> Times {
        let now = self.clock.now();
        let messages = match invocation.map(|invocation| &invocation.carrier) {
            Some(Carrier::Queue(batch)) => Some(batch.messages.len()),
            _ => None,
        };
        let named =
            invocation.map_or(0, |Invocation { contents, .. }| contents.objects.len() + contents.unreadable.len());
        let load = Load {
            objects: named.max(messages.unwrap_or_default()),
            settles: messages.is_some() || self.config.dead_letter_queue_url.is_some(),
            sends_receipts: self.config.receipts_queue_url.is_some(),
            read_in: now.duration_since(began).unwrap_or_default(),
        };
        Times::new(now, context.deadline, self.config.deadline_margin, load)
    }
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            max_keys_per_request: config.max_keys_per_request,
            max_concurrent_requests: config.max_concurrent_requests,
            requests_per_minute: config.requests_per_minute,
            max_attempts: config.max_attempts,
            request_timeout: config.request_timeout,
        }
    }
}

fn unknown(error: UnknownEvent) -> InvocationError {
    InvocationError { kind: "UnknownEvent", message: error.to_string() }
}

fn log_secret_errors(connectors: &Connectors) {
    for (error, claim) in connectors.failed.iter().zip(&connectors.claims) {
        tracing::error!(
            secret = &**error.secret_id(),
            error = error.to_string().as_str(),
            deferred = claim.scope.to_string().as_str(),
            "a connector's secret cannot be used; what it claims is deferred until it can"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_date_unless_it_can_only_be_a_duration() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_784_800_000_000);
        let deadline = |ms| InvocationContext::new("r".into(), ms, now).deadline;
        assert_eq!(deadline(1_784_800_030_000), now + Duration::from_secs(30));
        assert_eq!(deadline(1_784_799_999_000), now - Duration::from_secs(1));
        assert_eq!(deadline(600_000), now + Duration::from_secs(600));
    }
}
