//! The record of one version of a document: what the table holds, what an event's detail shows.

use flexorch_s3_ingester::model::credentials::ConnectorId;
use jiff::Timestamp;
use serde::Serialize;

use crate::schema::{NO_VERSION, State, iso};

/// The table's key: one version of one document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordKey {
    /// `<bucket>/<key>`.
    pub(crate) document: String,
    /// The version id, else the `ETag`, else `-`.
    pub(crate) version: String,
}

impl RecordKey {
    /// Returns the key of an object.
    pub(crate) fn new(bucket: &str, key: &str, version_id: Option<&str>, etag: Option<&str>) -> Self {
        let version = [version_id, etag].into_iter().flatten().find(|version| !version.is_empty());
        Self { document: format!("{bucket}/{key}"), version: version.unwrap_or(NO_VERSION).to_owned() }
    }
}

/// The record of one version of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// The table's key.
    pub(crate) key: RecordKey,
    /// What is known to have happened to it.
    pub(crate) state: State,
    /// Its job at FlexOrch, always text.
    pub(crate) job_id: Option<String>,
    /// When the state began: the submission's time, or when this function learned of the job's end.
    pub(crate) changed_at: Timestamp,
    /// The connector's secret, a name or an ARN.
    pub(crate) connector: Option<String>,
    /// The connector's id at FlexOrch, as received.
    pub(crate) connector_id: Option<ConnectorId>,
    /// When S3 saw the upload, as received.
    pub(crate) event_time: Option<String>,
    /// When FlexOrch first took the document as this job, or rejected it.
    pub(crate) submitted_at: Timestamp,
    /// When the latest receipt of this job, or of the rejection, says so: a receipt of another job replaces the record only if it is
    /// later.
    pub(crate) resubmitted_at: Timestamp,
    /// When FlexOrch last took the document without naming the job: only a later rejection counts.
    pub(crate) duplicate_at: Option<Timestamp>,
    /// The latest job before the rejection: a duplicate after it means this job again.
    pub(crate) earlier_job: Option<EarlierJob>,
    /// FlexOrch's grade, such as `A`.
    pub(crate) quality_grade: Option<String>,
    /// How many findings of personal data FlexOrch reports.
    pub(crate) pii_findings_count: Option<u64>,
    /// Why it failed or was rejected, without secrets.
    pub(crate) failure_reason: Option<String>,
    /// FlexOrch's code of the rejection.
    pub(crate) code: Option<String>,
    /// When the table may delete it, in seconds since 1970.
    pub(crate) expires_at: i64,
    /// The state has not been published.
    pub(crate) unpublished: bool,
    /// When FlexOrch was last asked for the job.
    pub(crate) asked_at: Option<Timestamp>,
    /// When a sweep gave it up.
    pub(crate) abandoned_at: Option<Timestamp>,
}

/// The job of a document that was rejected afterwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EarlierJob {
    /// When the latest receipt of the job says that FlexOrch took the document.
    pub(crate) submitted_at: Timestamp,
    /// The job's id.
    pub(crate) id: String,
}

/// The detail of an event: the record's attributes, without this function's private ones.
#[derive(Debug, Serialize)]
pub(crate) struct Detail<'a> {
    document: &'a str,
    version: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<&'a str>,
    changed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connector_id: Option<&'a ConnectorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<&'a str>,
    submitted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_grade: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pii_findings_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    expires_at: i64,
}

