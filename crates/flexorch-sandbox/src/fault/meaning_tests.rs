use super::super::keys::{FAULT_KEYS, ROLES};
use super::*;

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

fn error(text: &str) -> String {
    text.parse::<Fault>().unwrap_err().to_string()
}

#[test]
fn flags_say_what_happens_and_to_which_requests() {
    assert_eq!(fault("status=503,times=3"), Fault::status(503).times(3));
    assert_eq!(fault("hang"), Fault::new(Effect::Hang));
    assert_eq!(fault("reset,processed"), Fault { processed: true, ..Fault::new(Effect::Reset) });
    assert_eq!(fault("latency=2s").latency, Duration::from_secs(2));
    assert_eq!(fault("latency=1h").latency, fault("latency=PT60M").latency);
    assert_eq!(fault("random=0.2,status=503").filter.random, Some(0.2));
    let filter = Filter { key: Some(WildMatch::new("*.bad*")), after: 1, ..Filter::default() };
    assert_eq!(fault("key=*.bad*,status=415,after=1"), Fault { filter, ..Fault::status(415) });
    let Effect::Reject { files, code } = fault("reject=*.exe,code=FILE_TOO_LARGE").effect else {
        panic!("not a rejection")
    };
    assert!(files.matches("a.exe"));
    assert_eq!(code, "FILE_TOO_LARGE");
}

#[test]
fn a_comma_in_a_value_is_escaped() {
    let Effect::Respond(response) = fault(r#"status=200,body={"a":1\,"b":2},content-type=text/html"#).effect else {
        panic!("not a response")
    };
    assert_eq!(response.body.as_deref(), Some(r#"{"a":1,"b":2}"#));
    assert_eq!(response.content_type.as_deref(), Some("text/html"));
}

#[test]
fn what_would_be_ignored_or_is_not_understood_is_an_error() {
    assert!(error("").contains("does not say what goes wrong"));
    assert!(error("times=3").contains("does not say what goes wrong"));
    assert!(error("hang,reset").contains("hang and reset"));
    assert!(error("hang,retry-after=3").contains("retry-after means nothing without status"));
    assert!(error("latency=1s,code=X").contains("without status or reject"));
    assert!(error("stauts=503").contains("no \"stauts\""));
    assert!(error("status=99").contains("200 to 599"));
    assert!(error("status=abc").contains("status=\"abc\""));
    assert!(error("random=2,hang").contains("from 0 to 1"));
    assert!(error("random=NaN,hang").contains("from 0 to 1"));
    assert!(error("latency=2").contains("1m or 1h"));
    assert!(error("latency=-2s").contains("1m or 1h"));
    assert!(error("latency=99999999999999999999s").contains("250ms"));
    assert!(error("status=302,header=Location").contains("Name: value"));
    assert!(error("hang=maybe").contains("true or false"));
}

#[test]
fn json_and_back_keeps_the_meaning() {
    for text in [
        "status=503,times=3,latency=1500ms",
        "status=429,code=QUOTA_EXCEEDED,retry-after=30",
        "status=302,header=Location: https://example.com/,header=X-A: b",
        "hang,connector=42",
        "reset,random=0.5,processed",
        "truncate,path=/jobs/*,method=GET",
        "endless,after=2",
        "reject=*.exe",
        "fail-job=*.pdf,reason=encrypted",
        "latency=2s,key=a*",
    ] {
        let fault = fault(text);
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault, "{json}");
    }
}

#[test]
fn json_takes_numbers_and_both_spellings_and_refuses_the_unknown() {
    let fault: Fault = serde_json::from_str(r#"{"status": 429, "retry_after": 30, "times": 1}"#).unwrap();
    let Effect::Respond(response) = fault.effect else { panic!("not a response") };
    assert_eq!(response.retry_after.as_deref(), Some("30"));
    let fault: Fault = serde_json::from_str(r#"{"hang": true, "connector": 42}"#).unwrap();
    assert_eq!(fault.filter.connector.as_deref(), Some("42"));
    assert!(serde_json::from_str::<Fault>(r#"{"status": 429, "tims": 1}"#).is_err());
    assert!(serde_json::from_str::<Fault>(r#"{"times": 1}"#).is_err());
}

/// A fault for each key, in which the key makes a difference.
const SAMPLES: [&str; 23] = [
    "status=503",
    "status=429,code=QUOTA_EXCEEDED",
    "status=429,message=later",
    "status=200,body=text",
    "status=200,content-type=text/html",
    "status=429,retry-after=30",
    "status=302,header=X-A: b",
    "hang",
    "reset",
    "truncate",
    "endless",
    "reject=*.exe",
    "fail-job=*.pdf",
    "fail-job=*.pdf,reason=encrypted",
    "latency=2s",
    "reset,processed",
    "hang,key=a*",
    "hang,connector=42",
    "hang,path=/jobs/*",
    "hang,method=GET",
    "hang,after=1",
    "hang,times=1",
    "hang,random=0.5",
];

#[test]
fn every_key_is_written_and_read_in_all_forms() {
    assert_eq!((FAULT_KEYS.len(), ROLES.len()), (SAMPLES.len(), SAMPLES.len()));
    for (key, text) in FAULT_KEYS.iter().zip(SAMPLES) {
        let fault = fault(text);
        let written = serde_json::to_value(&fault).unwrap();
        assert!(written.get(key).is_some(), "{key} is missing in {written}");
        assert_eq!(serde_json::from_value::<Fault>(written).unwrap(), fault, "{text}");
        let others = text.split(',').filter(|part| part.split('=').next() != Some(key)).collect::<Vec<_>>().join(",");
        assert_ne!(others.parse(), Ok(fault), "{text} means the same without {key}");
    }
}

#[test]
fn the_errors_and_the_documentation_name_every_key() {
    let error = error("stauts=503");
    let source = include_str!("definition.rs");
    let (_, documentation) = source.split_once("/// A fault, and the requests that it concerns.").unwrap();
    let (documentation, _) = documentation.split_once("pub struct Fault {").unwrap();
    for key in FAULT_KEYS {
        let named = |text: &str| text.split(|c: char| !c.is_ascii_alphabetic() && c != '-').any(|word| word == *key);
        assert!(named(&error), "{key} is missing in {error}");
        assert!(named(documentation), "{key} is missing in the documentation of Fault");
    }
}
