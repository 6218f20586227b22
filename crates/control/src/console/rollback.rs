//! Rollbacks: the facts of a plan, the plan, and the intent.

use crate::console::Desk;
use crate::console::deciding::gate_closed;
use crate::console::deciding::mark_request;
use crate::console::operation_in_progress;
use crate::error::step_refusal;
use crate::error::store_refusal;
use crate::evidence;
use crate::gates;
use crate::operations;
use crate::operations::NewDeploymentCall;
use crate::operations::OperationCall;
use crate::views;
use serde_json::json;
use std::time::Duration;
use switchback_contract::PlanView;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::RequestMark;
use switchback_domain::actor::Actor;
use switchback_domain::appspec;
use switchback_domain::deployment::Outcome;
use switchback_domain::gate::GateState;
use switchback_domain::gate::Verdict;
use switchback_domain::ids::OperationId;
use switchback_domain::moment::Moment;
use switchback_domain::operation;
use switchback_domain::operation::OperationKind;
use switchback_domain::operation::OperationState;
use switchback_domain::operation::update_service::UpdateIntent;
use switchback_domain::plan;
use switchback_domain::plan::Plan;
use switchback_domain::plan::PlanFacts;
use switchback_domain::plan::ServiceSight;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Controller;
use switchback_domain::service::Service;
use switchback_store::records::DecisionRecord;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::GateRecord;
use switchback_store::records::OperationRecord;

/// How far back an intent names the deployments of a service of ECS that are recorded, in seconds: further than it is
/// looked for what began since.
const KNOWN_SECONDS: i64 = 3600;

/// How long a plan waits for AWS about the revision's status before it says "unchecked".
const PREFLIGHT_PATIENCE: Duration = Duration::from_secs(3);

impl Desk {
    /// The revision a rollback's target names: an ARN, `FAMILY:NUMBER` of a recorded one, or `previous`.
    pub(super) async fn target(
        &self,
        service: &Service,
        history: &[DeploymentRecord],
        text: &str,
    ) -> Result<RevisionArn, Refusal> {
        if text == "previous" {
            let active = history.iter().find(|record| {
                record.standing.outcome == Outcome::InProgress
                    && record.reading.rolls_back.is_none()
            });
            let found = match active {
                Some(active) => active.previous_revision.clone(),
                // A deployment of ECS failed without a rollback: what serves is where it goes back to.
                None if service
                    .serving_revision
                    .as_ref()
                    .is_some_and(|serving| service.controller.is_left_elsewhere(serving)) =>
                {
                    service.serving_revision.clone()
                }
                None => history
                    .iter()
                    .filter(|record| {
                        record.standing.outcome == Outcome::Succeeded
                            && record.target_revision == service.serving_revision
                    })
                    .find_map(|record| {
                        record
                            .previous_revision
                            .clone()
                            .filter(|previous| Some(previous) != record.target_revision.as_ref())
                    }),
            };
            return found.ok_or_else(|| {
                Refusal::new(
                    RefusalKind::Invalid,
                    "previous_unknown",
                    format!(
                        "What served {} before is not recorded. Name a revision.",
                        service.name
                    ),
                )
            });
        }
        if let Ok(arn) = RevisionArn::parse(text) {
            return Ok(arn);
        }
        let revisions = self
            .store()
            .revision_list(&service.id)
            .await
            .map_err(store_refusal)?;
        revisions.into_iter().map(|revision| revision.arn).find(|arn| arn.short() == text).ok_or_else(|| {
            Refusal::new(
                RefusalKind::Invalid,
                "target_unknown",
                format!("{text} is not a recorded revision of {}. Use its ARN, FAMILY:NUMBER, or previous.", service.name),
            )
        })
    }

