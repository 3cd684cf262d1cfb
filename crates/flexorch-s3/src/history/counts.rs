//! Counts of records by state, connector and day. Pure. They do not grow with the number of records.

use std::collections::BTreeMap;

use flexorch_s3_ingester::model::arn::secret_name;
use serde::Serialize;

use crate::tracking::{Record, State};

/// How many records have each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) open: u64,
    pub(crate) processed: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) all: Counts,
    /// By the name of the connector's secret, and its id at FlexOrch.
    pub(crate) connectors: BTreeMap<(Option<String>, Option<String>), Counts>,
    /// By the day of the last change, in UTC.
    pub(crate) days: BTreeMap<String, Counts>,
    /// By code or reason, of those that failed or were rejected.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// Reasons are counted one by one up to this many, because FlexOrch may put a document's name into them.
const REASONS: usize = 1000;
/// The rest of the reasons.
pub(crate) const OTHER_REASONS: &str = "other reasons";

impl Counts {
    fn add(&mut self, state: State) {
        *match state {
            State::Submitted => &mut self.open,
            State::Processed => &mut self.processed,
            State::Failed => &mut self.failed,
            State::Rejected => &mut self.rejected,
        } += 1;
    }

    /// Returns how many FlexOrch accepted.
    pub(crate) fn submitted(&self) -> u64 {
        self.processed + self.failed + self.open
    }

    pub(crate) fn total(&self) -> u64 {
        self.submitted() + self.rejected
    }
}

impl Tally {
    pub(crate) fn add(&mut self, record: &Record) {
        self.all.add(record.state);
        let secret = record.connector.as_deref().map(|secret_id| secret_name(secret_id).to_owned());
        let connector = (secret, record.connector_id.as_ref().map(ToString::to_string));
        self.connectors.entry(connector).or_default().add(record.state);
        let day = record.changed_at.get(..10).unwrap_or("unknown").to_owned();
        self.days.entry(day).or_default().add(record.state);
        if matches!(record.state, State::Failed | State::Rejected) {
            let reason = record.code.clone().or_else(|| record.failure_reason.clone());
            let reason = reason.unwrap_or_else(|| "no reason".to_owned());
            let is_counted = self.reasons.len() < REASONS || self.reasons.contains_key(&reason);
            *self.reasons.entry(if is_counted { reason } else { OTHER_REASONS.to_owned() }).or_default() += 1;
        }
    }

    /// Returns the reasons, the most frequent first.
    pub(crate) fn by_frequency(&self) -> Vec<(&str, u64)> {
        let mut reasons: Vec<_> = self.reasons.iter().map(|(reason, number)| (reason.as_str(), *number)).collect();
        reasons.sort_by(|(one, few), (other, many)| many.cmp(few).then(one.cmp(other)));
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: State, changed_at: &str, code: Option<&str>) -> Record {
        Record {
            document: "b/k".into(),
            version: "-".into(),
            state,
            job_id: None,
            changed_at: changed_at.into(),
            connector: Some("flexorch/in".into()),
            connector_id: None,
            event_time: None,
            submitted_at: None,
            quality_grade: None,
            pii_findings_count: None,
            failure_reason: None,
            code: code.map(str::to_owned),
            expires_at: None,
            unpublished: false,
        }
    }

    #[test]
    fn submitted_is_processed_and_failed_and_open_and_rejected_is_not_part_of_it() {
        let mut tally = Tally::default();
        for state in [State::Submitted, State::Processed, State::Processed, State::Failed, State::Rejected] {
            tally.add(&record(state, "2026-11-24T07:00:00.123Z", None));
        }
        assert_eq!((tally.all.submitted(), tally.all.total(), tally.all.open), (4, 5, 1));
        assert_eq!(tally.days.len(), 1);
        assert_eq!(tally.days["2026-11-24"], tally.all);
        assert_eq!(tally.by_frequency(), [("no reason", 2)]);
    }

    #[test]
    fn reasons_without_number_are_counted_without_memory_for_each() {
        let mut tally = Tally::default();
        for number in 0..5_000 {
            tally.add(&record(State::Failed, "2026-11-24T07:00:00.123Z", Some(&format!("reason {number}"))));
        }
        assert_eq!(tally.reasons.len(), REASONS + 1);
        assert_eq!(tally.by_frequency()[0], (OTHER_REASONS, 4_000));
    }
}
