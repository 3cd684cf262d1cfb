//! The fields of the operations' inputs that the service reads.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The fields of all operations' inputs.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    /// A name or an ARN.
    pub(super) table_name: String,
    pub(super) index_name: Option<String>,

    pub(super) item: Option<Map<String, Json>>,
    pub(super) key: Option<Map<String, Json>>,
    pub(super) return_values: Option<String>,
    pub(super) consistent_read: bool,

    pub(super) condition_expression: Option<String>,
    pub(super) key_condition_expression: Option<String>,
    pub(super) filter_expression: Option<String>,
    pub(super) projection_expression: Option<String>,
    pub(super) update_expression: Option<String>,
    pub(super) expression_attribute_names: Option<BTreeMap<String, String>>,
    pub(super) expression_attribute_values: Option<Map<String, Json>>,

    pub(super) scan_index_forward: Option<bool>,
    pub(super) limit: Option<i64>,
    pub(super) exclusive_start_key: Option<Map<String, Json>>,
    pub(super) select: Option<String>,

    pub(super) attribute_definitions: Vec<AttributeDefinition>,
    pub(super) key_schema: Vec<KeyElement>,
    pub(super) global_secondary_indexes: Option<Vec<IndexInput>>,
    pub(super) local_secondary_indexes: Option<Vec<IndexInput>>,

    // What the sandbox does not do, and would be wrong to ignore.
    pub(super) key_conditions: Option<Json>,
    pub(super) query_filter: Option<Json>,
    pub(super) scan_filter: Option<Json>,
    pub(super) expected: Option<Json>,
    pub(super) attribute_updates: Option<Json>,
    pub(super) attributes_to_get: Option<Json>,
    pub(super) segment: Option<Json>,
}

impl Input {
    /// Returns the name of a parameter that is there and that the sandbox does not know.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let parameters = [
            ("KeyConditions", &self.key_conditions),
            ("QueryFilter", &self.query_filter),
            ("ScanFilter", &self.scan_filter),
            ("Expected", &self.expected),
            ("AttributeUpdates", &self.attribute_updates),
            ("AttributesToGet", &self.attributes_to_get),
            ("Segment", &self.segment),
        ];
        parameters.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name)
    }
}

/// An attribute of a key, and its type.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeDefinition {
    pub(super) attribute_name: String,
    pub(super) attribute_type: String,
}

/// A part of a key.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyElement {
    pub(super) attribute_name: String,
    pub(super) key_type: String,
}

/// A secondary index.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IndexInput {
    pub(super) index_name: String,
    pub(super) key_schema: Vec<KeyElement>,
    #[serde(default)]
    pub(super) projection: ProjectionInput,
}

/// Which attributes an index has.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ProjectionInput {
    pub(super) projection_type: Option<String>,
    pub(super) non_key_attributes: Option<Vec<String>>,
}
