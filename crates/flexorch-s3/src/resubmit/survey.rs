//! Counts what would be sent, before anything is.

use std::collections::BTreeMap;

use anyhow::Result;

use super::journal::Done;
use crate::tracking::{Records, State};

/// What is selected and not done yet.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) documents: u64,
    /// By the connector's secret; `None`: unknown.
    pub(crate) connectors: BTreeMap<Option<String>, u64>,
    /// By code or reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) rejected: u64,
    /// Records that name no object. They are not part of `documents`.
    pub(crate) unusable: u64,
}

/// Reasons are counted one by one up to this many.
const REASONS: usize = 1000;

/// Reads all selected records once.
pub(crate) async fn survey(records: &mut Records, done: &Done) -> Result<Survey> {
    let mut survey = Survey::default();
    while let Some(record) = records.next().await? {
        if record.object().is_none() {
            survey.unusable += 1;
            continue;
        }
        if done.contains(&record) {
            continue;
        }
        survey.documents += 1;
        survey.rejected += u64::from(record.state == State::Rejected);
        *survey.connectors.entry(record.connector.clone()).or_default() += 1;
        let reason = record.code.or(record.failure_reason).unwrap_or_else(|| "no reason".to_owned());
        if survey.reasons.len() < REASONS || survey.reasons.contains_key(&reason) {
            *survey.reasons.entry(reason).or_default() += 1;
        }
    }
    Ok(survey)
}
