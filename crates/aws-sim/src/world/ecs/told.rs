//! What ECS tells EventBridge: tasks, steady services, deployments of each of its strategies. Hooks are told by
//! `native/hooks.rs`, as they move.
//!
//! \[D\] `ecs_task_events`, `ecs_service_events`, `ecs_service_deployment_events`. Changes are found by comparing
//! with what was told last, once everything at a moment has settled: a state that a task only passes
//! through within one moment is not told (our choice).

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{Controller, Service, ServiceKey, ServiceStatus};
use crate::world::events::{ToldTasks, as_json, milliseconds};
use crate::world::region::Region;

/// An event's `detail-type`, its resource, and its detail.
type Change = (&'static str, String, Json);

impl Region {
    /// Tells what has changed in ECS since the last time, in these services, which are all that may have changed.
    /// What exists when somebody begins to listen is not told.
    pub(crate) fn tell_ecs(&mut self, changed: &BTreeSet<ServiceKey>) {
        if !self.events.is_listened_to() {
            self.events.told = None;
            return;
        }
        let Some(mut told) = self.events.told.take() else {
            let services = self.ecs.services.iter();
            let told = services.map(|(key, one)| (key.clone(), self.service_changes(one, None).1));
            self.events.told = Some(told.collect());
            return;
        };
        let mut changes = Vec::new();
        for key in changed {
            let before = told.remove(key).unwrap_or_default();
            if let Some(service) = self.ecs.services.get(key) {
                let (of_service, now) = self.service_changes(service, Some(&before));
                changes.extend(of_service);
                told.insert(key.clone(), now);
            }
        }
        self.events.told = Some(told);
        for (detail_type, resource, detail) in changes {
            self.emit("aws.ecs", detail_type, vec![resource], detail);
        }
    }

    fn service_changes(
        &self,
        service: &Service,
        before: Option<&ToldTasks>,
    ) -> (Vec<Change>, ToldTasks) {
        let mut told = ToldTasks::default();
        let mut changes = Vec::new();
        let cluster = self.arn("ecs", &format!("cluster/{}", service.cluster));
        for task in &service.tasks {
            let state = task.state.name();
            let last = before.and_then(|told| told.tasks.get(&task.arn)).copied();
            let version = last.map_or(1, |(told, version)| version + i64::from(told != state));
            told.tasks.insert(task.arn.clone(), (state, version));
            if last.is_none_or(|(told, _)| told != state) {
                let mut detail = as_json(&self.task_value(service, task));
                if let Some(members) = detail.as_object_mut() {
                    members.insert("version".into(), version.into());
                    members.insert("updatedAt".into(), milliseconds(self.now).into());
                }
                changes.push(("ECS Task State Change", task.arn.clone(), detail));
            }
        }
        if service.status != ServiceStatus::Active {
            return (changes, told);
        }
        let created_at = milliseconds(self.now);
        let was_steady = before
            .and_then(|told| told.steady.get(&service.arn))
            .copied();
        told.steady.insert(service.arn.clone(), service.steady);
        if service.steady && was_steady == Some(false) {
            let detail = json!({
                "eventType": "INFO",
                "eventName": "SERVICE_STEADY_STATE",
                "clusterArn": cluster,
                "createdAt": created_at,
            });
            changes.push(("ECS Service Action", service.arn.clone(), detail));
        }
        for unit in &service.units {
            if service.controller != Controller::Ecs {
                let was_steady = before.and_then(|told| told.steady.get(&unit.id)).copied();
                told.steady.insert(unit.id.clone(), unit.steady);
                if unit.steady && was_steady == Some(false) {
                    let set = self.task_set_arn(service, unit);
                    let detail = json!({
                        "eventType": "INFO",
                        "eventName": "TASKSET_STEADY_STATE",
                        "clusterArn": cluster,
                        "taskSetArns": [set],
                        "createdAt": created_at,
                    });
                    changes.push(("ECS Service Action", service.arn.clone(), detail));
                }
            }
            let Some((state, reason)) = &unit.rollout else {
                continue;
            };
            let last = before.and_then(|told| told.rollouts.get(&unit.id));
            let now = (*state).to_string();
            let changed = last != Some(&now);
            told.rollouts.insert(unit.id.clone(), now);
            if changed {
                let detail = json!({
                    "eventType": if *state == "FAILED" { "ERROR" } else { "INFO" },
                    "eventName": format!("SERVICE_DEPLOYMENT_{state}"),
                    "deploymentId": unit.id,
                    "updatedAt": milliseconds(self.now),
                    "reason": reason,
                });
                changes.push(("ECS Deployment State Change", service.arn.clone(), detail));
            }
        }
        (changes, told)
    }
}
