//! Reading requests tolerantly and refusing them in CloudWatch's words.

use base64::Engine;

use crate::error::AwsError;
use crate::value::Value;

/// What a moment in a request may lie between, so that sums of times cannot overflow:
/// about the years -1200 to 5138.
const LARGEST_TIME_S: f64 = 1e11;

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::caller("ValidationError", message)
}

pub(super) fn invalid_value(message: impl Into<String>) -> AwsError {
    AwsError::caller("InvalidParameterValue", message)
}

pub(super) fn invalid_combination(message: impl Into<String>) -> AwsError {
    AwsError::caller("InvalidParameterCombination", message)
}

pub(super) fn missing_parameter(name: &str) -> AwsError {
    AwsError::caller(
        "MissingParameter",
        format!("The parameter {name} is required."),
    )
}

pub(super) fn not_found(code: &str, message: impl Into<String>) -> AwsError {
    AwsError {
        code: code.to_string(),
        message: message.into(),
        status: 404,
    }
}

/// The name of the shape that an error code belongs to. CloudWatch's Query codes and its shapes
/// differ; JSON and CBOR carry the shape's name, Query and `x-amzn-query-error` the code.
pub fn shape_name(code: &str) -> &str {
    match code {
        "InvalidParameterValue" => "InvalidParameterValueException",
        "InvalidParameterCombination" => "InvalidParameterCombinationException",
        "MissingParameter" => "MissingRequiredParameterException",
        "LimitExceeded" => "LimitExceededFault",
        "InvalidFormat" => "InvalidFormatFault",
        "InternalServiceError" => "InternalServiceFault",
        "ValidationError" => "ValidationException",
        // ResourceNotFound, ResourceNotFoundException, InvalidNextToken, ConflictException, ...: alike in both.
        same => same,
    }
}

/// A text that is there and not empty.
pub(super) fn text_of(value: &Value, key: &str) -> Option<String> {
    value
        .get(key)
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_string)
}

/// A text that must be there; `ValidationError` otherwise.
pub(super) fn required(value: &Value, key: &str, name: &str) -> Result<String, AwsError> {
    text_of(value, key).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
            lower_first(name)
        ))
    })
}

pub(super) fn longest(text: &str, most: usize, name: &str) -> Result<(), AwsError> {
    if text.chars().count() <= most {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must have length less than \
         or equal to {most}",
        lower_first(name)
    )))
}

pub(super) fn optional_number(
    value: &Value,
    key: &str,
    name: &str,
) -> Result<Option<i64>, AwsError> {
    match value.get(key) {
        Value::Null => Ok(None),
        given => given
            .as_i64()
            .map(Some)
            .ok_or_else(|| invalid(format!("The parameter {name} must be a whole number."))),
    }
}

pub(super) fn optional_double(
    value: &Value,
    key: &str,
    name: &str,
) -> Result<Option<f64>, AwsError> {
    match value.get(key) {
        Value::Null => Ok(None),
        given => given
            .as_f64()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| invalid_value(format!("The parameter {name} must be a number."))),
    }
}

pub(super) fn optional_bool(
    value: &Value,
    key: &str,
    name: &str,
) -> Result<Option<bool>, AwsError> {
    match value.get(key) {
        Value::Null => Ok(None),
        given => given
            .as_bool()
            .map(Some)
            .ok_or_else(|| invalid(format!("The parameter {name}.{key} must be true or false."))),
    }
}

/// A moment in milliseconds since 1970 UTC, if one is given.
pub(super) fn optional_time(value: &Value, key: &str, name: &str) -> Result<Option<i64>, AwsError> {
    let given = value.get(key);
    let refused = || invalid(format!("The parameter {name} must be a time stamp."));
    match given {
        Value::Null => return Ok(None),
        Value::Int(seconds) if (*seconds as f64).abs() > LARGEST_TIME_S => return Err(refused()),
        Value::Double(seconds) if seconds.is_nan() || seconds.abs() > LARGEST_TIME_S => {
            return Err(refused());
        }
        Value::Time(ms) if (*ms as f64).abs() > LARGEST_TIME_S * 1000.0 => return Err(refused()),
        _ => {}
    }
    given.as_time_ms().map(Some).ok_or_else(refused)
}

/// Dimensions as a request gives them: name and value, no name twice, at most 30.
pub(super) fn dimensions_of(value: &Value, name: &str) -> Result<Vec<(String, String)>, AwsError> {
    let list = value.as_list();
    if list.len() > 30 {
        return Err(invalid_value(format!(
            "The collection {name} must not have a size greater than 30."
        )));
    }
    let mut dimensions: Vec<(String, String)> = Vec::new();
    for (index, dimension) in list.iter().enumerate() {
        let at = format!("{name}.member.{}", index + 1);
        let part = |key: &str| {
            text_of(dimension, key).ok_or_else(|| missing_parameter(&format!("{at}.{key}")))
        };
        let (key, value) = (part("Name")?, part("Value")?);
        if dimensions.iter().any(|(other, _)| *other == key) {
            return Err(invalid_value(format!(
                "The value {key} for parameter {at}.Name is not unique."
            )));
        }
        dimensions.push((key, value));
    }
    dimensions.sort();
    Ok(dimensions)
}

/// Dimensions as answers carry them.
pub(super) fn dimensions_value(dimensions: &[(String, String)]) -> Value {
    let one = |(name, value): &(String, String)| {
        Value::map()
            .with("Name", name.as_str())
            .with("Value", value.as_str())
    };
    Value::List(dimensions.iter().map(one).collect())
}

pub(super) fn texts_of(value: &Value) -> Vec<String> {
    value
        .as_list()
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_string)
        .collect()
}

pub(super) fn texts_value(texts: &[String]) -> Value {
    Value::List(
        texts
            .iter()
            .map(|text| Value::from(text.as_str()))
            .collect(),
    )
}

/// A page marker that says nothing to clients. `kind` keeps the markers of one operation from being used in another.
pub(super) fn token(kind: &str, content: &str) -> String {
    base64::engine::general_purpose::URL_SAFE.encode(format!("{kind}\n{content}"))
}

/// The content of a page marker of this kind.
pub(super) fn token_content(kind: &str, input: &Value) -> Result<Option<String>, AwsError> {
    let Some(token) = text_of(input, "NextToken") else {
        return Ok(None);
    };
    let refused = || AwsError::caller("InvalidNextToken", "The next token specified is invalid.");
    let bytes = base64::engine::general_purpose::URL_SAFE
        .decode(&token)
        .map_err(|_| refused())?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    match text.split_once('\n') {
        Some((found, content)) if found == kind => Ok(Some(content.to_string())),
        _ => Err(refused()),
    }
}

/// How many records a page holds: `MaxRecords`, 1 to 100, or 50, which is AWS's default.
pub(super) fn page_size(input: &Value) -> Result<usize, AwsError> {
    let size = optional_number(input, "MaxRecords", "MaxRecords")?.unwrap_or(50);
    match usize::try_from(size) {
        Ok(size @ 1..=100) => Ok(size),
        _ => Err(invalid(format!(
            "1 validation error detected: Value '{size}' at 'maxRecords' failed to satisfy constraint: Member must \
             have value between 1 and 100"
        ))),
    }
}

/// The name of a member as AWS's messages write it.
pub(super) fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + characters.as_str()
    })
}

/// A value as JSON, for StateReasonData and HistoryData. Names of members begin with a small letter there.
pub(super) fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Time(ms) => super::evaluation::long_date(*ms).into(),
        Value::List(list) => list.iter().map(as_json).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(name, value)| (lower_first(name), as_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
