//! Checks what waits in the retry queue, and says why, as far as FlexOrch's responses show it.

use super::check::{Check, Fix};
use super::commands::Commands;
use super::flexorch::FlexOrchFacts;
use super::function::Function;
use super::name;
use super::queue::Queue;
use crate::text::counted;
use flexorch_s3_ingester::model::settings;

/// Checks how many messages wait, and why, or how long they take.
pub(crate) fn check(
    queue: &Queue,
    function: &Function,
    flexorch: &FlexOrchFacts,
    secret: &str,
    commands: &Commands,
) -> Check {
    let (visible, hidden, delayed) = queue.counts();
    let all = queue.all();
    if all == 0 {
        return Check::well(name::WAITING, "no messages are waiting");
    }
    let messages = counted(all, "message");
    let found = format!("{messages}: {visible} visible, {hidden} in flight or deferred, {delayed} delayed");
    if let Some(block) = &flexorch.block {
        let whose = if function.secret_ids().len() > 1 { "this connector's wait" } else { "they wait" };
        return Check::warning(
            name::WAITING,
            format!("{found}; {whose} because {}", block.why()),
            block.fix(secret, commands),
        );
    }
    if !flexorch.complete {
        return Check::warning(
            name::WAITING,
            format!("{found}; FlexOrch did not say in time whether something blocks them"),
            Fix::new("the function's log says why they wait", function.log_command(commands)),
        );
    }
    let keys = function
        .setting(settings::MAX_KEYS_PER_REQUEST)
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(100)
        .max(1);
    let drained = flexorch.rate.as_ref().and_then(|rate| rate.per_minute).map(|plan| {
        let minutes = all.div_ceil(keys).div_ceil(plan.max(1));
        format!("; at the plan's {plan} requests per minute they take up to {minutes} min")
    });
    let left = flexorch.credits.as_ref().and_then(|credits| credits.remaining).filter(|left| *left < all);
    let short = left.map(|left| format!("; the {left} credits left are enough for at most {left} documents"));
    Check::warning(
        name::WAITING,
        format!("{found}{}{}", drained.unwrap_or_default(), short.unwrap_or_default()),
        Fix::new(
            "they can be processed once no check fails; the function's log says why they wait",
            function.log_command(commands),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::block::Block;
    use crate::doctor::check::Status;
    use crate::doctor::queue::tests::{function, queue};
    use crate::management::RateLimits;

    #[test]
    fn a_backlog_is_estimated_in_minutes_at_the_plans_rate() {
        let rate = RateLimits { plan: None, per_minute: Some(60), used: None, reset_in_seconds: None };
        let flexorch = FlexOrchFacts { rate: Some(rate), complete: true, ..FlexOrchFacts::default() };
        let look = |attributes: &[(&str, &str)]| {
            check(&queue(attributes), &function(), &flexorch, "docs", &Commands::default())
        };
        assert_eq!(look(&[("ApproximateNumberOfMessages", "0")]).status(), Status::Well);
        let backlog = look(&[("ApproximateNumberOfMessages", "12000"), ("ApproximateNumberOfMessagesNotVisible", "1")]);
        assert_eq!(backlog.status(), Status::Warning);
        // 12,001 objects are 121 requests, and 60 fit into a minute.
        assert!(backlog.found.contains("12001 messages") && backlog.found.contains("up to 3 min"), "{}", backlog.found);
    }

    #[test]
    fn what_waits_for_someone_is_never_said_to_follow() {
        let some = queue(&[("ApproximateNumberOfMessages", "7")]);
        for block in [
            Block::Paused { reason: "maintenance".into() },
            Block::CreditsUsedUp,
            Block::Refused { why: "FlexOrch has no connector 4711".into() },
        ] {
            let flexorch = FlexOrchFacts { block: Some(block.clone()), ..FlexOrchFacts::default() };
            let found = check(&some, &function(), &flexorch, "docs", &Commands::default());
            assert!(found.found.contains(&block.why()) && !found.found.contains("take up to"), "{}", found.found);
            let action = found.action.unwrap();
            assert!(action.contains("until") && !action.contains("can be processed"), "{action}");
        }
    }
}
