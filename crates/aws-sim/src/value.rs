//! The neutral value tree that every wire protocol is decoded into and encoded from.
//!
//! An operation is written once, over [`Value`]; the door's codecs turn it into JSON 1.0/1.1, RPC v2
//! CBOR or Query/XML. Query requests carry only text, so the readers below accept text where a
//! number or a boolean is meant, exactly as AWS's own Query services do.

use std::collections::BTreeMap;

/// One value of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing. A map entry with this value is left out of every encoded answer.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// Text.
    Text(String),
    /// A moment, in milliseconds since 1970 UTC. JSON: epoch seconds as a number; CBOR: tag 1; XML: ISO 8601.
    Time(i64),
    /// A list.
    List(Vec<Value>),
    /// A structure or map.
    Map(BTreeMap<String, Value>),
}

static NULL: Value = Value::Null;

impl Value {
    /// An empty structure.
    pub fn map() -> Value {
        Value::Map(BTreeMap::new())
    }

    /// The member `key`, or [`Value::Null`].
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Map(map) => map.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Adds a member and gives the structure back; `Null` is not added.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Value {
        if let Value::Map(map) = &mut self {
            let value = value.into();
            if value != Value::Null {
                map.insert(key.to_string(), value);
            }
        }
        self
    }

    /// Whether the value is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number; text is parsed (Query).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Double(number) if number.fract() == 0.0 => Some(*number as i64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The number; text is parsed (Query).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Double(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The boolean; the text `true` or `false` is accepted (Query).
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The list; anything else is an empty one.
    pub fn as_list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// The structure, if it is one.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The moment in milliseconds since 1970 UTC: from a time, a number of seconds, or ISO 8601 text.
    /// Seconds that milliseconds cannot hold become the earliest or the latest moment, so that they
    /// still compare as what they are.
    pub fn as_time_ms(&self) -> Option<i64> {
        match self {
            Value::Time(ms) => Some(*ms),
            Value::Int(seconds) => Some(seconds.saturating_mul(1000)),
            Value::Double(seconds) => Some((seconds * 1000.0).round() as i64),
            Value::Text(text) => {
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
                    .ok()
                    .map(|at| (at.unix_timestamp_nanos() / 1_000_000) as i64)
            }
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_string())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Double(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}
impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Value {
        Value::List(list)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Value {
        option.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_beyond_what_milliseconds_hold_are_the_last_moment() {
        let largest = i64::MAX / 1000;
        for (seconds, ms) in [
            (Value::Int(1_795_255_200), 1_795_255_200_000),
            (Value::Int(largest), largest * 1000),
            (Value::Int(largest + 1), i64::MAX),
            (Value::Int(-largest - 1), i64::MIN),
            (Value::Int(i64::MAX), i64::MAX),
            (Value::Int(i64::MIN), i64::MIN),
            (Value::Double(1.5), 1_500),
            (Value::Double(1e300), i64::MAX),
            (Value::Double(-1e300), i64::MIN),
        ] {
            assert_eq!(seconds.as_time_ms(), Some(ms), "{seconds:?}");
        }
    }
}
