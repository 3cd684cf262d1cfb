//! Asks FlexOrch why one job failed, before the failure that a webhook reported is recorded and published: the webhook does not say.
//!
//! FlexOrch waits for the response meanwhile, and the plan's rate is there for uploads. So this is one request with a short time
//! limit, sent only if the rate allows it now; if FlexOrch does not respond to it, none follows for a minute. What is not learned
//! here is asked for by a sweep.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::aws::secrets::SecretCache;
use flexorch_s3_ingester::flexorch::response::Response;

use super::Sweeper;
use super::asking::{error_of, log_failure};
use crate::item::Stored;
use crate::jobs::{Job, JobsRequest, JobsResponse, Status};
use crate::schema::State;
use crate::transition::JobEnd;

/// The most time that asking takes.
const MOST_TIME: Duration = Duration::from_secs(2);
/// The part of the webhook's time that asking takes, if that is less: 1 in this many.
const SHARE: u32 = 4;
/// After a request without a response there is none for this long: a FlexOrch that hangs does not delay every webhook.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The result of asking.
enum Outcome {
    /// FlexOrch was asked.
    Asked(JobsResponse),
    /// It was not asked, and may be next time: the connector is paused, or the rate does not allow a request now.
    NotNow,
    /// The connector's secret cannot be used, or could not be read in time.
    NoSecret,
}

impl Sweeper {
    /// Returns a job's end with the reason of its failure, if FlexOrch states one now. `records` name the job, and `end` is when the
    /// webhook must be answered.
    pub(crate) async fn explain(
        &self,
        job_end: JobEnd,
        records: &[Stored],
        secrets: &SecretCache,
        end: SystemTime,
    ) -> JobEnd {
        // A failure that is recorded already is a sweep's to ask for: a webhook that is repeated costs no request.
        let mut open = records.iter().map(|stored| &stored.record).filter(|record| record.state == State::Submitted);
        let position = open.find_map(|record| self.rules.secret_of(record)).filter(|_| !job_end.completed);
        let Some(position) = position else { return job_end };
        let now = self.clock.now();
        if lock(&self.not_asked_until).get(&position).is_some_and(|until| now < *until) {
            return job_end;
        }
        let time = (self.clock.until(end) / SHARE).min(MOST_TIME);
        match self.ask_once(position, &job_end.job_id, secrets, now + time).await {
            Outcome::Asked(JobsResponse::Job(Job { status: Status::Failed, failure_reason, .. })) => {
                JobEnd { failure_reason, asked: true, ..job_end }
            }
            Outcome::Asked(JobsResponse::Unknown) => JobEnd { asked: true, ..job_end },
            Outcome::Asked(JobsResponse::Failed(_)) | Outcome::NoSecret => {
                lock(&self.not_asked_until).insert(position, self.clock.now() + PAUSE_AFTER_FAILURE);
                job_end
            }
            // FlexOrch's API may be behind its webhook.
            Outcome::Asked(JobsResponse::Job(_) | JobsResponse::Page(_)) | Outcome::NotNow => job_end,
        }
    }

    async fn ask_once(&self, position: usize, job_id: &str, secrets: &SecretCache, end: SystemTime) -> Outcome {
        let connectors = secrets.connectors(end).await;
        let secret_id = self.secret_ids[position].as_str();
        let connector = connectors.known.iter().find(|connector| &*connector.secret_id == secret_id);
        let timeout = self.request_timeout.min(self.clock.until(end));
        let Some(connector) = connector.filter(|_| !timeout.is_zero()) else {
            tracing::warn!(
                secret = secret_id,
                job = job_id,
                "the secret could not be read in time: the next sweep asks why the job failed"
            );
            return Outcome::NoSecret;
        };
        if connector.paused.is_some() || !self.limited(connector, |limiter| limiter.pass(self.clock.now())) {
            return Outcome::NotNow;
        }
        let ask = JobsRequest::Job(job_id.to_owned());
        let reply = self.client.send(&ask, &connector.api_key, timeout).await;
        if let JobsResponse::Failed(response) = &reply {
            log_failure(&ask, connector, &error_of(response));
        }
        let now = self.clock.now();
        self.limited(connector, |limiter| match &reply {
            JobsResponse::Failed(Response::Transient { rate_limited: true, retry_at, .. }) => {
                limiter.close(retry_at.unwrap_or(now + PAUSE_AFTER_FAILURE), now);
            }
            _ => limiter.was_admitted(),
        });
        Outcome::Asked(reply)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
