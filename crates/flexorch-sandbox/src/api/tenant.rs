//! One tenant: its connectors, documents, jobs and credits.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::{
    super::{clock::Moment, fault::FileFaults},
    connector::{Connector, NewConnector},
    ids::Ids,
    job::{Job, JobStatus},
    jobs::Jobs,
    rate::RateWindow,
    response::ApiError,
    rules::Rules,
    submission::{Submission, is_supported},
    webhook::{NewWebhook, Notice, Webhook},
};

/// The state of one API key. Other tenants' connectors, jobs and documents do not exist for it.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    pub(crate) window: RateWindow,
    pub(crate) connectors: BTreeMap<u64, Connector>,
    webhooks: BTreeMap<u64, Webhook>,
    pub(crate) jobs: Jobs,
    /// The id of the last job of each accepted document, by connector and key. The API recognises contents; the sandbox has only keys.
    documents: HashMap<(String, String), String>,
    /// The number of documents accepted on each day, for a credit each.
    accepted_by_day: BTreeMap<String, u64>,
}

/// The `data` of the response to a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Submitted {
    accepted: usize,
    rejected: Vec<RejectedFile>,
    jobs: Vec<JobEntry>,
    /// For a single known file, as in the documentation.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    duplicate: Option<ExistingDocument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RejectedFile {
    filename: String,
    error: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct JobEntry {
    filename: String,
    job_id: String,
    status: JobStatus,
    document_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_duplicate: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ExistingDocument {
    is_duplicate: bool,
    existing_document_id: String,
    existing_job_id: String,
}

impl Submitted {
    /// Returns how many keys were accepted, known ones included.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted
    }
}

impl Tenant {
    /// Accepts keys. A request with more new documents than credits is refused as a whole.
    pub(crate) fn submit(
        &mut self,
        submission: &Submission,
        rules: &Rules,
        faults: &FileFaults,
        ids: &mut Ids,
        now: Moment,
    ) -> Result<Submitted, ApiError> {
        if submission.keys.len() > rules.max_keys_per_request {
            let message = format!(
                "source.keys holds {} keys, and {} are allowed.",
                submission.keys.len(),
                rules.max_keys_per_request
            );
            return Err(ApiError::validation(message));
        }
        self.use_connector(&submission.connector, rules, now)?;
        let (refused, accepted): (Vec<_>, Vec<_>) = submission
            .keys
            .iter()
            .map(|key| (key, rejection(key, faults)))
            .partition(|(_, rejection)| rejection.is_some());
        let is_new = |key: &String| self.existing_job(&submission.connector, key, rules, now).is_none();
        let new = accepted.iter().filter(|(key, _)| is_new(key)).count() as u64;
        if let Some(limit) = rules.monthly_credits
            && new > limit.saturating_sub(self.credits_used())
        {
            return Err(ApiError::quota_exceeded(limit));
        }
        let rejected = refused
            .into_iter()
            .filter_map(|(key, error)| Some(RejectedFile { filename: key.clone(), error: error? }))
            .collect();
        let mut jobs = Vec::with_capacity(accepted.len());
        for (key, _) in accepted {
            if let Some(job) = self.existing_job(&submission.connector, key, rules, now) {
                jobs.push(entry(job, Some(true), now));
                continue;
            }
            let failure = faults.job_failure(key);
            let job = Job::new(ids.next_job(), &submission.connector, key, failure, rules.pace(), now);
            jobs.push(entry(&job, None, now));
            self.documents.insert((submission.connector.clone(), key.clone()), job.id.clone());
            self.jobs.add(job);
            *self.accepted_by_day.entry(now.date()).or_default() += 1;
        }
        let duplicate = match (submission.keys.len(), jobs.as_slice()) {
            (1, [job]) if job.is_duplicate.is_some() => Some(ExistingDocument {
                is_duplicate: true,
                existing_document_id: job.document_id.clone(),
                existing_job_id: job.job_id.clone(),
            }),
            _ => None,
        };
        Ok(Submitted { accepted: jobs.len(), rejected, jobs, duplicate })
    }

    /// Returns the job of a document that need not be processed again. One that failed is processed again: submitting its key anew is
    /// the only way to do that (FlexOrch documentation, `REPROCESS_NOT_SUPPORTED`).
    fn existing_job(&self, connector: &str, key: &str, rules: &Rules, now: Moment) -> Option<&Job> {
        let id = self.documents.get(&(connector.to_owned(), key.to_owned()))?;
        self.jobs.get(id).filter(|job| rules.recognize_documents && !job.has_failed(now))
    }

