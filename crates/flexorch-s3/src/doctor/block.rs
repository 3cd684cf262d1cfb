//! Why FlexOrch takes nothing from a connector until someone acts.

use super::check::Fix;
use super::commands::{Commands, quoted};
use crate::management::CallError;

/// A reason for which objects wait that does not pass by itself within minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// The secret says `paused`.
    Paused { reason: String },
    /// The billing period's credits are used up.
    CreditsUsedUp,
    /// FlexOrch refuses the API key, the plan or the connector.
    Refused { why: String },
}

impl Block {
    /// Reads the reason from a failed call; `None` if waiting helps.
    pub(crate) fn of(error: &CallError) -> Option<Self> {
        match error.error.status {
            401..=404 => Some(Self::Refused { why: format!("FlexOrch refuses {}", error.error) }),
            429 if error.error.code.as_deref() == Some("QUOTA_EXCEEDED") => Some(Self::CreditsUsedUp),
            _ => None,
        }
    }

    /// Returns the reason, as the end of a sentence.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Paused { reason } => format!("the connector is paused ({reason})"),
            Self::CreditsUsedUp => "the billing period's credits are used up".to_owned(),
            Self::Refused { why } => why.clone(),
        }
    }

    /// Returns what ends the wait of the connector with this secret. Until then nothing expires, but nothing is submitted either.
    pub(crate) fn fix(&self, secret: &str, commands: &Commands) -> Fix {
        let secret = quoted(secret);
        match self {
            Self::Paused { .. } => Fix::new(
                "nothing is submitted until the connector is resumed; nothing expires meanwhile",
                commands.own(format_args!("resume --secret {secret}")),
            ),
            Self::CreditsUsedUp => Fix::new(
                "nothing is processed until the next billing period begins or the plan is upgraded; nothing expires meanwhile. To check the \
                 credits again",
                commands.own(format_args!("doctor --secret {secret}")),
            ),
            Self::Refused { .. } => Fix::new(
                "nothing is processed until the failed check of FlexOrch is fixed; nothing expires meanwhile",
                commands.own(format_args!("connector show --secret {secret}")),
            ),
        }
    }
}
