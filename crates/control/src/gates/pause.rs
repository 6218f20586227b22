//! Gates at hooks of ECS: PAUSE hooks, and Lambda hooks whose function is the relay ([`super::function`]). Their fuse is AWS's own: the hook says when ECS stops waiting and what it does then, and
//! ECS does it whether Switchback runs or not. Switchback only writes down that it happened.

use crate::evidence;
use crate::gates::GateChange;
use switchback_domain::ecs::EcsHook;
use switchback_domain::ecs::EcsHookExpiry;
use switchback_domain::ecs::EcsHookStatus;
use switchback_domain::ecs::EcsReading;
use switchback_domain::ecs::EcsStatus;
use switchback_domain::gate::DeliveryEvent;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::GatePolicy;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::GateId;
use switchback_domain::moment::Moment;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;

/// How long a PAUSE hook waits whose end AWS does not tell, in seconds. [M: timeoutInMinutes defaults to 1440]
const UNTOLD_WAIT_SECONDS: i64 = 24 * 3600;

/// The gates of hooks that wait and have none yet.
pub(super) fn opened(
    record: &DeploymentRecord,
    gates: &[GateRecord],
    policy: GatePolicy,
    now: Moment,
) -> Vec<GateChange> {
    let Some(ecs) = record.reading.ecs.as_ref().filter(|ecs| goes_on(ecs)) else {
        return Vec::new();
    };
    let stage = ecs.present_stage().unwrap_or("PAUSE");
    ecs.pauses()
        .filter(|hook| !gates.iter().any(|gate| gate.wait == hook.id))
        .map(|hook| GateChange::Opened(gate(record, hook, stage, policy, now)))
        .collect()
}

fn gate(
    record: &DeploymentRecord,
    hook: &EcsHook,
    stage: &str,
    policy: GatePolicy,
    now: Moment,
) -> GateRecord {
    GateRecord {
        id: GateId::derive(&record.id, &hook.id),
        kind: GateKind::EcsPause,
        stage: stage.to_string(),
        ..at_hook(record, hook, policy, now)
    }
}

/// A gate at a hook of ECS, with the hook's own fuse. Its id, kind and stage are the caller's to say.
pub(super) fn at_hook(
    record: &DeploymentRecord,
    hook: &EcsHook,
    policy: GatePolicy,
    now: Moment,
) -> GateRecord {
    let expires_at = hook
        .expires_at
        .unwrap_or_else(|| now.plus_seconds(UNTOLD_WAIT_SECONDS))
        .max(now);
    let policy = GatePolicy {
        fuse_seconds: expires_at.millis_since(now) / 1000,
        at_expiry: match hook.at_expiry {
            Some(EcsHookExpiry::Continue) => Verdict::Approve,
            Some(EcsHookExpiry::Rollback | EcsHookExpiry::Unknown) | None => Verdict::Reject,
        },
        ..policy
    };
    GateRecord {
        id: GateId::derive(&record.id, &hook.id),
        deployment_id: record.id.clone(),
        deployment_aws_id: record.aws_id.clone(),
        kind: GateKind::EcsPause,
        stage: String::new(),
        wait: hook.id.clone(),
        state: GateState::Open,
        policy,
        opened_at: now,
        expires_at,
        wall_at: expires_at,
        closed_at: None,
        evidence_digest: evidence::basis(record, &hook.id, &policy).digest(),
        verdict: None,
        delivery: None,
        delivery_detail: None,
        delivery_attempts: 0,
        delivery_called_at: None,
        generation: 1,
    }
}

/// Whether the deployment may still go on after a hook: neither ended nor on its way back.
pub(super) fn goes_on(ecs: &EcsReading) -> bool {
    match ecs.status {
        EcsStatus::Pending | EcsStatus::InProgress => !ecs.service_deleted,
        EcsStatus::StopRequested
        | EcsStatus::Stopped
        | EcsStatus::Successful
        | EcsStatus::RollbackRequested
        | EcsStatus::RollbackInProgress
        | EcsStatus::RollbackSuccessful
        | EcsStatus::RollbackFailed => false,
        EcsStatus::Unknown => false,
    }
}

