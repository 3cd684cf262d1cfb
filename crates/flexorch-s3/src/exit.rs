//! The exit statuses of the program.

use std::process::ExitCode;

/// How a command ended. Status 2, invalid arguments, is clap's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command succeeded and found no problem.
    Success = 0,
    /// The command failed; standard error says why.
    Failure = 1,
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