impl Record {
    /// Returns the detail of the event that announces its state.
    pub(crate) fn detail(&self) -> Detail<'_> {
        Detail {
            document: &self.key.document,
            version: &self.key.version,
            state: self.state.name(),
            job_id: self.job_id.as_deref(),
            changed_at: iso(self.changed_at),
            connector: self.connector.as_deref(),
            connector_id: self.connector_id.as_ref(),
            event_time: self.event_time.as_deref(),
            submitted_at: iso(self.submitted_at),
            quality_grade: self.quality_grade.as_deref(),
            pii_findings_count: self.pii_findings_count,
            failure_reason: self.failure_reason.as_deref(),
            code: self.code.as_deref(),
            expires_at: self.expires_at,
        }
    }

    /// Whether its job failed for a reason that is not known.
    pub(crate) fn lacks_reason(&self) -> bool {
        self.state == State::Failed && self.failure_reason.is_none()
    }

    /// Returns when FlexOrch last took the document, whatever it said about the job.
    pub(crate) fn accepted_at(&self) -> Timestamp {
        self.duplicate_at.map_or(self.resubmitted_at, |duplicate| duplicate.max(self.resubmitted_at))
    }

    /// Returns the milliseconds from the S3 event until the job was known to be processed; `None` if that is unknown.
    pub(crate) fn processing_lag(&self) -> Option<u64> {
        let seen: Timestamp = self.event_time.as_deref()?.parse().ok()?;
        u64::try_from(self.changed_at.as_millisecond() - seen.as_millisecond()).ok()
    }
}

/// Cuts a time to the milliseconds that the table keeps.
pub(crate) fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record of `documents/a.pdf`, submitted as `j-1` at the beginning of 2026.
    pub(crate) fn record() -> Record {
        let submitted_at = "2026-01-01T00:00:00Z".parse().unwrap();
        Record {
            key: RecordKey::new("documents", "a.pdf", Some("v-1"), None),
            state: State::Submitted,
            job_id: Some("j-1".into()),
            changed_at: submitted_at,
            connector: Some("connector".into()),
            connector_id: ConnectorId::from_json(&serde_json::value::to_raw_value(&42).unwrap()),
            event_time: None,
            submitted_at,
            resubmitted_at: submitted_at,
            duplicate_at: None,
            earlier_job: None,
            quality_grade: None,
            pii_findings_count: None,
            failure_reason: None,
            code: None,
            expires_at: 1_800_000_000,
            unpublished: false,
            asked_at: None,
            abandoned_at: None,
        }
    }

    #[test]
    fn a_version_is_the_version_id_else_the_etag_else_a_hyphen() {
        let version = |id, etag| RecordKey::new("b", "k/x.pdf", id, etag).version;
        assert_eq!(version(Some("v"), Some("e")), "v");
        assert_eq!(version(None, Some("e")), "e");
        assert_eq!(version(Some(""), None), "-");
        assert_eq!(RecordKey::new("b", "k/x.pdf", None, None).document, "b/k/x.pdf");
    }

    #[test]
    fn times_are_written_with_milliseconds_so_that_text_order_is_time_order() {
        for (time, text) in [
            ("2026-11-24T07:00:00Z", "2026-11-24T07:00:00.000Z"),
            ("2026-11-24T07:00:00.1Z", "2026-11-24T07:00:00.100Z"),
            ("2026-11-24T08:00:00.123999+01:00", "2026-11-24T07:00:00.123Z"),
        ] {
            assert_eq!(iso(in_milliseconds(time.parse().unwrap())), text);
        }
    }

    #[test]
    fn the_detail_of_an_event_has_the_known_attributes_and_no_private_one() {
        let record = Record { unpublished: true, asked_at: Some(record().submitted_at), ..record() };
        let detail = serde_json::to_value(record.detail()).unwrap();
        assert_eq!(
            detail,
            serde_json::json!({
                "document": "documents/a.pdf", "version": "v-1", "state": "submitted", "job_id": "j-1",
                "changed_at": "2026-01-01T00:00:00.000Z", "connector": "connector", "connector_id": 42,
                "submitted_at": "2026-01-01T00:00:00.000Z", "expires_at": 1_800_000_000,
            })
        );
    }

    #[test]
    fn the_processing_lag_counts_from_the_s3_event() {
        let lag = |event_time: &str| Record { event_time: Some(event_time.into()), ..record() }.processing_lag();
        assert_eq!(lag("2025-12-31T23:59:58.500Z"), Some(1_500));
        assert_eq!((lag("later"), lag("2026-02-01T00:00:00Z"), record().processing_lag()), (None, None, None));
    }
}
