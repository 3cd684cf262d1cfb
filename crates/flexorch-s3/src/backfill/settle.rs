//! What a chunk's outcomes come to: what goes into the journal, what is sent again, and when. Pure.

use std::time::SystemTime;

use super::journal::{RejectedKey, Settled};
use flexorch_s3_ingester::model::object::S3Object;
use flexorch_s3_ingester::model::outcome::{DeferClass, Outcome};

/// What is next for the keys that are not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// There are none.
    Nothing,
    /// Another try makes sense by itself.
    Again {
        /// Not before this, where a time was named.
        not_before: Option<SystemTime>,
        /// Other keys would meet the same.
        concerns_all: bool,
        /// What was seen.
        why: String,
    },
    /// The request was refused as a whole, and whether it is for its keys is not known until another one is taken.
    Refused {
        /// FlexOrch's words.
        why: String,
    },
    /// Nothing more can be sent until somebody acts.
    Stop {
        /// What was seen, and what to do.
        why: String,
    },
}

/// What became of some objects.
#[derive(Debug)]
pub(super) struct Judged {
    pub settled: Settled,
    /// Those that are not settled.
    pub open: Vec<S3Object>,
    pub next: Next,
}

/// Judges the outcomes of a chunk's objects, in their order.
pub(super) fn judge(objects: Vec<S3Object>, outcomes: Vec<Outcome>) -> Judged {
    let (mut settled, mut open) = (Settled::default(), Vec::new());
    let mut next = Next::Nothing;
    for (object, outcome) in objects.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Forwarded(forwarded) => {
                settled.forwarded += 1;
                settled.duplicates += u64::from(forwarded.duplicate);
            }
            // Nothing here skips: what is out of scope was not sent.
            Outcome::Skipped(_) => {}
            Outcome::Rejected(rejection) => settled.rejected.push(RejectedKey {
                key: object.key.as_str().to_owned(),
                code: rejection.code,
                message: rejection.message,
            }),
            Outcome::Deferred(deferral) => {
                next = weightier(next, after(&deferral));
                settled.open.push(object.key.as_str().to_owned());
                open.push(object);
            }
        }
    }
    Judged { settled, open, next }
}

fn after(deferral: &flexorch_s3_ingester::model::outcome::Deferral) -> Next {
    let why = deferral.detail.to_string();
    match deferral.class {
        DeferClass::RequestRefused => Next::Refused { why },
        class if class.needs_operator() => Next::Stop { why: format!("{why} ({})", class.remedy()) },
        class => Next::Again {
            not_before: deferral.not_before,
            concerns_all: class != DeferClass::Unaccounted,
            why: format!("{}: {why}", class.as_str()),
        },
    }
}

fn weightier(one: Next, other: Next) -> Next {
    let weight = |next: &Next| match next {
        Next::Nothing => (0, None),
        Next::Refused { .. } => (1, None),
        Next::Again { not_before, concerns_all, .. } => (2 + u8::from(*concerns_all), *not_before),
        Next::Stop { .. } => (4, None),
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

    fn next_of(outcomes: Vec<Outcome>) -> Next {
        let objects = (0..outcomes.len()).map(|number| object(&number.to_string())).collect();
        judge(objects, outcomes).next
    }

    #[test]
    fn every_object_is_forwarded_rejected_or_open() {
        let outcomes = vec![
            Outcome::Forwarded(Forwarded { connector: "c".into(), job_id: None, duplicate: true }),
            Outcome::Rejected(Rejection { connector: None, code: "X".into(), message: "no".into() }),
            deferred(DeferClass::Unavailable, None),
        ];
        let judged = judge(vec![object("a"), object("b"), object("c")], outcomes);
        assert_eq!((judged.settled.forwarded, judged.settled.duplicates), (1, 1));
        assert_eq!(judged.settled.rejected, [RejectedKey { key: "b".into(), code: "X".into(), message: "no".into() }]);
        assert_eq!((judged.settled.open, judged.open.len()), (vec!["c".to_owned()], 1));
    }

    #[test]
    fn what_somebody_has_to_act_on_stops_and_outweighs_the_rest() {
        for class in [DeferClass::QuotaExceeded, DeferClass::BadCredentials, DeferClass::ConnectorNotFound] {
            let next = next_of(vec![deferred(class, None), deferred(DeferClass::RateLimited, Some(5))]);
            let Next::Stop { why } = next else { panic!("{next:?}") };
            assert!(why.contains(class.remedy()), "{why}");
        }
    }

    #[test]
    fn of_several_times_the_latest_is_waited_for() {
        let next =
            next_of(vec![deferred(DeferClass::RateLimited, Some(9)), deferred(DeferClass::RateLimited, Some(5))]);
        let Next::Again { not_before: Some(time), concerns_all: true, .. } = next else { panic!("{next:?}") };
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    }

    #[test]
    fn a_refusal_is_not_simply_tried_again() {
        assert_eq!(next_of(vec![deferred(DeferClass::RequestRefused, None)]), Next::Refused { why: "seen".into() });
        assert_eq!(next_of(vec![]), Next::Nothing);
    }
}
