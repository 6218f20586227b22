//! The course of a service deployment: its beginning, its alarms and circuit breaker, its success, its
//! rollback; and how the ROLLING strategy replaces tasks in waves.
//!
//! * At most `floor(desired * maximumPercent)` tasks run or start, at least `ceil(desired *
//!   minimumHealthyPercent)` stay healthy: \[M\] DeploymentConfiguration.
//! * A rollback goes to the most recent COMPLETED deployment, which becomes IN_PROGRESS again under its own id;
//!   without one ECS has nothing to roll back to: \[D\] deployment-circuit-breaker. The texts of the service
//!   events, and that ids are the old ones: \[O\] event lists of 2026.
//! * An alarm that is in ALARM when a deployment begins switches the alarms off for it: \[D\]
//!   deployment-alarm-failure. `deployment failed: alarm detected.`, some 20 s after the alarm: \[O\].
//! * `earlySuccessCriteria` ends a deployment before all its tasks run; the rest follows in the background: \[M\].
//! * A failure without rollback makes the service deployment STOPPED: \[M\] ServiceDeployment.stoppedAt. A
//!   deployment that is replaced by another goes STOP_REQUESTED and STOPPED: \[D\] service-deployment.
//! * At most five deployments can have tasks; the text: \[O\] containers-roadmap 2836; its code is our choice.
//! * Our choice: 75 ms of PENDING (one trace has that), or 1.1 s where another is stopped first; alarms are looked at every
//!   20 s; a bake of three minutes where alarms are on and no bake time is given (documented as less than five
//!   minutes); the texts of statusReason for alarms and requested stops; a rollback whose own tasks
//!   open the circuit breaker is ROLLBACK_FAILED.

use super::circuit_breaker::CircuitBreaker;
use super::deployment_configuration::Strategy;
use super::native::NativeRun;
use super::service_deployments::{AlarmWatch, Part, Rollback, ServiceDeployment, Status};
use super::service_revisions::OF_A_REVISION;
use super::task_definitions::client;
use super::{Service, ServiceStatus, TaskState, UnitStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::cloudwatch::AlarmState;
use crate::world::ids;
use crate::world::read::put;
use crate::world::region::Region;

const PENDING_MS: i64 = 75;
const SUPERSEDED_MS: i64 = 1_000;
const ALARM_POLL_MS: i64 = 20_000;
const ALARM_BAKE_MS: i64 = 180_000;
const MOST_ACTIVE: usize = 5;
const MINUTE_MS: i64 = 60_000;

/// Why a service deployment does not go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// The circuit breaker opened.
    CircuitBreaker,
    /// These alarms fired.
    Alarms(Vec<String>),
    /// StopServiceDeployment was called.
    Requested,
    /// A stage of a native strategy failed; the whole reason.
    Stage(String),
}

impl Failure {
    /// `statusReason` of a service deployment that is rolled back.
    fn reason(&self) -> String {
        match self {
            Failure::CircuitBreaker => {
                "Service deployment rolled back because the circuit breaker threshold was exceeded."
                    .to_string()
            }
            Failure::Alarms(names) => format!(
                "Service deployment rolled back because the following alarm(s) are in ALARM state: {}.",
                names.join(", ")
            ),
            Failure::Requested => {
                "Service deployment rolled back because a rollback was requested.".to_string()
            }
            Failure::Stage(reason) => reason.clone(),
        }
    }

    /// What the service event says behind `deployment failed: `.
    fn event(&self) -> String {
        match self {
            Failure::CircuitBreaker => "tasks failed to start.".to_string(),
            Failure::Alarms(_) => "alarm detected.".to_string(),
            _ => self.reason(),
        }
    }

    /// `rolloutStateReason`, and what a rollback for this is called there.
    fn rollout(&self) -> (String, &'static str) {
        match self {
            Failure::CircuitBreaker => (
                "ECS deployment circuit breaker: tasks failed to start.".to_string(),
                "ECS deployment circuit breaker",
            ),
            Failure::Alarms(_) => (
                "ECS deployment alarms: alarm detected.".to_string(),
                "ECS deployment alarms",
            ),
            _ => (self.reason(), "ECS deployment"),
        }
    }
}

