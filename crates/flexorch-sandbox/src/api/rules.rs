//! The limits of every tenant.

use super::super::options::{Plan, SandboxOptions};

/// The limits of every tenant.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) plan: Plan,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) monthly_credits: Option<u64>,
    pub(crate) max_keys_per_request: usize,
    pub(crate) open_connectors: bool,
}

impl From<&SandboxOptions> for Rules {
    fn from(options: &SandboxOptions) -> Self {
        Self {
            plan: options.plan,
            requests_per_minute: options.requests_per_minute,
            monthly_credits: options.monthly_credits,
            max_keys_per_request: options.max_keys_per_request,
            open_connectors: options.open_connectors,
        }
    }
}
