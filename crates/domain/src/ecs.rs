//! Services and deployments of the deployment controller ECS: rolling, blue-green, linear, canary (aws.md §2.2, §2.3).
//!
//! Everything of AWS's that such a deployment has and one of CodeDeploy's has not is here, in our words, and so is the
//! one function that says how it stands. "The service is stable" is nowhere in it: after a rollback it is stable too.

use crate::deployment::Known;
use crate::deployment::Outcome;
use crate::deployment::OutcomeCause;
use crate::deployment::Phase;
use crate::deployment::Reading;
use crate::deployment::Stage;
use crate::deployment::StageStatus;
use crate::deployment::Standing;
use crate::deployment::words;
use crate::moment::Moment;
use crate::revision::ContainerImage;
use crate::revision::RevisionArn;
use serde::Deserialize;
use serde::Serialize;

/// How ECS moves a service to another revision. [M: DeploymentStrategy]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EcsStrategy {
    /// Old tasks are replaced by new ones behind the same target group.
    #[default]
    Rolling,
    /// All tasks beside the old ones, then all traffic at once.
    BlueGreen,
    /// Traffic in equal steps.
    Linear,
    /// A small first step, then the rest.
    Canary,
    /// A strategy that this version does not know.
    Unknown,
}

words!(EcsStrategy {
    Rolling => "rolling",
    BlueGreen => "blue-green",
    Linear => "linear",
    Canary => "canary",
    Unknown => "unknown",
});

/// What holds a deployment at a stage. [M: DeploymentLifecycleHookTargetType]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EcsHookKind {
    /// A Lambda function decides.
    Lambda,
    /// PAUSE: ECS waits for ContinueServiceDeployment.
    Pause,
    /// A kind that this version does not know.
    Unknown,
}

/// How far a lifecycle hook is. [M: DeploymentLifecycleHookStatus]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EcsHookStatus {
    /// A PAUSE hook waits for ContinueServiceDeployment.
    AwaitingAction,
    /// A function has not answered yet.
    InProgress,
    /// The deployment went on.
    Succeeded,
    /// The deployment is rolled back.
    Failed,
    /// Nobody answered in time.
    TimedOut,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

words!(EcsHookStatus {
    AwaitingAction => "AWAITING_ACTION",
    InProgress => "IN_PROGRESS",
    Succeeded => "SUCCEEDED",
    Failed => "FAILED",
    TimedOut => "TIMED_OUT",
    Unknown => "UNKNOWN",
});

/// What ECS does when nobody answers a hook in time. [M: DeploymentLifecycleHookTimeoutAction]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EcsHookExpiry {
    /// It rolls the deployment back, which is ECS's default.
    Rollback,
    /// It lets the deployment go on.
    Continue,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

words!(EcsHookExpiry {
    Rollback => "ROLLBACK",
    Continue => "CONTINUE",
    Unknown => "UNKNOWN",
});

/// How a service is deployed: its `deploymentConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct EcsConfiguration {
    /// The strategy.
    pub strategy: EcsStrategy,
    /// As many tasks stay healthy, in per cent of the wanted ones.
    pub minimum_healthy_percent: Option<i64>,
    /// As many tasks run or start at most, in per cent of the wanted ones.
    pub maximum_percent: Option<i64>,
    /// How long old tasks are kept once all traffic has moved, in minutes.
    pub bake_minutes: Option<i64>,
    /// The first step of canary, each step of linear, in thousandths of the traffic.
    pub step_permille: Option<i64>,
    /// How long a step is waited at, in minutes.
    pub step_minutes: Option<i64>,
    /// The names of the alarms that fail a deployment; empty when they are off.
    pub alarms: Vec<String>,
    /// Whether ECS rolls back by itself when an alarm fires.
    pub rolls_back_on_alarm: bool,
    /// Whether the circuit breaker is on.
    pub circuit_breaker: bool,
    /// Whether ECS rolls back by itself when the circuit breaker opens.
    pub rolls_back_on_circuit_breaker: bool,
    /// With `earlySuccessCriteria` on: AWS says SUCCESSFUL once so many per cent of the tasks are healthy.
    pub early_success_percent: Option<i64>,
    /// How many lifecycle hooks wait for somebody (PAUSE).
    pub pause_hooks: i64,
    /// The stages at which they wait, by AWS's names, each once.
    pub pause_stages: Vec<String>,
    /// How many lifecycle hooks call a Lambda function.
    pub lambda_hooks: i64,
}

