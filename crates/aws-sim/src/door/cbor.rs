//! The RPC v2 CBOR codec: a request's body to a [`Value`], a [`Value`] to an answer's body.
//!
//! Clients send maps of indefinite length, and an empty input either as `BF FF` or as no body at all;
//! moments are tag 1 over a number of seconds.

use base64::Engine;
use ciborium::Value as Cbor;

use crate::value::Value;

/// The tag that marks a number as seconds since 1970 (RFC 8949, 3.4.2).
const EPOCH_SECONDS: u64 = 1;

/// Reads a request's body. An empty body is an empty structure; anything but a map is refused.
/// The error says what is wrong in words for the caller.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::map());
    }
    let mut rest = body;
    let parsed: Cbor = ciborium::de::from_reader(&mut rest)
        .map_err(|error| format!("the body is not CBOR: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the CBOR value", rest.len()));
    }
    if !matches!(parsed, Cbor::Map(_)) {
        return Err("the body is not a CBOR map".to_string());
    }
    from_cbor(parsed)
}

/// Writes an answer's body.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    #[expect(
        clippy::expect_used,
        reason = "writing a tree of plain values into memory cannot fail"
    )]
    ciborium::ser::into_writer(&to_cbor(value), &mut body).expect("CBOR into memory");
    body
}

fn to_cbor(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::Int(number) => Cbor::Integer((*number).into()),
        Value::Double(number) => Cbor::Float(*number),
        Value::Text(text) => Cbor::Text(text.clone()),
        Value::Time(ms) => {
            let seconds = if ms % 1000 == 0 {
                Cbor::Integer((ms / 1000).into())
            } else {
                Cbor::Float(*ms as f64 / 1000.0)
            };
            Cbor::Tag(EPOCH_SECONDS, Box::new(seconds))
        }
        Value::List(list) => Cbor::Array(list.iter().map(to_cbor).collect()),
        Value::Map(map) => Cbor::Map(
            map.iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(key, member)| (Cbor::Text(key.clone()), to_cbor(member)))
                .collect(),
        ),
    }
}

fn from_cbor(cbor: Cbor) -> Result<Value, String> {
    Ok(match cbor {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Integer(number) => {
            let number = i128::from(number);
            i64::try_from(number).map_or(Value::Double(number as f64), Value::Int)
        }
        Cbor::Float(number) => Value::Double(number),
        Cbor::Text(text) => Value::Text(text),
        // The operations take blobs as JSON carries them.
        Cbor::Bytes(bytes) => Value::Text(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Cbor::Tag(EPOCH_SECONDS, inner) => match *inner {
            Cbor::Integer(seconds) => i64::try_from(i128::from(seconds))
                .ok()
                .and_then(|seconds| seconds.checked_mul(1000))
                .map(Value::Time)
                .ok_or("a time is out of range")?,
            Cbor::Float(seconds) if seconds.is_finite() => {
                Value::Time((seconds * 1000.0).round() as i64)
            }
            _ => return Err("tag 1 must hold a number of seconds".to_string()),
        },
        // Other tags only annotate (RFC 8949, 3.4): the value inside is what is meant.
        Cbor::Tag(_, inner) => from_cbor(*inner)?,
        Cbor::Array(items) => {
            Value::List(items.into_iter().map(from_cbor).collect::<Result<_, _>>()?)
        }
        Cbor::Map(members) => {
            let mut map = Vec::with_capacity(members.len());
            for (key, member) in members {
                let Cbor::Text(key) = key else {
                    return Err("a map has a key that is not text".to_string());
                };
                let member = from_cbor(member)?;
                if !member.is_null() {
                    map.push((key, member));
                }
            }
            Value::Map(map.into_iter().collect())
        }
        _ => return Err("the body holds a kind of CBOR value that no protocol uses".to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_input_comes_in_two_forms() {
        assert_eq!(decode(b"").unwrap(), Value::map());
        assert_eq!(decode(&[0xbf, 0xff]).unwrap(), Value::map());
    }

    #[test]
    fn maps_of_indefinite_length_and_tagged_times_are_read() {
        // {_ "at": 1(1763683200), "list": [_ 1, 2.5]}
        let mut body = vec![0xbf, 0x62, b'a', b't', 0xc1, 0x1a];
        body.extend(1_763_683_200_u32.to_be_bytes());
        body.extend([
            0x64, b'l', b'i', b's', b't', 0x9f, 0x01, 0xf9, 0x41, 0x00, 0xff, 0xff,
        ]);
        let expected = Value::map()
            .with("at", Value::Time(1_763_683_200_000))
            .with("list", vec![Value::Int(1), Value::Double(2.5)]);
        assert_eq!(decode(&body).unwrap(), expected);
    }

    #[test]
    fn a_time_is_written_as_tag_one() {
        let body = encode(&Value::map().with("t", Value::Time(1_763_683_200_000)));
        assert_eq!(body[..4], [0xa1, 0x61, b't', 0xc1]);
    }

    #[test]
    fn what_is_not_one_map_is_refused() {
        let trailing = [0xa0, 0xa0];
        let not_text_key = [0xa1, 0x01, 0x02];
        let text_as_time = [0xa1, 0x61, b't', 0xc1, 0x61, b'x'];
        let cut = [0xbf, 0x61];
        for body in [
            &trailing[..],
            &not_text_key,
            &text_as_time,
            &cut,
            &[0x80],
            &[0x01],
        ] {
            assert!(decode(body).is_err(), "{body:?}");
        }
    }
}