    pub(super) async fn facts(
        &self,
        service: &Service,
        history: &[DeploymentRecord],
        target: &RevisionArn,
    ) -> Result<PlanFacts, Refusal> {
        let active = match history
            .iter()
            .find(|record| record.standing.outcome == Outcome::InProgress)
        {
            Some(record) => {
                let gates = self
                    .store()
                    .gate_list_by_deployment(&record.id)
                    .await
                    .map_err(store_refusal)?;
                Some(views::active(record, &gates))
            }
            None => None,
        };
        let recorded = self
            .store()
            .revision_list(&service.id)
            .await
            .map_err(store_refusal)?;
        let mut revision = recorded
            .into_iter()
            .find(|revision| &revision.arn == target);
        if let Some(revision) = &mut revision {
            // Whether AWS would still run it is asked now; the recorded JSON stays what it was.
            let asked = match self.control.cloud_of(&service.account, &service.region) {
                Some(cloud) => tokio::time::timeout(PREFLIGHT_PATIENCE, cloud.revision(target))
                    .await
                    .ok(),
                // It is not watched any more, or has yet to answer for the first time.
                None => None,
            };
            revision.status = match asked {
                Some(Ok(Some(current))) => current.status,
                Some(Ok(None)) => RevisionStatus::Inactive,
                Some(Err(_)) | None => RevisionStatus::Unknown,
            };
        }
        let own = history
            .iter()
            .filter(|record| {
                record.target_revision.as_ref() == Some(target)
                    && record.standing.outcome == Outcome::Succeeded
            })
            .find_map(|record| record.app_spec.clone());
        let (app_spec, app_spec_is_its_own) = match own {
            Some(text) => (Some(text), true),
            None => (borrowed_app_spec(history, target), false),
        };
        let (service, sight) = self.service_now(service).await;
        let firing_alarms = self.firing_alarms(&service).await;
        Ok(PlanFacts {
            service,
            sight,
            active,
            target: revision,
            target_arn: target.clone(),
            app_spec,
            app_spec_is_its_own,
            was_rolled_back: history.iter().any(|record| {
                record.target_revision.as_ref() == Some(target)
                    && record.reading.rolls_back.is_none()
                    && views::was_undone(record)
            }),
            past_seconds: history
                .iter()
                .filter_map(views::seconds_to_full_traffic)
                .collect(),
            firing_alarms,
        })
    }

