//! What is simulated: the deployment, the upload and the plan, with the template's defaults.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::ValueEnum;
use flexorch_s3_ingester::config::{Config, ConfigError};
use flexorch_s3_ingester::model::connector::{Connector, ConnectorError};
use serde::Serialize;

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

    /// The name as the template writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::Queue => "Queue",
            Self::EventBridge => "EventBridge",
        }
    }
}

/// One run of the simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Scenario {
    /// `Trigger`.
    pub shape: Shape,
    /// Uploads.
    pub objects: u32,
    /// They are spread evenly over this.
    pub upload: Duration,
    /// What the plan allows in a minute: `PlanRequestsPerMinute`.
    pub rpm: NonZeroU32,
    /// FlexOrch's response time, ± 25 %.
    pub latency: Duration,
    /// `BatchSize`.
    pub batch_size: usize,
    /// `BatchWindowSeconds`.
    pub batch_window: Duration,
    /// `MaximumConcurrency`: how many processes take batches from the retry queue.
    pub processes: u32,
    /// `ProcessRequestsPerMinute`; `None`: the plan's rate divided by the processes.
    pub process_rpm: Option<NonZeroU32>,
    /// `MaxConcurrentRequests`.
    pub concurrent_requests: NonZeroU32,
    /// `MemorySize`.
    pub memory_mb: u32,
    /// `Timeout`.
    pub timeout: Duration,
    /// `MaxReceiveCount`.
    pub max_receives: u16,
    /// `MaximumEventAgeSeconds`.
    pub event_age: Duration,
    /// How many processes Lambda runs concurrently: the account's quota, or `ReservedConcurrency`.
    pub concurrency: usize,
    /// Chance is drawn from this.
    pub seed: u64,
}

/// The default number of uploads in a second: what a parallel copy tool reaches.
const UPLOADS_PER_SECOND: f64 = 1000.0;

impl Scenario {
    /// The template's defaults for so many uploads on such a plan.
    pub fn new(shape: Shape, objects: u32, rpm: NonZeroU32) -> Self {
        Self {
            shape,
            objects,
            upload: Duration::from_secs_f64(f64::from(objects) / UPLOADS_PER_SECOND),
            rpm,
            latency: Duration::from_millis(200),
            batch_size: 1000,
            batch_window: Duration::from_secs(5),
            processes: 2,
            process_rpm: None,
            concurrent_requests: NonZeroU32::MIN.saturating_add(1),
            memory_mb: 128,
            timeout: Duration::from_secs(30),
            max_receives: 120,
            event_age: Duration::from_secs(21_600),
            // The quota of an account that has been in use (Lambda Developer Guide, "Lambda quotas"); new ones have less.
            concurrency: 1000,
            seed: 1,
        }
    }

    /// The function's settings, checked as the function checks them: its own defaults, and `REQUESTS_PER_MINUTE` as the template
    /// sets it.
    ///
    /// # Errors
    /// What the function would say of a wrong one.
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

    /// The connector that every object belongs to.
    ///
    /// # Errors
    /// Never: its secret is a constant.
    pub fn connector(&self) -> Result<Connector, ConnectorError> {
        Connector::from_secret("simulated", r#"{"api_key": "dfx_simulated", "connector_id": 1, "bucket": "simulated"}"#)
    }

    /// When the object with this number has been uploaded, from the beginning.
    pub fn uploaded_after(&self, object: u32) -> Duration {
        self.upload.mul_f64(f64::from(object) / f64::from(self.objects.max(1)))
    }
}

/// The template's mapping `ProcessShare`: the plan's rate divided by the processes, rounded down.
pub fn process_share(rpm: u32, processes: u32) -> u32 {
    (rpm / processes.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../template.yaml");

    fn default_of(parameter: &str) -> u64 {
        let (_, rest) = TEMPLATE.split_once(&format!("\n  {parameter}:\n    Type:")).unwrap();
        let (_, rest) = rest.split_once("\n    Default: ").unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_defaults_are_the_templates() {
        let rpm = NonZeroU32::new(u32::try_from(default_of("PlanRequestsPerMinute")).unwrap()).unwrap();
        let scenario = Scenario::new(Shape::Direct, 1, rpm);
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
