//! `flexorch-s3 letters list`.

use anyhow::Result;
use serde_json::json;

use super::filter::{Filter, Purpose};
use super::groups::group;
use super::letter::DeadLetter;
use super::locate::Located;
use super::report;
use super::survey::visit_all;
use crate::args::ListOptions;
use crate::commands::quoted;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{DIM, styled};
use crate::stop::Stop;

/// Letters that are shown one by one as text.
const LISTED: usize = 20;

pub(crate) async fn run(options: ListOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    let ListOptions { queue: option, selection, limit } = options;
    let Some(located) = stop.unless_requested(Located::find(&option, context)).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    let queue = &located.queue;
    report::notes(queue, context.output);
    let filter = Filter::new(selection, Purpose::Read, context.now());
    let (mut letters, mut others) = (Vec::new(), 0_usize);
    let is_whole = visit_all(queue, stop, context.output, |message| {
        let (letter, objects) = DeadLetter::read(message);
        if filter.selects(&letter, &objects) {
            letters.push(letter);
        } else {
            others += 1;
        }
        Ok(())
    })
    .await?;
    letters.sort_by_key(DeadLetter::time);
    let output = context.output;
    output.line(report::headline(queue, letters.len(), others))?;
    if !letters.is_empty() {
        let groups = group(&letters);
        output.line(report::groups_table(&groups, context.now()))?;
        let shown = limit.unwrap_or(LISTED).min(letters.len());
        if shown > 0 {
            output.line(report::letters_table(&letters[..shown], context.now()))?;
        }
        if shown < letters.len() {
            let rest = letters.len() - shown;
            output.line(styled(DIM, format_args!("  and {rest} more: --limit {} shows all of them", letters.len())))?;
        }
        if let Some(warning) = report::expiry(queue, &letters, context.now()) {
            output.line(warning)?;
        }
        report::advice(&groups, output)?;
        let named = match (&option.function, &option.queue) {
            (Some(function), _) => format!("--function {}", quoted(function)),
            (None, _) => format!("--queue {}", quoted(&queue.arn)),
        };
        let next = context.commands().own(format_args!("letters redrive {named}"));
        output.line(styled(DIM, format_args!("  once the cause is fixed: {next}")))?;
    }
    let shown = &letters[..limit.unwrap_or(letters.len()).min(letters.len())];
    output.document(&json!({
        "queue": report::queue_json(queue),
        "letters": letters.len(),
        "not_selected": others,
        "groups": group(&letters),
        "items": shown.iter().map(report::letter_json).collect::<Vec<_>>(),
    }))?;
    Ok(if is_whole { Exit::Success } else { interrupted(context) })
}

/// Says that not all letters were read.
pub(crate) fn interrupted(context: &Context) -> Exit {
    context
        .output
        .progress("interrupted before all letters were read; every letter is visible again, nothing was changed");
    Exit::Interrupted
}
