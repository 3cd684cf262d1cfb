//! Where receipts of what a command submits are sent, as typed.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::queue_name::{QueueName, standard_queue};

/// Where receipts are sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReceiptsOption {
    /// Send receipts of what is submitted to this queue, as the function does: its URL or ARN
    #[arg(long, help_heading = "Tracking", value_name = "URL", env = "RECEIPTS_QUEUE_URL", value_parser = standard_queue)]
    pub(crate) receipts_queue: Option<QueueName>,
    /// Send them to the queue that RECEIPTS_QUEUE_URL of this function names: its name or ARN; overrides --receipts-queue
    #[arg(long, help_heading = "Tracking", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
}
