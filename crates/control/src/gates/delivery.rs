//! What AWS shows of a verdict's delivery, and how the delivery moves by it.

use crate::error::StepError;
use crate::gates::about;
use crate::gates::gate_data;
use crate::gates::pause;
use crate::watch;
use switchback_domain::audit::AuditEvent;
use switchback_domain::audit::AwsCall;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::StageStatus;
use switchback_domain::gate;
use switchback_domain::gate::Delivery;
use switchback_domain::gate::DeliveryEvent;
use switchback_domain::gate::GateKind;
use switchback_domain::gate::Verdict;
use switchback_domain::moment::Moment;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;

/// Continuing or ending these stages is what a ready-wait holds back.
const AFTER_READY: &str = "AllowTraffic";

/// How the wait ended, as the reading shows it; `None` while it goes on.
pub(super) fn delivery_event(
    gate: &GateRecord,
    record: &DeploymentRecord,
) -> Option<DeliveryEvent> {
    let verdict = gate.verdict?;
    let ended = match gate.kind {
        GateKind::EcsPause | GateKind::EcsHook => {
            return pause::delivery_event(gate, verdict, record);
        }
        GateKind::CodedeployHook => {
            let stage = record
                .reading
                .stages
                .iter()
                .find(|stage| stage.name == gate.stage)?;
            match stage.status {
                StageStatus::Succeeded => Verdict::Approve,
                StageStatus::Failed | StageStatus::Skipped => Verdict::Reject,
                StageStatus::Pending | StageStatus::InProgress | StageStatus::Unknown => {
                    return None;
                }
            }
        }
        GateKind::CodedeployReadyWait => match record.reading.status {
            AwsStatus::Ready | AwsStatus::Unknown => return None,
            AwsStatus::Running | AwsStatus::Succeeded => Verdict::Approve,
            AwsStatus::Failed | AwsStatus::Stopped if went_on_after_ready(record) => {
                Verdict::Approve
            }
            AwsStatus::Failed | AwsStatus::Stopped => Verdict::Reject,
        },
    };
    Some(if ended == verdict {
        DeliveryEvent::Shown
    } else {
        DeliveryEvent::Refused
    })
}

/// Whether AWS is to show what became of the verdict: it was told, or it asks for it itself.
pub(super) fn is_awaited(gate: &GateRecord) -> bool {
    match gate.delivery {
        Some(Delivery::Sent) => true,
        Some(Delivery::Recorded) => gate.kind == GateKind::EcsHook,
        Some(Delivery::Confirmed | Delivery::Failed) | None => false,
    }
}

/// Whether the deployment got past its ready-wait before it ended.
fn went_on_after_ready(record: &DeploymentRecord) -> bool {
    record.reading.stages.iter().any(|stage| {
        let begun = match stage.status {
            StageStatus::InProgress | StageStatus::Succeeded | StageStatus::Failed => true,
            StageStatus::Pending | StageStatus::Skipped | StageStatus::Unknown => false,
        };
        stage.name == AFTER_READY && begun
    })
}

pub(super) fn move_delivery(
    gate: &mut GateRecord,
    event: DeliveryEvent,
    detail: Option<String>,
) -> bool {
    let Some(after) = gate
        .delivery
        .and_then(|delivery| gate::delivery_after(delivery, event))
    else {
        return false;
    };
    gate.delivery = Some(after);
    gate.delivery_called_at = None;
    gate.delivery_detail = match (detail, event) {
        (Some(detail), _) => Some(detail),
        (None, DeliveryEvent::Refused) => {
            Some("AWS shows that the wait ended another way.".to_string())
        }
        (None, DeliveryEvent::Answered | DeliveryEvent::Shown) => gate.delivery_detail.take(),
    };
    true
}

pub(super) async fn save_delivery(
    tx: &mut Tx,
    gate: &GateRecord,
    now: Moment,
    aws: Option<AwsCall>,
) -> Result<(), StepError> {
    tx.gate_update(gate).await?;
    let verdict = gate.verdict.map_or("verdict", |verdict| match verdict {
        Verdict::Approve => "approval",
        Verdict::Reject => "rejection",
    });
    let text = match gate.delivery {
        Some(Delivery::Sent) => format!("The {verdict} was sent to AWS."),
        Some(Delivery::Confirmed) => format!("AWS confirms the {verdict}."),
        Some(Delivery::Failed) => format!(
            "AWS did not take the {verdict}: {}",
            gate.delivery_detail.as_deref().unwrap_or("no reason given")
        ),
        Some(Delivery::Recorded) | None => return Ok(()),
    };
    watch::append(
        tx,
        &gate.deployment_id,
        now,
        "delivery",
        text,
        Some("switchback"),
        gate_data(gate),
    )
    .await?;
    let delivery = gate.delivery.map_or("recorded", Delivery::word).to_string();
    let event = AuditEvent::GateDelivery {
        gate: gate.id.clone(),
        delivery,
        detail: gate.delivery_detail.clone(),
    };
    let mut entry = about(gate, watch::observed(now, event));
    entry.context.aws = aws;
    tx.audit_append(&entry).await?;
    tx.change_append("gate", gate.id.as_str(), Some(&gate.deployment_id), now)
        .await?;
    Ok(())
}

/// The call that tells AWS a verdict, as CloudTrail will have it; `None` where it is told by answering a function.
pub(super) fn aws_call(
    gate: &GateRecord,
    record: &DeploymentRecord,
    verdict: Verdict,
    now: Moment,
    request_id: Option<String>,
) -> Option<AwsCall> {
    let (event_source, event_name) = match (gate.kind, verdict) {
        (GateKind::EcsPause, _) => (AwsCall::ECS, "ContinueServiceDeployment"),
        (GateKind::CodedeployHook, _) => {
            (AwsCall::CODEDEPLOY, "PutLifecycleEventHookExecutionStatus")
        }
        (GateKind::CodedeployReadyWait, Verdict::Approve) => {
            (AwsCall::CODEDEPLOY, "ContinueDeployment")
        }
        (GateKind::CodedeployReadyWait, Verdict::Reject) => (AwsCall::CODEDEPLOY, "StopDeployment"),
        (GateKind::EcsHook, _) => return None,
    };
    Some(AwsCall {
        event_source: event_source.to_string(),
        event_name: event_name.to_string(),
        account: record.account.clone(),
        region: record.region.clone(),
        request_id,
        at: gate.delivery_called_at.unwrap_or(now),
    })
}
