//! The Query codec: form parameters to a [`Value`], a [`Value`] to XML.
//!
//! Names are paths: `Actions.member.1.ForwardConfig.TargetGroups.member.2.Weight=10`. Lists are
//! `.member.N` (or, in the older flattened form, `.N`), maps are `.entry.N.key` and `.entry.N.value`.
//! All leaves are text; the readers of [`Value`] understand text where a number is meant.

use std::collections::BTreeMap;

use quick_xml::escape::escape;

use crate::door::{clock::rfc3339, json::non_finite};
use crate::value::{Members, Value};

/// A path longer than this is no request of any client.
const DEEPEST_PATH: usize = 32;

enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Node>),
}

/// Reads form parameters (`a=b&c.member.1=d`) into a structure. The error says what is wrong.
pub fn decode(form: &[u8]) -> Result<Value, String> {
    let mut root = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        if name.is_empty() {
            return Err("a parameter has no name".to_string());
        }
        let path: Vec<&str> = name.split('.').collect();
        if path.len() > DEEPEST_PATH || path.iter().any(|part| part.is_empty()) {
            return Err(format!("the parameter name {name} is malformed"));
        }
        insert(&mut root, &path, value.into_owned())
            .ok_or_else(|| format!("the parameter {name} contradicts another one"))?;
    }
    Ok(Value::Map(
        root.into_iter()
            .map(|(key, node)| (key, to_value(node)))
            .collect(),
    ))
}

/// `None` when the path runs through a leaf, ends on a branch, or was there already.
fn insert(branch: &mut BTreeMap<String, Node>, path: &[&str], value: String) -> Option<()> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        return match branch.insert((*first).to_string(), Node::Leaf(value)) {
            None => Some(()),
            Some(_) => None,
        };
    }
    let next = branch
        .entry((*first).to_string())
        .or_insert_with(|| Node::Branch(BTreeMap::new()));
    match next {
        Node::Branch(next) => insert(next, rest, value),
        Node::Leaf(_) => None,
    }
}

fn to_value(node: Node) -> Value {
    let mut branch = match node {
        Node::Leaf(text) => return Value::Text(text),
        Node::Branch(branch) => branch,
    };
    if branch.len() == 1 {
        if let Some(Node::Branch(items)) = branch.get("member")
            && numbered(items)
        {
            return branch.remove("member").map_or(Value::Null, to_value);
        }
        if let Some(Node::Branch(items)) = branch.get("entry")
            && numbered(items)
            && items.values().all(is_entry)
        {
            return branch.remove("entry").map_or(Value::Null, entries);
        }
    }
    if numbered(&branch) {
        let mut items: Vec<(u64, Node)> = branch
            .into_iter()
            .map(|(key, node)| (key.parse().unwrap_or(u64::MAX), node))
            .collect();
        items.sort_by_key(|(position, _)| *position);
        return Value::List(items.into_iter().map(|(_, node)| to_value(node)).collect());
    }
    Value::Map(
        branch
            .into_iter()
            .map(|(key, node)| (key, to_value(node)))
            .collect(),
    )
}

