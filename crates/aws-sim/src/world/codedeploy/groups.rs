//! Deployment groups, and the settings that a deployment may override.
//!
//! Exceptions: \[M\]. Verbatim texts: the refused ready option \[O\], the missing CODE_DEPLOY controller \[K\]; the
//! others are our own. Our choice: a group without `blueGreenDeploymentConfiguration` terminates
//! blue at once and does not wait for anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::Group;
use super::operations::{application_name, group_name, no_group, refuse, with_tags};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ecs::{Controller, ServiceStatus};
use crate::world::ids;
use crate::world::read::{put, text, texts};
use crate::world::region::Region;

const ALARMS: usize = 10;
/// Deployment groups of an application \[D\].
const GROUPS: usize = 1000;
/// Triggers of a group \[D\].
const TRIGGERS: usize = 10;

const TRIGGER_EVENTS: [&str; 10] = [
    "DeploymentStart",
    "DeploymentSuccess",
    "DeploymentFailure",
    "DeploymentStop",
    "DeploymentRollback",
    "DeploymentReady",
    "InstanceStart",
    "InstanceSuccess",
    "InstanceFailure",
    "InstanceReady",
];

const ROLLBACK_EVENTS: [&str; 3] = [
    "DEPLOYMENT_FAILURE",
    "DEPLOYMENT_STOP_ON_ALARM",
    "DEPLOYMENT_STOP_ON_REQUEST",
];

/// The one pair of target groups of a `loadBalancerInfo`.
pub(super) fn pair(info: &Value) -> &Value {
    info.get("targetGroupPairInfoList")
        .as_list()
        .first()
        .unwrap_or(&Value::Null)
}

/// The one listener of a route of a pair.
pub(super) fn listener(pair: &Value, route: &str) -> Option<String> {
    pair.get(route)
        .get("listenerArns")
        .as_list()
        .first()?
        .as_str()
        .map(str::to_string)
}

pub(super) fn check_alarms(configuration: &Value) -> Result<(), AwsError> {
    let alarms = configuration.get("alarms").as_list();
    if alarms.len() > ALARMS {
        return Err(refuse(
            "AlarmsLimitExceeded",
            format!("The maximum number of alarms for a deployment group ({ALARMS}) was exceeded"),
        ));
    }
    let mut names = BTreeSet::new();
    for alarm in alarms {
        match text(alarm, "name") {
            Some(name) if name.len() <= 255 && names.insert(name) => {}
            _ => {
                return Err(refuse(
                    "InvalidAlarmConfig",
                    "Every alarm must have a name of at most 255 characters, and no name twice",
                ));
            }
        }
    }
    if configuration.get("enabled").as_bool() == Some(true) && alarms.is_empty() {
        return Err(refuse(
            "InvalidAlarmConfig",
            "The alarm configuration is enabled, but the list of alarms is empty",
        ));
    }
    Ok(())
}

pub(super) fn check_auto_rollback(configuration: &Value) -> Result<(), AwsError> {
    let events = texts(configuration, "events");
    if let Some(event) = events
        .iter()
        .find(|event| !ROLLBACK_EVENTS.contains(&event.as_str()))
    {
        return Err(refuse(
            "InvalidAutoRollbackConfig",
            format!("'{event}' is not an auto rollback event"),
        ));
    }
    if configuration.get("enabled").as_bool() == Some(true) && events.is_empty() {
        return Err(refuse(
            "InvalidAutoRollbackConfig",
            "Automatic rollback is enabled, but no events are specified",
        ));
    }
    Ok(())
}

fn check_blue_green(configuration: &Value) -> Result<(), AwsError> {
    let refuse = |message: String| refuse("InvalidBlueGreenDeploymentConfiguration", message);
    let ready = configuration.get("deploymentReadyOption");
    let wait = ready.get("waitTimeInMinutes").as_i64().unwrap_or_default();
    match text(ready, "actionOnTimeout") {
        None | Some("CONTINUE_DEPLOYMENT") if wait != 0 => {
            return Err(refuse(
                "Deployment ready action cannot be set to 'CONTINUE_DEPLOYMENT' when timeout is specified"
                    .to_string(),
            ));
        }
        None | Some("CONTINUE_DEPLOYMENT" | "STOP_DEPLOYMENT") => {}
        Some(other) => {
            return Err(refuse(format!(
                "'{other}' is not a deployment ready action"
            )));
        }
    }
    if !(0..=7200).contains(&wait) {
        return Err(refuse(
            "waitTimeInMinutes must be between 0 and 7200".to_string(),
        ));
    }
    let terminate = configuration.get("terminateBlueInstancesOnDeploymentSuccess");
    match text(terminate, "action") {
        None | Some("TERMINATE" | "KEEP_ALIVE") => {}
        Some(other) => {
            return Err(refuse(format!(
                "'{other}' is not an action for the original task set"
            )));
        }
    }
    let minutes = terminate
        .get("terminationWaitTimeInMinutes")
        .as_i64()
        .unwrap_or_default();
    if !(0..=2880).contains(&minutes) {
        return Err(refuse(
            "terminationWaitTimeInMinutes must be between 0 and 2880".to_string(),
        ));
    }
    if !configuration.get("greenFleetProvisioningOption").is_null() {
        return Err(refuse(
            "greenFleetProvisioningOption cannot be specified for the ECS compute platform"
                .to_string(),
        ));
    }
    Ok(())
}

