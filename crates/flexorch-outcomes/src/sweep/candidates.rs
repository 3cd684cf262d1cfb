//! Chooses the jobs that a sweep asks for: never asked first, oldest first, then those asked longest ago; after all of them the failed
//! ones whose reason is not known. Bounded. Pure.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use flexorch_s3_ingester::model::arn::secret_name;
use jiff::Timestamp;

use crate::record::Record;
use crate::schema::State;

/// What a sweep does about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It asks for the job, with the API key of this configured secret, by its position.
    Ask(usize),
    /// It gives the document up.
    Abandon,
    /// Nothing: the job is young, given up or unknown, or has ended for a known reason.
    Leave,
    /// Nothing, because its connector is not configured.
    NotConfigured,
}

/// Decides about records.
#[derive(Debug)]
pub(super) struct Rules {
    secret_ids: Vec<String>,
    sweep_after: Duration,
    keep_for: Duration,
}

impl Rules {
    /// Creates the rules for these secrets, names or ARNs.
    pub(super) fn new(secret_ids: &[String], sweep_after: Duration, keep_for: Duration) -> Self {
        Self { secret_ids: secret_ids.to_vec(), sweep_after, keep_for }
    }

    /// Decides about a record.
    pub(super) fn verdict(&self, record: &Record, now: Timestamp) -> Verdict {
        let age = now.duration_since(record.submitted_at);
        let is_older_than = |limit: Duration| age.unsigned_abs() > limit && !age.is_negative();
        match record.state {
            State::Submitted if record.abandoned_at.is_some() => return Verdict::Leave,
            State::Submitted if is_older_than(self.keep_for) => return Verdict::Abandon,
            State::Submitted => {}
            // A failure is asked for once.
            _ if record.lacks_reason() && record.asked_at.is_none_or(|asked| asked < record.changed_at) => {}
            _ => return Verdict::Leave,
        }
        if record.job_id.is_none() || !(is_older_than(self.sweep_after) || self.sweep_after.is_zero()) {
            return Verdict::Leave;
        }
        self.secret_of(record).map_or(Verdict::NotConfigured, Verdict::Ask)
    }

    /// Returns the position of a record's secret. The same text goes first: secrets of two regions may have one name.
    pub(super) fn secret_of(&self, record: &Record) -> Option<usize> {
        let connector = record.connector.as_deref()?;
        let position = |is_it: &dyn Fn(&str) -> bool| self.secret_ids.iter().position(|id| is_it(id));
        position(&|id| id == connector).or_else(|| position(&|id| secret_name(id) == secret_name(connector)))
    }
}

/// The jobs of one secret to ask for, the most urgent of all that were offered.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    capacity: usize,
    /// Sorted by urgency.
    chosen: BTreeSet<Urgency>,
    /// The jobs in it: several records may name one.
    jobs: HashSet<String>,
    /// Jobs were left out.
    is_cut: bool,
}

/// The state, when the job was last asked for, when its document was submitted, and its id: the first is the most urgent, and an
/// open job goes before one that failed.
pub(super) type Urgency = (State, Option<Timestamp>, Timestamp, String);

impl Candidates {
    /// At most `capacity` jobs are kept.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Offers the job of a record.
    pub(super) fn offer(&mut self, record: &Record) {
        let Some(job_id) = &record.job_id else { return };
        let urgency = (record.state, record.asked_at, record.submitted_at, job_id.clone());
        let is_full = self.chosen.len() >= self.capacity;
        if is_full && self.chosen.last().is_none_or(|last| urgency >= *last) {
            self.is_cut |= !self.jobs.contains(job_id);
            return;
        }
        if !self.jobs.insert(job_id.clone()) {
            return;
        }
        self.chosen.insert(urgency);
        if is_full && let Some((.., dropped)) = self.chosen.pop_last() {
            self.jobs.remove(&dropped);
            self.is_cut = true;
        }
    }

