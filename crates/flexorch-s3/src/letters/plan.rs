//! `flexorch-s3 letters redrive` and `drop`: read, show, ask; then `run` does it.

use anyhow::Result;
use serde_json::json;

use super::filter::{Filter, Purpose};
use super::groups::{Group, group};
use super::letter::DeadLetter;
use super::locate::Located;
use super::pace::Pace;
use super::queue::Queue;
use super::run::{Action, Ending, Run};
use super::survey::visit_all;
use super::work::Tally;
use super::{list, report};
use crate::args::{DropOptions, RedriveOptions, Selection};
use crate::context::Context;
use crate::exit::{Exit, WrongArgument};
use crate::output::{SUCCESS, WARNING, styled};
use crate::stop::Stop;
use crate::text::friendly;
use flexorch_s3_ingester::model::codes::UNREADABLE;

/// What is to be done with which letters.
struct Plan<'a> {
    queue: &'a Queue,
    action: Action<'a>,
    ids: Vec<String>,
    groups: Vec<Group>,
    /// How many letters are in the queue and stay there.
    others: usize,
}

struct Order<'a> {
    queue: &'a Queue,
    action: Action<'a>,
    selection: Selection,
    /// Do not ask.
    yes: bool,
}

pub(crate) async fn redrive(options: RedriveOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    let find = async {
        let located = Located::find(&options.queue, context).await?;
        let target = located.target(options.to.as_ref(), context).await?;
        anyhow::Ok((located, target))
    };
    let Some((located, target)) = stop.unless_requested(find).await.transpose()? else { return Ok(Exit::Interrupted) };
    let pace = Pace::new(options.per_minute, context.clock.now());
    let action = Action::Redrive { target: &target, pace };
    let order = Order { queue: &located.queue, action, selection: options.selection, yes: options.yes };
    run(order, context, stop).await
}

pub(crate) async fn drop(options: DropOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    if options.selection.is_everything() && !options.all {
        let why = "without a filter, `letters drop` would delete every dead letter: add --code, --connector, --older-than, --newer-than or \
                   --prefix, or --all to delete all of them; nothing was deleted";
        return Err(WrongArgument(why.to_owned()).into());
    }
    let Some(located) = stop.unless_requested(Located::find(&options.queue, context)).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    let order = Order { queue: &located.queue, action: Action::Drop, selection: options.selection, yes: options.yes };
    run(order, context, stop).await
}

async fn run(order: Order<'_>, context: &Context, stop: &Stop) -> Result<Exit> {
    let Order { queue, action, selection, yes } = order;
    let output = context.output;
    report::notes(queue, output);
    let purpose = if matches!(action, Action::Drop) { Purpose::Drop } else { Purpose::Redrive };
    let filter = Filter::new(selection, purpose, context.now());
    let (mut letters, mut others, mut unreadable) = (Vec::new(), 0_usize, 0_usize);
    let is_whole = visit_all(queue, stop, output, |message| {
        let (letter, objects) = DeadLetter::read(message);
        if filter.selects(&letter, &objects) {
            letters.push(letter);
        } else {
            others += 1;
            unreadable += usize::from(letter.code.as_deref() == Some(UNREADABLE));
        }
        Ok(())
    })
    .await?;
    if !is_whole {
        return Ok(list::interrupted(context));
    }
    let groups = group(&letters);
    output.line(report::headline(queue, letters.len(), others))?;
    if !letters.is_empty() {
        output.line(report::groups_table(&groups, context.now()).trim_end())?;
    }
    if purpose == Purpose::Redrive {
        report::advice(&groups, output)?;
    }
    if unreadable > 0 && purpose == Purpose::Redrive {
        output.line(format!(
            "  not selected, because they would come back: {unreadable} UNREADABLE (--code UNREADABLE selects them)"
        ))?;
    }
    let plan = Plan { queue, action, ids: letters.into_iter().map(|letter| letter.id).collect(), groups, others };
    if plan.ids.is_empty() {
        output.line("nothing to do")?;
        plan.document(Tally::default(), &Ending::Complete, context)?;
        return Ok(Exit::Success);
    }
    if !stop.confirm(yes, plan.question(), "nothing was changed", output).await? {
        return Ok(Exit::Interrupted);
    }
    output.progress(plan.opening_line());
    let run = Run { queue, action: plan.action, stop, clock: context.clock, output };
    let (tally, ending) = run.work(&plan.ids, plan.ids.len() + plan.others).await;
    plan.document(tally, &ending, context)?;
    plan.conclude(tally, ending, context)
}

