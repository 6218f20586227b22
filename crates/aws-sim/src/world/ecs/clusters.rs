//! The ECS operations on clusters.

use super::operations::{bad, includes};
use super::{Cluster, ServiceStatus, TaskState};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::{put, tags, tags_value, text, texts};
use crate::world::region::Region;

impl Region {
    pub(super) fn cluster_name(&self, input: &Value) -> Result<String, AwsError> {
        let given = text(input, "cluster").unwrap_or("default");
        let name = given.rsplit('/').next().unwrap_or(given);
        let ours =
            !given.starts_with("arn:") || given == self.arn("ecs", &format!("cluster/{name}"));
        match self.ecs.clusters.get(name) {
            Some(cluster) if cluster.active && ours => Ok(name.to_string()),
            _ => Err(AwsError::caller(
                "ClusterNotFoundException",
                "Cluster not found.",
            )),
        }
    }

    pub(super) fn create_cluster(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = text(input, "clusterName").unwrap_or("default").to_string();
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 255 || !name.chars().all(proper) {
            return Err(bad(
                "Identifier is invalid. Please use only letters, digits, - and _.",
            ));
        }
        let arn = self.arn("ecs", &format!("cluster/{name}"));
        let mut value = Value::map();
        let members = [
            "settings",
            "configuration",
            "capacityProviders",
            "defaultCapacityProviderStrategy",
            "serviceConnectDefaults",
        ];
        for key in members {
            if !input.get(key).is_null() {
                put(&mut value, key, input.get(key).clone());
            }
        }
        let existing = self
            .ecs
            .clusters
            .get(&name)
            .is_some_and(|cluster| cluster.active);
        if !existing {
            self.ecs.tags.insert(arn.clone(), tags(input.get("tags")));
            self.ecs.clusters.insert(
                name.clone(),
                Cluster {
                    arn,
                    active: true,
                    value,
                },
            );
        }
        Ok(structure! { "cluster": self.cluster_value(&name, true) })
    }

    fn cluster_value(&self, name: &str, wants_tags: bool) -> Value {
        let Some(cluster) = self.ecs.clusters.get(name) else {
            return Value::Null;
        };
        let services = self
            .ecs
            .services
            .values()
            .filter(|service| service.cluster == name);
        let mut counts = (0_i64, 0_i64, 0_i64);
        for service in services {
            counts.2 += i64::from(service.status == ServiceStatus::Active);
            for task in &service.tasks {
                match task.state {
                    TaskState::Running => counts.0 += 1,
                    TaskState::Provisioning | TaskState::Pending => counts.1 += 1,
                    _ => {}
                }
            }
        }
        let own_tags = self.ecs.tags.get(&cluster.arn).cloned().unwrap_or_default();
        let mut value = cluster.value.clone();
        for key in [
            "settings",
            "capacityProviders",
            "defaultCapacityProviderStrategy",
        ] {
            crate::world::read::default(&mut value, key, Vec::<Value>::new());
        }
        value
            .with("clusterArn", cluster.arn.as_str())
            .with("clusterName", name)
            .with("status", if cluster.active { "ACTIVE" } else { "INACTIVE" })
            .with("registeredContainerInstancesCount", 0_i64)
            .with("runningTasksCount", counts.0)
            .with("pendingTasksCount", counts.1)
            .with("activeServicesCount", counts.2)
            .with("statistics", Vec::<Value>::new())
            .with(
                "tags",
                wants_tags.then(|| tags_value(&own_tags, "key", "value")),
            )
    }

    pub(super) fn describe_clusters(&self, input: &Value) -> Value {
        let mut asked = texts(input, "clusters");
        if asked.is_empty() {
            asked.push("default".to_string());
        }
        let wants_tags = includes(input, "TAGS");
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for given in asked {
            let name = given.rsplit('/').next().unwrap_or(&given);
            if self.ecs.clusters.contains_key(name) {
                clusters.push(self.cluster_value(name, wants_tags));
            } else {
                let arn = self.arn("ecs", &format!("cluster/{name}"));
                failures.push(structure! { "arn": arn, "reason": "MISSING" });
            }
        }
        structure! { "clusters": clusters, "failures": failures }
    }

    pub(super) fn list_clusters(&self, input: &Value) -> Result<Value, AwsError> {
        let arns: Vec<String> = self
            .ecs
            .clusters
            .values()
            .filter(|cluster| cluster.active)
            .map(|cluster| cluster.arn.clone())
            .collect();
        let (page, next) = self.ecs_page(arns, input, 100, String::as_str)?;
        let page = page.into_iter().map(Value::Text).collect::<Vec<_>>();
        Ok(structure! { "clusterArns": page, "nextToken": next })
    }

    pub(super) fn delete_cluster(&mut self, input: &Value) -> Result<Value, AwsError> {
        let name = self.cluster_name(input)?;
        let busy = self
            .ecs
            .services
            .values()
            .any(|service| service.cluster == name && service.status == ServiceStatus::Active);
        if busy {
            return Err(AwsError::caller(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        if let Some(cluster) = self.ecs.clusters.get_mut(&name) {
            cluster.active = false;
        }
        Ok(structure! { "cluster": self.cluster_value(&name, false) })
    }
}
