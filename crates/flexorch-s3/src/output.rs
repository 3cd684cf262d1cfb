//! What the command line says, and asks: words for people or one JSON document for programs, never both.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::args::Colour;
use flexorch_s3_ingester::redaction::redacted;

/// For what is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// For what is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what to look at.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default();
/// For what matters less.
pub(super) const FAINT: Style = Style::new().dimmed();

/// Where the results of a command go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// Decides what is printed, and whether in colours (`NO_COLOR` and `CLICOLOR_FORCE` are obeyed: no-color.org).
    pub(super) fn new(json: bool, colour: Colour) -> Self {
        match colour {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { json }
    }

    /// Whether programs read the output.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// A line for people, on standard output.
    pub(super) fn line(self, line: impl Display) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        let line = redacted(&line.to_string());
        writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// A line for people on standard error: what happens meanwhile.
    pub(super) fn progress(self, line: impl Display) {
        if !self.json {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(anstream::stderr().lock(), "{}", redacted(&line.to_string()));
        }
    }

    /// The one document for programs, on standard output.
    pub(super) fn document(self, document: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(document).context("the result cannot be written as JSON")?;
        let text = redacted(&text);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to standard output")
    }
}

/// Text in a style; the style is taken away again where no colours are wanted.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Why the command failed, on standard error.
pub(super) fn complain(words: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{} {}", styled(BAD, "flexorch-s3:"), redacted(words));
}

/// Asks a question whose safe answer is no. `flag` is the option that says yes for those who cannot be asked.
pub(super) fn confirm(question: &str, flag: &str) -> Result<bool> {
    if !can_ask() {
        bail!("{question} Nobody can be asked here: add {flag} if you mean it");
    }
    let answer = read_answer(&format!("{question} [y/N] ")).context("cannot read the answer")?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a value that may be seen.
pub(super) fn ask(what: &str) -> Result<String> {
    read_answer(&format!("{what}: ")).with_context(|| format!("cannot read {what}"))
}

/// Asks for a value that nobody may see; it is not echoed.
pub(super) fn ask_unseen(what: &str) -> Result<String> {
    let answer =
        rpassword::prompt_password(format!("{what} (not shown): ")).with_context(|| format!("cannot read {what}"))?;
    Ok(answer.trim().to_owned())
}

/// The terminal that the command was started from, whatever its input and output were redirected to.
const TERMINAL: &str = "/dev/tty";

/// Whether a person sits there.
pub(super) fn can_ask() -> bool {
    std::io::stderr().is_terminal() && File::open(TERMINAL).is_ok()
}

/// Asks and reads at the terminal: standard input may bring something else, such as fields.
fn read_answer(question: &str) -> std::io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open(TERMINAL)?;
    terminal.write_all(question.as_bytes())?;
    let mut answer = String::new();
    std::io::BufReader::new(terminal).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
