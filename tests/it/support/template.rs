//! `template.yaml` as CloudFormation reads it: parameters, conditions and the intrinsic functions that it uses.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// The template with values for its parameters.
pub struct Template {
    document: Value,
    parameters: BTreeMap<String, String>,
}

impl Template {
    /// The template with these parameters; the others have their defaults.
    pub fn with(parameters: &[(&str, &str)]) -> Self {
        // The tests of other packages evaluate it, too.
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let path = folders.map(|folder| folder.join("template.yaml")).find(|path| path.exists()).unwrap();
        let yaml: Yaml = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let document = as_json(yaml);
        let mut values = BTreeMap::from([("BucketName".to_owned(), "my-documents".to_owned())]);
        for (name, parameter) in document["Parameters"].as_object().unwrap() {
            if !parameter["Default"].is_null() {
                values.insert(name.clone(), text(&parameter["Default"]));
            }
        }
        for (name, value) in parameters {
            assert!(document["Parameters"][*name].is_object(), "no parameter {name}");
            values.insert((*name).to_owned(), (*value).to_owned());
        }
        Self { document, parameters: values }
    }

    /// A parameter as it is declared.
    pub fn parameter(&self, name: &str) -> &Value {
        &self.document["Parameters"][name]
    }

    /// The resources of a type that these parameters create: names and properties.
    pub fn resources(&self, kind: &str) -> Vec<(&str, Value)> {
        let all = self.document["Resources"].as_object().unwrap().iter();
        let created = all.filter(|(_, resource)| {
            resource["Type"] == kind && resource["Condition"].as_str().is_none_or(|name| self.condition(name))
        });
        created.map(|(name, resource)| (name.as_str(), self.resolve(&resource["Properties"]).unwrap())).collect()
    }

    /// The properties of a resource that these parameters create.
    pub fn resource(&self, kind: &str, name: &str) -> Value {
        let found = self.resources(kind).into_iter().find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}")).1
    }

    /// A resource as it is declared, whether or not these parameters create it.
    pub fn declared(&self, name: &str) -> &Value {
        &self.document["Resources"][name]
    }

    /// An output's value.
    pub fn output(&self, name: &str) -> String {
        text(&self.resolve(&self.document["Outputs"][name]["Value"]).unwrap())
    }

    /// A mapping.
    pub fn mapping(&self, name: &str) -> &Value {
        &self.document["Mappings"][name]
    }

    /// Whether a rule refuses these parameters, by the rules' names.
    pub fn refusals(&self) -> Vec<&str> {
        let refuses = |rule: &Value| {
            (rule["RuleCondition"].is_null() || self.holds(&rule["RuleCondition"]))
                && rule["Assertions"].as_array().unwrap().iter().any(|assertion| !self.holds(&assertion["Assert"]))
        };
        let rules = self.document["Rules"].as_object().unwrap().iter();
        rules.filter(|(_, rule)| refuses(rule)).map(|(name, _)| name.as_str()).collect()
    }

    fn condition(&self, name: &str) -> bool {
        self.holds(&self.document["Conditions"][name])
    }

    fn holds(&self, condition: &Value) -> bool {
        let (function, argument) = only_member(condition).unwrap_or_else(|| panic!("no condition: {condition}"));
        let all = || argument.as_array().unwrap().iter();
        let value = |value: &Value| text(&self.resolve(value).unwrap());
        match function {
            "Condition" => self.condition(argument.as_str().unwrap()),
            "Fn::Equals" => value(&argument[0]) == value(&argument[1]),
            "Fn::Contains" => argument[0].as_array().unwrap().iter().any(|item| text(item) == value(&argument[1])),
            "Fn::Not" => !self.holds(&argument[0]),
            "Fn::And" => all().all(|condition| self.holds(condition)),
            "Fn::Or" => all().any(|condition| self.holds(condition)),
            _ => panic!("unknown condition {function}"),
        }
    }

    /// A value without intrinsic functions; `None`: `AWS::NoValue`. What only a deployment knows is named.
    fn resolve(&self, value: &Value) -> Option<Value> {
        if let Some((function, argument)) = only_member(value) {
            match function {
                "Ref" => {
                    let name = argument.as_str().unwrap();
                    let parameter = self.parameters.get(name).map(|value| json!(value));
                    return (name != "AWS::NoValue").then(|| parameter.unwrap_or_else(|| json!(name)));
                }
                "Fn::If" => {
                    let branch = if self.condition(argument[0].as_str().unwrap()) { 1 } else { 2 };
                    return self.resolve(&argument[branch]);
                }
                "Fn::FindInMap" => {
                    let keys = argument.as_array().unwrap().iter();
                    let keys: Vec<_> = keys.map(|key| text(&self.resolve(key).unwrap())).collect();
                    let found = keys.iter().fold(&self.document["Mappings"], |map, key| &map[key.as_str()]);
                    assert!(!found.is_null(), "nothing in the mapping for {keys:?}");
                    return Some(found.clone());
                }
                "Fn::Sub" if argument.is_array() => {
                    let mut written = text(&argument[0]);
                    for (name, value) in argument[1].as_object().unwrap() {
                        let value = self.resolve(value).unwrap();
                        let value = value.get("Fn::Sub").unwrap_or(&value);
                        written = written.replace(&format!("${{{name}}}"), &text(value));
                    }
                    return Some(json!({"Fn::Sub": written}));
                }
                _ if function.starts_with("Fn::") => return Some(value.clone()),
                _ => {}
            }
        }
        Some(match value {
            Value::Array(items) => items.iter().filter_map(|item| self.resolve(item)).collect(),
            Value::Object(members) => {
                let members = members.iter().filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            other => other.clone(),
        })
    }
}

/// A scalar as CloudFormation compares it.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn only_member(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, value)| (name.as_str(), value))
}

/// Writes CloudFormation's tags out: `!Ref X` becomes `{"Ref": X}`, `!If [...]` `{"Fn::If": [...]}`.
fn as_json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({name: as_json(tagged.value)})
        }
        Yaml::Sequence(items) => items.into_iter().map(as_json).collect(),
        Yaml::Mapping(members) => {
            let members = members.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), as_json(value)));
            Value::Object(members.collect())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}
