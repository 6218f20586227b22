//! Which ECS operation is done where, and what they share: pages, tags, the usual refusal.
//!
//! Refusals and their codes: \[M\].

use super::task_definitions::parameter;
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{number_within, tags, tags_value, text, texts};
use crate::world::region::Region;
use crate::world::{Caller, ids};

pub(super) fn bad(message: impl Into<String>) -> AwsError {
    parameter(message)
}

impl Region {
    /// One ECS operation.
    pub(crate) fn call_ecs(
        &mut self,
        caller: &Caller,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        match operation {
            "CreateCluster" => self.create_cluster(input),
            "DescribeClusters" => Ok(self.describe_clusters(input)),
            "ListClusters" => self.list_clusters(input),
            "DeleteCluster" => self.delete_cluster(input),
            "RegisterTaskDefinition" => self.register_task_definition(caller, input),
            "DescribeTaskDefinition" => self.describe_task_definition(input),
            "DeregisterTaskDefinition" => self.deregister_task_definition(input),
            "ListTaskDefinitions" => self.list_task_definitions(input),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(input),
            "CreateService" => self.create_service(caller, input),
            "UpdateService" => self.update_service(input),
            "DeleteService" => self.delete_service(input),
            "DescribeServices" => self.describe_services(input),
            "ListServices" => self.list_services(input),
            "ListServiceDeployments" => self.list_service_deployments(input),
            "DescribeServiceDeployments" => self.describe_service_deployments(input),
            "DescribeServiceRevisions" => self.describe_service_revisions(input),
            "StopServiceDeployment" => self.stop_service_deployment(input),
            "ContinueServiceDeployment" => self.continue_service_deployment(input),
            "CreateTaskSet" => self.create_external_task_set(input),
            "UpdateTaskSet" => self.update_task_set(input),
            "DeleteTaskSet" => self.delete_external_task_set(input),
            "UpdateServicePrimaryTaskSet" => self.update_primary_task_set(input),
            "DescribeTaskSets" => self.describe_task_sets(input),
            "ListTasks" => self.list_tasks(input),
            "DescribeTasks" => self.describe_tasks(input),
            "StopTask" => self.stop_one_task(input),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.ecs_tags(operation, input)
            }
            _ => Err(Region::unknown_operation("ecs", operation)),
        }
    }

    pub(super) fn ecs_page<T, K: Fn(&T) -> &str>(
        &self,
        items: Vec<T>,
        input: &Value,
        most: i64,
        key: K,
    ) -> Result<(Vec<T>, Option<String>), AwsError> {
        let default = if most == 10 { 10 } else { 100 };
        let size = number_within(
            input,
            "maxResults",
            1..=100,
            default,
            "InvalidParameterException",
        )?;
        let size = self.page_limit.min(usize::try_from(size).unwrap_or(100));
        ids::page(items, text(input, "nextToken"), size, key).ok_or_else(|| bad("Invalid token."))
    }

    fn ecs_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arn =
            text(input, "resourceArn").ok_or_else(|| bad("resourceArn must be specified."))?;
        let known = self.ecs.tags.contains_key(arn);
        let own = if arn.contains(":task-definition/") {
            self.task_definition_tags(arn)
        } else if known {
            self.ecs.tags.get_mut(arn)
        } else {
            None
        };
        let Some(own) = own else {
            return Err(if operation == "ListTagsForResource" {
                bad("The specified resource ARN is not valid or does not exist.")
            } else {
                AwsError::caller(
                    "ResourceNotFoundException",
                    "The specified resource does not exist.",
                )
            });
        };
        match operation {
            "TagResource" => {
                own.extend(tags(input.get("tags")));
                if own.len() > 50 {
                    return Err(bad("The maximum number of tags per resource is 50."));
                }
            }
            "UntagResource" => {
                for key in texts(input, "tagKeys") {
                    own.remove(&key);
                }
            }
            _ => return Ok(structure! { "tags": tags_value(own, "key", "value") }),
        }
        Ok(Value::map())
    }
}

pub(super) fn includes(input: &Value, wanted: &str) -> bool {
    input
        .get("include")
        .as_list()
        .iter()
        .any(|item| item.as_str() == Some(wanted))
}
