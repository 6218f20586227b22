//! Event patterns: which events a rule is for.
//!
//! \[D\] eb-event-patterns, eb-create-pattern-operators: a pattern is an object whose leaves are lists of
//! values or of one-operator objects; every named field must match one of its list, fields that are not
//! named do not matter, a list in the event matches by any of its items, and the parts of a pattern that
//! lie below one list of objects must match one and the same object. Operators: `prefix`, `suffix`,
//! `anything-but`, `numeric`, `cidr`, `exists`, `equals-ignore-case`, `wildcard`, and `$or` between patterns.

use std::net::IpAddr;

use serde_json::{Map, Value as Json};

/// How deep a pattern may nest: our choice, far beyond any that people write.
const DEEPEST: usize = 50;

/// A pattern that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    fields: Vec<(String, Node)>,
    /// Of each of these one alternative must match.
    alternatives: Vec<Vec<Pattern>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Below(Pattern),
    Any(Vec<Matcher>),
}

#[derive(Clone, Debug, PartialEq)]
enum Matcher {
    Exactly(Json),
    Text(TextMatcher),
    /// None of these.
    Not(Vec<Matcher>),
    Numeric(Vec<(Comparison, f64)>),
    Network(IpAddr, u8),
    Exists(bool),
}

#[derive(Clone, Debug, PartialEq)]
enum TextMatcher {
    Prefix(String),
    Suffix(String),
    PrefixIgnoringCase(String),
    SuffixIgnoringCase(String),
    IgnoringCase(String),
    /// The pieces between the asterisks.
    Wildcard(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Pattern {
    /// Reads a pattern; the error is the reason as PutRule's refusal gives it.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        match serde_json::from_str(text) {
            Ok(Json::Object(fields)) => Pattern::of(&fields, 0),
            Ok(_) => Err("Filter is not an object".to_string()),
            Err(error) => Err(format!("Invalid JSON: {error}")),
        }
    }

    fn of(given: &Map<String, Json>, depth: usize) -> Result<Pattern, String> {
        if given.is_empty() {
            return Err("Empty objects are not allowed".to_string());
        }
        if depth > DEEPEST {
            return Err("The pattern is nested too deeply".to_string());
        }
        let mut pattern = Pattern {
            fields: Vec::new(),
            alternatives: Vec::new(),
        };
        for (key, value) in given {
            match value {
                Json::Array(list) if key == "$or" && list.iter().all(Json::is_object) => {
                    if list.len() < 2 {
                        return Err("$or must have at least two alternatives".to_string());
                    }
                    let alternatives = list.iter().filter_map(Json::as_object);
                    let parsed = alternatives.map(|one| Pattern::of(one, depth + 1));
                    pattern.alternatives.push(parsed.collect::<Result<_, _>>()?);
                }
                Json::Object(below) => {
                    let below = Pattern::of(below, depth + 1)?;
                    pattern.fields.push((key.clone(), Node::Below(below)));
                }
                Json::Array(list) if list.is_empty() => {
                    return Err("Empty arrays are not allowed".to_string());
                }
                Json::Array(list) => {
                    let matchers = list.iter().map(matcher).collect::<Result<_, _>>()?;
                    pattern.fields.push((key.clone(), Node::Any(matchers)));
                }
                _ => return Err(format!("\"{key}\" must be an object or an array")),
            }
        }
        Ok(pattern)
    }

    /// Whether the pattern matches the event.
    pub(crate) fn matches(&self, event: &Json) -> bool {
        match event {
            Json::Object(members) => self.matches_object(members),
            _ => false,
        }
    }

    fn matches_object(&self, members: &Map<String, Json>) -> bool {
        let nothing = Map::new();
        self.fields.iter().all(|(key, node)| {
            let found = members.get(key);
            match node {
                Node::Any(matchers) => {
                    let mut leaves = Vec::new();
                    collect(found, &mut leaves);
                    matchers.iter().any(|matcher| matcher.matches(&leaves))
                }
                Node::Below(below) => match found {
                    Some(Json::Object(members)) => below.matches_object(members),
                    Some(Json::Array(items)) => below.matches_one_of(items),
                    // Only a pattern that wants things absent matches nothing.
                    _ => below.matches_object(&nothing),
                },
            }
        }) && self
            .alternatives
            .iter()
            .all(|list| list.iter().any(|one| one.matches_object(members)))
    }

