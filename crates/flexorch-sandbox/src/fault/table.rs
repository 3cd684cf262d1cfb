//! The faults in force, and which of them apply to a request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use wildmatch::WildMatch;

use super::definition::{Effect, Fault, Filter};

/// The id of a fault in force, by which it can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// A fault in force, and how often it has happened.
#[derive(Clone, Debug, Serialize)]
pub struct FaultStatus {
    /// The fault's id.
    pub id: FaultId,
    /// The fault itself.
    pub fault: Fault,
    /// How many requests its filter matched.
    pub matched: u64,
    /// How many of these requests the fault applied to.
    pub applied: u64,
}

/// A handle on a sandbox's faults, which can be added and removed while it runs. Clones are handles on the same faults.
///
/// The faults are tried in the order in which they were added. Latencies and rejections of files add up. The first other effect that
/// happens decides, and later faults are not tried.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Table>>);

impl Faults {
    pub(crate) fn new(seed: u64, initial: Vec<Fault>) -> Self {
        let faults = Self(Arc::new(Mutex::new(Table { seed, added: 0, entries: Vec::new() })));
        for fault in initial {
            faults.add(fault);
        }
        faults
    }

    /// Adds a fault after the others and returns its id.
    pub fn add(&self, fault: Fault) -> FaultId {
        self.table().add(fault)
    }

    /// Removes a fault; returns `false` if there is none with this id.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut table = self.table();
        let before = table.entries.len();
        table.entries.retain(|entry| entry.status.id != id);
        table.entries.len() < before
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.table().entries.clear();
    }

    /// Returns the faults, also those that are used up (`times`).
    pub fn list(&self) -> Vec<FaultStatus> {
        self.table().entries.iter().map(|entry| entry.status.clone()).collect()
    }

    pub(crate) fn decide(&self, request: &Seen<'_>) -> Verdict {
        self.table().decide(request)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of a request that faults depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The connector of a submission, as text.
    pub(crate) connector: Option<&'a str>,
    /// The keys of a submission.
    pub(crate) keys: &'a [String],
}

/// The faults that apply to a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// How long the request waits first.
    pub(crate) delay: Duration,
    /// What replaces the API's response.
    pub(crate) disruption: Option<Disruption>,
    /// The faults of single files.
    pub(crate) files: FileFaults,
}

/// An effect on a whole request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Disruption {
    pub(crate) by: FaultId,
    pub(crate) effect: Effect,
    pub(crate) processed: bool,
}

/// Effects on single files of a submission.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FileFaults {
    rejections: Vec<(WildMatch, String)>,
    failures: Vec<(WildMatch, String)>,
}

impl FileFaults {
    /// Returns the code that this file is rejected with, if it is.
    pub(crate) fn rejection(&self, key: &str) -> Option<&str> {
        first_match(&self.rejections, key)
    }

    /// Returns the reason why this file's job will fail, if it will.
    pub(crate) fn job_failure(&self, key: &str) -> Option<&str> {
        first_match(&self.failures, key)
    }
}

fn first_match<'a>(patterns: &'a [(WildMatch, String)], key: &str) -> Option<&'a str> {
    let (_, text) = patterns.iter().find(|(glob, _)| glob.matches(key))?;
    Some(text)
}

#[derive(Debug)]
struct Table {
    seed: u64,
    added: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    status: FaultStatus,
    /// Each fault has its own random numbers, so that another fault does not change when this one happens.
    random: fastrand::Rng,
}

impl Table {
    fn add(&mut self, fault: Fault) -> FaultId {
        self.added += 1;
        let id = FaultId(self.added);
        let status = FaultStatus { id, fault, matched: 0, applied: 0 };
        let random = fastrand::Rng::with_seed(self.seed.wrapping_add(self.added));
        self.entries.push(Entry { status, random });
        id
    }

    fn decide(&mut self, request: &Seen<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for entry in &mut self.entries {
            if !entry.happens_to(request) {
                continue;
            }
            let fault = &entry.status.fault;
            verdict.delay = verdict.delay.saturating_add(fault.latency);
            match &fault.effect {
                Effect::Delay => {}
                Effect::Reject { files, code } => {
                    verdict.files.rejections.push((files.clone(), code.clone()));
                }
                Effect::FailJob { files, reason } => {
                    verdict.files.failures.push((files.clone(), reason.clone()));
                }
                effect => {
                    verdict.disruption =
                        Some(Disruption { by: entry.status.id, effect: effect.clone(), processed: fault.processed });
                    break;
                }
            }
        }
        verdict
    }
}

