//! The ledger on DynamoDB (aws.md §4).
//!
//! One table with the string keys `PK` and `SK`. A service is the partition `SVC#ACCOUNT#REGION#CLUSTER#SERVICE`
//! with `HEAD`, `REV#MOMENT#DEPLOYMENT` and `OP#OPERATION`; the partition `SERVICES` lists the services. Members
//! are kept as DynamoDB's own types, but for those of [`AS_TEXT`]: a task definition must come back to the last
//! digit, and DynamoDB writes numbers its own way.

use crate::AwsSettings;
use crate::calls::Call;
use crate::calls::Nature;
use crate::codedeploy::changed;
use crate::error::failed;
use crate::error::malformed;
use crate::shared;
use crate::watch::Sent;
use crate::watch::exactly_once;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeDefinition;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::KeyType;
use aws_sdk_dynamodb::types::PointInTimeRecoverySpecification;
use aws_sdk_dynamodb::types::PointInTimeRecoveryStatus;
use aws_sdk_dynamodb::types::Put;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_dynamodb::types::TransactWriteItem;
use aws_sdk_dynamodb::types::Update;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use switchback_cloud::CloudError;
use switchback_cloud::WhatToDo;
use switchback_cloud::ledger::ENTRY_TOO_LARGE;
use switchback_cloud::ledger::Ledger;
use switchback_cloud::ledger::LedgerHead;
use switchback_cloud::ledger::LedgerIntent;
use switchback_cloud::ledger::LedgerOutcome;
use switchback_cloud::ledger::LedgerPartition;
use switchback_cloud::ledger::LedgerRevision;
use switchback_cloud::ledger::LedgerService;
use switchback_cloud::ledger::LedgerTable;
use switchback_cloud::ledger::LedgerWrite;
use switchback_cloud::ledger::LedgerWritten;
use switchback_domain::digest::Digest;

const DESCRIBE_TABLE: Call = read("dynamodb:DescribeTable");
const DESCRIBE_CONTINUOUS_BACKUPS: Call = read("dynamodb:DescribeContinuousBackups");
const GET_ITEM: Call = read("dynamodb:GetItem");
const QUERY: Call = read("dynamodb:Query");
/// IAM knows it as the actions of its parts: PutItem and UpdateItem.
const TRANSACT_WRITE_ITEMS: Call = change("dynamodb:TransactWriteItems");
const CREATE_TABLE: Call = change("dynamodb:CreateTable");
const UPDATE_CONTINUOUS_BACKUPS: Call = change("dynamodb:UpdateContinuousBackups");

const fn read(name: &'static str) -> Call {
    Call {
        name,
        nature: Nature::Read,
    }
}

const fn change(name: &'static str) -> Call {
    Call {
        name,
        nature: Nature::Change,
    }
}

type Item = HashMap<String, AttributeValue>;

/// The partition that lists the services.
const SERVICES: &str = "SERVICES";
const HEAD: &str = "HEAD";
const REVISION: &str = "REV#";
const INTENT: &str = "OP#";

/// Where a recorded deployment's end stands within its entry.
const OUTCOME: &str = "ended";

/// Members that are kept as JSON text.
const AS_TEXT: [&str; 3] = ["task_definition", "plan", "call"];

/// The largest entry, names and values: AWS takes 400 KB. [D: Service quotas]
const LARGEST_ENTRY: usize = 400 * 1024;

/// How long a new table may take.
const CREATION_LIMIT: Duration = Duration::from_secs(120);

/// The ledger in one table of one account and region.
#[derive(Clone, Debug)]
pub struct AwsLedger {
    client: Client,
    table: String,
}

impl AwsLedger {
    /// The table with this name. Nothing is sent yet.
    pub async fn connect(settings: AwsSettings, table: String) -> AwsLedger {
        let shared = shared(settings).await;
        AwsLedger {
            client: Client::from_conf(Builder::from(&shared).build()),
            table,
        }
    }