    /// Whether jobs were left out because there were too many.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether there is no job to ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Returns the jobs with their urgency.
    pub(super) fn into_urgencies(self) -> BTreeSet<Urgency> {
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn rules(ids: &[&str]) -> Rules {
        let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        Rules::new(&ids, Duration::from_secs(900), Duration::from_secs(90 * 86_400))
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_second(record().submitted_at.as_second() + seconds).unwrap()
    }

    #[test]
    fn a_young_job_is_left_alone_an_old_one_is_asked_for_and_a_very_old_one_is_given_up() {
        let rules = rules(&["other", "connector"]);
        for (seconds, verdict) in [
            (-5, Verdict::Leave),
            (900, Verdict::Leave),
            (901, Verdict::Ask(1)),
            (90 * 86_400, Verdict::Ask(1)),
            (90 * 86_400 + 1, Verdict::Abandon),
        ] {
            assert_eq!(rules.verdict(&record(), later(seconds)), verdict, "{seconds}");
        }
        let given_up = Record { abandoned_at: Some(later(1)), ..record() };
        let unnamed = Record { job_id: None, ..record() };
        let explained = Record { state: State::Failed, failure_reason: Some("corrupt".into()), ..record() };
        let processed = Record { state: State::Processed, ..record() };
        for left in [given_up, unnamed, explained, processed] {
            assert_eq!(rules.verdict(&left, later(1_000)), Verdict::Leave);
        }
    }

    #[test]
    fn a_failure_without_a_reason_is_asked_for_once_however_old_it_is() {
        let rules = rules(&["connector"]);
        let failed = Record { state: State::Failed, changed_at: later(10), ..record() };
        let while_open = Record { asked_at: Some(later(9)), ..failed.clone() };
        let since = Record { asked_at: Some(later(10)), ..failed.clone() };
        let unnamed = Record { job_id: None, ..failed.clone() };
        for (record, verdict) in [
            (&failed, Verdict::Ask(0)),
            (&while_open, Verdict::Ask(0)),
            (&since, Verdict::Leave),
            (&unnamed, Verdict::Leave),
        ] {
            assert_eq!(rules.verdict(record, later(901)), verdict, "{record:?}");
        }
        assert_eq!(rules.verdict(&failed, later(900)), Verdict::Leave, "young");
        assert_eq!(rules.verdict(&failed, later(90 * 86_400 + 1)), Verdict::Ask(0));
    }

    #[test]
    fn connectors_are_compared_by_their_secrets_names_whatever_form_each_side_has() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/connector";
        let forms = ["flexorch/connector", arn, &format!("{arn}-a1B2c3")];
        for configured in forms {
            for recorded in forms {
                let record = Record { connector: Some(recorded.to_owned()), ..record() };
                assert_eq!(rules(&[configured]).verdict(&record, later(1_000)), Verdict::Ask(0), "{recorded}");
            }
        }
        let other = Record { connector: Some("flexorch/other".into()), ..record() };
        assert_eq!(rules(&forms[..1]).verdict(&other, later(1_000)), Verdict::NotConfigured);
    }

    #[test]
    fn never_asked_comes_first_oldest_first_then_asked_longest_ago() {
        let mut candidates = Candidates::new(4);
        for (job, asked, submitted) in
            [("e", Some(60), 1), ("d", Some(50), 2), ("c", None, 9), ("a", None, 3), ("f", Some(70), 0), ("b", None, 5)]
        {
            candidates.offer(&Record {
                job_id: Some(job.into()),
                asked_at: asked.map(later),
                submitted_at: later(submitted),
                ..record()
            });
        }
        let jobs = |candidates: Candidates| -> Vec<_> {
            candidates.into_urgencies().into_iter().map(|(.., job)| job).collect()
        };
        assert_eq!(jobs(candidates), ["a", "b", "c", "d"]);
        let mut candidates = Candidates::new(2);
        let failed = Record { job_id: Some("f".into()), state: State::Failed, ..record() };
        let asked = Record { job_id: Some("a".into()), asked_at: Some(later(50)), ..record() };
        let new = Record { job_id: Some("n".into()), submitted_at: later(9), ..record() };
        [failed.clone(), asked.clone()].iter().for_each(|record| candidates.offer(record));
        assert_eq!(jobs(std::mem::take(&mut candidates)), ["a", "f"], "open jobs go before failed ones");
        candidates = Candidates::new(2);
        [failed, asked, new].iter().for_each(|record| candidates.offer(record));
        assert!(candidates.is_cut());
        assert_eq!(jobs(candidates), ["n", "a"]);
    }

    #[test]
    fn several_records_of_one_job_are_one_question() {
        let mut candidates = Candidates::new(10);
        for second in 0..5 {
            candidates.offer(&Record { submitted_at: later(second), ..record() });
        }
        assert_eq!(candidates.into_urgencies().len(), 1);
    }
}
