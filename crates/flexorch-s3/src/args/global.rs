//! Options that every command accepts.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueEnum};
use reqwest::Url;

use flexorch_s3_ingester::config::{DEFAULT_BASE_URL, checked_base_url};

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
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    pub(crate) endpoint_url: Option<String>,
    #[arg(
        long = "flexorch-url",
        global = true,
        value_name = "URL",
        value_parser = BaseUrl,
        help = format!(
            "Base URL of FlexOrch's API, including the version [env: FLEXORCH_BASE_URL] [default: {DEFAULT_BASE_URL}]"
        )
    )]
    pub(crate) flexorch_url: Option<Url>,
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

/// Parses FlexOrch's base URL, as the function does.
#[derive(Debug, Clone)]
struct BaseUrl;

impl TypedValueParser for BaseUrl {
    type Value = Url;

    fn parse_ref(&self, command: &Command, _option: Option<&Arg>, value: &OsStr) -> Result<Url, clap::Error> {
        checked_base_url(value.to_string_lossy().trim()).map_err(|allowed| {
            // The value is not repeated: it may contain a password.
            let message =
                format!("invalid FlexOrch base URL (--flexorch-url, FLEXORCH_BASE_URL): it must be {allowed}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// A text that [`endpoint`] does not accept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as http://127.0.0.1:4566")]
struct NotAnEndpoint;

/// Checks the URL of an endpoint, which is kept as typed.
fn endpoint(text: &str) -> Result<String, NotAnEndpoint> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    Url::parse(text).ok().filter(is_http).map(|_| text.to_owned()).ok_or(NotAnEndpoint)
}
