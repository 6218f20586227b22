//! AWS CodeDeploy for Amazon ECS: applications, groups, configurations, revisions and deployments.
//!
//! * Shapes, exceptions and limits: \[M\]; where they are not stated there, \[D\].
//! * Lifecycle events and their order, statuses, texts of the alarm stop, of the rollback and of the limit: \[O\].
//! * Only the ECS compute platform; Server and Lambda are refused. Revisions come inside the request
//!   (AppSpecContent) or from S3.
//! * What nobody could tell us is marked in [`engine`], which moves the deployments.

mod alarm_polls;
mod applications;
mod appspec;
mod configurations;
mod create;
mod deployments;
mod engine;
mod groups;
mod operations;
mod revisions;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::value::Value;
use appspec::AppSpec;
use revisions::Location;

/// What a hook function does when CodeDeploy invokes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HookBehaviour {
    /// Reports `Succeeded` after a second.
    Succeed,
    /// Reports `Failed` after a second.
    Fail,
    /// Never reports.
    Silent,
    /// Is never begun.
    NeverStarts,
    /// Reports `Succeeded` after this many milliseconds.
    SucceedAfter(i64),
    /// Is posted to the outside, which reports by PutLifecycleEventHookExecutionStatus.
    Relay,
}

impl HookBehaviour {
    pub(crate) fn parse(text: &str) -> Option<HookBehaviour> {
        match text {
            "succeed" => Some(HookBehaviour::Succeed),
            "fail" => Some(HookBehaviour::Fail),
            "silent" => Some(HookBehaviour::Silent),
            "never-starts" => Some(HookBehaviour::NeverStarts),
            "relay" => Some(HookBehaviour::Relay),
            _ => {
                let seconds = text.strip_prefix("succeed-after-")?.parse::<u32>().ok()?;
                Some(HookBehaviour::SucceedAfter(i64::from(seconds) * 1000))
            }
        }
    }
}

impl fmt::Display for HookBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookBehaviour::Succeed => f.write_str("succeed"),
            HookBehaviour::Fail => f.write_str("fail"),
            HookBehaviour::Silent => f.write_str("silent"),
            HookBehaviour::NeverStarts => f.write_str("never-starts"),
            HookBehaviour::SucceedAfter(ms) => write!(f, "succeed-after-{}", ms / 1000),
            HookBehaviour::Relay => f.write_str("relay"),
        }
    }
}

/// The functions every account has. `sim-succeed-after-N` is read from the name.
pub(crate) fn built_in_behaviours() -> BTreeMap<String, HookBehaviour> {
    [
        ("switchback-relay", HookBehaviour::Relay),
        ("CodeDeployHook_switchback-relay", HookBehaviour::Relay),
        ("sim-succeed", HookBehaviour::Succeed),
        ("sim-fail", HookBehaviour::Fail),
        ("sim-silent", HookBehaviour::Silent),
    ]
    .into_iter()
    .map(|(name, behaviour)| (name.to_string(), behaviour))
    .collect()
}

/// The state of CodeDeploy.
pub(crate) struct CodeDeploy {
    applications: BTreeMap<String, Application>,
    configs: BTreeMap<String, Config>,
    /// In the order of their creation.
    pub(crate) deployments: Vec<Deployment>,
    by_id: BTreeMap<String, usize>,
    active: BTreeSet<usize>,
    /// Whether deployment groups may be others than when this was last asked.
    groups_changed: bool,
}

struct Application {
    id: String,
    created_at: i64,
    tags: BTreeMap<String, String>,
    groups: BTreeMap<String, Group>,
    revisions: BTreeMap<Location, Revision>,
}

#[derive(Clone)]
struct Revision {
    /// `None` where it is in S3.
    content: Option<String>,
    description: Option<String>,
    registered_at: i64,
    first_used: Option<i64>,
    last_used: Option<i64>,
    groups: BTreeSet<String>,
}

#[derive(Clone)]
struct Group {
    id: String,
    config: String,
    role: String,
    /// `triggerConfigurations`, `alarmConfiguration` and the other members kept as given.
    settings: Value,
    /// Cluster and service.
    service: (String, String),
    tags: BTreeMap<String, String>,
    last_attempted: Option<usize>,
    last_successful: Option<usize>,
    /// The revision of the last successful deployment.
    target_revision: Option<Location>,
}

struct Config {
    id: Option<String>,
    created_at: i64,
    shift: Shift,
}

/// What a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    /// The compute platform ECS.
    Ecs(Routing),
    /// The compute platform Lambda: only listed and shown.
    Lambda(Routing),
    /// The compute platform Server, with the type and value of its minimum of healthy hosts: only listed and shown.
    Server(&'static str, i64),
}