    /// A service of ECS as AWS shows it now, if it does so in time: somebody may move it without Switchback, and how far
    /// its deployments are recorded is told by comparing the two.
    async fn service_now(&self, service: &Service) -> (Service, ServiceSight) {
        let recorded = || (service.clone(), ServiceSight::Recorded);
        let (Some(ecs), Some(cloud)) = (
            service.controller.ecs(),
            self.control.cloud_of(&service.account, &service.region),
        ) else {
            return recorded();
        };
        let names = [service.name.clone()];
        let read = cloud.ecs_services_named(&service.cluster, &names);
        let read = match tokio::time::timeout(PREFLIGHT_PATIENCE, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) | Err(_) => return recorded(),
        };
        let Some(now) = read.into_iter().next() else {
            return (service.clone(), ServiceSight::Gone);
        };
        let mut controller = now.controller;
        if let Controller::Ecs(now) = &mut controller {
            now.recorded_primary = ecs.recorded_primary.clone();
        }
        let service = Service {
            controller,
            serving_revision: now.serving.or_else(|| service.serving_revision.clone()),
            desired_count: now.desired_count,
            running_count: now.running_count,
            ..service.clone()
        };
        (service, ServiceSight::Read)
    }

    /// The group's alarms that fire now; `None` when AWS does not say in time.
    async fn firing_alarms(&self, service: &Service) -> Option<Vec<String>> {
        let names = service.controller.alarms();
        if names.is_empty() {
            return Some(Vec::new());
        }
        let cloud = self.control.cloud_of(&service.account, &service.region)?;
        let read = tokio::time::timeout(PREFLIGHT_PATIENCE, cloud.alarms(names)).await;
        let mut firing: Vec<String> = read
            .ok()?
            .ok()?
            .into_iter()
            .filter(|alarm| alarm.state == "ALARM")
            .map(|alarm| alarm.name)
            .collect();
        firing.sort();
        Some(firing)
    }

    pub(super) async fn make_plan(
        &self,
        service: &Service,
        history: &[DeploymentRecord],
        target: &RevisionArn,
    ) -> Result<(Plan, PlanFacts), Refusal> {
        let facts = self.facts(service, history, target).await?;
        let plan = plan::plan(&facts).map_err(|refused| {
            let (kind, code) = match &refused {
                plan::PlanRefused::UnknownRevision(_) => (RefusalKind::Invalid, "target_unknown"),
                plan::PlanRefused::AlreadyServing(_) => (RefusalKind::Conflict, "already_serving"),
                plan::PlanRefused::NoAppSpec => (RefusalKind::Conflict, "no_app_spec"),
            };
            Refusal::new(kind, code, refused.to_string())
        })?;
        Ok((plan, facts))
    }

    pub(super) async fn plan_view(
        &self,
        plan: &Plan,
        facts: &PlanFacts,
    ) -> Result<PlanView, Refusal> {
        let from = match plan.kind {
            OperationKind::Redeploy => facts.service.serving_revision.clone(),
            OperationKind::EndBake => None,
            OperationKind::RejectAtGate | OperationKind::StopInFlight => facts
                .active
                .as_ref()
                .and_then(|active| active.target.clone()),
        };
        let difference = self.difference(from.as_ref(), Some(&plan.target)).await?;
        Ok(views::plan(
            plan,
            facts,
            self.now(),
            from.as_ref(),
            difference,
        ))
    }

    pub(super) async fn commit_rollback(
        &self,
        actor: &Actor,
        service: &Service,
        plan: &Plan,
        facts: &PlanFacts,
        reason: &str,
        request: Option<&RequestMark>,
    ) -> Result<OperationRecord, Refusal> {
        let now = self.now();
        let id = OperationId::from_random((self.control.inner.random)());
        let history = self.history(service).await?;
        let undoes = match plan.kind {
            OperationKind::Redeploy => undone(&history, facts).map(|record| record.id.to_string()),
            OperationKind::RejectAtGate | OperationKind::StopInFlight | OperationKind::EndBake => {
                None
            }
        };
        let redeploys = plan.kind == OperationKind::Redeploy;
        let update = facts
            .service
            .controller
            .ecs()
            .filter(|_| redeploys)
            .map(|ecs| UpdateIntent {
                cluster: service.cluster.clone(),
                service: service.name.clone(),
                task_definition: plan.target.clone(),
                force_new_deployment: plan::forces_new_deployment(facts, ecs),
                primary: ecs.primary.clone(),
                known: history
                    .iter()
                    .filter(|record| now.millis_since(record.started_at) <= KNOWN_SECONDS * 1000)
                    .map(|record| record.aws_id.clone())
                    .chain(ecs.current.clone())
                    .collect(),
            });
        let call = OperationCall {
            region: service.region.clone(),
            deployment_aws_id: facts
                .active
                .as_ref()
                .map(|active| active.aws_id.clone())
                .filter(|_| plan.kind != OperationKind::Redeploy),
            new: service
                .controller
                .group()
                .filter(|_| redeploys)
                .map(|group| NewDeploymentCall {
                    application: group.application.clone(),
                    group: group.group.clone(),
                    config_name: group.config_name.clone(),
                    description: operation::description(&id, reason),
                    app_spec: facts.app_spec.clone().unwrap_or_default(),
                }),
            update,
            undoes,
        };
        let mut record = OperationRecord {
            id,
            kind: plan.kind,
            service_id: service.id.clone(),
            deployment_id: plan.deployment.clone(),
            target_revision: Some(plan.target.clone()),
            actor: actor.name.clone(),
            reason: reason.to_string(),
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
        if self.unsettled(service, plan).await? {
            return Err(operation_in_progress());
        }
        let mut tx = self.store().begin().await.map_err(store_refusal)?;
        mark_request(&mut tx, actor, request, record.id.as_str(), now).await?;
        if let (OperationKind::RejectAtGate, Some(gate_id)) = (plan.kind, &plan.gate) {
            // The decision is the effect: the reconciler of verdicts delivers it.
            record.state = OperationState::Submitted;
            let mut gate = tx
                .gate_fetch(gate_id)
                .await
                .map_err(store_refusal)?
                .filter(|gate| gate.state == GateState::Open)
                .ok_or_else(gate_closed)?;
            let deployment = tx
                .deployment_fetch(&gate.deployment_id)
                .await
                .map_err(store_refusal)?
                .ok_or_else(|| Refusal::not_found("deployment", gate.deployment_id.as_str()))?;
            let decision = self
                .decision(
                    actor,
                    &gate,
                    &deployment,
                    Verdict::Reject,
                    Some(reason.to_string()),
                    now,
                )
                .await?;
            gates::record_decision(&mut tx, actor, &mut gate, &deployment, decision, 0)
                .await
                .map_err(step_refusal)?;
        }
        operations::record_intent(&mut tx, actor, &record, plan.digest.clone(), now)
            .await
            .map_err(|error| match error {
                crate::error::StepError::Store(switchback_store::StoreError::Conflict {
                    ..
                }) => operation_in_progress(),
                other => step_refusal(other),
            })?;
        tx.commit().await.map_err(store_refusal)?;
        self.control.inner.wake_acts.notify_one();
        Ok(record)
    }

    /// Whether AWS has accepted an operation that the record does not show yet, so that the plan is not the whole truth:
    /// a redeployment that is not recorded, or a stop or rejection of the same deployment.
    pub(super) async fn unsettled(&self, service: &Service, plan: &Plan) -> Result<bool, Refusal> {
        let operations = self
            .store()
            .operation_list_by_service(&service.id, 10)
            .await
            .map_err(store_refusal)?;
        Ok(operations.iter().any(|operation| {
            let unseen = match operation.kind {
                OperationKind::Redeploy => operation.deployment_id.is_none(),
                OperationKind::StopInFlight
                | OperationKind::RejectAtGate
                | OperationKind::EndBake => operation.deployment_id == plan.deployment,
            };
            operation.state == OperationState::Submitted && unseen
        }))
    }

    pub(super) async fn decision(
        &self,
        actor: &Actor,
        gate: &GateRecord,
        record: &DeploymentRecord,
        verdict: Verdict,
        reason: Option<String>,
        at: Moment,
    ) -> Result<DecisionRecord, Refusal> {
        let basis = evidence::basis(record, &gate.wait, &gate.policy);
        let latest = self.latest_minutes(std::slice::from_ref(record)).await?;
        let latest = latest.get(&record.id).map_or(&[][..], Vec::as_slice);
        Ok(DecisionRecord {
            gate_id: gate.id.clone(),
            actor: actor.name.clone(),
            verdict,
            reason,
            evidence_digest: basis.digest(),
            evidence: evidence::frozen(record, &basis, latest),
            at,
        })
    }
}

