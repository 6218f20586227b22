//! The database repaired from the ledger: what it does not have comes back, what it has stays as it is.

use crate::error::StepError;
use crate::watch;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use switchback_cloud::ledger::LedgerIntent;
use switchback_cloud::ledger::LedgerOutcome;
use switchback_cloud::ledger::LedgerPartition;
use switchback_cloud::ledger::LedgerRevision;
use switchback_domain::audit::AuditEvent;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Standing;
use switchback_domain::ids::DeploymentId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationState;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Service;
use switchback_store::LedgerHeadRecord;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::OperationRecord;
use switchback_store::records::Sight;

/// Takes over what the database does not have of a service: revisions with their task definitions, deployments that
/// have ended, and operations. `new` is whether the service itself is being recorded in this transaction: then what
/// served when comes back too. Gives the head, which is remembered as seen.
pub(super) async fn restore(
    tx: &mut Tx,
    service: &Service,
    partition: &LedgerPartition,
    now: Moment,
    new: bool,
) -> Result<LedgerHeadRecord, StepError> {
    let revisions = restore_revisions(tx, service, partition).await?;
    let deployments = restore_deployments(tx, service, partition, now, new).await?;
    let operations = restore_operations(tx, service, partition, new).await?;
    if new && !partition.revisions.is_empty() || deployments + operations > 0 {
        tx.audit_append(&watch::observed(
            now,
            AuditEvent::LedgerRestored {
                service: service.id.clone(),
                revisions,
                deployments,
                operations,
            },
        ))
        .await?;
    }
    let head = super::seen(&service.id, partition.head.clone());
    tx.ledger_head_set(&head).await?;
    Ok(head)
}

async fn restore_revisions(
    tx: &mut Tx,
    service: &Service,
    partition: &LedgerPartition,
) -> Result<i64, StepError> {
    let mut known: BTreeMap<&RevisionArn, &Value> = BTreeMap::new();
    for (entry, _) in &partition.revisions {
        if let (Some(arn), Some(task_definition)) = (&entry.revision, &entry.task_definition) {
            known.entry(arn).or_insert(task_definition);
        }
    }
    for (arn, task_definition) in &known {
        // Of one that the database has, the first task definition and what is known of its status stay.
        let revision = Revision {
            arn: (*arn).clone(),
            status: RevisionStatus::Unknown,
            registered_at: None,
            registered_by: None,
            task_definition: (*task_definition).clone(),
        };
        tx.revision_upsert(Some(&service.id), &revision).await?;
    }
    Ok(i64::try_from(known.len()).unwrap_or(i64::MAX))
}

async fn restore_deployments(
    tx: &mut Tx,
    service: &Service,
    partition: &LedgerPartition,
    now: Moment,
    new: bool,
) -> Result<i64, StepError> {
    let mut undone_by: BTreeMap<&str, &str> = BTreeMap::new();
    for (entry, _) in &partition.revisions {
        if let (Some(undone), Some(by)) = (&entry.rollback_of, &entry.deployment) {
            undone_by.insert(undone, by);
        }
    }
    let mut restored = 0;
    let mut serving: Option<RevisionArn> = None;
    for (entry, outcome) in &partition.revisions {
        // One that has not ended, or whose end nobody saw, is AWS's to tell.
        let (Some(aws_id), Some(outcome)) = (&entry.deployment, outcome) else {
            continue;
        };
        if !outcome.outcome.is_final() {
            continue;
        }
        let record = record(
            service,
            entry,
            aws_id,
            outcome,
            undone_by.get(aws_id.as_str()),
            now,
        );
        if !tx.deployment_insert(&record).await? {
            continue;
        }
        tx.ledger_has_deployment(&record.id, outcome.outcome.word(), None)
            .await?;
        watch::append(
            tx,
            &record.id,
            record.started_at,
            "started",
            format!(
                "Deployment {} created. This record came back from the ledger; its steps were not kept there.",
                record.aws_id
            ),
            Some(&record.initiator),
            json!({ "restored_from": "ledger" }),
        )
        .await?;
        tx.change_append("deployment", record.id.as_str(), Some(&record.id), now)
            .await?;
        restored += 1;
        if new
            && outcome.outcome == Outcome::Succeeded
            && let Some(target) = &record.target_revision
        {
            let at = record.ended_at.unwrap_or(record.started_at);
            if let Some(previous) = record
                .previous_revision
                .as_ref()
                .filter(|old| *old != target)
            {
                tx.served_record(&service.id, previous, record.started_at, 1000)
                    .await?;
                tx.served_record(&service.id, target, at, 1000).await?;
                tx.served_record(&service.id, previous, at, 0).await?;
            } else {
                tx.served_record(&service.id, target, at, 1000).await?;
            }
            serving = Some(target.clone());
        }
    }
    // What serves now was changed while nobody looked.
    if let Some(last) = serving.filter(|last| Some(last) != service.serving_revision.as_ref()) {
        tx.served_record(&service.id, &last, now, 0).await?;
    }
    Ok(restored)
}