/// How production traffic moves from blue to green.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    AllAtOnce,
    /// First percent, then after minutes the rest.
    Canary(i64, i64),
    /// So many percent every so many minutes.
    Linear(i64, i64),
}

impl Routing {
    /// Percent on green after `step` intervals.
    fn percent_after(self, step: i64) -> i64 {
        match self {
            Routing::AllAtOnce => 100,
            Routing::Canary(percent, _) if step == 0 => percent,
            Routing::Canary(..) => 100,
            Routing::Linear(percent, _) => (percent * (step + 1)).min(100),
        }
    }

    fn interval_ms(self) -> i64 {
        match self {
            Routing::AllAtOnce => 0,
            Routing::Canary(_, minutes) | Routing::Linear(_, minutes) => minutes * 60_000,
        }
    }
}

/// The configurations that AWS predefines: those for ECS \[O\], and those for the other platforms \[D\], which are
/// listed beside them.
fn predefined_configs(now: i64) -> BTreeMap<String, Config> {
    let ecs = [
        ("ECSAllAtOnce", Routing::AllAtOnce),
        ("ECSCanary10Percent5Minutes", Routing::Canary(10, 5)),
        ("ECSCanary10Percent15Minutes", Routing::Canary(10, 15)),
        ("ECSLinear10PercentEvery1Minutes", Routing::Linear(10, 1)),
        ("ECSLinear10PercentEvery3Minutes", Routing::Linear(10, 3)),
    ];
    let lambda = [
        ("LambdaAllAtOnce", Routing::AllAtOnce),
        ("LambdaCanary10Percent5Minutes", Routing::Canary(10, 5)),
        ("LambdaCanary10Percent10Minutes", Routing::Canary(10, 10)),
        ("LambdaCanary10Percent15Minutes", Routing::Canary(10, 15)),
        ("LambdaCanary10Percent30Minutes", Routing::Canary(10, 30)),
        ("LambdaLinear10PercentEvery1Minute", Routing::Linear(10, 1)),
        ("LambdaLinear10PercentEvery2Minutes", Routing::Linear(10, 2)),
        ("LambdaLinear10PercentEvery3Minutes", Routing::Linear(10, 3)),
        (
            "LambdaLinear10PercentEvery10Minutes",
            Routing::Linear(10, 10),
        ),
    ];
    let server = [
        ("AllAtOnce", "HOST_COUNT", 0),
        ("HalfAtATime", "FLEET_PERCENT", 50),
        ("OneAtATime", "HOST_COUNT", 1),
    ];
    ecs.map(|(name, routing)| (name, Shift::Ecs(routing)))
        .into_iter()
        .chain(lambda.map(|(name, routing)| (name, Shift::Lambda(routing))))
        .chain(server.map(|(name, kind, value)| (name, Shift::Server(kind, value))))
        .map(|(name, shift)| {
            let config = Config {
                id: None,
                created_at: now,
                shift,
            };
            (format!("CodeDeployDefault.{name}"), config)
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    InProgress,
    Ready,
    Succeeded,
    Failed,
    Stopped,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Created => "Created",
            Status::InProgress => "InProgress",
            Status::Ready => "Ready",
            Status::Succeeded => "Succeeded",
            Status::Failed => "Failed",
            Status::Stopped => "Stopped",
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Status::Succeeded | Status::Failed | Status::Stopped)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventStatus {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    Skipped,
}

impl EventStatus {
    fn name(self) -> &'static str {
        match self {
            EventStatus::Pending => "Pending",
            EventStatus::InProgress => "InProgress",
            EventStatus::Succeeded => "Succeeded",
            EventStatus::Failed => "Failed",
            EventStatus::Skipped => "Skipped",
        }
    }
}

/// One lifecycle event of a deployment.
#[derive(Clone)]
struct LifecycleEvent {
    name: &'static str,
    status: EventStatus,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    /// The hook function as the AppSpec names it.
    function: Option<String>,
    execution_id: Option<String>,
    /// What the function reported, and why if it failed: error code and message.
    report: Option<Result<(), (&'static str, String)>>,
    /// When a built-in function reports, and what.
    will_report: Option<(i64, bool)>,
}

/// Where a deployment stands; together with `due` it says what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not started.
    Starting,
    /// The event with this index is in progress.
    Event(usize),
    /// Waits for ContinueDeployment before traffic is shifted.
    ReadyWait,
    /// All events are over; blue is kept for a while.
    TerminationWait,
    /// Blue has been told to go.
    CleaningUp,
    /// A rollback deployment: the weights go back, then the failed task set drains.
    RestoreWeights,
    DrainReplacement,
    Ended,
}

/// A pair of target groups with the task set behind one of them.
#[derive(Clone, Default)]
struct Side {
    target_group: String,
    task_set: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) application: String,
    pub(crate) group: String,
    config: String,
    routing: Routing,
    revision: Option<Location>,
    previous_revision: Option<Location>,
    spec: Option<AppSpec>,
    pub(crate) status: Status,
    error: Option<(&'static str, String)>,
    created_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    description: Option<String>,
    creator: &'static str,
    ignore_application_stop_failures: bool,
    file_exists_behavior: String,
    auto_rollback: Value,
    rollback_info: Value,
    override_alarms: Value,
    alarms: Value,
    blue_green: Value,
    load_balancer_info: Value,
    style: Value,
    /// Cluster and service.
    pub(crate) service: (String, String),
    production_listener: String,
    test_listener: Option<String>,
    /// The original task set's side and the replacement's.
    blue: Side,
    green: Side,
    events: Vec<LifecycleEvent>,
    stage: Stage,
    due: Option<i64>,
    alarm_check_due: Option<i64>,
    /// When a requested stop takes effect, and whether it rolls back.
    stop_due: Option<(i64, bool)>,
    stop_was_requested: bool,
    /// Whether the wait for ContinueDeployment is over.
    ready_passed: bool,
    /// Steps of traffic already taken.
    shift_step: i64,
    /// Since when the service has not been steady while the traffic shifts.
    unsteady_since: Option<i64>,
    termination_wait_started: bool,
    updated_at: i64,
    /// `taskSetsInfo` as it was when the deployment ended.
    final_task_sets: Option<Value>,
}

impl CodeDeploy {
    pub(crate) fn new(now: i64) -> CodeDeploy {
        CodeDeploy {
            applications: BTreeMap::new(),
            configs: predefined_configs(now),
            deployments: Vec::new(),
            by_id: BTreeMap::new(),
            active: BTreeSet::new(),
            groups_changed: false,
        }
    }

    /// When a deployment does something by itself.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.active
            .iter()
            .filter_map(|index| self.deployments.get(*index))
            .flat_map(|deployment| {
                let report = deployment
                    .events
                    .iter()
                    .filter(|event| event.status == EventStatus::InProgress)
                    .filter_map(|event| event.will_report.map(|(at, _)| at))
                    .min();
                let stop = deployment.stop_due.map(|(at, _)| at);
                let unsteady = deployment.unsteady_since.map(|at| at + engine::UNSTEADY_MS);
                [
                    deployment.due,
                    deployment.alarm_check_due,
                    stop,
                    report,
                    unsteady,
                ]
                .into_iter()
                .flatten()
            })
            .min()
    }

    /// Whether [`CodeDeploy::managed_routes`] may have changed since this was last asked.
    pub(crate) fn take_groups_changed(&mut self) -> bool {
        std::mem::take(&mut self.groups_changed)
    }

    /// Of every service that has a deployment group: the production listener and the names of the
    /// target group pair.
    pub(crate) fn managed_routes(&self) -> BTreeMap<(String, String), (String, Vec<String>)> {
        self.applications
            .values()
            .flat_map(|application| application.groups.values())
            .filter_map(|group| {
                let pair = groups::pair(group.settings.get("loadBalancerInfo"));
                let names = pair
                    .get("targetGroups")
                    .as_list()
                    .iter()
                    .filter_map(|one| one.get("name").as_str().map(str::to_string))
                    .collect();
                let listener = groups::listener(pair, "prodTrafficRoute")?;
                Some((group.service.clone(), (listener, names)))
            })
            .collect()
    }

    /// The id of a deployment group, as events carry it.
    pub(crate) fn group_id(&self, application: &str, group: &str) -> Option<&str> {
        Some(self.group(application, group)?.id.as_str())
    }

    fn group(&self, application: &str, group: &str) -> Option<&Group> {
        self.applications.get(application)?.groups.get(group)
    }

    fn group_mut(&mut self, application: &str, group: &str) -> Option<&mut Group> {
        self.applications
            .get_mut(application)?
            .groups
            .get_mut(group)
    }

    /// The deployment of this group that is not over.
    fn active_deployment(&self, application: &str, group: &str) -> Option<&Deployment> {
        self.active
            .iter()
            .filter_map(|index| self.deployments.get(*index))
            .find(|deployment| deployment.application == application && deployment.group == group)
    }
}
