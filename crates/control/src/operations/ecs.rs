//! What is different about operations on services of the deployment controller ECS.
//!
//! StopServiceDeployment is like CodeDeploy's stop: the deployment's own status shows whether it had an effect, and a
//! second one adds nothing. UpdateService carries no marker; how its effect is found all the same, and why it is never
//! sent a second time unless the first can have none, is said in [`switchback_domain::operation::update_service`].
//! A deployment that was begun by it is recorded with the operation's actor and reason: at first sight where the
//! operation may have begun it, and for good once AWS's answer, or what was found instead of one, names it.

use super::LOOK_BACK_SECONDS;
use super::OperationCall;
use super::Shown;
use crate::Control;
use crate::error::StepError;
use crate::watch;
use serde_json::Value;
use switchback_cloud::Cloud;
use switchback_cloud::CloudError;
use switchback_cloud::DeploymentReading;
use switchback_cloud::ServiceUpdate;
use switchback_domain::ecs::EcsStatus;
use switchback_domain::ecs::INITIATOR_NOT_TOLD;
use switchback_domain::ids::DeploymentId;
use switchback_domain::operation;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::operation::update_service::Listed;
use switchback_domain::operation::update_service::UpdateIntent;
use switchback_domain::operation::update_service::UpdateShown;
use switchback_domain::operation::update_service::WHOSE_IT_IS;
use switchback_domain::service::Service;
use switchback_store::DeploymentQuery;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::OperationRecord;

/// How many of a service's latest operations, and deployments, are looked through for the ones that belong together.
const LOOKED_THROUGH: i64 = 20;

/// What UpdateService answered.
pub(super) enum Updated {
    /// A deployment began, with this ARN where AWS tells it already.
    Began(Option<String>),
    /// None began: the service is where it was.
    Nothing,
}

impl Control {
    /// Sends the intended UpdateService.
    pub(super) async fn send_update(
        &self,
        cloud: &dyn Cloud,
        intent: &UpdateIntent,
    ) -> Result<(Updated, Option<String>), CloudError> {
        let update = ServiceUpdate {
            cluster: intent.cluster.clone(),
            service: intent.service.clone(),
            task_definition: intent.task_definition.clone(),
            force_new_deployment: intent.force_new_deployment,
        };
        let (service, receipt) = cloud.update_service(&update).await?;
        let updated = match intent.still_holds(service.primary.as_deref()) {
            true => Updated::Nothing,
            false => Updated::Began(
                service
                    .current
                    .filter(|current| !intent.known.contains(current)),
            ),
        };
        Ok((updated, receipt.request_id))
    }

    /// The service's PRIMARY deployment and its latest service deployment now; `None` when ECS deploys no such service.
    async fn service_of_intent(
        &self,
        cloud: &dyn Cloud,
        intent: &UpdateIntent,
    ) -> Result<(Option<String>, Option<String>), StepError> {
        let names = [intent.service.clone()];
        let read = cloud.ecs_services_named(&intent.cluster, &names).await?;
        let ecs = read.first().and_then(|service| service.controller.ecs());
        Ok(ecs.map_or((None, None), |ecs| {
            (ecs.primary.clone(), ecs.current.clone())
        }))
    }

    /// Why the plan behind an UpdateService does not hold any more, asked just before the call.
    pub(super) async fn overtaken(
        &self,
        cloud: &dyn Cloud,
        intent: &UpdateIntent,
    ) -> Result<Option<String>, StepError> {
        let (primary, _) = self.service_of_intent(cloud, intent).await?;
        Ok(match primary {
            _ if intent.still_holds(primary.as_deref()) => None,
            Some(primary) => Some(format!(
                "Since the plan was made, another deployment of {} began ({primary}). Nothing was changed. Read the plan again.",
                intent.service
            )),
            None => Some(format!(
                "ECS no longer deploys {}. Nothing was changed.",
                intent.service
            )),
        })
    }

