//! The exit statuses of the program.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded and found no problem.
    Success = 0,
    /// The command failed; standard error says why.
    Failure = 1,
    /// An argument is wrong, which clap reports with this status, or which AWS's responses showed ([`WrongArgument`]).
    Usage = 2,
    /// The command ran and found a problem, such as a failed check or a rejected object.
    Problem = 3,
    /// Ctrl-C or SIGTERM ended the command (128 plus the signal's number, as shells have it).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An argument that only a response of AWS or FlexOrch shows to be wrong. The text says which, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongArgument(pub(crate) String);