impl Plan<'_> {
    fn question(&self) -> String {
        let letters = report::letters(self.ids.len());
        match &self.action {
            Action::Redrive { target, .. } => format!("Redrive {letters} to {}?", target.name()),
            Action::Drop => format!("Delete {letters} for good?"),
        }
    }

    fn opening_line(&self) -> String {
        let (letters, from) = (report::letters(self.ids.len()), self.queue.name());
        match &self.action {
            Action::Redrive { target, pace } => {
                let time = pace.time_for(self.ids.len()).map(|time| format!(", in about {}", friendly(time)));
                format!("redriving {letters} from {from} to {}{}", target.name(), time.unwrap_or_default())
            }
            Action::Drop => format!("deleting {letters} from {from}"),
        }
    }

    /// Says what was done and what was not, and returns the exit status.
    fn conclude(&self, tally: Tally, ending: Ending, context: &Context) -> Result<Exit> {
        let output = context.output;
        let done = match &self.action {
            Action::Redrive { target, .. } => format!("redriven to {}", target.name()),
            Action::Drop => "deleted".to_owned(),
        };
        let mark = styled(if tally.done > 0 { SUCCESS } else { WARNING }, if tally.done > 0 { "✓" } else { "!" });
        output.line(format!("{mark} {} {done}", report::letters(tally.done)))?;
        let warn = styled(WARNING, "!");
        if tally.undeleted > 0 {
            output.line(format!(
                "{warn} {} sent, but not deleted: the next run sends them again, and FlexOrch recognizes them",
                tally.undeleted
            ))?;
        }
        let left = tally.undeleted + tally.failed + tally.untouched;
        let again = "run the same command again to continue";
        match ending {
            Ending::Complete => {}
            Ending::Interrupted => {
                output.progress(format!("interrupted; {} left, visible again; {again}", report::letters(left)));
                return Ok(Exit::Interrupted);
            }
            Ending::Stopped(error) => {
                return Err(error.context(format!("stopped; {} left, visible again; {again}", report::letters(left))));
            }
            Ending::Troubled(ref why) => output.line(format!("{warn} the last failure: {why}"))?,
        }
        if tally.failed > 0 {
            output.line(format!("{warn} {} failed and stay: {again}", tally.failed))?;
        }
        if tally.untouched > 0 {
            output.line(format!(
                "{warn} {} not received again: another reader has them, or they are gone; {again}",
                tally.untouched
            ))?;
        }
        Ok(if left > 0 { Exit::Problem } else { Exit::Success })
    }

    fn document(&self, tally: Tally, ending: &Ending, context: &Context) -> Result<()> {
        let (action, to) = match &self.action {
            Action::Redrive { target, .. } => ("redrive", Some(report::queue_json(target))),
            Action::Drop => ("drop", None),
        };
        let (state, error) = match ending {
            Ending::Complete => ("complete", None),
            Ending::Troubled(why) => ("complete", Some(why.clone())),
            Ending::Interrupted => ("interrupted", None),
            Ending::Stopped(error) => ("stopped", Some(format!("{error:#}"))),
        };
        context.output.document(&json!({
            "action": action,
            "queue": report::queue_json(self.queue),
            "to": to,
            "groups": self.groups,
            "selected": self.ids.len(),
            "done": tally.done,
            "sent_not_deleted": tally.undeleted,
            "failed": tally.failed,
            "not_received": tally.untouched,
            "state": state,
            "error": error,
        }))
    }
}
