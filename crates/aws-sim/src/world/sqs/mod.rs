//! SQS: standard queues, their messages, and who may send to them.
//!
//! * Members, attributes, their ranges and defaults, error shapes: \[M\]. Query codes and texts: \[K\].
//! * Visibility, delays and retention run on simulated time; what has run out is found when somebody
//!   asks, which nobody can tell from it happening at its time.
//! * Messages come back in the order in which they were sent. AWS promises no order \[D\].
//! * Not simulated and refused: FIFO queues, message move tasks, AddPermission and RemovePermission.

mod attributes;
mod batches;
mod messages;
mod operations;
mod policy;

use std::collections::{BTreeMap, VecDeque};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Caller;
use crate::error::AwsError;
use crate::value::{Members, Value};

/// The queues of one account in one region, by name.
pub(crate) struct Sqs {
    account: String,
    region: String,
    rng: ChaCha8Rng,
    queues: BTreeMap<String, Queue>,
    /// When queues that are gone were deleted: their names cannot be used for a minute.
    deleted: BTreeMap<String, i64>,
}

struct Queue {
    arn: String,
    /// Those that can be set, with their values.
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    created_ms: i64,
    modified_ms: i64,
    purged_ms: Option<i64>,
    messages: VecDeque<Message>,
}

#[derive(Clone)]
struct Message {
    id: String,
    body: String,
    attributes: Members,
    /// `AWSTraceHeader`, if it was sent.
    trace: Option<String>,
    sender: String,
    sent_ms: i64,
    /// Nobody receives it before.
    visible_ms: i64,
    receives: i64,
    first_received_ms: Option<i64>,
    /// The queue that it was moved from.
    dead_from: Option<String>,
}

impl Message {
    fn is_in_flight(&self, now: i64) -> bool {
        self.receives > 0 && self.visible_ms > now
    }
}

