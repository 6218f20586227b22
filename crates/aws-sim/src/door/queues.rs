//! What is particular to SQS on the wire: its Query protocol with flattened lists and pairs, the addresses of
//! queues, and the long poll.
//!
//! \[M\] botocore's models up to 1.31 for Query (`flattened`, `locationName`), 1.44.5 for JSON.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderMap, Response, header};
use quick_xml::escape::escape;

use crate::door::wire::{self, Request};
use crate::door::{Shared, TICK};
use crate::value::{Members, Value};
use crate::world::Caller;

/// Lists of a request: the name in a form and the member it is.
const LISTS: [(&str, &str); 7] = [
    ("AttributeName", "AttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("TagKey", "TagKeys"),
    ("SendMessageBatchRequestEntry", "Entries"),
    ("DeleteMessageBatchRequestEntry", "Entries"),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries"),
];

/// Maps of a request: the name in a form, of its keys and its values, and the member it is.
const PAIRS: [(&str, &str, &str, &str); 4] = [
    ("Attribute", "Name", "Value", "Attributes"),
    ("MessageAttribute", "Name", "Value", "MessageAttributes"),
    (
        "MessageSystemAttribute",
        "Name",
        "Value",
        "MessageSystemAttributes",
    ),
    ("Tag", "Key", "Value", "Tags"),
];

/// The parameters of a Query request as the members that JSON has.
pub fn from_query(operation: &str, form: Value) -> Value {
    let Value::Map(members) = form else {
        return form;
    };
    let mut named = Members::new();
    for (name, value) in members {
        if let Some((_, member)) = LISTS.iter().find(|(flat, _)| *flat == name) {
            let Value::List(items) = value else {
                named.insert((*member).to_string(), value);
                continue;
            };
            let items = items.into_iter().map(|item| from_query(operation, item));
            named.insert((*member).to_string(), Value::List(items.collect()));
        } else if let Some((_, key, content, member)) =
            PAIRS.iter().find(|(flat, ..)| *flat == name)
        {
            let pairs = value.as_list().iter().filter_map(|pair| {
                let name = pair.get(key).as_str()?.to_string();
                Some((name, pair.get(content).clone()))
            });
            // The one member of SQS that is not capitalised.
            let member = match (operation, *member) {
                ("CreateQueue", "Tags") => "tags",
                (_, member) => member,
            };
            named.insert(member.to_string(), Value::Map(pairs.collect()));
        } else {
            named.insert(name, value);
        }
    }
    Value::Map(named)
}

/// Writes the whole answer of a Query request.
pub fn to_query(namespace: &str, operation: &str, output: &Value, request_id: &str) -> Vec<u8> {
    let mut xml = format!("<?xml version=\"1.0\"?><{operation}Response xmlns=\"{namespace}\">");
    // Operations without an answer have no result element either.
    if output.as_map().is_some_and(|members| !members.is_empty()) {
        xml.push_str(&format!("<{operation}Result>"));
        members(&mut xml, operation, output);
        xml.push_str(&format!("</{operation}Result>"));
    }
    xml.push_str(&format!(
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ));
    xml.into_bytes()
}

fn members(xml: &mut String, operation: &str, value: &Value) {
    let Some(found) = value.as_map() else {
        return;
    };
    for (name, member) in found {
        let pairs = PAIRS.iter().find(|(_, _, _, member)| *member == name);
        match (member, pairs) {
            (Value::Null, _) => {}
            (Value::Map(entries), Some((flat, key, content, _))) => {
                for (entry, value) in entries {
                    xml.push_str(&format!("<{flat}>"));
                    leaf(xml, key, entry);
                    if value.as_map().is_some() {
                        xml.push_str(&format!("<{content}>"));
                        members(xml, operation, value);
                        xml.push_str(&format!("</{content}>"));
                    } else {
                        leaf(xml, content, value.as_str().unwrap_or_default());
                    }
                    xml.push_str(&format!("</{flat}>"));
                }
            }
            (Value::List(items), _) => {
                let flat = element_of(operation, name);
                for item in items {
                    match item {
                        Value::Map(_) => {
                            xml.push_str(&format!("<{flat}>"));
                            members(xml, operation, item);
                            xml.push_str(&format!("</{flat}>"));
                        }
                        other => leaf(xml, &flat, other.as_str().unwrap_or_default()),
                    }
                }
            }
            (Value::Bool(flag), _) => leaf(xml, name, if *flag { "true" } else { "false" }),
            (Value::Int(number), _) => leaf(xml, name, &number.to_string()),
            (other, _) => leaf(xml, name, other.as_str().unwrap_or_default()),
        }
    }
}

/// What one item of a list is called.
fn element_of(operation: &str, list: &str) -> String {
    match list {
        "Messages" => "Message".to_string(),
        "QueueUrls" | "queueUrls" => "QueueUrl".to_string(),
        "Failed" => "BatchResultErrorEntry".to_string(),
        "Successful" => format!("{operation}ResultEntry"),
        other => other.to_string(),
    }
}

fn leaf(xml: &mut String, name: &str, text: &str) {
    // Message bodies are checked to have no character that XML cannot carry.
    xml.push_str(&format!("<{name}>{}</{name}>", escape(text)));
}

/// Completes the addresses of queues: their host is the one that the caller has used.
pub fn with_host(output: Value, headers: &HeaderMap) -> Value {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let complete = |value: Value| match value {
        Value::Text(path) => Value::Text(format!("http://{host}{path}")),
        other => other,
    };
    let Value::Map(members) = output else {
        return output;
    };
    let members = members.into_iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("QueueUrl", value) => complete(value),
            ("QueueUrls" | "queueUrls", Value::List(urls)) => {
                Value::List(urls.into_iter().map(complete).collect())
            }
            (_, value) => value,
        };
        (name, value)
    });
    Value::Map(members.collect())
}

/// A ReceiveMessage that found nothing and may wait.
#[derive(Debug)]
pub struct Waiting {
    /// What was asked.
    pub request: Request,
    /// By whom.
    pub caller: Caller,
    /// What its answer carries.
    pub request_id: String,
    /// For how long, on the wall clock: that is the clock by which a client is patient.
    pub patience: Duration,
}

/// Asks again until there is a message or the patience is over. A caller that has gone away takes nothing,
/// because its connection ends this with itself.
pub async fn wait(shared: &Shared, waiting: &Waiting) -> Response<Vec<u8>> {
    let since = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let is_over = since.elapsed() >= waiting.patience;
        let mut simulation = shared.lock();
        simulation.catch_up(Instant::now());
        let request = &waiting.request;
        let outcome = simulation.world.call(
            &waiting.caller,
            request.service.name,
            &request.operation,
            &request.input,
        );
        match outcome {
            Ok(output) if output.get("Messages").is_null() && !is_over => {}
            Ok(output) => return wire::answer(request, &output, &waiting.request_id),
            Err(error) => {
                let (protocol, service) = (request.protocol, Some(request.service));
                return wire::refuse(protocol, service, &error, &waiting.request_id);
            }
        }
    }
}

/// The same without a body type of its own.
pub async fn answer_later(shared: &Shared, waiting: &Waiting) -> Response<Body> {
    wait(shared, waiting).await.map(Body::from)
}
