//! Expressions, parsed and applied to items.

use serde_json::{Value as Json, json};

use super::super::error::DynamoError;
use super::super::value::{Item, item_from_plain, plain_item};
use super::*;

fn item(json: &Json) -> Item {
    item_from_plain(json.as_object().unwrap()).unwrap()
}

/// The names and values of every test: `#state`, and `:s`, `:t`, `:n`, `:m`, `:list`.
fn placeholders() -> Placeholders {
    let names = [("#state", "state"), ("#dotted", "a.b")].map(|(key, name)| (key.to_owned(), name.to_owned()));
    let values = json!({":s": "failed", ":t": "fail", ":n": 2, ":m": 10, ":yes": true, ":list": ["a"]});
    Placeholders::new(names.into(), item(&values)).unwrap()
}

fn parse(text: &str) -> Result<Condition, DynamoError> {
    condition(text, "FilterExpression", &mut placeholders())
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().message
}

#[test]
fn conditions_hold_for_the_items_that_meet_them() {
    let failed = item(
        &json!({"state": "failed", "count": 9, "tags": ["a", "b"], "nested": {"x": {"y": 2}}, "a.b": 2, "unsent": true}),
    );
    for (text, holds) in [
        ("#state = :s", true),
        ("#state <> :s", false),
        (":s = #state", true),
        ("begins_with(#state, :t)", true),
        ("begins_with(#state, :s) and begins_with (:s,:t)", true),
        ("attribute_exists(#state)", true),
        ("attribute_not_exists(#state)", false),
        ("attribute_not_exists(absent)", true),
        ("attribute_exists(nested.x.y)", true),
        ("nested.x.y = :n", true),
        ("tags[1] = tags[0]", false),
        ("contains(tags, :t)", false),
        ("size(tags) = :n", true),
        ("#dotted = :n", true),
        ("revision = :n", false),
        ("revision <> :n", true),
        ("revision < :n", false),
        ("NOT revision < :n", true),
        ("unsent = :yes", true),
        ("#state IN (:t, :s)", true),
        ("#state IN (:t)", false),
        ("nested.x.y BETWEEN :n AND :m AND #state = :s", true),
        ("nested.x.y > :n", false),
        ("nested.x.y >= :n", true),
        ("nested.x.y < :m", true),
        ("nested.x.y <= :n", true),
        ("#state > :n", false),
    ] {
        assert_eq!(parse(text).unwrap().holds(&failed), holds, "{text}");
    }
}

#[test]
fn and_binds_before_or_not_before_and_and_parentheses_before_all() {
    let nothing = Item::new();
    let (yes, no) = ("attribute_not_exists(x)", "attribute_exists(x)");
    for (text, holds) in [
        (format!("{yes} OR {yes} AND {no}"), true),
        (format!("({yes} OR {yes}) AND {no}"), false),
        (format!("NOT {no} AND {no}"), false),
        (format!("NOT ({no} AND {no})"), true),
        (format!("(({no}) AND ({no}) OR {yes})"), true),
        (format!("(({no} OR {yes}) AND ({yes}))"), true),
        (format!("not not {yes} or {no}"), true),
    ] {
        assert_eq!(parse(&text).unwrap().holds(&nothing), holds, "{text}");
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
        ("(#state = :s", "token: \"<EOF>\""),
        ("#state == :s", "token: \"=\""),
        ("#state = 'failed'", "token: \"'\""),
        ("#state", "token: \"<EOF>\""),
        ("exists(#state)", "function: exists"),
        ("begins_with(#state)", "token: \")\""),
        ("#state BETWEEN :n OR :m", "token: \"OR\""),
        ("#state = :", "token: \":\""),
        ("#state < :yes", "operand type: BOOL"),
        ("#state BETWEEN :list AND :n", "operand type: L"),
        ("begins_with(#state, :n)", "operand type: N"),
        ("#state = #state", "must be distinct"),
        ("((#state = :s))", "redundant parentheses"),
        ("(#state = :s AND ((#state = :t OR #state = :n)))", "redundant parentheses"),
    ] {
        let message = message(text);
        assert!(message.starts_with("Invalid FilterExpression: ") && message.contains(part), "{text}: {message}");
    }
    assert!(message(&format!("{}#state = :s", "(".repeat(5_000))).contains("nested too deeply"));
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
    let key = |text: &str| KeyCondition::new(parse(text)?, "state", Some("changed_at"));
    let matched = |text: &str| key(text).unwrap().holds(&item(&json!({"state": "failed", "changed_at": "failing"})));
    assert!(matched("#state = :s"));
    assert!(matched("begins_with(changed_at, :t) AND #state = :s"));
    assert!(!matched("#state = :s AND changed_at < :t"));
    assert!(matched("#state = :s AND changed_at BETWEEN :t AND :s") == ("failing" <= "failed"));
    for wrong in [
        "changed_at = :s",
        "#state > :s",
        "#state = :s OR changed_at = :t",
        "NOT #state = :s",
        "#state = :s AND other = :t",
        "#state = :s AND changed_at <> :t",
        "#state = :s AND changed_at = :t AND changed_at = :s",
        "#state = :s AND changed_at > :s AND changed_at < :t",
        "#state = :s AND attribute_exists(changed_at)",
        "#state = :s AND #state = :t",
    ] {
        assert!(key(wrong).is_err(), "{wrong}");
    }
    let plain = KeyCondition::new(parse("changed_at = :s").unwrap(), "changed_at", None).unwrap();
    assert!(plain.holds(&Item::new()));
}

#[test]
fn a_projection_is_a_list_of_paths() {
    let paths = projection("#state, nested.x[0] , tags", &mut placeholders()).unwrap();
    let names: Vec<_> = paths.iter().map(|path| path.attribute.as_str()).collect();
    assert_eq!(names, ["state", "nested", "tags"]);
    for wrong in ["", "a,", "a b", "a[x]", "a..b"] {
        assert!(projection(wrong, &mut placeholders()).is_err(), "{wrong}");
    }
}

#[test]
fn an_update_sets_adds_and_removes_attributes() {
    let before = item(&json!({"revision": 3, "former": "x", "kept": 1}));
    let update = update("SET #state = :s, revision = revision + :n, earliest = if_not_exists(earliest, :t), least = kept - :n REMOVE former ADD amount :m", &mut placeholders()).unwrap();
    let after = json!({"revision": 5, "kept": 1, "state": "failed", "earliest": "fail", "least": -1, "amount": 10});
    assert_eq!(plain_item(&update.apply(&before).unwrap()), after);
}

#[test]
fn an_update_that_cannot_be_made_is_refused() {
    for wrong in
        ["", "SET a", "SET a = ", "PUT a = :s", "SET a = :s, a = :t", "SET a.b = :s", "DELETE a :s", "SET a = size(b)"]
    {
        assert!(update(wrong, &mut placeholders()).is_err(), "{wrong}");
    }
    for (text, json) in
        [("SET a = absent", json!({})), ("SET a = a + :n", json!({"a": "text"})), ("ADD a :s", json!({}))]
    {
        let parsed = update(text, &mut placeholders()).unwrap();
        assert!(parsed.apply(&item(&json)).is_err(), "{text}");
    }
}
