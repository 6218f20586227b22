//! CreateDeployment: what is checked before a deployment exists.
//!
//! * Exceptions: \[M\]. Verbatim texts: the group that has an active deployment \[O\], the missing revision \[O\];
//!   the others are our own. Limits: \[D\].
//! * What CodeDeploy finds out only later (a task definition that is inactive, an AppSpec that is not
//!   in its bucket) fails the deployment, not the call: \[O\].

use super::engine::{CREATED_MS, lifecycle};
use super::operations::{check_description, name, no_group, refuse};
use super::revisions::{Location, read_revision};
use super::{Deployment, Side, Stage, Status, appspec, groups};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ecs::{Controller, Service, ServiceStatus};
use crate::world::read::text;
use crate::world::region::Region;

/// Deployments that may be under way in one account and region at once \[D\].
const ACTIVE_DEPLOYMENTS: usize = 1000;

/// Checks the members that belong to the request alone.
fn check_request(input: &Value) -> Result<(), AwsError> {
    check_description(text(input, "description"))?;
    if input.get("revision").is_null() {
        return Err(refuse(
            "RevisionRequired",
            "RevisionLocation must be specified",
        ));
    }
    groups::check_alarms(input.get("overrideAlarmConfiguration"))?;
    groups::check_auto_rollback(input.get("autoRollbackConfiguration"))?;
    if !input.get("targetInstances").is_null() {
        return Err(refuse(
            "InvalidTargetInstances",
            "targetInstances cannot be specified for the ECS compute platform",
        ));
    }
    if input.get("updateOutdatedInstancesOnly").as_bool() == Some(true) {
        return Err(refuse(
            "InvalidUpdateOutdatedInstancesOnlyValue",
            "updateOutdatedInstancesOnly cannot be set for the ECS compute platform",
        ));
    }
    if !input.get("ec2DeploymentOptions").is_null() {
        return Err(refuse(
            "InvalidInput",
            "ec2DeploymentOptions cannot be specified for the ECS compute platform",
        ));
    }
    if let Some(behaviour) = text(input, "fileExistsBehavior")
        && !["DISALLOW", "OVERWRITE", "RETAIN"].contains(&behaviour)
    {
        return Err(refuse(
            "InvalidFileExistsBehavior",
            format!("'{behaviour}' is not a file exists behavior"),
        ));
    }
    match text(input, "deploymentMode") {
        None | Some("STANDARD") => Ok(()),
        Some(mode) => Err(refuse(
            "InvalidComputePlatform",
            format!("The deployment mode {mode} is not supported for the ECS compute platform"),
        )),
    }
}

impl Region {
    /// CreateDeployment, once its group is known to exist.
    pub(super) fn start_deployment(
        &mut self,
        application: &str,
        group_name: &str,
        input: &Value,
    ) -> Result<String, AwsError> {
        check_request(input)?;
        let Some(group) = self.codedeploy.group(application, group_name).cloned() else {
            return Err(no_group(group_name));
        };
        let config = match text(input, "deploymentConfigName") {
            None => group.config.clone(),
            Some(_) => name(
                input,
                "deploymentConfigName",
                "InvalidDeploymentConfigName",
                "InvalidDeploymentConfigName",
            )?
            .to_string(),
        };
        let routing = self.routing_of(&config)?;
        let service = self.ecs.services.get(&group.service);
        let ours = |service: &Service| {
            service.status == ServiceStatus::Active && service.controller == Controller::CodeDeploy
        };
        if !service.is_some_and(ours) {
            let (cluster, name) = &group.service;
            return Err(refuse(
                "InvalidECSService",
                format!("The ECS service {cluster}:{name} does not exist or is not active."),
            ));
        }
        // The content is checked before it is registered: a refused call leaves nothing behind.
        if let (Location::AppSpecContent(_), Some(content)) = read_revision(input.get("revision"))?
        {
            appspec::parse(&content)?;
        }
        let (blue, green) = self.sides(&group.settings)?;
        if let Some(active) = self.codedeploy.active_deployment(application, group_name) {
            return Err(refuse(
                "DeploymentLimitExceeded",
                format!(
                    "The Deployment Group '{group_name}' already has an active Deployment '{}'",
                    active.id
                ),
            ));
        }
        if self.codedeploy.active.len() >= ACTIVE_DEPLOYMENTS {
            return Err(refuse(
                "DeploymentLimitExceeded",
                format!("The account already has {ACTIVE_DEPLOYMENTS} active deployments"),
            ));
        }
        let revision = self.revision(application, input.get("revision"), None)?;
        self.note_revision_used(application, &revision, group_name);
        let pair = groups::pair(group.settings.get("loadBalancerInfo"));
        let test_listener = groups::listener(pair, "testTrafficRoute");
        let chosen = |member: &str, of_group: &str| match input.get(member) {
            Value::Null => group.settings.get(of_group).clone(),
            given => given.clone(),
        };
        let id = self.new_deployment_id();
        let deployment = Deployment {
            id: id.clone(),
            application: application.to_string(),
            group: group_name.to_string(),
            config,
            routing,
            revision: Some(revision),
            previous_revision: group.target_revision.clone(),
            // The functions are known when the AppSpec is read.
            events: lifecycle(test_listener.is_some(), &[]),
            spec: None,
            status: Status::Created,
            error: None,
            created_at: self.now,
            started_at: None,
            completed_at: None,
            description: text(input, "description").map(str::to_string),
            creator: "user",
            ignore_application_stop_failures: input
                .get("ignoreApplicationStopFailures")
                .as_bool()
                .unwrap_or(false),
            file_exists_behavior: text(input, "fileExistsBehavior")
                .unwrap_or("DISALLOW")
                .to_string(),
            auto_rollback: chosen("autoRollbackConfiguration", "autoRollbackConfiguration"),
            rollback_info: Value::Null,
            override_alarms: input.get("overrideAlarmConfiguration").clone(),
            alarms: chosen("overrideAlarmConfiguration", "alarmConfiguration"),
            blue_green: group
                .settings
                .get("blueGreenDeploymentConfiguration")
                .clone(),
            load_balancer_info: group.settings.get("loadBalancerInfo").clone(),
            style: group.settings.get("deploymentStyle").clone(),
            service: group.service.clone(),
            production_listener: groups::listener(pair, "prodTrafficRoute").unwrap_or_default(),
            test_listener,
            blue,
            green,
            stage: Stage::Starting,
            due: Some(self.now + CREATED_MS),
            alarm_check_due: None,
            stop_due: None,
            stop_was_requested: false,
            ready_passed: false,
            shift_step: 0,
            unsteady_since: None,
            termination_wait_started: false,
            updated_at: self.now,
            final_task_sets: None,
        };
        self.add_deployment(deployment);
        Ok(id)
    }

    /// The target group pair of a group, in the group's order.
    fn sides(&self, settings: &Value) -> Result<(Side, Side), AwsError> {
        let pair = groups::pair(settings.get("loadBalancerInfo"));
        let sides: Vec<Side> = pair
            .get("targetGroups")
            .as_list()
            .iter()
            .filter_map(|one| self.elb.target_group_by_name(text(one, "name")?))
            .map(|arn| Side {
                target_group: arn.to_string(),
                task_set: None,
            })
            .collect();
        match sides.as_slice() {
            [blue, green] => Ok((blue.clone(), green.clone())),
            _ => Err(refuse(
                "InvalidLoadBalancerInfo",
                "A target group of the pair does not exist",
            )),
        }
    }
}
