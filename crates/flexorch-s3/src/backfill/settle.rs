//! Evaluates the outcomes of a chunk: what goes into the journal, what is sent again, and when. Pure.

use std::time::SystemTime;

use super::journal::{RejectedKey, Settled};
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::{DeferClass, Outcome};

/// What to do with the keys that are not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// There are none.
    Done,
    /// Send them again.
    Retry {
        /// Not before this time, if one was named.
        not_before: Option<SystemTime>,
        /// The failure affects other keys too.
        affects_all: bool,
        /// The failure.
        why: String,
    },
    /// The request was refused as a whole. Whether its keys are the cause is unknown until another request is accepted.
    Refused {
        /// FlexOrch's message.
        why: String,
    },
    /// Nothing more can be sent until someone acts.
    Stop {
        /// The failure, and what to do.
        why: String,
    },
}

/// What happened to some objects.
#[derive(Debug)]
pub(crate) struct SendResult {
    pub(crate) settled: Settled,
    pub(crate) open: Vec<S3Object>,
    pub(crate) next: NextStep,
    /// The settled keys whose receipts are sent, of a chunk that is sent for its receipts.
    pub(crate) receipted: Vec<String>,
}

/// Evaluates the outcomes of a chunk's objects, which are in the same order.
pub(crate) fn evaluate(objects: Vec<S3Object>, outcomes: Vec<Outcome>) -> SendResult {
    let (mut settled, mut open) = (Settled::default(), Vec::new());
    let mut next = NextStep::Done;
    for (object, outcome) in objects.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Forwarded(forwarded) => {
                settled.forwarded += 1;
                settled.duplicates += u64::from(forwarded.duplicate);
            }
            // Objects out of scope are not sent, so none is skipped.
            Outcome::Skipped(_) => {}
            Outcome::Rejected(rejection) => settled.rejected.push(RejectedKey {
                key: object.key.as_str().to_owned(),
                code: rejection.code,
                message: rejection.message,
            }),
            Outcome::Deferred(deferral) => {
                next = more_urgent(next, after(&deferral));
                settled.open.push(object.key.as_str().to_owned());
                open.push(object);
            }
        }
    }
    SendResult { settled, open, next, receipted: Vec::new() }
}

fn after(deferral: &flexorch_s3_ingester::model::outcome::Deferral) -> NextStep {
    let why = deferral.detail.to_string();
    match deferral.class {
        DeferClass::RequestRefused => NextStep::Refused { why },
        class if class.needs_operator() || class == DeferClass::Paused => {
            NextStep::Stop { why: format!("{why} ({})", class.remedy()) }
        }
        class => NextStep::Retry {
            not_before: deferral.not_before,
            affects_all: class != DeferClass::Unaccounted,
            why: format!("{}: {why}", class.as_str()),
        },
    }
}

pub(crate) fn more_urgent(one: NextStep, other: NextStep) -> NextStep {
    let weight = |next: &NextStep| match next {
        NextStep::Done => (0, None),
        NextStep::Refused { .. } => (1, None),
        NextStep::Retry { not_before, affects_all, .. } => (2 + u8::from(*affects_all), *not_before),
        NextStep::Stop { .. } => (4, None),
    };
    if weight(&other) > weight(&one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flexorch_s3_ingester::model::object::ObjectKey;
    use flexorch_s3_ingester::model::outcome::{Deferral, Forwarded, Rejection};
    use std::time::Duration;

    fn object(key: &str) -> S3Object {
        S3Object::new("b", ObjectKey::verbatim(key).unwrap())
    }

    fn deferred(class: DeferClass, seconds: Option<u64>) -> Outcome {
        let not_before = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Outcome::Deferred(Deferral {
            class,
            detail: "seen".into(),
            code: None,
            connector: None,
            not_before,
            attempts_exhausted: false,
        })
    }

    fn next_of(outcomes: Vec<Outcome>) -> NextStep {
        let objects = (0..outcomes.len()).map(|number| object(&number.to_string())).collect();
        evaluate(objects, outcomes).next
    }

    #[test]
    fn every_object_is_forwarded_rejected_or_open() {
        let outcomes = vec![
            Outcome::Forwarded(Forwarded { connector: "c".into(), job_id: None, duplicate: true }),
            Outcome::Rejected(Rejection { connector: None, code: "X".into(), message: "no".into() }),
            deferred(DeferClass::Unavailable, None),
        ];
        let result = evaluate(vec![object("a"), object("b"), object("c")], outcomes);
        assert_eq!((result.settled.forwarded, result.settled.duplicates), (1, 1));
        assert_eq!(result.settled.rejected, [RejectedKey { key: "b".into(), code: "X".into(), message: "no".into() }]);
        assert_eq!((result.settled.open, result.open.len()), (vec!["c".to_owned()], 1));
    }

    #[test]
    fn a_failure_that_needs_an_operator_stops_and_outweighs_the_rest() {
        for class in
            [DeferClass::QuotaExceeded, DeferClass::BadCredentials, DeferClass::ConnectorNotFound, DeferClass::Paused]
        {
            let next = next_of(vec![deferred(class, None), deferred(DeferClass::RateLimited, Some(5))]);
            let NextStep::Stop { why } = next else { panic!("{next:?}") };
            assert!(why.contains(class.remedy()), "{why}");
        }
    }

    #[test]
    fn the_latest_of_several_times_counts() {
        let next =
            next_of(vec![deferred(DeferClass::RateLimited, Some(9)), deferred(DeferClass::RateLimited, Some(5))]);
        let NextStep::Retry { not_before: Some(time), affects_all: true, .. } = next else { panic!("{next:?}") };
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    }

    #[test]
    fn a_refusal_is_not_simply_retried() {
        assert_eq!(next_of(vec![deferred(DeferClass::RequestRefused, None)]), NextStep::Refused { why: "seen".into() });
        assert_eq!(next_of(vec![]), NextStep::Done);
    }
}
