//! What stands in the database as the ledger has it, and where the two differ. Pure.

use serde_json::Value;
use serde_json::json;
use switchback_cloud::ledger::LedgerHead;
use switchback_cloud::ledger::LedgerIntent;
use switchback_cloud::ledger::LedgerOutcome;
use switchback_cloud::ledger::LedgerRevision;
use switchback_cloud::ledger::LedgerService;
use switchback_domain::ids::OperationId;
use switchback_domain::moment::Moment;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Service;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::OperationRecord;
use switchback_store::records::ServedRecord;

/// The share, in thousandths, from which a revision counts as having served.
const WHOLE: i64 = 1000;

/// The service as the ledger names it.
pub(super) fn service(service: &Service) -> LedgerService {
    LedgerService {
        account: service.account.clone(),
        region: service.region.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
    }
}

/// What a service runs and ran, without the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// What serves.
    pub(super) serving: Option<RevisionArn>,
    /// What served before it.
    pub(super) previous: Option<RevisionArn>,
    /// Since when that was seen (the account's clock).
    pub(super) as_of: Moment,
}

/// How a service stands by the database.
pub(super) fn standing(service: &Service, served: &[ServedRecord]) -> Standing {
    let previous = served
        .iter()
        .filter(|period| {
            period.share_permille >= WHOLE
                && Some(&period.revision) != service.serving_revision.as_ref()
        })
        .max_by_key(|period| (period.to.is_none(), period.to, period.from))
        .map(|period| period.revision.clone());
    Standing {
        serving: service.serving_revision.clone(),
        previous,
        as_of: service.serving_since.unwrap_or(service.observed_at),
    }
}

/// The head that comes after `before`: of the two views of what serves, the one that saw the later change. Says
/// also where they differ, if ours does not follow from `before`.
pub(super) fn next_head(
    ours: &Standing,
    active: Option<OperationId>,
    before: Option<&LedgerHead>,
    recorded: i64,
    write_id: String,
) -> LedgerHead {
    let theirs = before.filter(|before| before.as_of > ours.as_of);
    LedgerHead {
        version: before.map_or(0, |before| before.version) + 1,
        sequence: before.map_or(0, |before| before.sequence) + recorded,
        serving_revision: match theirs {
            Some(theirs) => theirs.serving_revision.clone(),
            None => ours.serving.clone(),
        },
        // What is not known is not a change: the ledger may remember further back.
        previous_revision: match theirs {
            Some(theirs) => theirs.previous_revision.clone(),
            None => ours.previous.clone().or_else(|| {
                before
                    .filter(|before| before.serving_revision == ours.serving)
                    .and_then(|before| before.previous_revision.clone())
            }),
        },
        active_operation: active,
        as_of: theirs.map_or(ours.as_of, |theirs| theirs.as_of),
        write_id,
    }
}

/// Where somebody else's head says something else than ours would.
pub(super) fn head_differences(ours: &Standing, theirs: &LedgerHead) -> Vec<String> {
    let pairs = [
        ("serving_revision", &theirs.serving_revision, &ours.serving),
        (
            "previous_revision",
            &theirs.previous_revision,
            &ours.previous,
        ),
    ];
    pairs
        .into_iter()
        .filter(|(_, theirs, ours)| theirs != ours && theirs.is_some() && ours.is_some())
        .map(|(name, theirs, ours)| {
            let short = |revision: &Option<RevisionArn>| {
                revision
                    .as_ref()
                    .map_or("nothing".to_string(), |arn| arn.short().to_string())
            };
            format!("{name}: {} there, {} here", short(theirs), short(ours))
        })
        .collect()
}

/// A deployment at first sight.
pub(super) fn deployment(
    record: &DeploymentRecord,
    service: &Service,
    revision: Option<&Revision>,
    rollback_of: Option<String>,
    sequence: i64,
) -> LedgerRevision {
    LedgerRevision {
        sequence,
        deployment: Some(record.aws_id.clone()),
        at: record.started_at,
        revision: record.target_revision.clone(),
        task_definition: revision.map(|revision| revision.task_definition.clone()),
        images: revision.map(Revision::images).unwrap_or_default(),
        previous_revision: record.previous_revision.clone(),
        previous_evidence: record.previous_evidence,
        app_spec: record.app_spec.clone(),
        strategy: Some(record.strategy.clone()),
        deployment_group: service
            .controller
            .group()
            .map(|group| (group.application.clone(), group.group.clone())),
        alarms: service.controller.alarms().to_vec(),
        actor: Some(record.initiator.clone()),
        reason: record.reason.clone(),
        description: record.description.clone(),
        operation: record.operation_id.clone(),
        rollback_of,
    }
}