impl Service {
    /// Which unit a rollback would bring back.
    fn rollback_candidate(&self, failed: &str) -> Option<usize> {
        self.units.iter().rposition(|unit| {
            unit.id != failed
                && unit.status == UnitStatus::Active
                && unit.rollout_state() == Some("COMPLETED")
        })
    }
}

impl Region {
    /// Whether a service can begin another deployment.
    pub(super) fn check_room_for_deployment(service: &Service) -> Result<(), AwsError> {
        let live = service
            .units
            .iter()
            .filter(|unit| {
                let mut own = service.tasks.iter().filter(|task| task.unit == unit.id);
                own.any(|task| task.state != TaskState::Stopped)
            })
            .count();
        if live >= MOST_ACTIVE {
            return Err(client(format!(
                "{MOST_ACTIVE} active deployments exist, unable to create new deployment."
            )));
        }
        Ok(())
    }

    /// Begins a service deployment: a new unit is PRIMARY, those before it ACTIVE, and what was going on stops.
    pub(super) fn begin_deployment(&mut self, service: &mut Service, task_definition: &str) {
        let now = self.now;
        let mut wait = PENDING_MS;
        for one in &mut service.service_deployments {
            if !one.status.is_terminal() {
                wait = SUPERSEDED_MS + 100;
                one.supersede(now + SUPERSEDED_MS, now);
            }
        }
        for unit in &mut service.units {
            unit.status = UnitStatus::Active;
        }
        service.forget_history(now);
        let revision = self.new_service_revision(service, task_definition);
        let mut unit = self.new_unit(service, task_definition);
        unit.status = UnitStatus::Primary;
        unit.revision = Some(revision.clone());
        unit.held = true;
        unit.rollout = Some((
            "IN_PROGRESS",
            format!("ECS deployment {} in progress.", unit.id),
        ));
        // Rolling behind a rule whose traffic another strategy moved: where the traffic is now.
        let serving = service.rollback_candidate_id(&unit.id);
        let serving = serving
            .and_then(|id| service.unit(&id))
            .or(service.units.last());
        let moved = |entry: &Value| !entry.get("advancedConfiguration").is_null();
        if let Some(serving) = serving
            && service.load_balancers.as_list().iter().any(moved)
        {
            unit.load_balancers = serving.load_balancers.clone();
        }
        service.task_definition = Some(task_definition.to_string());
        let sources = service
            .units
            .iter()
            .filter(|old| {
                let mut own = service.tasks.iter().filter(|task| task.unit == old.id);
                own.any(|task| !task.stopping())
            })
            .filter_map(|old| Some(Part::new(old.id.clone(), old.revision.clone()?)))
            .collect();
        let id = ids::service_deployment_id(&mut self.rng);
        let path = format!(
            "service-deployment/{}/{}/{id}",
            service.cluster, service.name
        );
        let configuration = service.deployment_configuration.clone();
        let breaker = CircuitBreaker::read(&configuration);
        let alarms = configuration.get("alarms");
        let names = alarms
            .get("alarmNames")
            .as_list()
            .iter()
            .filter_map(|name| name.as_str().map(str::to_string))
            .collect();
        service.service_deployments.push(ServiceDeployment {
            arn: self.arn("ecs", &path),
            status: Status::Pending,
            reason: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            stopped_at: None,
            updated_at: now,
            target: Part::new(unit.id.clone(), revision),
            sources,
            strategy: Strategy::of(&configuration),
            configuration,
            rollback: None,
            failures: 0,
            threshold: breaker.threshold(service.desired),
            tripped: false,
            alarms: AlarmWatch {
                names,
                status: "DISABLED",
                triggered: Vec::new(),
                due: None,
            },
            due: Some(now + wait),
            bake_until: None,
            native: None,
        });
        service.units.push(unit);
        service.steady = false;
    }