fn numbered(branch: &BTreeMap<String, Node>) -> bool {
    !branch.is_empty()
        && branch
            .keys()
            .all(|key| key.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_entry(node: &Node) -> bool {
    matches!(node, Node::Branch(entry) if matches!(entry.get("key"), Some(Node::Leaf(_))))
}

fn entries(node: Node) -> Value {
    let Node::Branch(items) = node else {
        return Value::Null;
    };
    let mut map = Members::new();
    for entry in items.into_values() {
        if let Node::Branch(mut entry) = entry
            && let Some(Node::Leaf(key)) = entry.remove("key")
        {
            map.insert(key, entry.remove("value").map_or(Value::Null, to_value));
        }
    }
    Value::Map(map)
}

/// Writes the whole answer to `operation`: the result in its wrapper and the request's id.
pub fn encode(namespace: &str, operation: &str, output: &Value, request_id: &str) -> Vec<u8> {
    let mut xml = format!("<{operation}Response xmlns=\"{namespace}\">");
    element(&mut xml, &format!("{operation}Result"), output);
    xml.push_str(&format!(
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ));
    xml.into_bytes()
}

/// Writes a refusal. `sender` says whose fault it is.
pub fn encode_error(
    namespace: &str,
    code: &str,
    message: &str,
    sender: bool,
    request_id: &str,
) -> Vec<u8> {
    let fault = if sender { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{}</Code>\
         <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        escape(lawful(code)),
        escape(lawful(message)),
    )
    .into_bytes()
}

fn element(xml: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    match value {
        Value::Null => {}
        Value::Bool(flag) => xml.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => xml.push_str(&number.to_string()),
        Value::Double(number) if number.is_finite() => xml.push_str(&number.to_string()),
        Value::Double(number) => xml.push_str(non_finite(*number)),
        Value::Text(text) => xml.push_str(&escape(lawful(text))),
        Value::Time(ms) => xml.push_str(&rfc3339(*ms)),
        Value::List(items) => items.iter().for_each(|item| element(xml, "member", item)),
        Value::Map(members) => {
            members
                .iter()
                .for_each(|(key, member)| element(xml, &lawful_name(key), member));
        }
    }
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

/// XML 1.0 cannot carry most control characters, not even escaped.
fn lawful(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' => character,
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// Members of answers are model names; a name that came from a caller must still not break the document.
fn lawful_name(name: &str) -> String {
    let mut lawful: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => character,
            _ => '_',
        })
        .collect();
    if !lawful.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        lawful.insert(0, '_');
    }
    lawful
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_string())
    }

    #[test]
    fn nested_members_become_lists_of_structures() {
        let form = b"Action=ModifyListener&DefaultActions.member.1.Type=forward\
            &DefaultActions.member.1.ForwardConfig.TargetGroups.member.2.Weight=10\
            &DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight=90";
        let group = |weight: &str| Value::map().with("Weight", weight);
        let expected = Value::map().with("Action", "ModifyListener").with(
            "DefaultActions",
            vec![
                Value::map()
                    .with(
                        "ForwardConfig",
                        Value::map().with("TargetGroups", vec![group("90"), group("10")]),
                    )
                    .with("Type", "forward"),
            ],
        );
        assert_eq!(decode(form).unwrap(), expected);
    }

    #[test]
    fn ten_comes_after_nine_in_a_list() {
        let form: String = (1..=11).map(|n| format!("L.member.{n}=v{n}&")).collect();
        let list: Vec<Value> = (1..=11).map(|n| text(&format!("v{n}"))).collect();
        assert_eq!(
            decode(form.as_bytes()).unwrap(),
            Value::map().with("L", list)
        );
    }

    #[test]
    fn maps_and_flattened_lists_are_read() {
        let form = b"Tags.entry.1.key=team&Tags.entry.1.value=web&Names.1=a&Names.2=b&Empty=";
        let expected = Value::map()
            .with("Tags", Value::map().with("team", "web"))
            .with("Names", vec![text("a"), text("b")])
            .with("Empty", "");
        assert_eq!(decode(form).unwrap(), expected);
    }

    #[test]
    fn contradictions_are_refused() {
        for form in ["A=1&A=2", "A=1&A.B=2", "A.B=2&A=1", "A..B=1", ".=1", "=1"] {
            assert!(decode(form.as_bytes()).is_err(), "{form}");
        }
    }

    #[test]
    fn an_answer_wraps_lists_in_member_and_escapes_text() {
        let output = Value::map()
            .with(
                "Rules",
                vec![
                    Value::map()
                        .with("Priority", "default")
                        .with("IsDefault", true),
                ],
            )
            .with("Text", "a<b&\u{1}")
            .with("Nothing", Value::List(vec![]));
        let xml = String::from_utf8(encode("urn:x", "DescribeRules", &output, "id-1")).unwrap();
        assert_eq!(
            xml,
            "<DescribeRulesResponse xmlns=\"urn:x\"><DescribeRulesResult><Nothing></Nothing><Rules>\
             <member><IsDefault>true</IsDefault><Priority>default</Priority></member></Rules>\
             <Text>a&lt;b&amp;\u{fffd}</Text></DescribeRulesResult><ResponseMetadata>\
             <RequestId>id-1</RequestId></ResponseMetadata></DescribeRulesResponse>"
        );
    }
}
