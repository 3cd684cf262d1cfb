use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::flexorch::key_results::{KeyResult, SubmissionResult};
use crate::flexorch::response::{ApiError, Block};
use crate::model::job_id::JobId;
use crate::model::outcome::DeferClass;

fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + milliseconds)
}

fn settings() -> Settings {
    Settings {
        max_keys_per_request: NonZeroUsize::new(100).unwrap(),
        max_concurrent_requests: NonZeroUsize::new(2).unwrap(),
        requests_per_minute: None,
        max_attempts: NonZeroU32::new(4).unwrap(),
        request_timeout: Duration::from_secs(10),
    }
}

fn keys(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn connector(secret: &str, json: &str) -> Arc<Connector> {
    Arc::new(Connector::from_secret(secret, json).unwrap())
}

fn docs() -> Arc<Connector> {
    connector("docs", r#"{"api_key":"dfx_a","connector_id":1,"bucket":"b"}"#)
}

fn work(connector: Arc<Connector>, objects: std::ops::Range<usize>) -> Work {
    Work { connector, objects: objects.collect(), redelivered: Vec::new() }
}

fn accepted(objects: usize) -> Response {
    let per_key = vec![KeyResult::Accepted { job_id: None, duplicate: false }; objects];
    Response::Accepted(SubmissionResult { per_key, note: None })
}

fn error(status: u16, code: Option<&str>) -> ApiError {
    ApiError { status, code: code.map(str::to_owned), message: "said".into() }
}

fn transient(status: u16) -> Response {
    Response::Transient { error: error(status, None), rate_limited: status == 429, retry_at: None }
}

fn blocked(block: Block, status: u16) -> Response {
    Response::Blocked { block, error: error(status, None), retry_at: None }
}

/// A process whose FlexOrch is a function, in virtual time.
struct World {
    settings: Settings,
    memory: Memory,
    now: SystemTime,
    /// Every request: when it was sent, with which API key, and its objects.
    sent: Vec<(SystemTime, ApiKey, Vec<usize>)>,
    most_in_flight: usize,
    auth_failures: usize,
    fetches: usize,
    latency: Duration,
    /// What the secret describes when it is fetched again.
    secret: Option<Arc<Connector>>,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            memory: Memory::default(),
            now: at(0),
            sent: Vec::new(),
            most_in_flight: 0,
            auth_failures: 0,
            fetches: 0,
            latency: Duration::from_millis(50),
            secret: None,
        }
    }

    /// Runs an invocation of 30 seconds and returns each object's outcome.
    fn run(&mut self, work: Vec<Work>, respond: impl FnMut(&Request) -> Response) -> BTreeMap<usize, Outcome> {
        self.run_for(Duration::from_secs(30), work, respond)
    }

    fn run_for(
        &mut self,
        time: Duration,
        work: Vec<Work>,
        mut respond: impl FnMut(&Request) -> Response,
    ) -> BTreeMap<usize, Outcome> {
        let end = self.now + time;
        let mut session = Session::new(self.settings, work, end, &self.memory, self.now);
        let mut in_flight: Vec<(SystemTime, RequestId, Response)> = Vec::new();
        let mut outcomes = BTreeMap::new();
        loop {
            match session.next(&mut self.memory, self.now) {
                Step::Done => break,
                Step::Settle(settled) => {
                    for (object, outcome) in settled {
                        assert!(outcomes.insert(object, outcome).is_none(), "object {object} is settled twice");
                    }
                }
                Step::Note(Note::AuthFailure) => self.auth_failures += 1,
                Step::Note(Note::SmallerRequests { .. }) => {}
                Step::Send(request) => {
                    assert!(self.now < end, "a request starts after the end");
                    assert!(self.now + request.timeout <= end, "a request may last beyond the end");
                    self.sent.push((self.now, request.connector.api_key.clone(), request.objects.clone()));
                    let took = self.latency.min(request.timeout);
                    in_flight.push((self.now + took, request.id, respond(&request)));
                    self.most_in_flight = self.most_in_flight.max(in_flight.len());
                }
                Step::Refresh(lane, used) => {
                    self.fetches += 1;
                    let refreshed = Refreshed::Current(self.secret.clone().unwrap_or(used));
                    session.refreshed(lane, refreshed, &mut self.memory, self.now);
                }
                Step::Wait(until) => {
                    in_flight.sort_by_key(|(ends, id, _)| (*ends, *id));
                    let next = in_flight.first().map(|(ends, ..)| *ends);
                    if let Some(ends) = next.filter(|ends| until.is_none_or(|until| *ends <= until)) {
                        let (_, id, response) = in_flight.remove(0);
                        self.now = self.now.max(ends);
                        session.responded(id, response, &mut self.memory, Now { time: self.now, random: 0.5 });
                    } else {
                        let until = until.expect("nothing in flight, and nothing to wait for");
                        assert!(until > self.now, "a wait that is over");
                        self.now = until;
                    }
                }
            }
        }
        assert!(in_flight.is_empty(), "the session ends with requests in flight");
        assert_eq!(self.memory.in_flight, 0);
        outcomes
    }
}

