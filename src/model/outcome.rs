//! The outcome of each object, and the ledger that ensures that every object has one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::job_id::JobId;

/// The one outcome that every object ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// FlexOrch accepted the key.
    Forwarded(Forwarded),
    /// The object is out of this deployment's scope.
    Skipped(SkipReason),
    /// FlexOrch rejected this key permanently.
    Rejected(Rejection),
    /// The object could not be settled now; its source delivers it again.
    Deferred(Deferral),
}

/// The details of an accepted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The secret id of the connector it was submitted for.
    pub connector: Arc<str>,
    /// The id of the job, if FlexOrch named one.
    pub job_id: Option<JobId>,
    /// FlexOrch had processed the same content before and charged nothing.
    pub duplicate: bool,
}

/// Why an object is not ingested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The event is not an `ObjectCreated`.
    NotCreated,
    /// The object is a folder marker of the console.
    FolderMarker,
    /// A newer event for the same key is in the same invocation.
    Superseded,
    /// No configured connector reads this bucket.
    NoConnector,
    /// The key starts with no connector's prefix, or with none of `KEY_PREFIXES`.
    OutOfPrefix,
    /// The key ends in none of `KEY_SUFFIXES`.
    OutOfSuffix,
    /// The key matches one of `KEY_EXCLUDES`.
    Excluded,
    /// The object is larger than `MAX_OBJECT_BYTES`.
    TooLarge,
}

impl SkipReason {
    /// Returns the reason as written in logs, metrics and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotCreated => "not-created",
            Self::FolderMarker => "folder-marker",
            Self::Superseded => "superseded",
            Self::NoConnector => "no-connector",
            Self::OutOfPrefix => "out-of-prefix",
            Self::OutOfSuffix => "out-of-suffix",
            Self::Excluded => "excluded",
            Self::TooLarge => "too-large",
        }
    }
}

/// FlexOrch's rejection of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The secret id of the connector; `None` for a record that could not be read, which never reached one.
    pub connector: Option<Arc<str>>,
    /// FlexOrch's error code, or [`UNREADABLE`](super::codes::UNREADABLE) for a record that could not be read.
    pub code: String,
    /// FlexOrch's message; may be empty.
    pub message: String,
}

/// Why an object is delivered again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// The class of the failure, which decides what an operator does about it.
    pub class: DeferClass,
    /// The details: a status, FlexOrch's code and message, or a connection error.
    pub detail: Arc<str>,
    /// FlexOrch's error code, if it gave one.
    pub code: Option<Arc<str>>,
    /// The secret id of the connector, if one was chosen.
    pub connector: Option<Arc<str>>,
    /// The earliest time at which another attempt makes sense, if known.
    pub not_before: Option<SystemTime>,
    /// Every attempt that `MAX_ATTEMPTS` allows has failed: a later attempt waits for at least the usual backoff, whatever
    /// time FlexOrch named.
    pub attempts_exhausted: bool,
}

/// The classes of failures after which an object is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeferClass {
    /// FlexOrch's per-minute limit is reached: 429.
    RateLimited,
    /// The next request that `REQUESTS_PER_MINUTE` allows is due after the deadline.
    Paced,
    /// 5xx, 408, no connection, a timeout, or a response that does not come from FlexOrch.
    Unavailable,
    /// FlexOrch does not accept the API key.
    BadCredentials,
    /// The month's credits are used up.
    QuotaExceeded,
    /// The plan or trial does not allow it: 402, 403 or another refusal of everything.
    NotAllowed,
    /// FlexOrch does not know the connector: 404.
    ConnectorNotFound,
    /// FlexOrch's base URL returns a redirect.
    Redirected,
    /// FlexOrch refused the request as a whole, and nothing shows that the object is the cause.
    RequestRefused,
    /// FlexOrch's response has no result for the key.
    Unaccounted,
    /// The invocation's time is over.
    Deadline,
    /// The connector's secret could not be read, or contradicts another connector's.
    SecretUnavailable,
    /// The connector's secret describes another connector than the one that the object was routed to.
    ConnectorChanged,
    /// The connector's secret pauses it.
    Paused,
    /// The dead-letter queue did not accept the rejected object, so its message is kept.
    DeadLetterUnavailable,
    /// The record cannot be read, and no dead-letter queue is configured.
    Unreadable,
    /// S3 could not be asked about an object or listed.
    BucketUnavailable,
}