fn record(
    service: &Service,
    entry: &LedgerRevision,
    aws_id: &str,
    outcome: &LedgerOutcome,
    undone_by: Option<&&str>,
    now: Moment,
) -> DeploymentRecord {
    let id_of = |aws_id: &str| DeploymentId::derive(&service.account, &service.region, aws_id);
    DeploymentRecord {
        id: id_of(aws_id),
        aws_id: aws_id.to_string(),
        service_id: service.id.clone(),
        service_name: service.name.clone(),
        cluster: service.cluster.clone(),
        account: service.account.clone(),
        region: service.region.clone(),
        controller: service.controller.word().to_string(),
        strategy: entry.strategy.clone().unwrap_or_default(),
        previous_revision: entry.previous_revision.clone(),
        previous_evidence: entry.previous_evidence,
        // The ledger does not tell.
        sight: Sight::default(),
        target_revision: entry.revision.clone(),
        app_spec: entry.app_spec.clone(),
        standing: Standing {
            phase: None,
            outcome: outcome.outcome,
            cause: outcome.cause,
        },
        outcome_detail: outcome.detail.clone(),
        initiator: entry.actor.clone().unwrap_or_default(),
        reason: entry.reason.clone(),
        description: entry.description.clone(),
        started_at: entry.at,
        ended_at: outcome.ended_at,
        rollback_of: entry.rollback_of.as_deref().map(id_of),
        rolled_back_by: undone_by
            .filter(|_| matches!(outcome.outcome, Outcome::RolledBack | Outcome::Succeeded))
            .map(|by| id_of(by)),
        operation_id: entry.operation.clone(),
        share_new_permille: match outcome.outcome {
            Outcome::Succeeded => Some(1000),
            Outcome::RolledBack => Some(0),
            _ => None,
        },
        reading: Reading {
            ecs: None,
            status: match outcome.outcome {
                Outcome::Succeeded => AwsStatus::Succeeded,
                Outcome::Stopped => AwsStatus::Stopped,
                _ => AwsStatus::Failed,
            },
            error_code: None,
            error_message: outcome.detail.clone(),
            rolled_back_by: None,
            rolls_back: None,
            stages: Vec::new(),
        },
        target_group_old: None,
        target_group_new: None,
        alarms: json!([]),
        // Its numbers are not in the ledger and CloudWatch is not asked for the past.
        metrics_until: Some(now),
        observed_at: outcome.seen_at,
        generation: 1,
    }
}

async fn restore_operations(
    tx: &mut Tx,
    service: &Service,
    partition: &LedgerPartition,
    new: bool,
) -> Result<i64, StepError> {
    let mut restored = 0;
    let unanswered = |intent: &&LedgerIntent| {
        matches!(
            intent.state,
            OperationState::Intended | OperationState::Calling | OperationState::Unknown
        )
    };
    let latest = partition.intents.iter().rfind(unanswered);
    for intent in &partition.intents {
        // The ledger hears of a call after it was made: whether an intent was carried out is asked of AWS. At most one
        // can be, and a service that the database knew has its own.
        if unanswered(&intent) && (!new || Some(intent) != latest) {
            continue;
        }
        if tx.operation_fetch(&intent.operation).await?.is_some() {
            continue;
        }
        let deployment_id = intent.call["deployment_aws_id"]
            .as_str()
            .map(|aws_id| DeploymentId::derive(&service.account, &service.region, aws_id));
        let record = OperationRecord {
            id: intent.operation.clone(),
            kind: intent.kind,
            service_id: service.id.clone(),
            deployment_id,
            target_revision: intent.target_revision.clone(),
            actor: intent.actor.clone(),
            reason: intent.reason.clone(),
            plan: intent.plan.clone(),
            call: intent.call.clone(),
            state: if unanswered(&intent) {
                OperationState::Unknown
            } else {
                intent.state
            },
            detail: intent.detail.clone(),
            aws_id: intent.aws_id.clone(),
            created_at: intent.created_at,
            called_at: intent.called_at.or(Some(intent.created_at)),
            attempts: intent.attempts.max(1),
            generation: 1,
        };
        tx.operation_insert(&record).await?;
        tx.ledger_restored_operation(&record.id, intent.generation)
            .await?;
        restored += 1;
    }
    Ok(restored)
}
