//! Task definitions: families of numbered, immutable revisions.
//!
//! Members are kept and answered as given, with the members that AWS adds: \[M\]. The texts of refusals are
//! \[K\] except `TaskDefinition is inactive`, which is \[O\]. Our choice: a deregistered revision can be used
//! no longer at once, where AWS allows up to ten minutes.

use std::collections::BTreeSet;

use super::{Behaviour, TaskDefinition};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::Caller;
use crate::world::read::{default, put, tags, tags_value, text};
use crate::world::region::Region;

/// Limit of `maxResults` in the lists of task definitions.
const PAGE: i64 = 100;

pub(crate) fn client(message: impl Into<String>) -> AwsError {
    AwsError::caller("ClientException", message)
}

pub(crate) fn parameter(message: impl Into<String>) -> AwsError {
    AwsError::caller("InvalidParameterException", message)
}

impl TaskDefinition {
    fn describe(&self) -> Value {
        self.value
            .clone()
            .with("status", if self.active { "ACTIVE" } else { "INACTIVE" })
            .with("deregisteredAt", self.deregistered_at.map(Value::Time))
    }

    pub(crate) fn containers(&self) -> &[Value] {
        self.value.get("containerDefinitions").as_list()
    }
}

impl Region {
    /// The revision that `given` (ARN, `family:revision` or `family`) stands for, if it can be run.
    pub(crate) fn runnable_task_definition(
        &self,
        given: &str,
    ) -> Result<&TaskDefinition, AwsError> {
        let found = self.find_task_definition(given, "TaskDefinition not found.")?;
        if found.active {
            Ok(found)
        } else {
            Err(client("TaskDefinition is inactive"))
        }
    }

    fn find_task_definition(
        &self,
        given: &str,
        missing: &str,
    ) -> Result<&TaskDefinition, AwsError> {
        let name = if given.starts_with("arn:") {
            let prefix = self.arn("ecs", "task-definition/");
            given.strip_prefix(&prefix).ok_or_else(|| client(missing))?
        } else {
            given
        };
        match name.rsplit_once(':') {
            Some((family, revision)) => {
                let number = revision
                    .parse::<usize>()
                    .map_err(|_| client(format!("Invalid revision number. Number: {revision}")))?;
                number
                    .checked_sub(1)
                    .and_then(|index| self.ecs.families.get(family)?.get(index))
                    .ok_or_else(|| client(missing))
            }
            None => self
                .ecs
                .families
                .get(name)
                .and_then(|family| family.iter().rev().find(|definition| definition.active))
                .ok_or_else(|| client(missing)),
        }
    }

    pub(super) fn register_task_definition(
        &mut self,
        caller: &Caller,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let family = text(input, "family").ok_or_else(|| client("Family should not be blank."))?;
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if family.len() > 255 || !family.chars().all(proper) {
            return Err(client("Family contains invalid characters."));
        }
        let family = family.to_string();
        check_task_definition(input)?;
        let revision = self.ecs.families.get(&family).map_or(0, Vec::len) + 1;
        let arn = self.arn("ecs", &format!("task-definition/{family}:{revision}"));
        let mut value = input.clone();
        if let Value::Map(map) = &mut value {
            map.remove("tags");
        }
        let awsvpc = text(input, "networkMode") == Some("awsvpc");
        let containers = input
            .get("containerDefinitions")
            .as_list()
            .iter()
            .map(|container| complete_container(container, awsvpc))
            .collect::<Vec<_>>();
        let behaviour = Behaviour::read(&containers);
        put(
            &mut value,
            "requiresAttributes",
            required_attributes(input, &containers),
        );
        put(&mut value, "containerDefinitions", containers);
        put(&mut value, "taskDefinitionArn", arn.as_str());
        put(&mut value, "revision", revision as i64);
        default(&mut value, "volumes", Vec::<Value>::new());
        default(&mut value, "placementConstraints", Vec::<Value>::new());
        let sized = text(input, "cpu").is_some() && text(input, "memory").is_some();
        let mut compatibilities = vec![Value::from("EC2")];
        if awsvpc && sized {
            compatibilities.push(Value::from("FARGATE"));
        }
        put(&mut value, "compatibilities", compatibilities);
        put(&mut value, "registeredAt", Value::Time(self.now));
        put(&mut value, "registeredBy", caller.principal.as_str());
        let definition = TaskDefinition {
            arn,
            active: true,
            value,
            behaviour,
            deregistered_at: None,
            tags: tags(input.get("tags")),
        };
        let answer = structure! {
            "taskDefinition": definition.describe(),
            "tags": (!definition.tags.is_empty())
                .then(|| tags_value(&definition.tags, "key", "value")),
        };
        self.ecs
            .families
            .entry(family)
            .or_default()
            .push(definition);
        Ok(answer)
    }

