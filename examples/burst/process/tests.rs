//! The process against what the function was seen to do.

use super::*;
use crate::agenda::start;
use crate::scenario::{Scenario, Shape};
use std::num::NonZeroU32;

fn process(rpm: u32) -> Process {
    let scenario = Scenario::new(Shape::Queue, 1000, NonZeroU32::new(rpm * 2).unwrap());
    Process::new(&scenario.function().unwrap())
}

/// Runs one invocation with a batch of 1,000 whose requests take 200 ms; `verdict` answers the request of that number.
/// Answers when the requests started, in hundredths of a second.
fn starts(process: &mut Process, verdict: impl Fn(usize) -> Verdict) -> Vec<u64> {
    let (mut now, mut starts, mut ahead) = (start(), Vec::new(), Vec::new());
    let mut steps = process.begin(1000, now + Duration::from_secs(27), now);
    loop {
        for step in steps {
            match step {
                Step::Wake(sender, time) => ahead.push((time, sender, None)),
                Step::Send(sender, _) => {
                    ahead.push((now + Duration::from_millis(200), sender, Some(verdict(starts.len()))));
                    starts.push(u64::try_from(now.duration_since(start()).unwrap().as_millis() / 10).unwrap());
                }
                Step::Took(_) => {}
            }
        }
        let Some(next) = ahead.iter().min_by_key(|(time, ..)| *time).copied() else { return starts };
        ahead.retain(|event| *event != next);
        let (time, sender, verdict) = next;
        now = time;
        steps = match verdict {
            Some(verdict) => process.ended(sender, Ended::Answered(verdict), now, 0.5),
            None => process.wake(sender, now),
        };
    }
}

#[test]
fn a_full_batch_is_sent_when_the_function_sends_it() {
    // Seen at `flexorch-s3 sandbox --latency 200ms`, with REQUESTS_PER_MINUTE=30 and a batch of 1,000 messages.
    let seen = [0, 0, 210, 420, 631, 841, 1051, 1262, 1472, 1682];
    let mut process = process(30);
    assert_eq!(starts(&mut process, |_| Ok(())), seen);
    assert!(process.fates().iter().all(|fate| *fate == Fate::Forwarded));
}

#[test]
fn after_a_429_whose_time_is_too_late_nothing_more_is_sent_and_the_rest_has_that_time() {
    // As the function did at the same sandbox on a plan of 3 requests a minute: the fourth is refused.
    let mut process = process(30);
    let starts = starts(&mut process, |request| if request < 3 { Ok(()) } else { Err(56) });
    assert_eq!(starts, [0, 0, 210, 420]);
    let (taken, left) = process.fates().split_at(300);
    assert!(taken.iter().all(|fate| *fate == Fate::Forwarded));
    let told = start() + Duration::from_secs(56) + Duration::from_millis(4_200);
    let later = |fate: &Fate| matches!(fate, Fate::Deferred(Some(time)) if *time >= told);
    assert!(left.len() == 700 && left.iter().all(later));
}

#[test]
fn what_the_rate_does_not_let_through_in_time_has_turns_one_after_another() {
    let mut process = process(6);
    let sent = starts(&mut process, |_| Ok(())).len();
    let turns: std::collections::BTreeSet<_> = process
        .fates()
        .iter()
        .filter_map(|fate| if let Fate::Deferred(Some(time)) = fate { Some(*time) } else { None })
        .collect();
    assert!((3..10).contains(&sent), "{sent}");
    assert_eq!(turns.len(), 10 - sent, "a turn for each request that was not sent");
}
