//! Queues: who sees a message when, where it goes when nobody can handle it, and what is refused.

use super::*;

const QUEUE: &str = "/123456789012/jobs";

impl Account {
    pub(super) fn queue(&mut self, name: &str, attributes: Json) -> String {
        let made = self.ok(
            "sqs",
            "CreateQueue",
            json!({"QueueName": name, "Attributes": attributes}),
        );
        text(&made["QueueUrl"])
    }

    pub(super) fn receive(&mut self, queue: &str, most: i64) -> Vec<Json> {
        let input = json!({
            "QueueUrl": queue, "MaxNumberOfMessages": most,
            "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"],
        });
        let answer = self.ok("sqs", "ReceiveMessage", input);
        answer["Messages"].as_array().cloned().unwrap_or_default()
    }

    fn send(&mut self, queue: &str, body: &str) {
        self.ok(
            "sqs",
            "SendMessage",
            json!({"QueueUrl": queue, "MessageBody": body}),
        );
    }

    fn counts(&mut self, queue: &str) -> [String; 3] {
        let input = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
        let all = self.ok("sqs", "GetQueueAttributes", input)["Attributes"].clone();
        ["", "NotVisible", "Delayed"]
            .map(|which| text(&all[format!("ApproximateNumberOfMessages{which}")]))
    }
}

fn bodies(messages: &[Json]) -> Vec<String> {
    messages
        .iter()
        .map(|message| text(&message["Body"]))
        .collect()
}

#[test]
fn a_message_is_hidden_while_somebody_works_on_it() {
    let mut account = Account::empty(1);
    let queue = account.queue("jobs", json!({"VisibilityTimeout": "30"}));
    assert_eq!(queue, QUEUE);
    account.send(&queue, "one");
    let first = account.receive(&queue, 10);
    assert_eq!(bodies(&first), ["one"]);
    assert_eq!(first[0]["Attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(first[0]["Attributes"]["SentTimestamp"], START.to_string());
    assert_eq!(account.counts(&queue), ["0", "1", "0"]);
    account.pass(30 * SECOND - 1);
    assert!(account.receive(&queue, 10).is_empty());
    account.pass(1);
    let second = account.receive(&queue, 10);
    assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_ne!(first[0]["ReceiptHandle"], second[0]["ReceiptHandle"]);
    // The first handle is out of date: nothing is deleted, and nobody is told.
    let delete = |of: &Json| json!({"QueueUrl": QUEUE, "ReceiptHandle": of["ReceiptHandle"]});
    account.ok("sqs", "DeleteMessage", delete(&first[0]));
    assert_eq!(account.counts(&queue), ["0", "1", "0"]);
    let mut longer = delete(&second[0]);
    longer["VisibilityTimeout"] = json!(90);
    account.ok("sqs", "ChangeMessageVisibility", longer.clone());
    account.pass(60 * SECOND);
    assert!(account.receive(&queue, 10).is_empty());
    longer["VisibilityTimeout"] = json!(0);
    account.ok("sqs", "ChangeMessageVisibility", longer.clone());
    let third = account.receive(&queue, 10);
    account.ok("sqs", "DeleteMessage", delete(&third[0]));
    account.pass(MINUTE);
    assert_eq!(account.counts(&queue), ["0", "0", "0"]);
    let gone = account.refused("sqs", "ChangeMessageVisibility", longer);
    assert_eq!(gone.code, "MessageNotInflight");
}

#[test]
fn delays_and_retention_run_on_simulated_time() {
    let mut account = Account::empty(1);
    let queue = account.queue(
        "jobs",
        json!({"DelaySeconds": "10", "MessageRetentionPeriod": "60"}),
    );
    account.send(&queue, "slow");
    let soon = json!({"QueueUrl": queue, "MessageBody": "soon", "DelaySeconds": 2});
    account.ok("sqs", "SendMessage", soon);
    assert_eq!(account.counts(&queue), ["0", "0", "2"]);
    account.pass(2 * SECOND);
    assert_eq!(bodies(&account.receive(&queue, 10)), ["soon"]);
    account.pass(8 * SECOND);
    assert_eq!(bodies(&account.receive(&queue, 10)), ["slow"]);
    account.pass(50 * SECOND);
    assert_eq!(account.counts(&queue), ["0", "0", "0"]);
}

#[test]
fn what_was_received_too_often_goes_to_the_dead_letter_queue() {
    let mut account = Account::empty(1);
    let dead = account.queue("dead", json!({}));
    let arn = "arn:aws:sqs:eu-central-1:123456789012:dead";
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 2}).to_string();
    let queue = account.queue(
        "jobs",
        json!({"RedrivePolicy": policy, "VisibilityTimeout": "1"}),
    );
    account.send(&queue, "poison");
    for _ in 0..2 {
        assert_eq!(bodies(&account.receive(&queue, 1)), ["poison"]);
        account.pass(SECOND);
    }
    assert!(account.receive(&queue, 1).is_empty());
    let found = account.receive(&dead, 1);
    assert_eq!(bodies(&found), ["poison"]);
    let source = "arn:aws:sqs:eu-central-1:123456789012:jobs";
    assert_eq!(found[0]["Attributes"]["DeadLetterQueueSourceArn"], source);
    let sources = account.ok(
        "sqs",
        "ListDeadLetterSourceQueues",
        json!({"QueueUrl": dead}),
    );
    assert_eq!(sources["queueUrls"], json!([QUEUE]));
}