    pub(super) fn describe_task_definition(&self, input: &Value) -> Result<Value, AwsError> {
        let given = text(input, "taskDefinition")
            .ok_or_else(|| client("Task definition can not be blank."))?;
        let found = self.find_task_definition(given, "Unable to describe task definition.")?;
        let wants_tags = input
            .get("include")
            .as_list()
            .iter()
            .any(|item| item.as_str() == Some("TAGS"));
        Ok(structure! {
            "taskDefinition": found.describe(),
            "tags": wants_tags.then(|| tags_value(&found.tags, "key", "value")),
        })
    }

    pub(super) fn deregister_task_definition(&mut self, input: &Value) -> Result<Value, AwsError> {
        let given = text(input, "taskDefinition")
            .ok_or_else(|| client("Task definition can not be blank."))?;
        let name = given.rsplit('/').next().unwrap_or(given);
        if !name.contains(':') {
            return Err(client("Invalid revision number. Number: "));
        }
        let arn =
            self.find_task_definition(given, "The specified task definition does not exist.")?;
        let arn = arn.arn.clone();
        let now = self.now;
        let (family, revision) = name.rsplit_once(':').unwrap_or((name, ""));
        let index = revision
            .parse::<usize>()
            .unwrap_or_default()
            .wrapping_sub(1);
        let definition = self
            .ecs
            .families
            .get_mut(family)
            .and_then(|definitions| definitions.get_mut(index))
            .filter(|definition| definition.arn == arn)
            .ok_or_else(|| client("The specified task definition does not exist."))?;
        if definition.active {
            definition.active = false;
            definition.deregistered_at = Some(now);
        }
        Ok(structure! { "taskDefinition": definition.describe() })
    }

    pub(super) fn list_task_definitions(&self, input: &Value) -> Result<Value, AwsError> {
        let prefix = text(input, "familyPrefix");
        let active = match text(input, "status") {
            None | Some("ACTIVE") => true,
            Some("INACTIVE") => false,
            Some("DELETE_IN_PROGRESS") => {
                return Ok(structure! { "taskDefinitionArns": Vec::<Value>::new() });
            }
            Some(other) => return Err(parameter(format!("Invalid status: {other}"))),
        };
        let mut arns: Vec<String> = self
            .ecs
            .families
            .iter()
            .filter(|(family, _)| prefix.is_none_or(|wanted| wanted == family.as_str()))
            .flat_map(|(_, definitions)| definitions.iter())
            .filter(|definition| definition.active == active)
            .map(|definition| definition.arn.clone())
            .collect();
        match text(input, "sort") {
            None | Some("ASC") => {}
            Some("DESC") => arns.reverse(),
            Some(other) => return Err(parameter(format!("Invalid sort order: {other}"))),
        }
        let (page, next) = self.ecs_page(arns, input, PAGE, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "taskDefinitionArns": page, "nextToken": next })
    }

    pub(super) fn list_task_definition_families(&self, input: &Value) -> Result<Value, AwsError> {
        let prefix = text(input, "familyPrefix").unwrap_or_default();
        let status = text(input, "status").unwrap_or("ACTIVE");
        if !["ACTIVE", "INACTIVE", "ALL"].contains(&status) {
            return Err(parameter(format!("Invalid status: {status}")));
        }
        let families: Vec<String> = self
            .ecs
            .families
            .iter()
            .filter(|(family, _)| family.starts_with(prefix))
            .filter(|(_, definitions)| {
                let live = definitions.iter().any(|definition| definition.active);
                status == "ALL" || live == (status == "ACTIVE")
            })
            .map(|(family, _)| family.clone())
            .collect();
        let (page, next) = self.ecs_page(families, input, PAGE, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "families": page, "nextToken": next })
    }

    /// Tags of the task definition with this ARN, to read or to change.
    pub(super) fn task_definition_tags(
        &mut self,
        arn: &str,
    ) -> Option<&mut std::collections::BTreeMap<String, String>> {
        let prefix = self.arn("ecs", "task-definition/");
        let (family, revision) = arn.strip_prefix(&prefix)?.rsplit_once(':')?;
        let index = revision.parse::<usize>().ok()?.checked_sub(1)?;
        Some(&mut self.ecs.families.get_mut(family)?.get_mut(index)?.tags)
    }
}

