//! The lines of a journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backfill::scope::TypedScope;
use crate::journal_file::Kind;

pub(crate) static KIND: Kind = Kind {
    name: "backfill",
    version: 1,
    if_damaged: "to start over, use another file (--journal); objects that are done are then sent again",
};

/// What the first line identifies the backfill by. No line contains credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// `since`, as resolved when the backfill started.
    pub(crate) modified_since: Option<Timestamp>,
    /// `until`, likewise.
    pub(crate) modified_until: Option<Timestamp>,
    pub(crate) begun: Timestamp,
}

/// Two runs with the same identity are the same backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) bucket: String,
    pub(crate) connector_id: String,
    /// FlexOrch's base URL.
    pub(crate) flexorch_url: String,
    /// The queue's URL or ARN; `None` if objects are sent to FlexOrch directly.
    pub(crate) queue: Option<String>,
    pub(crate) scope: TypedScope,
}

impl Identity {
    /// Returns what identifies a backfill, by the words for it.
    pub(crate) fn parts(&self) -> [(&'static str, String); 5] {
        [
            ("bucket", format!("{:?}", self.bucket)),
            ("connector", self.connector_id.clone()),
            ("FlexOrch at", self.flexorch_url.clone()),
            ("queue", self.queue.clone().unwrap_or_else(|| "none".to_owned())),
            ("scope", serde_json::to_string(&self.scope).unwrap_or_default()),
        ]
    }
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Line {
    /// A chunk of the listing whose objects were sent for the first time.
    Chunk {
        /// It starts after this key; null: at the beginning.
        after: Option<String>,
        /// It ends with this key, which identifies the chunk; null: at the end.
        through: Option<String>,
        /// How many objects it contains.
        listed: u64,
        /// How many of them are out of scope, by reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        skipped: BTreeMap<String, u64>,
        #[serde(flatten)]
        settled: Settled,
    },
    /// The open keys of a chunk, sent again.
    Again {
        /// The last key of the chunk.
        through: Option<String>,
        #[serde(flatten)]
        settled: Settled,
    },
    /// Keys that were submitted again for their receipts, which are sent now. What happened to the keys was recorded before.
    Receipts { keys: Vec<String> },
    /// All objects are settled.
    Finished { at: Timestamp },
}

/// The results of a chunk's objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settled {
    #[serde(default)]
    pub(crate) forwarded: u64,
    /// How many of them FlexOrch knew already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) duplicates: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected: Vec<RejectedKey>,
    /// The keys that are not settled yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) open: Vec<String>,
    /// Settled keys whose receipts could not be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) without_receipt: Vec<WithoutReceipt>,
    /// Requests to FlexOrch, or messages to the queue.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) requests: u64,
    /// How many of them got a 429 response for the rate limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) rate_limited: u64,
    /// How many of them were refused because the month's credits are used up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) quota_exceeded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A settled key whose receipt could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WithoutReceipt {
    pub(crate) key: String,
    /// The listing's ETag, which the receipt has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

/// A key that FlexOrch rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RejectedKey {
    pub(crate) key: String,
    /// FlexOrch's code.
    pub(crate) code: String,
    /// FlexOrch's message.
    pub(crate) message: String,
}