impl EcsConfiguration {
    /// The strategy as it will run, in words: `10 % for 10 min, then all; bake 5 min`.
    pub fn words(&self) -> String {
        let percent = |permille: i64| {
            if permille % 10 == 0 {
                (permille / 10).to_string()
            } else {
                format!("{}.{}", permille / 10, permille % 10)
            }
        };
        let step = self.step_permille.map(percent);
        let mut words = match (self.strategy, step, self.step_minutes) {
            (EcsStrategy::Rolling, _, _) => {
                let band = |value: Option<i64>| {
                    value.map_or("not told".to_string(), |value| format!("{value}\u{a0}%"))
                };
                format!(
                    "new tasks replace old ones, at least {} healthy, at most {} running",
                    band(self.minimum_healthy_percent),
                    band(self.maximum_percent)
                )
            }
            (EcsStrategy::BlueGreen, _, _) => "all traffic at once".to_string(),
            (EcsStrategy::Canary, Some(step), Some(minutes)) => {
                format!("{step}\u{a0}% for {minutes}\u{a0}min, then all")
            }
            (EcsStrategy::Linear, Some(step), Some(minutes)) => {
                format!("{step}\u{a0}% every {minutes}\u{a0}min")
            }
            (EcsStrategy::Canary | EcsStrategy::Linear, _, _) => {
                "AWS does not tell its steps".to_string()
            }
            (EcsStrategy::Unknown, _, _) => {
                "a strategy that this version of Switchback does not know".to_string()
            }
        };
        if let Some(minutes) = self.bake_minutes.filter(|minutes| *minutes > 0) {
            words.push_str(&format!("; bake {minutes}\u{a0}min"));
        }
        if let Some(percent) = self.early_success_percent {
            words.push_str(&format!(
                "; called successful from {percent}\u{a0}% healthy on"
            ));
        }
        words
    }
}

/// What ECS says about a service of its own controller, when last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct EcsService {
    /// How new deployments run.
    pub configuration: EcsConfiguration,
    /// The names of its target groups; empty for a service without a load balancer.
    pub target_groups: Vec<String>,
    /// The containers and ports that its load balancers reach.
    pub container_ports: Vec<EcsContainerPort>,
    /// The task definition that the service names. A deployment that failed without a rollback leaves its own here,
    /// although another one serves.
    pub task_definition: Option<RevisionArn>,
    /// The id of the PRIMARY deployment (`ecs-svc/…`), when last read. Every service deployment makes another one.
    pub primary: Option<String>,
    /// The ARN of the latest service deployment, when last read.
    pub current: Option<String>,
    /// The PRIMARY deployment up to which the service's deployments are recorded.
    pub recorded_primary: Option<String>,
}

/// A container and its port that a load balancer reaches. [M: LoadBalancer]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsContainerPort {
    /// The container's name.
    pub container: String,
    /// Its port.
    pub port: u16,
}

/// The status of a service deployment. [M: ServiceDeploymentStatus]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EcsStatus {
    /// Not begun.
    Pending,
    /// Under way, hooks and bake included.
    InProgress,
    /// Another one takes its place, or somebody stops it.
    StopRequested,
    /// It was.
    Stopped,
    /// AWS says so, which with `earlySuccessCriteria` is before all tasks are replaced.
    Successful,
    /// Somebody asked for a rollback; it may still end SUCCESSFUL.
    RollbackRequested,
    /// Being put back.
    RollbackInProgress,
    /// Put back.
    RollbackSuccessful,
    /// Putting back failed.
    RollbackFailed,
    /// A word that this version does not know.
    Unknown,
}

words!(EcsStatus {
    Pending => "PENDING",
    InProgress => "IN_PROGRESS",
    StopRequested => "STOP_REQUESTED",
    Stopped => "STOPPED",
    Successful => "SUCCESSFUL",
    RollbackRequested => "ROLLBACK_REQUESTED",
    RollbackInProgress => "ROLLBACK_IN_PROGRESS",
    RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
    RollbackFailed => "ROLLBACK_FAILED",
    Unknown => "UNKNOWN",
});

/// The stages of a deployment with traffic to move, in order. [M: ServiceDeploymentLifecycleStage, and
/// PRE_PRODUCTION_TRAFFIC_SHIFT, which the documentation has as well]
pub const STAGES: [&str; 10] = [
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    CLEAN_UP,
];

/// The last stage: the old tasks are removed. A stop may come too late. (aws.md §2.3)
pub const CLEAN_UP: &str = "CLEAN_UP";

/// The stage that a deployment may have before all others, when several revisions are active.
const RECONCILE: &str = "RECONCILE_SERVICE";