impl Region {
    /// Application and group of a request, both of which exist.
    pub(super) fn named_group<'a>(&self, input: &'a Value) -> Result<(&'a str, &'a str), AwsError> {
        let application = application_name(input)?;
        self.application(application)?;
        let group = group_name(input, "deploymentGroupName")?;
        if self.codedeploy.group(application, group).is_none() {
            return Err(no_group(group));
        }
        Ok((application, group))
    }

    fn check_ecs_service(
        &self,
        input: &Value,
        application: &str,
        group: &str,
    ) -> Result<(String, String), AwsError> {
        let [service] = input.get("ecsServices").as_list() else {
            return Err(refuse(
                "InvalidECSService",
                "For an ECS deployment group, exactly one ECS service must be specified",
            ));
        };
        let (Some(cluster), Some(name)) =
            (text(service, "clusterName"), text(service, "serviceName"))
        else {
            return Err(refuse(
                "InvalidECSService",
                "The cluster and service name must be specified",
            ));
        };
        let key = (cluster.to_string(), name.to_string());
        let found = self.ecs.services.get(&key);
        match found {
            Some(found) if found.status == ServiceStatus::Active => {
                if found.controller != Controller::CodeDeploy {
                    return Err(refuse(
                        "InvalidECSService",
                        "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.",
                    ));
                }
            }
            _ => {
                return Err(refuse(
                    "InvalidECSService",
                    format!("The ECS service {cluster}:{name} does not exist or is not active."),
                ));
            }
        }
        let other = self
            .codedeploy
            .applications
            .iter()
            .find_map(|(owner, found)| {
                found
                    .groups
                    .iter()
                    .find(|(name, found)| {
                        found.service == key
                            && (owner.as_str(), name.as_str()) != (application, group)
                    })
                    .map(|(name, _)| name)
            });
        if let Some(other) = other {
            return Err(refuse(
                "ECSServiceMappingLimitExceeded",
                format!(
                    "The ECS service {cluster}:{name} is already associated with the deployment group {other}."
                ),
            ));
        }
        Ok(key)
    }

    fn check_load_balancer_info(&self, info: &Value) -> Result<(), AwsError> {
        if !info.get("elbInfoList").is_null() || !info.get("targetGroupInfoList").is_null() {
            return Err(refuse(
                "InvalidLoadBalancerInfo",
                "For the ECS compute platform, only targetGroupPairInfoList can be specified",
            ));
        }
        let [pair] = info.get("targetGroupPairInfoList").as_list() else {
            return Err(refuse(
                "InvalidLoadBalancerInfo",
                "For the ECS compute platform, exactly one target group pair must be specified",
            ));
        };
        let names: Vec<&str> = pair
            .get("targetGroups")
            .as_list()
            .iter()
            .filter_map(|group| text(group, "name"))
            .collect();
        match names.as_slice() {
            [first, second] if first != second => {}
            _ => {
                return Err(refuse(
                    "InvalidTargetGroupPair",
                    "A target group pair must have two different target groups",
                ));
            }
        }
        for name in names {
            if self.elb.target_group_by_name(name).is_none() {
                return Err(refuse(
                    "InvalidTargetGroupPair",
                    format!("The target group {name} does not exist"),
                ));
            }
        }
        for (route, needed) in [("prodTrafficRoute", true), ("testTrafficRoute", false)] {
            let arns = texts(pair.get(route), "listenerArns");
            match arns.as_slice() {
                [] if !needed => {}
                [arn] => {
                    if !self.elb.listeners.contains_key(arn) {
                        return Err(refuse(
                            "InvalidLoadBalancerInfo",
                            format!("The listener {arn} of {route} does not exist"),
                        ));
                    }
                }
                _ => {
                    return Err(refuse(
                        "InvalidLoadBalancerInfo",
                        format!("{route} must have exactly one listener"),
                    ));
                }
            }
        }
        if listener(pair, "prodTrafficRoute") == listener(pair, "testTrafficRoute") {
            return Err(refuse(
                "InvalidLoadBalancerInfo",
                "The production and the test listener must be different",
            ));
        }
        Ok(())
    }

    /// Checks the members of a group that are kept as they are.
    fn check_settings(&self, settings: &Value) -> Result<(), AwsError> {
        let style = settings.get("deploymentStyle");
        let blue_green = text(style, "deploymentType") == Some("BLUE_GREEN");
        if !blue_green || text(style, "deploymentOption") != Some("WITH_TRAFFIC_CONTROL") {
            return Err(refuse(
                "InvalidDeploymentStyle",
                "For the ECS compute platform, the deployment type must be BLUE_GREEN and the option WITH_TRAFFIC_CONTROL",
            ));
        }
        check_alarms(settings.get("alarmConfiguration"))?;
        check_auto_rollback(settings.get("autoRollbackConfiguration"))?;
        check_blue_green(settings.get("blueGreenDeploymentConfiguration"))?;
        self.check_load_balancer_info(settings.get("loadBalancerInfo"))?;
        if !matches!(
            text(settings, "outdatedInstancesStrategy"),
            None | Some("UPDATE" | "IGNORE")
        ) {
            return Err(refuse(
                "InvalidInput",
                "outdatedInstancesStrategy must be UPDATE or IGNORE",
            ));
        }
        let triggers = settings.get("triggerConfigurations").as_list();
        if triggers.len() > TRIGGERS {
            return Err(refuse(
                "TriggerTargetsLimitExceeded",
                format!("A deployment group has at most {TRIGGERS} triggers"),
            ));
        }
        for trigger in triggers {
            let events = texts(trigger, "triggerEvents");
            let lawful = text(trigger, "triggerName").is_some()
                && text(trigger, "triggerTargetArn").is_some_and(|arn| arn.starts_with("arn:"))
                && !events.is_empty()
                && events
                    .iter()
                    .all(|event| TRIGGER_EVENTS.contains(&event.as_str()));
            if !lawful {
                return Err(refuse(
                    "InvalidTriggerConfig",
                    "A trigger must have a name, the ARN of a target and the events it is for",
                ));
            }
        }
        Ok(())
    }

    fn refuse_server_members(input: &Value) -> Result<(), AwsError> {
        let members = [
            "ec2TagFilters",
            "onPremisesInstanceTagFilters",
            "autoScalingGroups",
            "ec2TagSet",
            "onPremisesTagSet",
            "ec2DeploymentOptions",
        ];
        for member in members {
            let value = input.get(member);
            if !value.is_null() && !matches!(value, Value::List(list) if list.is_empty()) {
                return Err(refuse(
                    "InvalidInput",
                    format!("{member} cannot be specified for the ECS compute platform"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn create_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?.to_string();
        self.application(&application)?;
        let group = group_name(input, "deploymentGroupName")?.to_string();
        if self.codedeploy.group(&application, &group).is_some() {
            return Err(refuse(
                "DeploymentGroupAlreadyExists",
                format!(
                    "A Deployment Group with name '{group}' already exists for application {application}"
                ),
            ));
        }
        let role = check_role(input)?;
        Region::refuse_server_members(input)?;
        let config =
            text(input, "deploymentConfigName").unwrap_or("CodeDeployDefault.ECSAllAtOnce");
        self.routing_of(config)?;
        let settings = settings(&Value::map(), input);
        self.check_settings(&settings)?;
        let service = self.check_ecs_service(input, &application, &group)?;
        if self.application(&application)?.groups.len() >= GROUPS {
            return Err(refuse(
                "DeploymentGroupLimitExceeded",
                format!("An application has at most {GROUPS} deployment groups"),
            ));
        }
        let tags = with_tags(&BTreeMap::new(), input.get("tags"))?;
        let id = ids::uuid(&mut self.rng);
        let created = Group {
            id: id.clone(),
            config: config.to_string(),
            role,
            settings,
            service,
            tags,
            last_attempted: None,
            last_successful: None,
            target_revision: None,
        };
        if let Some(owner) = self.codedeploy.applications.get_mut(&application) {
            owner.groups.insert(group, created);
            self.codedeploy.groups_changed = true;
        }
        Ok(structure! { "deploymentGroupId": id })
    }

    pub(super) fn update_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?.to_string();
        self.application(&application)?;
        let old = group_name(input, "currentDeploymentGroupName")?.to_string();
        let mut group = self
            .codedeploy
            .group(&application, &old)
            .ok_or_else(|| no_group(&old))?
            .clone();
        let new = match text(input, "newDeploymentGroupName") {
            None => old.clone(),
            Some(_) => group_name(input, "newDeploymentGroupName")?.to_string(),
        };
        if new != old && self.codedeploy.group(&application, &new).is_some() {
            return Err(refuse(
                "DeploymentGroupAlreadyExists",
                format!(
                    "A Deployment Group with name '{new}' already exists for application {application}"
                ),
            ));
        }
        Region::refuse_server_members(input)?;
        if !input.get("serviceRoleArn").is_null() {
            group.role = check_role(input)?;
        }
        if let Some(config) = text(input, "deploymentConfigName") {
            self.routing_of(config)?;
            group.config = config.to_string();
        }
        group.settings = settings(&group.settings, input);
        self.check_settings(&group.settings)?;
        if !input.get("ecsServices").is_null() {
            group.service = self.check_ecs_service(input, &application, &old)?;
        }
        if let Some(owner) = self.codedeploy.applications.get_mut(&application) {
            owner.groups.remove(&old);
            owner.groups.insert(new.clone(), group);
            self.codedeploy.groups_changed = true;
        }
        if new != old {
            for deployment in &mut self.codedeploy.deployments {
                if deployment.application == application && deployment.group == old {
                    deployment.group = new.clone();
                }
            }
        }
        Ok(structure! { "hooksNotCleanedUp": Vec::<Value>::new() })
    }

    pub(super) fn delete_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?;
        let group = group_name(input, "deploymentGroupName")?;
        if let Some(owner) = self.codedeploy.applications.get_mut(application) {
            owner.groups.remove(group);
            self.codedeploy.groups_changed = true;
        }
        Ok(structure! { "hooksNotCleanedUp": Vec::<Value>::new() })
    }

    fn last_deployment(&self, index: Option<usize>) -> Value {
        let Some(deployment) = index.and_then(|index| self.codedeploy.deployments.get(index))
        else {
            return Value::Null;
        };
        structure! {
            "deploymentId": deployment.id.as_str(),
            "status": deployment.status.name(),
            "createTime": Value::Time(deployment.created_at),
            "endTime": deployment.completed_at.map(Value::Time),
        }
    }

    pub(super) fn group_value(&self, application: &str, name: &str) -> Value {
        let Some(group) = self.codedeploy.group(application, name) else {
            return Value::Null;
        };
        let (cluster, service) = &group.service;
        let target = group
            .target_revision
            .as_ref()
            .map(|location| location.value(None));
        let mut value = group.settings.clone();
        for key in [
            "ec2TagFilters",
            "onPremisesInstanceTagFilters",
            "autoScalingGroups",
            "triggerConfigurations",
        ] {
            crate::world::read::default(&mut value, key, Vec::<Value>::new());
        }
        value
            .with("applicationName", application)
            .with("deploymentGroupId", group.id.as_str())
            .with("deploymentGroupName", name)
            .with("deploymentConfigName", group.config.as_str())
            .with("serviceRoleArn", group.role.as_str())
            .with("computePlatform", "ECS")
            .with(
                "ecsServices",
                vec![
                    structure! { "serviceName": service.as_str(), "clusterName": cluster.as_str() },
                ],
            )
            .with("targetRevision", target)
            .with(
                "lastAttemptedDeployment",
                self.last_deployment(group.last_attempted),
            )
            .with(
                "lastSuccessfulDeployment",
                self.last_deployment(group.last_successful),
            )
    }

    pub(super) fn batch_get_deployment_groups(&self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?;
        self.application(application)?;
        let names = texts(input, "deploymentGroupNames");
        if names.is_empty() {
            return Err(refuse(
                "DeploymentGroupNameRequired",
                "deploymentGroupNames must be specified",
            ));
        }
        if names.len() > 100 {
            return Err(refuse(
                "BatchLimitExceeded",
                "At most 100 groups can be asked for",
            ));
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            if self.codedeploy.group(application, &name).is_some() {
                found.push(self.group_value(application, &name));
            } else {
                missing.push(name);
            }
        }
        let message = (!missing.is_empty())
            .then(|| format!("No Deployment Group found for name: {}", missing.join(", ")));
        Ok(structure! { "deploymentGroupsInfo": found, "errorMessage": message })
    }
}

fn check_role(input: &Value) -> Result<String, AwsError> {
    let role = text(input, "serviceRoleArn")
        .ok_or_else(|| refuse("RoleRequired", "serviceRoleArn must be specified"))?;
    if !role.starts_with("arn:") || !role.contains(":role/") {
        return Err(refuse(
            "InvalidRole",
            format!("'{role}' is not the ARN of a role"),
        ));
    }
    Ok(role.to_string())
}

fn settings(current: &Value, input: &Value) -> Value {
    let members = [
        "triggerConfigurations",
        "alarmConfiguration",
        "autoRollbackConfiguration",
        "outdatedInstancesStrategy",
        "deploymentStyle",
        "blueGreenDeploymentConfiguration",
        "loadBalancerInfo",
        "terminationHookEnabled",
    ];
    let mut settings = current.clone();
    for member in members {
        if !input.get(member).is_null() {
            put(&mut settings, member, input.get(member).clone());
        }
    }
    settings
}
