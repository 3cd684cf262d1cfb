//! What is simulated: the deployment, the uploads, the plan and what goes wrong, with the template's defaults.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use flexorch_s3_ingester::config::{Config, ConfigError};
use flexorch_s3_ingester::model::connector::{Connector, ConnectorError};
use jiff::{Span, SpanRelativeTo};
use serde::Serialize;

use crate::agenda::start;

/// How an upload reaches the function: the template's parameter `Trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Shape {
    /// Bucket → function; what failed → retry queue → function.
    Direct,
    /// Bucket → retry queue → function.
    Queue,
    /// Bucket → rule → retry queue → function.
    EventBridge,
}

impl Shape {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Queue, Self::EventBridge];

    /// Returns the name as the template writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::Queue => "Queue",
            Self::EventBridge => "EventBridge",
        }
    }
}

/// One run of the simulation.
#[derive(Debug, Clone, Serialize, Args)]
pub struct Scenario {
    /// `Trigger`.
    #[arg(skip = Shape::Queue)]
    pub shape: Shape,
    /// Uploads.
    #[arg(skip)]
    pub objects: u32,
    /// What the plan allows in a minute: `PlanRequestsPerMinute`.
    #[arg(skip = NonZeroU32::MIN)]
    pub rpm: NonZeroU32,
    /// Seconds over which the uploads are spread; by default a thousand uploads arrive in a second.
    #[arg(long = "upload-seconds", value_parser = seconds(0..=u64::from(u32::MAX)))]
    pub upload: Option<Duration>,
    /// FlexOrch's response time in milliseconds, ± 25 %.
    #[arg(long = "latency-ms", default_value = "200", value_parser = number(1..=60_000).map(Duration::from_millis))]
    pub latency: Duration,
    /// `BatchSize`.
    #[arg(long, default_value = "1000", value_parser = number(1..=10_000).map(|size| size as usize))]
    pub batch_size: usize,
    /// `BatchWindowSeconds`.
    #[arg(long, default_value = "5", value_parser = seconds(1..=300))]
    pub batch_window: Duration,
    /// `MaximumConcurrency`: how many processes take batches from the retry queue.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub processes: u32,
    /// `ProcessRequestsPerMinute`; by default the plan's rate divided by the processes.
    #[arg(long)]
    pub process_rpm: Option<NonZeroU32>,
    /// `MaxConcurrentRequests`.
    #[arg(long, default_value = "2")]
    pub concurrent_requests: NonZeroU32,
    /// `MemorySize`.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub memory_mb: u32,
    /// `Timeout`.
    #[arg(skip = Duration::from_secs(30))]
    pub timeout: Duration,
    /// `MaxReceiveCount`.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub max_receives: u16,
    /// `MaximumEventAgeSeconds`.
    #[arg(skip = Duration::from_secs(21_600))]
    pub event_age: Duration,
    /// Processes that Lambda runs concurrently: the account's quota, or `ReservedConcurrency`.
    // The quota of an account that has been in use (Lambda Developer Guide, "Lambda quotas"); new ones have less.
    #[arg(long, default_value = "1000", value_parser = number(1..=100_000).map(|processes| processes as usize))]
    pub concurrency: usize,
    /// Connectors, over which the objects are spread evenly.
    #[arg(long, default_value = "1", value_parser = number(1..=100).map(|connectors| connectors as usize))]
    pub connectors: usize,
    /// The connectors share one API key, and so the plan and its credits; by default each has its own.
    #[arg(long)]
    pub same_key: bool,
    /// Percent of the files that FlexOrch refuses with 415, which it responds to the whole request.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub unsupported_percent: u8,
    /// The API keys are replaced at this time, in FlexOrch and in the secrets (`10m`, `2h`).
    #[arg(long, value_parser = duration)]
    pub rotate_key_after: Option<Duration>,
    /// FlexOrch responds to every request of the first connector with this status (402, 403, 404, 503), for a time.
    #[arg(long, requires = "outage_for", value_parser = clap::value_parser!(u16).range(300..=599))]
    pub outage: Option<u16>,
    /// When the outage begins.
    #[arg(long, default_value = "0s", requires = "outage", value_parser = duration)]
    pub outage_after: Duration,
    /// How long the outage lasts.
    #[arg(long, default_value = "0s", requires = "outage", value_parser = duration)]
    pub outage_for: Duration,
    /// Documents that an API key's credits are enough for in a period, a credit each; by default there is no limit.
    #[arg(long)]
    pub credits: Option<NonZeroU32>,
    /// The period after which the credits are there again; the first one begins with the first upload.
    #[arg(long, default_value = "30d", requires = "credits", value_parser = duration)]
    pub credits_reset: Duration,
    /// FlexOrch names the reset in `Retry-After` when the credits are used up.
    #[arg(long, requires = "credits")]
    pub reset_named: bool,
    /// The end of the run, if some objects still wait then.
    #[arg(long, default_value = "1000d", value_parser = duration)]
    pub until: Duration,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The default number of uploads in a second: what a parallel copy tool reaches.
const UPLOADS_PER_SECOND: f64 = 1000.0;

impl Scenario {
    /// Returns the time over which the uploads are spread evenly.
    pub fn upload(&self) -> Duration {
        self.upload.unwrap_or_else(|| Duration::from_secs_f64(f64::from(self.objects) / UPLOADS_PER_SECOND))
    }

    /// Returns the retry queue's visibility timeout: six times the function's.
    pub fn visibility(&self) -> Duration {
        self.timeout * 6
    }

    /// Returns when the object with this number has been uploaded, from the beginning.
    pub fn uploaded_after(&self, object: u32) -> Duration {
        self.upload().mul_f64(f64::from(object) / f64::from(self.objects.max(1)))
    }

