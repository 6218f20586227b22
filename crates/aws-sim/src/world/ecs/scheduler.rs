//! What ECS does by itself: starting, replacing and stopping tasks.

use rand::Rng;

use super::circuit_breaker::CircuitBreaker;
use super::{Controller, Service, ServiceStatus, Task, TaskState, Unit, UnitStatus};
use crate::world::elb::Health;
use crate::world::ids;
use crate::world::region::Region;

const CRASH_AFTER_MS: i64 = 8_000;
const SETTLED_AFTER_MS: i64 = 10_000;
const STOP_MS: i64 = 5_000;
const STOPPED_KEPT_MS: i64 = 3_600_000;
const FIRST_RETRY_MS: i64 = 10_000;
const LAST_RETRY_MS: i64 = 300_000;
const EVENTS_KEPT: usize = 100;

impl Region {
    /// Moves every task whose time has come.
    pub(crate) fn step_tasks(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        self.ecs.services.touch_due(now);
        for key in self.ecs.services.touched() {
            let Some(mut service) = self.ecs.services.remove(&key) else {
                continue;
            };
            let services = &mut self.ecs.services;
            service.tasks.retain(|task| {
                let kept = task.state != TaskState::Stopped || !task.is_due(now);
                if !kept {
                    services.forget_address(&task.address);
                    moved = true;
                }
                kept
            });
            let mut failed: Vec<String> = Vec::new();
            for task in &mut service.tasks {
                if !task.is_due(now) {
                    continue;
                }
                moved = true;
                match task.state {
                    TaskState::Provisioning => {
                        task.state = TaskState::Pending;
                        task.due = Some(now + self.rng.random_range(32_000..80_000));
                    }
                    TaskState::Pending => {
                        task.state = TaskState::Running;
                        task.started_at = Some(now);
                        task.due = if task.behaviour.crash_on_start {
                            Some(now + CRASH_AFTER_MS)
                        } else {
                            // With nothing to check its health, it is well once it has run for a while.
                            task.targets.is_empty().then_some(now + SETTLED_AFTER_MS)
                        };
                        for (group, port) in &task.targets {
                            let zone = Some(task.zone.clone());
                            self.elb.register(group, &task.address, *port, zone);
                        }
                    }
                    TaskState::Running if !task.behaviour.crash_on_start => task.due = None,
                    TaskState::Running => {
                        for (group, port) in &task.targets {
                            self.elb.deregister(group, &task.address, *port, now);
                        }
                        task.stop = Some((
                            "EssentialContainerExited",
                            "Essential container in task exited".to_string(),
                        ));
                        task.exit_code = Some(1);
                        task.stopping_at = Some(now);
                        task.stopped_at = Some(now);
                        task.state = TaskState::Stopped;
                        task.due = Some(now + STOPPED_KEPT_MS);
                        failed.push(task.unit.clone());
                    }
                    TaskState::Deactivating => {
                        task.state = TaskState::Stopping;
                        task.due = Some(now + STOP_MS);
                    }
                    TaskState::Stopping => {
                        task.state = TaskState::Stopped;
                        task.stopped_at = Some(now);
                        task.exit_code = task.started_at.map(|_| 0);
                        task.due = Some(now + STOPPED_KEPT_MS);
                    }
                    // Removed above.
                    TaskState::Stopped => {}
                }
            }
            for unit in failed {
                if let Some(unit) = service.unit_mut(&unit) {
                    unit.record_failure(now);
                }
            }
            self.ecs.services.insert(key, service);
        }
        moved
    }

    /// The service scheduler: compares what runs with what should.
    pub(crate) fn step_services(&mut self) -> bool {
        let mut moved = false;
        for key in self.ecs.services.touched() {
            // Taken out while it is worked on, because the rest of the region is needed beside it.
            let Some(mut service) = self.ecs.services.remove(&key) else {
                self.ecs.services.plan(&key, None);
                continue;
            };
            self.work.services += 1;
            let again = self.schedule(&mut service);
            moved |= again;
            self.ecs.services.plan(&key, service.next_due(self.now));
            self.ecs.services.put_back(key, service, again);
        }
        moved
    }

