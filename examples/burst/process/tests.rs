//! The process against what the built function was seen to do.

use super::*;
use crate::agenda::start;
use crate::flexorch::{Verdict, response_of};
use crate::scenario::{Scenario, Shape};
use std::num::NonZeroU32;

fn process(rpm: u32) -> Process {
    let scenario = Scenario::new(Shape::Queue, 1000, NonZeroU32::new(rpm * 2).unwrap());
    Process::new(&scenario.function().unwrap(), Arc::new(scenario.connector().unwrap()))
}

enum Next {
    Wake,
    Respond(RequestId, Verdict),
}

/// Runs one invocation with a batch of 1,000 whose requests take 200 ms; `verdict` decides about the request of that number.
/// Returns when the requests started, in hundredths of a second.
fn starts(process: &mut Process, verdict: impl Fn(usize) -> Verdict) -> Vec<u64> {
    let (mut now, mut starts, mut ahead) = (start(), Vec::new(), Vec::new());
    let mut steps = process.begin(1000, now + Duration::from_secs(27), now);
    loop {
        for step in steps {
            match step {
                Step::Wake(time) => ahead.push((time, Next::Wake)),
                Step::Send(request, _) => {
                    let responds = now + Duration::from_millis(200);
                    ahead.push((responds, Next::Respond(request, verdict(starts.len()))));
                    starts.push(u64::try_from(now.duration_since(start()).unwrap().as_millis() / 10).unwrap());
                }
                Step::Forwarded(_) => {}
            }
        }
        ahead.sort_by_key(|(time, _)| *time);
        if ahead.is_empty() {
            return starts;
        }
        let (time, next) = ahead.remove(0);
        now = time;
        steps = match next {
            Next::Wake if process.is_woken_at(now) => process.wake(now),
            Next::Wake => Vec::new(),
            Next::Respond(request, verdict) => {
                let response = response_of(verdict, process.objects_of(request).len(), now);
                process.responded(request, response, Now { time: now, random: 0.5 })
            }
        };
    }
}

fn is_forwarded(outcome: &Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Forwarded(_)))
}

fn not_before(outcome: &Option<Outcome>) -> Option<SystemTime> {
    match outcome {
        Some(Outcome::Deferred(deferral)) => deferral.not_before,
        _ => None,
    }
}

#[test]
fn a_full_batch_is_sent_when_the_function_sends_it() {
    // Seen at `flexorch-s3 sandbox --latency 200ms`, with REQUESTS_PER_MINUTE=30 and a batch of 1,000 messages.
    let seen = [0, 0, 210, 420, 631, 841, 1051, 1262, 1472, 1682];
    let mut process = process(30);
    assert_eq!(starts(&mut process, |_| Ok(())), seen);
    assert!(process.outcomes().iter().all(is_forwarded));
}

#[test]
fn after_a_429_whose_time_is_too_late_nothing_more_is_sent_and_the_rest_has_that_time() {
    // As the function did at the same sandbox on a plan of 3 requests a minute: the fourth is refused.
    let mut process = process(30);
    let starts = starts(&mut process, |request| if request < 3 { Ok(()) } else { Err(56) });
    assert_eq!(starts, [0, 0, 210, 420]);
    let (forwarded, left) = process.outcomes().split_at(300);
    assert!(forwarded.iter().all(is_forwarded));
    let named = start() + Duration::from_secs(56) + Duration::from_millis(4_200);
    assert_eq!(left.len(), 700);
    assert!(left.iter().all(|outcome| not_before(outcome).is_some_and(|time| time >= named)));
}

#[test]
fn what_the_rate_does_not_let_through_in_time_has_turns_one_after_another() {
    let mut process = process(6);
    let sent = starts(&mut process, |_| Ok(())).len();
    let turns: std::collections::BTreeSet<_> = process.outcomes().iter().filter_map(not_before).collect();
    assert!((3..10).contains(&sent), "{sent}");
    assert_eq!(turns.len(), 10 - sent, "a turn for each request that was not sent");
}