fn forwarded(outcomes: &BTreeMap<usize, Outcome>) -> usize {
    outcomes.values().filter(|outcome| matches!(outcome, Outcome::Forwarded(_))).count()
}

fn rejected(outcomes: &BTreeMap<usize, Outcome>) -> usize {
    outcomes.values().filter(|outcome| matches!(outcome, Outcome::Rejected(_))).count()
}

fn class_of(outcome: &Outcome) -> Option<DeferClass> {
    match outcome {
        Outcome::Deferred(deferral) => Some(deferral.class),
        _ => None,
    }
}

fn classes(outcomes: &BTreeMap<usize, Outcome>) -> Vec<DeferClass> {
    let mut classes: Vec<_> = outcomes.values().filter_map(class_of).collect();
    classes.sort();
    classes.dedup();
    classes
}

#[test]
fn as_few_requests_as_possible_and_never_more_in_flight_than_allowed() {
    let mut world = World::new(settings());
    let outcomes = world.run(vec![work(docs(), 0..950)], |request| accepted(request.objects.len()));
    assert_eq!((forwarded(&outcomes), world.sent.len(), world.most_in_flight), (950, 10, 2));
}

#[test]
fn a_tenth_of_unsupported_files_holds_none_of_the_others_back() {
    let mut world = World::new(settings());
    let outcomes = world.run(vec![work(docs(), 0..1000)], |request| {
        if request.objects.iter().any(|object| object % 10 == 3) {
            Response::Refused(error(415, Some("UNSUPPORTED_FILE")))
        } else {
            accepted(request.objects.len())
        }
    });
    assert_eq!((forwarded(&outcomes), rejected(&outcomes)), (900, 100));
}

#[test]
fn a_request_form_that_is_always_refused_costs_few_requests_and_rejects_nothing() {
    let mut world = World::new(settings());
    let outcomes = world.run(vec![work(docs(), 0..1000)], |_| Response::Refused(error(422, Some("VALIDATION_ERROR"))));
    assert_eq!(classes(&outcomes), [DeferClass::RequestRefused]);
    assert_eq!((outcomes.len(), world.sent.len()), (1000, 16));
}

#[test]
fn once_the_connector_has_accepted_a_key_refusals_never_stop_the_halving() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..1)], |_| accepted(1));
    let outcomes = world.run(vec![work(docs(), 0..100)], |_| Response::Refused(error(422, None)));
    assert_eq!(rejected(&outcomes), 100);
}

#[test]
fn what_was_accepted_with_one_connector_id_says_nothing_about_another() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..1)], |_| accepted(1));
    let moved = connector("docs", r#"{"api_key":"dfx_a","connector_id":2,"bucket":"b"}"#);
    let outcomes = world.run(vec![work(moved, 0..1)], |_| Response::Refused(error(422, None)));
    assert_eq!(classes(&outcomes), [DeferClass::RequestRefused]);
}

#[test]
fn one_key_that_fails_with_500_does_not_hold_its_neighbours_back() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..1)], |_| accepted(1));
    let fails = |request: &Request| {
        if request.objects.contains(&37) { transient(500) } else { accepted(request.objects.len()) }
    };
    let outcomes = world.run(vec![work(docs(), 0..100)], fails);
    assert_eq!(forwarded(&outcomes), 99);
    assert_eq!(class_of(&outcomes[&37]), Some(DeferClass::Unavailable));
    assert!(world.sent.len() <= 1 + 4 + 2 * 7, "{}", world.sent.len());
}

#[test]
fn before_anything_was_accepted_a_500_is_an_outage_unless_the_message_keeps_coming_back() {
    let fails =
        |request: &Request| if request.objects.contains(&3) { transient(500) } else { accepted(request.objects.len()) };
    let mut world = World::new(settings());
    assert_eq!(forwarded(&world.run(vec![work(docs(), 0..8)], fails)), 0);
    assert_eq!(world.sent.len(), 4);
    let mut world = World::new(settings());
    let often = Work { redelivered: vec![5], ..work(docs(), 0..8) };
    assert_eq!(forwarded(&world.run(vec![often], fails)), 7);
}