    async fn query(&self, partition: &str) -> Result<Vec<Item>, CloudError> {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_string()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(QUERY))
    }

    async fn describe(&self) -> Result<Option<TableDescription>, CloudError> {
        let answer = self
            .client
            .describe_table()
            .table_name(&self.table)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.table),
            Err(error) => match failed(DESCRIBE_TABLE)(error) {
                error if error.code == "ResourceNotFoundException" => Ok(None),
                error => Err(error),
            },
        }
    }

    /// The parts of a write, the head first.
    fn actions(
        &self,
        service: &LedgerService,
        write: &LedgerWrite,
    ) -> Result<Vec<TransactWriteItem>, CloudError> {
        let partition = partition(service);
        let mut head = self
            .put(&partition, HEAD, &write.head)?
            .condition_expression("attribute_not_exists(PK)");
        if write.head.version > 1 {
            head = head
                .condition_expression("#ver = :before")
                .expression_attribute_names("#ver", "ver")
                .expression_attribute_values(":before", number(write.head.version - 1));
        }
        let mut actions = vec![put(head)?];
        if write.head.version == 1 {
            actions.push(put(self.put(SERVICES, &partition, service)?)?);
        }
        for revision in &write.revisions {
            let mut item = item(&partition, &revision_key(revision), revision)?;
            if let Some(text) = &revision.app_spec {
                let digest = Digest::of_bytes(text.as_bytes());
                item.insert(
                    "app_spec_sha256".to_string(),
                    AttributeValue::S(digest.to_string()),
                );
            }
            actions.push(put(self
                .put_item(item)?
                .condition_expression("attribute_not_exists(PK)"))?);
        }
        if let Some((revision, outcome)) = &write.outcome {
            let update = Update::builder()
                .table_name(&self.table)
                .key("PK", AttributeValue::S(partition.clone()))
                .key("SK", AttributeValue::S(revision_key(revision)))
                .update_expression("SET #ended = :ended")
                .condition_expression(
                    "attribute_exists(PK) AND (attribute_not_exists(#ended) OR #ended.#at < :at)",
                )
                .expression_attribute_names("#ended", OUTCOME)
                .expression_attribute_names("#at", "seen_at")
                .expression_attribute_values(":ended", attribute(&json_of(outcome)?))
                .expression_attribute_values(":at", AttributeValue::S(outcome.seen_at.rfc3339()))
                .build()
                .map_err(unsendable)?;
            actions.push(TransactWriteItem::builder().update(update).build());
        }
        if let Some(intent) = &write.intent {
            let key = format!("{INTENT}{}", intent.operation);
            let intent_put = self
                .put(&partition, &key, intent)?
                .condition_expression("attribute_not_exists(PK) OR #generation < :generation")
                .expression_attribute_names("#generation", "generation")
                .expression_attribute_values(":generation", number(intent.generation));
            actions.push(put(intent_put)?);
        }
        Ok(actions)
    }

    fn put(
        &self,
        partition: &str,
        key: &str,
        entry: &impl Serialize,
    ) -> Result<aws_sdk_dynamodb::types::builders::PutBuilder, CloudError> {
        self.put_item(item(partition, key, entry)?)
    }

    fn put_item(
        &self,
        item: Item,
    ) -> Result<aws_sdk_dynamodb::types::builders::PutBuilder, CloudError> {
        let size = size(&item);
        if size > LARGEST_ENTRY {
            let key = item.get("SK").and_then(|key| key.as_s().ok());
            return Err(CloudError {
                operation: TRANSACT_WRITE_ITEMS.name.to_string(),
                kind: WhatToDo::Never,
                code: ENTRY_TOO_LARGE.to_string(),
                message: format!(
                    "The entry {} has {size} bytes; DynamoDB takes {LARGEST_ENTRY}. It is not in the ledger.",
                    key.map_or("", String::as_str)
                ),
                request_id: None,
            });
        }
        Ok(Put::builder().table_name(&self.table).set_item(Some(item)))
    }
}

#[async_trait]
impl Ledger for AwsLedger {
    fn table(&self) -> &str {
        &self.table
    }

    async fn inspect(&self) -> Result<Option<LedgerTable>, CloudError> {
        let Some(table) = self.describe().await? else {
            return Ok(None);
        };
        let backups = self
            .client
            .describe_continuous_backups()
            .table_name(&self.table)
            .send()
            .await
            .map_err(failed(DESCRIBE_CONTINUOUS_BACKUPS));
        let point_in_time_recovery = match backups {
            Ok(answer) => answer
                .continuous_backups_description
                .and_then(|backups| backups.point_in_time_recovery_description)
                .and_then(|recovery| recovery.point_in_time_recovery_status)
                .map(|status| status == PointInTimeRecoveryStatus::Enabled),
            // The table can be used without this permission.
            Err(error) if error.is_about_permission() => None,
            Err(error) => return Err(error),
        };
        Ok(Some(LedgerTable {
            status: table
                .table_status()
                .map_or_else(String::new, |status| status.as_str().to_string()),
            keys_fit: keys_fit(&table),
            deletion_protection: table.deletion_protection_enabled.unwrap_or_default(),
            point_in_time_recovery,
        }))
    }