#[test]
fn each_entry_of_a_batch_succeeds_or_fails_for_itself() {
    let mut account = Account::empty(1);
    let queue = account.queue("jobs", json!({"MaximumMessageSize": "1024"}));
    let sent = account.ok(
        "sqs",
        "SendMessageBatch",
        json!({"QueueUrl": queue, "Entries": [
            {"Id": "a", "MessageBody": "one"},
            {"Id": "b", "MessageBody": "x".repeat(1025)},
            {"Id": "c", "MessageBody": "three"},
        ]}),
    );
    assert_eq!(sent["Successful"][1]["Id"], "c");
    assert_eq!(sent["Failed"][0]["Id"], "b");
    assert_eq!(sent["Failed"][0]["Code"], "InvalidParameterValue");
    let found = account.receive(&queue, 10);
    assert_eq!(bodies(&found), ["one", "three"]);
    let entries: Vec<Json> = found
        .iter()
        .enumerate()
        .map(|(index, one)| json!({"Id": index.to_string(), "ReceiptHandle": one["ReceiptHandle"]}))
        .collect();
    account.ok(
        "sqs",
        "DeleteMessageBatch",
        json!({"QueueUrl": queue, "Entries": entries}),
    );
    assert_eq!(account.counts(&queue), ["0", "0", "0"]);
}

#[test]
fn refusals_have_the_codes_of_sqs() {
    let mut account = Account::empty(1);
    let queue = account.queue("jobs", json!({}));
    account.queue("gone", json!({}));
    account.ok(
        "sqs",
        "DeleteQueue",
        json!({"QueueUrl": "/123456789012/gone"}),
    );
    account.ok("sqs", "PurgeQueue", json!({"QueueUrl": queue}));
    let eleven: Vec<Json> = (0..11)
        .map(|n| json!({"Id": n.to_string(), "MessageBody": "x"}))
        .collect();
    for (operation, input, code) in [
        (
            "GetQueueUrl",
            json!({"QueueName": "none"}),
            "QueueDoesNotExist",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": "/123456789012/none"}),
            "QueueDoesNotExist",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": "/999999999999/jobs"}),
            "QueueDoesNotExist",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": QUEUE, "MaxNumberOfMessages": 11}),
            "InvalidParameterValue",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": QUEUE, "WaitTimeSeconds": 21}),
            "InvalidParameterValue",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": QUEUE, "Unheard": 1}),
            "InvalidParameterValue",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "a.b"}),
            "InvalidParameterValue",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "a.fifo"}),
            "UnsupportedOperation",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "gone"}),
            "QueueDeletedRecently",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "jobs", "Attributes": {"DelaySeconds": "1"}}),
            "QueueNameExists",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "q", "Attributes": {"DelaySeconds": "901"}}),
            "InvalidAttributeValue",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "q", "Attributes": {"Colour": "red"}}),
            "InvalidAttributeName",
        ),
        (
            "SetQueueAttributes",
            json!({"QueueUrl": QUEUE, "Attributes": {
                "RedrivePolicy": r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:x","maxReceiveCount":1}"#,
            }}),
            "InvalidParameterValue",
        ),
        (
            "GetQueueAttributes",
            json!({"QueueUrl": QUEUE, "AttributeNames": ["Colour"]}),
            "InvalidAttributeName",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": QUEUE}),
            "MissingParameter",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": QUEUE, "MessageBody": "\u{1}"}),
            "InvalidMessageContents",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": QUEUE, "MessageBody": "x", "MessageGroupId": "g"}),
            "InvalidParameterValue",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": QUEUE, "MessageBody": "x", "MessageAttributes": {"n": {"DataType": "Int"}}}),
            "InvalidParameterValue",
        ),
        (
            "SendMessageBatch",
            json!({"QueueUrl": QUEUE, "Entries": []}),
            "EmptyBatchRequest",
        ),
        (
            "SendMessageBatch",
            json!({"QueueUrl": QUEUE, "Entries": eleven}),
            "TooManyEntriesInBatchRequest",
        ),
        (
            "SendMessageBatch",
            json!({"QueueUrl": QUEUE, "Entries": [
            {"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "y"}]}),
            "BatchEntryIdsNotDistinct",
        ),
        (
            "SendMessageBatch",
            json!({"QueueUrl": QUEUE, "Entries": [{"Id": "a b", "MessageBody": "x"}]}),
            "InvalidBatchEntryId",
        ),
        (
            "DeleteMessage",
            json!({"QueueUrl": QUEUE, "ReceiptHandle": "nonsense"}),
            "ReceiptHandleIsInvalid",
        ),
        (
            "PurgeQueue",
            json!({"QueueUrl": QUEUE}),
            "PurgeQueueInProgress",
        ),
        (
            "AddPermission",
            json!({"QueueUrl": QUEUE}),
            "UnknownOperationException",
        ),
    ] {
        assert_eq!(
            account.refused("sqs", operation, input.clone()).code,
            code,
            "{operation} {input}"
        );
    }
    account.pass(MINUTE);
    account.ok("sqs", "PurgeQueue", json!({"QueueUrl": queue}));
    account.queue("gone", json!({}));
    // Making a queue again with what it has is making nothing.
    assert_eq!(account.queue("jobs", json!({"DelaySeconds": "0"})), QUEUE);
}
