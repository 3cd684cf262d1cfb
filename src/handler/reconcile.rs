//! The order to reconcile: lists a connector's bucket page by page, and forwards what was modified since on the same path as events.

use std::time::Duration;

use jiff::Timestamp;

use super::{Ingester, Reported, Run};
use crate::aws::s3::{Keys, Listed, Position};
use crate::aws::secrets::Connectors;
use crate::event::ReconcileRequest;
use crate::event::reconcile::Cursor;
use crate::ingest::route::{Route, Router};
use crate::model::claim::ClaimScope;
use crate::model::connector::Connector;
use crate::model::object::{Origin, S3Object};
use crate::model::outcome::{DeferClass, Deferral, Outcome};

/// The least time that must be left to begin a page.
const PAGE_TIME: Duration = Duration::from_secs(1);

/// The most deferred objects of a page that are set aside. More mean a failed request or an outage, for which the listing waits.
const MOST_SET_ASIDE: usize = 10;

/// The result of an order to reconcile.
#[derive(Debug)]
pub(super) struct OrderResult {
    /// The part of the invocation that gave it.
    pub(super) origin: Origin,
    /// The order.
    pub(super) order: ReconcileRequest,
    /// A stop for each connector whose bucket is not listed to its end: in the connectors' order, unreadable secrets last. Empty if the
    /// order is finished.
    pub(super) stops: Vec<Stop>,
    /// The number of connectors that the order concerns.
    pub(super) connectors: usize,
    /// Deferred objects that get a separate message, so that the listing does not wait for them.
    pub(super) set_aside: Vec<SetAside>,
}

/// A deferred object for which a listing does not wait.
#[derive(Debug, Clone)]
pub(super) struct SetAside {
    /// The object.
    pub(super) object: S3Object,
    /// Why it is deferred, and until when.
    pub(super) deferral: Deferral,
}

/// Why a connector's bucket is not listed to its end.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    /// The position at which the next call continues.
    pub(super) cursor: Cursor,
    /// Why, for people.
    pub(super) reason: String,
    /// What stopped it.
    pub(super) cause: Cause,
    /// Whether the listing has advanced in this invocation.
    pub(super) progressed: bool,
}

/// What stopped a listing.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// The time ended.
    Time,
    /// The connector's secret cannot be read; whether an operator has to act.
    Secret { needs_operator: bool },
    /// The bucket cannot be listed; whether an operator has to act.
    Listing { needs_operator: bool },
    /// An object was deferred, which says when it makes sense to continue.
    Object(Deferral),
}

impl Stop {
    /// Whether it makes sense to continue immediately, because only the time ended.
    pub(super) fn is_for_time(&self) -> bool {
        match &self.cause {
            Cause::Time => true,
            Cause::Object(deferral) => deferral.class == DeferClass::Deadline,
            Cause::Secret { .. } | Cause::Listing { .. } => false,
        }
    }

    /// Whether it waits for an operator. A deferred object is counted as an object.
    fn needs_operator(&self) -> bool {
        matches!(self.cause, Cause::Secret { needs_operator: true } | Cause::Listing { needs_operator: true })
    }
}

/// The part of one connector's bucket that an order concerns.
struct Listing<'a> {
    connector: &'a Connector,
    bucket: &'a str,
    prefix: &'a str,
    from: Position,
    since: Timestamp,
    /// See [`Cursor::only`].
    only: bool,
    origin: Origin,
    /// See [`Reconciling::can_set_aside`].
    can_set_aside: bool,
}

/// An order to reconcile, with its origin.
#[derive(Debug)]
pub(super) struct Reconciling {
    /// The part of the invocation that gives it.
    pub(super) origin: Origin,
    /// The order.
    pub(super) order: ReconcileRequest,
    /// Whether it came in a message, to whose queue others can be sent.
    pub(super) can_set_aside: bool,
}

