//! What the table says of one object: when it was submitted, how its job ended, and why.

use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};

use super::super::check::{Check, Fix};
use super::super::commands::{Commands, quoted};
use super::super::function::Function;
use super::super::name;
use super::super::object::list_neighbours;
use crate::args::DocumentSelection;
use crate::aws_failure::AwsFailure;
use crate::text::counted;
use crate::tracking::{Order, Record, Records, Selection, State};
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};

/// A document that is open longer than this is pointed out. The template's sweep asks for it every 15 minutes.
const LONG: SignedDuration = SignedDuration::from_hours(24);

/// Reads the records of an object's versions, newest first.
pub(super) async fn read(
    client: Client,
    table: &str,
    bucket: &str,
    key: &ObjectKey,
) -> Result<Vec<Record>, AwsFailure> {
    let document = DocumentSelection {
        key: Some(key.as_str().to_owned()),
        bucket: Some(bucket.to_owned()),
        ..DocumentSelection::default()
    };
    let selection = Selection::new(&document, Vec::new(), None, Timestamp::UNIX_EPOCH);
    let mut records = Records::new(client, table, selection, Order::NewestFirst);
    let mut all = Vec::new();
    while let Some(record) = records.next().await? {
        all.push(record);
    }
    Ok(all)
}

/// The object as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Current<'a> {
    /// It could not be read.
    Unknown,
    /// It does not exist.
    Absent,
    Is(&'a S3Object),
}

impl Current<'_> {
    /// Returns the newest record that may be of the current version; of records, the newest come first.
    pub(super) fn record<'r>(&self, records: &'r [Record]) -> Option<&'r Record> {
        records.iter().find(|record| !self.is_other_version(record))
    }

    /// Returns whether a record is known to be of another version than the current one.
    fn is_other_version(&self, record: &Record) -> bool {
        let Self::Is(object) = self else { return false };
        let current = [&object.version_id, &object.etag].into_iter().flatten();
        let mut current = current.map(AsRef::as_ref).peekable();
        current.peek().is_some() && record.version != "-" && !current.any(|version| version == record.version)
    }
}

/// What the check needs apart from the records.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordContext<'a> {
    pub(super) ingester: &'a str,
    /// How many receipts wait, if known.
    pub(super) waiting: Option<u64>,
    pub(super) outcomes: Option<&'a Function>,
    pub(super) secret: &'a str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) current: Current<'a>,
    pub(super) commands: &'a Commands,
}

