//! Amazon ECS: services with their task sets, task definitions, stopped tasks (aws.md §2).

use crate::AwsAccount;
use crate::calls;
use crate::codedeploy::GroupOfService;
use crate::codedeploy::name_of;
use crate::error::failed;
use crate::error::malformed;
use crate::moment;
use crate::watch::Wire;
use aws_sdk_ecs::types::DeploymentControllerType;
use aws_sdk_ecs::types::DesiredStatus;
use aws_sdk_ecs::types::Service;
use aws_sdk_ecs::types::SortOrder;
use aws_sdk_ecs::types::TaskDefinitionField;
use aws_sdk_ecs::types::TaskDefinitionStatus;
use aws_sdk_ecs::types::TaskSet as EcsTaskSet;
use serde_json::Map;
use serde_json::Value;
use std::collections::BTreeMap;
use switchback_cloud::CloudError;
use switchback_cloud::ServiceReading;
use switchback_cloud::TaskSetReading;
use switchback_domain::previous::TaskSet;
use switchback_domain::revision::Revision;
use switchback_domain::revision::RevisionArn;
use switchback_domain::revision::RevisionStatus;
use switchback_domain::service::Controller;

/// Services in one DescribeServices. [M]
const SERVICES_AT_ONCE: usize = 10;
/// Tasks in one DescribeTasks. [M]
const TASKS_AT_ONCE: usize = 100;

impl AwsAccount {
    pub(crate) async fn all_services(&self) -> Result<Vec<ServiceReading>, CloudError> {
        let mut by_cluster: BTreeMap<String, Vec<GroupOfService>> = BTreeMap::new();
        for found in self.ecs_groups().await? {
            by_cluster
                .entry(found.cluster.clone())
                .or_default()
                .push(found);
        }
        let mut readings = Vec::new();
        for (cluster, groups) in by_cluster {
            for groups in groups.chunks(SERVICES_AT_ONCE) {
                let names = groups.iter().map(|group| group.service.clone()).collect();
                let services = self.describe_services(&cluster, names).await?;
                for found in groups {
                    let service = services.iter().find(|service| {
                        service.service_name() == Some(found.service.as_str())
                            && is_deployed_by_codedeploy(service)
                    });
                    if let Some(service) = service {
                        readings.push(service_reading(service, found)?);
                    }
                }
            }
        }
        Ok(readings)
    }

    pub(crate) async fn one_service(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<Option<(Vec<TaskSetReading>, i64, i64)>, CloudError> {
        let services = self
            .describe_services(cluster, vec![name.to_string()])
            .await?;
        let Some(service) = services.first() else {
            return Ok(None);
        };
        let (desired, running) = (service.desired_count(), service.running_count());
        Ok(Some((
            task_sets(service)?,
            i64::from(desired),
            i64::from(running),
        )))
    }

    /// The services of these names that exist. A group may outlive its service or its cluster.
    pub(crate) async fn describe_services(
        &self,
        cluster: &str,
        names: Vec<String>,
    ) -> Result<Vec<Service>, CloudError> {
        self.budget.turn(calls::DESCRIBE_SERVICES).await;
        let answer = self
            .ecs
            .describe_services()
            .cluster(cluster)
            .set_services(Some(names))
            .send()
            .await
            .map_err(failed(calls::DESCRIBE_SERVICES));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.code == "ClusterNotFoundException" => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        for failure in answer.failures() {
            if failure.reason() != Some("MISSING") {
                tracing::warn!(
                    cluster,
                    arn = failure.arn(),
                    reason = failure.reason(),
                    detail = failure.detail(),
                    "ECS does not describe a service"
                );
            }
        }
        let mut services = answer.services.unwrap_or_default();
        // ECS shows a deleted service for a while as INACTIVE.
        services.retain(|service| service.status() != Some("INACTIVE"));
        Ok(services)
    }

    pub(crate) async fn describe_revision(
        &self,
        arn: &RevisionArn,
    ) -> Result<Option<Revision>, CloudError> {
        let wire = Wire::default();
        let answer = self
            .ecs
            .describe_task_definition()
            .task_definition(arn.as_str())
            .include(TaskDefinitionField::Tags)
            .customize()
            .interceptor(wire.clone())
            .send()
            .await
            .map_err(failed(calls::DESCRIBE_TASK_DEFINITION));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let definition = answer.task_definition();
        Ok(Some(Revision {
            arn: arn.clone(),
            status: match definition.and_then(|definition| definition.status()) {
                Some(TaskDefinitionStatus::Active) => RevisionStatus::Active,
                Some(TaskDefinitionStatus::Inactive) => RevisionStatus::Inactive,
                Some(TaskDefinitionStatus::DeleteInProgress) => RevisionStatus::DeleteInProgress,
                _ => RevisionStatus::Unknown,
            },
            registered_at: definition
                .and_then(|definition| definition.registered_at())
                .map(moment),
            registered_by: definition
                .and_then(|definition| definition.registered_by())
                .map(str::to_string),
            task_definition: whole_task_definition(&wire.bytes())?,
        }))
    }

    /// The latest first. ECS lists INACTIVE ones "at this time" without a promise (aws.md §2).
    pub(crate) async fn list_revisions(
        &self,
        family: &str,
        active: bool,
        limit: usize,
    ) -> Result<Vec<RevisionArn>, CloudError> {
        let status = if active {
            TaskDefinitionStatus::Active
        } else {
            TaskDefinitionStatus::Inactive
        };
        let mut listed = self
            .ecs
            .list_task_definitions()
            .family_prefix(family)
            .status(status)
            .sort(SortOrder::Desc)
            .into_paginator()
            .items()
            .send();
        let mut arns = Vec::new();
        while arns.len() < limit
            && let Some(arn) = listed
                .try_next()
                .await
                .map_err(failed(calls::LIST_TASK_DEFINITIONS))?
        {
            let arn = RevisionArn::parse(&arn)
                .map_err(|error| malformed(calls::LIST_TASK_DEFINITIONS, error.to_string()))?;
            arns.push(arn);
        }
        Ok(arns)
    }

    pub(crate) async fn find_stopped_task(
        &self,
        cluster: &str,
        service: &str,
        task_set_id: &str,
    ) -> Result<Option<RevisionArn>, CloudError> {
        let arns: Vec<String> = self
            .ecs
            .list_tasks()
            .cluster(cluster)
            .service_name(service)
            .desired_status(DesiredStatus::Stopped)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed(calls::LIST_TASKS))?;
        for arns in arns.chunks(TASKS_AT_ONCE) {
            let answer = self
                .ecs
                .describe_tasks()
                .cluster(cluster)
                .set_tasks(Some(arns.to_vec()))
                .send()
                .await
                .map_err(failed(calls::DESCRIBE_TASKS))?;
            let task = answer
                .tasks()
                .iter()
                .find(|task| task.started_by() == Some(task_set_id));
            if let Some(arn) = task.and_then(|task| task.task_definition_arn()) {
                return RevisionArn::parse(arn)
                    .map(Some)
                    .map_err(|error| malformed(calls::DESCRIBE_TASKS, error.to_string()));
            }
        }
        Ok(None)
    }
}

