//! Amazon ECS: clusters, task definitions, services, task sets, tasks, and the service scheduler.
//!
//! * Shapes, and which controller has `taskSets` or `deployments`: \[M\].
//! * A task set's `computedDesiredCount` is `ceil(desired * scale)`: \[M\].
//! * A task that its target group finds unhealthy is replaced after the grace period: \[D\].
//! * Our choice: a task takes 40 to 90 s to start, a crashing one lives for 8 s, restarts are throttled from
//!   10 s up to 5 min; a task behind no target group is healthy once it has run for 10 s.
//! * What is particular to deployments of the ECS controller stands at [`rolling`], [`circuit_breaker`],
//!   [`service_deployments`],
//!   [`service_revisions`] and [`native`].

mod circuit_breaker;
mod clusters;
mod deployment_configuration;
mod index;
mod migration;
mod native;
mod operations;
mod rolling;
mod scheduler;
mod service_deployments;
mod service_revisions;
mod services;
mod stop_task;
mod task_definitions;
mod task_sets;
mod tasks;
mod told;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use self::index::ServiceKey;
use self::index::Services;
use self::service_deployments::ServiceDeployment;
use self::service_revisions::ServiceRevision;
use crate::value::Value;

/// The state of ECS.
#[derive(Default)]
pub(crate) struct Ecs {
    /// By name.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By family; the index in the list is the revision minus one.
    pub(crate) families: BTreeMap<String, Vec<TaskDefinition>>,
    /// By cluster and service name.
    pub(crate) services: Services,
    /// Tags of clusters and services by ARN.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    addresses: u32,
}

pub(crate) struct Cluster {
    pub(crate) arn: String,
    active: bool,
    /// `settings`, `configuration` and the like as given.
    value: Value,
}

pub(crate) struct TaskDefinition {
    pub(crate) arn: String,
    pub(crate) active: bool,
    /// The answer's members except `status` and `deregisteredAt`.
    pub(crate) value: Value,
    pub(crate) behaviour: Behaviour,
    deregistered_at: Option<i64>,
    tags: BTreeMap<String, String>,
}

/// How the containers of a revision behave, as their environment and image say. Our own convention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// Requests per second that the service as a whole receives while this revision is primary.
    pub(crate) rps: f64,
    /// Share of requests answered with a 5xx, 0..1.
    pub(crate) error_rate: f64,
    /// Median response time in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile of the response time in milliseconds.
    pub(crate) p99_ms: f64,
    /// The container exits shortly after it started.
    pub(crate) crash_on_start: bool,
    /// The container runs but never answers its health check.
    pub(crate) unhealthy: bool,
}

