//! The whole state: tenants, revoked keys, rules and ids.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{
    super::{api_key::ApiKey, clock::Moment, fault::FileFaults},
    ids::Ids,
    job::Verdict,
    response::ApiError,
    rules::Rules,
    submission::Submission,
    tenant::{Submitted, Tenant},
    usage,
    webhook::Notice,
};

/// The state of FlexOrch.
#[derive(Debug)]
pub(crate) struct FlexOrch {
    pub(crate) rules: Rules,
    pub(crate) ids: Ids,
    tenants: HashMap<ApiKey, Tenant>,
    revoked: HashSet<ApiKey>,
}

impl FlexOrch {
    /// Creates a FlexOrch without tenants: each is created by its key's first request.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, ids: Ids::new(), tenants: HashMap::new(), revoked: HashSet::new() }
    }

    /// Admits a request if its key is valid and, if it counts for the rate limit, the minute has room for it.
    pub(crate) fn admit(&mut self, key: &ApiKey, counts: bool, now: Moment) -> Result<(), ApiError> {
        if !key.is_well_formed() || self.revoked.contains(key) {
            return Err(ApiError::invalid_api_key());
        }
        match self.rules.requests_per_minute {
            Some(limit) if counts => self
                .tenant(key)
                .window
                .admit(limit, now)
                .map_err(|retry_after| ApiError::rate_limited(limit, retry_after)),
            _ => Ok(()),
        }
    }

    /// Accepts keys for a tenant.
    pub(crate) fn submit(
        &mut self,
        key: &ApiKey,
        submission: &Submission,
        faults: &FileFaults,
        now: Moment,
    ) -> Result<Submitted, ApiError> {
        let (tenant, ids, rules) = self.tenant_and_ids(key);
        tenant.submit(submission, rules, faults, ids, now)
    }

    /// Returns the tenant of a key.
    pub(crate) fn tenant(&mut self, key: &ApiKey) -> &mut Tenant {
        self.tenants.entry(key.clone()).or_default()
    }

    /// Returns the tenant of a key, with what it needs to create something.
    pub(crate) fn tenant_and_ids(&mut self, key: &ApiKey) -> (&mut Tenant, &mut Ids, &Rules) {
        let tenant = self.tenants.entry(key.clone()).or_default();
        (tenant, &mut self.ids, &self.rules)
    }

    /// Returns the deliveries for the jobs that have ended since the last call, and when the next job of a tenant with
    /// webhooks ends.
    pub(crate) fn take_notices(&mut self, now: Moment) -> (Vec<Notice>, Option<Moment>) {
        let mut tenants: Vec<&mut Tenant> = self.tenants.values_mut().filter(|tenant| tenant.has_webhooks()).collect();
        let notices = tenants.iter_mut().flat_map(|tenant| tenant.take_notices(now)).collect();
        (notices, tenants.iter().filter_map(|tenant| tenant.jobs.next_end()).min())
    }

    /// Returns all jobs for the admin path, by tenant, oldest first.
    pub(crate) fn show_jobs(&self, now: Moment) -> Vec<Value> {
        let jobs = self.tenants.values().flat_map(|tenant| tenant.jobs.known());
        jobs.map(|job| job.show_to_operator(now)).collect()
    }

    /// Sets a job's status; returns `false` if no tenant has such a job.
    pub(crate) fn set_job(&mut self, id: &str, verdict: &Verdict, now: Moment) -> bool {
        self.tenants.values_mut().any(|tenant| tenant.jobs.set(id, verdict, now))
    }

    /// Sets the status of all jobs that have not ended, and returns their number.
    pub(crate) fn set_open_jobs(&mut self, verdict: &Verdict, now: Moment) -> usize {
        self.tenants.values_mut().map(|tenant| tenant.jobs.set_open(verdict, now)).sum()
    }

    /// Forgets a job; returns `false` if no tenant has such a job.
    pub(crate) fn forget_job(&mut self, id: &str) -> bool {
        self.tenants.values_mut().any(|tenant| tenant.jobs.forget(id))
    }

    /// Revokes a key.
    pub(crate) fn revoke(&mut self, key: ApiKey) {
        self.revoked.insert(key);
    }

    /// Restores a revoked key; returns `false` if it was not revoked.
    pub(crate) fn restore(&mut self, key: &ApiKey) -> bool {
        self.revoked.remove(key)
    }

    /// Returns the keys of the accepted documents, over all tenants and connectors, sorted.
    pub(crate) fn accepted_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.tenants.values().flat_map(Tenant::documents).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// Returns the state for the admin path, which shows no key.
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
