//! Ending CodeDeploy's bake early: the plan and the intent.

use crate::console::Desk;
use crate::console::deciding::mark_request;
use crate::console::operation_in_progress;
use crate::error::step_refusal;
use crate::error::store_refusal;
use crate::operations;
use crate::operations::OperationCall;
use crate::views;
use serde_json::json;
use switchback_contract::EndBakeCommand;
use switchback_contract::PlanView;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_domain::actor::Actor;
use switchback_domain::deployment::Phase;
use switchback_domain::ids::OperationId;
use switchback_domain::operation::OperationState;
use switchback_domain::plan;
use switchback_domain::plan::BakeFacts;
use switchback_domain::plan::Plan;
use switchback_domain::service::Service;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::OperationRecord;

/// Whether CodeDeploy waits before it removes the old tasks: all traffic has moved.
pub(super) fn bakes(record: &DeploymentRecord) -> bool {
    record.standing.phase == Some(Phase::Baking)
        && record.reading.ecs.is_none()
        && record.reading.rolls_back.is_none()
}

/// The plan, from what is recorded; `None` when there is nothing to end.
pub(super) fn bake_plan(record: &DeploymentRecord, service: &Service) -> Option<Plan> {
    if !bakes(record) {
        return None;
    }
    plan::end_bake(&BakeFacts {
        service: service.clone(),
        active: views::active(record, &[]),
        firing_alarms: views::alarms(record, &[])
            .into_iter()
            .filter(|alarm| alarm.state == "ALARM")
            .map(|alarm| alarm.name)
            .collect(),
    })
}

impl Desk {
    pub(super) fn bake_plan_view(&self, plan: &Plan) -> PlanView {
        PlanView {
            digest: plan.digest.to_string(),
            kind: plan.kind,
            target: plan.target.to_string(),
            preflight: plan.preflight.clone(),
            calls: plan.calls.clone(),
            consequences: plan.consequences.clone(),
            expected_seconds: plan.expected_seconds,
            expected_basis: String::new(),
            may_run: plan.may_run(),
            made_at: self.now(),
            replaces: None,
            difference: None,
        }
    }

    pub(super) async fn service_of(&self, record: &DeploymentRecord) -> Result<Service, Refusal> {
        self.store()
            .service_fetch(&record.service_id)
            .await
            .map_err(store_refusal)?
            .ok_or_else(|| Refusal::not_found("service", record.service_id.as_str()))
    }

    pub(super) async fn commit_end_of_bake(
        &self,
        actor: &Actor,
        record: &DeploymentRecord,
        command: EndBakeCommand,
        reason: String,
    ) -> Result<OperationRecord, Refusal> {
        let service = self.service_of(record).await?;
        let Some(plan) = bake_plan(record, &service) else {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "not_baking",
                format!(
                    "{} does not wait in its bake (any more). Nothing was changed.",
                    record.aws_id
                ),
            ));
        };
        if plan.digest.as_str() != command.plan_digest {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "plan_changed",
                "The facts behind the plan have changed since it was read. Nothing was changed. Read the plan again.",
            ));
        }
        if self.unsettled(&service, &plan).await? {
            return Err(operation_in_progress());
        }
        let now = self.now();
        let call = OperationCall {
            region: service.region.clone(),
            deployment_aws_id: Some(record.aws_id.clone()),
            new: None,
            update: None,
            undoes: None,
        };
        let operation = OperationRecord {
            id: OperationId::from_random((self.control.inner.random)()),
            kind: plan.kind,
            service_id: service.id.clone(),
            deployment_id: plan.deployment.clone(),
            target_revision: Some(plan.target.clone()),
            actor: actor.name.clone(),
            reason,
            plan: json!(plan),
            call: json!(call),
            state: OperationState::Intended,
            detail: None,
            aws_id: call.deployment_aws_id.clone(),
            created_at: now,
            called_at: None,
            attempts: 0,
            generation: 1,
        };
        let mut tx = self.store().begin().await.map_err(store_refusal)?;
        mark_request(
            &mut tx,
            actor,
            command.request.as_ref(),
            operation.id.as_str(),
            now,
        )
        .await?;
        operations::record_intent(&mut tx, actor, &operation, plan.digest.clone(), now)
            .await
            .map_err(|error| match error {
                crate::error::StepError::Store(switchback_store::StoreError::Conflict {
                    ..
                }) => operation_in_progress(),
                other => step_refusal(other),
            })?;
        tx.commit().await.map_err(store_refusal)?;
        self.control.inner.wake_acts.notify_one();
        Ok(operation)
    }
}
