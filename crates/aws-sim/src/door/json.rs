//! The JSON 1.0 and 1.1 codec: a request's body to a [`Value`], a [`Value`] to an answer's body.

use serde_json::Number;

use crate::value::Value;

/// Reads a request's body. An empty body is an empty structure; anything but an object is refused.
/// The error says what is wrong in words for the caller.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::map());
    }
    let parsed: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if !parsed.is_object() {
        return Err("the body is not a JSON object".to_string());
    }
    Ok(from_json(parsed))
}

/// Writes an answer's body. Times become seconds since 1970 with milliseconds as the fraction.
pub fn encode(value: &Value) -> Vec<u8> {
    to_json(value, TimeForm::EpochSeconds)
        .to_string()
        .into_bytes()
}

/// How a moment is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// As AWS JSON has it: a number of seconds since 1970.
    EpochSeconds,
    /// For people and for `/_sim`: RFC 3339 in UTC with milliseconds.
    Rfc3339,
}

/// Converts to a JSON tree; members that are [`Value::Null`] are left out.
pub fn to_json(value: &Value, times: TimeForm) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => serde_json::Value::Bool(*flag),
        Value::Int(number) => serde_json::Value::Number((*number).into()),
        // JSON has no NaN and no infinity; AWS JSON writes them as text.
        Value::Double(number) => Number::from_f64(*number).map_or_else(
            || serde_json::Value::String(non_finite(*number).to_string()),
            serde_json::Value::Number,
        ),
        Value::Text(text) => serde_json::Value::String(text.clone()),
        Value::Time(ms) => match times {
            TimeForm::EpochSeconds if ms % 1000 == 0 => (ms / 1000).into(),
            TimeForm::EpochSeconds => (*ms as f64 / 1000.0).into(),
            TimeForm::Rfc3339 => crate::door::clock::rfc3339(*ms).into(),
        },
        Value::List(list) => list.iter().map(|item| to_json(item, times)).collect(),
        Value::Map(map) => map
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(key, member)| (key.clone(), to_json(member, times)))
            .collect(),
    }
}

/// Converts from a JSON tree. Members that are `null` are left out, as AWS treats them.
pub fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            // `as_f64` is only `None` with arbitrary precision numbers, which are not switched on.
            None => number.as_f64().map_or(Value::Null, Value::Double),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(members) => Value::Map(
            members
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(key, member)| (key, from_json(member)))
                .collect(),
        ),
    }
}

/// The words that AWS JSON and XML use for numbers that are none.
pub fn non_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_epoch_seconds_with_milliseconds() {
        let answer = Value::map().with("a", Value::Time(1_763_683_200_000));
        assert_eq!(encode(&answer), br#"{"a":1763683200}"#);
        let answer = Value::map().with("a", Value::Time(1_763_683_200_123));
        assert_eq!(encode(&answer), br#"{"a":1763683200.123}"#);
    }

    #[test]
    fn null_members_are_absent_both_ways() {
        assert_eq!(
            decode(br#"{"a":null,"b":1}"#).unwrap(),
            Value::map().with("b", 1_i64)
        );
        let Value::Map(mut map) = Value::map().with("b", 1_i64) else {
            unreachable!()
        };
        map.insert("a".to_string(), Value::Null);
        assert_eq!(encode(&Value::Map(map)), br#"{"b":1}"#);
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in [&b"[1]"[..], b"1", b"{", b"\xff", b"{\"a\":}"] {
            assert!(decode(body).is_err(), "{body:?}");
        }
        assert_eq!(decode(b"").unwrap(), Value::map());
    }
}
