use super::*;
use crate::args::ScopeOptions;
use crate::backfill::scope::TypedScope;

fn header() -> Header {
    let scope = TypedScope::new("p/", &ScopeOptions::default()).unwrap();
    let identity = Identity {
        bucket: "b".into(),
        connector_id: "42".into(),
        flexorch_url: "https://api.flexorch.com/v1".into(),
        queue: None,
        scope,
    };
    let begun = "2026-01-31T00:00:00Z".parse().unwrap();
    Header { identity, modified_since: None, modified_until: None, begun }
}

fn chunk(after: Option<&str>, through: Option<&str>) -> Line {
    let settled = Settled { forwarded: 2, open: vec!["ü\n".into()], ..Settled::default() };
    let own = |key: Option<&str>| key.map(str::to_owned);
    Line::Chunk { after: own(after), through: own(through), listed: 3, skipped: [].into(), settled }
}

#[test]
fn what_was_written_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    assert!(Journal::find(&path).unwrap().is_none());
    let mut journal = Journal::create(&path, &header()).unwrap();
    journal.add(&chunk(None, Some("k"))).unwrap();
    drop(journal);
    let found = Journal::find(&path).unwrap().unwrap();
    assert_eq!((found.header, found.replay.tally.forwarded, found.replay.open_keys()), (header(), 2, 1));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&KIND.mark()));
}

#[test]
fn two_runs_cannot_share_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    let _journal = Journal::create(&path, &header()).unwrap();
    assert!(Journal::find(&path).unwrap_err().to_string().contains("another backfill"));
}

#[test]
fn a_torn_last_line_is_cut_off_wherever_it_was_torn_and_the_next_one_stands_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    let mut journal = Journal::create(&path, &header()).unwrap();
    journal.add(&chunk(None, Some("k"))).unwrap();
    let before = std::fs::read(&path).unwrap();
    journal.add(&chunk(Some("k"), Some("l"))).unwrap();
    let whole = std::fs::read(&path).unwrap();
    drop(journal);
    for length in before.len() + 1..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut found = Journal::find(&path).unwrap().unwrap();
        assert_eq!(found.replay.lines, 1, "{length}");
        found.journal.add(&chunk(Some("k"), Some("l"))).unwrap();
        found.journal.sync().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole, "{length}");
    }
}

#[test]
fn a_damaged_line_and_another_file_are_errors_that_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    let mut journal = Journal::create(&path, &header()).unwrap();
    journal.add(&chunk(None, Some("k"))).unwrap();
    drop(journal);
    let text = std::fs::read_to_string(&path).unwrap();
    for (contents, told) in [
        (format!("{text}rubbish\n{}", text.lines().nth(1).unwrap()), "damaged in line 3"),
        ("my diary\n".to_owned(), "not a backfill journal"),
        ("my diary".to_owned(), "not a backfill journal"),
        (text.replace("\"version\":1", "\"version\":9"), "format version 9"),
    ] {
        std::fs::write(&path, &contents).unwrap();
        let error = format!("{:#}", Journal::find(&path).unwrap_err());
        assert!(error.contains(told), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), contents);
    }
}

#[test]
fn something_else_than_a_file_is_left_unchanged() {
    let error = Journal::find(Path::new("/dev/null")).unwrap_err().to_string();
    assert!(error.contains("not a regular file") && Path::new("/dev/null").exists(), "{error}");
}

#[test]
fn an_unfinished_first_line_counts_as_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    drop(Journal::create(&path, &header()).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    for length in [0, 5, 60] {
        std::fs::write(&path, &text[..length]).unwrap();
        assert!(Journal::find(&path).unwrap().is_none());
        assert!(!path.exists());
    }
}

#[test]
fn a_journal_without_results_is_removed_by_the_run_that_created_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.jsonl");
    Journal::create(&path, &header()).unwrap().discard_if_new();
    assert!(!path.exists());
    let mut journal = Journal::create(&path, &header()).unwrap();
    journal.add(&chunk(None, None)).unwrap();
    journal.discard_if_new();
    assert!(path.exists());
}
