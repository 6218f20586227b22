//! Applications, deployment groups, deployment configurations, revisions and tags.
//!
//! Exceptions: \[M\]. Verbatim texts: the refused ready option \[O\], the missing CODE_DEPLOY controller \[K\]; the
//! others are our own. Our choice: a group without `blueGreenDeploymentConfiguration` terminates
//! blue at once and does not wait for anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::{Application, CodeDeploy, Config, Group, Revision, Routing, appspec};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ecs::{Controller, ServiceStatus};
use crate::world::ids;
use crate::world::read::{put, tags, tags_value, text, texts};
use crate::world::region::Region;

const LIST_PAGE: usize = 100;
const ALARMS: usize = 10;
const ROLLBACK_EVENTS: [&str; 3] = [
    "DEPLOYMENT_FAILURE",
    "DEPLOYMENT_STOP_ON_ALARM",
    "DEPLOYMENT_STOP_ON_REQUEST",
];

pub(super) fn refuse(code: &str, message: impl Into<String>) -> AwsError {
    AwsError::caller(&format!("{code}Exception"), message)
}

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

/// A name by which something is found: 1 to 100 of the allowed characters.
pub(super) fn name<'a>(
    input: &'a Value,
    member: &str,
    missing: &str,
    invalid: &str,
) -> Result<&'a str, AwsError> {
    let given = text(input, member)
        .ok_or_else(|| refuse(missing, format!("{member} must be specified")))?;
    let proper = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if given.len() > 100 || !given.chars().all(proper) {
        return Err(refuse(
            invalid,
            format!("The {member} '{given}' is not valid"),
        ));
    }
    Ok(given)
}

pub(super) fn application_name(input: &Value) -> Result<&str, AwsError> {
    name(
        input,
        "applicationName",
        "ApplicationNameRequired",
        "InvalidApplicationName",
    )
}

pub(super) fn group_name<'a>(input: &'a Value, member: &str) -> Result<&'a str, AwsError> {
    name(
        input,
        member,
        "DeploymentGroupNameRequired",
        "InvalidDeploymentGroupName",
    )
}

pub(super) fn no_application(application: &str) -> AwsError {
    refuse(
        "ApplicationDoesNotExist",
        format!("No application found for name: {application}"),
    )
}