    fn schedule(&mut self, service: &mut Service) -> bool {
        if service.status == ServiceStatus::Inactive {
            return false;
        }
        let mut moved = self.replace_unhealthy(service);
        if service.controller == Controller::Ecs {
            moved |= self.note_healthy_tasks(service);
            moved |= self.step_service_deployments(service);
            let latest = service.service_deployments.last();
            if latest.is_some_and(|one| one.strategy.is_native()) {
                moved |= self.plan_native(service);
            } else {
                moved |= self.plan_rolling(service);
            }
        }
        for index in 0..service.units.len() {
            moved |= self.scale_unit(service, index);
        }
        moved |= self.note_steadiness(service);
        let now = self.now;
        let before = service.units.len();
        let Service { units, tasks, .. } = service;
        units.retain(|unit| {
            unit.status != UnitStatus::Draining
                || tasks
                    .iter()
                    .any(|task| task.unit == unit.id && task.state != TaskState::Stopped)
        });
        moved |= units.len() != before;
        if service.status == ServiceStatus::Draining
            && service
                .tasks
                .iter()
                .all(|task| task.state == TaskState::Stopped)
        {
            service.status = ServiceStatus::Inactive;
            service.units.clear();
            service.service_deployments.clear();
            service.revisions.clear();
            moved = true;
        }
        for unit in &mut service.units {
            if unit.retry_at > 0 && unit.retry_at <= now {
                unit.retry_at = 0;
                moved = true;
            }
        }
        moved
    }

    fn replace_unhealthy(&mut self, service: &mut Service) -> bool {
        let now = self.now;
        let mut failed = Vec::new();
        for index in 0..service.tasks.len() {
            let task = &service.tasks[index];
            let in_grace = task
                .started_at
                .is_none_or(|started| now < started + service.grace_ms);
            if task.state != TaskState::Running || in_grace {
                continue;
            }
            let sick = task.targets.iter().find(|(group, port)| {
                self.elb.health(group, &task.address, *port) == Some(Health::Unhealthy)
            });
            if let Some((group, port)) = sick {
                let reason = format!("Task failed ELB health checks in (target-group {group})");
                let text = format!(
                    "(service {}) (port {port}) is unhealthy in (target-group {group}) due to \
                     (reason Health checks failed)",
                    service.name
                );
                failed.push(service.tasks[index].unit.clone());
                self.stop_task(&mut service.tasks[index], reason);
                self.note(service, text);
            }
        }
        for unit in &failed {
            if let Some(unit) = service.unit_mut(unit) {
                unit.record_failure(now);
            }
        }
        !failed.is_empty()
    }

    /// Lets the circuit breaker see which tasks got healthy, and a revision that its images are known.
    fn note_healthy_tasks(&mut self, service: &mut Service) -> bool {
        let resets = CircuitBreaker::read(&service.deployment_configuration).resets;
        let mut moved = false;
        for index in 0..service.tasks.len() {
            let task = &service.tasks[index];
            let unit = task.unit.clone();
            if task.started_at == Some(self.now)
                && let Some(revision) = service.unit(&unit).and_then(|unit| unit.revision.clone())
                && let Some(own) = service.revisions.iter_mut().find(|own| own.arn == revision)
            {
                own.images_known = true;
            }
            let task = &service.tasks[index];
            if task.was_healthy || !self.task_is_healthy(task) {
                continue;
            }
            service.tasks[index].was_healthy = true;
            moved = true;
            if let Some(unit) = service.unit_mut(&unit)
                && resets
            {
                unit.failed_tasks = 0;
            }
        }
        moved
    }

    /// A unit with the service's own settings, at full scale and ACTIVE.
    pub(crate) fn new_unit(&mut self, service: &Service, task_definition: &str) -> Unit {
        Unit {
            id: format!("ecs-svc/{}", ids::digits(&mut self.rng, 19)),
            status: UnitStatus::Active,
            task_definition: task_definition.to_string(),
            external_id: None,
            started_by: None,
            scale: 100.0,
            load_balancers: service.load_balancers.clone(),
            given: service.given.clone(),
            created_at: self.now,
            updated_at: self.now,
            steady: false,
            steady_at: self.now,
            retry_at: 0,
            failures_in_a_row: 0,
            failed_tasks: 0,
            rolling_wanted: 0,
            rollout: None,
            revision: None,
            held: false,
            tags: crate::value::Value::Null,
        }
    }