    fn matches_one_of(&self, items: &[Json]) -> bool {
        items.iter().any(|item| match item {
            Json::Object(members) => self.matches_object(members),
            Json::Array(items) => self.matches_one_of(items),
            _ => false,
        })
    }
}

/// The values at a field: of a list, each of its items that is none itself.
fn collect<'a>(found: Option<&'a Json>, leaves: &mut Vec<&'a Json>) {
    match found {
        None | Some(Json::Object(_)) => {}
        Some(Json::Array(items)) => items.iter().for_each(|item| collect(Some(item), leaves)),
        Some(leaf) => leaves.push(leaf),
    }
}

fn matcher(given: &Json) -> Result<Matcher, String> {
    match given {
        Json::Object(operator) => {
            let mut members = operator.iter();
            match (members.next(), members.next()) {
                (Some((name, operand)), None) => operation(name, operand),
                _ => Err("Only one key allowed in match expression".to_string()),
            }
        }
        Json::Array(_) => {
            Err("Match value must be String, number, true, false, or null".to_string())
        }
        value => Ok(Matcher::Exactly(value.clone())),
    }
}

fn operation(name: &str, operand: &Json) -> Result<Matcher, String> {
    match name {
        "exists" => match operand {
            Json::Bool(wanted) => Ok(Matcher::Exists(*wanted)),
            _ => Err("exists match pattern must be either true or false.".to_string()),
        },
        "numeric" => numeric(operand),
        "cidr" => network(operand),
        "anything-but" => Ok(Matcher::Not(excluded(operand)?)),
        _ => Ok(Matcher::Text(text_operation(name, operand)?)),
    }
}

/// What `anything-but` excludes: values, or what one text operator matches.
fn excluded(operand: &Json) -> Result<Vec<Matcher>, String> {
    let scalar = |value: &Json| match value {
        Json::String(_) | Json::Number(_) => Ok(Matcher::Exactly(value.clone())),
        _ => Err("Inside anything-but list, only strings or numbers are allowed".to_string()),
    };
    match operand {
        Json::Array(list) if list.is_empty() => Err("Empty arrays are not allowed".to_string()),
        Json::Array(list) => list.iter().map(scalar).collect(),
        Json::Object(operator) => {
            let mut members = operator.iter();
            let (Some((name, operand)), None) = (members.next(), members.next()) else {
                return Err("Only one key allowed in match expression".to_string());
            };
            let operands = match operand {
                Json::Array(list) if !list.is_empty() => list.iter().collect(),
                one => vec![one],
            };
            operands
                .into_iter()
                .map(|one| text_operation(name, one).map(Matcher::Text))
                .collect()
        }
        value => Ok(vec![scalar(value)?]),
    }
}

fn text_operation(name: &str, operand: &Json) -> Result<TextMatcher, String> {
    let wrong = || format!("{name} match pattern must be a string");
    if let (Json::Object(inner), "prefix" | "suffix") = (operand, name) {
        let mut members = inner.iter();
        return match (members.next(), members.next()) {
            (Some((key, Json::String(text))), None) if key == "equals-ignore-case" => {
                let folded = text.to_lowercase();
                Ok(if name == "prefix" {
                    TextMatcher::PrefixIgnoringCase(folded)
                } else {
                    TextMatcher::SuffixIgnoringCase(folded)
                })
            }
            _ => Err(wrong()),
        };
    }
    let text = match name {
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => {
            operand.as_str().ok_or_else(wrong)?
        }
        _ => return Err(format!("Unrecognized match type {name}")),
    };
    Ok(match name {
        "prefix" => TextMatcher::Prefix(text.to_string()),
        "suffix" => TextMatcher::Suffix(text.to_string()),
        "wildcard" => TextMatcher::Wildcard(wildcard(text)?),
        _ => TextMatcher::IgnoringCase(text.to_lowercase()),
    })
}

