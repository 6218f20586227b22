//! Digests over canonical JSON: what two people must be able to compute alike.

use serde::Serialize;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

/// A SHA-256 digest as 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Takes the text as a digest; compared, never trusted.
    pub fn new(text: impl Into<String>) -> Digest {
        Digest(text.into())
    }

    /// The digest of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Digest {
        Digest(hex::encode(Sha256::digest(bytes)))
    }

    /// The digest of a value's canonical JSON: object keys sorted, no white space.
    pub fn of(value: &impl Serialize) -> Digest {
        Digest::of_bytes(canonical_json(value).as_bytes())
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `7f3a·c21e`, for people.
    pub fn short(&self) -> String {
        match (self.0.get(..4), self.0.get(4..8)) {
            (Some(head), Some(tail)) => format!("{head}·{tail}"),
            _ => self.0.clone(),
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// JSON with sorted keys and no white space, whatever order the value was built in.
pub fn canonical_json(value: &impl Serialize) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                out.push('{');
                for (index, key) in keys.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::String(key.clone()).to_string());
                    out.push(':');
                    write(&map[key], out);
                }
                out.push('}');
            }
            Value::Array(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    // A value whose keys are not text cannot be made from our types; it would digest as null.
    write(
        &serde_json::to_value(value).unwrap_or(Value::Null),
        &mut out,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_does_not_matter_and_values_do() {
        let one = serde_json::json!({"b": [1, {"y": 2, "x": null}], "a": "ü"});
        let text = r#"{"a":"ü","b":[1,{"x":null,"y":2}]}"#;
        assert_eq!(canonical_json(&one), text);
        assert_eq!(Digest::of(&one), Digest::of_bytes(text.as_bytes()));
        assert_ne!(Digest::of(&one), Digest::of(&serde_json::json!({"a": "u"})));
    }
}
