//! What holds for every run.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;

use crate::flexorch::FlexOrch;
use crate::report::Report;
use crate::scenario::tests::scenario;
use crate::scenario::{Scenario, Shape};
use crate::world::run;

fn figures(scenario: &Scenario) -> Report {
    run(scenario).unwrap()
}

#[test]
fn every_object_arrives_in_every_shape() {
    for shape in Shape::ALL {
        for (objects, rpm) in [(1, 60), (100, 1), (3_000, 60), (20_000, 600)] {
            let run = figures(&scenario(shape, objects, rpm));
            assert_eq!(
                (run.objects.forwarded, run.waiting, run.queue.dead),
                (objects as usize, 0, 0),
                "{shape:?} {objects} {rpm}"
            );
        }
    }
}

#[test]
fn no_minute_holds_more_than_the_plans_requests_in_the_queue_shape_and_none_is_refused() {
    for (objects, rpm, upload) in [(10_000, 60, 10), (10_000, 60, 0), (5_000, 30, 600), (50_000, 600, 1), (500, 4, 30)]
    {
        let run =
            figures(&Scenario { upload: Some(Duration::from_secs(upload)), ..scenario(Shape::Queue, objects, rpm) });
        assert!(run.busiest_minute <= rpm as usize, "{} in a minute of {rpm}", run.busiest_minute);
        assert_eq!((run.requests.rate_limited, run.objects.forwarded), (0, objects as usize));
    }
}

#[test]
fn ten_thousand_uploads_are_a_hundred_requests_and_take_about_two_minutes() {
    let run = figures(&scenario(Shape::Queue, 10_000, 60));
    assert_eq!(run.requests.taken, 100);
    assert!((90.0..=125.0).contains(&run.drained_seconds), "{}", run.drained_seconds);
}

#[test]
fn a_direct_burst_meets_429s_goes_through_the_retry_queue_and_takes_longer() {
    let (direct, queue) = (figures(&scenario(Shape::Direct, 10_000, 60)), figures(&scenario(Shape::Queue, 10_000, 60)));
    assert!(direct.requests.rate_limited > 0 && direct.objects.failed_notices > 0 && direct.lambda.batches > 0);
    assert!(direct.drained_seconds > queue.drained_seconds);
    assert!(direct.dollars.together > queue.dollars.together);
}

#[test]
fn a_few_direct_uploads_a_minute_are_a_request_each_and_reach_flexorch_at_once() {
    let run = figures(&Scenario { upload: Some(Duration::from_secs(120)), ..scenario(Shape::Direct, 60, 60) });
    assert_eq!((run.requests.taken, run.requests.rate_limited, run.lambda.batches), (60, 0, 0));
    assert!(run.p90_lag_seconds < 3.0, "{}", run.p90_lag_seconds);
}

#[test]
fn reserved_concurrency_and_its_share_of_the_rate_keep_direct_within_the_plan() {
    let run =
        figures(&Scenario { concurrency: 4, process_rpm: NonZeroU32::new(15), ..scenario(Shape::Direct, 300, 60) });
    assert_eq!((run.requests.rate_limited, run.lambda.batches, run.objects.forwarded), (0, 0, 300));
    assert!(run.busiest_minute <= 60 && run.lambda.throttled > 0);
}

