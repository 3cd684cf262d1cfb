//! The settings of a sandbox.

use std::{fmt, str::FromStr, time::Duration};

use super::fault::Fault;

/// The plan that every tenant of the sandbox is on. It decides what Scheduled Sync allows, and the usage endpoints name it. The
/// rate limit and the credits are separate options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// No Scheduled Sync.
    Trial,
    /// Scheduled Sync at most once a day.
    #[default]
    Starter,
    /// Scheduled Sync without a minimum interval.
    Pro,
    /// As Pro.
    Enterprise,
}

impl Plan {
    /// Returns the plan's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Plan {
    type Err = UnknownPlan;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Trial, Self::Starter, Self::Pro, Self::Enterprise]
            .into_iter()
            .find(|plan| plan.name().eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| UnknownPlan(name.to_owned()))
    }
}

/// An unknown name of a plan.
#[derive(Debug, thiserror::Error)]
#[error("no plan is called {0:?}: use trial, starter, pro or enterprise")]
pub struct UnknownPlan(String);

/// The settings of a sandbox. The default is a Starter plan on any free port.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The plan that every tenant is on.
    pub plan: Plan,
    /// Requests that each tenant may send in a minute; `None` is unlimited.
    pub requests_per_minute: Option<u32>,
    /// New documents that each tenant may submit before `QUOTA_EXCEEDED`; `None` is unlimited.
    pub monthly_credits: Option<u64>,
    /// Keys that one request may have. More are refused with 422 `VALIDATION_ERROR`.
    pub max_keys_per_request: usize,
    /// Whether a submission to a connector that was never created here is accepted. It saves a demo the creation of the
    /// connector that the secret names. `GET /connectors/{id}` returns 404 for such a connector nevertheless. With `false`, the
    /// submission is refused with 404 `NOT_FOUND`.
    pub open_connectors: bool,
    /// How long a job takes: it is queued for one half of this time, and runs for the other. [`Duration::MAX`] leaves its end to
    /// [`Sandbox::set_job`](super::Sandbox::set_job). `None`: two seconds, or two polls of the job, whichever comes first.
    pub job_time: Option<Duration>,
    /// Whether a document that was submitted before, and did not fail, gets its existing job. FlexOrch recognizes contents; the
    /// sandbox has only keys. With `false`, every submission counts as new content.
    pub recognize_documents: bool,
    /// How webhooks are signed and delivered.
    pub webhooks: WebhookOptions,
    /// The latency that is added to every response of the API.
    pub latency: Duration,
    /// Faults from the first request on.
    pub faults: Vec<Fault>,
    /// The seed of random faults. Requests in the same order meet the same faults in every run.
    pub seed: u64,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            plan: Plan::default(),
            requests_per_minute: Some(60),
            monthly_credits: None,
            max_keys_per_request: 1000,
            open_connectors: true,
            job_time: None,
            recognize_documents: true,
            webhooks: WebhookOptions::default(),
            latency: Duration::ZERO,
            faults: Vec::new(),
            seed: 0,
        }
    }
}

/// How webhooks are signed and delivered.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where signing secrets come from.
    pub secrets: WebhookSecrets,
    /// Whether deliveries are lost, as if the network had lost each of their attempts.
    pub lose: bool,
    /// How long an attempt waits for a response.
    pub timeout: Duration,
    /// How long a delivery that failed waits for its second and last attempt.
    pub retry_after: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            secrets: WebhookSecrets::default(),
            lose: false,
            timeout: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Where the signing secret of a webhook comes from. FlexOrch's sources disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookSecrets {
    /// The caller's is kept if there is one; otherwise one is made and shown in the response, once.
    #[default]
    Either,
    /// The caller's alone, as in the documentation: a webhook without one is refused.
    Given,
    /// One is always made and shown in the response, once, as in the SDKs. The caller's is ignored.
    Made,
}

impl FromStr for WebhookSecrets {
    type Err = UnknownWebhookSecrets;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "either" => Ok(Self::Either),
            "given" => Ok(Self::Given),
            "made" => Ok(Self::Made),
            _ => Err(UnknownWebhookSecrets(name.to_owned())),
        }
    }
}

/// An unknown name of [`WebhookSecrets`].
#[derive(Debug, thiserror::Error)]
#[error("signing secrets cannot be {0:?}: use either, given or made")]
pub struct UnknownWebhookSecrets(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_by_their_names_and_others_are_named_in_the_error() {
        assert_eq!("Pro".parse::<Plan>().unwrap(), Plan::Pro);
        let error = "gold".parse::<Plan>().unwrap_err().to_string();
        assert!(error.contains("\"gold\"") && error.contains("enterprise"), "{error}");
    }
}
