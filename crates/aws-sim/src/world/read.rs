//! Readers of request members, shared by every service.

use std::collections::BTreeMap;

use crate::error::AwsError;
use crate::value::Value;

/// The member as text; an empty text counts as absent, as AWS treats names and ARNs.
pub(crate) fn text<'a>(input: &'a Value, key: &str) -> Option<&'a str> {
    input.get(key).as_str().filter(|text| !text.is_empty())
}

/// The texts of a list member.
pub(crate) fn texts(input: &Value, key: &str) -> Vec<String> {
    input
        .get(key)
        .as_list()
        .iter()
        .filter_map(|item| item.as_str().map(str::to_string))
        .collect()
}

/// A whole number within `range`, or `default` when absent.
pub(crate) fn number_within(
    input: &Value,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
    default: i64,
    code: &str,
) -> Result<i64, AwsError> {
    let value = input.get(key);
    if value.is_null() {
        return Ok(default);
    }
    match value.as_i64() {
        Some(number) if range.contains(&number) => Ok(number),
        _ => Err(AwsError::caller(
            code,
            format!(
                "{key} must be a whole number from {} to {}",
                range.start(),
                range.end()
            ),
        )),
    }
}

/// Tags in either spelling (`Key`/`Value` for CodeDeploy and ELBv2, `key`/`value` for ECS).
pub(crate) fn tags(list: &Value) -> BTreeMap<String, String> {
    list.as_list()
        .iter()
        .filter_map(|tag| {
            let key = tag
                .get("Key")
                .as_str()
                .or_else(|| tag.get("key").as_str())?;
            let value = tag
                .get("Value")
                .as_str()
                .or_else(|| tag.get("value").as_str());
            Some((key.to_string(), value.unwrap_or_default().to_string()))
        })
        .collect()
}

/// Tags as a list of structures with these member names.
pub(crate) fn tags_value(tags: &BTreeMap<String, String>, key: &str, value: &str) -> Value {
    Value::List(
        tags.iter()
            .map(|(name, content)| {
                Value::map()
                    .with(key, name.as_str())
                    .with(value, content.as_str())
            })
            .collect(),
    )
}

/// Sets or replaces a member of a structure.
pub(crate) fn put(structure: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Map(map) = structure {
        map.insert(key.to_string(), value.into());
    }
}

/// Puts `value` where a structure has no such member.
pub(crate) fn default(structure: &mut Value, key: &str, value: impl Into<Value>) {
    if structure.get(key).is_null() {
        put(structure, key, value);
    }
}