    /// Moves every service deployment of the service that is not over.
    pub(super) fn step_service_deployments(&mut self, service: &mut Service) -> bool {
        let mut moved = false;
        let mut index = service.service_deployments.len();
        while index > 0 && !service.service_deployments[index - 1].status.is_terminal() {
            index -= 1;
            // Taken out while it moves, because it changes the rest of the service.
            let mut one = service.service_deployments.remove(index);
            if self.step_service_deployment(service, &mut one) {
                one.updated_at = self.now;
                moved = true;
            }
            service.service_deployments.insert(index, one);
        }
        moved
    }

    fn step_service_deployment(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
    ) -> bool {
        let now = self.now;
        let due = one.due.is_some_and(|at| at <= now);
        if due {
            one.due = None;
        }
        if service.status != ServiceStatus::Active {
            one.reason = Some("Service deployment stopped because the service was deleted.".into());
            one.end(service, Status::Stopped, now);
            return true;
        }
        match one.status {
            Status::Pending if due => {
                one.status = Status::InProgress;
                one.started_at = Some(now);
                self.watch_alarms(one);
                self.start_strategy(service, one);
                true
            }
            Status::StopRequested if due => {
                one.end(service, Status::Stopped, now);
                true
            }
            // Too late: the deployment is as good as over.
            Status::RollbackRequested
                if due && one.native.as_ref().is_some_and(NativeRun::is_cleaning_up) =>
            {
                true
            }
            Status::RollbackRequested if due => {
                self.fail_deployment(service, one, &Failure::Requested);
                true
            }
            Status::InProgress | Status::RollbackRequested | Status::RollbackInProgress => {
                self.advance_deployment(service, one)
            }
            _ => false,
        }
    }

    fn start_strategy(&mut self, service: &mut Service, one: &mut ServiceDeployment) {
        if one.strategy.is_native() {
            self.start_native(service, one);
            return;
        }
        if let Some(unit) = service.unit_mut(&one.target.unit) {
            unit.held = false;
        }
        let unit = service.unit(&one.target.unit);
        let balancers = unit.map_or(&Value::Null, |unit| &unit.load_balancers);
        let groups = balancers
            .as_list()
            .iter()
            .filter_map(|entry| entry.get("targetGroupArn").as_str())
            .map(|group| (group.to_string(), None))
            .collect();
        let revision = &one.target.revision;
        let mut revisions = service.revisions.iter_mut();
        if let Some(revision) = revisions.find(|own| own.arn == *revision) {
            revision.resolved = groups;
        }
    }

    /// Decides whether the alarms are watched.
    fn watch_alarms(&mut self, one: &mut ServiceDeployment) {
        let enabled = one.configuration.get("alarms").get("enable").as_bool() == Some(true);
        let fires = |name: &String| self.cloudwatch.alarm_state(name) == Some(AlarmState::Alarm);
        if enabled && !one.alarms.names.iter().any(fires) {
            one.alarms.status = "MONITORING";
            one.alarms.due = Some(self.now + ALARM_POLL_MS);
        }
    }

    /// What every strategy watches: alarms and circuit breaker. What went wrong, if something did.
    fn watch(&mut self, service: &Service, one: &mut ServiceDeployment) -> Option<Failure> {
        let now = self.now;
        let breaker = CircuitBreaker::read(&service.deployment_configuration);
        let rolling_back = one.status == Status::RollbackInProgress;
        one.threshold = breaker.threshold(service.desired);
        let watched = match (rolling_back, service.primary()) {
            (true, primary) => primary,
            (false, _) => service.unit(&one.target.unit),
        };
        let failures = watched.map_or(0, |unit| unit.failed_tasks);
        if !rolling_back {
            one.failures = failures;
        }
        if breaker.enabled && failures >= one.threshold {
            one.tripped = true;
            return Some(Failure::CircuitBreaker);
        }
        if one.alarms.due.is_some_and(|at| at <= now) {
            one.alarms.due = Some(now + ALARM_POLL_MS);
            let names = one.alarms.names.iter();
            let fires: Vec<String> = names
                .filter(|name| self.cloudwatch.alarm_state(name) == Some(AlarmState::Alarm))
                .cloned()
                .collect();
            if !fires.is_empty() {
                one.alarms.status = "TRIGGERED";
                one.alarms.due = None;
                one.alarms.triggered.clone_from(&fires);
                return Some(Failure::Alarms(fires));
            }
        }
        None
    }

