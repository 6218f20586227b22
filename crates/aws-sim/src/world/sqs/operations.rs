//! Operations on queues, and which members each operation has.

use std::collections::{BTreeMap, VecDeque};

use super::{Queue, Sqs, invalid, missing, no_such_queue, number};
use crate::error::AwsError;
use crate::value::{Members, Value};
use crate::world::ids;
use crate::world::read::{text, texts};

/// How long the name of a deleted queue cannot be used, and how far apart purges must be \[M\].
const A_MINUTE_MS: i64 = 60_000;

/// The members of each operation \[M\]. A member that is not here is refused instead of ignored, which AWS would do.
const MEMBERS: [(&str, &[&str]); 18] = [
    ("CreateQueue", &["QueueName", "Attributes", "tags"]),
    ("DeleteQueue", &["QueueUrl"]),
    ("GetQueueUrl", &["QueueName", "QueueOwnerAWSAccountId"]),
    (
        "ListQueues",
        &["QueueNamePrefix", "NextToken", "MaxResults"],
    ),
    (
        "ListDeadLetterSourceQueues",
        &["QueueUrl", "NextToken", "MaxResults"],
    ),
    ("GetQueueAttributes", &["QueueUrl", "AttributeNames"]),
    ("SetQueueAttributes", &["QueueUrl", "Attributes"]),
    ("PurgeQueue", &["QueueUrl"]),
    ("TagQueue", &["QueueUrl", "Tags"]),
    ("UntagQueue", &["QueueUrl", "TagKeys"]),
    ("ListQueueTags", &["QueueUrl"]),
    (
        "SendMessage",
        &[
            "QueueUrl",
            "MessageBody",
            "DelaySeconds",
            "MessageAttributes",
            "MessageSystemAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
        ],
    ),
    (
        "ReceiveMessage",
        &[
            "QueueUrl",
            "AttributeNames",
            "MessageSystemAttributeNames",
            "MessageAttributeNames",
            "MaxNumberOfMessages",
            "VisibilityTimeout",
            "WaitTimeSeconds",
            "ReceiveRequestAttemptId",
        ],
    ),
    ("DeleteMessage", &["QueueUrl", "ReceiptHandle"]),
    (
        "ChangeMessageVisibility",
        &["QueueUrl", "ReceiptHandle", "VisibilityTimeout"],
    ),
    ("SendMessageBatch", &["QueueUrl", "Entries"]),
    ("DeleteMessageBatch", &["QueueUrl", "Entries"]),
    ("ChangeMessageVisibilityBatch", &["QueueUrl", "Entries"]),
];

/// Refuses members that the operation does not have. An unknown operation passes: it is refused as such.
pub(super) fn check_members(operation: &str, input: &Value) -> Result<(), AwsError> {
    let known = MEMBERS.iter().find(|(name, _)| *name == operation);
    let (Some((_, known)), Some(given)) = (known, input.as_map()) else {
        return Ok(());
    };
    match given.keys().find(|name| !known.contains(&name.as_str())) {
        Some(other) => Err(AwsError::caller(
            "InvalidParameterValue",
            format!("{operation} has no parameter {other}."),
        )),
        None => Ok(()),
    }
}

/// Tags of SQS are a map.
fn tag_map(given: &Value) -> BTreeMap<String, String> {
    let members = given.as_map().into_iter().flatten();
    members
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_string()))
        .collect()
}

