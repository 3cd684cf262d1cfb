//! Checks whether a schedule starts the sweep, on which everything that the webhook does not report depends.

use aws_sdk_eventbridge::operation::describe_rule::DescribeRuleOutput;
use aws_sdk_eventbridge::types::{RuleState, Target};
use aws_sdk_scheduler::types::{ScheduleState, ScheduleSummary};
use futures_util::future::join_all;
use serde_json::Value;

use super::super::aws::Aws;
use super::super::check::{Check, Fix, Unknown};
use super::super::commands::{Commands, quoted};
use super::super::function::{Function, unqualified};
use super::super::name;
use super::super::notification::rules_of;
use crate::aws_failure::AwsFailure;
use flexorch_outcomes::{SWEEP_ORDER, is_sweep_order};

/// A schedule of EventBridge Scheduler, or a rule with a schedule.
#[derive(Debug, Clone)]
struct Timer {
    name: String,
    /// The schedule's group; `None`: it is a rule.
    group: Option<String>,
    enabled: bool,
    /// Whether what it sends to the function orders a sweep.
    orders: Result<bool, AwsFailure>,
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

    /// Checks whether one is enabled and orders a sweep. One that could not be read may do so.
    ///
    /// # Errors
    /// If none is known to, and a call failed.
    pub(super) fn check(&self, function: &Function, commands: &Commands) -> Result<Check, Unknown> {
        let enabled = || self.found.iter().filter(|timer| timer.enabled);
        if let Some(timer) = enabled().find(|timer| matches!(timer.orders, Ok(true))) {
            return Ok(Check::well(name::SWEEP, format!("started by {}", timer.words())));
        }
        let failures = enabled().filter_map(|timer| timer.orders.as_ref().err()).chain(&self.failure);
        if let Some(failure) = failures.into_iter().next() {
            return Err(Unknown::because(failure, commands));
        }
        let lost =
            "without a sweep, a document whose webhook is lost stays open, and unpublished events stay unpublished";
        Ok(match enabled().chain(&self.found).next() {
            Some(timer) if timer.enabled => Check::failed(
                name::SWEEP,
                format!(
                    "{} does not send {SWEEP_ORDER} (Input of its target), so the outcomes function rejects its event: {lost}",
                    timer.words()
                ),
                Fix::new(function.owner.advice("set it", None), timer.set_order(function, commands)),
            ),
            Some(timer) => Check::failed(
                name::SWEEP,
                format!("{} is disabled: {lost}", timer.words()),
                Fix::new(function.owner.advice("enable it", None), timer.enable(commands)),
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

    fn enable(&self, commands: &Commands) -> String {
        match &self.group {
            Some(group) => self.change_schedule(group, r#".State = "ENABLED""#, commands),
            None => commands.aws(format_args!("events enable-rule --name {}", quoted(&self.name))),
        }
    }

    /// Builds the command that makes the target's input the order.
    fn set_order(&self, function: &Function, commands: &Commands) -> String {
        let order = format!("({SWEEP_ORDER} | tojson)");
        let Some(group) = &self.group else {
            let rule = quoted(&self.name);
            let read =
                commands.aws(format_args!("events list-targets-by-rule --rule {rule} --query Targets --output json"));
            let (arn, qualified) = (Value::from(function.arn.as_str()), Value::from(format!("{}:", function.arn)));
            let filter = format!(
                "map(select(.Arn == {arn} or (.Arn | startswith({qualified}))) | del(.InputPath, .InputTransformer) | .Input = {order})"
            );
            return commands.aws(format_args!(
                "events put-targets --rule {rule} --targets \"$({read} | jq -c {})\"",
                quoted(&filter)
            ));
        };
        self.change_schedule(group, &format!(".Target.Input = {order}"), commands)
    }

    /// Builds a command that changes a schedule, which can only be replaced as a whole (EventBridge Scheduler API Reference,
    /// `UpdateSchedule`).
    fn change_schedule(&self, group: &str, filter: &str, commands: &Commands) -> String {
        let (group, name) = (quoted(group), quoted(&self.name));
        let read =
            commands.aws(format_args!("scheduler get-schedule --group-name {group} --name {name} --output json"));
        let filter = format!("{filter} | del(.Arn, .CreationDate, .LastModificationDate)");
        commands
            .aws(format_args!("scheduler update-schedule --cli-input-json \"$({read} | jq -c {})\"", quoted(&filter)))
    }
}

async fn schedules(aws: &Aws<'_>, function: &Function) -> Result<Vec<Timer>, AwsFailure> {
    let client = &aws_sdk_scheduler::Client::new(&aws.config(function.region()));
    let pages = client.list_schedules().into_paginator().items().send();
    let pages = pages.collect::<Result<Vec<_>, _>>();
    let all = aws.call("scheduler:ListSchedules", "the schedules of the region", pages).await?;
    let invokes = |schedule: &ScheduleSummary| {
        schedule.target.as_ref().is_some_and(|target| unqualified(target.arn()) == function.arn)
    };
    let timer = async |schedule: ScheduleSummary| {
        let name = schedule.name.unwrap_or_default();
        let group = schedule.group_name.unwrap_or_else(|| "default".to_owned());
        let request = client.get_schedule().group_name(&group).name(&name).send();
        let read = aws.call("scheduler:GetSchedule", &format!("schedule {group}/{name}"), request).await;
        let input = read.map(|schedule| schedule.target.and_then(|target| target.input));
        Timer {
            name,
            group: Some(group),
            enabled: schedule.state != Some(ScheduleState::Disabled),
            orders: input.map(|input| input.is_some_and(|input| is_sweep_order(&input))),
        }
    };
    Ok(join_all(all.into_iter().filter(invokes).map(timer)).await)
}

async fn rules(aws: &Aws<'_>, function: &Function) -> Result<Vec<Timer>, AwsFailure> {
    let client = &aws_sdk_eventbridge::Client::new(&aws.config(function.region()));
    let rules = rules_of(aws, &function.arn).await?.into_iter();
    let timed = rules.filter(|rule| rule.schedule_expression().is_some_and(|expression| !expression.is_empty()));
    let timer = async |rule: DescribeRuleOutput| {
        let name = rule.name.unwrap_or_default();
        let request = client.list_targets_by_rule().rule(&name).send();
        let targets = aws.call("events:ListTargetsByRule", &format!("rule {name}"), request).await;
        let orders = targets.map(|found| {
            let of_function = found.targets().iter().filter(|target| unqualified(target.arn()) == function.arn);
            of_function.filter_map(input_of).any(is_sweep_order)
        });
        Timer { name, group: None, enabled: rule.state.is_none_or(|state| state != RuleState::Disabled), orders }
    };
    Ok(join_all(timed.map(timer)).await)
}

/// Returns what a rule sends to a target instead of its own event.
fn input_of(target: &Target) -> Option<&str> {
    target.input().or_else(|| Some(target.input_transformer()?.input_template()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn timer(name: &str, group: Option<&str>, enabled: bool, orders: bool) -> Timer {
        Timer { name: name.into(), group: group.map(str::to_owned), enabled, orders: Ok(orders) }
    }

    fn denied() -> AwsFailure {
        AwsFailure::timed_out(std::time::Duration::ZERO, "scheduler:ListSchedules", "x")
    }

    fn check(found: Vec<Timer>, failure: Option<AwsFailure>) -> Check {
        let timers = Timers { found, failure };
        Check::decided(name::SWEEP, timers.check(&Function::with_settings(&[]), &Commands::default()))
    }

    #[test]
    fn one_enabled_timer_is_enough_and_what_could_not_be_read_may_be_one() {
        let (on, off) = (timer("a", Some("g"), true, true), timer("b", None, false, true));
        assert_eq!(check(vec![off.clone(), on], Some(denied())).status(), Status::Well);
        assert_eq!(check(vec![off.clone()], Some(denied())).status(), Status::Unknown);
        let unread = Timer { orders: Err(denied()), ..timer("a", Some("g"), true, true) };
        assert_eq!(check(vec![unread], None).status(), Status::Unknown);
        let disabled = check(vec![off], None);
        assert_eq!(disabled.status(), Status::Failed);
        assert_eq!(disabled.command.as_deref(), Some("aws events enable-rule --name b"));
        assert_eq!(check(Vec::new(), None).status(), Status::Failed);
    }

    #[test]
    fn a_timer_that_sends_its_own_event_starts_no_sweep() {
        for (group, command) in [(Some("g"), "scheduler update-schedule"), (None, "events put-targets --rule a")] {
            let own_event = check(vec![timer("a", group, true, false)], None);
            assert_eq!(own_event.status(), Status::Failed);
            assert!(own_event.found.contains(r#"does not send {"sweep": {}}"#), "{}", own_event.found);
            assert!(own_event.command.unwrap().contains(command));
        }
    }
}
