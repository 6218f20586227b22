//! What can be set on a queue, and what it answers about itself.

use std::collections::BTreeMap;

use super::{Queue, Sqs, invalid};
use crate::error::AwsError;
use crate::value::Value;

/// Numbers that can be set: name, range, default \[M\].
const NUMBERS: [(&str, std::ops::RangeInclusive<i64>, &str); 6] = [
    ("VisibilityTimeout", 0..=43_200, "30"),
    ("MaximumMessageSize", 1_024..=1_048_576, "1048576"),
    ("MessageRetentionPeriod", 60..=1_209_600, "345600"),
    ("DelaySeconds", 0..=900, "0"),
    ("ReceiveMessageWaitTimeSeconds", 0..=20, "0"),
    ("KmsDataKeyReusePeriodSeconds", 60..=86_400, "300"),
];

/// What only a queue that has it answers.
const OPTIONAL: [&str; 4] = [
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
];

/// What a redrive policy says: the dead-letter queue's ARN, and after how many receives.
pub(super) struct Redrive {
    pub(super) target: String,
    pub(super) most: i64,
}

impl Queue {
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.attributes.get(name)?.parse().ok()
    }

    pub(super) fn redrive(&self) -> Option<Redrive> {
        redrive(self.attributes.get("RedrivePolicy")?)
    }

    /// How many messages are visible, in flight, and delayed.
    pub(super) fn counts(&self, now: i64) -> (i64, i64, i64) {
        self.messages.iter().fold((0, 0, 0), |counts, message| {
            if message.visible_ms <= now {
                (counts.0 + 1, counts.1, counts.2)
            } else if message.is_in_flight(now) {
                (counts.0, counts.1 + 1, counts.2)
            } else {
                (counts.0, counts.1, counts.2 + 1)
            }
        })
    }

    pub(super) fn answer(&self, wanted: &[String], now: i64) -> Result<Value, AwsError> {
        let (visible, in_flight, delayed) = self.counts(now);
        let mut all = self.attributes.clone();
        // Only an encrypted queue has it.
        if !all.contains_key("KmsMasterKeyId") {
            all.remove("KmsDataKeyReusePeriodSeconds");
        }
        for (name, value) in [
            ("QueueArn", self.arn.clone()),
            ("ApproximateNumberOfMessages", visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                in_flight.to_string(),
            ),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("CreatedTimestamp", (self.created_ms / 1000).to_string()),
            (
                "LastModifiedTimestamp",
                (self.modified_ms / 1000).to_string(),
            ),
        ] {
            all.insert(name.to_string(), value);
        }
        let mut answer = Value::map();
        for name in wanted {
            if name == "All" {
                for (name, value) in &all {
                    answer = answer.with(name, value.as_str());
                }
            } else if let Some(value) = all.get(name) {
                answer = answer.with(name, value.as_str());
            } else if !is_attribute(name) {
                return Err(unknown(name));
            }
        }
        Ok(answer)
    }
}

fn is_attribute(name: &str) -> bool {
    NUMBERS.iter().any(|(known, _, _)| *known == name)
        || OPTIONAL.contains(&name)
        || [
            "SqsManagedSseEnabled",
            "FifoQueue",
            "ContentBasedDeduplication",
        ]
        .contains(&name)
}

fn unknown(name: &str) -> AwsError {
    AwsError::caller("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

fn redrive(policy: &str) -> Option<Redrive> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let most = policy.get("maxReceiveCount")?;
    let most = most
        .as_i64()
        .or_else(|| most.as_str().and_then(|text| text.parse().ok()))?;
    let target = policy.get("deadLetterTargetArn")?.as_str()?.to_string();
    (1..=1000)
        .contains(&most)
        .then_some(Redrive { target, most })
}

impl Sqs {
    /// The attributes of a new queue.
    pub(super) fn defaults() -> BTreeMap<String, String> {
        NUMBERS
            .iter()
            .map(|(name, _, default)| ((*name).to_string(), (*default).to_string()))
            .chain([("SqsManagedSseEnabled".to_string(), "true".to_string())])
            .collect()
    }

    /// Checks what is to be set on a queue and gives it as it is kept. An empty policy takes it away.
    pub(super) fn checked(&self, given: &Value) -> Result<BTreeMap<String, String>, AwsError> {
        let mut kept = BTreeMap::new();
        let Some(members) = given.as_map() else {
            return Ok(kept);
        };
        for (name, value) in members {
            let text = match value {
                Value::Text(text) => text.clone(),
                Value::Int(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(bad_value(name)),
            };
            let range = NUMBERS.iter().find(|(known, _, _)| known == name);
            match (range, name.as_str()) {
                (Some((_, range, _)), _) => match text.parse::<i64>() {
                    Ok(number) if range.contains(&number) => {}
                    _ => return Err(bad_value(name)),
                },
                (None, "SqsManagedSseEnabled") if ["true", "false"].contains(&text.as_str()) => {}
                (None, "KmsMasterKeyId") => {}
                (None, "RedrivePolicy") if !text.is_empty() => self.check_redrive(&text)?,
                (None, "Policy" | "RedriveAllowPolicy" | "RedrivePolicy") => {
                    let parsed = serde_json::from_str::<serde_json::Value>(&text);
                    if !text.is_empty() && !parsed.is_ok_and(|json| json.is_object()) {
                        return Err(bad_value(name));
                    }
                }
                (
                    None,
                    "FifoQueue"
                    | "ContentBasedDeduplication"
                    | "DeduplicationScope"
                    | "FifoThroughputLimit",
                ) => {
                    return Err(AwsError::caller(
                        "UnsupportedOperation",
                        "FIFO queues are not simulated.",
                    ));
                }
                (None, "SqsManagedSseEnabled") => return Err(bad_value(name)),
                _ => return Err(unknown(name)),
            }
            kept.insert(name.clone(), text);
        }
        Ok(kept)
    }

    fn check_redrive(&self, text: &str) -> Result<(), AwsError> {
        let Some(redrive) = redrive(text) else {
            let reason = "Redrive policy is not a valid JSON map, or has an invalid value for maxReceiveCount.";
            return Err(invalid("RedrivePolicy", text, reason));
        };
        if self.name_of_arn(&redrive.target).is_none() {
            let reason = "Dead letter target does not exist.";
            return Err(invalid("RedrivePolicy", text, reason));
        }
        Ok(())
    }
}

fn bad_value(name: &str) -> AwsError {
    AwsError::caller(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}."),
    )
}