/// One of the two revisions of a deployment, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct EcsSide {
    /// The ARN of the service revision.
    pub service_revision: String,
    /// Its task definition, while AWS keeps the service revision.
    pub revision: Option<RevisionArn>,
    /// The images with their digests as ECS resolved them.
    pub images: Vec<ContainerImage>,
    /// The ARN of the target group it really used.
    pub target_group: Option<String>,
    /// Tasks wanted.
    pub requested: i64,
    /// Tasks running.
    pub running: i64,
    /// Tasks starting.
    pub pending: i64,
    /// The share of production traffic asked for, in thousandths; `None` where ECS moves no traffic.
    pub production_permille: Option<i64>,
}

/// One lifecycle hook of a deployment as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsHook {
    /// `ecs-pause-…`, for ContinueServiceDeployment.
    pub id: String,
    /// Lambda or PAUSE.
    pub kind: EcsHookKind,
    /// How far it is.
    pub status: EcsHookStatus,
    /// When AWS ends the wait by itself.
    pub expires_at: Option<Moment>,
    /// What AWS does then.
    pub at_expiry: Option<EcsHookExpiry>,
    /// The function's ARN, of a Lambda hook.
    #[serde(default)]
    pub function: Option<String>,
}

/// What ECS shows of a service deployment beside its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsReading {
    /// The status.
    pub status: EcsStatus,
    /// The lifecycle stage by AWS's name; `None` where the strategy has none.
    pub stage: Option<String>,
    /// The configuration as it was when the deployment began.
    pub configuration: EcsConfiguration,
    /// What it replaces, the one that served first; empty for a service's first deployment.
    pub sources: Vec<EcsSide>,
    /// What it moves to.
    pub target: EcsSide,
    /// Whether a rollback was begun.
    pub rolls_back: bool,
    /// Failed tasks counted by the circuit breaker, and how many open it; `None` while it is off.
    pub breaker: Option<(i64, i64)>,
    /// Whether the circuit breaker opened.
    pub breaker_open: bool,
    /// The alarms that fired.
    pub fired_alarms: Vec<String>,
    /// Its hooks.
    pub hooks: Vec<EcsHook>,
    /// A newer deployment of the service took its place. AWS does not say so; it is seen from the list.
    #[serde(default)]
    pub superseded: bool,
    /// The service was deleted.
    #[serde(default)]
    pub service_deleted: bool,
}

impl EcsReading {
    /// The tasks that run of what it replaces.
    pub fn old_running(&self) -> i64 {
        self.sources.iter().map(|side| side.running).sum()
    }

    /// Whether AWS said SUCCESSFUL by `earlySuccessCriteria`, with tasks still to be replaced.
    pub fn succeeded_early(&self) -> bool {
        self.status == EcsStatus::Successful
            && self.configuration.early_success_percent.is_some()
            && (self.target.running < self.target.requested || self.old_running() > 0)
    }

    /// The PAUSE hooks at which ECS waits for somebody. Hooks of one stage run at the same time, and all must pass.
    pub fn pauses(&self) -> impl Iterator<Item = &EcsHook> {
        self.hooks.iter().filter(|hook| {
            hook.kind == EcsHookKind::Pause && hook.status == EcsHookStatus::AwaitingAction
        })
    }

    /// The Lambda hooks whose function has not said yes or no.
    pub fn running_functions(&self) -> impl Iterator<Item = &EcsHook> {
        self.hooks.iter().filter(|hook| {
            hook.kind == EcsHookKind::Lambda && hook.status == EcsHookStatus::InProgress
        })
    }

    /// The stage where it is. While it waits for somebody, AWS may show the stage before: there is no word for
    /// PRE_PRODUCTION_TRAFFIC_SHIFT among those it shows (aws.md §2.3 [M]). Where pauses are set up at one stage only, it
    /// is that.
    pub fn present_stage(&self) -> Option<&str> {
        match self.configuration.pause_stages.as_slice() {
            [only] if self.pauses().next().is_some() => Some(only),
            _ => self.stage.as_deref(),
        }
    }

    /// A hook by its id, while AWS tells of it: a step of linear or canary has its own.
    pub fn hook(&self, id: &str) -> Option<&EcsHook> {
        self.hooks.iter().find(|hook| hook.id == id)
    }

