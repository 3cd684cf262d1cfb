use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use flexorch_s3_ingester::flexorch::response::Block;
use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(millis)
}

fn job(id: &str, status: Status) -> Job {
    Job { id: id.into(), status, quality_grade: None, pii_findings_count: None, failure_reason: None }
}

fn failed(status: u16) -> JobsResponse {
    let error = ApiError { status, code: None, message: "m".into() };
    JobsResponse::Failed(match status {
        401 => Response::Unauthorized(error),
        400 | 422 => Response::Refused(error),
        402..=404 => Response::Blocked { block: Block::NotAllowed, error, retry_at: None },
        _ => Response::Transient { error, rate_limited: status == 429, retry_at: None },
    })
}

fn page(jobs: impl IntoIterator<Item = Job>) -> JobsResponse {
    let jobs: Vec<_> = jobs.into_iter().collect();
    JobsResponse::Page(JobsPage { items: jobs.len(), jobs })
}

/// A FlexOrch in virtual time: what it responds to, and what it was asked.
struct Simulation<'a> {
    respond: &'a dyn Fn(&JobsRequest, usize) -> JobsResponse,
    rate: Option<u32>,
    seconds: u64,
    new_key: bool,
    first_page: u32,
}

#[derive(Debug)]
struct Result {
    asks: Vec<JobsRequest>,
    started: Vec<SystemTime>,
    ended: BTreeMap<String, bool>,
    open: Vec<String>,
    refreshes: usize,
    stop: Option<Stop>,
    left: usize,
    next_page: u32,
}

impl Simulation<'_> {
    /// FlexOrch responds after 100 ms each; the lane has this many seconds.
    fn run(&self, jobs: &[&str]) -> Result {
        let mut limiter = RateLimiter::new(self.rate.and_then(NonZeroU32::new), 2);
        let most_urgent_first = jobs.iter().map(|job| (*job).to_owned()).collect();
        let jobs = LaneJobs { most_urgent_first, is_all: true, first_page: self.first_page };
        let mut lane = Lane::new(jobs, at(self.seconds * 1_000));
        let (mut now, mut asks, mut started) = (at(0), Vec::new(), Vec::new());
        let (mut ended, mut open, mut refreshes) = (BTreeMap::new(), Vec::new(), 0);
        loop {
            assert!(asks.len() < 10_000, "it does not end");
            match lane.next(&mut limiter, now) {
                Step::Done => break,
                Step::Wait(until) => {
                    assert!(until > now, "it waits for the past");
                    now = until;
                }
                Step::Refresh => {
                    refreshes += 1;
                    lane.refreshed(self.new_key, ApiError::transport("refused"));
                }
                Step::Send(ask) => {
                    started.push(now);
                    now += Duration::from_millis(100);
                    let reply = (self.respond)(&ask, asks.len());
                    for finding in lane.received(&ask, reply, &mut limiter, now, 0.5) {
                        match finding {
                            Finding::Ended(end) => drop(ended.insert(end.job_id, end.completed)),
                            Finding::Open(job) => open.push(job),
                        }
                    }
                    asks.push(ask);
                }
            }
        }
        let (stop, left, next_page) = (lane.stop().cloned(), lane.left(), lane.next_page());
        Result { asks, started, ended, open, refreshes, stop, left, next_page }
    }
}

fn run(jobs: &[&str], respond: &dyn Fn(&JobsRequest, usize) -> JobsResponse) -> Result {
    Simulation { respond, rate: None, seconds: 60, new_key: false, first_page: 1 }.run(jobs)
}

/// Pages of a hundred completed jobs `j-1`, …, with `newer` other jobs before them; single jobs are completed too.
fn listed(jobs: usize, newer: usize) -> impl Fn(&JobsRequest, usize) -> JobsResponse {
    move |ask, _| match ask {
        JobsRequest::Job(id) => JobsResponse::Job(job(id, Status::Completed)),
        JobsRequest::Page(page) => {
            let all =
                (0..newer).map(|number| format!("n-{number}")).chain((0..jobs).map(|number| format!("j-{number}")));
            let page = all.skip((*page as usize - 1) * 100).take(100);
            self::page(page.map(|id| job(&id, Status::Completed)))
        }
    }
}

fn names(jobs: usize) -> Vec<String> {
    (0..jobs).map(|number| format!("j-{number}")).collect()
}

#[test]
fn without_jobs_there_is_no_request_and_a_single_one_is_asked_for_directly() {
    let none = run(&[], &|_, _| panic!("asked"));
    assert_eq!((none.asks, none.stop), (vec![], None));
    let single = run(&["j-0"], &listed(1, 0));
    assert_eq!(single.asks, [JobsRequest::Job("j-0".into())]);
    assert!(single.ended["j-0"]);
}

#[test]
fn a_page_answers_up_to_a_hundred_jobs() {
    let jobs = names(250);
    let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
    let result = run(&jobs, &listed(250, 0));
    assert_eq!(result.asks, [JobsRequest::Page(1), JobsRequest::Page(2), JobsRequest::Page(3)]);
    assert_eq!((result.ended.len(), result.left), (250, 0));
}