/// Whether CodeDeploy still deploys the service: its controller can be changed while the group stays
/// (aws.md §8).
fn is_deployed_by_codedeploy(service: &Service) -> bool {
    service
        .deployment_controller()
        .is_none_or(|controller| *controller.r#type() == DeploymentControllerType::CodeDeploy)
}

fn service_reading(
    service: &Service,
    found: &GroupOfService,
) -> Result<ServiceReading, CloudError> {
    let task_sets = task_sets(service)?;
    Ok(ServiceReading {
        name: found.service.clone(),
        arn: service
            .service_arn()
            .ok_or_else(|| malformed(calls::DESCRIBE_SERVICES, "A service has no serviceArn."))?
            .to_string(),
        cluster: service
            .cluster_arn()
            .map_or(found.cluster.as_str(), name_of)
            .to_string(),
        controller: Controller::Codedeploy(found.group.clone()),
        serving: task_sets
            .iter()
            .find(|set| set.task_set.primary)
            .map(|set| set.task_set.revision.clone()),
        task_sets,
        desired_count: i64::from(service.desired_count()),
        running_count: i64::from(service.running_count()),
    })
}

fn task_sets(service: &Service) -> Result<Vec<TaskSetReading>, CloudError> {
    service.task_sets().iter().map(task_set_reading).collect()
}

fn task_set_reading(task_set: &EcsTaskSet) -> Result<TaskSetReading, CloudError> {
    let missing = |what| {
        malformed(
            calls::DESCRIBE_SERVICES,
            format!("A task set has no {what}."),
        )
    };
    let id = task_set.id().ok_or_else(|| missing("id"))?;
    let definition = task_set
        .task_definition()
        .ok_or_else(|| missing("taskDefinition"))?;
    Ok(TaskSetReading {
        task_set: TaskSet {
            id: id.to_string(),
            revision: RevisionArn::parse(definition)
                .map_err(|error| malformed(calls::DESCRIBE_SERVICES, error.to_string()))?,
            primary: task_set.status() == Some("PRIMARY"),
            created_by_deployment: task_set.external_id().map(str::to_string),
            created_at: task_set.created_at().map(moment),
        },
        target_group_arn: task_set
            .load_balancers()
            .first()
            .and_then(|balancer| balancer.target_group_arn())
            .map(str::to_string),
        desired_count: i64::from(task_set.computed_desired_count()),
        running_count: i64::from(task_set.running_count()),
    })
}

/// The `taskDefinition` of a DescribeTaskDefinition answer member for member, with the answer's
/// `tags` where RegisterTaskDefinition takes them.
fn whole_task_definition(answer: &[u8]) -> Result<Value, CloudError> {
    let wrong = |what: &str| malformed(calls::DESCRIBE_TASK_DEFINITION, what);
    let mut answer: Map<String, Value> =
        serde_json::from_slice(answer).map_err(|_| wrong("The answer is not a JSON object."))?;
    let Some(Value::Object(mut definition)) = answer.remove("taskDefinition") else {
        return Err(wrong("The answer has no taskDefinition."));
    };
    match answer.remove("tags") {
        Some(Value::Array(tags)) if !tags.is_empty() => {
            definition.insert("tags".to_string(), Value::Array(tags));
        }
        _ => {}
    }
    Ok(Value::Object(definition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tags_are_put_where_they_are_registered_and_nothing_else_is_touched() {
        let answer = json!({"taskDefinition": {"family": "web", "newerThanTheSdk": [1.5]},
            "tags": [{"key": "team", "value": "a"}]});
        let expected = json!({"family": "web", "newerThanTheSdk": [1.5],
            "tags": [{"key": "team", "value": "a"}]});
        assert_eq!(
            whole_task_definition(answer.to_string().as_bytes()).unwrap(),
            expected
        );
        let untagged = json!({"taskDefinition": {"family": "web"}, "tags": []});
        let expected = json!({"family": "web"});
        assert_eq!(
            whole_task_definition(untagged.to_string().as_bytes()).unwrap(),
            expected
        );
    }

    #[test]
    fn an_answer_without_a_task_definition_is_refused() {
        for answer in ["", "[]", "{}", r#"{"taskDefinition": 1}"#] {
            let error = whole_task_definition(answer.as_bytes()).unwrap_err();
            assert_eq!(error.code, "Malformed", "{answer}");
        }
    }
}
