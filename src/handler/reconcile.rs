//! The order to reconcile: a connector's bucket, listed page by page, and what was modified since forwarded by the same path as
//! events.

use std::time::Duration;

use jiff::Timestamp;

use super::{Ingester, Report, Times};
use crate::aws::s3::Listed;
use crate::connector::Connector;
use crate::event::ReconcileRequest;
use crate::event::reconcile::Cursor;
use crate::ingest::route::{Route, route};
use crate::object::{Change, Origin, S3Object};
use crate::outcome::Outcome;
use crate::telemetry::metrics::Metrics;

/// A page is not begun with less time than this.
const PAGE_TIME: Duration = Duration::from_secs(1);

/// Why a reconcile is not finished.
#[derive(Debug)]
pub(super) struct Stop {
    /// Where the next call continues; `None`: from the beginning.
    pub cursor: Option<Cursor>,
    /// Why.
    pub reason: String,
}

/// Where the listing of one connector's bucket stopped.
struct Unfinished {
    after: Option<String>,
    reason: String,
}

impl Ingester {
    /// Carries an order out as far as the time allows; `None` where all of it is done.
    ///
    /// A connector that cannot be listed or served does not stop the next one. The cursor is the first place that is not done.
    pub(super) async fn reconcile(
        &self,
        origin: Origin,
        order: &ReconcileRequest,
        times: Times,
        metrics: &Metrics,
        report: &mut Report,
    ) -> Option<Stop> {
        let since = order.since.resolve(Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH));
        let connectors = self.connectors(times).await;
        let mut stop: Option<Stop> =
            connectors.failed.first().map(|error| Stop { cursor: None, reason: error.to_string() });
        let mut cursor = order.cursor.as_ref();
        if let Some(wanted) = cursor
            && !connectors.known.iter().any(|connector| *connector.secret_id == *wanted.secret_id)
        {
            // The connector is gone, or cannot be read now: better everything again than a part never.
            cursor = None;
        }
        for (position, connector) in connectors.known.iter().enumerate() {
            let mut after = None;
            if let Some(wanted) = cursor {
                if *connector.secret_id != *wanted.secret_id {
                    continue;
                }
                after.clone_from(&wanted.after);
                cursor = None;
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
            let mut unfinished = None;
            loop {
                if self.clock.until(times.work_end) < PAGE_TIME {
                    unfinished = Some(Unfinished { after, reason: "the time was over".into() });
                    break;
                }
                let region = connector.region.as_deref();
                let page = match self.buckets.list(bucket, region, prefix, after.as_deref(), times.work_end).await {
                    Ok(page) => page,
                    Err(reason) => {
                        let reason = format!("bucket {bucket:?} cannot be listed: {reason}");
                        unfinished = Some(Unfinished { after, reason });
                        break;
                    }
                };
                let objects: Vec<S3Object> = page
                    .objects
                    .iter()
                    .filter(|listed| listed.modified.is_none_or(|modified| modified >= since))
                    .map(|listed| as_object(listed, bucket, origin))
                    .filter(|object| {
                        // What a connector with a longer prefix reads, its own listing names.
                        let all_known = connectors.failed.is_empty();
                        let led = route(object, &connectors.known, all_known, &self.config.scope);
                        !matches!(led, Route::To(other) if other != position)
                    })
                    .collect();
                let before = report.objects.len();
                self.settle_with(&connectors, objects, times, metrics, report).await;
                let deferred = report.objects[before..].iter().find_map(|reported| match &reported.outcome {
                    Outcome::Deferred(deferral) => Some((reported.object.as_ref()?.key.as_str(), &deferral.detail)),
                    _ => None,
                });
                if let Some((key, why)) = deferred {
                    let last_done =
                        page.objects.iter().map(|listed| listed.key.as_str()).take_while(|listed| *listed < key).last();
                    let after = last_done.map(str::to_owned).or(after);
                    unfinished = Some(Unfinished { after, reason: format!("an object was deferred: {why}") });
                    break;
                }
                match page.objects.last() {
                    Some(last) if page.more => after = Some(last.key.as_str().to_owned()),
                    _ => break,
                }
            }
            if let Some(unfinished) = unfinished {
                let here =
                    Stop { cursor: Some(cursor_at(connector, unfinished.after, since)), reason: unfinished.reason };
                stop.get_or_insert(here);
            }
        }
        stop
    }
}

fn cursor_at(connector: &Connector, after: Option<String>, since: Timestamp) -> Cursor {
    Cursor { secret_id: connector.secret_id.to_string(), after, since }
}

/// The longer of two prefixes where it starts with the other; `None` where no key starts with both.
fn common_prefix<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.starts_with(short).then_some(long)
}

fn as_object(listed: &Listed, bucket: &str, origin: Origin) -> S3Object {
    S3Object {
        bucket: bucket.to_owned(),
        key: listed.key.clone(),
        size: listed.size,
        sequencer: None,
        // It may have been there for long: it says nothing of how fast events are.
        event_time: None,
        change: Change::Created,
        origin,
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
