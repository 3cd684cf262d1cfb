//! The queries that find the records of a selection. Pure.
//!
//! The table's key is `document` and `version`; its index `by-state` has `state` and `changed_at`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use flexorch_outcomes::schema::{BY_STATE, attribute};

use super::selection::{Documents, Selection};
use crate::args::State;

/// In which order records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

/// A query, as DynamoDB's operation has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// The index; `None`: the table itself.
    pub(crate) index: Option<&'static str>,
    pub(crate) key_condition: String,
    pub(crate) filter: Option<String>,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
    /// Whether its records come in the order of time.
    pub(crate) by_time: bool,
}

impl Query {
    fn new(index: Option<&'static str>, by_time: bool) -> Self {
        let (names, values) = Default::default();
        Self { index, key_condition: String::new(), filter: None, names, values, by_time }
    }

    /// Names an attribute and a value, and returns their placeholders. Some attributes' names are reserved words.
    fn bind(&mut self, attribute: &str, placeholder: &str, value: &str) -> (String, String) {
        let (name, bound) = (format!("#{attribute}"), format!(":{placeholder}"));
        self.names.insert(name.clone(), attribute.to_owned());
        self.values.insert(bound.clone(), AttributeValue::S(value.to_owned()));
        (name, bound)
    }
}

/// Returns the queries of a selection: one for a document whose bucket is known, else one for each state.
pub(crate) fn queries(selection: &Selection) -> Vec<Query> {
    if let Documents::Key { bucket: Some(bucket), key } = &selection.documents {
        let mut query = Query::new(None, false);
        let (name, value) = query.bind(attribute::DOCUMENT, "document", &format!("{bucket}/{key}"));
        query.key_condition = format!("{name} = {value}");
        return vec![query];
    }
    selection.states.iter().map(|state| of_state(*state, selection)).collect()
}

fn of_state(state: State, selection: &Selection) -> Query {
    let mut query = Query::new(Some(BY_STATE), true);
    let (name, value) = query.bind(attribute::STATE, "state", state.as_str());
    query.key_condition = format!("{name} = {value}");
    match (&selection.since, &selection.until) {
        // A key condition has one condition for the sort key.
        (Some(since), Some(until)) => {
            let (name, from) = query.bind(attribute::CHANGED_AT, "since", since);
            let (_, to) = query.bind(attribute::CHANGED_AT, "until", until);
            query.key_condition.push_str(&format!(" AND {name} BETWEEN {from} AND {to}"));
        }
        (Some(since), None) => {
            let (name, from) = query.bind(attribute::CHANGED_AT, "since", since);
            query.key_condition.push_str(&format!(" AND {name} >= {from}"));
        }
        (None, Some(until)) => {
            let (name, to) = query.bind(attribute::CHANGED_AT, "until", until);
            query.key_condition.push_str(&format!(" AND {name} <= {to}"));
        }
        (None, None) => {}
    }
    query.filter = match &selection.documents {
        Documents::All => None,
        Documents::Prefix { bucket: Some(bucket), prefix } => {
            let (name, start) = query.bind(attribute::DOCUMENT, "start", &format!("{bucket}/{prefix}"));
            Some(format!("begins_with({name}, {start})"))
        }
        // Not exact: the selection compares the key again.
        Documents::Prefix { bucket: None, prefix: part } | Documents::Key { bucket: None, key: part } => {
            let (name, part) = query.bind(attribute::DOCUMENT, "part", &format!("/{part}"));
            Some(format!("contains({name}, {part})"))
        }
        Documents::Key { bucket: Some(bucket), key } => {
            let (name, document) = query.bind(attribute::DOCUMENT, "document", &format!("{bucket}/{key}"));
            Some(format!("{name} = {document}"))
        }
    };
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::DocumentSelection;

    fn of(states: &[State], change: impl FnOnce(&mut DocumentSelection)) -> Vec<Query> {
        let mut typed = DocumentSelection::default();
        change(&mut typed);
        let now = "2026-11-24T07:00:00Z".parse().unwrap();
        queries(&Selection::new(&typed, states.to_vec(), None, now))
    }

    fn value(query: &Query, name: &str) -> String {
        query.values[name].as_s().unwrap().clone()
    }

    #[test]
    fn a_key_whose_bucket_is_known_is_read_from_the_table_itself() {
        let [query] = &of(&[], |typed| (typed.key, typed.bucket) = (Some("in/a".into()), Some("docs".into())))[..]
        else {
            panic!("several queries")
        };
        assert_eq!((query.index, query.key_condition.as_str()), (None, "#document = :document"));
        assert_eq!(value(query, ":document"), "docs/in/a");
    }

    #[test]
    fn everything_else_is_a_query_of_the_index_for_each_state_from_a_time_on() {
        let queries = of(&[], |typed| typed.since = Some("2d".parse().unwrap()));
        assert_eq!(queries.len(), 4);
        for query in &queries {
            assert_eq!(query.index, Some(BY_STATE));
            assert_eq!(query.key_condition, "#state = :state AND #changed_at >= :since");
            assert_eq!(value(query, ":since"), "2026-11-22T07:00:00.000Z");
            assert_eq!(query.filter, None);
        }
        let states: Vec<_> = queries.iter().map(|query| value(query, ":state")).collect();
        assert_eq!(states, ["submitted", "processed", "failed", "rejected"]);
    }

    #[test]
    fn a_prefix_is_a_filter_on_the_document() {
        let [query] =
            &of(&[State::Failed], |typed| (typed.prefix, typed.bucket) = (Some("in/".into()), Some("docs".into())))[..]
        else {
            panic!("several queries")
        };
        assert_eq!(query.filter.as_deref(), Some("begins_with(#document, :start)"));
        assert_eq!(value(query, ":start"), "docs/in/");
        let [query] = &of(&[State::Failed], |typed| typed.prefix = Some("in/".into()))[..] else { panic!("several") };
        assert_eq!(
            (query.filter.as_deref(), value(query, ":part").as_str()),
            (Some("contains(#document, :part)"), "/in/")
        );
    }
}
