//! What CodeDeploy does by itself: one deployment from `Created` to its end.
//!
//! ```text
//! Created --3 s--> BeforeInstall > Install > AfterInstall > [AllowTestTraffic > AfterAllowTestTraffic]
//!      > (Ready) > BeforeAllowTraffic > AllowTraffic > AfterAllowTraffic > termination wait > Succeeded
//! ```
//!
//! * Events, their order, `InProgress` during the termination wait, production weights on a scale of
//!   0 to 100, the running event `Failed` and the later ones `Skipped` after a stop: \[O\].
//! * A failed validation without rollback leaves both task sets and the weights as they are; no rollback from
//!   `BeforeInstall`: \[D\].
//! * An alarm that fires stops the deployment, also one that fired before (seen at `Install`); the rollback is a
//!   second deployment without a task set of its own, and its replacement is the original task set: \[O\].
//! * A time-out of the wait for rerouting rolls back where a stop does; a service that is not steady for five minutes
//!   of the shift fails its deployment; an event must begin within five minutes: \[D\].
//! * The alarms are polled every 10 s, and a requested stop takes 5 s: our choice within the 10 to 25 s
//!   that a stop with rollback was seen to take.
//! * Our choice: `Ready` comes after `AfterAllowTestTraffic` and before `BeforeAllowTraffic`; when it times out the
//!   deployment is `Stopped` with the code `TIMEOUT`. `Install` puts production
//!   at 100/0 over both target groups and removes what an earlier deployment left behind. A rollback
//!   deployment lists all events, and skips all but `AllowTraffic`. An alarm that does not exist counts as one that
//!   cannot be read. A function is invoked the moment its event begins, unless it is told never to start.

use super::{
    CodeDeploy, Deployment, EventStatus, HookBehaviour, LifecycleEvent, Routing, Side, Stage,
    Status,
};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::cloudwatch::AlarmState;
use crate::world::ecs::ServiceStatus;
use crate::world::read::{text, texts};
use crate::world::region::Region;
use crate::world::sabotage::Sabotage;
use crate::world::{Effect, ids};

pub(super) const CREATED_MS: i64 = 3_000;
const BEFORE_INSTALL_MS: i64 = 200;
const EVENT_MS: i64 = 500;
pub(super) const ALARM_POLL_MS: i64 = 10_000;
pub(super) const STOP_MS: i64 = 5_000;
const FUNCTION_MS: i64 = 1_200;
const HOOK_TIMEOUT_MS: i64 = 3_600_000;
/// Within which an event must begin \[D\].
const HOOK_START_MS: i64 = 300_000;
const INSTALL_TIMEOUT_MS: i64 = 3_600_000;
/// How long traffic goes on shifting while the service is not steady \[D\].
pub(super) const UNSTEADY_MS: i64 = 300_000;
const CLEAN_UP_MS: i64 = 3_000;
const ROLLBACK_STEP_MS: i64 = 2_000;

const ALL_EVENTS: [&str; 8] = [
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AllowTestTraffic",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
];