/// A revision that was serving before anybody recorded how it came to.
pub(super) fn found(revision: &Revision, at: Moment, sequence: i64) -> LedgerRevision {
    LedgerRevision {
        sequence,
        deployment: None,
        at: revision.registered_at.unwrap_or(at),
        revision: Some(revision.arn.clone()),
        task_definition: Some(revision.task_definition.clone()),
        images: revision.images(),
        previous_revision: None,
        previous_evidence: None,
        app_spec: None,
        strategy: None,
        deployment_group: None,
        alarms: Vec::new(),
        actor: revision.registered_by.clone(),
        reason: None,
        description: None,
        operation: None,
        rollback_of: None,
    }
}

/// How a deployment ended; `None` while it has not.
pub(super) fn outcome(record: &DeploymentRecord) -> Option<LedgerOutcome> {
    record.standing.outcome.is_final().then(|| LedgerOutcome {
        seen_at: record.observed_at,
        outcome: record.standing.outcome,
        cause: record.standing.cause,
        detail: record.outcome_detail.clone(),
        ended_at: record.ended_at,
    })
}

/// An intent as it stands.
pub(super) fn intent(record: &OperationRecord) -> LedgerIntent {
    LedgerIntent {
        operation: record.id.clone(),
        generation: record.generation,
        kind: record.kind,
        state: record.state,
        target_revision: record.target_revision.clone(),
        actor: record.actor.clone(),
        reason: record.reason.clone(),
        plan: record.plan.clone(),
        call: record.call.clone(),
        aws_id: record.aws_id.clone(),
        detail: record.detail.clone(),
        created_at: record.created_at,
        called_at: record.called_at,
        attempts: record.attempts,
    }
}

/// The members of a recorded deployment in which the ledger and the database differ. The number is the writer's own,
/// and what one of the two never learnt is no difference.
pub(super) fn differences(theirs: &LedgerRevision, ours: &LedgerRevision) -> Vec<String> {
    let (Value::Object(theirs), Value::Object(ours)) = (json!(theirs), json!(ours)) else {
        return Vec::new();
    };
    theirs
        .iter()
        .filter(|(name, _)| {
            matches!(
                name.as_str(),
                "revision"
                    | "task_definition"
                    | "previous_revision"
                    | "app_spec"
                    | "strategy"
                    | "operation"
                    | "rollback_of"
            )
        })
        .filter(|(name, theirs)| {
            let ours = ours.get(*name).unwrap_or(&Value::Null);
            *theirs != ours && !theirs.is_null() && !ours.is_null()
        })
        // The values stay out of it: task definitions hold environment variables.
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(number: u32) -> RevisionArn {
        RevisionArn::parse(&format!("arn:aws:ecs:r:1:task-definition/web:{number}")).unwrap()
    }

    fn ours(serving: u32, previous: Option<u32>, as_of: i64) -> Standing {
        Standing {
            serving: Some(arn(serving)),
            previous: previous.map(arn),
            as_of: Moment::from_millis(as_of),
        }
    }

    fn head(serving: u32, previous: Option<u32>, as_of: i64) -> LedgerHead {
        LedgerHead {
            version: 5,
            sequence: 3,
            serving_revision: Some(arn(serving)),
            previous_revision: previous.map(arn),
            active_operation: None,
            as_of: Moment::from_millis(as_of),
            write_id: "theirs".to_string(),
        }
    }

    #[test]
    fn the_later_sight_of_what_serves_stands() {
        let next = |ours: &Standing, before: Option<&LedgerHead>| {
            let head = next_head(ours, None, before, 1, "w".to_string());
            let number = |arn: Option<RevisionArn>| arn.map(|arn| arn.number());
            (
                head.version,
                head.sequence,
                number(head.serving_revision),
                number(head.previous_revision),
                head.as_of.millis(),
            )
        };
        assert_eq!(
            next(&ours(2, Some(1), 10), None),
            (1, 1, Some(2), Some(1), 10)
        );
        let theirs = head(3, Some(2), 20);
        let stale = next(&ours(2, Some(1), 10), Some(&theirs));
        assert_eq!(stale, (6, 4, Some(3), Some(2), 20));
        let newer = next(&ours(2, Some(3), 30), Some(&theirs));
        assert_eq!(newer, (6, 4, Some(2), Some(3), 30));
        // A database that begins anew does not make the ledger forget what served before.
        let fresh = next(&ours(3, None, 30), Some(&theirs));
        assert_eq!(fresh, (6, 4, Some(3), Some(2), 30));
        let moved = next(&ours(4, None, 30), Some(&theirs));
        assert_eq!(moved, (6, 4, Some(4), None, 30));
    }

    #[test]
    fn only_what_both_know_differs() {
        assert_eq!(
            head_differences(&ours(2, None, 1), &head(2, Some(1), 1)),
            [""; 0]
        );
        assert_eq!(
            head_differences(&ours(2, Some(4), 1), &head(3, Some(4), 1)),
            ["serving_revision: web:3 there, web:2 here"]
        );
    }
}
