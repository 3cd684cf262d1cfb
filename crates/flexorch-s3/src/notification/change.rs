//! Adds an entry to a configuration or removes one, and leaves the others unchanged.

use super::configuration::{Configuration, Destination, Entry, Notification};

/// A new configuration, by its difference to the current one.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Unchanged entries.
    pub(crate) kept: Vec<Entry>,
    pub(crate) removed: Vec<Entry>,
    pub(crate) added: Vec<Entry>,
}

impl Change {
    /// Returns a change that changes nothing.
    fn none(configuration: &Configuration) -> Self {
        Self { kept: configuration.entries.clone(), removed: Vec::new(), added: Vec::new() }
    }

    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Returns the configuration to write.
    pub(crate) fn configuration(&self) -> Configuration {
        Configuration { entries: self.kept.iter().chain(&self.added).cloned().collect() }
    }

    fn without(configuration: &Configuration, is_removed: impl Fn(&Entry) -> bool) -> Self {
        let (removed, kept) = configuration.entries.iter().cloned().partition(is_removed);
        Self { kept, removed, added: Vec::new() }
    }
}

/// Adds a notification, unless another one delivers the same events to its destination.
///
/// # Errors
/// The existing notifications that overlap with it, which S3 does not allow.
pub(crate) fn attach(configuration: &Configuration, own: &Notification) -> Result<Change, Vec<Notification>> {
    if configuration.notifications().any(|there| there.covers(own)) {
        return Ok(Change::none(configuration));
    }
    // S3 does not accept an Id twice: one with this Id but other contents was edited, and is replaced.
    let mut change = Change::without(configuration, |entry| {
        entry.notification.as_ref().is_some_and(|notification| notification.id == own.id)
    });
    let overlapping: Vec<_> =
        change.kept.iter().filter_map(|entry| entry.notification.clone()).filter(|there| there.overlaps(own)).collect();
    if !overlapping.is_empty() {
        return Err(overlapping);
    }
    change.added.push(Entry::new(own.clone()));
    Ok(change)
}

/// Enables or disables EventBridge.
pub(crate) fn switch_event_bridge(configuration: &Configuration, on: bool) -> Change {
    match (configuration.has_event_bridge(), on) {
        (false, true) => {
            let mut change = Change::none(configuration);
            change.added.push(Entry::event_bridge());
            change
        }
        (true, false) => Change::without(configuration, |entry| entry.notification.is_none()),
        (true, true) | (false, false) => Change::none(configuration),
    }
}

/// Selects notifications. `None` matches anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    pub(crate) destination: Option<Destination>,
    pub(crate) prefix: Option<String>,
    pub(crate) suffix: Option<String>,
}

impl Selector {
    /// Returns whether a notification is selected.
    pub(crate) fn matches(&self, notification: &Notification) -> bool {
        let is = |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
        self.destination.as_ref().is_none_or(|asked| *asked == notification.destination)
            && is(&self.prefix, &notification.filter.prefix)
            && is(&self.suffix, &notification.filter.suffix)
    }
}

/// Removes the selected notifications that `attach` added, and no others.
pub(crate) fn detach(configuration: &Configuration, selector: &Selector) -> Change {
    Change::without(configuration, |entry| {
        entry.notification.as_ref().is_some_and(|notification| notification.is_own() && selector.matches(notification))
    })
}
