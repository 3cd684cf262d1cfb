//! `flexorch-s3 letters …`: the dead letters of a function, listed, redriven, exported and deleted.
//!
//! ```text
//!   locate ──▶ queue ──▶ survey ──▶ filter ──▶ list, export
//!                                     └──▶ plan ──▶ run (work: send, then delete)
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `locate` | finds the dead-letter queue, and the queue to send to |
//! | `queue` | SQS's calls for one queue |
//! | `letter`, `filter`, `groups` | PURE: a letter, which ones are selected, how they are counted |
//! | `survey`, `drain` | receives all letters once, and makes them visible again; PURE: when a queue counts as read |
//! | `list`, `export` | the commands that change nothing |
//! | `plan`, `run` | `redrive` and `drop`: shows and asks; then does it |
//! | `work`, `pace` | PURE: what is to be done with each letter, and when |
//! | `report` | tables and JSON |

mod drain;
mod export;
mod filter;
mod groups;
mod letter;
mod list;
mod locate;
mod pace;
mod plan;
mod queue;
mod report;
mod run;
mod survey;
mod work;

use anyhow::Result;

use crate::args::LettersAction;
use crate::context::Context;
use crate::exit::Exit;
pub(crate) use letter::DeadLetter;
#[cfg(test)]
pub(crate) use letter::tests;

pub(crate) async fn run(action: LettersAction, context: &Context) -> Result<Exit> {
    let stop = context.stop();
    let command = async {
        match action {
            LettersAction::List(options) => list::run(options, context, stop).await,
            LettersAction::Export(options) => export::run(options, context, stop).await,
            LettersAction::Redrive(options) => plan::redrive(options, context, stop).await,
            LettersAction::Drop(options) => plan::drop(options, context, stop).await,
        }
    };
    tokio::select! {
        exit = command => exit,
        () = stop.insisted() => Ok(Exit::Interrupted),
    }
}
