//! Where receipts of what a command submits are sent, as typed.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;

use super::queue_name::{QueueName, standard_queue};
use flexorch_s3_ingester::config::variable;
use flexorch_s3_ingester::model::settings::RECEIPTS_QUEUE_URL;

/// Where receipts are sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReceiptsOption {
    /// Send receipts of what is submitted to this queue, as the function does: its URL or ARN [env: RECEIPTS_QUEUE_URL]
    #[arg(long, help_heading = "Tracking", value_name = "URL", value_parser = standard_queue)]
    pub(crate) receipts_queue: Option<QueueName>,
    /// Send them to the queue that RECEIPTS_QUEUE_URL of this function names: its name or ARN; overrides --receipts-queue
    #[arg(long, help_heading = "Tracking", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: Option<String>,
}

impl ReceiptsOption {
    /// Takes the queue from the environment, if neither a queue nor a function is typed. An empty variable is not set, which clap's own default would refuse.
    pub(super) fn resolve(&mut self) -> Result<(), clap::Error> {
        let Some(text) = variable(RECEIPTS_QUEUE_URL).filter(|text| !text.trim().is_empty()) else { return Ok(()) };
        if self.receipts_queue.is_none() && self.function.is_none() {
            let queue = standard_queue(&text).map_err(|error| {
                clap::Error::raw(ErrorKind::ValueValidation, format!("{RECEIPTS_QUEUE_URL} is {text:?}: {error}\n"))
            })?;
            self.receipts_queue = Some(queue);
        }
        Ok(())
    }
}
