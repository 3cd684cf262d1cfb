//! What holds for every run.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use crate::report::Report;
use crate::scenario::{Scenario, Shape};
use crate::world::run;

fn scenario(shape: Shape, objects: u32, rpm: u32) -> Scenario {
    Scenario::new(shape, objects, NonZeroU32::new(rpm).unwrap())
}

fn figures(scenario: &Scenario) -> Report {
    run(scenario).unwrap()
}

#[test]
fn every_object_arrives_in_every_shape() {
    for shape in Shape::ALL {
        for (objects, rpm) in [(1, 60), (100, 1), (3_000, 60), (20_000, 600)] {
            let run = figures(&scenario(shape, objects, rpm));
            assert_eq!((run.forwarded, run.waiting, run.dead), (objects as usize, 0, 0), "{shape:?} {objects} {rpm}");
        }
    }
}

#[test]
fn no_minute_holds_more_than_the_plans_requests_in_the_queue_shape_and_none_is_refused() {
    for (objects, rpm, upload) in [(10_000, 60, 10), (10_000, 60, 0), (5_000, 30, 600), (50_000, 600, 1), (500, 4, 30)]
    {
        let run = figures(&Scenario { upload: Duration::from_secs(upload), ..scenario(Shape::Queue, objects, rpm) });
        assert!(run.busiest_minute <= rpm as usize, "{} in a minute of {rpm}", run.busiest_minute);
        assert_eq!((run.rate_limited, run.forwarded), (0, objects as usize));
    }
}

#[test]
fn ten_thousand_uploads_are_a_hundred_requests_and_take_about_two_minutes() {
    let run = figures(&scenario(Shape::Queue, 10_000, 60));
    assert_eq!(run.requests_taken, 100);
    assert!((90.0..=125.0).contains(&run.drained_seconds), "{}", run.drained_seconds);
}

#[test]
fn a_direct_burst_meets_429s_goes_through_the_retry_queue_and_takes_longer() {
    let (direct, queue) = (figures(&scenario(Shape::Direct, 10_000, 60)), figures(&scenario(Shape::Queue, 10_000, 60)));
    assert!(direct.rate_limited > 0 && direct.failed_notices > 0 && direct.batches > 0);
    assert!(direct.drained_seconds > queue.drained_seconds);
    assert!(direct.dollars.together > queue.dollars.together);
}

#[test]
fn a_few_direct_uploads_a_minute_are_a_request_each_and_reach_flexorch_at_once() {
    let run = figures(&Scenario { upload: Duration::from_secs(120), ..scenario(Shape::Direct, 60, 60) });
    assert_eq!((run.requests_taken, run.rate_limited, run.batches), (60, 0, 0));
    assert!(run.p90_lag_seconds < 3.0, "{}", run.p90_lag_seconds);
}

#[test]
fn reserved_concurrency_and_its_share_of_the_rate_keep_direct_within_the_plan() {
    let run =
        figures(&Scenario { concurrency: 4, process_rpm: NonZeroU32::new(15), ..scenario(Shape::Direct, 300, 60) });
    assert_eq!((run.rate_limited, run.batches, run.forwarded), (0, 0, 300));
    assert!(run.busiest_minute <= 60 && run.throttled > 0);
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
            serde_json::to_string(&(run.drained_seconds, run.rate_limited, run.gb_seconds)).unwrap(),
        )
    };
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn a_message_that_may_be_received_once_is_a_dead_letter_where_its_time_does_not_come() {
    let run = figures(&Scenario { max_receives: 1, ..scenario(Shape::Queue, 5_000, 4) });
    assert!(run.dead > 0 && run.forwarded > 0);
    assert_eq!(run.forwarded + run.dead, 5_000);
}

#[test]
fn where_flexorch_never_answers_in_time_everything_is_a_dead_letter_and_nothing_is_lost() {
    let slow = Duration::from_secs(60);
    for shape in Shape::ALL {
        let run = figures(&Scenario { latency: slow, max_receives: 3, ..scenario(shape, 500, 60) });
        assert_eq!((run.forwarded, run.waiting, run.dead), (0, 0, 500), "{shape:?}");
    }
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
            upload: Duration::from_secs(upload),
            latency: Duration::from_millis(latency),
            batch_size,
            processes,
            concurrency,
            max_receives,
            seed,
            ..scenario(shape, objects, rpm)
        });
        prop_assert_eq!(run.forwarded + run.dead, objects as usize);
        prop_assert_eq!(run.waiting, 0);
        prop_assert!(run.requests_taken <= run.invocations * objects as u64);
        prop_assert!(run.most_receives <= max_receives);
    }
}