fn check_task_definition(input: &Value) -> Result<(), AwsError> {
    let containers = input.get("containerDefinitions").as_list();
    if containers.is_empty() {
        return Err(client("Container definitions should not be null or empty."));
    }
    let mode = text(input, "networkMode");
    if let Some(mode) = mode
        && !["bridge", "host", "awsvpc", "none"].contains(&mode)
    {
        return Err(parameter(format!("Invalid networkMode: {mode}")));
    }
    let fargate = input
        .get("requiresCompatibilities")
        .as_list()
        .iter()
        .any(|item| item.as_str() == Some("FARGATE"));
    if fargate {
        if mode != Some("awsvpc") {
            return Err(client(
                "Fargate only supports network mode \u{2018}awsvpc\u{2019}.",
            ));
        }
        for key in ["cpu", "memory"] {
            if text(input, key).is_none() {
                return Err(client(format!(
                    "Fargate requires that '{key}' be defined at the task level."
                )));
            }
        }
    }
    let mut names = BTreeSet::new();
    let mut essential = false;
    for container in containers {
        let name = text(container, "name")
            .ok_or_else(|| client("Container.name should not be null or empty."))?;
        if !names.insert(name) {
            return Err(client("Container.name should be unique."));
        }
        if text(container, "image").is_none() {
            return Err(client("Container.image should not be null or empty."));
        }
        let sized = text(input, "memory").is_some()
            || container.get("memory").as_i64().is_some()
            || container.get("memoryReservation").as_i64().is_some();
        if !sized {
            return Err(client(format!(
                "Invalid setting for container '{name}'. At least one of 'memory' or \
                 'memoryReservation' must be specified."
            )));
        }
        essential |= container.get("essential").as_bool() != Some(false);
        for mapping in container.get("portMappings").as_list() {
            let port = mapping.get("containerPort").as_i64();
            if !port.is_some_and(|port| (0..=65_535).contains(&port))
                && text(mapping, "containerPortRange").is_none()
            {
                return Err(client(format!(
                    "Invalid setting for container '{name}'. A port mapping has no valid containerPort."
                )));
            }
            let host = mapping.get("hostPort").as_i64();
            if mode == Some("awsvpc") && host.is_some_and(|host| Some(host) != port) {
                return Err(client(
                    "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
                ));
            }
        }
    }
    if !essential {
        return Err(client(
            "A task definition must have at least one essential container.",
        ));
    }
    Ok(())
}

fn complete_container(given: &Value, awsvpc: bool) -> Value {
    let mut container = given.clone();
    default(&mut container, "cpu", 0_i64);
    default(&mut container, "essential", true);
    for key in [
        "environment",
        "mountPoints",
        "volumesFrom",
        "systemControls",
    ] {
        default(&mut container, key, Vec::<Value>::new());
    }
    let mappings = given
        .get("portMappings")
        .as_list()
        .iter()
        .map(|mapping| {
            let mut mapping = mapping.clone();
            let port = if awsvpc {
                mapping.get("containerPort").clone()
            } else {
                Value::Int(0)
            };
            default(&mut mapping, "hostPort", port);
            default(&mut mapping, "protocol", "tcp");
            mapping
        })
        .collect::<Vec<_>>();
    put(&mut container, "portMappings", mappings);
    container
}

fn required_attributes(input: &Value, containers: &[Value]) -> Value {
    let mut names = BTreeSet::from(["com.amazonaws.ecs.capability.docker-remote-api.1.18"]);
    if text(input, "executionRoleArn").is_some() {
        names.insert("ecs.capability.execution-role-ecr-pull");
    }
    if text(input, "taskRoleArn").is_some() {
        names.insert("com.amazonaws.ecs.capability.task-iam-role");
    }
    if text(input, "networkMode") == Some("awsvpc") {
        names.insert("ecs.capability.task-eni");
    }
    for container in containers {
        if text(container, "image").is_some_and(|image| image.contains(".dkr.ecr.")) {
            names.insert("com.amazonaws.ecs.capability.ecr-auth");
        }
        if text(container.get("logConfiguration"), "logDriver") == Some("awslogs") {
            names.insert("com.amazonaws.ecs.capability.logging-driver.awslogs");
        }
        if !container.get("secrets").as_list().is_empty() {
            names.insert("ecs.capability.secrets.asm.environment-variables");
        }
    }
    Value::List(
        names
            .into_iter()
            .map(|name| structure! { "name": name })
            .collect(),
    )
}
