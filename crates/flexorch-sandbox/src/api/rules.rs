//! The limits of every tenant.

use std::time::Duration;

use super::super::options::{Plan, SandboxOptions, WebhookSecrets};
use super::job::Pace;

/// The limits of every tenant.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) plan: Plan,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) monthly_credits: Option<u64>,
    pub(crate) max_keys_per_request: usize,
    pub(crate) open_connectors: bool,
    pub(crate) job_time: Option<Duration>,
    pub(crate) recognize_documents: bool,
    pub(crate) webhook_secrets: WebhookSecrets,
}

impl Rules {
    /// Returns how a new job comes to its end.
    pub(crate) fn pace(&self) -> Pace {
        self.job_time.map_or(Pace::Polled, Pace::Takes)
    }
}

impl From<&SandboxOptions> for Rules {
    fn from(options: &SandboxOptions) -> Self {
        Self {
            plan: options.plan,
            requests_per_minute: options.requests_per_minute,
            monthly_credits: options.monthly_credits,
            max_keys_per_request: options.max_keys_per_request,
            open_connectors: options.open_connectors,
            job_time: options.job_time,
            recognize_documents: options.recognize_documents,
            webhook_secrets: options.webhooks.secrets,
        }
    }
}
