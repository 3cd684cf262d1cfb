//! The lines of a journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::scope::TypedScope;

/// What a journal's first line begins with: nothing else is ever taken for one and written over.
pub(super) const MARK: &str = r#"{"journal":"flexorch-s3 backfill","#;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// The first line: which backfill it is. It holds no credentials, and no line does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Header {
    pub journal: String,
    pub version: u32,
    #[serde(flatten)]
    pub identity: Identity,
    /// `since`, as it was resolved when the backfill began.
    pub modified_since: Option<Timestamp>,
    /// `until`, likewise.
    pub modified_until: Option<Timestamp>,
    pub begun: Timestamp,
}

/// What makes two runs the same backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Identity {
    pub bucket: String,
    pub connector_id: String,
    /// FlexOrch's address.
    pub flexorch_url: String,
    /// `None`: to FlexOrch directly; otherwise the queue's URL.
    pub queue: Option<String>,
    pub scope: TypedScope,
}

impl Header {
    /// A header for a backfill that begins now.
    pub(in super::super) fn new(
        identity: Identity,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        Self {
            journal: "flexorch-s3 backfill".to_owned(),
            version: VERSION,
            identity,
            modified_since: since,
            modified_until: until,
            begun: now,
        }
    }
}

impl Identity {
    /// What differs, in words: this one's and the other's.
    pub(in super::super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, own: String, others: String| {
            if own != others {
                differences.push(format!("{name} {own} and not {others}"));
            }
        };
        compare("bucket", format!("{:?}", self.bucket), format!("{:?}", other.bucket));
        compare("connector", self.connector_id.clone(), other.connector_id.clone());
        compare("FlexOrch at", self.flexorch_url.clone(), other.flexorch_url.clone());
        let queue = |identity: &Self| identity.queue.clone().unwrap_or_else(|| "none".to_owned());
        compare("queue", queue(self), queue(other));
        let scope = |identity: &Self| serde_json::to_string(&identity.scope).unwrap_or_default();
        compare("scope", scope(self), scope(other));
        differences
    }
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(in super::super) enum Line {
    /// A part of the listing whose objects were sent for the first time.
    Chunk {
        /// It begins after this key; null: at the beginning.
        after: Option<String>,
        /// It ends with this key, which names the chunk; null: at the end.
        through: Option<String>,
        /// How many objects it holds.
        listed: u64,
        /// Those out of scope, by reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        skipped: BTreeMap<String, u64>,
        #[serde(flatten)]
        settled: Settled,
    },
    /// What was open of a chunk, sent again.
    Again {
        /// The chunk's name.
        through: Option<String>,
        #[serde(flatten)]
        settled: Settled,
    },
    /// Everything is settled.
    Finished {
        /// When.
        at: Timestamp,
    },
}

/// What became of a chunk's objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Settled {
    #[serde(default)]
    pub forwarded: u64,
    /// Of those, the ones whose content FlexOrch knew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedKey>,
    /// The keys that are not settled yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// Of those, the ones that were answered 429.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rate_limited: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A key that FlexOrch refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct RejectedKey {
    pub key: String,
    /// FlexOrch's code.
    pub code: String,
    /// FlexOrch's words.
    pub message: String,
}