    async fn create(&self) -> Result<(), CloudError> {
        if self.describe().await?.is_none() {
            let sent = Sent::default();
            let mut create = self
                .client
                .create_table()
                .table_name(&self.table)
                .billing_mode(BillingMode::PayPerRequest)
                .deletion_protection_enabled(true);
            for (name, key_type) in [("PK", KeyType::Hash), ("SK", KeyType::Range)] {
                create = create
                    .attribute_definitions(
                        AttributeDefinition::builder()
                            .attribute_name(name)
                            .attribute_type(ScalarAttributeType::S)
                            .build()
                            .map_err(unsendable)?,
                    )
                    .key_schema(
                        KeySchemaElement::builder()
                            .attribute_name(name)
                            .key_type(key_type)
                            .build()
                            .map_err(unsendable)?,
                    );
            }
            let answer = create
                .customize()
                .config_override(exactly_once!(Builder, &sent))
                .send()
                .await;
            match changed(CREATE_TABLE, &sent, answer) {
                Ok(_) => {}
                // Somebody else made it in the same moment.
                Err(error) if error.code == "ResourceInUseException" => {}
                Err(error) => return Err(error),
            }
        }
        let waited = self
            .client
            .wait_until_table_exists()
            .table_name(&self.table)
            .wait(CREATION_LIMIT)
            .await;
        if let Err(error) = waited {
            return Err(malformed(
                DESCRIBE_TABLE,
                format!("The table did not become active: {error}"),
            ));
        }
        let sent = Sent::default();
        let recovery = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build()
            .map_err(unsendable)?;
        let answer = self
            .client
            .update_continuous_backups()
            .table_name(&self.table)
            .point_in_time_recovery_specification(recovery)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(UPDATE_CONTINUOUS_BACKUPS, &sent, answer).map(|_| ())
    }

    async fn services(&self) -> Result<Vec<LedgerService>, CloudError> {
        let items = self.query(SERVICES).await?;
        items.into_iter().map(|item| entry(&item, QUERY)).collect()
    }

    async fn head(&self, service: &LedgerService) -> Result<Option<LedgerHead>, CloudError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(partition(service)))
            .key("SK", AttributeValue::S(HEAD.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed(GET_ITEM))?;
        answer
            .item
            .as_ref()
            .map(|item| entry(item, GET_ITEM))
            .transpose()
    }

    async fn partition(&self, service: &LedgerService) -> Result<LedgerPartition, CloudError> {
        let mut found = LedgerPartition::default();
        for item in self.query(&partition(service)).await? {
            let key = match item.get("SK") {
                Some(AttributeValue::S(key)) => key.as_str(),
                _ => "",
            };
            if key == HEAD {
                found.head = Some(entry(&item, QUERY)?);
            } else if key.starts_with(REVISION) {
                let outcome: Option<LedgerOutcome> = match item.get(OUTCOME) {
                    Some(ended) => Some(parsed(json(ended), QUERY)?),
                    None => None,
                };
                found.revisions.push((entry(&item, QUERY)?, outcome));
            } else if key.starts_with(INTENT) {
                found.intents.push(entry(&item, QUERY)?);
            }
        }
        found
            .revisions
            .sort_by_key(|(revision, _)| (revision.at, revision.sequence));
        found
            .intents
            .sort_by_key(|intent: &LedgerIntent| (intent.created_at, intent.operation.clone()));
        Ok(found)
    }

    async fn write(
        &self,
        service: &LedgerService,
        write: &LedgerWrite,
    ) -> Result<LedgerWritten, CloudError> {
        let actions = self.actions(service, write)?;
        let sent = Sent::default();
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .client_request_token(&write.head.write_id)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        let reasons = cancellation(&answer);
        let mut error = match changed(TRANSACT_WRITE_ITEMS, &sent, answer) {
            Ok(_) => return Ok(LedgerWritten::Done),
            Err(error) => error,
        };
        if let Some(reasons) = reasons {
            match meaning(&reasons) {
                Cancelled::HeadMoved => return Ok(LedgerWritten::HeadMoved),
                Cancelled::RecordedAlready => return Ok(LedgerWritten::RecordedAlready),
                Cancelled::NotNow => error.kind = WhatToDo::Retry,
                Cancelled::Refused => {}
            }
        }
        if error.kind != WhatToDo::Unknown {
            return Err(error);
        }
        // Whether it happened stands in the head: nobody else writes this write's name into it.
        let Ok(head) = self.head(service).await else {
            return Err(error);
        };
        match head {
            Some(head) if head.write_id == write.head.write_id => Ok(LedgerWritten::Done),
            // Somebody has written since: what of ours stands there is seen by whoever begins again.
            Some(head) if head.version >= write.head.version => Ok(LedgerWritten::HeadMoved),
            // Not written. Should it arrive yet, it meets the head of the next try, or that try meets its.
            _ => {
                error.kind = WhatToDo::Retry;
                Err(error)
            }
        }
    }
}

