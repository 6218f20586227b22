//! The CodeDeploy operations on deployments.
//!
//! Exceptions: \[M\]. Our choice: lists have pages of 100, newest first; a second StopDeployment for one that a
//! stop has ended answers `Succeeded`, as the documentation says of later calls.

use super::engine::{STOP_MS, event_value, reported_failed, rolls_back_on_request};
use super::operations::{application_name, group_name, no_application, no_group, refuse};
use super::revisions::Location;
use super::{Deployment, EventStatus, Stage, Status};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{default, text, texts};
use crate::world::region::Region;

const BATCH: usize = 25;
const STATUSES: [&str; 8] = [
    "Created",
    "Queued",
    "InProgress",
    "Baking",
    "Succeeded",
    "Failed",
    "Stopped",
    "Ready",
];

fn completed() -> AwsError {
    refuse(
        "DeploymentAlreadyCompleted",
        "The deployment is already complete.",
    )
}

impl Deployment {
    /// The hook that somebody could report about now, or that has not begun (then it has no
    /// `executionId`), with the moment at which the deployment fails without a report.
    fn waiting_hook(&self) -> Option<Value> {
        let Stage::Event(index) = self.stage else {
            return None;
        };
        let event = self.events.get(index)?;
        let function = event.function.as_deref()?;
        Some(structure! {
            "event": event.name,
            "function": function,
            "executionId": event.execution_id.clone(),
            "since": event.started_at.map(Value::Time),
            "failsAt": self.due.map(Value::Time),
        })
    }
}

impl Region {
    pub(super) fn call_deployments(
        &mut self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        match operation {
            "CreateDeployment" => {
                let (application, group) = self.named_group(input)?;
                let id = self.start_deployment(application, group, input)?;
                Ok(structure! { "deploymentId": id })
            }
            "GetDeployment" => {
                let deployment = self.named_deployment(input)?;
                Ok(structure! { "deploymentInfo": deployment_value(deployment) })
            }
            "BatchGetDeployments" => self.batch_get_deployments(input),
            "ListDeployments" => self.list_deployments(input),
            "ListDeploymentTargets" => self.list_deployment_targets(input),
            "GetDeploymentTarget" => {
                let deployment = self.started_deployment(input)?;
                let target = text(input, "targetId").ok_or_else(target_required)?;
                check_target(deployment, target)?;
                Ok(structure! { "deploymentTarget": self.target_value(deployment) })
            }
            "BatchGetDeploymentTargets" => self.batch_get_deployment_targets(input),
            "BatchGetDeploymentInstances" | "GetDeploymentInstance" | "ListDeploymentInstances" => {
                self.named_deployment(input)?;
                Err(refuse(
                    "InvalidComputePlatform",
                    "Deployments on the ECS compute platform have targets, not instances",
                ))
            }
            "SkipWaitTimeForInstanceTermination" => {
                let wait = input.clone().with("deploymentWaitType", "TERMINATION_WAIT");
                self.continue_deployment(&wait)
            }
            "StopDeployment" => self.stop_deployment(input),
            "ContinueDeployment" => self.continue_deployment(input),
            "PutLifecycleEventHookExecutionStatus" => self.put_hook_status(input),
            _ => Err(Region::unknown_operation("codedeploy", operation)),
        }
    }

    fn named_deployment(&self, input: &Value) -> Result<&Deployment, AwsError> {
        let id = text(input, "deploymentId")
            .ok_or_else(|| refuse("DeploymentIdRequired", "deploymentId must be specified"))?;
        check_id(id)?;
        self.codedeploy.deployment(id).ok_or_else(|| {
            refuse(
                "DeploymentDoesNotExist",
                format!("The deployment {id} could not be found"),
            )
        })
    }

    fn started_deployment(&self, input: &Value) -> Result<&Deployment, AwsError> {
        let deployment = self.named_deployment(input)?;
        if deployment.started_at.is_none() && deployment.status == Status::Created {
            return Err(refuse(
                "DeploymentNotStarted",
                format!("Deployment {} has not started", deployment.id),
            ));
        }
        Ok(deployment)
    }

