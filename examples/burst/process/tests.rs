//! The process against what the built function was seen to do.

use super::*;
use crate::agenda::start;
use crate::flexorch::{Refusal, Verdict, response_of};
use crate::scenario::Shape;
use crate::scenario::tests::scenario;
use flexorch_s3_ingester::model::outcome::Ledger;

fn process(rpm: u32) -> Process {
    let scenario = scenario(Shape::Queue, 1000, rpm * 2);
    Process::new(&scenario.function().unwrap(), Rc::new(scenario.secrets().unwrap()), start())
}

enum Next {
    Wake,
    Respond(RequestId, Verdict),
}

/// Runs one invocation with a batch of 1,000 whose requests take 200 ms; `verdict` decides about the request of that number.
/// Returns when the requests started, in hundredths of a second, and the outcomes.
fn starts(process: &mut Process, verdict: impl Fn(usize) -> Verdict) -> (Vec<u64>, Vec<Outcome>) {
    let (mut now, mut starts, mut ahead, mut ledger) = (start(), Vec::new(), Vec::new(), Ledger::new(1000));
    let objects: Vec<u32> = (0..1000).collect();
    let mut steps = process.begin(&objects, &scenario(Shape::Queue, 1000, 60), now + Duration::from_secs(27), now);
    loop {
        for step in steps {
            match step {
                Step::Wake(time) => ahead.push((time, Next::Wake)),
                Step::Send(request, _) => {
                    let responds = now + Duration::from_millis(200);
                    ahead.push((responds, Next::Respond(request, verdict(starts.len()))));
                    starts.push(u64::try_from(now.duration_since(start()).unwrap().as_millis() / 10).unwrap());
                }
                Step::Settle(settled) => {
                    settled.into_iter().for_each(|(object, outcome)| ledger.settle(object, outcome))
                }
            }
        }
        ahead.sort_by_key(|(time, _)| *time);
        if ahead.is_empty() {
            return (starts, ledger.close());
        }
        let (time, next) = ahead.remove(0);
        now = time;
        steps = match next {
            Next::Wake if process.is_woken_at(now) => process.wake(now),
            Next::Wake => Vec::new(),
            Next::Respond(request, verdict) => {
                let keys = process.request(request).unwrap().objects.len();
                let response = response_of(verdict, keys, now);
                process.responded(request, response, Now { time: now, random: 0.5 })
            }
        };
    }
}

fn is_forwarded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Forwarded(_))
}

fn not_before(outcome: &Outcome) -> Option<SystemTime> {
    match outcome {
        Outcome::Deferred(deferral) => deferral.not_before,
        _ => None,
    }
}

#[test]
fn a_full_batch_is_sent_when_the_function_sends_it() {
    // Seen at `flexorch-s3 sandbox --latency 200ms`, with REQUESTS_PER_MINUTE=30 and a batch of 1,000 messages.
    let seen = [0, 0, 210, 420, 631, 841, 1051, 1262, 1472, 1682];
    let (starts, outcomes) = starts(&mut process(30), |_| Ok(()));
    assert_eq!(starts, seen);
    assert!(outcomes.iter().all(is_forwarded));
}

#[test]
fn after_a_429_whose_time_is_too_late_nothing_more_is_sent_and_the_rest_has_that_time() {
    // As the function did at the same sandbox on a plan of 3 requests a minute: the fourth is refused.
    let (starts, outcomes) =
        starts(&mut process(30), |request| if request < 3 { Ok(()) } else { Err(Refusal::rate_limited(56)) });
    assert_eq!(starts, [0, 0, 210, 420]);
    let (forwarded, left) = outcomes.split_at(300);
    assert!(forwarded.iter().all(is_forwarded));
    let named = start() + Duration::from_secs(56) + Duration::from_millis(4_200);
    assert_eq!(left.len(), 700);
    assert!(left.iter().all(|outcome| not_before(outcome).is_some_and(|time| time >= named)));
}

#[test]
fn what_the_rate_does_not_let_through_in_time_has_turns_one_after_another() {
    let (sent, outcomes) = starts(&mut process(6), |_| Ok(()));
    let turns: std::collections::BTreeSet<_> = outcomes.iter().filter_map(not_before).collect();
    assert!((3..10).contains(&sent.len()), "{sent:?}");
    assert_eq!(turns.len(), 10 - sent.len(), "a turn for each request that was not sent");
}