/// Why a transaction was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelled {
    HeadMoved,
    RecordedAlready,
    /// Another transaction holds an item, or a limit of the rate was met.
    NotNow,
    Refused,
}

fn cancellation<T>(
    answer: &Result<T, SdkError<TransactWriteItemsError>>,
) -> Option<Vec<CancellationReason>> {
    match answer.as_ref().err()?.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons().to_vec())
        }
        _ => None,
    }
}

/// The reasons stand in the order of the parts, the head's first. [M: TransactionCanceledException]
fn meaning(reasons: &[CancellationReason]) -> Cancelled {
    let failed: Vec<(usize, &str)> = reasons
        .iter()
        .enumerate()
        .filter_map(|(index, reason)| Some((index, reason.code()?)))
        .filter(|(_, code)| *code != "None")
        .collect();
    let condition = |(_, code): &&(usize, &str)| *code == "ConditionalCheckFailed";
    let not_now = |(_, code): &(usize, &str)| {
        matches!(
            *code,
            "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"
        )
    };
    match failed.iter().find(condition) {
        Some((0, _)) => Cancelled::HeadMoved,
        Some(_) => Cancelled::RecordedAlready,
        None if !failed.is_empty() && failed.iter().all(not_now) => Cancelled::NotNow,
        None => Cancelled::Refused,
    }
}

fn partition(service: &LedgerService) -> String {
    let LedgerService {
        account,
        region,
        cluster,
        service,
    } = service;
    format!("SVC#{account}#{region}#{cluster}#{service}")
}

fn revision_key(revision: &LedgerRevision) -> String {
    format!("{REVISION}{}", revision.key())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn put(
    put: aws_sdk_dynamodb::types::builders::PutBuilder,
) -> Result<TransactWriteItem, CloudError> {
    let put = put.build().map_err(unsendable)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// A request that cannot be built: nothing was sent.
fn unsendable(error: impl std::fmt::Display) -> CloudError {
    CloudError {
        operation: TRANSACT_WRITE_ITEMS.name.to_string(),
        kind: WhatToDo::Never,
        code: "Malformed".to_string(),
        message: error.to_string(),
        request_id: None,
    }
}

fn keys_fit(table: &TableDescription) -> bool {
    let key = |name: &str, key_type: KeyType| {
        table
            .key_schema()
            .iter()
            .any(|key| key.attribute_name() == name && *key.key_type() == key_type)
            && table.attribute_definitions().iter().any(|attribute| {
                attribute.attribute_name() == name
                    && *attribute.attribute_type() == ScalarAttributeType::S
            })
    };
    key("PK", KeyType::Hash) && key("SK", KeyType::Range)
}

fn json_of(entry: &impl Serialize) -> Result<Value, CloudError> {
    serde_json::to_value(entry).map_err(unsendable)
}

/// An entry with its keys; members that are null are left out.
fn item(partition: &str, key: &str, entry: &impl Serialize) -> Result<Item, CloudError> {
    let mut item = Item::new();
    if let Value::Object(members) = json_of(entry)? {
        for (name, value) in members {
            let value = match value {
                Value::Null => continue,
                value if AS_TEXT.contains(&name.as_str()) => AttributeValue::S(value.to_string()),
                value => attribute(&value),
            };
            item.insert(name, value);
        }
    }
    item.insert("PK".to_string(), AttributeValue::S(partition.to_string()));
    item.insert("SK".to_string(), AttributeValue::S(key.to_string()));
    Ok(item)
}

/// The entry of an item.
fn entry<T: DeserializeOwned>(item: &Item, call: Call) -> Result<T, CloudError> {
    let mut members = serde_json::Map::new();
    for (name, value) in item {
        let value = match value {
            AttributeValue::S(text) if AS_TEXT.contains(&name.as_str()) => {
                serde_json::from_str(text).map_err(|error| {
                    malformed(
                        call,
                        format!("{name} of a ledger entry is no JSON: {error}"),
                    )
                })?
            }
            value => json(value),
        };
        members.insert(name.clone(), value);
    }
    parsed(Value::Object(members), call)
}

fn parsed<T: DeserializeOwned>(value: Value, call: Call) -> Result<T, CloudError> {
    serde_json::from_value(value)
        .map_err(|error| malformed(call, format!("A ledger entry cannot be read: {error}")))
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(members) => AttributeValue::M(
            members
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect(),
        ),
    }
}

fn json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(truth) => Value::Bool(*truth),
        AttributeValue::N(number) => serde_json::from_str(number).unwrap_or(Value::Null),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::L(values) => values.iter().map(json).collect(),
        AttributeValue::M(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect(),
        // Sets and bytes are never written.
        _ => Value::Null,
    }
}

