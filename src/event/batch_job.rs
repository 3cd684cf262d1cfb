//! S3 Batch Operations: the tasks of an "Invoke AWS Lambda function" job, schema 1.0 and 2.0, and the result of each (S3 User
//! Guide, "Invoke AWS Lambda function").

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wire::{short_text, text};
use super::{Contents, UnknownEvent, UnreadableRecord};
use crate::model::object::{KeyError, ObjectKey, Origin, S3Object};

/// A job's invocation: a task's position is the [`Origin`] of its object.
#[derive(Debug)]
pub(crate) struct Job {
    /// The schema version of the request, which the response repeats.
    schema_version: String,
    /// The id of the invocation, which the response repeats.
    invocation_id: String,
    /// The ids of the tasks, in their order.
    task_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "invocationSchemaVersion", borrow)]
    schema_version: Option<&'a RawValue>,
    #[serde(rename = "invocationId", borrow)]
    invocation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tasks: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(rename = "taskId", borrow)]
    id: Option<&'a RawValue>,
    #[serde(rename = "s3Key", borrow)]
    key: Option<&'a RawValue>,
    #[serde(rename = "s3VersionId", borrow)]
    version_id: Option<&'a RawValue>,
    #[serde(rename = "s3BucketArn", borrow)]
    bucket_arn: Option<&'a RawValue>,
    #[serde(rename = "s3Bucket", borrow)]
    bucket: Option<&'a RawValue>,
}

/// The result of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskResult {
    /// The task is done, or there was nothing to do.
    Succeeded(String),
    /// The job tries it again.
    TemporaryFailure(String),
    /// The job reports it as failed.
    PermanentFailure(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobResponse<'a> {
    invocation_schema_version: &'a str,
    treat_missing_keys_as: &'static str,
    invocation_id: &'a str,
    results: Vec<TaskResponse<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskResponse<'a> {
    task_id: &'a str,
    result_code: &'static str,
    result_string: String,
}

impl Job {
    pub(super) fn read(payload: &str, contents: &mut Contents) -> Result<Self, UnknownEvent> {
        let malformed =
            |reason: &str| UnknownEvent::Malformed { kind: "an S3 Batch Operations invocation", reason: reason.into() };
        let request: Request<'_> = serde_json::from_str(payload).map_err(|_| malformed("`tasks` is not a list"))?;
        let named = |raw: Option<&RawValue>, field: &str| {
            raw.and_then(text)
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| malformed(&format!("it has no field `{field}`, or it is not text")))
        };
        let mut job = Self {
            schema_version: named(request.schema_version, "invocationSchemaVersion")?,
            invocation_id: named(request.invocation_id, "invocationId")?,
            task_ids: Vec::new(),
        };
        for (position, raw) in (0..).zip(request.tasks.ok_or_else(|| malformed("it has no field `tasks`"))?) {
            let origin = Origin(position);
            let task: Task<'_> = serde_json::from_str(raw.get()).map_err(|_| malformed("a task is not an object"))?;
            job.task_ids.push(named(task.id, "tasks[].taskId")?);
            match object(&task, origin) {
                Ok(object) => contents.objects.push(object),
                // There is no limit here: each task needs its result.
                Err(error) => contents.unreadable.push(UnreadableRecord {
                    origin,
                    reason: error.to_string(),
                    record: raw.get().to_owned(),
                }),
            }
        }
        Ok(job)
    }

    /// Builds the response, which has a result for every task. `treatMissingKeysAs` is required, although no task is missing.
    ///
    /// # Errors
    /// None in practice: text always serialises.
    pub(crate) fn answer(&self, result: impl Fn(Origin) -> TaskResult) -> serde_json::Result<serde_json::Value> {
        let results = (0..)
            .zip(&self.task_ids)
            .map(|(position, task_id)| {
                let (result_code, result_string) = match result(Origin(position)) {
                    TaskResult::Succeeded(text) => ("Succeeded", text),
                    TaskResult::TemporaryFailure(text) => ("TemporaryFailure", text),
                    TaskResult::PermanentFailure(text) => ("PermanentFailure", text),
                };
                TaskResponse { task_id, result_code, result_string }
            })
            .collect();
        serde_json::to_value(JobResponse {
            invocation_schema_version: &self.schema_version,
            treat_missing_keys_as: "TemporaryFailure",
            invocation_id: &self.invocation_id,
            results,
        })
    }
}

/// Why a task names no object.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("the task has neither `s3Bucket` nor `s3BucketArn`")]
    NoBucketField,
    #[error("the task names no bucket")]
    NoBucket,
    #[error("the task has no field `s3Key`, or it is not text")]
    NoKey,
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Reads the object of a task. Its key is percent-encoded; a `+` in it may be a plus or a space, which only a request to S3 decides:
/// [`spaced_key`] returns the other reading.
fn object(task: &Task<'_>, origin: Origin) -> Result<S3Object, TaskError> {
    let bucket = match (task.bucket.and_then(text), task.bucket_arn.and_then(text)) {
        (Some(bucket), _) => bucket.into_owned(),
        // `arn:aws:s3:::name`
        (None, Some(arn)) => arn.rsplit(':').next().unwrap_or_default().to_owned(),
        (None, None) => return Err(TaskError::NoBucketField),
    };
    if bucket.is_empty() {
        return Err(TaskError::NoBucket);
    }
    let key = ObjectKey::from_percent_encoded(&task.key.and_then(text).ok_or(TaskError::NoKey)?)?;
    Ok(S3Object { version_id: task.version_id.and_then(short_text), origin, ..S3Object::new(bucket, key) })
}

/// Returns a task's key with a space for each `+`; `None` if it has no `+`.
///
/// AWS's own samples decode a task's key both ways, and the documentation does not say.
#[must_use]
pub(crate) fn spaced_key(key: &ObjectKey) -> Option<ObjectKey> {
    let spaced = key.as_str().contains('+').then(|| key.as_str().replace('+', " "))?;
    ObjectKey::verbatim(spaced).ok()
}