impl Sqs {
    pub(crate) fn new(account: &str, region: &str, seed: u64) -> Sqs {
        Sqs {
            account: account.to_string(),
            region: region.to_string(),
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0073_7173),
            queues: BTreeMap::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// The address of a queue without scheme and host, which the door knows.
    fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.account)
    }

    /// The name of the queue that `QueueUrl` means: only account and name of it matter.
    fn name(&self, input: &Value) -> Result<String, AwsError> {
        let url = input
            .get("QueueUrl")
            .as_str()
            .ok_or_else(|| missing("QueueUrl"))?;
        let mut parts = url.trim_end_matches('/').rsplit('/');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next());
        let own = account == Some(self.account.as_str());
        if !own || !self.queues.contains_key(name) {
            return Err(no_such_queue());
        }
        Ok(name.to_string())
    }

    fn queue(&mut self, input: &Value) -> Result<&mut Queue, AwsError> {
        let name = self.name(input)?;
        self.queues.get_mut(&name).ok_or_else(no_such_queue)
    }

    fn name_of_arn(&self, arn: &str) -> Option<&str> {
        self.queues
            .iter()
            .find(|(_, queue)| queue.arn == arn)
            .map(|(name, _)| name.as_str())
    }

    /// EventBridge sends to a queue. The error is the code and the text of a failed invocation.
    pub(crate) fn deliver(
        &mut self,
        queue_arn: &str,
        rule_arn: &str,
        body: String,
        now: i64,
    ) -> Result<(), (&'static str, String)> {
        self.deliver_dead(queue_arn, rule_arn, body, &[], now)
    }

    /// The same to a target's dead-letter queue, with why the event is there as message attributes.
    pub(crate) fn deliver_dead(
        &mut self,
        queue_arn: &str,
        rule_arn: &str,
        body: String,
        why: &[(&str, &str)],
        now: i64,
    ) -> Result<(), (&'static str, String)> {
        let found = self
            .queues
            .values_mut()
            .find(|queue| queue.arn == queue_arn);
        let Some(queue) = found else {
            let text = format!("The queue {queue_arn} does not exist.");
            return Err(("NO_RESOURCE", text));
        };
        let policy = queue.attributes.get("Policy").map_or("", String::as_str);
        if !policy::lets_events_send(policy, queue_arn, rule_arn, &self.account) {
            let text = format!("The policy of {queue_arn} does not let {rule_arn} send.");
            return Err(("NO_PERMISSIONS", text));
        }
        let attributes = why
            .iter()
            .map(|(name, value)| {
                let value = structure! { "DataType": "String", "StringValue": *value };
                ((*name).to_string(), value)
            })
            .collect();
        let message = messages::Sent {
            body,
            attributes,
            trace: None,
            delay_s: None,
        };
        let id = super::ids::uuid(&mut self.rng);
        queue.take_in(message, id, "AIDAIE2ZX6TYUMZ5CW4EI".to_string(), now);
        Ok(())
    }

    /// How many seconds a ReceiveMessage may wait for a message, as it says or as its queue does.
    pub(crate) fn wait_s(&self, input: &Value) -> i64 {
        let own = || {
            let name = self.name(input).ok()?;
            self.queues
                .get(&name)?
                .number("ReceiveMessageWaitTimeSeconds")
        };
        let given = input.get("WaitTimeSeconds").as_i64();
        given.or_else(own).unwrap_or(0).clamp(0, 20)
    }

    /// One operation.
    pub(crate) fn call(
        &mut self,
        caller: &Caller,
        operation: &str,
        input: &Value,
        now: i64,
        page_limit: usize,
    ) -> Result<Value, AwsError> {
        operations::check_members(operation, input)?;
        for queue in self.queues.values_mut() {
            queue.forget_expired(now);
        }
        match operation {
            "CreateQueue" => self.create_queue(input, now),
            "DeleteQueue" => self.delete_queue(input, now),
            "GetQueueUrl" => self.get_queue_url(input),
            "ListQueues" => self.list_queues(input, page_limit),
            "ListDeadLetterSourceQueues" => self.list_sources(input, page_limit),
            "GetQueueAttributes" => self.get_queue_attributes(input, now),
            "SetQueueAttributes" => self.set_queue_attributes(input, now),
            "PurgeQueue" => self.purge_queue(input, now),
            "TagQueue" | "UntagQueue" | "ListQueueTags" => self.queue_tags(operation, input),
            "SendMessage" => self.send_message(caller, input, now),
            "ReceiveMessage" => self.receive_message(input, now),
            "DeleteMessage" => self.delete_message(input),
            "ChangeMessageVisibility" => self.change_visibility(input, now),
            "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                self.batch(caller, operation, input, now)
            }
            _ => Err(AwsError::caller(
                "UnknownOperationException",
                format!("The operation {operation} of SQS is not simulated"),
            )),
        }
    }

    /// The queues for the control page: our own form.
    pub(crate) fn report(&self, now: i64) -> Value {
        let queues = self.queues.iter().map(|(name, queue)| {
            let (visible, in_flight, delayed) = queue.counts(now);
            structure! {
                "name": name.as_str(),
                "visible": visible,
                "inFlight": in_flight,
                "delayed": delayed,
            }
        });
        Value::List(queues.collect())
    }
}

fn no_such_queue() -> AwsError {
    AwsError::caller("QueueDoesNotExist", "The specified queue does not exist.")
}

fn missing(name: &str) -> AwsError {
    AwsError::caller(
        "MissingParameter",
        format!("The request must contain the parameter {name}."),
    )
}

fn invalid(name: &str, value: &str, reason: &str) -> AwsError {
    AwsError::caller(
        "InvalidParameterValue",
        format!("Value {value} for parameter {name} is invalid. Reason: {reason}"),
    )
}

/// A whole number within its range, if it is given.
fn number(
    input: &Value,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, AwsError> {
    match input.get(name) {
        Value::Null => Ok(None),
        given => match given.as_i64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            other => {
                let text = other.map_or_else(|| "given".to_string(), |number| number.to_string());
                let reason = format!(
                    "Must be between {} and {}, if provided.",
                    range.start(),
                    range.end()
                );
                Err(invalid(name, &text, &reason))
            }
        },
    }
}