    /// What AWS shows about an UpdateService that was called `waited` seconds ago.
    pub(super) async fn update_shown(
        &self,
        cloud: &dyn Cloud,
        record: &OperationRecord,
        intent: &UpdateIntent,
    ) -> Result<UpdateShown, StepError> {
        let called_at = record.called_at.unwrap_or(record.created_at);
        let waited = cloud.now().millis_since(called_at) / 1000;
        // From before the first of its calls, whichever of them had the effect.
        let since = record.created_at.plus_seconds(-LOOK_BACK_SECONDS);
        let mut ids = cloud
            .service_deployment_ids(&intent.cluster, &intent.service, Some(since))
            .await?;
        let (primary, current) = self.service_of_intent(cloud, intent).await?;
        ids.extend(current.filter(|current| !ids.contains(current)));
        ids.retain(|aws_id| !intent.known.contains(aws_id));
        let readings = match ids.is_empty() {
            true => Vec::new(),
            false => cloud.deployments(&ids).await?,
        };
        let listed: Vec<Listed> = readings.iter().map(listed).collect();
        Ok(intent.shown(primary.as_deref(), &listed, waited))
    }

    /// Whether a stop of a deployment of ECS had its effect: its status tells.
    pub(super) async fn stop_shown(
        &self,
        cloud: &dyn Cloud,
        record: &OperationRecord,
        aws_id: &str,
    ) -> Result<Shown, StepError> {
        let readings = cloud.deployments(&[aws_id.to_string()]).await?;
        let reading = readings.first().and_then(|one| one.reading.ecs.as_ref());
        let called_at = record.called_at.unwrap_or(record.created_at);
        let waited = cloud.now().millis_since(called_at) / 1000;
        Ok(match reading.map(|ecs| ecs.status) {
            Some(
                EcsStatus::RollbackRequested
                | EcsStatus::RollbackInProgress
                | EcsStatus::RollbackSuccessful
                | EcsStatus::RollbackFailed,
            ) => Shown::Effect(aws_id.to_string()),
            Some(EcsStatus::Successful) => Shown::Over(format!(
                "The deployment {aws_id} had succeeded before it could be stopped. Nothing was changed."
            )),
            Some(EcsStatus::StopRequested | EcsStatus::Stopped) => Shown::Over(format!(
                "The deployment {aws_id} was ended otherwise before it could be stopped with a rollback. Nothing was changed."
            )),
            // Sent again, it would be refused where the first has arrived in the meantime.
            Some(EcsStatus::Pending | EcsStatus::InProgress | EcsStatus::Unknown) | None
                if waited >= operation::LISTING_GRACE_SECONDS =>
            {
                Shown::NoEffect
            }
            Some(EcsStatus::Pending | EcsStatus::InProgress | EcsStatus::Unknown) | None => {
                Shown::TooEarly
            }
        })
    }

    /// The operation that has begun a deployment of ECS, or may have: one that AWS has not answered yet.
    pub(crate) async fn operation_behind(
        &self,
        service: &Service,
        reading: &DeploymentReading,
    ) -> Result<Option<OperationRecord>, StepError> {
        let operations = self
            .inner
            .store
            .operation_list_by_service(&service.id, LOOKED_THROUGH)
            .await?;
        Ok(operations.into_iter().find(|operation| {
            let Some(intent) = intent_of(operation) else {
                return false;
            };
            let unanswered = operation.aws_id.is_none()
                && matches!(
                    operation.state,
                    OperationState::Calling | OperationState::Unknown | OperationState::Submitted
                );
            let one = listed(reading);
            let since = operation.created_at.plus_seconds(-LOOK_BACK_SECONDS);
            operation.aws_id.as_ref() == Some(&reading.aws_id)
                || unanswered
                    && one.target.as_ref() == Some(&intent.task_definition)
                    && !intent.known.contains(&one.aws_id)
                    && reading.created_at >= since
        }))
    }

