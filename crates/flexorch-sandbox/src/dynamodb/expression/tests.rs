//! Conditions, parsed and applied to items.

use serde_json::{Value as Json, json};

use super::super::value::{Item, item_from_plain};
use super::*;
use crate::aws::error::AwsError;

fn item(json: &Json) -> Item {
    item_from_plain(json.as_object().unwrap()).unwrap()
}

/// The names and values of every test: `#state` and `#dotted`; `:s`, `:t`, `:n`, `:m`, `:yes`, `:list`.
fn placeholders() -> Placeholders {
    let names = [("#state", "state"), ("#dotted", "a.b")].map(|(key, name)| (key.to_owned(), name.to_owned()));
    let values = json!({":s": "failed", ":t": "fail", ":n": 2, ":m": 10, ":yes": true, ":list": ["a"]});
    Placeholders::new(names.into(), item(&values)).unwrap()
}

fn parse(text: &str) -> Result<Condition, AwsError> {
    condition(text, "FilterExpression", &mut placeholders())
}

#[test]
fn conditions_hold_for_the_items_that_meet_them() {
    let failed = item(&json!({"state": "failed", "count_of": 2, "tags": ["a"], "a.b": 2, "unsent": true}));
    for (text, holds) in [
        ("#state = :s", true),
        ("#state = :t", false),
        ("#state = :n", false),
        ("begins_with(#state, :t)", true),
        ("begins_with(#state, :s) and begins_with (#state,:t)", true),
        ("begins_with(count_of, :t)", false),
        ("contains(#state, :t)", true),
        ("contains(tags, :t)", false),
        ("attribute_exists(#state)", true),
        ("attribute_not_exists(#state)", false),
        ("attribute_not_exists(absent)", true),
        ("attribute_exists(#state) AND attribute_not_exists(absent)", true),
        ("attribute_exists(#state) AND attribute_exists(absent)", false),
        ("#dotted = :n", true),
        ("tags = :list", true),
        ("unsent = :yes", true),
        ("revision = :n", false),
        ("revision < :n", false),
        ("count_of BETWEEN :n AND :m AND #state = :s", true),
        ("count_of BETWEEN :m AND :n", false),
        ("count_of > :n", false),
        ("count_of >= :n", true),
        ("count_of < :m", true),
        ("count_of <= :n", true),
        ("#state > :n", false),
    ] {
        assert_eq!(parse(text).unwrap().holds(&failed), holds, "{text}");
    }
}

#[test]
fn a_wrong_expression_is_refused_with_a_message_that_names_it() {
    for (text, part) in [
        ("", "can not be empty"),
        ("state = :s", "reserved keyword: state"),
        ("#state = :missing", "attribute value: :missing"),
        ("#missing = :s", "attribute name: #missing"),
        ("#state = ", "token: \"<EOF>\""),
        ("#state :s", "token: \":s\""),
        ("#state = :s)", "token: \")\""),
        ("(#state = :s", "token: \"(\""),
        ("#state == :s", "token: \"=\""),
        ("#state <> :s", "token: \">\""),
        ("#state = :s OR #state = :t", "token: \"OR\""),
        ("#state = 'failed'", "token: \"'\""),
        ("#state", "token: \"<EOF>\""),
        ("exists(#state)", "function: exists"),
        ("begins_with(#state)", "token: \")\""),
        ("#state BETWEEN :n OR :m", "token: \"OR\""),
        ("#state = :", "token: \":\""),
        ("#state < :yes", "operand type: BOOL"),
        ("#state BETWEEN :list AND :n", "operand type: L"),
        ("begins_with(#state, :n)", "operand type: N"),
    ] {
        let message = parse(text).unwrap_err().message;
        assert!(message.starts_with("Invalid FilterExpression: ") && message.contains(part), "{text}: {message}");
    }
}

#[test]
fn placeholders_must_be_named_with_their_sign_and_be_used() {
    let mut placeholders = placeholders();
    condition("#state = :s", "FilterExpression", &mut placeholders).unwrap();
    let unused = placeholders.check_all_used().unwrap_err().message;
    assert!(unused.contains("ExpressionAttributeNames") && unused.contains("#dotted"), "{unused}");
    assert!(Placeholders::new([("state".to_owned(), "state".to_owned())].into(), Item::new()).is_err());
    assert!(Placeholders::new([].into(), item(&json!({"s": 1}))).is_err());
}

#[test]
fn a_key_condition_is_a_partition_and_at_most_one_condition_on_the_sort_key() {
    let key = |text: &str| KeyCondition::new(parse(text)?, &["state", "changed_at"]);
    let matched = |text: &str| key(text).unwrap().holds(&item(&json!({"state": "failed", "changed_at": "failing"})));
    assert!(matched("#state = :s"));
    assert!(!matched("#state = :t"));
    assert!(matched("begins_with(changed_at, :t) AND #state = :s"));
    assert!(!matched("#state = :s AND changed_at < :t"));
    assert!(!matched("#state = :s AND changed_at BETWEEN :t AND :s"));
    for wrong in [
        "changed_at = :s",
        "#state > :s",
        "#state = :s AND other = :t",
        "#state = :s AND changed_at > :s AND changed_at < :t",
        "#state = :s AND attribute_exists(changed_at)",
        "#state = :s AND #state = :t",
    ] {
        assert!(key(wrong).is_err(), "{wrong}");
    }
    assert!(KeyCondition::new(parse("changed_at = :s").unwrap(), &["changed_at"]).is_ok());
}