impl Behaviour {
    /// Reads `SIM_*` variables and the image tag of every container; the last one that speaks wins.
    /// A value that cannot be read is as if it were not there, as an application would treat it.
    pub(crate) fn read(containers: &[Value]) -> Behaviour {
        let mut behaviour = Behaviour {
            rps: 20.0,
            error_rate: 0.0,
            p50_ms: 40.0,
            p99_ms: 180.0,
            crash_on_start: false,
            unhealthy: false,
        };
        let mut p99_given = false;
        for container in containers {
            let image = container.get("image").as_str().unwrap_or_default();
            let name = image.rsplit('/').next().unwrap_or(image);
            let name = name.split('@').next().unwrap_or(name);
            if name
                .split_once(':')
                .is_some_and(|(_, tag)| tag.contains("bad"))
            {
                behaviour.error_rate = 0.2;
            }
            for variable in container.get("environment").as_list() {
                let text = variable.get("value").as_str().unwrap_or_default();
                let number = text
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite() && *number >= 0.0);
                match (variable.get("name").as_str(), number) {
                    (Some("SIM_RPS"), Some(number)) => behaviour.rps = number,
                    (Some("SIM_ERROR_RATE"), Some(number)) => {
                        behaviour.error_rate = number.min(1.0);
                    }
                    (Some("SIM_P50_MS"), Some(number)) => behaviour.p50_ms = number.max(0.1),
                    (Some("SIM_P99_MS"), Some(number)) => {
                        behaviour.p99_ms = number.max(0.1);
                        p99_given = true;
                    }
                    (Some("SIM_CRASH_ON_START"), _) => {
                        behaviour.crash_on_start = text == "1" || text == "true";
                    }
                    (Some("SIM_UNHEALTHY"), _) => {
                        behaviour.unhealthy = text == "1" || text == "true";
                    }
                    _ => {}
                }
            }
        }
        if !p99_given {
            behaviour.p99_ms = behaviour.p99_ms.max(behaviour.p50_ms * 4.5);
        }
        behaviour.p99_ms = behaviour.p99_ms.max(behaviour.p50_ms);
        behaviour
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

impl Controller {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Controller::Ecs => "ECS",
            Controller::CodeDeploy => "CODE_DEPLOY",
            Controller::External => "EXTERNAL",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

pub(crate) struct Service {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) status: ServiceStatus,
    pub(crate) controller: Controller,
    pub(crate) task_definition: Option<String>,
    pub(crate) desired: i64,
    pub(crate) load_balancers: Value,
    /// Members that are kept and answered as given: network, launch type, placement and the like.
    pub(crate) given: Value,
    deployment_configuration: Value,
    grace_ms: i64,
    created_at: i64,
    created_by: String,
    /// Task sets (CODE_DEPLOY, EXTERNAL) or rolling deployments (ECS), oldest first.
    pub(crate) units: Vec<Unit>,
    pub(crate) tasks: Vec<Task>,
    events: VecDeque<(String, i64, String)>,
    steady: bool,
    /// Oldest first; none where the controller is not ECS.
    revisions: Vec<ServiceRevision>,
    /// Oldest first; none where the controller is not ECS.
    service_deployments: Vec<ServiceDeployment>,
}

impl Service {
    /// The unit that is PRIMARY.
    pub(crate) fn primary(&self) -> Option<&Unit> {
        self.units
            .iter()
            .find(|unit| unit.status == UnitStatus::Primary)
    }

    pub(crate) fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.id == id)
    }

    pub(crate) fn unit_mut(&mut self, id: &str) -> Option<&mut Unit> {
        self.units.iter_mut().find(|unit| unit.id == id)
    }

    /// How many tasks of a unit are RUNNING, and how many still on their way there.
    pub(crate) fn counts(&self, unit: &str) -> (i64, i64) {
        let mut counts = (0, 0);
        for task in self
            .tasks
            .iter()
            .filter(|task| task.unit == unit && !task.stopping())
        {
            match task.state {
                TaskState::Running => counts.0 += 1,
                _ => counts.1 += 1,
            }
        }
        counts
    }

    /// How many tasks of a unit should run.
    pub(crate) fn wanted(&self, unit: &Unit) -> i64 {
        if self.status != ServiceStatus::Active || unit.status == UnitStatus::Draining {
            return 0;
        }
        match self.controller {
            Controller::Ecs => unit.rolling_wanted,
            _ => (self.desired as f64 * unit.scale / 100.0).ceil() as i64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitStatus {
    Primary,
    Active,
    Draining,
}

impl UnitStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            UnitStatus::Primary => "PRIMARY",
            UnitStatus::Active => "ACTIVE",
            UnitStatus::Draining => "DRAINING",
        }
    }
}

