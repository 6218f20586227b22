//! Sending, receiving and deleting messages.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::{Message, Queue, Sqs, invalid, missing, number};
use crate::error::AwsError;
use crate::value::{Members, Value};
use crate::world::read::{text, texts};
use crate::world::{Caller, ids};

/// The most messages of a standard queue that may be in flight \[M ReceiveMessage\].
const MOST_IN_FLIGHT: i64 = 120_000;

/// A message as it was sent.
pub(super) struct Sent {
    pub(super) body: String,
    pub(super) attributes: Members,
    pub(super) trace: Option<String>,
    pub(super) delay_s: Option<i64>,
}

impl Queue {
    /// Puts a message into the queue.
    pub(super) fn take_in(&mut self, sent: Sent, id: String, sender: String, now: i64) {
        let delay_s = sent.delay_s.or(self.number("DelaySeconds")).unwrap_or(0);
        self.messages.push_back(Message {
            id,
            body: sent.body,
            attributes: sent.attributes,
            trace: sent.trace,
            sender,
            sent_ms: now,
            visible_ms: now + delay_s * 1000,
            receives: 0,
            first_received_ms: None,
            dead_from: None,
        });
    }

    /// Drops what is older than the queue keeps.
    pub(super) fn forget_expired(&mut self, now: i64) {
        let kept_s = self.number("MessageRetentionPeriod").unwrap_or(345_600);
        let oldest = now - kept_s * 1000;
        self.messages.retain(|message| message.sent_ms > oldest);
    }

    /// The message that a receipt handle was given for, if this was its last receive.
    fn received(&mut self, receipt: &Receipt) -> Option<&mut Message> {
        self.messages
            .iter_mut()
            .find(|message| message.id == receipt.message && message.receives == receipt.receives)
    }
}

/// What a receipt handle stands for.
struct Receipt {
    message: String,
    receives: i64,
}

/// Opaque, and another one for each receive, as AWS's are.
fn receipt_handle(queue: &str, message: &Message) -> String {
    STANDARD.encode(format!("{queue} {} {}", message.id, message.receives))
}

fn read_receipt(input: &Value, queue: &str) -> Result<Receipt, AwsError> {
    let handle = text(input, "ReceiptHandle").ok_or_else(|| missing("ReceiptHandle"))?;
    let refused = || {
        AwsError::caller(
            "ReceiptHandleIsInvalid",
            format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
        )
    };
    let bytes = STANDARD.decode(handle).map_err(|_| refused())?;
    let plain = String::from_utf8(bytes).map_err(|_| refused())?;
    let parts: Vec<&str> = plain.split(' ').collect();
    match parts[..] {
        [of, message, receives] if of == queue => Ok(Receipt {
            message: message.to_string(),
            receives: receives.parse().map_err(|_| refused())?,
        }),
        _ => Err(refused()),
    }
}

pub(super) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

fn add(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(part);
}

/// The digest of message attributes \[D\] sqs-message-metadata: sorted by name, each name, type and value
/// with its length before it.
pub(super) fn md5_of_attributes(attributes: &Members) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for (name, value) in attributes {
        let kind = value.get("DataType").as_str().unwrap_or_default();
        add(&mut bytes, name.as_bytes());
        add(&mut bytes, kind.as_bytes());
        // How the value is carried stands before it: 1 for text, 2 for bytes.
        if let Some(binary) = value.get("BinaryValue").as_str() {
            bytes.push(2);
            add(&mut bytes, &STANDARD.decode(binary).unwrap_or_default());
        } else {
            bytes.push(1);
            let text = value.get("StringValue").as_str().unwrap_or_default();
            add(&mut bytes, text.as_bytes());
        }
    }
    Some(md5_hex(&bytes))
}