/// The deployment that a redeployment undoes: the one that brought what serves, or, where that is where it goes back
/// to, the one that failed and left its task definition in the service.
fn undone<'a>(history: &'a [DeploymentRecord], facts: &PlanFacts) -> Option<&'a DeploymentRecord> {
    let serving = facts.service.serving_revision.as_ref();
    if serving == Some(&facts.target_arn) {
        let named = facts.service.controller.ecs()?.task_definition.as_ref()?;
        return history.iter().find(|record| {
            record.target_revision.as_ref() == Some(named) && named != &facts.target_arn
        });
    }
    history.iter().find(|record| {
        record.standing.outcome == Outcome::Succeeded && record.target_revision.as_ref() == serving
    })
}

/// The AppSpec of another deployment of the service with the revision put in: the newest that succeeded, else the newest
/// that can be read.
fn borrowed_app_spec(history: &[DeploymentRecord], target: &RevisionArn) -> Option<String> {
    let with_target = |record: &DeploymentRecord| {
        let text = record.app_spec.as_deref()?;
        appspec::parse(text).ok()?;
        appspec::with_task_definition(text, target).ok()
    };
    history
        .iter()
        .filter(|record| record.standing.outcome == Outcome::Succeeded)
        .find_map(with_target)
        .or_else(|| history.iter().find_map(with_target))
}