impl Sqs {
    pub(super) fn create_queue(&mut self, input: &Value, now: i64) -> Result<Value, AwsError> {
        let name = text(input, "QueueName").ok_or_else(|| missing("QueueName"))?;
        if name.ends_with(".fifo") {
            let message = "FIFO queues are not simulated.";
            return Err(AwsError::caller("UnsupportedOperation", message));
        }
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 80 || !name.chars().all(lawful) {
            let message = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
            return Err(AwsError::caller("InvalidParameterValue", message));
        }
        let given = self.checked(input.get("Attributes"))?;
        if let Some(queue) = self.queues.get(name) {
            // Creating it again with what it has is creating nothing \[M\].
            let other = given
                .iter()
                .find(|(key, value)| queue.attributes.get(*key) != Some(*value));
            return match other {
                None => Ok(structure! { "QueueUrl": self.path(name) }),
                Some((key, _)) => Err(AwsError::caller(
                    "QueueNameExists",
                    format!(
                        "A queue already exists with the same name and a different value for attribute {key}"
                    ),
                )),
            };
        }
        self.deleted.retain(|_, at| now - *at < A_MINUTE_MS);
        if self.deleted.contains_key(name) {
            let message = "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
            return Err(AwsError::caller("QueueDeletedRecently", message));
        }
        let mut attributes = Sqs::defaults();
        attributes.extend(given);
        attributes.retain(|_, value| !value.is_empty());
        let queue = Queue {
            arn: format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account),
            attributes,
            tags: tag_map(input.get("tags")),
            created_ms: now,
            modified_ms: now,
            purged_ms: None,
            messages: VecDeque::new(),
        };
        self.queues.insert(name.to_string(), queue);
        Ok(structure! { "QueueUrl": self.path(name) })
    }

    pub(super) fn delete_queue(&mut self, input: &Value, now: i64) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        self.queues.remove(&name);
        self.deleted.insert(name, now);
        Ok(Value::map())
    }

    pub(super) fn get_queue_url(&self, input: &Value) -> Result<Value, AwsError> {
        let name = text(input, "QueueName").ok_or_else(|| missing("QueueName"))?;
        let owner = text(input, "QueueOwnerAWSAccountId");
        let own = owner.is_none_or(|owner| owner == self.account);
        if !own || !self.queues.contains_key(name) {
            return Err(no_such_queue());
        }
        Ok(structure! { "QueueUrl": self.path(name) })
    }

    /// One page of queue names. Without MaxResults SQS answers 1000 and no token \[M\].
    fn names_page(
        &self,
        names: Vec<&String>,
        input: &Value,
        page_limit: usize,
    ) -> Result<(Value, Option<String>), AwsError> {
        let size = number(input, "MaxResults", 1..=1000)?.unwrap_or(1000);
        let size = usize::try_from(size).unwrap_or(1000).min(page_limit);
        let token = text(input, "NextToken");
        let page = ids::page(names, token, size, |name| name.as_str());
        let (page, next) = page.ok_or_else(|| {
            invalid(
                "NextToken",
                token.unwrap_or_default(),
                "The token is not valid.",
            )
        })?;
        let urls = page.into_iter().map(|name| Value::Text(self.path(name)));
        Ok((Value::List(urls.collect()), next))
    }

    pub(super) fn list_queues(&self, input: &Value, page_limit: usize) -> Result<Value, AwsError> {
        let prefix = text(input, "QueueNamePrefix").unwrap_or_default();
        let names = self.queues.keys().filter(|name| name.starts_with(prefix));
        let (urls, next) = self.names_page(names.collect(), input, page_limit)?;
        let urls = Some(urls).filter(|urls| !urls.as_list().is_empty());
        Ok(structure! { "QueueUrls": urls, "NextToken": next })
    }

    pub(super) fn list_sources(&self, input: &Value, page_limit: usize) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        let arn = self.queues.get(&name).map(|queue| queue.arn.as_str());
        let sources = self.queues.iter().filter(|(_, queue)| {
            let target = queue.redrive().map(|redrive| redrive.target);
            target.as_deref() == arn
        });
        let names = sources.map(|(name, _)| name).collect();
        let (urls, next) = self.names_page(names, input, page_limit)?;
        Ok(structure! { "queueUrls": urls, "NextToken": next })
    }

    pub(super) fn get_queue_attributes(
        &mut self,
        input: &Value,
        now: i64,
    ) -> Result<Value, AwsError> {
        let wanted = texts(input, "AttributeNames");
        let attributes = self.queue(input)?.answer(&wanted, now)?;
        let some = attributes.as_map().is_some_and(|map| !map.is_empty());
        Ok(structure! { "Attributes": some.then_some(attributes) })
    }

    pub(super) fn set_queue_attributes(
        &mut self,
        input: &Value,
        now: i64,
    ) -> Result<Value, AwsError> {
        if input
            .get("Attributes")
            .as_map()
            .is_none_or(Members::is_empty)
        {
            return Err(missing("Attribute.Name"));
        }
        self.queue(input)?;
        let given = self.checked(input.get("Attributes"))?;
        let queue = self.queue(input)?;
        queue.attributes.extend(given);
        queue.attributes.retain(|_, value| !value.is_empty());
        queue.modified_ms = now;
        Ok(Value::map())
    }

    pub(super) fn purge_queue(&mut self, input: &Value, now: i64) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        let queue = self.queue(input)?;
        if queue.purged_ms.is_some_and(|at| now - at < A_MINUTE_MS) {
            let message =
                format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
            return Err(AwsError::caller("PurgeQueueInProgress", message));
        }
        queue.purged_ms = Some(now);
        queue.messages.clear();
        Ok(Value::map())
    }

    pub(super) fn queue_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let queue = self.queue(input)?;
        match operation {
            "TagQueue" => queue.tags.extend(tag_map(input.get("Tags"))),
            "UntagQueue" => {
                for key in texts(input, "TagKeys") {
                    queue.tags.remove(&key);
                }
            }
            _ => {
                let tags: Members = queue
                    .tags
                    .iter()
                    .map(|(key, value)| (key.clone(), value.as_str().into()))
                    .collect();
                let tags = (!tags.is_empty()).then_some(Value::Map(tags));
                return Ok(structure! { "Tags": tags });
            }
        }
        Ok(Value::map())
    }
}