    /// Marks a connector as used. If the rules allow it, an unknown one counts as created elsewhere, but not a deleted one.
    fn use_connector(&mut self, id: &str, rules: &Rules, now: Moment) -> Result<(), ApiError> {
        let known = id.parse().ok().and_then(|id: u64| self.connectors.get_mut(&id));
        match known {
            Some(connector) if connector.active => {
                connector.mark_used(now);
                Ok(())
            }
            None if rules.open_connectors => Ok(()),
            _ => Err(ApiError::not_found(format_args!("Connector {id:?}"))),
        }
    }

    /// Adds a connector.
    pub(crate) fn create_connector(
        &mut self,
        new: NewConnector,
        ids: &mut Ids,
        now: Moment,
    ) -> Result<Value, ApiError> {
        let connector = Connector::create(ids.peek_connector(), new, now)?;
        let shown = connector.show();
        self.connectors.insert(ids.next_connector(), connector);
        Ok(shown)
    }

    /// Returns the connectors that were not deleted.
    pub(crate) fn list_connectors(&self) -> Vec<Value> {
        self.connectors.values().filter(|connector| connector.active).map(Connector::show).collect()
    }

    /// Returns a connector that was created here and not deleted.
    pub(crate) fn connector(&mut self, id: &str) -> Result<&mut Connector, ApiError> {
        id.parse()
            .ok()
            .and_then(|id: u64| self.connectors.get_mut(&id))
            .filter(|connector| connector.active)
            .ok_or_else(|| ApiError::not_found(format_args!("Connector {id:?}")))
    }

    /// Adds a webhook.
    pub(crate) fn create_webhook(
        &mut self,
        new: NewWebhook,
        rules: &Rules,
        ids: &mut Ids,
        now: Moment,
    ) -> Result<Value, ApiError> {
        let (webhook, shown) = Webhook::create(ids.peek_webhook(), new, rules.webhook_secrets, now)?;
        if self.webhooks.is_empty() {
            // Jobs that ended before the first webhook existed are not reported.
            self.jobs.take_ended(now);
        }
        self.webhooks.insert(ids.next_webhook(), webhook);
        Ok(shown)
    }

    /// Returns the webhooks, oldest first.
    pub(crate) fn list_webhooks(&self) -> Vec<Value> {
        self.webhooks.values().map(Webhook::show).collect()
    }

    /// Deletes a webhook.
    pub(crate) fn delete_webhook(&mut self, id: &str) -> Result<(), ApiError> {
        let removed = id.parse().ok().and_then(|id: u64| self.webhooks.remove(&id));
        removed.map(|_| ()).ok_or_else(|| ApiError::not_found(format_args!("Webhook {id:?}")))
    }

    /// Returns a job in the API's form after a poll.
    pub(crate) fn poll_job(&mut self, id: &str, now: Moment) -> Result<Value, ApiError> {
        self.jobs.poll(id, now).ok_or_else(|| ApiError::not_found(format_args!("Job {id:?}")))
    }

    /// Returns whether there are webhooks.
    pub(crate) fn has_webhooks(&self) -> bool {
        !self.webhooks.is_empty()
    }

    /// Returns the deliveries for the jobs that have ended since the last call.
    pub(crate) fn take_notices(&mut self, now: Moment) -> Vec<Notice> {
        let events = self.jobs.take_ended(now).into_iter().map(|job| job.end_event(now));
        let notices = events.flat_map(|(event, payload)| {
            let webhooks = self.webhooks.values();
            webhooks.filter_map(|webhook| webhook.notice(event, &payload, now)).collect::<Vec<_>>()
        });
        notices.collect()
    }

    /// Returns the credits that were spent: one for each new document.
    pub(crate) fn credits_used(&self) -> u64 {
        self.jobs.count() as u64
    }

    /// Returns the number of documents accepted on each day.
    pub(crate) fn accepted_by_day(&self) -> &BTreeMap<String, u64> {
        &self.accepted_by_day
    }

    /// Returns the keys of the documents that were accepted, once for each connector, in no particular order.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(|(_, key)| key.as_str())
    }
}

fn rejection(key: &str, faults: &FileFaults) -> Option<String> {
    faults.rejection(key).or_else(|| (!is_supported(key)).then_some("UNSUPPORTED_FILE")).map(str::to_owned)
}

fn entry(job: &Job, is_duplicate: Option<bool>, now: Moment) -> JobEntry {
    JobEntry {
        filename: job.key.clone(),
        job_id: job.id.clone(),
        status: job.status(now),
        document_id: job.document_id.clone(),
        is_duplicate,
    }
}

#[cfg(test)]
#[path = "tenant_tests.rs"]
mod tests;
