//! Options that every command accepts.

use clap::{Args, ValueEnum};

/// Options that every command accepts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// AWS profile to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// AWS region to use; the region in a secret's ARN wins
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Endpoint for all AWS services, such as an emulator's
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Base URL of FlexOrch's API, including the version
    #[arg(
        long = "flexorch-url",
        global = true,
        value_name = "URL",
        env = "FLEXORCH_BASE_URL",
        hide_env_values = true,
        default_value = flexorch_s3_ingester::config::DEFAULT_BASE_URL
    )]
    pub(crate) flexorch_url: String,
    /// Print one JSON document instead of text and tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colors
    #[arg(long = "color", global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Log to standard error; -vv logs more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