    /// Returns the connector that reads the object with this number.
    pub fn connector_of(&self, object: u32) -> usize {
        object as usize % self.connectors
    }

    /// Returns the function's settings, checked as the function checks them: its own defaults, and `REQUESTS_PER_MINUTE` as the
    /// template sets it.
    ///
    /// # Errors
    /// The function's own for a wrong setting.
    pub fn function(&self) -> Result<Config, ConfigError> {
        let share = self.process_rpm.map_or_else(|| process_share(self.rpm.get(), self.processes), NonZeroU32::get);
        Config::from_lookup(|name| {
            Ok(match name {
                "CONNECTOR_SECRET_IDS" => Some("simulated".to_owned()),
                // Set by the template in every shape; it decides that time is kept for settling.
                "DEAD_LETTER_QUEUE_URL" => Some("https://sqs.us-east-1.amazonaws.com/123456789012/dead".to_owned()),
                "REQUESTS_PER_MINUTE" => Some(share.to_string()),
                "MAX_CONCURRENT_REQUESTS" => Some(self.concurrent_requests.to_string()),
                _ => None,
            })
        })
    }

    /// Returns the connectors' secrets.
    ///
    /// # Errors
    /// Never: their form is constant.
    pub fn secrets(&self) -> Result<Secrets, ConnectorError> {
        let connectors = |version: &str| {
            (0..self.connectors)
                .map(|number| {
                    let account = if self.same_key { 0 } else { number };
                    let secret = format!(
                        r#"{{"api_key": "dfx_{version}_{account}", "connector_id": {number}, "bucket": "simulated-{number}"}}"#
                    );
                    Connector::from_secret(&format!("simulated-{number}"), &secret).map(Arc::new)
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let rotated = self.rotate_key_after.map(|after| start() + after);
        Ok(Secrets { first: connectors("first")?, second: connectors("second")?, rotated })
    }
}

/// The connectors as their secrets describe them, before and after the API keys are replaced.
pub struct Secrets {
    first: Vec<Arc<Connector>>,
    second: Vec<Arc<Connector>>,
    rotated: Option<SystemTime>,
}

impl Secrets {
    /// Returns the connectors that the secrets describe now.
    pub fn at(&self, now: SystemTime) -> &[Arc<Connector>] {
        if self.rotated.is_some_and(|rotated| now >= rotated) { &self.second } else { &self.first }
    }
}

/// Returns the template's mapping `ProcessShare`: the plan's rate divided by the processes, rounded down.
pub fn process_share(rpm: u32, processes: u32) -> u32 {
    (rpm / processes.max(1)).max(1)
}

fn number(range: std::ops::RangeInclusive<u64>) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(range)
}

fn seconds(range: std::ops::RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    number(range).map(Duration::from_secs)
}

/// Parses `30d`, `11h 30m` or an ISO 8601 duration.
fn duration(text: &str) -> Result<Duration, jiff::Error> {
    text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours())?.try_into()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use clap::Parser;

    const TEMPLATE: &str = include_str!("../../template.yaml");

    fn default_of(parameter: &str) -> u64 {
        let (_, rest) = TEMPLATE.split_once(&format!("\n  {parameter}:\n    Type:")).unwrap();
        let (_, rest) = rest.split_once("\n    Default: ").unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    }

    /// The default deployment for so many uploads on such a plan.
    pub fn scenario(shape: Shape, objects: u32, rpm: u32) -> Scenario {
        let rpm = NonZeroU32::new(rpm).unwrap();
        Scenario { shape, objects, rpm, ..crate::Arguments::parse_from(["burst"]).scenario }
    }

    #[test]
    fn the_defaults_are_the_templates() {
        let rpm = u32::try_from(default_of("PlanRequestsPerMinute")).unwrap();
        let scenario = scenario(Shape::Direct, 1, rpm);
        assert_eq!(scenario.batch_size as u64, default_of("BatchSize"));
        assert_eq!(scenario.batch_window.as_secs(), default_of("BatchWindowSeconds"));
        assert_eq!(u64::from(scenario.processes), default_of("MaximumConcurrency"));
        assert_eq!(u64::from(scenario.memory_mb), default_of("MemorySize"));
        assert_eq!(scenario.timeout.as_secs(), default_of("Timeout"));
        assert_eq!(u64::from(scenario.max_receives), default_of("MaxReceiveCount"));
        assert_eq!(scenario.event_age.as_secs(), default_of("MaximumEventAgeSeconds"));
        let function = scenario.function().unwrap();
        assert_eq!(function.max_keys_per_request.get() as u64, default_of("MaxKeysPerRequest"));
        assert_eq!(function.max_concurrent_requests.get() as u64, default_of("MaxConcurrentRequests"));
        assert_eq!(u64::from(function.max_attempts.get()), default_of("MaxAttempts"));
        assert_eq!(function.request_timeout.as_millis(), u128::from(default_of("RequestTimeoutMs")));
        assert_eq!(function.deadline_margin.as_millis(), u128::from(default_of("DeadlineMarginMs")));
    }

    #[test]
    fn a_process_has_the_share_that_the_template_looks_up() {
        let (_, table) = TEMPLATE.split_once("\n  ProcessShare:\n").unwrap();
        let mut looked_up = 0;
        for line in table.lines().take_while(|line| line.starts_with("    \"")) {
            let numbers: Vec<u32> = line.split('"').filter_map(|part| part.parse().ok()).collect();
            for pair in numbers[1..].chunks(2) {
                assert_eq!(process_share(numbers[0], pair[0]), pair[1], "{line}");
                looked_up += 1;
            }
        }
        assert_eq!(looked_up, 70);
    }
}
