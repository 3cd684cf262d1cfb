//! A configuration with an entry more or less, and nothing else touched.

use super::configuration::{Configuration, Destination, Entry, Notification};

/// A configuration as it is to be, and how it differs from what it was.
#[derive(Debug, Clone)]
pub(in super::super) struct Change {
    /// What stays, as it was written.
    pub kept: Vec<Entry>,
    /// What goes.
    pub removed: Vec<Entry>,
    /// What comes.
    pub added: Vec<Entry>,
}

impl Change {
    /// Everything stays.
    fn none(configuration: &Configuration) -> Self {
        Self { kept: configuration.entries.clone(), removed: Vec::new(), added: Vec::new() }
    }

    /// Whether there is nothing to write.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// What is to be written.
    pub(in super::super) fn configuration(&self) -> Configuration {
        Configuration { entries: self.kept.iter().chain(&self.added).cloned().collect() }
    }

    fn without(configuration: &Configuration, goes: impl Fn(&Entry) -> bool) -> Self {
        let (removed, kept) = configuration.entries.iter().cloned().partition(goes);
        Self { kept, removed, added: Vec::new() }
    }
}

/// Adds a notification that `attach` made, unless its destination is told already.
///
/// # Errors
/// The notifications that S3 does not allow beside it.
pub(in super::super) fn attach(configuration: &Configuration, own: &Notification) -> Result<Change, Vec<Notification>> {
    if configuration.notifications().any(|there| there.delivers_all_of(own)) {
        return Ok(Change::none(configuration));
    }
    // One of this Id that says something else was changed by somebody; S3 takes no Id twice.
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

/// Switches EventBridge on or off.
pub(in super::super) fn switch_event_bridge(configuration: &Configuration, on: bool) -> Change {
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

/// Which of the notifications that `attach` made. What is `None` may be any.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Which {
    /// What is told.
    pub destination: Option<Destination>,
    /// The prefix that it is for.
    pub prefix: Option<String>,
    /// The suffix that it is for.
    pub suffix: Option<String>,
}

impl Which {
    /// Whether it is one of those, whoever made it.
    pub(in super::super) fn names(&self, notification: &Notification) -> bool {
        let is = |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
        self.destination.as_ref().is_none_or(|asked| *asked == notification.destination)
            && is(&self.prefix, &notification.filter.prefix)
            && is(&self.suffix, &notification.filter.suffix)
    }
}

/// Takes away what `attach` made, and nothing that it did not make.
pub(in super::super) fn detach(configuration: &Configuration, which: &Which) -> Change {
    Change::without(configuration, |entry| {
        entry.notification.as_ref().is_some_and(|notification| notification.is_own() && which.names(notification))
    })
}
