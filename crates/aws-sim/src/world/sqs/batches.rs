//! Batches: up to ten entries, each of which succeeds or fails for itself \[M\].

use super::{Sqs, missing, no_such_queue};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::Caller;
use crate::world::read::{put, text};

/// The most that the bodies of one batch may weigh together \[D\].
const HEAVIEST: usize = 1_048_576;

impl Sqs {
    pub(super) fn batch(
        &mut self,
        caller: &Caller,
        operation: &str,
        input: &Value,
        now: i64,
    ) -> Result<Value, AwsError> {
        let name = self.name(input)?;
        if !self.queues.contains_key(&name) {
            return Err(no_such_queue());
        }
        let entries = input.get("Entries").as_list();
        check_entries(entries)?;
        let weight: usize = entries
            .iter()
            .map(|entry| entry.get("MessageBody").as_str().map_or(0, str::len))
            .sum();
        if weight > HEAVIEST {
            let message = format!(
                "Batch requests cannot be longer than {HEAVIEST} bytes. You have sent {weight} bytes."
            );
            return Err(AwsError::caller("BatchRequestTooLong", message));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = text(entry, "Id").unwrap_or_default();
            let mut one = entry.clone();
            put(&mut one, "QueueUrl", input.get("QueueUrl").clone());
            let outcome = match operation {
                "SendMessageBatch" => self.send_message(caller, &one, now),
                "DeleteMessageBatch" => self.delete_message(&one),
                _ => self.change_visibility(&one, now),
            };
            match outcome {
                Ok(answer) => successful.push(answer.with("Id", id)),
                Err(error) => failed.push(structure! {
                    "Id": id,
                    "SenderFault": true,
                    "Code": error.code.as_str(),
                    "Message": error.message.as_str(),
                }),
            }
        }
        // Both lists are required \[M\], also when one is empty.
        Ok(structure! { "Successful": successful, "Failed": failed })
    }
}

fn check_entries(entries: &[Value]) -> Result<(), AwsError> {
    let refuse = |code: &str, message: String| Err(AwsError::caller(code, message));
    if entries.is_empty() {
        let message = "There should be at least one entry in the request.".to_string();
        return refuse("EmptyBatchRequest", message);
    }
    if entries.len() > 10 {
        let message = format!(
            "Maximum number of entries per request are 10. You have sent {}.",
            entries.len()
        );
        return refuse("TooManyEntriesInBatchRequest", message);
    }
    for (index, entry) in entries.iter().enumerate() {
        let id = text(entry, "Id").ok_or_else(|| missing("Id"))?;
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.len() > 80 || !id.chars().all(lawful) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and \
                           underscores. It can be at most 80 letters long.";
            return refuse("InvalidBatchEntryId", message.to_string());
        }
        let again = entries[..index]
            .iter()
            .any(|other| text(other, "Id") == Some(id));
        if again {
            return refuse("BatchEntryIdsNotDistinct", format!("Id {id} repeated."));
        }
    }
    Ok(())
}