impl DeferClass {
    /// Returns the class as written in logs and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Paced => "paced",
            Self::Unavailable => "unavailable",
            Self::BadCredentials => "bad-credentials",
            Self::QuotaExceeded => "quota-exceeded",
            Self::NotAllowed => "not-allowed",
            Self::ConnectorNotFound => "connector-not-found",
            Self::Redirected => "redirected",
            Self::RequestRefused => "request-refused",
            Self::Unaccounted => "unaccounted",
            Self::Deadline => "deadline",
            Self::SecretUnavailable => "secret-unavailable",
            Self::ConnectorChanged => "connector-changed",
            Self::Paused => "paused",
            Self::DeadLetterUnavailable => "dead-letter-unavailable",
            Self::Unreadable => "unreadable",
            Self::BucketUnavailable => "bucket-unavailable",
        }
    }

    /// Returns what an operator can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RateLimited | Self::Paced => "nothing: it is tried again; a larger plan or fewer processes is faster",
            Self::Unavailable => {
                "nothing at first: it is tried again; if it lasts, check FLEXORCH_BASE_URL and FlexOrch's status"
            }
            Self::BadCredentials => "write a valid `api_key` into the connector's secret",
            Self::QuotaExceeded => "the month's credits are used up: raise the plan or wait for the next month",
            Self::NotAllowed => "check the plan, the trial and the API key's rights in FlexOrch",
            Self::ConnectorNotFound => {
                "check `connector_id` in the secret and FLEXORCH_BASE_URL; create the connector if it is gone"
            }
            Self::Redirected => "set FLEXORCH_BASE_URL to the API's own address; redirects are never followed",
            Self::RequestRefused => "check `connector_id` in the secret, LOCALE and PIPELINE_CONFIG",
            Self::Unaccounted | Self::ConnectorChanged => "nothing: it is tried again",
            Self::Deadline => "nothing: it is tried again; if it is frequent, raise the function's timeout",
            Self::SecretUnavailable => "check the secret that is named, and the function's permission to read it",
            Self::Paused => "nothing until the pause is to end; then remove `paused` from the connector's secret",
            Self::DeadLetterUnavailable => "check DEAD_LETTER_QUEUE_URL and the permission sqs:SendMessage on it",
            Self::Unreadable => {
                "check the message; set DEAD_LETTER_QUEUE_URL to move such messages to a dead-letter queue"
            }
            Self::BucketUnavailable => {
                "check the function's permissions on the bucket: s3:ListBucket, and s3:GetObject for Batch Operations"
            }
        }
    }

    /// Whether an operator has to act rather than wait. A pause is an operator's decision and is counted separately.
    #[must_use]
    pub fn needs_operator(self) -> bool {
        !matches!(
            self,
            Self::RateLimited
                | Self::Paced
                | Self::Unavailable
                | Self::Unaccounted
                | Self::Deadline
                | Self::ConnectorChanged
                | Self::Paused
        )
    }
}

/// The outcomes of an invocation's objects, by the objects' positions. [`Ledger::close`] gives an outcome to every object without
/// one.
#[derive(Debug)]
pub struct Ledger {
    slots: Vec<Option<Outcome>>,
}

impl Ledger {
    /// Creates a ledger for this many objects, none of them settled.
    #[must_use]
    pub fn new(objects: usize) -> Self {
        Self { slots: vec![None; objects] }
    }

    /// Settles an object. The first outcome is kept: another one for the same object is dropped.
    pub fn settle(&mut self, object: usize, outcome: Outcome) {
        if let Some(slot) = self.slots.get_mut(object)
            && slot.is_none()
        {
            *slot = Some(outcome);
        }
    }

    /// Replaces a rejection by a deferral, because the dead-letter queue did not accept the object. Other outcomes are kept.
    pub(crate) fn defer_instead(&mut self, object: usize, deferral: Deferral) {
        if let Some(slot) = self.slots.get_mut(object)
            && matches!(slot, Some(Outcome::Rejected(_)))
        {
            *slot = Some(Outcome::Deferred(deferral));
        }
    }

    /// Returns the outcomes so far, with the objects' positions.
    pub fn settled(&self) -> impl Iterator<Item = (usize, &Outcome)> {
        self.slots.iter().enumerate().filter_map(|(object, slot)| Some((object, slot.as_ref()?)))
    }

    /// Returns the outcome of an object that is settled.
    #[must_use]
    pub fn outcome(&self, object: usize) -> Option<&Outcome> {
        self.slots.get(object)?.as_ref()
    }