impl Sqs {
    /// Reads and checks what is to be sent.
    pub(super) fn to_send(&self, queue: &Queue, input: &Value) -> Result<Sent, AwsError> {
        let body = input
            .get("MessageBody")
            .as_str()
            .ok_or_else(|| missing("MessageBody"))?;
        if body.is_empty() {
            return Err(missing("MessageBody"));
        }
        let lawful = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if !body.chars().all(lawful) {
            let message = "Invalid characters found. Valid unicode characters are \
                           #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
            return Err(AwsError::caller("InvalidMessageContents", message));
        }
        for name in ["MessageGroupId", "MessageDeduplicationId"] {
            if !input.get(name).is_null() {
                let reason = "The request include parameter that is not valid for this queue type";
                let given = input.get(name).as_str().unwrap_or_default();
                return Err(invalid(name, given, reason));
            }
        }
        let delay_s = number(input, "DelaySeconds", 0..=900)?;
        let attributes = message_attributes(input.get("MessageAttributes"))?;
        let system = message_attributes(input.get("MessageSystemAttributes"))?;
        if let Some(other) = system.keys().find(|name| *name != "AWSTraceHeader") {
            return Err(invalid(
                "MessageSystemAttributes",
                other,
                "Unknown attribute.",
            ));
        }
        let trace = system
            .get("AWSTraceHeader")
            .and_then(|value| value.get("StringValue").as_str())
            .map(str::to_string);
        let most = queue.number("MaximumMessageSize").unwrap_or(1_048_576);
        let size = body.len() as i64 + attributes_size(&attributes);
        if size > most {
            let message = format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            );
            return Err(AwsError::caller("InvalidParameterValue", message));
        }
        Ok(Sent {
            body: body.to_string(),
            attributes,
            trace,
            delay_s,
        })
    }

    pub(super) fn send_message(
        &mut self,
        caller: &Caller,
        input: &Value,
        now: i64,
    ) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        let queue = self.queues.get(&name).ok_or_else(super::no_such_queue)?;
        let sent = self.to_send(queue, input)?;
        let id = ids::uuid(&mut self.rng);
        let trace = sent.trace.as_ref().map(|trace| {
            let value = structure! { "DataType": "String", "StringValue": trace.as_str() };
            Members::from_iter([("AWSTraceHeader".to_string(), value)])
        });
        let answer = structure! {
            "MessageId": id.as_str(),
            "MD5OfMessageBody": md5_hex(sent.body.as_bytes()),
            "MD5OfMessageAttributes": md5_of_attributes(&sent.attributes),
            "MD5OfMessageSystemAttributes": trace.and_then(|trace| md5_of_attributes(&trace)),
        };
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.take_in(sent, id, caller.principal.clone(), now);
        }
        Ok(answer)
    }

    pub(super) fn receive_message(&mut self, input: &Value, now: i64) -> Result<Value, AwsError> {
        let most = number(input, "MaxNumberOfMessages", 1..=10)?.unwrap_or(1);
        number(input, "WaitTimeSeconds", 0..=20)?;
        let hidden_s = number(input, "VisibilityTimeout", 0..=43_200)?;
        let name = self.name(input)?;
        self.move_dead(&name, now);
        let queue = self
            .queues
            .get_mut(&name)
            .ok_or_else(super::no_such_queue)?;
        if queue.counts(now).1 >= MOST_IN_FLIGHT {
            let message = "Too many messages are in flight.";
            return Err(AwsError::caller("OverLimit", message));
        }
        let hidden_s = hidden_s.or(queue.number("VisibilityTimeout")).unwrap_or(30);
        let mut system = texts(input, "AttributeNames");
        system.extend(texts(input, "MessageSystemAttributeNames"));
        let wanted = texts(input, "MessageAttributeNames");
        let mut messages = Vec::new();
        for message in &mut queue.messages {
            if messages.len() as i64 >= most {
                break;
            }
            if message.visible_ms > now {
                continue;
            }
            message.receives += 1;
            message.first_received_ms.get_or_insert(now);
            message.visible_ms = now + hidden_s * 1000;
            messages.push(describe(&name, message, &system, &wanted));
        }
        let messages = (!messages.is_empty()).then_some(messages);
        Ok(structure! { "Messages": messages })
    }

    /// Moves what was received too often to the dead-letter queue. It keeps its id, its age and how
    /// often it was received; the latter is \[K\].
    fn move_dead(&mut self, name: &str, now: i64) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        let Some(redrive) = queue.redrive() else {
            return;
        };
        let arn = queue.arn.clone();
        let is_dead =
            |message: &Message| message.visible_ms <= now && message.receives >= redrive.most;
        let (dead, kept): (VecDeque<Message>, _) = queue.messages.drain(..).partition(is_dead);
        queue.messages = kept;
        let target = self
            .queues
            .values_mut()
            .find(|one| one.arn == redrive.target);
        if let Some(target) = target {
            target
                .messages
                .extend(dead.into_iter().map(|message| Message {
                    dead_from: Some(arn.clone()),
                    ..message
                }));
        } else if let Some(queue) = self.queues.get_mut(name) {
            // The dead-letter queue was deleted: the messages stay.
            queue.messages.extend(dead);
        }
    }

    pub(super) fn delete_message(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        let receipt = read_receipt(input, &name)?;
        // A handle of an earlier receive deletes nothing, and neither does that of a message that is gone;
        // AWS answers both as if it had.
        if let Some(queue) = self.queues.get_mut(&name) {
            // What was received is near the front of the queue.
            let mut messages = queue.messages.iter();
            let found = messages.position(|message| {
                message.id == receipt.message && message.receives == receipt.receives
            });
            if let Some(at) = found {
                queue.messages.remove(at);
            }
        }
        Ok(Value::map())
    }

    pub(super) fn change_visibility(&mut self, input: &Value, now: i64) -> Result<Value, AwsError> {
        let seconds = number(input, "VisibilityTimeout", 0..=43_200)?
            .ok_or_else(|| missing("VisibilityTimeout"))?;
        let name = self.name(input)?;
        let receipt = read_receipt(input, &name)?;
        let queue = self
            .queues
            .get_mut(&name)
            .ok_or_else(super::no_such_queue)?;
        let message = queue
            .received(&receipt)
            .filter(|message| message.is_in_flight(now))
            .ok_or_else(|| {
                AwsError::caller(
                    "MessageNotInflight",
                    "The message referred to is not in flight.",
                )
            })?;
        message.visible_ms = now + seconds * 1000;
        Ok(Value::map())
    }
}

