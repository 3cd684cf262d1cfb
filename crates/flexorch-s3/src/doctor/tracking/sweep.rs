//! Checks whether a schedule starts the sweep, on which everything that the webhook does not report depends.

use aws_sdk_eventbridge::operation::describe_rule::DescribeRuleOutput;
use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_scheduler::types::ScheduleState;

use super::super::aws::{Aws, call};
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::function::{Function, unqualified};
use super::super::name;
use super::super::notification::rules_of;
use crate::aws_failure::AwsFailure;

/// A schedule of EventBridge Scheduler, or a rule with a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Timer {
    name: String,
    /// The schedule's group; `None`: it is a rule.
    group: Option<String>,
    enabled: bool,
}

/// What invokes the function by the clock.
#[derive(Debug)]
pub(super) struct Timers {
    found: Vec<Timer>,
    /// The first call that failed.
    failure: Option<AwsFailure>,
}

impl Timers {
    /// Reads the schedules and the rules that invoke a function.
    pub(super) async fn read(aws: &Aws<'_>, function: &Function) -> Self {
        let (schedules, rules) = tokio::join!(schedules(aws, function), rules(aws, function));
        let mut timers = Self { found: Vec::new(), failure: None };
        for read in [schedules, rules] {
            match read {
                Ok(found) => timers.found.extend(found),
                Err(failure) => timers.failure = timers.failure.or(Some(failure)),
            }
        }
        timers
    }

    /// Checks whether one is enabled. One that could not be read may be.
    ///
    /// # Errors
    /// If none is known to be enabled, and a call failed.
    pub(super) fn check(&self, function: &Function, commands: &Commands) -> Result<Check, Unknown> {
        if let Some(timer) = self.found.iter().find(|timer| timer.enabled) {
            return Ok(Check::well(name::SWEEP, format!("started by {}", timer.words())));
        }
        if let Some(failure) = &self.failure {
            return Err(Unknown::because(failure, commands));
        }
        let lost =
            "without a sweep, a document whose webhook is lost stays open, and unpublished events stay unpublished";
        Ok(match self.found.first() {
            Some(timer) => Check::failed(
                name::SWEEP,
                format!("{} is disabled: {lost}", timer.words()),
                Fix::new(function.owner.advice("enable it", None), timer.command(commands)),
            ),
            None => Check::failed(
                name::SWEEP,
                format!("nothing starts it: {lost}"),
                Fix::new(
                    function.owner.advice("create the schedule again: deploy the template", Some("SweepSchedule")),
                    commands.aws("scheduler list-schedules"),
                ),
            ),
        })
    }
}

impl Timer {
    fn words(&self) -> String {
        match &self.group {
            Some(group) => format!("schedule {group}/{}", self.name),
            None => format!("rule {}", self.name),
        }
    }

    /// Builds the command that enables a rule, or shows a schedule, which can only be replaced as a whole.
    fn command(&self, commands: &Commands) -> String {
        match &self.group {
            Some(group) => commands.aws(format_args!(
                "scheduler get-schedule --group-name {} --name {}",
                quoted(group),
                quoted(&self.name)
            )),
            None => commands.aws(format_args!("events enable-rule --name {}", quoted(&self.name))),
        }
    }
}

async fn schedules(aws: &Aws<'_>, function: &Function) -> Result<Vec<Timer>, AwsFailure> {
    let client = aws_sdk_scheduler::Client::new(&aws.config(function.region()));
    let pages = client.list_schedules().into_paginator().items().send();
    let all =
        call("scheduler:ListSchedules", "the schedules of the region", pages.collect::<Result<Vec<_>, _>>()).await?;
    let invokes = |target: &str| unqualified(target) == function.arn;
    let of_function = all.into_iter().filter_map(|schedule| {
        let target = schedule.target.as_ref()?;
        invokes(target.arn()).then(|| Timer {
            name: schedule.name.unwrap_or_default(),
            group: Some(schedule.group_name.unwrap_or_else(|| "default".to_owned())),
            enabled: schedule.state != Some(ScheduleState::Disabled),
        })
    });
    Ok(of_function.collect())
}

async fn rules(aws: &Aws<'_>, function: &Function) -> Result<Vec<Timer>, AwsFailure> {
    let rules = rules_of(aws, &function.arn).await?.into_iter();
    let timed = rules.filter(|rule| rule.schedule_expression().is_some_and(|expression| !expression.is_empty()));
    let timer = |rule: DescribeRuleOutput| {
        let enabled = rule.state.is_none_or(|state| state != RuleState::Disabled);
        Timer { name: rule.name.unwrap_or_default(), group: None, enabled }
    };
    Ok(timed.map(timer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn check(found: &[(&str, Option<&str>, bool)], failed: bool) -> Check {
        let found = found.iter().map(|(name, group, enabled)| Timer {
            name: (*name).into(),
            group: group.map(str::to_owned),
            enabled: *enabled,
        });
        let failure = failed.then(|| AwsFailure::timed_out(std::time::Duration::ZERO, "scheduler:ListSchedules", "x"));
        let timers = Timers { found: found.collect(), failure };
        Check::decided(name::SWEEP, timers.check(&Function::with_settings(&[]), &Commands::default()))
    }

    #[test]
    fn one_enabled_timer_is_enough_and_what_could_not_be_read_may_be_one() {
        let (on, off) = (("a", Some("g"), true), ("b", None, false));
        assert_eq!(check(&[off, on], true).status(), Status::Well);
        assert_eq!(check(&[off], true).status(), Status::Unknown);
        let disabled = check(&[off], false);
        assert_eq!(disabled.status(), Status::Failed);
        assert_eq!(disabled.command.as_deref(), Some("aws events enable-rule --name b"));
        assert_eq!(check(&[], false).status(), Status::Failed);
    }
}