impl Ingester {
    /// Carries out an order as far as the time allows. A connector that fails does not stop the next one.
    pub(super) async fn reconcile(&self, reconciling: Reconciling, run: &mut Run) -> OrderResult {
        let Reconciling { origin, order, can_set_aside } = reconciling;
        let since = order.since.resolve(Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH));
        let connectors = self.connectors(run).await;
        let only = order.cursor.as_ref().filter(|cursor| cursor.only);
        // A cursor's connector may no longer exist or be readable: listing everything again is better than omitting a part.
        let known = |cursor: &&Cursor| connectors.known.iter().any(|known| *known.secret_id == *cursor.secret_id);
        let mut cursor = order.cursor.as_ref().filter(|cursor| cursor.only || known(cursor));
        let (mut stops, mut concerned, mut set_aside) = (Vec::new(), 0, Vec::new());
        for connector in &connectors.known {
            let mut after = None;
            if let Some(begin) = cursor {
                if *connector.secret_id != *begin.secret_id {
                    continue;
                }
                after.clone_from(&begin.after);
                cursor = only;
            }
            let Some(prefix) = common_prefix(&connector.prefix, order.prefix.as_deref().unwrap_or_default()) else {
                continue;
            };
            let Some(bucket) = &connector.bucket else {
                tracing::warn!(
                    connector = &*connector.secret_id,
                    action = "write `bucket` into the connector's secret",
                    "cannot be reconciled: its secret names no bucket"
                );
                continue;
            };
            concerned += 1;
            let from = Position::after(after);
            let only = only.is_some();
            let listing = Listing { connector, bucket, prefix, from, since, only, origin, can_set_aside };
            stops.extend(self.reconcile_bucket(listing, &connectors, &mut set_aside, run).await);
        }
        for error in &connectors.failed {
            let secret_id = error.secret_id().to_string();
            if only.is_none_or(|only| only.secret_id == secret_id) {
                concerned += 1;
                let cursor = Cursor { secret_id, after: None, since, only: only.is_some() };
                let after = only.and_then(|only| only.after.clone());
                stops.push(Stop {
                    cursor: Cursor { after, ..cursor },
                    reason: error.to_string(),
                    cause: Cause::Secret { needs_operator: !error.is_transient() },
                    progressed: false,
                });
            }
        }
        if concerned == 0
            && let Some(only) = only
        {
            tracing::warn!(
                secret = only.secret_id.as_str(),
                "the rest of a reconcile is dropped: its connector is gone"
            );
        }
        run.report.reconciles_blocked += stops.iter().filter(|stop| stop.needs_operator()).count() as u64;
        OrderResult { origin, order, stops, connectors: concerned, set_aside }
    }

    /// Lists one bucket, page by page; `None` if it reached the end.
    async fn reconcile_bucket(
        &self,
        listing: Listing<'_>,
        connectors: &Connectors,
        set_aside: &mut Vec<SetAside>,
        run: &mut Run,
    ) -> Option<Stop> {
        let Listing { connector, bucket, prefix, mut from, since, only, origin, can_set_aside } = listing;
        let keys = Keys { bucket, region: connector.region.as_deref(), prefix };
        let began_after = from.after.clone();
        let stop = |after: Option<String>, reason: String, cause: Cause| Stop {
            progressed: after != began_after,
            cursor: Cursor { secret_id: connector.secret_id.to_string(), after, since, only },
            reason,
            cause,
        };
        loop {
            if self.clock.until(run.times.work_end) < PAGE_TIME {
                return Some(stop(from.after, "the time was over".to_owned(), Cause::Time));
            }
            let cannot_list = |reason: &dyn std::fmt::Display, needs_operator: bool| {
                let reason = format!("bucket {bucket:?} cannot be listed: {reason}");
                stop(from.after.clone(), reason, Cause::Listing { needs_operator })
            };
            let page = match self.buckets.list(keys, &from, run.times.work_end).await {
                Ok(page) => page,
                Err(error) => return Some(cannot_list(&error, !error.is_transient())),
            };
            // Before anything of the page is submitted: a repeated page would be submitted again and again.
            let next = match from.advance(&page) {
                Ok(next) => next,
                Err(error) => return Some(cannot_list(&error, true)),
            };
            let objects: Vec<_> = page
                .objects
                .iter()
                .filter(|listed| listed.modified.is_none_or(|modified| modified >= since))
                .map(|listed| as_object(listed, bucket, origin))
                .filter(|object| !self.is_anothers(object, connector, connectors))
                .collect();
            let before = run.report.objects.len();
            // A rejected object gets no dead letter: every run would add another for the same file, because nothing here remembers the
            // earlier ones. It is logged and counted; if an event named it, it is in the dead-letter queue already.
            let submitted = self.submit(connectors, &objects, run).await;
            run.record_all(objects, submitted);
            let outcomes = run.report.objects[before..].iter();
            let found = outcomes.filter(|reported| match &reported.outcome {
                Outcome::Forwarded(forwarded) => !forwarded.duplicate,
                _ => false,
            });
            run.report.reconcile_found += found.count() as u64;
            let outcomes = &run.report.objects[before..];
            let mut deferred = outcomes.iter().filter_map(|reported| match &reported.outcome {
                Outcome::Deferred(deferral) => Some((reported.object.as_ref()?, deferral)),
                _ => None,
            });
            if can_set_aside && are_alone_with_it(outcomes) {
                set_aside.extend(
                    deferred.map(|(object, deferral)| SetAside { object: object.clone(), deferral: deferral.clone() }),
                );
            } else if let Some((object, deferral)) = deferred.next() {
                let key = object.key.as_str();
                let keys = page.objects.iter().map(|listed| listed.key.as_str());
                let last_done = keys.take_while(|listed| *listed < key).last().map(str::to_owned);
                let reason = format!("an object was deferred: {}", deferral.detail);
                return Some(stop(last_done.or(from.after), reason, Cause::Object(deferral.clone())));
            }
            from = next?;
        }
    }

    /// Whether the object belongs to another connector's listing, which reads it by a longer prefix, or would if its secret could be read.
    /// A secret that may claim any object leaves nothing to list.
    fn is_anothers(&self, object: &S3Object, own: &Connector, connectors: &Connectors) -> bool {
        let Connectors { known, claims, .. } = connectors;
        let is_own = |position: usize| known[position].secret_id == own.secret_id;
        match Router::new(known, claims, &self.config.scope).route(object) {
            Route::To(reader) | Route::Paused(reader) => !is_own(reader),
            Route::Contested(first, second) => !is_own(first) && !is_own(second),
            Route::Claimed(claim) => claims[claim].scope != ClaimScope::Everything,
            Route::Skip(_) | Route::Undecided => false,
        }
    }
}