    /// Returns every object's outcome. Objects that are not settled are deferred: the invocation ended before they were
    /// submitted.
    #[must_use]
    pub fn close(self) -> Vec<Outcome> {
        let unfinished: Arc<str> = "the invocation ended before the object was submitted".into();
        self.slots
            .into_iter()
            .map(|slot| {
                slot.unwrap_or_else(|| {
                    Outcome::Deferred(Deferral {
                        class: DeferClass::Deadline,
                        detail: Arc::clone(&unfinished),
                        code: None,
                        connector: None,
                        not_before: None,
                        attempts_exhausted: false,
                    })
                })
            })
            .collect()
    }
}

/// How many objects ended in which outcome: `received = forwarded + skipped + rejected + deferred`, always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects that the event named.
    pub received: u64,
    /// Objects that FlexOrch accepted.
    pub forwarded: u64,
    /// Objects that are out of scope.
    pub skipped: u64,
    /// Objects that FlexOrch rejected permanently.
    pub rejected: u64,
    /// Objects that will be delivered again.
    pub deferred: u64,
    /// Forwarded objects whose content FlexOrch had processed before.
    pub duplicates: u64,
    /// The skipped objects by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped_by_reason: BTreeMap<SkipReason, u64>,
    /// The deferred objects by class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred_by_class: BTreeMap<DeferClass, u64>,
}

impl Counts {
    /// Adds one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.received += 1;
        match outcome {
            Outcome::Forwarded(forwarded) => {
                self.forwarded += 1;
                self.duplicates += u64::from(forwarded.duplicate);
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                *self.skipped_by_reason.entry(*reason).or_default() += 1;
            }
            Outcome::Rejected(_) => self.rejected += 1,
            Outcome::Deferred(deferral) => {
                self.deferred += 1;
                *self.deferred_by_class.entry(deferral.class).or_default() += 1;
            }
        }
    }
}

impl Counts {
    /// How many objects are deferred for a reason that needs an operator: see [`DeferClass::needs_operator`].
    #[must_use]
    pub fn blocked(&self) -> u64 {
        self.deferred_by_class.iter().filter(|(class, _)| class.needs_operator()).map(|(_, objects)| objects).sum()
    }

    /// How many objects are deferred because their connector is paused.
    #[must_use]
    pub fn paused(&self) -> u64 {
        self.deferred_by_class.get(&DeferClass::Paused).copied().unwrap_or_default()
    }

    /// How many objects no configured connector reads.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.skipped_by_reason.get(&SkipReason::NoConnector).copied().unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a Outcome> for Counts {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut counts = Self::default();
        outcomes.into_iter().for_each(|outcome| counts.add(outcome));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(kind: u8) -> Outcome {
        match kind % 4 {
            0 => Outcome::Forwarded(Forwarded { connector: "c".into(), job_id: None, duplicate: kind > 100 }),
            1 => Outcome::Skipped(SkipReason::TooLarge),
            2 => Outcome::Rejected(Rejection { connector: None, code: "X".into(), message: String::new() }),
            _ => Outcome::Deferred(Deferral {
                class: DeferClass::Unavailable,
                detail: "x".into(),
                code: None,
                connector: None,
                not_before: None,
                attempts_exhausted: false,
            }),
        }
    }

    proptest! {
        #[test]
        fn received_is_the_sum_of_the_four_outcomes_whatever_is_settled(
            objects in 0usize..50,
            settlements in proptest::collection::vec((0usize..60, any::<u8>()), 0..100),
        ) {
            let mut ledger = Ledger::new(objects);
            for (object, kind) in settlements {
                ledger.settle(object, outcome(kind));
            }
            let counts: Counts = ledger.close().iter().collect();
            prop_assert_eq!(counts.received, objects as u64);
            prop_assert_eq!(counts.received, counts.forwarded + counts.skipped + counts.rejected + counts.deferred);
            prop_assert_eq!(counts.skipped, counts.skipped_by_reason.values().sum::<u64>());
            prop_assert_eq!(counts.deferred, counts.deferred_by_class.values().sum::<u64>());
        }
    }

    #[test]
    fn an_object_that_nothing_settled_is_deferred() {
        assert!(matches!(
            Ledger::new(1).close().as_slice(),
            [Outcome::Deferred(Deferral { class: DeferClass::Deadline, .. })]
        ));
    }

    #[test]
    fn the_first_outcome_is_kept() {
        let mut ledger = Ledger::new(1);
        ledger.settle(0, outcome(0));
        ledger.settle(0, outcome(1));
        assert!(matches!(ledger.close().as_slice(), [Outcome::Forwarded(_)]));
    }
}