    fn advance_deployment(&mut self, service: &mut Service, one: &mut ServiceDeployment) -> bool {
        let too_late = one.native.as_ref().is_some_and(NativeRun::is_cleaning_up);
        if !too_late && let Some(failure) = self.watch(service, one) {
            if one.status == Status::RollbackInProgress {
                self.fail_rollback(service, one);
            } else {
                self.fail_deployment(service, one, &failure);
            }
            return true;
        }
        if one.strategy.is_native() {
            return self.advance_native(service, one);
        }
        self.advance_rolling(service, one)
    }

    /// The deployment goes no further. It is rolled back, if that is wished and there is something to go back to.
    pub(super) fn fail_deployment(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        failure: &Failure,
    ) {
        let now = self.now;
        let name = service.name.clone();
        let failed = one.target.unit.clone();
        let (text, origin) = failure.rollout();
        if let Some(unit) = service.unit_mut(&failed) {
            unit.rollout = Some(("FAILED", text));
            unit.updated_at = now;
        }
        let event = failure.event();
        self.note(
            service,
            format!("(service {name}) (deployment {failed}) deployment failed: {event}"),
        );
        one.alarms.due = None;
        one.bake_until = None;
        let rolls_back = match failure {
            Failure::CircuitBreaker => {
                CircuitBreaker::read(&service.deployment_configuration).rolls_back
            }
            Failure::Alarms(_) => {
                one.configuration.get("alarms").get("rollback").as_bool() == Some(true)
            }
            _ => true,
        };
        if !rolls_back {
            one.reason = Some(failure.reason().replacen("rolled back", "stopped", 1));
            one.end(service, Status::Stopped, now);
            return;
        }
        let Some(index) = service.rollback_candidate(&failed) else {
            one.reason = Some("No rollback candidate was found to run the rollback.".to_string());
            one.end(service, Status::RollbackFailed, now);
            return;
        };
        let id = service.units[index].id.clone();
        self.note(
            service,
            format!("(service {name}) rolling back to deployment {id}."),
        );
        for unit in &mut service.units {
            unit.status = UnitStatus::Active;
        }
        let unit = &mut service.units[index];
        unit.status = UnitStatus::Primary;
        unit.rollout = Some((
            "IN_PROGRESS",
            format!("{origin}: rolling back to deploymentId {id}."),
        ));
        unit.failed_tasks = 0;
        unit.updated_at = now;
        let target = unit.task_definition.clone();
        let revision = unit.revision.clone().unwrap_or_default();
        service.task_definition = Some(target);
        if let Some(own) = service.revisions.iter().find(|own| own.arn == revision) {
            service.load_balancers = own.load_balancers.clone();
            for member in OF_A_REVISION {
                let value = own.given.get(member).clone();
                if !value.is_null() {
                    put(&mut service.given, member, value);
                }
            }
        }
        one.status = Status::RollbackInProgress;
        one.reason = Some(failure.reason());
        one.rollback = Some(Rollback {
            reason: failure.reason(),
            started_at: now,
            revision,
        });
        service.steady = false;
    }

    fn fail_rollback(&mut self, service: &mut Service, one: &mut ServiceDeployment) {
        let now = self.now;
        let (text, _) = Failure::CircuitBreaker.rollout();
        let Some(unit) = service
            .units
            .iter_mut()
            .find(|unit| unit.status == UnitStatus::Primary)
        else {
            return;
        };
        unit.rollout = Some(("FAILED", text));
        let event = format!(
            "(service {}) (deployment {}) deployment failed: tasks failed to start.",
            service.name, unit.id
        );
        self.note(service, event);
        one.reason = Some(
            "Service deployment rollback failed because the circuit breaker threshold was exceeded."
                .to_string(),
        );
        one.end(service, Status::RollbackFailed, now);
    }