    /// The share of production traffic, in thousandths, that the next shift brings the new revision; `None` where no
    /// traffic is shifted or everything is.
    pub fn next_share_permille(&self) -> Option<i64> {
        let share = self.target.production_permille.unwrap_or(0);
        if share >= 1000 {
            return None;
        }
        match self.configuration.strategy {
            EcsStrategy::BlueGreen => Some(1000),
            EcsStrategy::Canary if share == 0 => self.configuration.step_permille,
            EcsStrategy::Canary => Some(1000),
            EcsStrategy::Linear => {
                let step = self.configuration.step_permille?;
                Some((share + step).min(1000))
            }
            EcsStrategy::Rolling | EcsStrategy::Unknown => None,
        }
    }
}

/// How a deployment of the controller ECS stands. `reading` holds AWS's own reason.
pub fn standing(ecs: &EcsReading, reading: &Reading, known: Known) -> Standing {
    let running = |phase, cause| Standing {
        phase: Some(phase),
        outcome: Outcome::InProgress,
        cause,
    };
    let ended = |outcome, cause| Standing {
        phase: None,
        outcome,
        cause,
    };
    let over = matches!(
        ecs.status,
        EcsStatus::Stopped
            | EcsStatus::Successful
            | EcsStatus::RollbackSuccessful
            | EcsStatus::RollbackFailed
    );
    if ecs.service_deleted && !over {
        return ended(Outcome::Stopped, Some(OutcomeCause::Operator));
    }
    match ecs.status {
        EcsStatus::Pending | EcsStatus::InProgress => running(phase(ecs, known), None),
        EcsStatus::StopRequested | EcsStatus::RollbackRequested => running(Phase::CleaningUp, None),
        EcsStatus::RollbackInProgress => {
            running(Phase::CleaningUp, Some(cause(ecs, reading, known)))
        }
        EcsStatus::Successful => ended(Outcome::Succeeded, None),
        EcsStatus::RollbackSuccessful => {
            ended(Outcome::RolledBack, Some(cause(ecs, reading, known)))
        }
        EcsStatus::RollbackFailed => {
            ended(Outcome::RollbackFailed, Some(cause(ecs, reading, known)))
        }
        EcsStatus::Stopped => match failure(ecs, known) {
            // Without rollback AWS calls a failed deployment STOPPED.
            Some(cause) => ended(Outcome::Failed, Some(cause)),
            None if ecs.superseded => ended(Outcome::Superseded, None),
            None => ended(Outcome::Stopped, Some(OutcomeCause::Operator)),
        },
        EcsStatus::Unknown => ended(Outcome::Unknown, None),
    }
}

fn phase(ecs: &EcsReading, known: Known) -> Phase {
    if known.gate_open || ecs.pauses().next().is_some() {
        return Phase::Holding;
    }
    match ecs.stage.as_deref() {
        Some(RECONCILE | "PRE_SCALE_UP" | "SCALE_UP" | "POST_SCALE_UP") => Phase::Preparing,
        Some("TEST_TRAFFIC_SHIFT" | "POST_TEST_TRAFFIC_SHIFT" | "PRE_PRODUCTION_TRAFFIC_SHIFT")
            if ecs.target.production_permille.unwrap_or(0) == 0 =>
        {
            Phase::Testing
        }
        // Before each later step, ECS is at this stage again.
        Some("PRE_PRODUCTION_TRAFFIC_SHIFT" | "PRODUCTION_TRAFFIC_SHIFT") => Phase::Shifting,
        Some("POST_PRODUCTION_TRAFFIC_SHIFT" | "BAKE_TIME") => Phase::Baking,
        Some(CLEAN_UP) => Phase::CleaningUp,
        Some(_) => match ecs.target.production_permille {
            Some(1000) => Phase::Baking,
            Some(share) if share > 0 => Phase::Shifting,
            _ => Phase::Preparing,
        },
        // Rolling: traffic follows the tasks.
        None if ecs.target.running == 0 => Phase::Preparing,
        None if ecs.target.running >= ecs.target.requested && ecs.old_running() == 0 => {
            Phase::Baking
        }
        None => Phase::Shifting,
    }
}

/// What failed, where AWS shows it as a fact of its own.
fn failure(ecs: &EcsReading, known: Known) -> Option<OutcomeCause> {
    let hook = |status: EcsHookStatus, kind: EcsHookKind| {
        let mut hooks = ecs.hooks.iter();
        hooks.any(|hook| hook.status == status && hook.kind == kind)
    };
    if ecs.breaker_open {
        Some(OutcomeCause::CircuitBreaker)
    } else if !ecs.fired_alarms.is_empty() {
        Some(OutcomeCause::Alarm)
    } else if known.gate_rejected || hook(EcsHookStatus::Failed, EcsHookKind::Pause) {
        Some(OutcomeCause::Gate)
    } else if hook(EcsHookStatus::Failed, EcsHookKind::Lambda)
        || hook(EcsHookStatus::Failed, EcsHookKind::Unknown)
    {
        Some(OutcomeCause::Hook)
    } else if ecs
        .hooks
        .iter()
        .any(|hook| hook.status == EcsHookStatus::TimedOut)
    {
        Some(OutcomeCause::Timeout)
    } else {
        None
    }
}