#[test]
fn pages_of_other_jobs_are_passed_over_while_that_pays() {
    let jobs = names(250);
    let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
    let result = run(&jobs, &listed(250, 700));
    assert!(result.asks.len() <= 11, "{:?}", result.asks);
    assert_eq!(result.ended.len(), 250);
    let few = run(&jobs[..3], &listed(3, 700));
    assert_eq!(few.asks[0], JobsRequest::Page(1));
    assert_eq!((few.asks.len(), few.ended.len()), (4, 3), "then each is asked for");
}

#[test]
fn a_list_that_repeats_itself_or_is_not_there_is_not_needed() {
    let repeating = |ask: &JobsRequest, _: usize| match ask {
        JobsRequest::Page(_) => page((0..100).map(|number| job(&format!("j-{number}"), Status::Completed))),
        JobsRequest::Job(id) => JobsResponse::Job(job(id, Status::Completed)),
    };
    let jobs = names(103);
    let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
    assert_eq!(run(&jobs, &repeating).asks.len(), 3 + 3);
    for status in [404, 422, 500] {
        let result = run(&["a", "b", "c"], &|ask, _| match ask {
            JobsRequest::Page(_) => failed(status),
            JobsRequest::Job(id) => JobsResponse::Job(job(id, Status::Failed)),
        });
        assert_eq!((result.ended.len(), result.stop), (3, None), "{status}");
    }
}

#[test]
fn a_running_job_on_a_page_is_not_asked_for_again_and_an_unknown_one_stays_open() {
    let result = run(&["a", "b", "c"], &|ask, _| match ask {
        JobsRequest::Page(_) => page([job("a", Status::Open), job("b", Status::Failed)]),
        JobsRequest::Job(_) => JobsResponse::Unknown,
    });
    assert_eq!(result.asks, [JobsRequest::Page(1), JobsRequest::Job("c".into())]);
    assert_eq!((result.open, result.ended), (vec!["a".into(), "c".into()], BTreeMap::from([("b".into(), false)])));
}

#[test]
fn a_refused_key_fetches_the_secret_afresh_once() {
    let old_key = run(&["a", "b"], &|_, _| failed(401));
    assert_eq!((old_key.asks.len(), old_key.refreshes), (1, 1));
    assert!(matches!(old_key.stop, Some(Stop::Refused(_))));
    let respond = |ask: &JobsRequest, asked: usize| if asked == 0 { failed(401) } else { listed(2, 0)(ask, asked) };
    let new_key =
        Simulation { respond: &respond, rate: None, seconds: 60, new_key: true, first_page: 1 }.run(&["j-0", "j-1"]);
    assert_eq!((new_key.ended.len(), new_key.refreshes, new_key.stop), (2, 1, None));
    let always =
        Simulation { respond: &|_, _| failed(401), rate: None, seconds: 60, new_key: true, first_page: 1 }.run(&["a"]);
    assert_eq!((always.asks.len(), always.refreshes), (2, 1));
}

#[test]
fn a_block_stops_the_lane_after_one_request() {
    for status in [402, 403] {
        let result = run(&["a", "b", "c"], &|_, _| failed(status));
        assert_eq!((result.asks.len(), result.left), (1, 3), "{status}");
        assert!(matches!(result.stop, Some(Stop::Refused(_))));
    }
}

#[test]
fn a_job_that_alone_is_blocked_is_asked_for_last_in_the_next_sweep() {
    let respond = |ask: &JobsRequest, _: usize| match ask {
        JobsRequest::Page(_) => failed(404),
        JobsRequest::Job(_) => failed(403),
    };
    let result = run(&["a", "b", "c"], &respond);
    assert_eq!((result.open, result.left), (vec!["a".to_owned()], 2));
    assert!(matches!(result.stop, Some(Stop::Refused(_))));
}

/// Eight hundred running jobs are newer than a hundred that have ended, and a sweep has time for seven requests.
#[test]
fn jobs_behind_more_pages_than_a_sweep_can_read_are_reached_by_the_next_one() {
    let ids: Vec<_> = (0..900).map(|number| format!("j-{number:03}")).collect();
    let status = |id: &str| if *id < *"j-100" { Status::Completed } else { Status::Open };
    let newest_first = |ask: &JobsRequest, _: usize| match ask {
        JobsRequest::Job(id) => JobsResponse::Job(job(id, status(id))),
        JobsRequest::Page(page) => {
            let page = ids.iter().rev().skip((*page as usize - 1) * 100).take(100);
            self::page(page.map(|id| job(id, status(id))))
        }
    };
    let sweep = |jobs: &[&str], first_page| {
        Simulation { respond: &newest_first, rate: Some(60), seconds: 6, new_key: false, first_page }.run(jobs)
    };
    let oldest_first: Vec<_> = ids.iter().map(String::as_str).collect();
    let first = sweep(&oldest_first, 1);
    assert!(first.ended.is_empty() && first.next_page > 5, "{first:?}");
    let mut most_urgent_first: Vec<_> = oldest_first.clone();
    most_urgent_first.retain(|id| !first.open.iter().any(|open| open == id));
    most_urgent_first.extend(first.open.iter().map(String::as_str));
    let second = sweep(&most_urgent_first, first.next_page);
    assert_eq!(second.asks[0], JobsRequest::Job("j-000".into()), "the most urgent, whatever the list shows");
    assert_eq!(second.asks[1], JobsRequest::Page(first.next_page));
    assert_eq!(second.ended.len(), 100, "{:?}", second.asks);
}

