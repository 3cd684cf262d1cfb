//! Scheduled Sync: each plan's limits, and a schedule's runs.
//!
//! The sandbox reads no bucket and runs no schedule on its own. A triggered run finds no files.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{clock::Moment, options::Plan},
    response::ApiError,
};

/// The most schedules of one connector.
pub(crate) const MAX_SCHEDULES: usize = 5;

/// The body of `POST /connectors/{id}/schedules`, with the SDKs' names of its fields or the documentation's.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NewSchedule {
    #[serde(default, alias = "cron")]
    cron_expression: Value,
    #[serde(default, alias = "prefix")]
    prefix_filter: Value,
}

/// One schedule of a connector.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) id: u64,
    connector: u64,
    cron: String,
    prefix: Value,
    created: Moment,
    runs: Vec<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    id: u64,
    at: Moment,
}

impl Schedule {
    /// Checks a schedule against the plan.
    pub(crate) fn create(id: u64, connector: u64, new: NewSchedule, plan: Plan, now: Moment) -> Result<Self, ApiError> {
        if plan == Plan::Trial {
            let message = "Scheduled Sync is not part of the trial plan.";
            return Err(ApiError::plan_upgrade_required(message));
        }
        let cron = new
            .cron_expression
            .as_str()
            .filter(|cron| is_cron(cron))
            .ok_or_else(|| ApiError::validation("cron_expression must have five fields, such as 0 2 * * *."))?;
        if plan == Plan::Starter && !is_daily_at_most(cron) {
            let message = "The minimum sync interval of the starter plan is 24 hours.";
            return Err(ApiError::interval_too_short(message));
        }
        if !matches!(new.prefix_filter, Value::Null | Value::String(_)) {
            return Err(ApiError::validation("prefix_filter must be text."));
        }
        Ok(Self { id, connector, cron: cron.to_owned(), prefix: new.prefix_filter, created: now, runs: Vec::new() })
    }

    /// Returns the schedule in the API's form.
    pub(crate) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "connector_id": self.connector,
            "cron_expression": self.cron,
            "prefix_filter": self.prefix,
            "is_active": true,
            "last_run_at": self.runs.last().map(|run| run.at.rfc3339()),
            "next_run_at": null,
            "created_at": self.created.rfc3339(),
        })
    }

    /// Runs the schedule now and returns the run.
    pub(crate) fn trigger(&mut self, run_id: u64, now: Moment) -> Value {
        let run = Run { id: run_id, at: now };
        let shown = run.show(self.id);
        self.runs.push(run);
        shown
    }

    /// Returns its runs, newest first.
    pub(crate) fn logs(&self) -> Vec<Value> {
        self.runs.iter().rev().map(|run| run.show(self.id)).collect()
    }
}

impl Run {
    fn show(&self, schedule: u64) -> Value {
        json!({
            "id": self.id,
            "schedule_id": schedule,
            "started_at": self.at.rfc3339(),
            "completed_at": self.at.rfc3339(),
            "files_found": 0,
            "files_new": 0,
            "files_skipped": 0,
            "files_failed": 0,
            "status": "completed",
            "error_message": null,
        })
    }
}

fn is_cron(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "*/,-?#".contains(c);
    text.split_whitespace().count() == 5 && text.split_whitespace().all(|field| field.chars().all(allowed))
}

/// Returns whether the expression names one minute of one hour: its other fields can only make it rarer.
fn is_daily_at_most(cron: &str) -> bool {
    cron.split_whitespace().take(2).all(|field| field.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(plan: Plan, cron: Value) -> Result<(), u16> {
        let new = NewSchedule { cron_expression: cron, prefix_filter: Value::Null };
        Schedule::create(1, 42, new, plan, Moment::from_epoch(Duration::ZERO)).map(|_| ()).map_err(|error| error.status)
    }

    #[test]
    fn each_plan_has_its_own_least_interval() {
        let daily = || json!("0 2 * * *");
        let hourly = || json!("0 * * * *");
        let twice_a_day = || json!("0 2,14 * * *");
        assert_eq!(status(Plan::Trial, daily()), Err(403));
        assert_eq!(status(Plan::Starter, daily()), Ok(()));
        assert_eq!(status(Plan::Starter, json!("30 6 * * MON-FRI")), Ok(()));
        assert_eq!(status(Plan::Starter, hourly()), Err(429));
        assert_eq!(status(Plan::Starter, twice_a_day()), Err(429));
        assert_eq!(status(Plan::Pro, hourly()), Ok(()));
        assert_eq!(status(Plan::Enterprise, json!("* * * * *")), Ok(()));
    }

    #[test]
    fn what_is_no_cron_expression_is_refused() {
        for cron in [json!("daily"), json!("0 2 * *"), json!(5), json!("0 2 * * $")] {
            assert_eq!(status(Plan::Pro, cron), Err(422));
        }
    }
}