/// The lifecycle events of a deployment with or without a test listener.
pub(super) fn lifecycle(
    test_listener: bool,
    hooks: &[(&'static str, String)],
) -> Vec<LifecycleEvent> {
    ALL_EVENTS
        .into_iter()
        .filter(|name| test_listener || !name.contains("TestTraffic"))
        .map(|name| LifecycleEvent {
            name,
            status: EventStatus::Pending,
            started_at: None,
            ended_at: None,
            function: hooks
                .iter()
                .find(|(event, _)| *event == name)
                .map(|(_, function)| function.clone()),
            execution_id: None,
            report: None,
            will_report: None,
        })
        .collect()
}

/// The name of a function without the ARN around it and the alias behind it.
fn bare_function(given: &str) -> &str {
    if !given.starts_with("arn:") {
        return given.split(':').next().unwrap_or(given);
    }
    given.split(':').nth(6).unwrap_or(given)
}

/// ECS's refusal in CodeDeploy's words \[O\].
fn ecs_error(request_id: &str, error: &AwsError) -> (&'static str, String) {
    (
        "ECS_UPDATE_ERROR",
        format!(
            "The ECS service cannot be updated due to an unexpected error: {} (Service: AmazonECS; Status \
             Code: {}; Error Code: {}; Request ID: {request_id}; Proxy: null). Check your ECS service status.",
            error.message, error.status, error.code
        ),
    )
}

impl Region {
    /// Moves every deployment that can move by one transition.
    pub(crate) fn step_deployments(&mut self) -> bool {
        let active: Vec<usize> = self.codedeploy.active.iter().copied().collect();
        let mut moved = false;
        for index in active {
            // Worked on as a copy, because the rest of the region is needed beside it.
            let Some(found) = self.codedeploy.deployments.get(index) else {
                continue;
            };
            if !self.can_move(found) {
                continue;
            }
            let mut deployment = found.clone();
            self.work.deployments += 1;
            if self.advance(&mut deployment) {
                deployment.updated_at = self.now;
                self.put_back(index, deployment);
                moved = true;
            }
        }
        moved
    }

    /// Whether there could be anything to do now: false only where [`Region::advance`] would do nothing.
    fn can_move(&self, deployment: &Deployment) -> bool {
        let due = |at: Option<i64>| at.is_some_and(|at| at <= self.now);
        let stop = deployment.stop_due.map(|(at, _)| at);
        if due(stop) || due(deployment.alarm_check_due) || due(deployment.due) {
            return true;
        }
        let Stage::Event(index) = deployment.stage else {
            return false;
        };
        let service = || self.ecs.services.get(&deployment.service);
        let steady = |side: &Side| {
            let unit = service()?.unit(side.task_set.as_deref()?)?;
            Some(unit.steady)
        };
        match deployment.events.get(index) {
            None => true,
            Some(event) if event.name == "Install" => steady(&deployment.green) == Some(true),
            Some(event) if event.name == "AllowTraffic" => {
                let steady = [&deployment.blue, &deployment.green]
                    .into_iter()
                    .all(|side| steady(side) != Some(false));
                let since = deployment.unsteady_since;
                steady != since.is_none() || (!steady && due(since.map(|at| at + UNSTEADY_MS)))
            }
            Some(event) => event.report.is_some() || due(event.will_report.map(|(at, _)| at)),
        }
    }

    fn put_back(&mut self, index: usize, deployment: Deployment) {
        if deployment.status.is_terminal() {
            self.codedeploy.active.remove(&index);
            let succeeded = deployment.status == Status::Succeeded;
            let revision = deployment.revision.clone();
            let group = self
                .codedeploy
                .group_mut(&deployment.application, &deployment.group);
            if let (true, Some(group)) = (succeeded, group) {
                group.last_successful = Some(index);
                if revision.is_some() {
                    group.target_revision = revision;
                }
            }
        }
        let before = self.codedeploy.deployments.get(index);
        if let Some(before) = before.map(|deployment| deployment.status) {
            self.tell_deployment(before, &deployment);
        }
        if let Some(slot) = self.codedeploy.deployments.get_mut(index) {
            *slot = deployment;
        }
    }

    fn advance(&mut self, deployment: &mut Deployment) -> bool {
        let now = self.now;
        if let Some((at, rolls_back)) = deployment.stop_due
            && at <= now
        {
            let message = "The deployment was stopped by a user.".to_string();
            self.end_early(
                deployment,
                Status::Stopped,
                ("MANUAL_STOP", message),
                rolls_back,
            );
            return true;
        }
        if deployment.alarm_check_due.is_some_and(|at| at <= now) {
            deployment.alarm_check_due = Some(now + ALARM_POLL_MS);
            if let Some(error) = self.alarm_verdict(&deployment.alarms) {
                let rolls_back = rolls_back_on(deployment, "DEPLOYMENT_STOP_ON_ALARM");
                self.end_early(deployment, Status::Stopped, error, rolls_back);
            }
            return true;
        }
        let due = deployment.due.is_some_and(|at| at <= now);
        match deployment.stage {
            Stage::Event(index) => self.advance_event(deployment, index, due),
            Stage::Ended => false,
            _ if !due => false,
            Stage::Starting => {
                deployment.status = Status::InProgress;
                deployment.started_at = Some(now);
                if deployment.creator == "codeDeployRollback" {
                    deployment.stage = Stage::RestoreWeights;
                    deployment.due = Some(now + ROLLBACK_STEP_MS / 2);
                    set_event(deployment, "AllowTraffic", EventStatus::InProgress, now);
                    return true;
                }
                let read = deployment
                    .revision
                    .as_ref()
                    .map(|location| self.app_spec(&deployment.application, location));
                match read {
                    Some(Ok(spec)) => {
                        deployment.events =
                            lifecycle(deployment.test_listener.is_some(), &spec.hooks);
                        deployment.spec = Some(spec);
                        self.begin_event(deployment, 0);
                    }
                    Some(Err(error)) => self.fail(deployment, error),
                    None => self.fail(deployment, revision_missing()),
                }
                true
            }
            Stage::ReadyWait => {
                let message =
                    "The deployment timed out while waiting for traffic rerouting to be started.";
                let error = ("TIMEOUT", message.to_string());
                let rolls_back = rolls_back_on_request(deployment);
                self.end_early(deployment, Status::Stopped, error, rolls_back);
                true
            }
            Stage::TerminationWait => {
                if let Some(blue) = deployment.blue.task_set.clone() {
                    self.drain_task_set(&deployment.service, &blue);
                }
                deployment.stage = Stage::CleaningUp;
                deployment.due = Some(now + CLEAN_UP_MS);
                true
            }
            Stage::CleaningUp => {
                self.succeed(deployment);
                true
            }
            Stage::RestoreWeights => {
                // The replacement of a rollback is the original task set.
                let good = deployment.green.clone();
                let pair = [
                    good.target_group.as_str(),
                    deployment.blue.target_group.as_str(),
                ];
                let weights = [(pair[0], 100), (pair[1], 0)];
                if self.elb.sabotage != Some(Sabotage::WeightsLeftAfterStop) {
                    self.elb
                        .rewrite(&deployment.production_listener, pair, &weights);
                }
                if let Some(listener) = &deployment.test_listener {
                    self.elb.point(listener, pair[0]);
                }
                if let Some(task_set) = &good.task_set {
                    self.make_primary(&deployment.service, task_set);
                }
                set_event(deployment, "AllowTraffic", EventStatus::Succeeded, now);
                deployment.stage = Stage::DrainReplacement;
                deployment.due = Some(now + ROLLBACK_STEP_MS);
                true
            }
            Stage::DrainReplacement => {
                if let Some(failed) = deployment.blue.task_set.clone() {
                    self.drain_task_set(&deployment.service, &failed);
                }
                self.succeed(deployment);
                true
            }
        }
    }

    fn begin_event(&mut self, deployment: &mut Deployment, index: usize) {
        let now = self.now;
        let Some(name) = deployment.events.get(index).map(|event| event.name) else {
            self.after_events(deployment);
            return;
        };
        let ready = deployment.blue_green.get("deploymentReadyOption");
        let waits = text(ready, "actionOnTimeout") == Some("STOP_DEPLOYMENT");
        if name == "BeforeAllowTraffic" && waits && !deployment.ready_passed {
            let minutes = ready.get("waitTimeInMinutes").as_i64().unwrap_or_default();
            deployment.status = Status::Ready;
            deployment.stage = Stage::ReadyWait;
            deployment.due = Some(now + minutes * 60_000);
            return;
        }
        deployment.stage = Stage::Event(index);
        deployment.due = None;
        set_event(deployment, name, EventStatus::InProgress, now);
        match name {
            "Install" => {
                deployment.alarm_check_due = Some(now);
                deployment.due = Some(now + INSTALL_TIMEOUT_MS);
                if let Err(error) = self.install(deployment) {
                    self.fail(deployment, error);
                }
            }
            "AllowTestTraffic" => {
                if let Some(listener) = &deployment.test_listener {
                    self.elb.point(listener, &deployment.green.target_group);
                }
                deployment.due = Some(now + EVENT_MS);
            }
            "AllowTraffic" => {
                deployment.shift_step = 0;
                self.shift(deployment);
            }
            _ => self.begin_hook(deployment, index),
        }
    }

    fn begin_hook(&mut self, deployment: &mut Deployment, index: usize) {
        let now = self.now;
        let event = &mut deployment.events[index];
        let Some(function) = event.function.clone() else {
            let wait = if event.name == "BeforeInstall" {
                BEFORE_INSTALL_MS
            } else {
                EVENT_MS
            };
            deployment.due = Some(now + wait);
            return;
        };
        let name = bare_function(&function).to_string();
        let execution_id = ids::hook_execution_id(&mut self.rng);
        event.execution_id = Some(execution_id.clone());
        deployment.due = Some(now + HOOK_TIMEOUT_MS);
        let behaviour = self.behaviours.get(&name).cloned().or_else(|| {
            name.strip_prefix("sim-")
                .filter(|rest| rest.starts_with("succeed-after-"))
                .and_then(HookBehaviour::parse)
        });
        match behaviour {
            Some(HookBehaviour::Succeed) => event.will_report = Some((now + FUNCTION_MS, true)),
            Some(HookBehaviour::Fail) => event.will_report = Some((now + FUNCTION_MS, false)),
            Some(HookBehaviour::SucceedAfter(ms)) => event.will_report = Some((now + ms, true)),
            Some(HookBehaviour::Silent) => {}
            Some(HookBehaviour::NeverStarts) => {
                event.execution_id = None;
                event.status = EventStatus::Pending;
                event.started_at = None;
                deployment.due = Some(now + HOOK_START_MS);
            }
            Some(HookBehaviour::Relay) => self.effects.push(Effect::InvokeHook {
                account: self.account.clone(),
                region: self.region.clone(),
                function: name,
                deployment_id: deployment.id.clone(),
                execution_id,
            }),
            None => {
                event.report = Some(Err((
                    "ScriptMissing",
                    format!("The function {name} could not be invoked: Function not found"),
                )));
            }
        }
    }

    fn advance_event(&mut self, deployment: &mut Deployment, index: usize, due: bool) -> bool {
        let now = self.now;
        let event = &mut deployment.events[index];
        match event.name {
            "Install" => {
                let steady = deployment.green.task_set.as_deref().is_some_and(|id| {
                    let service = self.ecs.services.get(&deployment.service);
                    service
                        .and_then(|service| service.unit(id))
                        .is_some_and(|unit| unit.steady)
                });
                if steady {
                    self.finish_event(deployment, index);
                } else if due {
                    let message = "The deployment timed out while waiting for the replacement task set to become \
                                   healthy. This time out period is 60 minutes.";
                    self.fail(deployment, ("TIMEOUT", message.to_string()));
                }
                steady || due
            }
            "AllowTraffic" => {
                if let Some(moved) = self.watch_stability(deployment) {
                    return moved;
                }
                if !due {
                    return false;
                }
                if deployment.routing.percent_after(deployment.shift_step) == 100 {
                    self.finish_event(deployment, index);
                } else {
                    deployment.shift_step += 1;
                    self.shift(deployment);
                }
                true
            }
            _ if event.function.is_none() => {
                if due {
                    self.finish_event(deployment, index);
                }
                due
            }
            _ => {
                if let Some((at, succeeds)) = event.will_report
                    && at <= now
                    && event.report.is_none()
                {
                    event.report = Some(if succeeds {
                        Ok(())
                    } else {
                        Err(reported_failed())
                    });
                }
                if due && event.status == EventStatus::Pending {
                    event.status = EventStatus::InProgress;
                    event.started_at = Some(now);
                    event.report = Some(Err((
                        "UnknownError",
                        "The lifecycle event did not start within five minutes".to_string(),
                    )));
                }
                if due && event.report.is_none() {
                    event.report = Some(Err((
                        "ScriptTimedOut",
                        "The function did not report a status within one hour".to_string(),
                    )));
                }
                match &event.report {
                    None => false,
                    Some(Ok(())) => {
                        self.finish_event(deployment, index);
                        true
                    }
                    Some(Err(_)) => {
                        let message = "One or more of the lifecycle event validation functions failed. Check the logs \
                                       for your function.";
                        self.fail(deployment, ("HOOK_EXECUTION_FAILURE", message.to_string()));
                        true
                    }
                }
            }
        }
    }

    /// While traffic shifts the service may be unsteady for five minutes, after which the deployment
    /// fails \[D\]. `None` when there is nothing to say, otherwise whether the deployment moved.
    fn watch_stability(&mut self, deployment: &mut Deployment) -> Option<bool> {
        let service = self.ecs.services.get(&deployment.service)?;
        let steady = [&deployment.blue, &deployment.green]
            .into_iter()
            .filter_map(|side| service.unit(side.task_set.as_deref()?))
            .all(|unit| unit.steady);
        match (steady, deployment.unsteady_since) {
            (true, None) => None,
            (true, Some(_)) => {
                deployment.unsteady_since = None;
                Some(true)
            }
            (false, None) => {
                deployment.unsteady_since = Some(self.now);
                Some(true)
            }
            (false, Some(since)) if self.now < since + UNSTEADY_MS => None,
            (false, Some(_)) => {
                let message = "The deployment failed because the ECS service did not reach a steady state \
                               within 5 minutes while traffic was being shifted.";
                self.fail(deployment, ("TIMEOUT", message.to_string()));
                Some(true)
            }
        }
    }

    fn finish_event(&mut self, deployment: &mut Deployment, index: usize) {
        let name = deployment.events[index].name;
        deployment.unsteady_since = None;
        set_event(deployment, name, EventStatus::Succeeded, self.now);
        self.begin_event(deployment, index + 1);
    }

    fn after_events(&mut self, deployment: &mut Deployment) {
        let terminate = deployment
            .blue_green
            .get("terminateBlueInstancesOnDeploymentSuccess");
        if text(terminate, "action") == Some("KEEP_ALIVE") {
            self.succeed(deployment);
            return;
        }
        let minutes = terminate
            .get("terminationWaitTimeInMinutes")
            .as_i64()
            .unwrap_or_default();
        deployment.termination_wait_started = true;
        deployment.stage = Stage::TerminationWait;
        deployment.due = Some(self.now + minutes * 60_000);
    }

    /// Creates the replacement task set, production still being wholly on the original one.
    fn install(&mut self, deployment: &mut Deployment) -> Result<(), (&'static str, String)> {
        let key = deployment.service.clone();
        let request_id = ids::uuid(&mut self.rng);
        let service = self
            .ecs
            .services
            .get(&key)
            .filter(|service| service.status == ServiceStatus::Active)
            .ok_or_else(|| {
                let error = AwsError::caller("ServiceNotFoundException", "Service not found.");
                ecs_error(&request_id, &error)
            })?;
        let primary = service.primary().map(|unit| {
            (
                unit.id.clone(),
                unit.target_group().unwrap_or_default().to_string(),
            )
        });
        let leftovers: Vec<String> = service
            .units
            .iter()
            .filter(|unit| primary.as_ref().is_none_or(|(id, _)| *id != unit.id))
            .map(|unit| unit.id.clone())
            .collect();
        let listener = deployment.production_listener.clone();
        let not_behind = |what: &str| {
            (
                "ELASTIC_LOAD_BALANCING_INVALID",
                format!(
                    "The ELB could not be updated due to the following error: Primary taskset target \
                     group must be {what}"
                ),
            )
        };
        let pair = [
            deployment.blue.target_group.clone(),
            deployment.green.target_group.clone(),
        ];
        let Some((primary, group)) = primary.filter(|(_, group)| pair.contains(group)) else {
            return Err(not_behind("one of the target group pair"));
        };
        let other = if pair[0] == group {
            pair[1].clone()
        } else {
            pair[0].clone()
        };
        deployment.blue = Side {
            target_group: group.clone(),
            task_set: Some(primary),
        };
        deployment.green = Side {
            target_group: other.clone(),
            task_set: None,
        };
        for leftover in leftovers {
            self.drain_task_set(&key, &leftover);
        }
        let both = [group.as_str(), other.as_str()];
        if !self
            .elb
            .rewrite(&listener, both, &[(both[0], 100), (both[1], 0)])
        {
            return Err(not_behind(&format!("behind listener {listener}")));
        }
        let Some(spec) = deployment.spec.clone() else {
            return Err(revision_missing());
        };
        let balancers = Value::List(vec![structure! {
            "targetGroupArn": other.as_str(),
            "containerName": spec.container.as_str(),
            "containerPort": spec.port,
        }]);
        let created = self.create_task_set(
            &key,
            &spec.task_definition,
            balancers,
            &spec.overrides,
            Some("CODE_DEPLOY"),
            Some(deployment.id.clone()),
        );
        deployment.green.task_set = Some(created.map_err(|error| ecs_error(&request_id, &error))?);
        Ok(())
    }

    /// Takes the traffic to where the current step says.
    fn shift(&mut self, deployment: &mut Deployment) {
        let percent = deployment.routing.percent_after(deployment.shift_step);
        let pair = [
            deployment.blue.target_group.as_str(),
            deployment.green.target_group.as_str(),
        ];
        let weights = [(pair[0], 100 - percent), (pair[1], percent)];
        if !self
            .elb
            .rewrite(&deployment.production_listener, pair, &weights)
        {
            let message = format!(
                "The ELB could not be updated due to the following error: Primary taskset target group \
                 must be behind listener {}",
                deployment.production_listener
            );
            self.fail(deployment, ("ELASTIC_LOAD_BALANCING_INVALID", message));
            return;
        }
        if percent == 100 {
            if let Some(green) = deployment.green.task_set.clone() {
                self.make_primary(&deployment.service, &green);
            }
            deployment.due = Some(self.now + EVENT_MS);
        } else {
            deployment.due = Some(self.now + deployment.routing.interval_ms());
        }
    }

    /// Why the alarms stop the deployment, if they do.
    pub(super) fn alarm_verdict(&self, configuration: &Value) -> Option<(&'static str, String)> {
        if configuration.get("enabled").as_bool() != Some(true) {
            return None;
        }
        let ignores = configuration.get("ignorePollAlarmFailure").as_bool() == Some(true);
        let mut firing = Vec::new();
        for alarm in configuration.get("alarms").as_list() {
            let Some(name) = text(alarm, "name") else {
                continue;
            };
            match self.cloudwatch.alarm_state(name) {
                Some(AlarmState::Alarm) => firing.push(name),
                Some(AlarmState::Ok | AlarmState::InsufficientData) => {}
                None if ignores => {}
                None => {
                    let message = format!(
                        "The state of the alarm {name} could not be retrieved from Amazon CloudWatch, and the \
                         deployment has been stopped."
                    );
                    return Some(("INTERNAL_ERROR", message));
                }
            }
        }
        (!firing.is_empty()).then(|| {
            let message = format!(
                "One or more alarms have been activated according to the Amazon CloudWatch metrics you \
                 selected, and the affected deployments have been stopped. Activated alarms: {}",
                firing.join(", ")
            );
            ("ALARM_ACTIVE", message)
        })
    }

    fn fail(&mut self, deployment: &mut Deployment, error: (&'static str, String)) {
        let rolls_back = rolls_back_on(deployment, "DEPLOYMENT_FAILURE");
        self.end_early(deployment, Status::Failed, error, rolls_back);
    }

    fn end_early(
        &mut self,
        deployment: &mut Deployment,
        status: Status,
        error: (&'static str, String),
        rolls_back: bool,
    ) {
        for event in &mut deployment.events {
            match event.status {
                EventStatus::InProgress => {
                    event.status = EventStatus::Failed;
                    event.ended_at = Some(self.now);
                }
                EventStatus::Pending => event.status = EventStatus::Skipped,
                _ => {}
            }
        }
        deployment.status = status;
        deployment.error = Some(error);
        self.end(deployment);
        // Before Install nothing has changed, and AWS cannot roll back.
        if rolls_back && deployment.blue.task_set.is_some() {
            self.roll_back(deployment);
        }
    }

    fn succeed(&mut self, deployment: &mut Deployment) {
        deployment.status = Status::Succeeded;
        self.end(deployment);
    }

    fn end(&mut self, deployment: &mut Deployment) {
        deployment.completed_at = Some(self.now);
        deployment.stage = Stage::Ended;
        deployment.due = None;
        deployment.alarm_check_due = None;
        deployment.stop_due = None;
        deployment.unsteady_since = None;
        deployment.final_task_sets = Some(self.task_sets_info(deployment));
    }

    /// Starts the second deployment, which puts the traffic back.
    fn roll_back(&mut self, failed: &mut Deployment) {
        let id = self.new_deployment_id();
        let rollback = Deployment {
            id: id.clone(),
            config: "CodeDeployDefault.ECSAllAtOnce".to_string(),
            routing: Routing::AllAtOnce,
            revision: failed.previous_revision.clone(),
            spec: None,
            status: Status::Created,
            error: None,
            created_at: self.now,
            started_at: None,
            completed_at: None,
            description: None,
            creator: "codeDeployRollback",
            auto_rollback: Value::Null,
            rollback_info: structure! {
                "rollbackTriggeringDeploymentId": failed.id.as_str(),
                "rollbackMessage": format!("Deployment {id} is triggered to roll back deployment {}.", failed.id),
            },
            override_alarms: Value::Null,
            alarms: Value::Null,
            blue: failed.green.clone(),
            green: failed.blue.clone(),
            events: lifecycle(failed.test_listener.is_some(), &[])
                .into_iter()
                .map(|mut event| {
                    if event.name != "AllowTraffic" {
                        event.status = EventStatus::Skipped;
                    }
                    event
                })
                .collect(),
            stage: Stage::Starting,
            due: Some(self.now + CREATED_MS),
            alarm_check_due: None,
            stop_due: None,
            stop_was_requested: false,
            ready_passed: false,
            shift_step: 0,
            unsteady_since: None,
            termination_wait_started: false,
            updated_at: self.now,
            final_task_sets: None,
            ..failed.clone()
        };
        failed.rollback_info = structure! {
            "rollbackDeploymentId": id.as_str(),
            "rollbackMessage": format!(
                "Deployment {} terminated. Automatic rollback is triggered with a DeploymentId {id}.",
                failed.id
            ),
        };
        self.add_deployment(rollback);
    }

    pub(super) fn new_deployment_id(&mut self) -> String {
        loop {
            let id = ids::deployment_id(&mut self.rng);
            if !self.codedeploy.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn add_deployment(&mut self, deployment: Deployment) {
        let index = self.codedeploy.deployments.len();
        if let Some(group) = self
            .codedeploy
            .group_mut(&deployment.application, &deployment.group)
        {
            group.last_attempted = Some(index);
        }
        self.codedeploy.by_id.insert(deployment.id.clone(), index);
        self.codedeploy.active.insert(index);
        self.codedeploy.deployments.push(deployment);
    }

    /// Goes on with the event that the wait for ContinueDeployment held back.
    pub(super) fn resume(&mut self, id: &str, index: usize) {
        let Some(position) = self.codedeploy.by_id.get(id).copied() else {
            return;
        };
        if let Some(mut deployment) = self.codedeploy.deployments.get(position).cloned() {
            self.begin_event(&mut deployment, index);
            self.put_back(position, deployment);
        }
    }

    /// The function of a hook could not be reached.
    pub(crate) fn hook_invocation_failed(
        &mut self,
        deployment_id: &str,
        execution_id: &str,
        message: &str,
    ) {
        let event = self
            .codedeploy
            .deployment_mut(deployment_id)
            .and_then(|deployment| {
                deployment
                    .events
                    .iter_mut()
                    .find(|event| event.execution_id.as_deref() == Some(execution_id))
            });
        if let Some(event) = event
            && event.status == EventStatus::InProgress
            && event.report.is_none()
        {
            event.report = Some(Err((
                "UnknownError",
                format!("The function could not be invoked: {message}"),
            )));
            self.settle();
        }
    }
}

impl CodeDeploy {
    pub(super) fn deployment(&self, id: &str) -> Option<&Deployment> {
        self.deployments.get(*self.by_id.get(id)?)
    }

    /// Forgets a deployment that has ended, as AWS does in time; false if there is none that has.
    pub(in crate::world) fn forget(&mut self, id: &str) -> bool {
        let ended = self
            .deployment(id)
            .is_some_and(|deployment| deployment.completed_at.is_some());
        ended && self.by_id.remove(id).is_some()
    }

    pub(super) fn deployment_mut(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments.get_mut(*self.by_id.get(id)?)
    }
}

pub(super) fn reported_failed() -> (&'static str, String) {
    (
        "ScriptFailed",
        "The function reported the status Failed".to_string(),
    )
}

fn revision_missing() -> (&'static str, String) {
    (
        "REVISION_MISSING",
        "The revision does not exist.".to_string(),
    )
}

fn rolls_back_on(deployment: &Deployment, event: &str) -> bool {
    let configuration = &deployment.auto_rollback;
    configuration.get("enabled").as_bool() == Some(true)
        && texts(configuration, "events")
            .iter()
            .any(|one| one == event)
}

/// Whether a stop rolls back when the request does not say.
pub(super) fn rolls_back_on_request(deployment: &Deployment) -> bool {
    rolls_back_on(deployment, "DEPLOYMENT_STOP_ON_REQUEST")
}

fn set_event(deployment: &mut Deployment, name: &str, status: EventStatus, now: i64) {
    if let Some(event) = deployment
        .events
        .iter_mut()
        .find(|event| event.name == name)
    {
        event.status = status;
        if status == EventStatus::InProgress {
            event.started_at = Some(now);
        } else {
            event.ended_at = Some(now);
        }
    }
}

/// A lifecycle event as GetDeploymentTarget shows it.
pub(super) fn event_value(event: &LifecycleEvent) -> Value {
    let mut diagnostics = Value::Null;
    if let (Some(Err((code, message))), Some(function)) = (&event.report, &event.function) {
        diagnostics = structure! {
            "errorCode": *code,
            "scriptName": function.as_str(),
            "message": message.as_str(),
            "logTail": "",
        };
    }
    structure! {
        "lifecycleEventName": event.name,
        "diagnostics": diagnostics,
        "startTime": event.started_at.map(Value::Time),
        "endTime": event.ended_at.map(Value::Time),
        "status": event.status.name(),
    }
}