fn wildcard(text: &str) -> Result<Vec<String>, String> {
    let mut pieces = vec![String::new()];
    let mut last_was_asterisk = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let piece = match character {
            '*' if last_was_asterisk => {
                return Err("Consecutive wildcard characters are not allowed".to_string());
            }
            '*' => {
                pieces.push(String::new());
                last_was_asterisk = true;
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => escaped,
                _ => return Err("Invalid escape character".to_string()),
            },
            other => other,
        };
        last_was_asterisk = false;
        if let Some(open) = pieces.last_mut() {
            open.push(piece);
        }
    }
    Ok(pieces)
}

fn numeric(operand: &Json) -> Result<Matcher, String> {
    let list = operand.as_array().map_or(&[][..], Vec::as_slice);
    let mut bounds = Vec::new();
    for pair in list.chunks(2) {
        let [operator, number] = pair else {
            return Err("Numeric match must have operator and value pairs".to_string());
        };
        let comparison = match operator.as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::AtMost,
            Some("=") => Comparison::Equal,
            Some(">=") => Comparison::AtLeast,
            Some(">") => Comparison::More,
            _ => return Err(format!("Unrecognized numeric range operator: {operator}")),
        };
        let number = number
            .as_f64()
            .ok_or("Value of a numeric match must be numeric")?;
        bounds.push((comparison, number));
    }
    match bounds.len() {
        1 | 2 => Ok(Matcher::Numeric(bounds)),
        _ => Err("Invalid member in numeric match".to_string()),
    }
}

fn network(operand: &Json) -> Result<Matcher, String> {
    let text = operand.as_str().ok_or("cidr must be a string")?;
    let (address, bits) = text
        .split_once('/')
        .ok_or("Malformed CIDR, one '/' required")?;
    let address: IpAddr = address
        .parse()
        .map_err(|_| format!("Nonstandard IP address: {address}"))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match bits.parse::<u8>() {
        Ok(bits) if bits <= longest => Ok(Matcher::Network(address, bits)),
        _ => Err("Malformed CIDR, mask bits must be an integer".to_string()),
    }
}

/// The address as a number at the top of 128 bits, so that prefixes of both kinds compare alike.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Matcher {
    fn matches(&self, leaves: &[&Json]) -> bool {
        match self {
            Matcher::Exists(wanted) => leaves.is_empty() != *wanted,
            one => leaves.iter().any(|leaf| one.matches_leaf(leaf)),
        }
    }

    fn matches_leaf(&self, leaf: &Json) -> bool {
        match self {
            Matcher::Exactly(value) => match (value.as_f64(), leaf.as_f64()) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => value == leaf,
            },
            Matcher::Text(matcher) => leaf.as_str().is_some_and(|text| matcher.matches(text)),
            Matcher::Not(excluded) => !excluded.iter().any(|one| one.matches_leaf(leaf)),
            Matcher::Numeric(bounds) => leaf.as_f64().is_some_and(|found| {
                bounds.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Less => found < *bound,
                    Comparison::AtMost => found <= *bound,
                    Comparison::Equal => found == *bound,
                    Comparison::AtLeast => found >= *bound,
                    Comparison::More => found > *bound,
                })
            }),
            Matcher::Network(network, bits) => {
                let address = leaf.as_str().and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| {
                    let differing = bits_of(address) ^ bits_of(*network);
                    let same_kind = address.is_ipv4() == network.is_ipv4();
                    same_kind && differing.leading_zeros() >= u32::from(*bits)
                })
            }
            // Asked of all leaves at once.
            Matcher::Exists(wanted) => *wanted,
        }
    }
}

