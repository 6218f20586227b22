//! The queue of events on SQS (aws.md §5).
//!
//! Not part of an account's own clients: the queue may lie in another region, and is read with the server's own
//! credentials. What is deleted here are our own copies of what EventBridge told, nothing that anybody else uses.

use crate::AwsSettings;
use crate::budget::Budget;
use crate::calls::Call;
use crate::calls::Nature;
use crate::error::failed;
use crate::error::malformed;
use crate::meter::CallMeter;
use crate::observe::CallObserver;
use crate::shared;
use async_trait::async_trait;
use aws_config::Region;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use std::time::Duration;
use switchback_cloud::CloudError;
use switchback_cloud::events::EventQueue;
use switchback_cloud::events::QueueAttributes;
use switchback_cloud::events::QueuedMessage;

const RECEIVE_MESSAGE: Call = read("sqs:ReceiveMessage");
const DELETE_MESSAGE: Call = read("sqs:DeleteMessage");
const GET_QUEUE_ATTRIBUTES: Call = read("sqs:GetQueueAttributes");

/// Repeating any of these does no harm, also deleting.
const fn read(name: &'static str) -> Call {
    Call {
        name,
        nature: Nature::Read,
    }
}

/// How long SQS may wait for a message: the longest it allows. [M]
const LONG_POLL_SECONDS: i32 = 20;

/// The most messages that SQS gives at once. [M]
const MESSAGES_AT_ONCE: i32 = 10;

/// How long an attempt of receiving may take.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);

/// One queue.
#[derive(Clone, Debug)]
pub struct AwsEventQueue {
    client: Client,
    url: String,
    name: String,
    region: String,
}

impl AwsEventQueue {
    /// The queue at this URL, in the region that the URL names (`https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`), or
    /// else in that of the settings. Nothing is sent yet.
    pub async fn connect(settings: AwsSettings, url: String) -> AwsEventQueue {
        let settings = AwsSettings {
            region: region_of(&url).or(settings.region.clone()),
            ..settings
        };
        let shared = shared(settings).await;
        let region = shared.region().map(Region::to_string).unwrap_or_default();
        let observer = CallObserver::new("sqs", &region, &CallMeter::new(), &Budget::new());
        AwsEventQueue {
            client: Client::from_conf(Builder::from(&shared).interceptor(observer).build()),
            name: url.rsplit('/').next().unwrap_or_default().to_string(),
            region,
            url,
        }
    }
}

/// The region in a queue's URL; `None` where the host is none of AWS's.
fn region_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split(['/', ':']).next()?;
    let mut parts = host.split('.');
    match (parts.next()?, parts.next()?) {
        ("sqs", region) if host.contains(".amazonaws.") => Some(region.to_string()),
        _ => None,
    }
}

#[async_trait]
impl EventQueue for AwsEventQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn region(&self) -> &str {
        &self.region
    }

    async fn receive(&self) -> Result<Vec<QueuedMessage>, CloudError> {
        let patient = TimeoutConfig::builder()
            .operation_attempt_timeout(RECEIVE_TIMEOUT)
            .operation_timeout(RECEIVE_TIMEOUT)
            .build();
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .wait_time_seconds(LONG_POLL_SECONDS)
            .max_number_of_messages(MESSAGES_AT_ONCE)
            .customize()
            .config_override(Builder::new().timeout_config(patient))
            .send()
            .await
            .map_err(failed(RECEIVE_MESSAGE))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        messages
            .map(
                |message| match (message.message_id, message.receipt_handle) {
                    (Some(id), Some(receipt)) => Ok(QueuedMessage {
                        id,
                        receipt,
                        body: message.body.unwrap_or_default(),
                    }),
                    _ => Err(malformed(
                        RECEIVE_MESSAGE,
                        "A message has no MessageId or no ReceiptHandle.",
                    )),
                },
            )
            .collect()
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), CloudError> {
        let mut entries = Vec::new();
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .build()
                .map_err(|error| malformed(DELETE_MESSAGE, error.to_string()))?;
            entries.push(entry);
        }
        let answer = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(failed(DELETE_MESSAGE))?;
        match answer.failed().first() {
            None => Ok(()),
            Some(entry) => Err(malformed(
                DELETE_MESSAGE,
                format!(
                    "{} of {} messages were not deleted: {} {}",
                    answer.failed().len(),
                    receipts.len(),
                    entry.code(),
                    entry.message().unwrap_or_default()
                ),
            )),
        }
    }

    async fn attributes(&self) -> Result<QueueAttributes, CloudError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(failed(GET_QUEUE_ATTRIBUTES))?;
        let value = |name| answer.attributes().and_then(|all| all.get(&name));
        let waiting = value(QueueAttributeName::ApproximateNumberOfMessages)
            .and_then(|text| text.parse().ok());
        let redrive: Value = value(QueueAttributeName::RedrivePolicy)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        // A number here, a text there: SQS gives back what it was given.
        let receives = &redrive["maxReceiveCount"];
        Ok(QueueAttributes {
            waiting: waiting.unwrap_or_default(),
            dead_letter_queue: redrive["deadLetterTargetArn"]
                .as_str()
                .and_then(|arn| arn.rsplit(':').next())
                .map(str::to_string),
            receives: receives
                .as_i64()
                .or_else(|| receives.as_str()?.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_url_of_a_queue_names_its_region() {
        for (url, region) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012/events",
                Some("eu-central-1"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events",
                Some("cn-north-1"),
            ),
            ("http://127.0.0.1:4566/123456789012/events", None),
            ("https://sqs.example.com/123456789012/events", None),
            ("events", None),
        ] {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn the_policy_allows_what_is_called_and_nothing_else() {
        let document: Value =
            serde_json::from_str(include_str!("../../../docs/iam/events.json")).unwrap();
        let allowed: BTreeSet<&str> = document["Statement"][0]["Action"]
            .as_array()
            .unwrap()
            .iter()
            .map(|action| action.as_str().unwrap())
            .collect();
        let called = [RECEIVE_MESSAGE, DELETE_MESSAGE, GET_QUEUE_ATTRIBUTES];
        assert_eq!(allowed, called.map(|call| call.name).into());
        let readme = include_str!("../README.md");
        for call in called {
            assert!(readme.contains(&format!("| `{}` |", call.name)));
        }
    }
}