impl Entry {
    fn happens_to(&mut self, request: &Seen<'_>) -> bool {
        let status = &mut self.status;
        if !concerns(&status.fault, request) {
            return false;
        }
        status.matched += 1;
        let Filter { after, times, random, .. } = status.fault.filter;
        let happens = status.matched > after
            && times.is_none_or(|times| status.applied < times)
            && random.is_none_or(|chance| self.random.f64() < chance);
        status.applied += u64::from(happens);
        happens
    }
}

fn concerns(fault: &Fault, request: &Seen<'_>) -> bool {
    let filter = &fault.filter;
    let any_key = |glob: &WildMatch| request.keys.iter().any(|key| glob.matches(key));
    let path = |glob: &WildMatch| {
        let below_v1 = request.path.strip_prefix("/v1").unwrap_or(request.path);
        glob.matches(request.path) || glob.matches(below_v1)
    };
    let files = match &fault.effect {
        Effect::Reject { files, .. } | Effect::FailJob { files, .. } => Some(files),
        _ => None,
    };
    filter.key.as_ref().is_none_or(any_key)
        && files.is_none_or(any_key)
        && filter.path.as_ref().is_none_or(path)
        && filter.connector.as_deref().is_none_or(|id| names_connector(request, id))
        && filter.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(request.method))
}

fn names_connector(request: &Seen<'_>, id: &str) -> bool {
    let in_path = || {
        let below = request.path.strip_prefix("/v1/connectors/")?;
        below.split('/').next()
    };
    request.connector.or_else(in_path) == Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(faults: &[&str]) -> Faults {
        let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
        Faults::new(7, faults)
    }

    fn submission(keys: &[String]) -> Seen<'_> {
        Seen { method: "POST", path: "/v1/data-process/async", connector: Some("42"), keys }
    }

    fn disrupted(faults: &Faults, request: &Seen<'_>) -> bool {
        faults.decide(request).disruption.is_some()
    }

    #[test]
    fn after_and_times_count_the_requests_that_match() {
        let faults = table(&["status=503,after=1,times=2"]);
        let hits: Vec<bool> = (0..5).map(|_| disrupted(&faults, &submission(&[]))).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        let status = &faults.list()[0];
        assert_eq!((status.matched, status.applied), (5, 2));
    }

    #[test]
    fn random_faults_are_the_same_for_the_same_seed() {
        let draw = |seed| -> Vec<bool> {
            let faults = Faults::new(seed, vec!["random=0.3,hang".parse().unwrap()]);
            (0..200).map(|_| disrupted(&faults, &submission(&[]))).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let hits = draw(1).into_iter().filter(|hit| *hit).count();
        assert!((30..=90).contains(&hits), "{hits} of 200 at 30 %");
    }

    #[test]
    fn filters_narrow_a_fault_to_keys_connectors_paths_and_methods() {
        let keys = ["a/x.bad.pdf".to_owned(), "b.pdf".to_owned()];
        let request = submission(&keys);
        for (fault, fits) in [
            ("hang,key=*.bad*", true),
            ("hang,key=*.exe", false),
            ("hang,connector=42", true),
            ("hang,connector=43", false),
            ("hang,path=/data-process/*", true),
            ("hang,path=/v1/data-process/async", true),
            ("hang,path=/jobs/*", false),
            ("hang,method=post", true),
            ("hang,method=GET", false),
        ] {
            assert_eq!(disrupted(&table(&[fault]), &request), fits, "{fault}");
        }
        let test = Seen { path: "/v1/connectors/43/test", connector: None, keys: &[], ..request };
        assert!(disrupted(&table(&["hang,connector=43"]), &test));
    }

    #[test]
    fn latencies_and_rejections_add_up_and_the_first_other_effect_wins() {
        let faults = table(&["latency=1s", "reject=*.exe,latency=1s", "status=500", "hang"]);
        let keys = ["a.exe".to_owned()];
        let verdict = faults.decide(&submission(&keys));
        assert_eq!(verdict.delay, Duration::from_secs(2));
        assert_eq!(verdict.files.rejection("a.exe"), Some("UNSUPPORTED_FILE"));
        assert_eq!(verdict.files.rejection("a.pdf"), None);
        assert_eq!(verdict.disruption.unwrap().by, FaultId(3));
    }

    #[test]
    fn a_fault_can_be_removed_while_others_stay() {
        let faults = table(&["hang"]);
        let second = faults.add("reset".parse().unwrap());
        assert!(faults.remove(FaultId(1)));
        assert!(!faults.remove(FaultId(1)));
        assert_eq!(faults.list()[0].id, second);
        faults.clear();
        assert!(!disrupted(&faults, &submission(&[])));
    }
}