    fn advance_rolling(&mut self, service: &mut Service, one: &mut ServiceDeployment) -> bool {
        let now = self.now;
        let Some(primary) = service.primary().filter(|unit| !unit.held) else {
            return false;
        };
        let primary = primary.id.clone();
        let healthy = self.healthy_tasks(service, &primary);
        let others = service.has_others(&primary);
        let full = healthy == service.desired && !others;
        let criteria = one.configuration.get("earlySuccessCriteria");
        let early = criteria.get("enable").as_bool() == Some(true)
            && one.status != Status::RollbackInProgress;
        let reached = if early {
            let share = service.desired * criteria.get("healthyPercent").as_i64().unwrap_or(100);
            let enough = healthy * 100 >= share;
            let blocking =
                criteria.get("sourceServiceRevisionCleanup").as_str() == Some("BLOCKING");
            let mut tasks = service.tasks.iter();
            let removed =
                tasks.all(|task| task.unit == primary || task.state == TaskState::Stopped);
            enough && (removed || !blocking)
        } else {
            full
        };
        if !reached {
            return false;
        }
        let Some(until) = one.bake_until else {
            let minutes = one.configuration.get("bakeTimeInMinutes").as_i64();
            let bake = match minutes.unwrap_or_default() {
                _ if one.status == Status::RollbackInProgress => 0,
                0 if one.alarms.status == "MONITORING" => ALARM_BAKE_MS,
                minutes => minutes * MINUTE_MS,
            };
            one.bake_until = Some(now + bake);
            return true;
        };
        if until > now {
            return false;
        }
        self.complete_deployment(service, one, &primary);
        if full {
            service.units.retain(|unit| unit.id == primary);
        }
        true
    }

    /// The unit serves as it should: success, of the deployment or of its rollback.
    pub(super) fn complete_deployment(
        &mut self,
        service: &mut Service,
        one: &mut ServiceDeployment,
        primary: &str,
    ) {
        let now = self.now;
        if let Some(unit) = service.unit_mut(primary) {
            let text = format!("ECS deployment {primary} completed.");
            unit.rollout = Some(("COMPLETED", text));
            unit.updated_at = now;
        }
        let event = format!(
            "(service {}) (deployment {primary}) deployment completed.",
            service.name
        );
        self.note(service, event);
        let status = match one.status {
            Status::RollbackInProgress => Status::RollbackSuccessful,
            _ => Status::Successful,
        };
        one.end(service, status, now);
    }

    /// How many tasks of a unit pass their health checks.
    pub(super) fn healthy_tasks(&self, service: &Service, unit: &str) -> i64 {
        let tasks = service.tasks.iter();
        tasks
            .filter(|task| task.unit == unit && self.task_is_healthy(task))
            .count() as i64
    }