    fn batch_get_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let asked = texts(input, "deploymentIds");
        if asked.is_empty() {
            return Err(refuse(
                "DeploymentIdRequired",
                "deploymentIds must be specified",
            ));
        }
        if asked.len() > BATCH {
            return Err(refuse(
                "BatchLimitExceeded",
                format!("At most {BATCH} deployments can be asked for"),
            ));
        }
        for id in &asked {
            check_id(id)?;
        }
        let found = asked
            .iter()
            .filter_map(|id| self.codedeploy.deployment(id))
            .map(deployment_value)
            .collect::<Vec<_>>();
        Ok(structure! { "deploymentsInfo": found })
    }

    fn list_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let application = text(input, "applicationName");
        let group = text(input, "deploymentGroupName");
        match (application, group) {
            (None, None) => {}
            (Some(_), None) => {
                return Err(refuse(
                    "DeploymentGroupNameRequired",
                    "deploymentGroupName must be specified together with applicationName",
                ));
            }
            (None, Some(_)) => {
                return Err(refuse(
                    "ApplicationNameRequired",
                    "applicationName must be specified together with deploymentGroupName",
                ));
            }
            (Some(_), Some(_)) => {
                let application = application_name(input)?;
                let group = group_name(input, "deploymentGroupName")?;
                let owner = self.codedeploy.applications.get(application);
                let owner = owner.ok_or_else(|| no_application(application))?;
                if !owner.groups.contains_key(group) {
                    return Err(no_group(group));
                }
            }
        }
        let statuses = texts(input, "includeOnlyStatuses");
        if let Some(wrong) = statuses
            .iter()
            .find(|one| !STATUSES.contains(&one.as_str()))
        {
            return Err(refuse(
                "InvalidDeploymentStatus",
                format!("'{wrong}' is not a deployment status"),
            ));
        }
        let range = input.get("createTimeRange");
        let (start, end) = (
            range.get("start").as_time_ms(),
            range.get("end").as_time_ms(),
        );
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(refuse(
                "InvalidTimeRange",
                "The start of the time range is after its end",
            ));
        }
        let found: Vec<String> = self
            .codedeploy
            .deployments
            .iter()
            .rev()
            .filter(|deployment| {
                // AWS forgets in time; a test makes it forget at once.
                self.codedeploy.deployment(&deployment.id).is_some()
                    && application.is_none_or(|name| deployment.application == name)
                    && group.is_none_or(|name| deployment.group == name)
                    && (statuses.is_empty()
                        || statuses.iter().any(|one| one == deployment.status.name()))
                    && start.is_none_or(|at| deployment.created_at >= at)
                    && end.is_none_or(|at| deployment.created_at <= at)
            })
            // Only deployments made by CloudFormation have an external id, and none is.
            .filter(|_| text(input, "externalId").is_none())
            .map(|deployment| deployment.id.clone())
            .collect();
        let (page, next) = self.codedeploy_page(found, input)?;
        Ok(structure! { "deployments": page, "nextToken": next })
    }

    fn list_deployment_targets(&self, input: &Value) -> Result<Value, AwsError> {
        let deployment = self.started_deployment(input)?;
        let mut targets = vec![target_id(deployment)];
        if let Some(filters) = input.get("targetFilters").as_map() {
            for (name, values) in filters {
                let wanted: Vec<&str> = values.as_list().iter().filter_map(Value::as_str).collect();
                match name.as_str() {
                    "TargetStatus" => {
                        if !wanted.contains(&target_status(deployment)) {
                            targets.clear();
                        }
                    }
                    "ServerInstanceLabel" => {}
                    _ => {
                        return Err(refuse(
                            "InvalidTargetFilterName",
                            format!("'{name}' is not a target filter"),
                        ));
                    }
                }
            }
        }
        let (page, next) = ids::page(targets, text(input, "nextToken"), 100, String::as_str)
            .ok_or_else(|| refuse("InvalidNextToken", "The next token is not valid"))?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "targetIds": page, "nextToken": next })
    }

    fn batch_get_deployment_targets(&self, input: &Value) -> Result<Value, AwsError> {
        let deployment = self.started_deployment(input)?;
        let asked = texts(input, "targetIds");
        if asked.is_empty() {
            return Err(target_required());
        }
        if asked.len() > BATCH {
            return Err(refuse(
                "DeploymentTargetListSizeExceeded",
                format!("At most {BATCH} targets can be asked for"),
            ));
        }
        let mut found = Vec::new();
        for target in &asked {
            check_target(deployment, target)?;
            found.push(self.target_value(deployment));
        }
        Ok(structure! { "deploymentTargets": found })
    }

    /// `taskSetsInfo`: the original and the replacement as they are now.
    pub(super) fn task_sets_info(&self, deployment: &Deployment) -> Value {
        let Some(service) = self.ecs.services.get(&deployment.service) else {
            return Value::List(Vec::new());
        };
        let pair = [
            deployment.blue.target_group.as_str(),
            deployment.green.target_group.as_str(),
        ];
        let mut infos = Vec::new();
        for (label, side) in [("Blue", &deployment.blue), ("Green", &deployment.green)] {
            let Some(unit) = side.task_set.as_deref().and_then(|id| service.unit(id)) else {
                continue;
            };
            let (running, pending) = service.counts(&unit.id);
            let share = self
                .elb
                .share(&deployment.production_listener, pair, &side.target_group);
            let name = self
                .elb
                .target_groups
                .get(&side.target_group)
                .map(|group| group.name.clone());
            infos.push(structure! {
                "identifer": unit.id.as_str(),
                "desiredCount": service.wanted(unit),
                "pendingCount": pending,
                "runningCount": running,
                "status": unit.status.name(),
                "trafficWeight": share.unwrap_or_default(),
                "targetGroup": structure! { "name": name },
                "taskSetLabel": label,
            });
        }
        Value::List(infos)
    }

    fn target_value(&self, deployment: &Deployment) -> Value {
        let (cluster, service) = &deployment.service;
        let events = deployment
            .events
            .iter()
            .map(event_value)
            .collect::<Vec<_>>();
        let task_sets = deployment
            .final_task_sets
            .clone()
            .unwrap_or_else(|| self.task_sets_info(deployment));
        structure! {
            "deploymentTargetType": "ECSTarget",
            "ecsTarget": structure! {
                "deploymentId": deployment.id.as_str(),
                "targetId": target_id(deployment),
                "targetArn": self.arn("ecs", &format!("service/{cluster}/{service}")),
                "lastUpdatedAt": Value::Time(deployment.updated_at),
                "lifecycleEvents": events,
                "status": target_status(deployment),
                "taskSetsInfo": task_sets,
            },
        }
    }

    fn stop_deployment(&mut self, input: &Value) -> Result<Value, AwsError> {
        let deployment = self.named_deployment(input)?;
        let (application, group) = (deployment.application.clone(), deployment.group.clone());
        let id = deployment.id.clone();
        if deployment.status.is_terminal() {
            if deployment.status == Status::Stopped && deployment.stop_was_requested {
                return Ok(structure! {
                    "status": "Succeeded",
                    "statusMessage": "The deployment has been stopped.",
                });
            }
            return Err(completed());
        }
        if self.codedeploy.group(&application, &group).is_none() {
            return Err(no_group(&group));
        }
        if deployment.creator == "codeDeployRollback" {
            return Err(refuse(
                "UnsupportedActionForDeploymentType",
                "A rollback deployment cannot be stopped",
            ));
        }
        if deployment.stage == Stage::CleaningUp {
            return Err(completed());
        }
        let rolls_back = input
            .get("autoRollbackEnabled")
            .as_bool()
            .unwrap_or_else(|| rolls_back_on_request(deployment));
        let now = self.now;
        if let Some(deployment) = self.codedeploy.deployment_mut(&id) {
            let at = deployment.stop_due.map_or(now + STOP_MS, |(at, _)| at);
            deployment.stop_due = Some((at, rolls_back));
            deployment.stop_was_requested = true;
        }
        Ok(structure! {
            "status": "Pending",
            "statusMessage": "The deployment is being stopped.",
        })
    }

    fn continue_deployment(&mut self, input: &Value) -> Result<Value, AwsError> {
        let deployment = self.named_deployment(input)?;
        let (id, status, stage) = (deployment.id.clone(), deployment.status, deployment.stage);
        let wait = text(input, "deploymentWaitType").unwrap_or("READY_WAIT");
        if !["READY_WAIT", "TERMINATION_WAIT"].contains(&wait) {
            return Err(refuse(
                "InvalidDeploymentWaitType",
                format!("'{wait}' is not a deployment wait type"),
            ));
        }
        if status.is_terminal() {
            return Err(completed());
        }
        let now = self.now;
        let Some(deployment) = self.codedeploy.deployment_mut(&id) else {
            return Ok(Value::map());
        };
        match (wait, stage) {
            ("READY_WAIT", Stage::ReadyWait) => {
                // The engine goes on with the event that was held back.
                let next = deployment
                    .events
                    .iter()
                    .position(|event| event.status == EventStatus::Pending)
                    .unwrap_or_default();
                deployment.ready_passed = true;
                deployment.status = Status::InProgress;
                deployment.updated_at = now;
                self.resume(&id, next);
            }
            ("READY_WAIT", _) => {
                return Err(refuse(
                    "DeploymentIsNotInReadyState",
                    "The deployment does not have a status of Ready and can't continue yet.",
                ));
            }
            (_, Stage::TerminationWait) => {
                deployment.due = Some(now);
            }
            _ => {
                return Err(refuse(
                    "InvalidDeploymentStatus",
                    "The deployment is not waiting for the termination of the original task set",
                ));
            }
        }
        Ok(Value::map())
    }

    fn put_hook_status(&mut self, input: &Value) -> Result<Value, AwsError> {
        let deployment_id = self.named_deployment(input)?.id.clone();
        let execution_id = text(input, "lifecycleEventHookExecutionId").ok_or_else(|| {
            refuse(
                "InvalidLifecycleEventHookExecutionId",
                "lifecycleEventHookExecutionId must be specified",
            )
        })?;
        let report = match text(input, "status") {
            Some("Succeeded") => Ok(()),
            Some("Failed") => Err(reported_failed()),
            _ => {
                return Err(refuse(
                    "InvalidLifecycleEventHookExecutionStatus",
                    "The status must be Succeeded or Failed",
                ));
            }
        };
        let event = self
            .codedeploy
            .deployment_mut(&deployment_id)
            .and_then(|deployment| {
                deployment
                    .events
                    .iter_mut()
                    .find(|event| event.execution_id.as_deref() == Some(execution_id))
            })
            .ok_or_else(|| {
                refuse(
                    "InvalidLifecycleEventHookExecutionId",
                    "The lifecycle event hook execution id is not valid for this deployment",
                )
            })?;
        if event.status != EventStatus::InProgress || event.report.is_some() {
            return Err(refuse(
                "LifecycleEventAlreadyCompleted",
                "An attempt to return the status of an already completed lifecycle event occurred.",
            ));
        }
        event.report = Some(report);
        Ok(structure! { "lifecycleEventHookExecutionId": execution_id })
    }
}

