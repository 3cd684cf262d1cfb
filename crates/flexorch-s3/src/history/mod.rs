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

use crate::args::HistoryOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::stop::Stop;
use crate::tracking::{Order, Selection, Tracking};

pub(crate) async fn run(options: HistoryOptions, context: &Context) -> Result<Exit> {
    let stop = Stop::listen()?;
    let command = async {
        let tracking = Tracking::find(&options.tracking, context).await?;
        let selection = Selection::new(&options.documents, options.states.clone(), tracking.bucket(), context.now());
        let mut records = tracking.records(selection, Order::NewestFirst, context).await?;
        match options.summary {
            true => summary::run(&mut records, tracking.table()?, context).await,
            false => list::run(&mut records, &options, tracking.table()?, context).await,
        }
    };
    // A query changes nothing, so it may be abandoned at any point.
    stop.unless_requested(command).await.unwrap_or(Ok(Exit::Interrupted))
}