fn status(gate: &GateRecord, record: &DeploymentRecord) -> Option<EcsHookStatus> {
    let ecs = record.reading.ecs.as_ref()?;
    ecs.hook(&gate.wait).map(|hook| hook.status)
}

/// Whether ECS waits at the gate.
pub(crate) fn waits(gate: &GateRecord, record: &DeploymentRecord) -> bool {
    let goes_on = record.reading.ecs.as_ref().is_some_and(goes_on);
    let waiting = match gate.kind {
        GateKind::EcsHook => EcsHookStatus::InProgress,
        GateKind::EcsPause | GateKind::CodedeployHook | GateKind::CodedeployReadyWait => {
            EcsHookStatus::AwaitingAction
        }
    };
    goes_on && status(gate, record) == Some(waiting)
}

/// Whether ECS shows that the wait is over. A reading without the hook, which may be older than the gate, shows it only
/// once the deployment has ended or waits at a later hook.
pub(crate) fn is_over(gate: &GateRecord, record: &DeploymentRecord) -> bool {
    let Some(ecs) = &record.reading.ecs else {
        return false;
    };
    if ecs.status != EcsStatus::Unknown && !goes_on(ecs) {
        return true;
    }
    match status(gate, record) {
        Some(EcsHookStatus::Succeeded | EcsHookStatus::Failed | EcsHookStatus::TimedOut) => true,
        Some(
            EcsHookStatus::AwaitingAction | EcsHookStatus::InProgress | EcsHookStatus::Unknown,
        ) => false,
        None if gate.kind == GateKind::EcsHook => ecs.running_functions().next().is_some(),
        None => ecs.pauses().next().is_some(),
    }
}

/// Whether ECS waited until its own end.
pub(super) fn timed_out(gate: &GateRecord, record: &DeploymentRecord) -> bool {
    status(gate, record) == Some(EcsHookStatus::TimedOut)
}

/// Who ended a wait that nobody decided here.
pub(super) fn gone_words(gate: &GateRecord, record: &DeploymentRecord) -> Option<String> {
    let status = status(gate, record)?;
    if gate.kind == GateKind::EcsHook {
        let said = match status {
            EcsHookStatus::Succeeded => "SUCCEEDED",
            EcsHookStatus::Failed => "FAILED",
            EcsHookStatus::AwaitingAction
            | EcsHookStatus::InProgress
            | EcsHookStatus::TimedOut
            | EcsHookStatus::Unknown => return None,
        };
        return Some(format!(
            "The hook at {} {said} without a decision from here; the gate is gone.",
            gate.stage
        ));
    }
    let did = match status {
        EcsHookStatus::Succeeded => "let it go on",
        EcsHookStatus::Failed => "rolled it back",
        EcsHookStatus::AwaitingAction
        | EcsHookStatus::InProgress
        | EcsHookStatus::TimedOut
        | EcsHookStatus::Unknown => return None,
    };
    Some(format!(
        "Somebody {did} at {} in AWS, not from here; the gate is gone.",
        gate.stage
    ))
}

/// What became of a verdict, as ECS shows it; `None` while the hook waits.
pub(super) fn delivery_event(
    gate: &GateRecord,
    verdict: Verdict,
    record: &DeploymentRecord,
) -> Option<DeliveryEvent> {
    let ended = match status(gate, record) {
        Some(EcsHookStatus::Succeeded) => Some(Verdict::Approve),
        Some(EcsHookStatus::Failed) => Some(Verdict::Reject),
        // ECS was faster than the verdict, whatever it did.
        Some(EcsHookStatus::TimedOut) => None,
        Some(
            EcsHookStatus::AwaitingAction | EcsHookStatus::InProgress | EcsHookStatus::Unknown,
        )
        | None => {
            let ecs = record.reading.ecs.as_ref();
            if verdict == Verdict::Reject && ecs.is_some_and(|ecs| ecs.rolls_back) {
                Some(Verdict::Reject)
            } else if is_over(gate, record) {
                // Only the hook itself tells an approval apart from a stop or a newer deployment.
                None
            } else {
                return None;
            }
        }
    };
    Some(match ended {
        Some(ended) if ended == verdict => DeliveryEvent::Shown,
        Some(_) | None => DeliveryEvent::Refused,
    })
}
