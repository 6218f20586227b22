//! The ECS operations on tasks.

use sha2::{Digest, Sha256};

use super::operations::bad;
use super::{Service, Task, TaskState};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{text, texts};
use crate::world::region::Region;

impl Region {
    pub(super) fn list_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let service = match text(input, "serviceName") {
            None => None,
            Some(given) => Some(self.service_key(&cluster, given).ok_or_else(|| {
                AwsError::caller("ServiceNotFoundException", "Service not found.")
            })?),
        };
        let stopped = match text(input, "desiredStatus") {
            None | Some("RUNNING") => false,
            Some("STOPPED") => true,
            Some("PENDING") => return Ok(structure! { "taskArns": Vec::<Value>::new() }),
            Some(other) => return Err(bad(format!("Invalid desiredStatus: {other}"))),
        };
        let family = text(input, "family");
        let started_by = text(input, "startedBy");
        let arns: Vec<String> = self
            .ecs
            .services
            .iter()
            .filter(|(key, _)| key.0 == cluster && service.as_ref().is_none_or(|one| one == *key))
            .flat_map(|(_, service)| service.tasks.iter())
            .filter(|task| task.stopping() == stopped)
            .filter(|task| started_by.is_none_or(|wanted| task.unit == wanted))
            .filter(|task| {
                let name = task.task_definition.rsplit('/').next().unwrap_or_default();
                family.is_none_or(|wanted| {
                    name.rsplit_once(':').is_some_and(|(own, _)| own == wanted)
                })
            })
            .map(|task| task.arn.clone())
            .collect();
        let (page, next) = self.ecs_page(arns, input, 100, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "taskArns": page, "nextToken": next })
    }

    pub(super) fn describe_tasks(&self, input: &Value) -> Result<Value, AwsError> {
        let cluster = self.cluster_name(input)?;
        let asked = texts(input, "tasks");
        if asked.is_empty() {
            return Err(bad("Tasks cannot be empty."));
        }
        if asked.len() > 100 {
            return Err(bad("Too many tasks: at most 100 can be described at once."));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for given in asked {
            let id = given.rsplit('/').next().unwrap_or(&given);
            let found = self
                .ecs
                .services
                .values()
                .filter(|service| service.cluster == cluster)
                .flat_map(|service| service.tasks.iter().map(move |task| (service, task)))
                .find(|(_, task)| task.arn.rsplit('/').next() == Some(id));
            match found {
                Some((service, task)) => tasks.push(self.task_value(service, task)),
                None => {
                    let arn = self.arn("ecs", &format!("task/{cluster}/{id}"));
                    failures.push(structure! { "arn": arn, "reason": "MISSING" });
                }
            }
        }
        Ok(structure! { "tasks": tasks, "failures": failures })
    }

    pub(super) fn task_value(&self, service: &Service, task: &Task) -> Value {
        let definition = self.ecs.task_definition(&task.task_definition);
        let containers = definition.map_or(&[][..], |definition| definition.containers());
        let id = task.arn.rsplit('/').next().unwrap_or_default();
        let container_state = match task.state {
            TaskState::Running | TaskState::Deactivating | TaskState::Stopping => "RUNNING",
            TaskState::Stopped => "STOPPED",
            _ => "PENDING",
        };
        let containers = containers
            .iter()
            .enumerate()
            .map(|(index, container)| {
                let image = container.get("image").as_str().unwrap_or_default();
                structure! {
                    "containerArn": self.arn("ecs", &format!("container/{}/{id}/{index}", service.cluster)),
                    "taskArn": task.arn.as_str(),
                    "name": container.get("name").clone(),
                    "image": image,
                    "imageDigest": task.started_at.map(|_| image_digest(image)),
                    "lastStatus": container_state,
                    "exitCode": task.exit_code,
                    "networkBindings": Vec::<Value>::new(),
                    "networkInterfaces": vec![structure! {
                        "attachmentId": format!("{}-eni", &id[..8.min(id.len())]),
                        "privateIpv4Address": task.address.as_str(),
                    }],
                    "healthStatus": "UNKNOWN",
                    "cpu": container.get("cpu").as_i64().map(|cpu| cpu.to_string()),
                }
            })
            .collect::<Vec<_>>();
        let unit_given = service
            .unit(&task.unit)
            .map_or(&service.given, |unit| &unit.given);
        let member = |key: &str| definition.map_or(Value::Null, |d| d.value.get(key).clone());
        let (stop_code, stopped_reason) = match &task.stop {
            Some((code, reason)) => (Some(*code), Some(reason.as_str())),
            None => (None, None),
        };
        structure! {
            "taskArn": task.arn.as_str(),
            "clusterArn": self.arn("ecs", &format!("cluster/{}", service.cluster)),
            "taskDefinitionArn": task.task_definition.as_str(),
            "containers": containers,
            "lastStatus": task.state.name(),
            "desiredStatus": if task.stopping() { "STOPPED" } else { "RUNNING" },
            "startedBy": task.unit.as_str(),
            "group": format!("service:{}", service.name),
            "availabilityZone": task.zone.as_str(),
            "connectivity": task.started_at.map(|_| "CONNECTED"),
            "createdAt": Value::Time(task.created_at),
            "startedAt": task.started_at.map(Value::Time),
            "stoppingAt": task.stopping_at.map(Value::Time),
            "stoppedAt": task.stopped_at.map(Value::Time),
            "stopCode": stop_code,
            "stoppedReason": stopped_reason,
            "launchType": unit_given.get("launchType").clone(),
            "platformVersion": unit_given.get("platformVersion").clone(),
            "cpu": member("cpu"),
            "memory": member("memory"),
            "healthStatus": "UNKNOWN",
            "overrides": structure! { "containerOverrides": Vec::<Value>::new() },
            "version": 1_i64,
            "attachments": vec![structure! {
                "id": format!("{}-eni", &id[..8.min(id.len())]),
                "type": "ElasticNetworkInterface",
                "status": if task.state == TaskState::Stopped { "DELETED" } else { "ATTACHED" },
                "details": vec![structure! {
                    "name": "privateIPv4Address",
                    "value": task.address.as_str(),
                }],
            }],
        }
    }
}

/// The digest that a registry would have given the image: from the reference itself, or made of its text.
pub(super) fn image_digest(image: &str) -> String {
    match image.split_once('@') {
        Some((_, digest)) => digest.to_string(),
        None => format!("sha256:{}", hex::encode(Sha256::digest(image.as_bytes()))),
    }
}
