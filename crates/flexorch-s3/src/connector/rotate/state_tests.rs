use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn id(number: u32) -> ConnectorId {
    ConnectorId::from_json(&RawValue::from_string(number.to_string()).unwrap()).unwrap()
}

fn header(old_key: Option<&str>) -> Header {
    Header {
        secret: "arn".into(),
        user: "u".into(),
        flexorch_url: "f".into(),
        old_connector: id(42),
        old_key: old_key.map(str::to_owned),
        known_keys: vec!["OLD".into()],
        begun: at(0),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn terms() -> Terms {
    Terms { test_for: Duration::from_secs(30), drain: Duration::from_secs(360), secret_has_credentials: false }
}

/// When a process dies at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    /// Before the request has an effect.
    Before,
    /// After its effect, and before the journal says so.
    After,
    /// After the result is recorded.
    Recorded,
}

/// AWS and FlexOrch, as far as a rotation sees them. It makes the steps as `steps` does.
#[derive(Debug)]
struct World {
    keys: BTreeMap<String, Timestamp>,
    /// The connectors, with their names and keys.
    connectors: BTreeMap<u32, (String, String)>,
    named: u32,
    /// Until when functions use connector 42.
    old_in_use_until: Timestamp,
    made: u32,
    now: Timestamp,
    journal: Vec<Line>,
    access_is_denied: bool,
}

impl World {
    fn new() -> Self {
        Self {
            keys: BTreeMap::from([("OLD".to_owned(), at(-1_000_000))]),
            connectors: BTreeMap::from([(42, ("docs".to_owned(), "OLD".to_owned()))]),
            named: 42,
            old_in_use_until: Timestamp::MAX,
            made: 0,
            now: at(1),
            journal: Vec::new(),
            access_is_denied: false,
        }
    }

    fn works(&self, connector: u32) -> bool {
        self.connectors.get(&connector).is_some_and(|(_, key)| self.keys.contains_key(key))
    }

    #[track_caller]
    fn check(&self) {
        assert!(self.works(self.named), "the secret names a connector that does not work: {self:#?}");
        assert!(self.works(42) || self.now >= self.old_in_use_until, "connector 42 is still in use: {self:#?}");
        assert!(self.keys.len() <= 2, "{self:#?}");
    }

    /// Runs a process to its end, or to its death in the step of this number. Returns the last step.
    fn process(&mut self, header: &Header, terms: Terms, death: Option<(usize, Death)>) -> Option<Step> {
        let (mut progress, mut memory) = (Progress::default(), Memory::default());
        self.journal.iter().cloned().for_each(|line| progress.apply(line));
        if progress.written.is_none() && progress.connector == Some(id(self.named)) {
            self.record(&mut progress, Line::SecretWritten { at: self.now });
        }
        for number in 0..100 {
            self.now = later(self.now, Duration::from_secs(1));
            let step = progress.next(header, terms, &memory, self.now);
            if matches!(step, Step::Finish | Step::Fail { .. }) {
                return Some(step);
            }
            let death = death.filter(|(at, _)| *at == number).map(|(_, death)| death);
            self.make(step, header, &mut progress, &mut memory, death);
            self.check();
            if death.is_some() {
                return None;
            }
        }
        panic!("no end: {self:#?}");
    }

    fn record(&mut self, progress: &mut Progress, line: Line) {
        self.journal.push(line.clone());
        progress.apply(line);
    }

    fn make(
        &mut self,
        step: Step,
        header: &Header,
        progress: &mut Progress,
        memory: &mut Memory,
        death: Option<Death>,
    ) {
        let number = |id: &ConnectorId| id.to_string().parse::<u32>().unwrap();
        let (has_effect, is_recorded) = (death != Some(Death::Before), matches!(death, None | Some(Death::Recorded)));
        let mut line = None;
        match step {
            Step::FindLostKeys => {
                let lost = self.keys.iter().find(|(key, created)| progress.is_lost(header, key, Some(**created)));
                match lost.map(|(key, _)| key.clone()) {
                    Some(access_key_id) => {
                        if has_effect {
                            self.keys.remove(&access_key_id);
                        }
                        line = Some(Line::LostKeyDeleted { access_key_id });
                    }
                    None if progress.written.is_none() => memory.searched = true,
                    None => memory.searched_again = true,
                }
            }
            Step::CreateKey => {
                self.record(progress, Line::KeyRequested { at: self.now });
                self.made += 1;
                let access_key_id = format!("NEW{}", self.made);
                if has_effect {
                    self.keys.insert(access_key_id.clone(), self.now);
                    memory.holds_secret = true;
                }
                line = Some(Line::KeyCreated { access_key_id });
            }
            Step::FindConnector { name } => {
                let found = self.connectors.iter().find(|(_, (there, _))| *there == name);
                line =
                    Some(found.map_or(Line::ConnectorAbsent, |(number, _)| Line::ConnectorCreated { id: id(*number) }));
            }
            Step::CreateConnector { key } => {
                assert!(memory.holds_secret, "a connector needs the secret of its key");
                self.record(progress, Line::ConnectorRequested { name: key.clone() });
                self.made += 1;
                let new = 42 + self.made;
                if has_effect {
                    self.connectors.insert(new, (key.clone(), key));
                }
                line = Some(Line::ConnectorCreated { id: id(new) });
            }
            Step::Test { connector } => match self.works(number(&connector)) && !self.access_is_denied {
                true => memory.test = Testing::Passed,
                false => memory.test.failed("denied".into(), self.now),
            },
            Step::WaitToTest { until } | Step::Drain { until } => self.now = until,
            Step::GiveUp { message } => line = Some(Line::GivenUp { reason: message }),
            Step::WriteSecret { connector, .. } => {
                if has_effect {
                    self.named = number(&connector);
                    self.old_in_use_until = later(self.now, Duration::from_secs(360));
                }
                line = Some(Line::SecretWritten { at: self.now });
            }
            Step::DeleteOldConnector { .. } => {
                if has_effect {
                    self.connectors.remove(&42);
                }
                line = Some(Line::OldConnectorDeleted);
            }
            Step::DeleteOldKey { key } => {
                if has_effect {
                    self.keys.remove(&key);
                }
                line = Some(Line::OldKeyDeleted);
            }
            Step::DiscardConnector { connector } => {
                assert_ne!(self.named, number(&connector));
                if has_effect {
                    self.connectors.remove(&number(&connector));
                }
                line = Some(Line::ConnectorDeleted);
            }
            Step::DiscardKey { key } => {
                assert!(self.connectors.values().all(|(_, used)| *used != key), "a connector uses it");
                if has_effect {
                    self.keys.remove(&key);
                }
                line = Some(Line::KeyDeleted);
            }
            Step::Finish | Step::Fail { .. } => {}
        }
        if let Some(line) = line.filter(|_| is_recorded) {
            self.record(progress, line);
        }
    }
}

fn deaths() -> impl Strategy<Value = Vec<(usize, Death)>> {
    let death = prop_oneof![Just(Death::Before), Just(Death::After), Just(Death::Recorded)];
    proptest::collection::vec((0..10_usize, death), 0..6)
}

proptest! {
    #[test]
    fn however_often_it_dies_it_ends_with_one_working_connector_and_one_key(
        deaths in deaths(), secret_has_credentials: bool,
    ) {
        let (header, terms, mut world) = (header(Some("OLD")), Terms { secret_has_credentials, ..terms() }, World::new());
        for death in deaths {
            world.process(&header, terms, Some(death));
        }
        prop_assert_eq!(world.process(&header, terms, None), Some(Step::Finish));
        prop_assert_eq!(world.connectors.keys().collect::<Vec<_>>(), [&world.named]);
        prop_assert_ne!(world.named, 42);
        prop_assert_eq!(world.keys.len(), 1);
    }

    #[test]
    fn if_the_bucket_cannot_be_read_everything_that_was_created_is_deleted_again(deaths in deaths()) {
        let (header, mut world) = (header(Some("OLD")), World::new());
        world.access_is_denied = true;
        for death in deaths {
            world.process(&header, terms(), Some(death));
        }
        let reason = "denied".to_owned();
        prop_assert_eq!(world.process(&header, terms(), None), Some(Step::Fail { reason }));
        prop_assert_eq!(world.named, 42);
        prop_assert_eq!(world.connectors.into_keys().collect::<Vec<_>>(), [42]);
        prop_assert_eq!(world.keys.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from(["OLD".to_owned()]));
    }
}

#[test]
fn an_unknown_old_key_stays() {
    let (header, mut world) = (header(None), World::new());
    assert_eq!(world.process(&header, terms(), None), Some(Step::Finish));
    assert!(world.keys.len() == 2 && world.keys.contains_key("OLD"));
}

#[test]
fn a_failed_test_is_repeated_in_growing_intervals_and_not_for_ever() {
    let mut testing = Testing::NotTested;
    let (mut now, mut tests) = (at(0), Vec::new());
    let lines = [Line::KeyCreated { access_key_id: "NEW".into() }, Line::ConnectorCreated { id: id(43) }];
    let mut progress = Progress::default();
    lines.into_iter().for_each(|line| progress.apply(line));
    loop {
        let memory = Memory { holds_secret: true, test: testing.clone(), ..Memory::default() };
        match progress.next(&header(None), terms(), &memory, now) {
            Step::Test { .. } => {
                tests.push(now.as_second() - at(0).as_second());
                testing.failed("no".into(), now);
            }
            Step::WaitToTest { until } => now = until,
            step => break assert_eq!(step, Step::GiveUp { message: "no".into() }),
        }
    }
    assert_eq!(tests, [0, 1, 3, 7, 15, 23]);
}

#[test]
fn the_wait_is_counted_from_when_the_secret_was_written() {
    let mut progress = Progress::default();
    for line in [Line::ConnectorCreated { id: id(43) }, Line::SecretWritten { at: at(100) }] {
        progress.apply(line);
    }
    let next = |now| progress.next(&header(None), terms(), &Memory::default(), now);
    assert_eq!(next(at(459)), Step::Drain { until: at(460) });
    assert_eq!(next(at(460)), Step::DeleteOldConnector { new: id(43) });
}

#[test]
fn only_a_key_that_is_newer_than_an_unconfirmed_request_and_was_not_there_before_is_lost() {
    let mut progress = Progress::default();
    let is_lost = |progress: &Progress, key, created| progress.is_lost(&header(None), key, Some(created));
    assert!(!is_lost(&progress, "X", at(10)), "nothing was requested");
    progress.apply(Line::KeyRequested { at: at(1000) });
    assert!(is_lost(&progress, "X", at(1000)) && is_lost(&progress, "X", at(1000 - 300)));
    assert!(!is_lost(&progress, "X", at(1000 - 301)) && !is_lost(&progress, "OLD", at(1000)));
    assert!(!progress.is_lost(&header(None), "X", None));
    progress.apply(Line::KeyRefused);
    assert!(!is_lost(&progress, "X", at(1000)), "IAM refused");
}
