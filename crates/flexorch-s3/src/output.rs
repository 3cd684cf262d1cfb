//! Output and prompts: text for people or one JSON document for programs, never both.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, IsTerminal, Write};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use serde::Serialize;

use flexorch_s3_ingester::redaction::redacted;

pub(crate) const SUCCESS: Style = AnsiColor::Green.on_default();
pub(crate) const FAILURE: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// The style of a heading.
pub(crate) const BOLD: Style = Style::new().bold();
/// The style of secondary text.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Prints the results of a command, as text or as JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Selects text or JSON, and when to use colors: [`ColorChoice::Auto`] obeys `NO_COLOR` and `CLICOLOR_FORCE` (no-color.org).
    pub(crate) fn new(json: bool, color: ColorChoice) -> Self {
        color.write_global();
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a line of text on standard output.
    pub(crate) fn line(self, line: impl Display) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        let line = redacted(&line.to_string());
        writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// Prints a line of progress on standard error.
    pub(crate) fn progress(self, line: impl Display) {
        if !self.json {
            // Nobody reads a closed standard error.
            let _ = writeln!(anstream::stderr().lock(), "{}", redacted(&line.to_string()));
        }
    }

    /// Prints the JSON document on standard output.
    pub(crate) fn document(self, document: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(document).context("cannot serialize the result as JSON")?;
        let text = redacted(&text);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
    }
}

/// The columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Returns the width of the terminal that standard output is; `None` if it is a file or a pipe.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(if size.ws_col == 0 { USUAL_COLUMNS } else { size.ws_col.into() })
}

/// Returns text in a style. Printing removes the style if colors are off.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints why the command failed, on standard error.
pub(crate) fn print_error(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{} {}", styled(FAILURE, "flexorch-s3:"), redacted(message));
}

/// Asks a yes-or-no question whose default is no, unless `--yes` was given. Any other answer than yes is an error, which says what was left
/// alone, such as `nothing was changed`.
pub(crate) fn confirm(yes: bool, question: &str, unchanged: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !is_interactive() {
        bail!("{question} Cannot ask without a terminal: to confirm, add --yes");
    }
    let answer = read_answer(&format!("{question} [y/N] ")).context("cannot read the answer")?;
    if !matches!(answer.to_lowercase().as_str(), "y" | "yes") {
        bail!("cancelled; {unchanged}");
    }
    Ok(())
}

/// Prompts for a value, which is echoed.
pub(crate) fn ask(what: &str) -> Result<String> {
    read_answer(&format!("{what}: ")).with_context(|| format!("cannot read {what}"))
}

/// Prompts for a secret, which is not echoed.
pub(crate) fn ask_hidden(what: &str) -> Result<String> {
    let answer =
        rpassword::prompt_password(format!("{what} (not shown): ")).with_context(|| format!("cannot read {what}"))?;
    Ok(answer.trim().to_owned())
}

/// The controlling terminal, wherever input and output are redirected to.
const TERMINAL: &str = "/dev/tty";

/// Returns whether there is a terminal to prompt on.
pub(crate) fn is_interactive() -> bool {
    std::io::stderr().is_terminal() && File::open(TERMINAL).is_ok()
}

/// Prompts and reads on the terminal, because standard input may contain something else, such as fields.
fn read_answer(question: &str) -> std::io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open(TERMINAL)?;
    terminal.write_all(question.as_bytes())?;
    let mut answer = String::new();
    std::io::BufReader::new(terminal).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