#[test]
fn an_outage_with_500_costs_few_requests_and_rejects_nothing() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..1)], |_| accepted(1));
    world.sent.clear();
    let outcomes = world.run(vec![work(docs(), 0..1000)], |_| transient(500));
    assert_eq!((outcomes.len(), classes(&outcomes)), (1000, vec![DeferClass::Unavailable]));
    assert!(world.sent.len() <= 2 * 4 + 14, "{}", world.sent.len());
}

#[test]
fn a_changed_api_key_is_used_immediately_and_is_no_failure() {
    let mut world = World::new(settings());
    world.secret = Some(connector("docs", r#"{"api_key":"dfx_b","connector_id":1,"bucket":"b"}"#));
    let outcomes = world.run(vec![work(docs(), 0..250)], |request| {
        if request.connector.api_key.expose() == "dfx_a" {
            Response::Unauthorized(error(401, None))
        } else {
            accepted(request.objects.len())
        }
    });
    assert_eq!((forwarded(&outcomes), world.fetches, world.auth_failures), (250, 1, 0));
}

#[test]
fn a_key_that_is_refused_again_is_one_failure_and_blocks_the_connector() {
    for secret in [None, Some(connector("docs", r#"{"api_key":"dfx_b","connector_id":1,"bucket":"b"}"#))] {
        let mut world = World::new(settings());
        world.secret = secret;
        let outcomes = world.run(vec![work(docs(), 0..950)], |_| Response::Unauthorized(error(401, None)));
        assert_eq!((outcomes.len(), classes(&outcomes)), (950, vec![DeferClass::BadCredentials]));
        assert_eq!((world.fetches, world.auth_failures), (1, 1));
        assert!(world.sent.len() <= 4, "{}", world.sent.len());
    }
}

#[test]
fn a_key_is_never_sent_to_the_connector_that_the_secret_describes_after_a_401_or_404() {
    for (changed, response) in [
        (r#"{"api_key":"dfx_b","connector_id":2,"bucket":"b"}"#, Response::Unauthorized(error(401, None))),
        (r#"{"api_key":"dfx_b","connector_id":1,"bucket":"other"}"#, Response::Unauthorized(error(401, None))),
        (
            r#"{"api_key":"dfx_b","connector_id":1,"bucket":"b","prefix":"p/"}"#,
            Response::Unauthorized(error(401, None)),
        ),
        (r#"{"api_key":"dfx_a","connector_id":2,"bucket":"b"}"#, blocked(Block::ConnectorNotFound, 404)),
    ] {
        let mut world = World::new(settings());
        world.secret = Some(connector("docs", changed));
        let outcomes = world.run(vec![work(docs(), 0..350)], |_| response.clone());
        assert_eq!((outcomes.len(), classes(&outcomes)), (350, vec![DeferClass::ConnectorChanged]));
        assert!(world.sent.iter().all(|(_, key, _)| key.expose() == "dfx_a"));
        assert_eq!(world.auth_failures, 0);
        // Nothing is blocked: objects that are routed again are sent.
        let fresh = world.secret.clone().unwrap();
        assert_eq!(forwarded(&world.run(vec![work(fresh, 0..1)], |_| accepted(1))), 1);
    }
}

#[test]
fn a_connector_that_was_paused_in_the_meantime_gets_no_request() {
    let mut world = World::new(settings());
    world.secret =
        Some(connector("docs", r#"{"api_key":"dfx_b","connector_id":1,"bucket":"b","paused":"until Monday"}"#));
    let outcomes = world.run(vec![work(docs(), 0..350)], |_| Response::Unauthorized(error(401, None)));
    assert_eq!((outcomes.len(), classes(&outcomes)), (350, vec![DeferClass::Paused]));
    assert!(world.sent.iter().all(|(_, key, _)| key.expose() == "dfx_a"));
}

#[test]
fn a_blocked_connector_is_asked_once_in_an_invocation_and_then_once_a_minute() {
    for response in [
        blocked(Block::Quota, 429),
        blocked(Block::NotAllowed, 402),
        blocked(Block::ConnectorNotFound, 404),
        blocked(Block::Redirect, 302),
    ] {
        let mut world = World::new(Settings { max_concurrent_requests: keys(1), ..settings() });
        let run = |world: &mut World| world.run(vec![work(docs(), 0..500)], |_| response.clone()).len();
        assert_eq!(run(&mut world), 500);
        assert_eq!(world.sent.len(), 1, "{response:?}");
        world.now = at(30_000);
        assert_eq!(run(&mut world), 500);
        assert_eq!(world.sent.len(), 1);
        world.now = at(61_000);
        assert_eq!(run(&mut world), 500);
        assert_eq!(run(&mut world), 500);
        assert_eq!(world.sent.len(), 2);
    }
}

#[test]
fn after_a_successful_probe_the_invocation_goes_on() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..500)], |_| blocked(Block::Quota, 429));
    world.now = at(61_000);
    let outcomes = world.run(vec![work(docs(), 0..500)], |request| accepted(request.objects.len()));
    assert_eq!(forwarded(&outcomes), 500);
}

#[test]
fn a_probe_that_fails_is_not_repeated_within_the_minute() {
    let mut world = World::new(settings());
    world.run(vec![work(docs(), 0..500)], |_| blocked(Block::Quota, 429));
    let before = world.sent.len();
    world.now = at(61_000);
    let outcomes = world.run(vec![work(docs(), 0..500)], |_| transient(503));
    assert_eq!((outcomes.len(), world.sent.len()), (500, before + 1));
    assert_eq!(classes(&outcomes), [DeferClass::Unavailable, DeferClass::QuotaExceeded]);
}

#[test]
fn a_failure_of_one_connector_does_not_stop_another() {
    let other = connector("other", r#"{"api_key":"dfx_o","connector_id":9,"bucket":"o"}"#);
    for response in [blocked(Block::Quota, 429), transient(503), transient(429), Response::Refused(error(400, None))] {
        let mut world = World::new(settings());
        let outcomes = world.run(vec![work(docs(), 0..200), work(Arc::clone(&other), 200..400)], |request| {
            if *request.connector.secret_id == *"docs" { response.clone() } else { accepted(request.objects.len()) }
        });
        assert_eq!((outcomes.len(), forwarded(&outcomes)), (400, 200), "{response:?}");
    }
}

#[test]
fn a_rate_limit_that_outlasts_the_invocation_defers_the_rest_without_a_request() {
    let mut world = World::new(settings());
    let named = at(90_000);
    let outcomes = world.run(vec![work(docs(), 0..500)], |_| Response::Transient {
        error: error(429, None),
        rate_limited: true,
        retry_at: Some(named),
    });
    assert_eq!((outcomes.len(), world.sent.len()), (500, 2));
    assert!(outcomes.values().all(|outcome| match outcome {
        Outcome::Deferred(deferral) => deferral.not_before == Some(named) && !deferral.attempts_exhausted,
        _ => false,
    }));
}

#[test]
fn a_deferral_says_whether_every_attempt_was_made() {
    let mut world = World::new(settings());
    let outcomes = world.run(vec![work(docs(), 0..1)], |_| transient(503));
    assert_eq!(world.sent.len(), 4);
    assert!(matches!(&outcomes[&0], Outcome::Deferred(deferral) if deferral.attempts_exhausted));
}

#[test]
fn requests_that_are_paced_beyond_the_deadline_are_deferred_until_their_turns() {
    let settings = Settings {
        requests_per_minute: NonZeroU32::new(6),
        max_concurrent_requests: keys(1),
        max_keys_per_request: keys(1),
        ..settings()
    };
    let mut world = World::new(settings);
    let outcomes =
        world.run_for(Duration::from_secs(5), vec![work(docs(), 0..4)], |request| accepted(request.objects.len()));
    assert_eq!((forwarded(&outcomes), classes(&outcomes)), (1, vec![DeferClass::Paced]));
    let mut turns: Vec<_> = outcomes
        .values()
        .filter_map(|outcome| match outcome {
            Outcome::Deferred(deferral) => deferral.not_before,
            _ => None,
        })
        .collect();
    turns.sort();
    turns.dedup();
    assert_eq!(turns.len(), 3, "each has a separate turn");
}

#[test]
fn a_session_that_is_stopped_sends_nothing_more_and_settles_everything() {
    let mut memory = Memory::default();
    let mut session = Session::new(settings(), vec![work(docs(), 0..500)], at(30_000), &memory, at(0));
    let Step::Send(request) = session.next(&mut memory, at(0)) else { panic!("a request") };
    session.stop();
    session.responded(request.id, accepted(100), &mut memory, Now { time: at(50), random: 0.5 });
    let mut settled = 0;
    loop {
        match session.next(&mut memory, at(50)) {
            Step::Settle(outcomes) => settled += outcomes.len(),
            Step::Done => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(settled, 500);
}

#[test]
fn a_session_that_is_abandoned_gives_its_slots_back() {
    let mut memory = Memory::default();
    let mut session = Session::new(settings(), vec![work(docs(), 0..500)], at(30_000), &memory, at(0));
    for _ in 0..2 {
        assert!(matches!(session.next(&mut memory, at(0)), Step::Send(_)));
    }
    assert!(matches!(session.next(&mut memory, at(0)), Step::Wait(_)));
    session.abandon(&mut memory);
    let mut other = Session::new(settings(), vec![work(docs(), 0..1)], at(30_000), &memory, at(0));
    assert!(matches!(other.next(&mut memory, at(0)), Step::Send(_)));
}

#[test]
fn sessions_that_share_a_process_share_its_slots() {
    let mut memory = Memory::default();
    let mut one = Session::new(settings(), vec![work(docs(), 0..500)], at(30_000), &memory, at(0));
    let mut other = Session::new(settings(), vec![work(docs(), 0..500)], at(30_000), &memory, at(0));
    let Step::Send(first) = one.next(&mut memory, at(0)) else { panic!("a request") };
    assert!(matches!(other.next(&mut memory, at(0)), Step::Send(_)));
    assert!(matches!(one.next(&mut memory, at(0)), Step::Wait(Some(_))));
    assert!(matches!(other.next(&mut memory, at(0)), Step::Wait(Some(_))));
    one.responded(first.id, accepted(100), &mut memory, Now { time: at(50), random: 0.5 });
    assert!(matches!(other.next(&mut memory, at(50)), Step::Send(_)));
}

/// Any response that FlexOrch may give.
fn any_response(kind: u8, request: &Request) -> Response {
    let objects = request.objects.len();
    match kind % 14 {
        0..=4 => accepted(objects),
        5 => Response::Refused(error(422, None)),
        6 => Response::Refused(error(415, Some("UNSUPPORTED_FILE"))),
        7 => transient(500),
        8 => transient(0),
        9 => transient(429),
        10 => blocked(Block::Quota, 429),
        11 => blocked(Block::ConnectorNotFound, 404),
        12 => Response::Unauthorized(error(401, None)),
        _ => {
            let results = [
                KeyResult::Accepted { job_id: Some(JobId::from("j".to_owned())), duplicate: true },
                KeyResult::Rejected { code: "X".into(), message: String::new() },
                KeyResult::NotNow { code: "QUOTA_EXCEEDED".into() },
                KeyResult::Unaccounted,
                KeyResult::Ambiguous,
            ];
            let per_key = (0..objects).map(|key| results[(key + usize::from(kind)) % results.len()].clone()).collect();
            Response::Accepted(SubmissionResult { per_key, note: None })
        }
    }
}

proptest! {
    /// Settled exactly once and nothing after the end are asserted by the world itself.
    #[test]
    fn whatever_flexorch_responds_every_object_is_settled_once_in_time_and_within_the_limits(
        objects in proptest::collection::vec(0usize..250, 1..4),
        concurrent in 1usize..6,
        per_minute in proptest::option::of(1u32..120),
        latency in 1u64..5_000,
        responses in proptest::collection::vec(any::<u8>(), 1..80),
        new_key in any::<bool>(),
        invocations in 1usize..4,
    ) {
        let limits = Settings {
            max_concurrent_requests: keys(concurrent),
            requests_per_minute: per_minute.and_then(NonZeroU32::new),
            ..settings()
        };
        let mut world = World::new(limits);
        world.latency = Duration::from_millis(latency);
        world.secret = new_key.then(|| connector("c0", r#"{"api_key":"dfx_new","connector_id":0,"bucket":"b0"}"#));
        let mut turn = 0;
        for _ in 0..invocations {
            let mut begin = 0;
            let lanes = objects.iter().enumerate().map(|(number, objects)| {
                let json = format!(r#"{{"api_key":"dfx_{number}","connector_id":{number},"bucket":"b{number}"}}"#);
                begin += objects;
                work(connector(&format!("c{number}"), &json), begin - objects..begin)
            }).collect();
            let outcomes = world.run(lanes, |request| {
                turn += 1;
                any_response(responses[turn % responses.len()], request)
            });
            prop_assert_eq!(outcomes.len(), objects.iter().sum::<usize>());
            world.now += Duration::from_secs(20);
        }
        prop_assert!(world.most_in_flight <= concurrent);
        if let Some(per_minute) = per_minute {
            for (index, (start, key, _)) in world.sent.iter().enumerate() {
                let end = *start + Duration::from_secs(60);
                let in_window = world.sent[index..].iter().filter(|(time, other, _)| *time < end && other == key).count();
                prop_assert!(in_window <= per_minute as usize, "{in_window} in a minute, {per_minute} allowed");
            }
        }
    }
}
