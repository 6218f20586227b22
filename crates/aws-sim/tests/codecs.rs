//! Every codec gives back what it was given, and no bytes from outside bring one down.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;
use switchback_aws_sim::door::wire::{Credential, understand};
use switchback_aws_sim::door::{cbor, json, query};
use switchback_aws_sim::value::Value;

/// Values as CBOR can carry them: no `Null` members, numbers that are numbers.
fn binary_values() -> impl Strategy<Value = Value> {
    values((-62_000_000_000_000_i64..250_000_000_000_000).prop_map(Value::Time))
}

/// Values as JSON can carry them: the same without times, which come back as numbers.
fn text_values() -> impl Strategy<Value = Value> {
    values(any::<bool>().prop_map(Value::Bool))
}

fn values(moment: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        number.prop_map(Value::Double),
        ".{0,12}".prop_map(Value::Text),
        moment,
    ];
    let tree = leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[A-Za-z.]{1,8}", inner, 0..5).prop_map(structure),
        ]
    });
    prop::collection::btree_map("[A-Za-z]{1,8}", tree, 0..6).prop_map(structure)
}

fn structure(members: BTreeMap<String, Value>) -> Value {
    Value::Map(members.into_iter().collect())
}

/// The parameters of a Query request: text at the leaves, no empty list or structure, plain names.
fn parameters() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let leaf = ".{0,12}".prop_map(Value::Text);
    let tree = leaf.prop_recursive(4, 32, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..13).prop_map(Value::List),
            prop::collection::btree_map("[A-Z][a-z]{0,6}", inner, 1..4).prop_map(structure),
        ]
    });
    prop::collection::btree_map("[A-Z][a-z]{0,6}", tree, 0..6)
}

/// Writes parameters as every Query client does.
fn flatten(prefix: &str, value: &Value, form: &mut form_urlencoded::Serializer<'_, String>) {
    match value {
        Value::Text(text) => {
            form.append_pair(prefix, text);
        }
        Value::List(items) => {
            for (position, item) in items.iter().enumerate() {
                flatten(&format!("{prefix}.member.{}", position + 1), item, form);
            }
        }
        Value::Map(members) => {
            for (name, member) in members {
                flatten(&format!("{prefix}.{name}"), member, form);
            }
        }
        other => unreachable!("{other:?} is no parameter"),
    }
}

proptest! {
    #[test]
    fn json_gives_back_what_it_was_given(value in text_values()) {
        prop_assert_eq!(json::decode(&json::encode(&value)), Ok(value));
    }

    #[test]
    fn cbor_gives_back_what_it_was_given(value in binary_values()) {
        prop_assert_eq!(cbor::decode(&cbor::encode(&value)), Ok(value));
    }

    #[test]
    fn a_json_time_is_the_same_moment_again(ms in -62_000_000_000_000_i64..250_000_000_000_000) {
        let body = json::encode(&Value::map().with("at", Value::Time(ms)));
        let read = json::decode(&body).expect("what was written");
        prop_assert_eq!(read.get("at").as_time_ms(), Some(ms));
    }

    #[test]
    fn query_reads_what_clients_write(parameters in parameters()) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &parameters {
            flatten(name, value, &mut form);
        }
        prop_assert_eq!(query::decode(form.finish().as_bytes()), Ok(structure(parameters)));
    }

    #[test]
    fn xml_is_well_formed_whatever_it_carries(value in binary_values(), id in "[a-z0-9-]{0,36}") {
        let xml = query::encode("urn:test", "Describe", &value, &id);
        let mut reader = quick_xml::Reader::from_reader(xml.as_slice());
        loop {
            match reader.read_event() {
                Ok(quick_xml::events::Event::Eof) => break,
                Ok(_) => {}
                Err(error) => prop_assert!(false, "{}: {}", error, String::from_utf8_lossy(&xml)),
            }
        }
    }

    #[test]
    fn no_bytes_bring_a_decoder_down(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = json::decode(&body);
        let _ = cbor::decode(&body);
        let _ = query::decode(&body);
    }

    #[test]
    fn no_almost_lawful_bytes_bring_a_decoder_down(
        value in binary_values(),
        cut in any::<prop::sample::Index>(),
        flipped in any::<u8>(),
    ) {
        for mut body in [json::encode(&value), cbor::encode(&value)] {
            let position = cut.index(body.len());
            body[position] ^= flipped;
            let _ = json::decode(&body);
            let _ = cbor::decode(&body);
            let _ = json::decode(&body[..position]);
            let _ = cbor::decode(&body[..position]);
        }
    }

    #[test]
    fn no_parameter_names_bring_query_down(form in "([A-Za-z.0-9%]{0,12}=?[a-z0-9]{0,3}&?){0,12}") {
        let _ = query::decode(form.as_bytes());
    }

    #[test]
    fn every_request_is_understood_or_refused(
        path in "(/[a-zA-Z0-9_]{0,20}){0,5}",
        target in "[ -~]{0,40}",
        authorization in "[ -~]{0,80}",
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-amz-target", &target), ("authorization", &authorization)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let uri: Uri = if path.is_empty() { "/".parse() } else { path.parse() }.expect("a path");
        let _ = understand(&Method::POST, &uri, &headers, &body);
        headers.remove("x-amz-target");
        let _ = understand(&Method::POST, &uri, &headers, &body);
        let _ = Credential::of(&headers, &uri);
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    assert!(json::decode("{\"a\":".repeat(100_000).as_bytes()).is_err());
    assert!(cbor::decode(&[0x81; 100_000]).is_err());
    assert!(cbor::decode(&[0xbf; 100_000]).is_err());
    let path = vec!["a"; 100_000].join(".");
    assert!(query::decode(format!("{path}=1").as_bytes()).is_err());
}