/// The size of an item as DynamoDB counts it: names and values in UTF-8, three bytes for each list and map, one
/// for each of their elements. [D: Item sizes]
fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::L(values) => {
            3 + values
                .iter()
                .map(|value| 1 + value_size(value))
                .sum::<usize>()
        }
        AttributeValue::M(members) => {
            3 + members
                .iter()
                .map(|(name, value)| 1 + name.len() + value_size(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn actions(document: &str) -> BTreeSet<String> {
        let document: Value = serde_json::from_str(document).unwrap();
        let statements = document["Statement"].as_array().unwrap();
        statements
            .iter()
            .flat_map(|statement| statement["Action"].as_array().unwrap())
            .map(|action| action.as_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn the_policies_allow_what_is_called_and_nothing_else() {
        let reads = [DESCRIBE_TABLE, DESCRIBE_CONTINUOUS_BACKUPS, GET_ITEM, QUERY];
        let mut expected: BTreeSet<String> =
            reads.iter().map(|call| call.name.to_string()).collect();
        expected.extend(["dynamodb:PutItem", "dynamodb:UpdateItem"].map(str::to_string));
        assert_eq!(
            actions(include_str!("../../../docs/iam/ledger.json")),
            expected
        );
        let creating = [CREATE_TABLE, UPDATE_CONTINUOUS_BACKUPS, DESCRIBE_TABLE];
        assert_eq!(
            actions(include_str!("../../../docs/iam/ledger-create.json")),
            creating.iter().map(|call| call.name.to_string()).collect()
        );
    }

    #[test]
    fn reasons_are_read_in_the_order_of_the_parts() {
        let reasons = |codes: &[&str]| -> Vec<CancellationReason> {
            codes
                .iter()
                .map(|code| CancellationReason::builder().code(*code).build())
                .collect()
        };
        for (codes, expected) in [
            (vec!["ConditionalCheckFailed", "None"], Cancelled::HeadMoved),
            (
                vec!["None", "ConditionalCheckFailed"],
                Cancelled::RecordedAlready,
            ),
            (
                vec!["TransactionConflict", "ConditionalCheckFailed"],
                Cancelled::RecordedAlready,
            ),
            (vec!["None", "TransactionConflict"], Cancelled::NotNow),
            (vec!["ThrottlingError"], Cancelled::NotNow),
            (
                vec!["TransactionConflict", "ValidationError"],
                Cancelled::Refused,
            ),
            (vec![], Cancelled::Refused),
        ] {
            assert_eq!(meaning(&reasons(&codes)), expected, "{codes:?}");
        }
    }

    #[test]
    fn a_task_definition_comes_back_to_the_last_digit() {
        let entry_in = json!({
            "task_definition": {"cpu": 0.1, "memory": 1.0, "big": 12345678901234567890_u64, "none": null, "empty": ""},
            "images": [{"container": "web", "image": "a", "digest": null}],
            "gone": null,
        });
        let item = item("P", "S", &entry_in).unwrap();
        assert!(!item.contains_key("gone"));
        let back: Value = entry(&item, QUERY).unwrap();
        assert_eq!(back["task_definition"], entry_in["task_definition"]);
        assert_eq!(back["images"], entry_in["images"]);
    }
}
