//! Checks the receipts queue, what waits in it, and its dead letters. Pure.

use serde_json::json;

use super::super::check::{Check, Fix};
use super::super::commands::{Commands, quoted};
use super::super::function::Function;
use super::super::name;
use super::super::queue::{Queue, VISIBILITY_TIMES_TIMEOUT};
use crate::text::counted;
use flexorch_s3_ingester::model::arn::QueueArn;

/// As many receives as the template's queue has (`maxReceiveCount`).
const RECEIVES: u32 = 48;

/// Checks the queue's settings.
pub(super) fn queue(queue: &Queue, outcomes: Option<&Function>, commands: &Commands) -> Check {
    let visibility = queue.visibility();
    let found = format!("{}: visibility timeout {visibility} s", queue.name());
    if let Some(timeout) = outcomes.map(|function| u64::from(function.timeout)).filter(|timeout| visibility < *timeout)
    {
        let wanted = (timeout * VISIBILITY_TIMES_TIMEOUT).to_string();
        return Check::failed(
            name::RECEIPTS_QUEUE,
            format!("{found}, shorter than the outcomes function's timeout of {timeout} s"),
            Fix::new(
                queue.owner.advice(&format!("set it to {VISIBILITY_TIMES_TIMEOUT} times that"), None),
                queue.set(&json!({"VisibilityTimeout": wanted}), commands),
            ),
        );
    }
    match queue.redrive() {
        Some((_, receives)) => {
            Check::well(name::RECEIPTS_QUEUE, format!("{found}, dead letter after {receives} receives"))
        }
        None => Check::warning(
            name::RECEIPTS_QUEUE,
            format!(
                "{} has no dead-letter queue: a receipt that cannot be recorded returns until it expires",
                queue.name()
            ),
            Fix::new(
                queue.owner.advice("create one and set the redrive policy; the template does both", None),
                create_dead_letter_queue(queue, commands),
            ),
        ),
    }
}

/// Builds the command that creates a dead-letter queue and makes it the queue's own.
fn create_dead_letter_queue(queue: &Queue, commands: &Commands) -> String {
    let dead = format!("{}-dlq", queue.name());
    let create = commands.aws(format_args!("sqs create-queue --queue-name {}", quoted(&dead)));
    let target = QueueArn::parse(&queue.arn).map_or_else(|_| dead.clone(), |arn| arn.sibling(&dead).to_string());
    let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": RECEIVES.to_string()}).to_string();
    format!("{create} && {}", queue.set(&json!({"RedrivePolicy": policy}), commands))
}

pub(super) fn waiting(queue: &Queue, outcomes: Option<&Function>, commands: &Commands) -> Check {
    let (visible, hidden, delayed) = queue.counts();
    if queue.all() == 0 {
        return Check::well(name::RECEIPTS_WAITING, "no receipts are waiting");
    }
    let command = match outcomes {
        Some(function) => function.log_command(commands),
        None => commands
            .aws(format_args!("sqs get-queue-attributes --queue-url {} --attribute-names All", quoted(&queue.url))),
    };
    Check::warning(
        name::RECEIPTS_WAITING,
        format!(
            "{}: {visible} visible, {hidden} in flight or returned, {delayed} delayed; until they are recorded, the table lacks their \
             documents",
            counted(queue.all(), "receipt")
        ),
        Fix::new("if their number does not fall, the outcomes function's log says why", command),
    )
}

/// Checks whether there are receipts that could not be recorded.
pub(super) fn dead_letters(dead: &Queue, receipts: &Queue, commands: &Commands) -> Check {
    match dead.all() {
        0 => Check::well(name::RECEIPTS_DEAD, format!("{} is empty", dead.name())),
        number => Check::failed(
            name::RECEIPTS_DEAD,
            format!("{} in {}: the table lacks their documents", counted(number, "receipt"), dead.name()),
            Fix::new(
                "fix the cause (the outcomes function's log), then send them back",
                commands.aws(format_args!(
                    "sqs start-message-move-task --source-arn {} --destination-arn {}",
                    quoted(&dead.arn),
                    quoted(&receipts.arn)
                )),
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;
    use crate::doctor::queue::tests::queue as with;

    #[test]
    fn a_receipt_that_waits_is_a_warning_and_one_that_was_given_up_a_failure() {
        let (empty, full) = (with(&[]), with(&[("ApproximateNumberOfMessages", "2")]));
        let commands = Commands::default();
        assert_eq!(waiting(&empty, None, &commands).status(), Status::Well);
        assert_eq!(waiting(&full, None, &commands).status(), Status::Warning);
        assert_eq!(dead_letters(&empty, &empty, &commands).status(), Status::Well);
        let given_up = dead_letters(&full, &empty, &commands);
        assert_eq!(given_up.status(), Status::Failed);
        assert!(given_up.command.unwrap().contains("start-message-move-task --source-arn"));
    }

    #[test]
    fn the_visibility_timeout_is_at_least_the_functions_timeout() {
        let mut function = Function::default();
        function.timeout = 300;
        let short = queue(&with(&[]), Some(&function), &Commands::default());
        assert!(short.status() == Status::Failed && short.command.unwrap().contains("1800"));
        assert_eq!(queue(&with(&[]), None, &Commands::default()).status(), Status::Well);
        assert_eq!(queue(&with(&[("RedrivePolicy", "")]), None, &Commands::default()).status(), Status::Warning);
    }
}