    /// How many tasks the old and the new deployments of a rolling service may have.
    pub(super) fn plan_rolling(&mut self, service: &mut Service) -> bool {
        let Some(primary) = service.primary() else {
            return false;
        };
        if primary.held {
            return false;
        }
        let failed = primary.rollout_state() == Some("FAILED");
        let over = primary.rollout_state() == Some("COMPLETED");
        let primary = primary.id.clone();
        let percent = |key: &str, default: i64| {
            let value = service.deployment_configuration.get(key).as_i64();
            value.unwrap_or(default)
        };
        let most = service.desired * percent("maximumPercent", 200) / 100;
        let share = service.desired * percent("minimumHealthyPercent", 100);
        let least = share / 100 + i64::from(share % 100 > 0);
        let healthy = self.healthy_tasks(service, &primary);
        let present = |unit: &str| {
            let tasks = service.tasks.iter();
            tasks
                .filter(|task| task.unit == unit && !task.stopping())
                .count() as i64
        };
        let counts: Vec<i64> = service.units.iter().map(|unit| present(&unit.id)).collect();
        let all: i64 = counts.iter().sum();
        let own = service.units.iter().position(|unit| unit.id == primary);
        let old_running = all - own.map_or(0, |index| counts[index]);
        let mut old_wanted = (least - healthy).max(0);
        let desired = service.desired;
        let mut moved = false;
        // Oldest first: what served before keeps serving until the new one can.
        for (unit, present) in service.units.iter_mut().zip(&counts) {
            let wanted = match unit.status {
                // What failed starts no more tasks.
                UnitStatus::Primary if failed => unit.rolling_wanted.min(*present),
                UnitStatus::Primary => desired.min((most - old_running).max(0)),
                _ => {
                    let stays = if unit.rollout_state() == Some("FAILED") {
                        unit.rolling_wanted.min(*present)
                    } else {
                        unit.rolling_wanted
                    };
                    let own = old_wanted.min(stays);
                    old_wanted -= own;
                    own
                }
            };
            moved |= wanted != unit.rolling_wanted;
            unit.rolling_wanted = wanted;
        }
        // An early success leaves its predecessors behind until they are empty.
        let alone = over && healthy == desired && !service.has_others(&primary);
        let keep = service.rollback_candidate(&primary);
        let keep = keep.map(|index| service.units[index].id.clone());
        let before = service.units.len();
        let Service { units, tasks, .. } = service;
        units.retain(|unit| {
            let lives = tasks
                .iter()
                .any(|task| task.unit == unit.id && !task.stopping());
            unit.id == primary || (lives && !alone) || (!alone && keep.as_deref() == Some(&unit.id))
        });
        moved || units.len() != before
    }
}

impl Service {
    /// The unit that a rollback would bring back.
    pub(super) fn rollback_candidate_id(&self, failed: &str) -> Option<String> {
        let index = self.rollback_candidate(failed)?;
        Some(self.units[index].id.clone())
    }

    /// Whether a unit has tasks that are not being stopped.
    pub(super) fn lives(&self, unit: &str) -> bool {
        self.tasks
            .iter()
            .any(|task| task.unit == unit && !task.stopping())
    }

    /// Whether tasks of another unit than this one live.
    pub(super) fn has_others(&self, unit: &str) -> bool {
        self.tasks
            .iter()
            .any(|task| task.unit != unit && !task.stopping())
    }
}

impl ServiceDeployment {
    fn supersede(&mut self, due: i64, now: i64) {
        self.status = Status::StopRequested;
        self.reason = Some(
            "Service deployment stopped because a newer service deployment was started."
                .to_string(),
        );
        self.due = Some(due);
        (self.bake_until, self.alarms.due) = (None, None);
        self.updated_at = now;
    }
}

/// The members that a deployment answers for a unit.
pub(super) fn deployment_value(service: &Service, unit: &super::Unit) -> Value {
    let (running, pending) = service.counts(&unit.id);
    let (state, reason) = match &unit.rollout {
        Some((state, reason)) => (Some(*state), Some(reason.as_str())),
        None => (None, None),
    };
    let status = match unit.status {
        UnitStatus::Primary => "PRIMARY",
        UnitStatus::Draining if running + pending == 0 => "INACTIVE",
        _ => "ACTIVE",
    };
    structure! {
        "id": unit.id.as_str(),
        "status": status,
        "taskDefinition": unit.task_definition.as_str(),
        "desiredCount": service.wanted(unit),
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": unit.failed_tasks,
        "createdAt": Value::Time(unit.created_at),
        "updatedAt": Value::Time(unit.updated_at),
        "capacityProviderStrategy": unit.given.get("capacityProviderStrategy").clone(),
        "launchType": unit.given.get("launchType").clone(),
        "platformVersion": unit.given.get("platformVersion").clone(),
        "platformFamily": unit.given.get("platformFamily").clone(),
        "networkConfiguration": unit.given.get("networkConfiguration").clone(),
        "serviceConnectConfiguration": unit.given.get("serviceConnectConfiguration").clone(),
        "volumeConfigurations": unit.given.get("volumeConfigurations").clone(),
        "rolloutState": state,
        "rolloutStateReason": reason,
    }
}
