//! The usage endpoints: the minute's requests and the month's credits.

use serde_json::{Value, json};

use super::{
    super::{clock::Moment, options::Plan},
    rate::WINDOW,
    rules::Rules,
    tenant::Tenant,
};

/// Returns the `data` of `GET /usage/rate-limits`, in the flat form of the SDKs and the nested form of the documentation.
pub(crate) fn rate_limits(tenant: &Tenant, rules: &Rules, now: Moment) -> Value {
    let limit = rules.requests_per_minute;
    let used = limit.map(|_| tenant.window.used(now));
    let remaining = limit.zip(used).map(|(limit, used)| limit.saturating_sub(used));
    let reset = limit.map(|_| tenant.window.reset_in_seconds(now));
    json!({
        "plan": rules.plan.name(),
        "unlimited": limit.is_none(),
        "limit": limit,
        "used": used,
        "remaining": remaining,
        "window_seconds": WINDOW.as_secs(),
        "reset_in_seconds": reset,
        "rate_limit": {
            "rpm": limit,
            "used": used,
            "remaining": remaining,
            "reset_in_seconds": reset,
        },
    })
}

/// Returns the `data` of `GET /usage`: the credits. All of the sandbox's time counts as one month.
pub(crate) fn current(tenant: &Tenant, rules: &Rules) -> Value {
    let used = tenant.credits_used();
    let remaining = rules.monthly_credits.map(|limit| limit.saturating_sub(used));
    json!({
        "plan": rules.plan.name(),
        "usage": {
            "credits": {"used": used, "limit": rules.monthly_credits, "remaining": remaining},
        },
        "trial": {
            "is_trial": rules.plan == Plan::Trial,
            "trial_ends_at": null,
            "trial_days_remaining": null,
        },
    })
}

/// Returns the `data` of `GET /usage/history`: each day on which documents were accepted.
pub(crate) fn history(tenant: &Tenant) -> Value {
    tenant
        .accepted_by_day()
        .iter()
        .map(|(date, accepted)| json!({"date": date, "credits_used": accepted, "jobs_count": accepted}))
        .collect()
}