fn check_id(id: &str) -> Result<(), AwsError> {
    if ids::is_deployment_id(id) {
        return Ok(());
    }
    Err(refuse(
        "InvalidDeploymentId",
        format!("The deployment ID '{id}' is not in a valid format"),
    ))
}

fn target_required() -> AwsError {
    refuse(
        "DeploymentTargetIdRequired",
        "A deployment target ID was not provided.",
    )
}

fn check_target(deployment: &Deployment, target: &str) -> Result<(), AwsError> {
    if !target.contains(':') {
        return Err(refuse(
            "InvalidDeploymentTargetId",
            "The target ID provided was not valid.",
        ));
    }
    if target != target_id(deployment) {
        return Err(refuse(
            "DeploymentTargetDoesNotExist",
            "The provided target ID does not belong to the attempted deployment.",
        ));
    }
    Ok(())
}

fn target_id(deployment: &Deployment) -> String {
    format!("{}:{}", deployment.service.0, deployment.service.1)
}

fn target_status(deployment: &Deployment) -> &'static str {
    match deployment.status {
        Status::Created => "Pending",
        Status::InProgress => "InProgress",
        Status::Ready => "Ready",
        Status::Succeeded => "Succeeded",
        Status::Failed | Status::Stopped => "Failed",
    }
}

