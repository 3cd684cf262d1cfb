//! What FlexOrch decides: tenants, rules and answers, without HTTP, a clock or a lock.

pub(crate) mod answer;
pub(crate) mod connector;
mod form;
mod job;
mod rate;
pub(crate) mod schedule;
pub(crate) mod submission;
mod tenant;
pub(crate) mod usage;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use self::{
    answer::ApiError,
    submission::Submission,
    tenant::{Submitted, Tenant},
};
use super::{
    api_key::ApiKey,
    clock::Moment,
    fault::FileFaults,
    options::{Plan, SandboxOptions},
};

/// The id of the first connector, the one on FlexOrch's own page.
const FIRST_CONNECTOR: u64 = 42;

/// The limits that hold for every tenant.
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

/// The ids that were given out: each once, whichever the tenant.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    connector: u64,
    schedule: u64,
    run: u64,
    job: u64,
}

impl Ids {
    fn new() -> Self {
        Self { connector: FIRST_CONNECTOR, schedule: 0, run: 0, job: 0 }
    }

    /// The id that the next connector will have.
    fn peek_connector(&self) -> u64 {
        self.connector
    }

    fn next_connector(&mut self) -> u64 {
        let id = self.connector;
        self.connector += 1;
        id
    }

    fn next_schedule(&mut self) -> u64 {
        self.schedule += 1;
        self.schedule
    }

    pub(crate) fn next_run(&mut self) -> u64 {
        self.run += 1;
        self.run
    }

    fn next_job(&mut self) -> u64 {
        self.job += 1;
        self.job
    }
}

/// Everything that the sandbox's FlexOrch knows.
#[derive(Debug)]
pub(crate) struct FlexOrch {
    pub(crate) rules: Rules,
    pub(crate) ids: Ids,
    tenants: HashMap<ApiKey, Tenant>,
    revoked: HashSet<ApiKey>,
}

impl FlexOrch {
    /// No tenants yet: each comes into being with its key's first request.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, ids: Ids::new(), tenants: HashMap::new(), revoked: HashSet::new() }
    }

    /// Lets a request in: its key is good, and, where it takes a slot of the minute, there is one left.
    pub(crate) fn admit(&mut self, key: &ApiKey, takes_a_slot: bool, now: Moment) -> Result<(), ApiError> {
        if !key.is_well_formed() || self.revoked.contains(key) {
            return Err(ApiError::invalid_api_key());
        }
        match self.rules.requests_per_minute {
            Some(limit) if takes_a_slot => self
                .tenant(key)
                .window
                .admit(limit, now)
                .map_err(|retry_after| ApiError::rate_limited(limit, retry_after)),
            _ => Ok(()),
        }
    }

    /// Takes keys in for a tenant.
    pub(crate) fn submit(
        &mut self,
        key: &ApiKey,
        submission: &Submission,
        faults: &FileFaults,
        now: Moment,
    ) -> Result<Submitted, ApiError> {
        let tenant = self.tenants.entry(key.clone()).or_default();
        tenant.submit(submission, &self.rules, faults, &mut self.ids, now)
    }

    /// The tenant behind a key.
    pub(crate) fn tenant(&mut self, key: &ApiKey) -> &mut Tenant {
        self.tenants.entry(key.clone()).or_default()
    }

    /// The tenant behind a key, with what it needs to create something.
    pub(crate) fn tenant_and_ids(&mut self, key: &ApiKey) -> (&mut Tenant, &mut Ids, &Rules) {
        let tenant = self.tenants.entry(key.clone()).or_default();
        (tenant, &mut self.ids, &self.rules)
    }

    /// Stops a key from working, at once.
    pub(crate) fn revoke(&mut self, key: ApiKey) {
        self.revoked.insert(key);
    }

    /// Lets a revoked key work again; `false` where it was not revoked.
    pub(crate) fn restore(&mut self, key: &ApiKey) -> bool {
        self.revoked.remove(key)
    }

    /// The keys of the documents that were taken, over all tenants and connectors, sorted.
    pub(crate) fn taken_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.tenants.values().flat_map(Tenant::documents).map(|(_, key)| key.to_owned()).collect();
        keys.sort();
        keys
    }

    /// The state for the admin path, which shows no key.
    pub(crate) fn show(&self, now: Moment) -> Value {
        let mut tenants: Vec<(&ApiKey, &Tenant)> = self.tenants.iter().collect();
        tenants.sort_by_key(|(key, _)| *key);
        let tenants: Vec<Value> = tenants
            .into_iter()
            .map(|(key, tenant)| {
                json!({
                    "api_key": key.masked(),
                    "revoked": self.revoked.contains(key),
                    "connectors": tenant.list_connectors(),
                    "documents": tenant.credits_used(),
                    "rate_limit": usage::rate_limits(tenant, &self.rules, now),
                })
            })
            .collect();
        json!({
            "plan": self.rules.plan.name(),
            "requests_per_minute": self.rules.requests_per_minute,
            "monthly_credits": self.rules.monthly_credits,
            "max_keys_per_request": self.rules.max_keys_per_request,
            "open_connectors": self.rules.open_connectors,
            "revoked_keys": self.revoked.len(),
            "tenants": tenants,
        })
    }
}