#[test]
fn a_failure_is_tried_again_and_an_outage_costs_few_requests() {
    let respond = |ask: &JobsRequest, asked: usize| if asked < 3 { failed(503) } else { listed(1, 0)(ask, asked) };
    assert_eq!(run(&["j-0"], &respond).ended.len(), 1);
    let outage = run(&["a", "b", "c", "d", "e"], &|_, _| failed(503));
    assert_eq!(outage.asks.len(), 8);
    assert!(matches!(outage.stop, Some(Stop::Unavailable(_))));
}

#[test]
fn a_job_that_always_fails_does_not_hold_up_the_others() {
    let result = run(&["bad", "a", "b"], &|ask, _| match ask {
        JobsRequest::Page(_) => failed(404),
        JobsRequest::Job(id) if id == "bad" => failed(500),
        JobsRequest::Job(id) => JobsResponse::Job(job(id, Status::Completed)),
    });
    assert_eq!((result.ended.len(), result.open), (2, vec!["bad".to_owned()]));
}

#[test]
fn a_job_that_always_fails_beside_a_list_that_always_fails_is_asked_for_last_in_the_next_sweep() {
    let respond = |ask: &JobsRequest, _: usize| match ask {
        JobsRequest::Job(id) if id != "bad" => JobsResponse::Job(job(id, Status::Completed)),
        _ => failed(500),
    };
    let first = run(&["bad", "a", "b"], &respond);
    assert_eq!((first.open, first.left), (vec!["bad".to_owned()], 2));
    let second = run(&["a", "b", "bad"], &respond);
    assert_eq!(second.ended.len(), 2);
}

#[test]
fn a_long_list_is_read_although_single_jobs_cannot_be_asked_for() {
    let respond = |ask: &JobsRequest, asked: usize| match ask {
        JobsRequest::Job(_) => failed(500),
        JobsRequest::Page(_) => listed(250, 0)(ask, asked),
    };
    let jobs = names(250);
    let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
    let result = Simulation { respond: &respond, rate: None, seconds: 60, new_key: false, first_page: 2 }.run(&jobs);
    assert!(result.ended.len() > 240, "{:?}", result.asks);
}

#[test]
fn a_429_waits_for_the_named_time_if_it_fits_and_stops_if_it_does_not() {
    let limited = |seconds: u64| {
        move |ask: &JobsRequest, asked: usize| match asked {
            0 => JobsResponse::Failed(Response::Transient {
                error: ApiError { status: 429, code: None, message: "m".into() },
                rate_limited: true,
                retry_at: Some(at(seconds * 1_000)),
            }),
            _ => listed(1, 0)(ask, asked),
        }
    };
    let waited = run(&["j-0"], &limited(30));
    assert_eq!((waited.ended.len(), waited.started[1]), (1, at(30_000)));
    let stopped = run(&["j-0"], &limited(90));
    assert_eq!((stopped.asks.len(), stopped.stop), (1, Some(Stop::NoTime)));
}

proptest! {
    /// Whatever FlexOrch responds, the lane ends in time and within the rate, and every job is ended, open or left.
    #[test]
    fn every_job_is_accounted_for_in_time_and_within_the_rate(
        jobs in 0usize..40,
        rate in proptest::option::of(1u32..200),
        seconds in 1u64..120,
        new_key in any::<bool>(),
        first_page in 1u32..4,
        replies in proptest::collection::vec(0u8..10, 1..30),
    ) {
        let respond = |ask: &JobsRequest, asked: usize| match (replies[asked % replies.len()], ask) {
            (0, _) => failed(503),
            (1, _) => failed(429),
            (2, _) => failed(401),
            (3, _) => failed(422),
            (4, JobsRequest::Job(_)) => JobsResponse::Unknown,
            (5, JobsRequest::Job(id)) => JobsResponse::Job(job(id, Status::Open)),
            (4 | 5, JobsRequest::Page(_)) => page([]),
            (6, _) => failed(403),
            (_, ask) => listed(30, 0)(ask, asked),
        };
        let jobs = names(jobs);
        let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
        let result = Simulation { respond: &respond, rate, seconds, new_key, first_page }.run(&jobs);
        prop_assert_eq!(result.ended.len() + result.open.len() + result.left, jobs.len());
        prop_assert!(result.left == 0 || result.stop.is_some());
        prop_assert!(result.refreshes <= 1);
        prop_assert!(result.started.iter().all(|start| *start < at(seconds * 1_000)));
        if let Some(rate) = rate {
            for (index, start) in result.started.iter().enumerate() {
                let end = *start + Duration::from_secs(60);
                let in_minute = result.started[index..].iter().take_while(|other| **other < end).count();
                prop_assert!(in_minute <= rate as usize);
            }
        }
    }
}
