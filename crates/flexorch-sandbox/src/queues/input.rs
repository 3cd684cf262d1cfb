//! The JSON of a call.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{attribute::AttributeInput, check::in_range, error::SqsError, store};

/// The longest wait of a long poll, in seconds.
const LONGEST_WAIT: i64 = 20;

/// The fields of all operations' inputs that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    pub(super) queue_url: Option<String>,
    pub(super) queue_name: Option<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    pub(super) attribute_names: Vec<String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) message_system_attribute_names: Vec<String>,
    pub(super) message_attribute_names: Vec<String>,
    /// The fields of a call about one message.
    #[serde(flatten)]
    pub(super) entry: Entry,
}

/// The part of a call about one message, alone or in a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Entry {
    pub(super) id: Option<String>,
    pub(super) message_body: Option<String>,
    pub(super) message_attributes: BTreeMap<String, AttributeInput>,
    pub(super) delay_seconds: Option<i64>,
    pub(super) message_group_id: Option<String>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<i64>,
}

impl Input {
    /// Returns the name of the queue that the call names, if it names one.
    pub(super) fn queue(&self) -> Option<&str> {
        let by_url = self.queue_url.as_deref().and_then(store::name_in_url);
        by_url.or(self.queue_name.as_deref())
    }

    /// Returns how long a receiver waits for a message.
    pub(super) fn wait(&self) -> Result<Duration, SqsError> {
        let seconds = in_range("WaitTimeSeconds", self.wait_time_seconds, 0..=LONGEST_WAIT)?;
        Ok(Duration::from_secs(seconds.unwrap_or(0)))
    }

    /// Returns the name of the queue that the call must name.
    pub(super) fn required_queue(&self) -> Result<String, SqsError> {
        self.queue_url.as_ref().ok_or_else(|| SqsError::missing("QueueUrl"))?;
        self.queue().map(str::to_owned).ok_or_else(SqsError::no_such_queue)
    }
}
