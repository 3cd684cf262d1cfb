//! What happened to the records. Pure.

use serde::{Deserialize, Serialize};

/// How many records were sent, and how many were not and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Sent to the queue.
    pub(crate) sent: u64,
    /// Sent, but whether the object is still the same version could not be checked.
    #[serde(default)]
    pub(crate) unchecked: u64,
    /// Not sent: the object was overwritten.
    #[serde(default)]
    pub(crate) overwritten: u64,
    /// Not sent: the object was deleted.
    #[serde(default)]
    pub(crate) deleted: u64,
}

impl Tally {
    /// Adds another tally.
    pub(crate) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.unchecked += other.unchecked;
        self.overwritten += other.overwritten;
        self.deleted += other.deleted;
    }

    /// Returns how many records are done.
    pub(crate) fn total(&self) -> u64 {
        self.sent + self.overwritten + self.deleted
    }

    /// Describes what was not sent.
    pub(crate) fn skipped(&self) -> Option<String> {
        let parts = [(self.overwritten, "overwritten"), (self.deleted, "deleted")];
        let words: Vec<_> =
            parts.iter().filter(|(number, _)| *number > 0).map(|(number, why)| format!("{number} {why}")).collect();
        (!words.is_empty()).then(|| format!("{} since the submission", words.join(" and ")))
    }
}