pub(super) fn no_group(group: &str) -> AwsError {
    refuse(
        "DeploymentGroupDoesNotExist",
        format!("No Deployment Group found for name: {group}"),
    )
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
    /// One CodeDeploy operation.
    pub(crate) fn call_codedeploy(
        &mut self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        match operation {
            "CreateApplication" => self.create_application(input),
            "GetApplication" => {
                let name = application_name(input)?;
                Ok(structure! { "application": self.application_value(name)? })
            }
            "BatchGetApplications" => self.batch_get_applications(input),
            "ListApplications" => {
                let names = self.codedeploy.applications.keys().cloned().collect();
                let (names, next) = self.codedeploy_page(names, input)?;
                Ok(structure! { "applications": names, "nextToken": next })
            }
            "UpdateApplication" => self.update_application(input),
            "DeleteApplication" => self.delete_application(input),
            "CreateDeploymentGroup" => self.create_deployment_group(input),
            "UpdateDeploymentGroup" => self.update_deployment_group(input),
            "GetDeploymentGroup" => {
                let (application, group) = self.named_group(input)?;
                Ok(structure! { "deploymentGroupInfo": self.group_value(application, group) })
            }
            "BatchGetDeploymentGroups" => self.batch_get_deployment_groups(input),
            "ListDeploymentGroups" => {
                let name = application_name(input)?;
                let application = self.application(name)?;
                let groups = application.groups.keys().cloned().collect();
                let (groups, next) = self.codedeploy_page(groups, input)?;
                Ok(structure! {
                    "applicationName": name,
                    "deploymentGroups": groups,
                    "nextToken": next,
                })
            }
            "DeleteDeploymentGroup" => self.delete_deployment_group(input),
            "CreateDeploymentConfig" => self.create_deployment_config(input),
            "GetDeploymentConfig" => self.get_deployment_config(input),
            "ListDeploymentConfigs" => {
                let names = self.codedeploy.configs.keys().cloned().collect();
                let (names, next) = self.codedeploy_page(names, input)?;
                Ok(structure! { "deploymentConfigsList": names, "nextToken": next })
            }
            "DeleteDeploymentConfig" => self.delete_deployment_config(input),
            "RegisterApplicationRevision" => self.register_application_revision(input),
            "GetApplicationRevision" => self.get_application_revision(input),
            "BatchGetApplicationRevisions" => self.batch_get_application_revisions(input),
            "ListApplicationRevisions" => self.list_application_revisions(input),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.codedeploy_tags(operation, input)
            }
            _ => self.call_deployments(operation, input),
        }
    }

    pub(super) fn codedeploy_page(
        &self,
        names: Vec<String>,
        input: &Value,
    ) -> Result<(Value, Option<String>), AwsError> {
        let size = self.page_limit.min(LIST_PAGE);
        let (page, next) = ids::page(names, text(input, "nextToken"), size, String::as_str)
            .ok_or_else(|| refuse("InvalidNextToken", "The next token is not valid"))?;
        Ok((
            Value::List(page.into_iter().map(Value::Text).collect()),
            next,
        ))
    }

    // ---- applications

    pub(super) fn application(&self, name: &str) -> Result<&Application, AwsError> {
        self.codedeploy
            .applications
            .get(name)
            .ok_or_else(|| no_application(name))
    }

    fn create_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?.to_string();
        match text(input, "computePlatform") {
            Some("ECS") => {}
            other => {
                return Err(refuse(
                    "InvalidComputePlatform",
                    format!(
                        "Only the compute platform ECS is simulated, not {}",
                        other.unwrap_or("Server (the default)")
                    ),
                ));
            }
        }
        if self.codedeploy.applications.contains_key(&name) {
            return Err(refuse(
                "ApplicationAlreadyExists",
                format!("An application with name '{name}' already exists"),
            ));
        }
        let id = ids::uuid(&mut self.rng);
        let application = Application {
            id: id.clone(),
            created_at: self.now,
            tags: tags(input.get("tags")),
            groups: BTreeMap::new(),
            revisions: BTreeMap::new(),
        };
        self.codedeploy.applications.insert(name, application);
        Ok(structure! { "applicationId": id })
    }

    fn application_value(&self, name: &str) -> Result<Value, AwsError> {
        let application = self.application(name)?;
        Ok(structure! {
            "applicationId": application.id.as_str(),
            "applicationName": name,
            "createTime": Value::Time(application.created_at),
            "linkedToGitHub": false,
            "computePlatform": "ECS",
        })
    }

    fn batch_get_applications(&self, input: &Value) -> Result<Value, AwsError> {
        let names = texts(input, "applicationNames");
        if names.is_empty() {
            return Err(refuse(
                "ApplicationNameRequired",
                "applicationNames must be specified",
            ));
        }
        if names.len() > 100 {
            return Err(refuse(
                "BatchLimitExceeded",
                "At most 100 applications can be asked for",
            ));
        }
        let infos = names
            .iter()
            .map(|name| self.application_value(name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(structure! { "applicationsInfo": infos })
    }

    fn update_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let old = application_name(input)?.to_string();
        self.application(&old)?;
        let new = name(
            input,
            "newApplicationName",
            "ApplicationNameRequired",
            "InvalidApplicationName",
        )?;
        if self.codedeploy.applications.contains_key(new) {
            return Err(refuse(
                "ApplicationAlreadyExists",
                format!("An application with name '{new}' already exists"),
            ));
        }
        if let Some(application) = self.codedeploy.applications.remove(&old) {
            self.codedeploy
                .applications
                .insert(new.to_string(), application);
        }
        for deployment in &mut self.codedeploy.deployments {
            if deployment.application == old {
                deployment.application = new.to_string();
            }
        }
        Ok(Value::map())
    }

    fn delete_application(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        self.codedeploy.applications.remove(name);
        Ok(Value::map())
    }

    // ---- deployment groups

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

    fn check_config(&self, name: &str) -> Result<(), AwsError> {
        if self.codedeploy.configs.contains_key(name) {
            return Ok(());
        }
        Err(refuse(
            "DeploymentConfigDoesNotExist",
            format!("No Deployment Configuration found for name: {name}"),
        ))
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
        for trigger in settings.get("triggerConfigurations").as_list() {
            if text(trigger, "triggerName").is_none() || text(trigger, "triggerTargetArn").is_none()
            {
                return Err(refuse(
                    "InvalidTriggerConfig",
                    "A trigger must have a name and a target",
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

    fn create_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
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
        self.check_config(config)?;
        let settings = settings(&Value::map(), input);
        self.check_settings(&settings)?;
        let service = self.check_ecs_service(input, &application, &group)?;
        let id = ids::uuid(&mut self.rng);
        let created = Group {
            id: id.clone(),
            config: config.to_string(),
            role,
            settings,
            service,
            tags: tags(input.get("tags")),
            last_attempted: None,
            last_successful: None,
            target_revision: None,
        };
        if let Some(owner) = self.codedeploy.applications.get_mut(&application) {
            owner.groups.insert(group, created);
        }
        Ok(structure! { "deploymentGroupId": id })
    }

    fn update_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
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
            self.check_config(config)?;
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

    fn delete_deployment_group(&mut self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?;
        let group = group_name(input, "deploymentGroupName")?;
        if let Some(owner) = self.codedeploy.applications.get_mut(application) {
            owner.groups.remove(group);
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

    fn group_value(&self, application: &str, name: &str) -> Value {
        let Some(group) = self.codedeploy.group(application, name) else {
            return Value::Null;
        };
        let (cluster, service) = &group.service;
        let target = group
            .target_revision
            .as_deref()
            .map(|sha256| CodeDeploy::revision_value(sha256, None));
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

    fn batch_get_deployment_groups(&self, input: &Value) -> Result<Value, AwsError> {
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

    // ---- deployment configurations

    fn create_deployment_config(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?
        .to_string();
        if name.starts_with("CodeDeployDefault.") {
            return Err(refuse(
                "InvalidDeploymentConfigName",
                "A deployment configuration name cannot start with 'CodeDeployDefault.'",
            ));
        }
        if self.codedeploy.configs.contains_key(&name) {
            return Err(refuse(
                "DeploymentConfigAlreadyExists",
                format!("A Deployment Configuration with name '{name}' already exists"),
            ));
        }
        if text(input, "computePlatform") != Some("ECS") {
            return Err(refuse(
                "InvalidComputePlatform",
                "Only the compute platform ECS is simulated",
            ));
        }
        let routing = routing(input.get("trafficRoutingConfig"))?;
        let custom = self
            .codedeploy
            .configs
            .values()
            .filter(|config| config.id.is_some())
            .count();
        if custom >= 200 {
            return Err(refuse(
                "DeploymentConfigLimitExceeded",
                "The deployment configurations limit was exceeded",
            ));
        }
        let id = ids::uuid(&mut self.rng);
        let config = Config {
            id: Some(id.clone()),
            created_at: self.now,
            routing,
        };
        self.codedeploy.configs.insert(name, config);
        Ok(structure! { "deploymentConfigId": id })
    }

    fn get_deployment_config(&self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?;
        self.check_config(name)?;
        let Some(config) = self.codedeploy.configs.get(name) else {
            return Ok(Value::map());
        };
        let routing = match config.routing {
            Routing::AllAtOnce => structure! { "type": "AllAtOnce" },
            Routing::Canary(percent, minutes) => structure! {
                "type": "TimeBasedCanary",
                "timeBasedCanary": structure! {
                    "canaryPercentage": percent,
                    "canaryInterval": minutes,
                },
            },
            Routing::Linear(percent, minutes) => structure! {
                "type": "TimeBasedLinear",
                "timeBasedLinear": structure! {
                    "linearPercentage": percent,
                    "linearInterval": minutes,
                },
            },
        };
        Ok(structure! {
            "deploymentConfigInfo": structure! {
                "deploymentConfigId": config.id.clone(),
                "deploymentConfigName": name,
                "createTime": Value::Time(config.created_at),
                "computePlatform": "ECS",
                "trafficRoutingConfig": routing,
            },
        })
    }

    fn delete_deployment_config(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = name(
            input,
            "deploymentConfigName",
            "DeploymentConfigNameRequired",
            "InvalidDeploymentConfigName",
        )?;
        if name.starts_with("CodeDeployDefault.") {
            return Err(refuse(
                "InvalidOperation",
                "A predefined deployment configuration cannot be deleted",
            ));
        }
        let used = self
            .codedeploy
            .applications
            .values()
            .flat_map(|application| application.groups.values())
            .any(|group| group.config == name);
        if used {
            return Err(refuse(
                "DeploymentConfigInUse",
                format!("The deployment configuration {name} is still in use"),
            ));
        }
        self.codedeploy.configs.remove(name);
        Ok(Value::map())
    }

    // ---- revisions

    /// The SHA-256 of the revision a request means, its content having been registered with the application.
    pub(super) fn revision(
        &mut self,
        application: &str,
        revision: &Value,
        description: Option<String>,
    ) -> Result<String, AwsError> {
        let (sha256, content) = read_revision(revision)?;
        let now = self.now;
        let owner = self
            .codedeploy
            .applications
            .get_mut(application)
            .ok_or_else(|| no_application(application))?;
        match (owner.revisions.get_mut(&sha256), content) {
            (Some(known), _) => {
                if description.is_some() {
                    known.description = description;
                }
            }
            (None, Some(content)) => {
                let revision = Revision {
                    content,
                    description,
                    registered_at: now,
                    first_used: None,
                    last_used: None,
                    groups: BTreeSet::new(),
                };
                owner.revisions.insert(sha256.clone(), revision);
            }
            (None, None) => return Err(no_revision()),
        }
        Ok(sha256)
    }

    pub(super) fn revision_content(&self, application: &str, sha256: &str) -> Option<&str> {
        let application = self.codedeploy.applications.get(application)?;
        application
            .revisions
            .get(sha256)
            .map(|revision| revision.content.as_str())
    }

    pub(super) fn note_revision_used(&mut self, application: &str, sha256: &str, group: &str) {
        let now = self.now;
        let revision = self
            .codedeploy
            .applications
            .get_mut(application)
            .and_then(|application| application.revisions.get_mut(sha256));
        if let Some(revision) = revision {
            revision.first_used.get_or_insert(now);
            revision.last_used = Some(now);
            revision.groups.insert(group.to_string());
        }
    }

    fn register_application_revision(&mut self, input: &Value) -> Result<Value, AwsError> {
        let application = application_name(input)?.to_string();
        self.application(&application)?;
        let description = text(input, "description").map(str::to_string);
        check_description(description.as_deref())?;
        self.revision(&application, input.get("revision"), description)?;
        Ok(Value::map())
    }

    fn revision_info(revision: &Revision) -> Value {
        let groups = revision
            .groups
            .iter()
            .map(|group| Value::from(group.as_str()))
            .collect();
        structure! {
            "description": revision.description.clone(),
            "deploymentGroups": Value::List(groups),
            "firstUsedTime": revision.first_used.map(Value::Time),
            "lastUsedTime": revision.last_used.map(Value::Time),
            "registerTime": Value::Time(revision.registered_at),
        }
    }

    fn get_application_revision(&self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        let application = self.application(name)?;
        let (sha256, _) = read_revision(input.get("revision"))?;
        let revision = application.revisions.get(&sha256).ok_or_else(no_revision)?;
        Ok(structure! {
            "applicationName": name,
            "revision": CodeDeploy::revision_value(&sha256, Some(&revision.content)),
            "revisionInfo": Region::revision_info(revision),
        })
    }

    fn batch_get_application_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        let application = self.application(name)?;
        let asked = input.get("revisions").as_list();
        if asked.is_empty() {
            return Err(refuse("RevisionRequired", "revisions must be specified"));
        }
        if asked.len() > 25 {
            return Err(refuse(
                "BatchLimitExceeded",
                "At most 25 revisions can be asked for",
            ));
        }
        let (mut found, mut missing) = (Vec::new(), false);
        for one in asked {
            let (sha256, _) = read_revision(one)?;
            match application.revisions.get(&sha256) {
                Some(revision) => found.push(structure! {
                    "revisionLocation": CodeDeploy::revision_value(&sha256, Some(&revision.content)),
                    "genericRevisionInfo": Region::revision_info(revision),
                }),
                None => missing = true,
            }
        }
        Ok(structure! {
            "applicationName": name,
            "errorMessage": missing.then_some("One or more revisions do not exist"),
            "revisions": found,
        })
    }

    fn list_application_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let application = self.application(application_name(input)?)?;
        let sort_by = text(input, "sortBy").unwrap_or("registerTime");
        if !["registerTime", "firstUsedTime", "lastUsedTime"].contains(&sort_by) {
            return Err(refuse(
                "InvalidSortBy",
                format!("'{sort_by}' cannot be sorted by"),
            ));
        }
        let order = text(input, "sortOrder").unwrap_or("ascending");
        if !["ascending", "descending"].contains(&order) {
            return Err(refuse(
                "InvalidSortOrder",
                format!("'{order}' is not a sort order"),
            ));
        }
        let deployed = text(input, "deployed").unwrap_or("ignore");
        if !["include", "exclude", "ignore"].contains(&deployed) {
            return Err(refuse(
                "InvalidDeployedStateFilter",
                format!("'{deployed}' is not a deployed state"),
            ));
        }
        let mut found: Vec<(&String, &Revision)> = application
            .revisions
            .iter()
            .filter(|(sha256, _)| {
                let is_target = application
                    .groups
                    .values()
                    .any(|group| group.target_revision.as_ref() == Some(sha256));
                deployed == "ignore" || is_target == (deployed == "include")
            })
            .collect();
        found.sort_by_key(|(sha256, revision)| {
            let at = match sort_by {
                "firstUsedTime" => revision.first_used.unwrap_or_default(),
                "lastUsedTime" => revision.last_used.unwrap_or_default(),
                _ => revision.registered_at,
            };
            (at, (*sha256).clone())
        });
        if order == "descending" {
            found.reverse();
        }
        let names = found
            .into_iter()
            .map(|(sha256, _)| sha256.clone())
            .collect();
        let (page, next) = self.codedeploy_page(names, input)?;
        let revisions = page
            .as_list()
            .iter()
            .filter_map(|sha256| Some(CodeDeploy::revision_value(sha256.as_str()?, None)))
            .collect::<Vec<_>>();
        Ok(structure! { "revisions": revisions, "nextToken": next })
    }

    // ---- tags

    fn codedeploy_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arn = text(input, "ResourceArn")
            .ok_or_else(|| refuse("ResourceArnRequired", "ResourceArn must be specified"))?;
        let prefix = self.arn("codedeploy", "");
        let resource = arn
            .strip_prefix(&prefix)
            .ok_or_else(|| refuse("InvalidArn", "The specified ARN is not in a valid format"))?;
        let own = if let Some(name) = resource.strip_prefix("application:") {
            self.codedeploy
                .applications
                .get_mut(name)
                .map(|application| &mut application.tags)
                .ok_or_else(|| no_application(name))?
        } else if let Some(path) = resource.strip_prefix("deploymentgroup:") {
            let (application, group) = path
                .split_once('/')
                .or_else(|| path.split_once(':'))
                .ok_or_else(|| {
                    refuse("InvalidArn", "The specified ARN is not in a valid format")
                })?;
            self.codedeploy
                .group_mut(application, group)
                .map(|group| &mut group.tags)
                .ok_or_else(|| no_group(group))?
        } else {
            return Err(refuse(
                "ArnNotSupported",
                "Tags are kept for applications and deployment groups only",
            ));
        };
        match operation {
            "TagResource" => own.extend(tags(input.get("Tags"))),
            "UntagResource" => {
                for key in texts(input, "TagKeys") {
                    own.remove(&key);
                }
            }
            _ => return Ok(structure! { "Tags": tags_value(own, "Key", "Value") }),
        }
        Ok(Value::map())
    }
}

pub(super) fn check_description(description: Option<&str>) -> Result<(), AwsError> {
    // The documented limit is 256; the texts of AWS's own action are cut at 512 \[O\], which AWS accepts.
    if description.is_some_and(|text| text.chars().count() > 512) {
        return Err(refuse("DescriptionTooLong", "The description is too long"));
    }
    Ok(())
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

fn routing(config: &Value) -> Result<Routing, AwsError> {
    let refuse = |message: &str| refuse("InvalidTrafficRoutingConfiguration", message);
    let number = |member: &str, key: &str| config.get(member).get(key).as_i64();
    let (first, routing) = match text(config, "type") {
        Some("AllAtOnce") => return Ok(Routing::AllAtOnce),
        Some("TimeBasedCanary") => {
            let percent = number("timeBasedCanary", "canaryPercentage");
            let minutes = number("timeBasedCanary", "canaryInterval");
            match (percent, minutes) {
                (Some(percent), Some(minutes)) => (percent, Routing::Canary(percent, minutes)),
                _ => return Err(refuse("timeBasedCanary needs a percentage and an interval")),
            }
        }
        Some("TimeBasedLinear") => {
            let percent = number("timeBasedLinear", "linearPercentage");
            let minutes = number("timeBasedLinear", "linearInterval");
            match (percent, minutes) {
                (Some(percent), Some(minutes)) => (percent, Routing::Linear(percent, minutes)),
                _ => return Err(refuse("timeBasedLinear needs a percentage and an interval")),
            }
        }
        _ => {
            return Err(refuse(
                "The traffic routing type must be AllAtOnce, TimeBasedCanary or TimeBasedLinear",
            ));
        }
    };
    if !(1..=99).contains(&first) {
        return Err(refuse("The percentage must be between 1 and 99"));
    }
    let steps = (0..100)
        .find(|step| routing.percent_after(*step) == 100)
        .unwrap_or(100);
    let minutes = routing.interval_ms() / 60_000;
    if minutes < 1 || minutes * steps > 2880 {
        return Err(refuse(
            "The interval must be at least 1 minute, and all traffic must shift within 2880 minutes",
        ));
    }
    Ok(routing)
}

fn no_revision() -> AwsError {
    refuse(
        "RevisionDoesNotExist",
        "The specified revision does not exist",
    )
}

/// The SHA-256 and, if given, the content of a revision in a request.
fn read_revision(revision: &Value) -> Result<(String, Option<String>), AwsError> {
    let invalid = |message: String| refuse("InvalidRevision", message);
    if revision.is_null() {
        return Err(refuse("RevisionRequired", "revision must be specified"));
    }
    match text(revision, "revisionType") {
        Some("AppSpecContent") => {}
        Some("S3") => {
            return Err(invalid(
                "Revisions in S3 are not simulated; send the AppSpec as AppSpecContent".to_string(),
            ));
        }
        Some(other) => {
            return Err(invalid(format!(
                "For the ECS compute platform the revision type must be S3 or AppSpecContent, not {other}"
            )));
        }
        None => return Err(invalid("revisionType must be specified".to_string())),
    }
    let spec = revision.get("appSpecContent");
    let given = text(spec, "sha256");
    match text(spec, "content") {
        Some(content) => {
            let sha256 = appspec::sha256(content);
            if given.is_some_and(|given| given != sha256) {
                return Err(invalid(
                    "The SHA256 of the AppSpec content does not match".to_string(),
                ));
            }
            Ok((sha256, Some(content.to_string())))
        }
        None => match given {
            Some(given) => Ok((given.to_string(), None)),
            None => Err(invalid(
                "appSpecContent must have content or sha256".to_string(),
            )),
        },
    }
}