fn describe(queue: &str, message: &Message, system: &[String], wanted: &[String]) -> Value {
    let mut about = Value::map();
    let all = system.iter().any(|name| name == "All");
    for (name, value) in [
        ("SenderId", Some(message.sender.clone())),
        ("SentTimestamp", Some(message.sent_ms.to_string())),
        (
            "ApproximateReceiveCount",
            Some(message.receives.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            message.first_received_ms.map(|at| at.to_string()),
        ),
        ("AWSTraceHeader", message.trace.clone()),
        ("DeadLetterQueueSourceArn", message.dead_from.clone()),
    ] {
        if all || system.iter().any(|wanted| wanted == name) {
            about = about.with(name, value);
        }
    }
    let is_wanted = |name: &str| {
        wanted.iter().any(|one| match one.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => one == "All" || one == name,
        })
    };
    let attributes: Members = message
        .attributes
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let some = |map: Value| Some(map).filter(|map| map.as_map().is_some_and(|map| !map.is_empty()));
    structure! {
        "MessageId": message.id.as_str(),
        "ReceiptHandle": receipt_handle(queue, message),
        "MD5OfBody": md5_hex(message.body.as_bytes()),
        "Body": message.body.as_str(),
        "Attributes": some(about),
        "MD5OfMessageAttributes": md5_of_attributes(&attributes),
        "MessageAttributes": some(Value::Map(attributes)),
    }
}

/// Checks message attributes: at most ten, each with a type and a value of it \[D\].
fn message_attributes(given: &Value) -> Result<Members, AwsError> {
    let Some(given) = given.as_map() else {
        return Ok(Members::new());
    };
    if given.len() > 10 {
        let message = "Number of message attributes [11] exceeds the allowed maximum [10].";
        return Err(AwsError::caller("InvalidParameterValue", message));
    }
    for (name, value) in given {
        let kind = value.get("DataType").as_str().unwrap_or_default();
        let refused = |what: &str| {
            let message = format!("The message attribute '{name}' {what}");
            Err(AwsError::caller("InvalidParameterValue", message))
        };
        let base = kind.split('.').next().unwrap_or_default();
        let value = match base {
            "String" | "Number" => value.get("StringValue").as_str(),
            "Binary" => value.get("BinaryValue").as_str(),
            "" => return refused("must contain non-empty message attribute type."),
            _ => {
                return refused(
                    "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
                );
            }
        };
        match value {
            None | Some("") => {
                return refused("must contain non-empty message attribute value for its type.");
            }
            Some(text) if base == "Number" && text.parse::<f64>().is_err() => {
                return refused("must contain a number.");
            }
            Some(text) if base == "Binary" && STANDARD.decode(text).is_err() => {
                return refused("must contain Base64.");
            }
            Some(_) => {}
        }
    }
    Ok(given.clone())
}

/// Names, types and values of attributes count as parts of a message.
fn attributes_size(attributes: &Members) -> i64 {
    attributes
        .iter()
        .map(|(name, value)| {
            let length = |key: &str| value.get(key).as_str().map_or(0, str::len);
            name.len() + length("DataType") + length("StringValue") + length("BinaryValue") * 3 / 4
        })
        .sum::<usize>() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sqs() {
        // The digest of the body "hello", and of attributes as boto's and localstack's own tests have them.
        assert_eq!(md5_hex(b"hello"), "5d41402abc4b2a76b9719d911017c592");
        let attribute = |kind: &str, value: &str| {
            structure! { "DataType": kind, "StringValue": value }
        };
        let one = Members::from_iter([(
            "timestamp".to_string(),
            attribute("Number", "1493147359900"),
        )]);
        let digest = md5_of_attributes(&one);
        assert_eq!(digest.as_deref(), Some("235c5c510d26fb653d073faed50ae77c"));
        assert_eq!(md5_of_attributes(&Members::new()), None);
    }
}
