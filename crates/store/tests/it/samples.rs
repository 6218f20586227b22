//! Records with something in every field.

use serde_json::json;
use switchback_domain::actor::Role;
use switchback_domain::audit::AuditContext;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::coverage::FirstSeen;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::OutcomeCause;
use switchback_domain::deployment::Reading;
use switchback_domain::deployment::Stage;
use switchback_domain::deployment::StageStatus;
use switchback_domain::deployment::Standing;
use switchback_domain::digest::Digest;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GatePolicy;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::GateId;
use switchback_domain::ids::OperationId;
use switchback_domain::ids::ServiceId;
use switchback_domain::ids::UserId;
use switchback_domain::moment::Moment;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::previous::PreviousEvidence;
use switchback_domain::previous::PreviousUnknown;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Controller;
use switchback_domain::service::DeploymentGroup;
use switchback_domain::service::Service;
use switchback_domain::service::TrafficRoutes;
use switchback_store::Store;
use switchback_store::records::DecisionRecord;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;
use switchback_store::records::OperationRecord;
use switchback_store::records::Sight;
use switchback_store::records::UserRecord;

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-central-1";

pub fn at(seconds: i64) -> Moment {
    Moment::from_millis(1_795_000_000_123).plus_seconds(seconds)
}

pub fn arn(number: u64) -> RevisionArn {
    RevisionArn::parse(&format!(
        "arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/web:{number}"
    ))
    .unwrap()
}

pub fn service(name: &str) -> Service {
    let arn_text = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/{name}");
    Service {
        id: ServiceId::derive(&arn_text),
        name: name.to_string(),
        arn: arn_text,
        cluster: "main".to_string(),
        account: ACCOUNT.to_string(),
        region: REGION.to_string(),
        controller: Controller::Codedeploy(DeploymentGroup {
            application: "shop".to_string(),
            group: format!("{name}-group"),
            config_name: "CodeDeployDefault.ECSCanary10Percent5Minutes".to_string(),
            routes: TrafficRoutes {
                production_listener: Some("arn:listener/1".to_string()),
                test_listener: None,
                target_groups: vec!["blue".to_string(), "green".to_string()],
            },
            alarms: vec!["web-5xx".to_string()],
            rolls_back_on_failure: true,
            rolls_back_on_alarm: false,
            ready_wait_minutes: 0,
            termination_wait_minutes: Some(60),
        }),
        serving_revision: Some(arn(1)),
        serving_since: Some(at(-50)),
        desired_count: 4,
        running_count: 3,
        observed_at: at(0),
        generation: 1,
    }
}

pub fn revision(number: u64) -> Revision {
    Revision {
        arn: arn(number),
        status: RevisionStatus::Active,
        registered_at: Some(at(-100)),
        registered_by: Some("arn:aws:iam::123456789012:user/ci".to_string()),
        task_definition: json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "web:ü"}]}),
    }
}

pub fn deployment(service: &Service, aws_id: &str, started_at: Moment) -> DeploymentRecord {
    DeploymentRecord {
        id: DeploymentId::derive(&service.account, &service.region, aws_id),
        aws_id: aws_id.to_string(),
        service_id: service.id.clone(),
        service_name: service.name.clone(),
        cluster: service.cluster.clone(),
        account: service.account.clone(),
        region: service.region.clone(),
        controller: "codedeploy".to_string(),
        strategy: "CodeDeployDefault.ECSAllAtOnce".to_string(),
        previous_revision: Some(arn(1)),
        previous_evidence: Some(PreviousEvidence::TaskSet),
        sight: Sight {
            first_seen: Some(FirstSeen::SeenLate),
            previous_unknown: Some(PreviousUnknown::NothingEarlier),
        },
        target_revision: Some(arn(2)),
        app_spec: Some("version: 0.0".to_string()),
        standing: Standing {
            phase: None,
            outcome: Outcome::RolledBack,
            cause: Some(OutcomeCause::Alarm),
        },
        outcome_detail: Some("web-5xx".to_string()),
        initiator: "dana".to_string(),
        reason: Some("CHG-1: 100% new".to_string()),
        description: Some("[switchback op-0707070707070707] CHG-1".to_string()),
        started_at,
        ended_at: Some(started_at.plus_seconds(60)),
        rollback_of: Some(DeploymentId::new("dep-0")),
        rolled_back_by: Some(DeploymentId::new("dep-9")),
        operation_id: Some(OperationId::from_random([7; 8])),
        share_new_permille: Some(100),
        reading: Reading {
            ecs: None,
            status: AwsStatus::Stopped,
            error_code: Some("ALARM_ACTIVE".to_string()),
            error_message: Some("web-5xx is in ALARM".to_string()),
            rolled_back_by: Some("d-9".to_string()),
            rolls_back: Some("d-0".to_string()),
            stages: vec![Stage {
                name: "AllowTraffic".to_string(),
                status: StageStatus::Failed,
                started_at: Some(at(1)),
                ended_at: None,
                message: Some("stopped".to_string()),
            }],
        },
        target_group_old: Some("arn:tg/blue".to_string()),
        target_group_new: Some("arn:tg/green".to_string()),
        alarms: json!([{"name": "web-5xx", "state": "ALARM", "since": null, "threshold": 1.5}]),
        metrics_until: Some(at(2)),
        observed_at: at(3),
        generation: 1,
    }
}

