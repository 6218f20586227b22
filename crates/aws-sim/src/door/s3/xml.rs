//! S3's XML: documents in requests and answers, and errors.
//!
//! Lists are the member repeated, without the `member` elements of the Query protocol \[M\].

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

use crate::door::clock::rfc3339;
use crate::error::AwsError;
use crate::value::Value;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document deeper than this is no request of any client.
const DEEPEST: usize = 16;

/// An answer's document. A root that is itself a text or nothing holds no members.
pub(super) fn document(root: &str, value: &Value) -> Vec<u8> {
    let mut text =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">");
    match value {
        Value::Map(members) => {
            for (name, value) in members {
                element(&mut text, name, value);
            }
        }
        other => text.push_str(&escape(leaf(other))),
    }
    text.push_str(&format!("</{root}>"));
    text.into_bytes()
}

fn element(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::List(items) => {
            for item in items {
                element(text, name, item);
            }
        }
        Value::Map(members) => {
            text.push_str(&format!("<{name}>"));
            for (name, value) in members {
                element(text, name, value);
            }
            text.push_str(&format!("</{name}>"));
        }
        other => text.push_str(&format!("<{name}>{}</{name}>", escape(leaf(other)))),
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Time(ms) => rfc3339(*ms),
        Value::Null | Value::List(_) | Value::Map(_) => String::new(),
    }
}

/// A refusal's document.
pub(super) fn error(error: &AwsError, resource: &str, request_id: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <Resource>{}</Resource><RequestId>{}</RequestId><HostId>{}</HostId></Error>",
        escape(&error.code),
        escape(&error.message),
        escape(resource),
        escape(request_id),
        escape(request_id),
    )
    .into_bytes()
}

/// The members of a request's document, its root being `root`; `None` when it is not well-formed or another one.
pub(super) fn read(body: &[u8], root: &str) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text);
    // The elements that are open: name, members so far, text so far.
    let mut open: Vec<(String, Value, String)> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
                if open.len() >= DEEPEST || (open.is_empty() && name != root) {
                    return None;
                }
                open.push((name, Value::map(), String::new()));
            }
            Event::Empty(empty) => {
                let name = String::from_utf8(empty.local_name().as_ref().to_vec()).ok()?;
                match open.last_mut() {
                    Some((_, members, _)) => add(members, &name, Value::from("")),
                    None => return (name == root).then(Value::map),
                }
            }
            Event::Text(piece) => {
                if let Some((_, _, text)) = open.last_mut() {
                    text.push_str(&piece.decode().ok()?);
                }
            }
            Event::GeneralRef(reference) => {
                let (_, _, text) = open.last_mut()?;
                let name = reference.decode().ok()?;
                match reference.resolve_char_ref().ok()? {
                    Some(c) => text.push(c),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&name)?),
                }
            }
            Event::CData(data) => {
                open.last_mut()?.2.push_str(&data.decode().ok()?);
            }
            Event::End(_) => {
                let (name, members, text) = open.pop()?;
                let has_members = members.as_map().is_some_and(|map| !map.is_empty());
                match open.last_mut() {
                    None => return Some(members),
                    Some((_, parent, _)) if has_members => add(parent, &name, members),
                    Some((_, parent, _)) => add(parent, &name, Value::Text(text)),
                }
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Adds a member; one that is there already becomes a list.
fn add(members: &mut Value, name: &str, value: Value) {
    let Value::Map(members) = members else {
        return;
    };
    match members.remove(name) {
        None => members.insert(name.to_string(), value),
        Some(Value::List(mut items)) => {
            items.push(value);
            members.insert(name.to_string(), Value::List(items))
        }
        Some(first) => members.insert(name.to_string(), Value::List(vec![first, value])),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_is_written() {
        let body =
            b"<Delete xmlns=\"x\"><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object>\
                     <Quiet>true</Quiet></Delete>";
        let read = read(body, "Delete").expect("a document");
        assert_eq!(
            read.get("Object").as_list()[0].get("Key").as_str(),
            Some("a&b")
        );
        assert_eq!(read.get("Quiet").as_bool(), Some(true));
        let written = String::from_utf8(document("Delete", &read)).expect("text");
        assert!(
            written.ends_with(
                "<Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object><Quiet>true</Quiet></Delete>"
            ),
            "{written}"
        );
    }

    #[test]
    fn another_or_broken_document_is_refused() {
        for body in [
            "",
            "<Delete>",
            "<Other></Other>",
            "<Delete></Other>",
            "text",
        ] {
            assert!(read(body.as_bytes(), "Delete").is_none(), "{body}");
        }
    }
}
