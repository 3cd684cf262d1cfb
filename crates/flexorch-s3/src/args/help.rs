//! The help of each command: wrapped to the terminal, with the global options named in one line instead of described again.

use clap::Command;

/// Help is no wider than this, however wide the terminal is.
const MAX_WIDTH: usize = 100;

/// Commands that call neither AWS nor FlexOrch.
const LOCAL: [&str; 3] = ["demo", "sandbox", "completions"];

/// Names the global options that matter to a local command, and to the others.
const GLOBAL_OF_LOCAL: &str = "--json, --color, -v";
const GLOBAL_OF_OTHERS: &str = "--profile, --region, --endpoint-url, --flexorch-url, --json, --color, -v";

/// Arranges the help of a command and its subcommands: only the top-level help describes the global options.
pub(super) fn arrange(command: Command) -> Command {
    let globals: Vec<_> = command.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
    let hidden: Vec<_> = globals.into_iter().map(|option| option.hide(true)).collect();
    // clap gives a subcommand its parent's global options unless it has options of these ids, which are the hidden ones.
    command.max_term_width(MAX_WIDTH).mut_subcommands(|subcommand| arrange_subcommand(subcommand, &hidden))
}

fn arrange_subcommand(command: Command, hidden: &[clap::Arg]) -> Command {
    let globals = if LOCAL.contains(&command.get_name()) { GLOBAL_OF_LOCAL } else { GLOBAL_OF_OTHERS };
    let heading = *command.get_styles().get_header();
    let command = command.args(hidden).help_template(format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{{all-args}}\n\n{heading}Global options:{heading:#}\n  \
         {globals}\n  (see 'flexorch-s3 --help'){{after-help}}"
    ));
    command.mut_subcommands(|subcommand| arrange_subcommand(subcommand, hidden))
}