/// Whether only these few objects of a page failed while FlexOrch accepted others. Otherwise the reason for the deferral would defer the
/// next page too.
fn are_alone_with_it(page: &[Reported]) -> bool {
    let mut deferred = 0;
    let mut any_accepted = false;
    for reported in page {
        match &reported.outcome {
            Outcome::Forwarded(_) => any_accepted = true,
            Outcome::Deferred(deferral) => match deferral.class {
                DeferClass::Unavailable | DeferClass::Unaccounted | DeferClass::RequestRefused => deferred += 1,
                _ => return false,
            },
            Outcome::Skipped(_) | Outcome::Rejected(_) => {}
        }
    }
    any_accepted && deferred <= MOST_SET_ASIDE
}

/// Returns the longer of two prefixes if it starts with the other; `None` if no key starts with both.
fn common_prefix<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.starts_with(short).then_some(long)
}

fn as_object(listed: &Listed, bucket: &str, origin: Origin) -> S3Object {
    // No event time: a listed object may be old, which says nothing about the delay of events.
    S3Object { etag: listed.etag.clone(), size: listed.size, origin, ..S3Object::new(bucket, listed.key.clone()) }
}

/// Logs the listings of a batch's orders that failed. An unreadable secret and a deferred object have lines already, and a direct
/// invocation returns the reason as its error.
pub(super) fn log_failed_listings(orders: &[OrderResult]) {
    for stop in orders.iter().flat_map(|result| &result.stops) {
        let (connector, error) = (stop.cursor.secret_id.as_str(), stop.reason.as_str());
        let class = DeferClass::BucketUnavailable.as_str();
        match stop.cause {
            Cause::Listing { needs_operator: true } => {
                tracing::error!(connector, class, error, "a reconcile waits: its bucket cannot be listed");
            }
            Cause::Listing { needs_operator: false } => {
                tracing::warn!(connector, class, error, "a reconcile waits: its bucket cannot be listed now");
            }
            Cause::Time | Cause::Secret { .. } | Cause::Object(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_prefix_narrows_the_connectors() {
        assert_eq!(common_prefix("invoices/", "invoices/2026/"), Some("invoices/2026/"));
        assert_eq!(common_prefix("invoices/", ""), Some("invoices/"));
        assert_eq!(common_prefix("invoices/2026/", "inv"), Some("invoices/2026/"));
        assert_eq!(common_prefix("invoices/", "scans/"), None);
    }
}