    fn scale_unit(&mut self, service: &mut Service, index: usize) -> bool {
        let wanted = service.wanted(&service.units[index]);
        let unit = &service.units[index];
        let (id, retry_at) = (unit.id.clone(), unit.retry_at);
        let present: Vec<usize> = service
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.unit == id && !task.stopping())
            .map(|(position, _)| position)
            .collect();
        let missing = wanted - present.len() as i64;
        if missing > 0 && retry_at <= self.now {
            let mut started = Vec::new();
            for _ in 0..missing {
                if let Some(task) = self.new_task(service, index) {
                    started.push(format!(
                        "(task {})",
                        task.arn.rsplit('/').next().unwrap_or_default()
                    ));
                    let key = (service.cluster.clone(), service.name.clone());
                    self.ecs.services.learn_address(&task.address, key);
                    service.tasks.push(task);
                }
            }
            if started.is_empty() {
                return false;
            }
            let text = format!(
                "(service {}) has started {} tasks: {}.",
                service.name,
                started.len(),
                started.join(" ")
            );
            self.note(service, text);
            service.units[index].updated_at = self.now;
            return true;
        }
        if missing < 0 {
            // The newest go first: they are the least likely to be warm.
            let surplus = usize::try_from(-missing).unwrap_or_default();
            let reason = format!("Scaling activity initiated by (deployment {id})");
            let mut stopped = Vec::new();
            for position in present.into_iter().rev().take(surplus) {
                let task = &mut service.tasks[position];
                stopped.push(format!(
                    "(task {})",
                    task.arn.rsplit('/').next().unwrap_or_default()
                ));
                self.stop_task(task, reason.clone());
            }
            let text = format!(
                "(service {}) has stopped {surplus} running tasks: {}.",
                service.name,
                stopped.join(" ")
            );
            self.note(service, text);
            service.units[index].updated_at = self.now;
            return true;
        }
        false
    }

    fn new_task(&mut self, service: &Service, index: usize) -> Option<Task> {
        let unit = &service.units[index];
        let behaviour = self.ecs.task_definition(&unit.task_definition)?.behaviour;
        let targets = unit
            .load_balancers
            .as_list()
            .iter()
            .filter_map(|entry| {
                let group = entry.get("targetGroupArn").as_str()?;
                Some((group.to_string(), entry.get("containerPort").as_i64()?))
            })
            .collect();
        let id = ids::hex(&mut self.rng, 32);
        let due = self.now + self.rng.random_range(8_000..10_000);
        Some(Task {
            arn: self.arn("ecs", &format!("task/{}/{id}", service.cluster)),
            unit: unit.id.clone(),
            task_definition: unit.task_definition.clone(),
            state: TaskState::Provisioning,
            address: self.ecs.next_address(),
            behaviour,
            targets,
            zone: self.zone(self.ecs.addresses as usize),
            due: Some(due),
            created_at: self.now,
            started_at: None,
            stopping_at: None,
            stopped_at: None,
            stop: None,
            exit_code: None,
            was_healthy: false,
        })
    }

    /// Takes a task out of its target groups, lets it drain, then stops it.
    pub(super) fn stop_task(&mut self, task: &mut Task, reason: String) {
        let mut drain = 0;
        if task.state == TaskState::Running {
            for (group, port) in &task.targets {
                if let Some(owner) = self.elb.target_groups.get(group) {
                    drain = drain.max(owner.deregistration_delay_ms());
                }
                self.elb.deregister(group, &task.address, *port, self.now);
            }
        }
        task.stop = Some(("ServiceSchedulerInitiated", reason));
        task.stopping_at = Some(self.now);
        if drain > 0 {
            task.state = TaskState::Deactivating;
            task.due = Some(self.now + drain);
        } else {
            task.state = TaskState::Stopping;
            task.due = Some(self.now + STOP_MS);
        }
    }

    pub(super) fn task_is_healthy(&self, task: &Task) -> bool {
        task.state == TaskState::Running
            && (!task.targets.is_empty() || task.due.is_none())
            && task.targets.iter().all(|(group, port)| {
                self.elb.health(group, &task.address, *port) == Some(Health::Healthy)
            })
    }

    fn note_steadiness(&mut self, service: &mut Service) -> bool {
        let mut moved = false;
        for index in 0..service.units.len() {
            let unit = &service.units[index];
            let wanted = service.wanted(unit);
            let present: Vec<&Task> = service
                .tasks
                .iter()
                .filter(|task| task.unit == unit.id && task.state != TaskState::Stopped)
                .collect();
            let steady = present.len() as i64 == wanted
                && present.iter().all(|task| self.task_is_healthy(task));
            let now = self.now;
            let unit = &mut service.units[index];
            if steady != unit.steady {
                unit.steady = steady;
                unit.steady_at = now;
                unit.updated_at = now;
                moved = true;
                if steady {
                    unit.failures_in_a_row = 0;
                }
            }
        }
        let at_rest = |unit: &Unit| unit.steady && unit.rollout_state() != Some("IN_PROGRESS");
        let steady = !service.units.is_empty() && service.units.iter().all(at_rest);
        if steady && !service.steady {
            let text = format!("(service {}) has reached a steady state.", service.name);
            self.note(service, text);
        }
        service.steady = steady;
        moved
    }

    /// Adds a service event.
    pub(super) fn note(&mut self, service: &mut Service, text: String) {
        let id = ids::uuid(&mut self.rng);
        service.events.push_front((id, self.now, text));
        service.events.truncate(EVENTS_KEPT);
    }
}

impl Unit {
    fn record_failure(&mut self, now: i64) {
        self.failures_in_a_row += 1;
        self.failed_tasks += 1;
        let doublings = u32::try_from(self.failures_in_a_row - 1)
            .unwrap_or_default()
            .min(6);
        self.retry_at = now + (FIRST_RETRY_MS << doublings).min(LAST_RETRY_MS);
    }
}