#[test]
fn eventbridge_is_the_queue_shape_with_its_events_on_the_bill() {
    let (events, queue) =
        (figures(&scenario(Shape::EventBridge, 5_000, 60)), figures(&scenario(Shape::Queue, 5_000, 60)));
    assert_eq!(events.drained_seconds, queue.drained_seconds);
    let more = events.dollars.together - queue.dollars.together;
    assert!((more - 0.005).abs() < 1e-9, "{more}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let json = |seed| {
        let run = figures(&Scenario { seed, ..scenario(Shape::Direct, 2_000, 60) });
        // The scenario holds the seed.
        (
            run.waiting_over_time.clone(),
            serde_json::to_string(&(run.drained_seconds, run.requests.rate_limited, run.gb_seconds)).unwrap(),
        )
    };
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn a_message_that_may_be_received_once_is_a_dead_letter_where_its_time_does_not_come() {
    let run = figures(&Scenario { max_receives: 1, ..scenario(Shape::Queue, 5_000, 4) });
    assert!(run.queue.dead > 0 && run.objects.forwarded > 0);
    assert_eq!(run.objects.forwarded + run.queue.dead, 5_000);
}

#[test]
fn where_flexorch_never_answers_in_time_everything_is_a_dead_letter_and_nothing_is_lost() {
    let slow = Duration::from_secs(60);
    for shape in Shape::ALL {
        let run = figures(&Scenario { latency: slow, max_receives: 3, ..scenario(shape, 500, 60) });
        assert_eq!((run.objects.forwarded, run.waiting, run.queue.dead), (0, 0, 500), "{shape:?}");
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn days(days: u64) -> Duration {
    minutes(days * 24 * 60)
}

/// Checks that SQS gave no message up, refused no call, and that the function renewed before either limit.
fn assert_nothing_was_given_up(run: &Report) {
    assert_eq!((run.waiting, run.queue.dead, run.queue.expired, run.queue.refused), (0, 0, 0, 0), "{run:?}");
    // The renewal ages are 100 receives and 7 days; a message is hidden for 11.5 hours at most.
    assert!(run.queue.most_receives <= 100, "{}", run.queue.most_receives);
    assert!(run.queue.oldest <= days(7) + minutes(12 * 60), "{:?}", run.queue.oldest);
}

#[test]
fn a_month_without_credits_loses_nothing_and_leaves_no_dead_letter() {
    for (reset_named, copies) in [(false, 330..370), (true, 36..60)] {
        let batches = Scenario { batch_size: 4, ..scenario(Shape::Queue, 24, 60) };
        let run = figures(&Scenario { credits: NonZeroU32::new(12), reset_named, ..batches });
        assert_nothing_was_given_up(&run);
        assert_eq!((run.objects.forwarded, run.objects.rejected), (24, 0));
        let months = run.drained_seconds / days(30).as_secs_f64();
        assert!((1.0..1.1).contains(&months), "{months}");
        assert!(copies.contains(&run.queue.copies), "{}", run.queue.copies);
    }
}

#[test]
fn a_message_is_renewed_before_its_hundredth_receive_and_before_it_is_eight_days_old() {
    let credits = NonZeroU32::new(1);
    let waits = |reset_named| figures(&Scenario { credits, reset_named, ..scenario(Shape::Direct, 2, 60) });
    let (often, long) = (waits(false), waits(true));
    assert_nothing_was_given_up(&often);
    assert_nothing_was_given_up(&long);
    assert_eq!(often.queue.most_receives, 100, "every 15 minutes: the receives are the first limit");
    assert!(long.queue.most_receives < 20 && long.queue.oldest > days(7), "{long:?}");
}

#[test]
fn a_connector_that_is_refused_holds_no_other_and_is_probed_once_a_minute_and_process() {
    for status in [402, 404] {
        let outage = Scenario {
            connectors: 3,
            outage: Some(status),
            outage_for: minutes(60),
            ..scenario(Shape::Queue, 3_000, 60)
        };
        let run = figures(&outage);
        assert_nothing_was_given_up(&run);
        assert_eq!(run.objects.forwarded, 3_000);
        let [refused, others @ ..] = run.drained_seconds_by_connector.as_slice() else { panic!() };
        assert!(others.iter().all(|drained| *drained < 60.0), "{others:?}");
        // The messages return every 15 minutes in the end.
        assert!((3_600.0..4_800.0).contains(refused), "{refused}");
        // In flight when the first refusal arrives: two for each process; then a probe a minute.
        assert!((30..=2 * (2 + 60)).contains(&run.requests.refused), "{}", run.requests.refused);
    }
}

#[test]
fn connectors_with_an_api_key_each_have_a_plan_each_and_with_one_key_they_share_it() {
    let with = |same_key| figures(&Scenario { connectors: 4, same_key, ..scenario(Shape::Queue, 40_000, 60) });
    let (own, shared) = (with(false), with(true));
    for run in [&own, &shared] {
        assert_nothing_was_given_up(run);
        assert_eq!((run.objects.forwarded, run.requests.rate_limited), (40_000, 0));
        assert!(run.busiest_minute <= 60);
        let drained = &run.drained_seconds_by_connector;
        let (first, last) =
            (drained.iter().copied().fold(f64::MAX, f64::min), drained.iter().copied().fold(0.0, f64::max));
        assert!(last - first < 60.0, "{drained:?}");
    }
    assert!(own.drained_seconds * 2.0 < shared.drained_seconds);
}

#[test]
fn refused_files_are_found_by_halving_and_everything_else_is_forwarded() {
    for (unsupported_percent, rpm) in [(1, 6_000), (20, 6_000), (100, 6_000), (1, 60)] {
        let with_refused = Scenario { unsupported_percent, ..scenario(Shape::Queue, 2_000, rpm) };
        let unsupported = FlexOrch::new(&with_refused, Rc::new(with_refused.secrets().unwrap())).unsupported();
        let run = figures(&with_refused);
        assert_nothing_was_given_up(&run);
        assert_eq!((run.objects.rejected, run.objects.forwarded), (unsupported, 2_000 - unsupported));
        // To find one of 100 takes at most 2 × 7 requests, unless an invocation's time ends before.
        let requests = run.requests.taken + run.requests.refused;
        assert!(rpm == 60 || requests <= 20 + 14 * unsupported as u64, "{requests}");
    }
}

#[test]
fn an_api_key_that_is_replaced_during_a_burst_is_fetched_again_and_nothing_is_blocked() {
    let rotated = Scenario { rotate_key_after: Some(minutes(1)), ..scenario(Shape::Queue, 10_000, 60) };
    let run = figures(&rotated);
    assert_nothing_was_given_up(&run);
    assert_eq!((run.objects.forwarded, run.auth_failures), (10_000, 0));
    assert!((1..=4).contains(&run.requests.refused), "{}: at most those in flight", run.requests.refused);
    assert!((90.0..=130.0).contains(&run.drained_seconds), "{}", run.drained_seconds);
}

#[test]
fn an_hour_without_flexorch_in_the_direct_shape_loses_nothing() {
    let outage = Scenario { outage: Some(503), outage_for: minutes(60), ..scenario(Shape::Direct, 500, 60) };
    let run = figures(&outage);
    assert_nothing_was_given_up(&run);
    assert_eq!(run.objects.forwarded, 500);
}

#[test]
fn a_run_can_end_while_objects_wait() {
    let credits = NonZeroU32::new(10);
    let run = figures(&Scenario { credits, until: days(1), ..scenario(Shape::Queue, 40, 60) });
    assert_eq!((run.objects.forwarded, run.waiting, run.queue.dead + run.queue.expired), (10, 30, 0));
}

#[test]
fn the_documentation_shows_what_the_program_prints() {
    let runs: Vec<Report> = Shape::ALL.iter().map(|shape| figures(&scenario(*shape, 100_000, 60))).collect();
    let mut table = Vec::new();
    crate::words::side_by_side(&mut table, &runs).unwrap();
    let table = String::from_utf8(table).unwrap();
    let page = include_str!("../../docs/scaling.md");
    assert!(page.contains(&table), "docs/scaling.md is to show this table, and to be read again:\n{table}");
    let picture = include_str!("../../docs/scaling-burst.svg");
    assert!(picture == crate::plot::svg(&runs), "docs/scaling-burst.svg is to be drawn again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_the_deployment_every_object_is_forwarded_or_a_dead_letter(
        shape in prop::sample::select(Shape::ALL.to_vec()),
        objects in 1u32..600,
        rpm in 2u32..200,
        upload in 0u64..120,
        latency in 1u64..12_000,
        batch_size in 1usize..300,
        processes in 1u32..6,
        concurrency in 1usize..20,
        max_receives in 1u16..30,
        seed in any::<u64>(),
    ) {
        let run = figures(&Scenario {
            upload: Some(Duration::from_secs(upload)),
            latency: Duration::from_millis(latency),
            batch_size,
            processes,
            concurrency,
            max_receives,
            seed,
            ..scenario(shape, objects, rpm)
        });
        prop_assert_eq!(run.objects.forwarded + run.queue.dead, objects as usize);
        prop_assert_eq!(run.waiting, 0);
        prop_assert!(run.requests.taken <= run.lambda.invocations * objects as u64);
        prop_assert!(run.queue.most_receives <= max_receives);
    }
}
