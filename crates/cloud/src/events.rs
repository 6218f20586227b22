//! Where events wait to be read: a queue that EventBridge's rules put them into.

use crate::CloudError;
use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The queue's id of it, the same each time that it is received.
    pub id: String,
    /// Names this receiving of it; with it the message is deleted.
    pub receipt: String,
    /// Its text.
    pub body: String,
}

/// How the queue is set up, and how much waits in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAttributes {
    /// About how many messages wait to be received.
    pub waiting: i64,
    /// The name of the queue that takes what was received too often; `None` when there is none.
    pub dead_letter_queue: Option<String>,
    /// After how many receivings.
    pub receives: Option<i64>,
}

/// A queue of events. Reading it and deleting from it is all that is done with it.
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// The queue's name, for people.
    fn name(&self) -> &str;

    /// The region that it lies in.
    fn region(&self) -> &str;

    /// Waits until there are messages, at most 20 seconds, and gives up to ten of them; none when none came.
    /// What is not deleted is received again after the queue's visibility timeout.
    async fn receive(&self) -> Result<Vec<QueuedMessage>, CloudError>;

    /// Deletes messages by their receipts, at most ten. Doing it twice is no error.
    async fn delete(&self, receipts: &[String]) -> Result<(), CloudError>;

    /// How it is set up.
    async fn attributes(&self) -> Result<QueueAttributes, CloudError>;
}