impl RecordContext<'_> {
    /// Checks the record of the current version, or else the newest, which comes first.
    pub(super) fn check(&self, records: &[Record], now: Timestamp) -> Check {
        let of_current = self.current.record(records);
        let Some(record) = of_current.or(records.first()) else { return self.unrecorded() };
        let found = self.describe(record, records.len());
        if of_current.is_none() {
            let fix = self.submit("if this version stays missing, submit it; FlexOrch recognizes known content");
            return Check::warning(
                name::OBJECT_RECORD,
                format!("the current version has no record; an earlier one: {found}"),
                fix,
            );
        }
        if matches!((self.current, record.state), (Current::Absent, State::Failed | State::Rejected)) {
            let versions = self.commands.aws(format_args!(
                "s3api list-object-versions --bucket {} --prefix {}",
                quoted(self.bucket),
                quoted(self.key)
            ));
            return Check::failed(
                name::OBJECT_RECORD,
                format!("{found}; the object was deleted since, so it cannot be submitted again"),
                Fix::new(
                    "fix the cause, then upload it again, which submits it; to list its versions, if the bucket keeps them",
                    versions,
                ),
            );
        }
        match record.state {
            State::Processed if record.unpublished => Check::warning(
                name::OBJECT_RECORD,
                found,
                Fix::new("the next sweep publishes it; if not, the outcomes function's log says why", self.log()),
            ),
            State::Processed => Check::well(name::OBJECT_RECORD, found),
            State::Submitted if age(record, now).is_some_and(|age| age > LONG) => Check::warning(
                name::OBJECT_RECORD,
                format!("{found}, for longer than a day"),
                Fix::new(
                    format!(
                        "look up {} at FlexOrch; the sweep asks for it until its record expires (RECORD_DAYS), and the outcomes function's \
                         log says whether it does",
                        record.job_id.as_ref().map_or_else(|| "the document".to_owned(), |id| format!("job {id}"))
                    ),
                    self.log(),
                ),
            ),
            State::Submitted => Check::well(name::OBJECT_RECORD, found),
            State::Failed => Check::failed(
                name::OBJECT_RECORD,
                found,
                Fix::new(
                    "fix the cause, then submit it again",
                    self.commands.own(format_args!(
                        "resubmit --function {} --bucket {} --key {}",
                        quoted(self.ingester),
                        quoted(self.bucket),
                        quoted(self.key)
                    )),
                ),
            ),
            State::Rejected => Check::failed(
                name::OBJECT_RECORD,
                found,
                self.submit("FlexOrch refuses this file: replace it, which submits it; or submit it again once FlexOrch takes it"),
            ),
        }
    }

    fn unrecorded(&self) -> Check {
        if let Current::Absent = self.current {
            return Check::warning(
                name::OBJECT_RECORD,
                "no record, and no such object",
                Fix::new(
                    "upload it, or check the spelling of the key; to list the keys next to it",
                    list_neighbours(self.bucket, self.key, self.commands),
                ),
            );
        }
        let waiting = match self.waiting {
            Some(0) => String::new(),
            Some(number) => format!("; its receipt may be among the {number} that wait"),
            None => "; whether its receipt waits is not known".to_owned(),
        };
        Check::warning(
            name::OBJECT_RECORD,
            format!("no record: it was not submitted since tracking is on, or its record has expired{waiting}"),
            self.submit("if it is missing at FlexOrch, submit it again; FlexOrch recognizes known content"),
        )
    }

    /// Describes a record in a sentence.
    fn describe(&self, record: &Record, versions: usize) -> String {
        let job =
            record.job_id.as_ref().map_or_else(|| "a job whose id is not known".to_owned(), |id| format!("job {id}"));
        let known = |before: &str, value: &Option<String>| value.as_ref().map(|value| format!("{before}{value}"));
        let uploaded = known("uploaded ", &record.event_time);
        let submitted = known("submitted ", &record.submitted_at).map(|at| match record.state {
            State::Rejected => at,
            _ => format!("{at} as {job}"),
        });
        let end = match record.state {
            State::Submitted => "open: its job has not ended".to_owned(),
            State::Processed => {
                let grade = known(", grade ", &record.quality_grade).unwrap_or_default();
                let findings = record
                    .pii_findings_count
                    .map(|count| format!(", {} of personal data", counted(count, "finding")))
                    .unwrap_or_default();
                format!("processed {}{grade}{findings}", record.changed_at)
            }
            State::Failed | State::Rejected => {
                let why = record.why().unwrap_or_else(|| "FlexOrch gave no reason".to_owned());
                format!("{} {}: {why}", record.state.word(), record.changed_at)
            }
        };
        let published = match (record.state, record.unpublished) {
            (State::Submitted, _) => None,
            (_, true) => Some("not published yet".to_owned()),
            (_, false) => Some("published".to_owned()),
        };
        let others = (versions > 1).then(|| format!("also recorded: {}", counted(versions - 1, "other version")));
        let parts = [uploaded, submitted, Some(end), published, others];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn submit(&self, action: &str) -> Fix {
        Fix::new(action, self.commands.submit(self.secret, Some(self.ingester), self.key))
    }

    fn log(&self) -> String {
        match self.outcomes {
            Some(function) => function.log_command(self.commands),
            None => self.commands.own(format_args!(
                "history --function {} --key {}",
                quoted(self.ingester),
                quoted(self.key)
            )),
        }
    }
}

