//! `flexorch-s3 history`: what happened to submitted documents.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `list` | prints records as they are read: as a table, as JSON or as comma-separated values |
//! | `columns` | PURE: which columns a table has, and how wide they are |
//! | `csv` | PURE: a record as comma-separated values |
//! | `summary`, `counts`, `plot` | counts by state, connector and day; PURE: the counts, and their bars |

mod columns;
mod counts;
mod csv;
mod list;
mod plot;
mod summary;

use anyhow::Result;

use crate::args::{DocumentSelection, HistoryOptions};
use crate::context::Context;
use crate::exit::Exit;
use crate::text::escaped;
use crate::tracking::{Order, Selection, Tracking};

pub(crate) async fn run(options: HistoryOptions, context: &Context) -> Result<Exit> {
    let stop = context.stop();
    // A query changes nothing, so it may be abandoned at any point.
    let prepare = stop.unless_requested(async {
        let tracking = Tracking::find(&options.tracking, context).await?;
        let selection = Selection::new(&options.documents, options.states.clone(), tracking.bucket(), context.now());
        let records = tracking.records(selection, Order::NewestFirst, context).await?;
        anyhow::Ok((tracking.table()?.to_owned(), records))
    });
    let Some((table, mut records)) = prepare.await.transpose()? else { return Ok(Exit::Interrupted) };
    match options.summary {
        true => {
            let summary = summary::run(&mut records, &options, &table, context);
            stop.unless_requested(summary).await.unwrap_or(Ok(Exit::Interrupted))
        }
        false => list::run(&mut records, &options, &table, context).await,
    }
}

/// Says that there are no records, or none that the options select.
fn none_in(table: &str, options: &HistoryOptions) -> String {
    let selects = options.documents != DocumentSelection::default() || !options.states.is_empty();
    format!("{} in {}", if selects { "no records match" } else { "no records" }, escaped(table))
}