    /// An UpdateService that AWS accepted without telling the deployment's ARN: it is looked for.
    pub(super) async fn name_what_began(
        &self,
        record: &mut OperationRecord,
    ) -> Result<(), StepError> {
        let Some(intent) = intent_of(record) else {
            return Ok(());
        };
        let Some(service) = self.inner.store.service_fetch(&record.service_id).await? else {
            return Ok(());
        };
        let Some(cloud) = self.cloud_of(&service.account, &region_of(record)) else {
            return Ok(());
        };
        if let UpdateShown::Begun(aws_id, _) = self.update_shown(&*cloud, record, &intent).await? {
            record.aws_id = Some(aws_id);
            let mut tx = self.begin().await?;
            record.generation = tx.operation_update(record).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Whose the deployment is that an operation began: written into its record, and out of those that were taken for
    /// it before AWS had answered.
    pub(super) async fn attribute(
        &self,
        tx: &mut Tx,
        record: &OperationRecord,
        deployment: &DeploymentRecord,
    ) -> Result<(), StepError> {
        if intent_of(record).is_none() {
            return Ok(());
        }
        let query = DeploymentQuery {
            service: Some(record.service_id.clone()),
            limit: LOOKED_THROUGH,
            ..DeploymentQuery::default()
        };
        let mut listed = self.inner.store.deployment_list(&query).await?;
        listed
            .retain(|one| one.id == deployment.id || one.operation_id.as_ref() == Some(&record.id));
        for one in listed {
            let Some(mut one) = tx.deployment_fetch(&one.id).await? else {
                continue;
            };
            let before = one.clone();
            if one.id == deployment.id {
                one.initiator = record.actor.clone();
                one.reason = Some(record.reason.clone());
                one.operation_id = Some(record.id.clone());
                one.rollback_of = undone_by(record);
            } else {
                one.initiator = INITIATOR_NOT_TOLD.to_string();
                (one.reason, one.operation_id, one.rollback_of) = (None, None, None);
            }
            let doubt = one.id == deployment.id
                && record
                    .detail
                    .as_deref()
                    .is_some_and(|detail| detail.contains(WHOSE_IT_IS));
            if one == before && !doubt {
                continue;
            }
            let now = self.clock();
            if one != before {
                tx.deployment_update(&one).await?;
                tx.change_append("deployment", one.id.as_str(), Some(&one.id), now)
                    .await?;
            }
            let text = match (one.id == deployment.id, doubt) {
                (true, false) => format!("Begun by {}: “{}”", record.actor, record.reason),
                (true, true) => format!(
                    "Taken for the one that {} asked for: “{}”. {WHOSE_IT_IS}",
                    record.actor, record.reason
                ),
                (false, _) => format!(
                    "Not the one that {} asked for, as AWS's answer shows.",
                    record.actor
                ),
            };
            watch::append(
                tx,
                &one.id,
                now,
                "operation",
                text,
                Some("switchback"),
                Value::Null,
            )
            .await?;
        }
        Ok(())
    }
}

/// The intended UpdateService of an operation that redeploys a service of ECS.
pub(super) fn intent_of(record: &OperationRecord) -> Option<UpdateIntent> {
    if record.kind != OperationKind::Redeploy {
        return None;
    }
    let call = serde_json::from_value::<OperationCall>(record.call.clone()).ok()?;
    call.update
}

fn region_of(record: &OperationRecord) -> String {
    record.call["region"]
        .as_str()
        .unwrap_or_default()
        .to_string()
}

/// The deployment that an operation undoes.
pub(crate) fn undone_by(record: &OperationRecord) -> Option<DeploymentId> {
    record.call["undoes"].as_str().map(DeploymentId::new)
}

fn listed(reading: &DeploymentReading) -> Listed {
    Listed {
        aws_id: reading.aws_id.clone(),
        created_at: reading.created_at.millis(),
        target: reading
            .reading
            .ecs
            .as_ref()
            .and_then(|ecs| ecs.target.revision.clone()),
    }
}