/// A task set, or one deployment of the rolling strategy: some tasks of one revision.
pub(crate) struct Unit {
    /// `ecs-svc/` and digits.
    pub(crate) id: String,
    pub(crate) status: UnitStatus,
    pub(crate) task_definition: String,
    pub(crate) external_id: Option<String>,
    pub(crate) started_by: Option<String>,
    /// Percent of the service's desired count.
    pub(crate) scale: f64,
    pub(crate) load_balancers: Value,
    /// Network, platform version and launch type.
    given: Value,
    created_at: i64,
    updated_at: i64,
    pub(crate) steady: bool,
    steady_at: i64,
    retry_at: i64,
    failures_in_a_row: i64,
    /// What the circuit breaker counts.
    failed_tasks: i64,
    rolling_wanted: i64,
    rollout: Option<(&'static str, String)>,
    /// The ARN of the service revision that it runs, where the controller is ECS.
    revision: Option<String>,
    /// It does not start tasks yet.
    held: bool,
    tags: Value,
}

impl Unit {
    /// The first target group of the unit.
    pub(crate) fn target_group(&self) -> Option<&str> {
        self.load_balancers
            .as_list()
            .first()?
            .get("targetGroupArn")
            .as_str()
    }

    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`, where the controller is ECS.
    fn rollout_state(&self) -> Option<&'static str> {
        self.rollout.as_ref().map(|(state, _)| *state)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Stopping,
    Stopped,
}

impl TaskState {
    fn name(self) -> &'static str {
        match self {
            TaskState::Provisioning => "PROVISIONING",
            TaskState::Pending => "PENDING",
            TaskState::Running => "RUNNING",
            TaskState::Deactivating => "DEACTIVATING",
            TaskState::Stopping => "STOPPING",
            TaskState::Stopped => "STOPPED",
        }
    }
}

pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) unit: String,
    pub(crate) task_definition: String,
    pub(crate) state: TaskState,
    pub(crate) address: String,
    pub(crate) behaviour: Behaviour,
    /// Target group ARN and port.
    pub(crate) targets: Vec<(String, i64)>,
    zone: String,
    /// When the state changes by itself.
    due: Option<i64>,
    created_at: i64,
    started_at: Option<i64>,
    stopping_at: Option<i64>,
    stopped_at: Option<i64>,
    stop: Option<(&'static str, String)>,
    exit_code: Option<i64>,
    /// It passed its health checks once, which the circuit breaker has noticed.
    was_healthy: bool,
}

impl Task {
    fn is_due(&self, now: i64) -> bool {
        self.due.is_some_and(|at| at <= now)
    }

    pub(crate) fn stopping(&self) -> bool {
        matches!(
            self.state,
            TaskState::Deactivating | TaskState::Stopping | TaskState::Stopped
        )
    }
}

impl Service {
    /// When something of it changes by itself after `now`.
    fn next_due(&self, now: i64) -> Option<i64> {
        if self.status == ServiceStatus::Inactive {
            return self.tasks.iter().filter_map(|task| task.due).min();
        }
        let tasks = self.tasks.iter().flat_map(|task| {
            let grace = (task.state == TaskState::Running).then_some(task.started_at);
            let grace = grace.flatten().map(|started| started + self.grace_ms);
            [task.due, grace].into_iter().flatten()
        });
        let active = self.status == ServiceStatus::Active;
        let retries = self.units.iter().map(|unit| unit.retry_at);
        let retries = retries.filter(|at| active && *at > 0);
        let running = self.service_deployments.iter().rev();
        let running = running.take_while(|one| !one.is_over());
        tasks
            .chain(retries)
            .chain(running.flat_map(ServiceDeployment::next_due))
            .filter(|at| *at > now)
            .min()
    }
}

impl Ecs {
    /// When a service changes by itself.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.services.next_due_ms()
    }

    /// Whether a running task with this address answers a health check.
    pub(crate) fn answers(&self, address: &str) -> bool {
        self.services.at_address(address).is_some_and(|service| {
            service.tasks.iter().any(|task| {
                task.address == address
                    && task.state == TaskState::Running
                    && !task.behaviour.unhealthy
            })
        })
    }

    /// The revision with this ARN, whatever its status.
    pub(crate) fn task_definition(&self, arn: &str) -> Option<&TaskDefinition> {
        let (family, revision) = arn.rsplit_once('/')?.1.rsplit_once(':')?;
        let index = revision.parse::<usize>().ok()?.checked_sub(1)?;
        self.families.get(family)?.get(index)
    }

    fn next_address(&mut self) -> String {
        self.addresses += 1;
        let number = self.addresses + 4096 + 3;
        format!(
            "10.{}.{}.{}",
            (number >> 16) & 255,
            (number >> 8) & 255,
            number & 255
        )
    }
}