/// Why it is put back: a fact that AWS shows, else what its reason says (the texts of aws.md §2.3).
fn cause(ecs: &EcsReading, reading: &Reading, known: Known) -> OutcomeCause {
    if let Some(cause) = failure(ecs, known) {
        return cause;
    }
    // ECS's words for a stop that was asked for are not documented.
    if known.stop_asked {
        return OutcomeCause::Operator;
    }
    let reason = reading
        .error_message
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["circuit breaker"]) {
        OutcomeCause::CircuitBreaker
    } else if says(&["lifecycle hook", "hookstatus"]) {
        OutcomeCause::Hook
    } else if says(&["alarm"]) {
        OutcomeCause::Alarm
    } else if says(&["requested", "stopservicedeployment"]) {
        OutcomeCause::Operator
    } else if says(&["timed out", "timeout"]) {
        OutcomeCause::Timeout
    } else {
        OutcomeCause::Error
    }
}

/// The stages as far as they were seen: AWS tells only the present one and no times, so every time is when it was
/// seen at `now`. `before` is what was seen until now. Empty where the strategy has none, or nobody looked.
pub fn stages(before: &[Stage], ecs: &EcsReading, now: Moment) -> Vec<Stage> {
    let mut stages = before.to_vec();
    let undone = ecs.rolls_back
        || ecs.service_deleted
        || matches!(
            ecs.status,
            EcsStatus::Stopped
                | EcsStatus::RollbackInProgress
                | EcsStatus::RollbackSuccessful
                | EcsStatus::RollbackFailed
        );
    if undone || ecs.status == EcsStatus::Successful {
        for stage in &mut stages {
            match (stage.status, undone) {
                (StageStatus::InProgress, true) => {
                    (stage.status, stage.ended_at) = (StageStatus::Failed, Some(now));
                }
                (StageStatus::InProgress, false) => {
                    (stage.status, stage.ended_at) = (StageStatus::Succeeded, Some(now));
                }
                (StageStatus::Pending, true) => stage.status = StageStatus::Skipped,
                // It went by between two looks.
                (StageStatus::Pending, false) => stage.status = StageStatus::Succeeded,
                _ => {}
            }
        }
        return stages;
    }
    let Some(current) = ecs.present_stage() else {
        return stages;
    };
    if stages.is_empty() {
        let reconcile = (current == RECONCILE).then_some(RECONCILE);
        let pending = |name: &str| Stage {
            name: name.to_string(),
            status: StageStatus::Pending,
            started_at: None,
            ended_at: None,
            message: None,
        };
        stages = reconcile.into_iter().chain(STAGES).map(pending).collect();
    }
    let Some(at) = stages.iter().position(|stage| stage.name == current) else {
        return stages;
    };
    for (index, stage) in stages.iter_mut().enumerate() {
        let status = match index.cmp(&at) {
            std::cmp::Ordering::Less => StageStatus::Succeeded,
            std::cmp::Ordering::Equal => StageStatus::InProgress,
            // A step of linear or canary begins again at an earlier stage.
            std::cmp::Ordering::Greater => StageStatus::Pending,
        };
        match (stage.status, status) {
            (from, to) if from == to => continue,
            (StageStatus::InProgress, StageStatus::Succeeded) => stage.ended_at = Some(now),
            (StageStatus::Succeeded, StageStatus::InProgress) => stage.ended_at = None,
            (_, StageStatus::InProgress) => stage.started_at = Some(now),
            (_, StageStatus::Pending) => (stage.started_at, stage.ended_at) = (None, None),
            _ => {}
        }
        stage.status = status;
    }
    stages
}

/// Who began a deployment of ECS, where nobody but CloudTrail knows.
pub const INITIATOR_NOT_TOLD: &str = "not told by ECS";

/// Whether an id of AWS's is that of a service deployment, not of a deployment of CodeDeploy.
pub fn is_service_deployment(aws_id: &str) -> bool {
    aws_id.starts_with("arn:") && aws_id.contains(":service-deployment/")
}

#[cfg(test)]
#[path = "ecs/tests.rs"]
mod tests;