/// Returns how long ago a record changed, if its time can be read.
fn age(record: &Record, now: Timestamp) -> Option<SignedDuration> {
    Some(now.duration_since(record.changed_at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn record(state: State, version: &str) -> Record {
        Record {
            document: "docs/in/a.pdf".into(),
            version: version.into(),
            state,
            job_id: Some("j-1".into()),
            changed_at: "2026-11-24T07:00:00.000Z".into(),
            connector: None,
            connector_id: None,
            event_time: None,
            submitted_at: Some("2026-11-24T06:59:00.000Z".into()),
            quality_grade: Some("A".into()),
            pii_findings_count: Some(2),
            failure_reason: Some("cannot be read".into()),
            code: None,
            expires_at: None,
            unpublished: false,
        }
    }

    fn check(records: &[Record], current: Option<&str>) -> Check {
        let object = current.map(|etag| S3Object {
            etag: Some(etag.into()),
            ..S3Object::new("docs", ObjectKey::verbatim("in/a.pdf").unwrap())
        });
        let context = RecordContext {
            ingester: "ingest",
            waiting: Some(1),
            outcomes: None,
            secret: "docs",
            bucket: "docs",
            key: "in/a.pdf",
            current: object.as_ref().map_or(Current::Unknown, Current::Is),
            commands: &Commands::default(),
        };
        context.check(records, "2026-11-24T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn each_state_is_described_with_its_job_and_what_to_do() {
        let processed = check(&[record(State::Processed, "-")], None);
        assert_eq!(processed.status(), Status::Well);
        assert_eq!(
            processed.found,
            "submitted 2026-11-24T06:59:00.000Z as job j-1; processed 2026-11-24T07:00:00.000Z, grade A, 2 findings of personal data; \
             published"
        );
        let failed = check(&[record(State::Failed, "-")], None);
        assert!(failed.status() == Status::Failed && failed.found.contains("cannot be read"), "{}", failed.found);
        assert_eq!(
            failed.command.as_deref(),
            Some("flexorch-s3 resubmit --function ingest --bucket docs --key in/a.pdf")
        );
        assert_eq!(check(&[record(State::Submitted, "-")], None).status(), Status::Well);
        let old = Record { changed_at: "2026-11-22T07:00:00.000Z".into(), ..record(State::Submitted, "-") };
        let old = check(&[old], None);
        assert!(old.status() == Status::Warning && old.action.unwrap().contains("look up job j-1 at FlexOrch"));
        let unpublished = Record { unpublished: true, ..record(State::Processed, "-") };
        assert_eq!(check(&[unpublished], None).status(), Status::Warning);
        let none = check(&[], None);
        assert!(none.status() == Status::Warning && none.found.contains("among the 1 that wait"), "{}", none.found);
    }

    #[test]
    fn one_of_a_thing_is_no_plural() {
        let found = |findings: u64, versions: usize| {
            let record = Record { pii_findings_count: Some(findings), ..record(State::Processed, "-") };
            check(&vec![record; versions], None).found
        };
        assert!(found(1, 2).contains(", 1 finding of personal data; published; also recorded: 1 other version"));
        assert!(found(0, 3).ends_with(", 0 findings of personal data; published; also recorded: 2 other versions"));
    }

    #[test]
    fn a_record_of_an_earlier_version_says_nothing_of_the_current_one() {
        assert_eq!(check(&[record(State::Processed, "e1")], Some("e1")).status(), Status::Well);
        let both = check(&[record(State::Failed, "e1"), record(State::Processed, "e2")], Some("e2"));
        assert_eq!(both.status(), Status::Well, "the earlier version's job may end later");
        let other = check(&[record(State::Processed, "e1")], Some("e2"));
        assert!(other.status() == Status::Warning && other.found.contains("earlier one"), "{}", other.found);
        assert_eq!(
            check(&[record(State::Processed, "-")], Some("e2")).status(),
            Status::Well,
            "its version is not known"
        );
    }
}
