//! The account as the control page shows it: not an AWS shape, so its members are our own.

use super::ecs::ServiceStatus;
use super::elb::{Health, dimension};
use super::region::Region;
use crate::value::Value;

impl Region {
    /// Services, task sets, weights, target health, deployments of CodeDeploy and those of ECS that are not over,
    /// pending hooks and alarms of this region.
    pub(crate) fn report(&self) -> Value {
        let services = self
            .ecs
            .services
            .values()
            .filter(|service| service.status != ServiceStatus::Inactive)
            .map(|service| {
                let units = service
                    .units
                    .iter()
                    .map(|unit| {
                        let (running, pending) = service.counts(&unit.id);
                        structure! {
                            "id": unit.id.as_str(),
                            "status": unit.status.name(),
                            "taskDefinition": unit.task_definition.as_str(),
                            "externalId": unit.external_id.clone(),
                            "wanted": service.wanted(unit),
                            "running": running,
                            "pending": pending,
                            "steady": unit.steady,
                            "targetGroup": unit.target_group().map(dimension),
                        }
                    })
                    .collect::<Vec<_>>();
                let tasks = service
                    .tasks
                    .iter()
                    .map(|task| {
                        structure! {
                            "arn": task.arn.as_str(),
                            "taskSet": task.unit.as_str(),
                            "taskDefinition": task.task_definition.as_str(),
                            "stopping": task.stopping(),
                        }
                    })
                    .collect::<Vec<_>>();
                structure! {
                    "cluster": service.cluster.as_str(),
                    "name": service.name.as_str(),
                    "controller": service.controller.name(),
                    "loadBalancers": service.load_balancers.clone(),
                    "tasks": tasks,
                    "taskDefinition": service.task_definition.clone(),
                    "desired": service.desired,
                    "taskSets": units,
                }
            })
            .collect::<Vec<_>>();
        let listeners = self
            .elb
            .listeners
            .iter()
            .map(|(arn, listener)| {
                let weights = self
                    .elb
                    .weights(arn)
                    .into_iter()
                    .map(|(group, weight)| {
                        structure! { "targetGroup": dimension(&group), "weight": weight }
                    })
                    .collect::<Vec<_>>();
                structure! { "arn": arn.as_str(), "port": listener.port, "weights": weights }
            })
            .collect::<Vec<_>>();
        let target_groups = self
            .elb
            .target_groups
            .iter()
            .map(|(arn, group)| {
                let count = |health: Health| {
                    group
                        .targets
                        .iter()
                        .filter(|target| target.health == health)
                        .count() as i64
                };
                structure! {
                    "targetGroup": dimension(arn),
                    "initial": count(Health::Initial),
                    "healthy": count(Health::Healthy),
                    "unhealthy": count(Health::Unhealthy),
                    "draining": count(Health::Draining),
                }
            })
            .collect::<Vec<_>>();
        let disturbed = self
            .disturbed
            .iter()
            .map(|(arn, rate)| structure! { "taskDefinition": arn.as_str(), "errorRate": *rate })
            .collect::<Vec<_>>();
        structure! {
            "account": self.account.as_str(),
            "region": self.region.as_str(),
            "services": services,
            "listeners": listeners,
            "targetGroups": target_groups,
            "disturbed": disturbed,
            "deployments": self.report_deployments(),
            "serviceDeployments": self.report_service_deployments(),
            "cloudwatch": self.cloudwatch.state(),
            "rules": self.report_rules(),
            "queues": self.sqs.report(self.now),
        }
    }
}
