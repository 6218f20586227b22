//! What changes between two task definitions, field by field, for people.

use crate::revision::containers;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What kind of field it is, in the order they are shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FieldGroup {
    /// A container's image.
    Image,
    /// An environment variable.
    Environment,
    /// A secret: its name and where the value comes from, never the value.
    Secret,
    /// CPU and memory.
    Resources,
    /// Ports and network mode.
    Network,
    /// Task and execution role.
    Roles,
    /// Everything else.
    Other,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Its kind.
    pub group: FieldGroup,
    /// Its name, for example `checkout CART_TIMEOUT_MS`.
    pub field: String,
    /// The old value; `None` when it was not set.
    pub old: Option<String>,
    /// The new value; `None` when it is no longer set.
    pub new: Option<String>,
}

/// All differences and how many fields are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The fields that differ, grouped and named in order.
    pub changes: Vec<FieldChange>,
    /// How many fields are the same in both.
    pub equal: usize,
}

/// What is shown in place of a value that the reader's role may not see.
pub const MASK: &str = "••••••";

/// Compares two task definitions as DescribeTaskDefinition gives them.
pub fn difference(old: &Value, new: &Value) -> Difference {
    let (old, new) = (fields(old), fields(new));
    let mut changes = Vec::new();
    let mut equal = 0;
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            equal += 1;
        } else {
            changes.push(FieldChange {
                group: key.0,
                field: key.1.clone(),
                old: before.cloned(),
                new: after.cloned(),
            });
        }
    }
    Difference { changes, equal }
}

impl Difference {
    /// The same difference for a reader who may not see environment values.
    pub fn masked(mut self) -> Difference {
        for change in &mut self.changes {
            if change.group == FieldGroup::Environment {
                for value in [&mut change.old, &mut change.new].into_iter().flatten() {
                    *value = MASK.to_string();
                }
            }
        }
        self
    }
}

/// A copy of a task definition whose environment values are masked.
pub fn mask_environment(task_definition: &Value) -> Value {
    let mut copy = task_definition.clone();
    for container in copy["containerDefinitions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        for variable in container["environment"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if let Some(value) = variable.get_mut("value") {
                *value = Value::String(MASK.to_string());
            }
        }
    }
    copy
}

/// Members that AWS adds and that say nothing about what runs (aws.md §2.4).
const NOT_PART_OF_THE_CHANGE: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

fn fields(task_definition: &Value) -> BTreeMap<(FieldGroup, String), String> {
    let mut found = BTreeMap::new();
    for container in containers(task_definition) {
        let name = container["name"].as_str().unwrap_or("?");
        for (key, value) in container.as_object().into_iter().flatten() {
            match key.as_str() {
                "name" => {}
                "image" => {
                    found.insert((FieldGroup::Image, name.to_string()), plain(value));
                }
                "environment" => named(&mut found, FieldGroup::Environment, name, value, "value"),
                "secrets" => named(&mut found, FieldGroup::Secret, name, value, "valueFrom"),
                "cpu" | "memory" | "memoryReservation" => {
                    if value.as_u64() != Some(0) {
                        found.insert(
                            (FieldGroup::Resources, format!("{name} {key}")),
                            plain(value),
                        );
                    }
                }
                "portMappings" => {
                    found.insert((FieldGroup::Network, format!("{name} {key}")), plain(value));
                }
                _ => {
                    if !is_empty(value) {
                        found.insert((FieldGroup::Other, format!("{name} {key}")), plain(value));
                    }
                }
            }
        }
    }
    for (key, value) in task_definition.as_object().into_iter().flatten() {
        let group = match key.as_str() {
            "containerDefinitions" => continue,
            key if NOT_PART_OF_THE_CHANGE.contains(&key) => continue,
            "cpu" | "memory" | "ephemeralStorage" | "runtimePlatform" => FieldGroup::Resources,
            "networkMode" => FieldGroup::Network,
            "taskRoleArn" | "executionRoleArn" => FieldGroup::Roles,
            _ => FieldGroup::Other,
        };
        if !is_empty(value) {
            found.insert((group, key.clone()), plain(value));
        }
    }
    found
}

fn named(
    found: &mut BTreeMap<(FieldGroup, String), String>,
    group: FieldGroup,
    container: &str,
    list: &Value,
    value_key: &str,
) {
    for item in list.as_array().into_iter().flatten() {
        let name = item["name"].as_str().unwrap_or("?");
        found.insert(
            (group, format!("{container} {name}")),
            plain(&item[value_key]),
        );
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => crate::digest::canonical_json(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_grouped_named_and_counted() {
        let old = json!({"revision": 1, "cpu": "256", "taskRoleArn": "r", "containerDefinitions": [
            {"name": "web", "image": "web:1", "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "x"}],
             "secrets": [{"name": "KEY", "valueFrom": "arn:1"}]}]});
        let new = json!({"revision": 2, "cpu": "512", "taskRoleArn": "r", "containerDefinitions": [
            {"name": "web", "image": "web:2", "environment": [{"name": "A", "value": "2"}, {"name": "C", "value": "y"}],
             "secrets": [{"name": "KEY", "valueFrom": "arn:2"}]}]});
        let found = difference(&old, &new);
        let words: Vec<(FieldGroup, &str, Option<&str>, Option<&str>)> = found
            .changes
            .iter()
            .map(|c| {
                (
                    c.group,
                    c.field.as_str(),
                    c.old.as_deref(),
                    c.new.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            words,
            [
                (FieldGroup::Image, "web", Some("web:1"), Some("web:2")),
                (FieldGroup::Environment, "web A", Some("1"), Some("2")),
                (FieldGroup::Environment, "web B", Some("x"), None),
                (FieldGroup::Environment, "web C", None, Some("y")),
                (FieldGroup::Secret, "web KEY", Some("arn:1"), Some("arn:2")),
                (FieldGroup::Resources, "cpu", Some("256"), Some("512")),
            ]
        );
        assert_eq!(found.equal, 1);
        let masked = found.masked();
        assert_eq!(masked.changes[1].old.as_deref(), Some(MASK));
        assert_eq!(masked.changes[0].old.as_deref(), Some("web:1"));
        assert!(!mask_environment(&old).to_string().contains("\"x\""));
    }
}