fn deployment_value(deployment: &Deployment) -> Value {
    let revision =
        |location: &Option<Location>| location.as_ref().map(|location| location.value(None));
    let overview = deployment.started_at.map(|_| {
        let mut counts = Value::map();
        for status in [
            "Pending",
            "InProgress",
            "Succeeded",
            "Failed",
            "Skipped",
            "Ready",
        ] {
            default(
                &mut counts,
                status,
                i64::from(status == target_status(deployment)),
            );
        }
        counts
    });
    let error = deployment
        .error
        .as_ref()
        .map(|(code, message)| structure! { "code": *code, "message": message.as_str() });
    structure! {
        "applicationName": deployment.application.as_str(),
        "deploymentGroupName": deployment.group.as_str(),
        "deploymentConfigName": deployment.config.as_str(),
        "deploymentId": deployment.id.as_str(),
        "previousRevision": revision(&deployment.previous_revision),
        "revision": revision(&deployment.revision),
        "status": deployment.status.name(),
        "errorInformation": error,
        "createTime": Value::Time(deployment.created_at),
        "startTime": deployment.started_at.map(Value::Time),
        "completeTime": deployment.completed_at.map(Value::Time),
        "deploymentOverview": overview,
        "description": deployment.description.clone(),
        "creator": deployment.creator,
        "ignoreApplicationStopFailures": deployment.ignore_application_stop_failures,
        "autoRollbackConfiguration": deployment.auto_rollback.clone(),
        "updateOutdatedInstancesOnly": false,
        "rollbackInfo": deployment.rollback_info.clone(),
        "deploymentStyle": deployment.style.clone(),
        "instanceTerminationWaitTimeStarted": deployment.termination_wait_started,
        "blueGreenDeploymentConfiguration": deployment.blue_green.clone(),
        "loadBalancerInfo": deployment.load_balancer_info.clone(),
        "fileExistsBehavior": deployment.file_exists_behavior.as_str(),
        "deploymentStatusMessages": Vec::<Value>::new(),
        "computePlatform": "ECS",
        "overrideAlarmConfiguration": deployment.override_alarms.clone(),
    }
}

impl Region {
    /// Every deployment that is not over, and the last few that are, for the control page.
    pub(crate) fn report_deployments(&self) -> Value {
        const SHOWN: usize = 20;
        let mut shown = 0;
        let deployments = self
            .codedeploy
            .deployments
            .iter()
            .rev()
            .filter(|deployment| {
                shown += usize::from(deployment.status.is_terminal());
                !deployment.status.is_terminal() || shown <= SHOWN
            })
            .map(|deployment| {
                let pending = deployment.waiting_hook().into_iter().collect::<Vec<_>>();
                let events = deployment
                    .events
                    .iter()
                    .map(event_value)
                    .collect::<Vec<_>>();
                structure! {
                    "deploymentId": deployment.id.as_str(),
                    "application": deployment.application.as_str(),
                    "group": deployment.group.as_str(),
                    "cluster": deployment.service.0.as_str(),
                    "service": deployment.service.1.as_str(),
                    "status": deployment.status.name(),
                    "creator": deployment.creator,
                    "lifecycleEvents": events,
                    "pendingHooks": pending,
                }
            })
            .collect::<Vec<_>>();
        Value::List(deployments)
    }
}