/// The same deployment with nothing that can be missing.
pub fn bare_deployment(service: &Service, aws_id: &str, started_at: Moment) -> DeploymentRecord {
    DeploymentRecord {
        previous_revision: None,
        previous_evidence: None,
        sight: Sight::default(),
        target_revision: None,
        app_spec: None,
        standing: Standing::started(),
        outcome_detail: None,
        reason: None,
        description: None,
        ended_at: None,
        rollback_of: None,
        rolled_back_by: None,
        operation_id: None,
        share_new_permille: None,
        target_group_old: None,
        target_group_new: None,
        metrics_until: None,
        alarms: json!([]),
        ..deployment(service, aws_id, started_at)
    }
}

pub fn gate(deployment: &DeploymentRecord, wait: &str) -> GateRecord {
    GateRecord {
        id: GateId::derive(&deployment.id, wait),
        deployment_id: deployment.id.clone(),
        deployment_aws_id: deployment.aws_id.clone(),
        kind: GateKind::CodedeployHook,
        stage: "BeforeAllowTraffic".to_string(),
        wait: wait.to_string(),
        state: GateState::Rejected,
        policy: GatePolicy {
            required_approvals: 2,
            fuse_seconds: 900,
            at_expiry: Verdict::Reject,
        },
        opened_at: at(10),
        expires_at: at(910),
        wall_at: at(3610),
        closed_at: Some(at(20)),
        evidence_digest: Digest::of_bytes(b"shown"),
        verdict: Some(Verdict::Reject),
        delivery: Some(Delivery::Sent),
        delivery_detail: Some("req-1".to_string()),
        delivery_attempts: 1,
        delivery_called_at: Some(at(21)),
        generation: 1,
    }
}

/// The same gate while it waits.
pub fn open_gate(deployment: &DeploymentRecord, wait: &str, expires_at: Moment) -> GateRecord {
    GateRecord {
        state: GateState::Open,
        expires_at,
        closed_at: None,
        verdict: None,
        delivery: None,
        delivery_detail: None,
        delivery_attempts: 0,
        delivery_called_at: None,
        ..gate(deployment, wait)
    }
}

pub fn decision(gate: &GateRecord, actor: &str) -> DecisionRecord {
    DecisionRecord {
        gate_id: gate.id.clone(),
        actor: actor.to_string(),
        verdict: Verdict::Reject,
        reason: Some("5xx on the new side".to_string()),
        evidence_digest: gate.evidence_digest.clone(),
        evidence: json!({"metrics": [1, 2.5, null]}),
        at: at(15),
    }
}

pub fn operation(service: &Service, number: u8) -> OperationRecord {
    OperationRecord {
        id: OperationId::from_random([number; 8]),
        kind: OperationKind::Redeploy,
        service_id: service.id.clone(),
        deployment_id: Some(DeploymentId::new("dep-not-observed-yet")),
        target_revision: Some(arn(1)),
        actor: "dana".to_string(),
        reason: "INC-1".to_string(),
        plan: json!({"digest": "abc", "calls": []}),
        call: json!({"revision": "web:1"}),
        state: OperationState::Calling,
        detail: Some("req-2".to_string()),
        aws_id: Some("d-2".to_string()),
        created_at: at(i64::from(number)),
        called_at: Some(at(31)),
        attempts: 1,
        generation: 1,
    }
}

pub fn user(name: &str, number: u8) -> UserRecord {
    UserRecord {
        id: UserId::from_random([number; 8]),
        username: name.to_string(),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_string(),
        roles: vec![Role::Viewer, Role::Admin],
    }
}

pub fn entry(actor: &str, seconds: i64) -> AuditEntry {
    AuditEntry {
        at: at(seconds),
        actor: actor.to_string(),
        event: AuditEvent::OperationMoved {
            operation: OperationId::from_random([1; 8]),
            state: OperationState::Submitted,
            detail: Some("d-2".to_string()),
        },
        reason: Some("INC-1: \"ü\"".to_string()),
        context: AuditContext::default(),
    }
}

/// A service and a deployment of it, recorded.
pub async fn recorded(store: &Store) -> (Service, DeploymentRecord) {
    let service = service("web");
    let deployment = deployment(&service, "d-1", at(0));
    let mut tx = store.begin().await.unwrap();
    assert!(tx.service_upsert(&service).await.unwrap());
    assert!(tx.deployment_insert(&deployment).await.unwrap());
    tx.commit().await.unwrap();
    (service, deployment)
}