impl TextMatcher {
    fn matches(&self, text: &str) -> bool {
        match self {
            TextMatcher::Prefix(prefix) => text.starts_with(prefix.as_str()),
            TextMatcher::Suffix(suffix) => text.ends_with(suffix.as_str()),
            TextMatcher::PrefixIgnoringCase(prefix) => {
                text.to_lowercase().starts_with(prefix.as_str())
            }
            TextMatcher::SuffixIgnoringCase(suffix) => {
                text.to_lowercase().ends_with(suffix.as_str())
            }
            TextMatcher::IgnoringCase(wanted) => text.to_lowercase() == *wanted,
            TextMatcher::Wildcard(pieces) => {
                let [first, middle @ .., last] = pieces.as_slice() else {
                    return pieces.first().is_some_and(|only| only == text);
                };
                let Some(mut rest) = text.strip_prefix(first.as_str()) else {
                    return false;
                };
                // The earliest place for each piece leaves the most room for the next.
                for piece in middle {
                    let Some(at) = rest.find(piece.as_str()) else {
                        return false;
                    };
                    rest = &rest[at + piece.len()..];
                }
                rest.ends_with(last.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, event: &str) -> bool {
        let pattern = Pattern::parse(pattern).expect(pattern);
        pattern.matches(&serde_json::from_str(event).expect(event))
    }

    #[test]
    fn patterns_match_as_documented() {
        // Pattern, an event that matches, an event that does not.
        for (pattern, yes, no) in [
            (
                r#"{"a":["x",1,null,true]}"#,
                r#"{"a":"x","b":2}"#,
                r#"{"a":"y"}"#,
            ),
            (r#"{"a":[1]}"#, r#"{"a":1.0}"#, r#"{"a":"1"}"#),
            (r#"{"a":[null]}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":["x"]}"#, r#"{"a":["w","x"]}"#, r#"{"a":[]}"#),
            (r#"{"a":{"b":["x"]}}"#, r#"{"a":{"b":"x"}}"#, r#"{"a":"x"}"#),
            (
                r#"{"a":[{"prefix":"d-"}]}"#,
                r#"{"a":"d-1"}"#,
                r#"{"a":"e-1"}"#,
            ),
            (
                r#"{"a":[{"prefix":{"equals-ignore-case":"D-"}}]}"#,
                r#"{"a":"d-1"}"#,
                r#"{"a":"1"}"#,
            ),
            (
                r#"{"a":[{"suffix":".png"}]}"#,
                r#"{"a":"x.png"}"#,
                r#"{"a":"png"}"#,
            ),
            (
                r#"{"a":[{"suffix":{"equals-ignore-case":".PNG"}}]}"#,
                r#"{"a":"x.pNg"}"#,
                r#"{"a":"x"}"#,
            ),
            (
                r#"{"a":[{"equals-ignore-case":"AbC"}]}"#,
                r#"{"a":"aBc"}"#,
                r#"{"a":"abcd"}"#,
            ),
            (
                r#"{"a":[{"wildcard":"d/*/f*.txt"}]}"#,
                r#"{"a":"d/x/y/f1.txt"}"#,
                r#"{"a":"d/f.txt"}"#,
            ),
            (
                r#"{"a":[{"wildcard":"a\\*b"}]}"#,
                r#"{"a":"a*b"}"#,
                r#"{"a":"axb"}"#,
            ),
            (
                r#"{"a":[{"wildcard":"*ab*ab"}]}"#,
                r#"{"a":"abab"}"#,
                r#"{"a":"ab"}"#,
            ),
            (
                r#"{"a":[{"anything-but":"x"}]}"#,
                r#"{"a":"y"}"#,
                r#"{"a":"x"}"#,
            ),
            (
                r#"{"a":[{"anything-but":"x"}]}"#,
                r#"{"a":["x","y"]}"#,
                r#"{}"#,
            ),
            (
                r#"{"a":[{"anything-but":["x",1]}]}"#,
                r#"{"a":2}"#,
                r#"{"a":1}"#,
            ),
            (
                r#"{"a":[{"anything-but":{"prefix":"x"}}]}"#,
                r#"{"a":"y"}"#,
                r#"{"a":"xy"}"#,
            ),
            (
                r#"{"a":[{"anything-but":{"suffix":["x","y"]}}]}"#,
                r#"{"a":"z"}"#,
                r#"{"a":"zy"}"#,
            ),
            (
                r#"{"a":[{"anything-but":{"wildcard":"*/x"}}]}"#,
                r#"{"a":"x"}"#,
                r#"{"a":"a/x"}"#,
            ),
            (
                r#"{"a":[{"anything-but":{"equals-ignore-case":["X"]}}]}"#,
                r#"{"a":"y"}"#,
                r#"{"a":"x"}"#,
            ),
            (
                r#"{"a":[{"numeric":[">",0,"<=",5]}]}"#,
                r#"{"a":5}"#,
                r#"{"a":0}"#,
            ),
            (
                r#"{"a":[{"numeric":["=",3.5]}]}"#,
                r#"{"a":3.5}"#,
                r#"{"a":"3.5"}"#,
            ),
            (
                r#"{"a":[{"cidr":"10.0.0.0/24"}]}"#,
                r#"{"a":"10.0.0.255"}"#,
                r#"{"a":"10.0.1.0"}"#,
            ),
            (
                r#"{"a":[{"cidr":"2001:db8::/32"}]}"#,
                r#"{"a":"2001:db8::1"}"#,
                r#"{"a":"10.0.0.1"}"#,
            ),
            (r#"{"a":[{"exists":true}]}"#, r#"{"a":null}"#, r#"{"b":1}"#),
            (r#"{"a":[{"exists":false}]}"#, r#"{"b":1}"#, r#"{"a":1}"#),
            (
                r#"{"a":{"b":[{"exists":false}]}}"#,
                r#"{}"#,
                r#"{"a":{"b":0}}"#,
            ),
            (
                r#"{"$or":[{"a":[1]},{"b":[2]}]}"#,
                r#"{"a":0,"b":2}"#,
                r#"{"a":2,"b":1}"#,
            ),
            (
                r#"{"s":["x"],"$or":[{"a":[1]},{"b":[2]}]}"#,
                r#"{"s":"x","a":1}"#,
                r#"{"s":"y","a":1}"#,
            ),
            (
                r#"{"d":{"$or":[{"a":[1]},{"b":[2]}]}}"#,
                r#"{"d":{"b":2}}"#,
                r#"{"d":{}}"#,
            ),
            // Below one list, one and the same object has to match.
            (
                r#"{"a":{"b":[1],"c":[2]}}"#,
                r#"{"a":[{"b":9},{"b":1,"c":2}]}"#,
                r#"{"a":[{"b":1,"c":9},{"b":9,"c":2}]}"#,
            ),
        ] {
            assert!(matches(pattern, yes), "{pattern} does not match {yes}");
            assert!(!matches(pattern, no), "{pattern} matches {no}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "",
            "[]",
            "{}",
            "1",
            r#"{"a":"x"}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":[["x"]]}"#,
            r#"{"a":[{"unknown":"x"}]}"#,
            r#"{"a":[{"prefix":1}]}"#,
            r#"{"a":[{"exists":"yes"}]}"#,
            r#"{"a":[{"numeric":[]}]}"#,
            r#"{"a":[{"numeric":["<"]}]}"#,
            r#"{"a":[{"numeric":["!",1]}]}"#,
            r#"{"a":[{"anything-but":[]}]}"#,
            r#"{"a":[{"anything-but":[null]}]}"#,
            r#"{"a":[{"wildcard":"a**b"}]}"#,
            r#"{"a":[{"wildcard":"a\\b"}]}"#,
            r#"{"a":[{"cidr":"10.0.0.0/33"}]}"#,
            r#"{"a":[{"prefix":"x","suffix":"y"}]}"#,
            r#"{"$or":[{"a":[1]}]}"#,
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        let deep = format!("{}[1]{}", r#"{"a":"#.repeat(60), "}".repeat(60));
        assert!(Pattern::parse(&deep).is_err());
    }

    proptest! {
        #[test]
        fn a_pattern_made_from_an_event_matches_it(words in proptest::collection::vec("[a-zé*\\\\]{1,6}", 1..5)) {
            let event: Map<String, Json> = words.iter().enumerate()
                .map(|(index, word)| (format!("k{index}"), Json::from(word.as_str()))).collect();
            let exact: Map<String, Json> = event.iter()
                .map(|(key, word)| (key.clone(), Json::from(vec![word.clone()]))).collect();
            prop_assert!(matches(&Json::from(exact).to_string(), &Json::from(event.clone()).to_string()));
            // A wildcard of the word's own characters, escaped, and asterisks around it.
            let escaped = words[0].replace('\\', "\\\\").replace('*', "\\*");
            let wild = serde_json::json!({ "k0": [{ "wildcard": format!("*{escaped}*") }] });
            prop_assert!(matches(&wild.to_string(), &Json::from(event).to_string()));
        }
    }
}
