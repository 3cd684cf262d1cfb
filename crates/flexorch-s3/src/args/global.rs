//! What every command takes.

use clap::{Args, ValueEnum};

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(in super::super) struct GlobalOptions {
    /// The profile of the AWS configuration files to use
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The AWS region to ask; a secret's ARN names its own
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Another address for all AWS services, such as an emulator's
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// FlexOrch's address, version included
    #[arg(
        long = "flexorch-url",
        global = true,
        value_name = "URL",
        env = "FLEXORCH_BASE_URL",
        hide_env_values = true,
        default_value = flexorch_s3_ingester::config::DEFAULT_BASE_URL
    )]
    pub flexorch_url: String,
    /// Print one JSON document instead of words and tables
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long = "color", global = true, value_name = "WHEN", default_value = "auto")]
    pub colour: Colour,
    /// More words on standard error; twice for more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
