//! A deployment: where it is (phase) and how it ended (outcome), both derived from what AWS shows.
//!
//! Nothing here is guessed. "All events succeeded" is not "succeeded": during the termination wait AWS
//! still says InProgress and the old tasks are warm (aws.md §0.3), which is the phase *baking*.

use crate::ecs;
use crate::ecs::EcsReading;
use crate::moment::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// Where a running deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// New tasks are being started.
    Preparing,
    /// The new tasks are reachable by the test listener, or are about to receive production traffic.
    Testing,
    /// A gate is open: the deployment waits for people.
    Holding,
    /// Production traffic is being moved.
    Shifting,
    /// All traffic is on the new revision; the old tasks are still warm.
    Baking,
    /// The deployment is being undone or tidied up.
    CleaningUp,
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    InProgress,
    /// AWS says so, and the old tasks are gone or kept on purpose.
    Succeeded,
    /// It failed and nothing was put back.
    Failed,
    /// It was stopped and nothing was put back.
    Stopped,
    /// The previous revision was put back.
    RolledBack,
    /// Putting the previous revision back failed.
    RollbackFailed,
    /// A newer deployment took its place.
    Superseded,
    /// AWS no longer tells.
    Unknown,
}

/// Why it ended other than by succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeCause {
    /// An alarm fired.
    Alarm,
    /// Somebody, or a fuse, said no at one of our gates.
    Gate,
    /// A validation hook failed.
    Hook,
    /// The ECS circuit breaker.
    CircuitBreaker,
    /// A person stopped it.
    Operator,
    /// A wait ran out.
    Timeout,
    /// Anything else that AWS reports as an error.
    Error,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The word used in the store and the API.
            pub const fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }

            /// The value with this word.
            pub fn parse(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

words!(Phase {
    Preparing => "preparing",
    Testing => "testing",
    Holding => "holding",
    Shifting => "shifting",
    Baking => "baking",
    CleaningUp => "cleaning_up",
});
words!(Outcome {
    InProgress => "in_progress",
    Succeeded => "succeeded",
    Failed => "failed",
    Stopped => "stopped",
    RolledBack => "rolled_back",
    RollbackFailed => "rollback_failed",
    Superseded => "superseded",
    Unknown => "unknown",
});
words!(OutcomeCause {
    Alarm => "alarm",
    Gate => "gate",
    Hook => "hook",
    CircuitBreaker => "circuit_breaker",
    Operator => "operator",
    Timeout => "timeout",
    Error => "error",
});

impl Outcome {
    /// Whether the deployment is over for good. Unknown is not: AWS may tell later.
    pub const fn is_final(self) -> bool {
        !matches!(self, Outcome::InProgress | Outcome::Unknown)
    }
}

/// How one stage of the lifecycle stands. [M: LifecycleEventStatus]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Not begun.
    Pending,
    /// Running now.
    InProgress,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// Never run, because an earlier one failed or the deployment was stopped.
    Skipped,
    /// A status this version does not know.
    Unknown,
}

/// One stage of the lifecycle: a CodeDeploy lifecycle event by its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// For example `BeforeAllowTraffic`.
    pub name: String,
    /// How it stands.
    pub status: StageStatus,
    /// When it began.
    pub started_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// AWS's diagnostic text, when it gave one.
    pub message: Option<String>,
}

/// What AWS says of the deployment as a whole. [M: DeploymentStatus]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsStatus {
    /// Created, Queued, InProgress or Baking.
    Running,
    /// Ready: waits to be continued by a person.
    Ready,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped.
    Stopped,
    /// AWS no longer knows the deployment, or says something this version does not know.
    Unknown,
}

/// What AWS shows of a deployment at one moment, in our words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The deployment as a whole.
    pub status: AwsStatus,
    /// AWS's error code, for example `ALARM_ACTIVE`. [M: ErrorCode]
    pub error_code: Option<String>,
    /// AWS's error text.
    pub error_message: Option<String>,
    /// The AWS id of the deployment that undoes this one, once AWS has begun it.
    pub rolled_back_by: Option<String>,
    /// The AWS id of the deployment that this one undoes.
    pub rolls_back: Option<String>,
    /// The lifecycle, in order; empty before it began.
    pub stages: Vec<Stage>,
    /// What else ECS shows of a deployment of its own controller; `None` for one of CodeDeploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecs: Option<EcsReading>,
}

/// What Switchback itself knows that changes how a reading is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Known {
    /// A gate of this deployment is open.
    pub gate_open: bool,
    /// A gate of this deployment was rejected or its fuse burned out with a rejection.
    pub gate_rejected: bool,
    /// How the deployment that undoes this one stands, when there is one.
    pub rollback: Option<Outcome>,
    /// It failed or was stopped a moment ago and AWS will roll it back, but has not said yet by which deployment.
    pub rollback_awaited: bool,
    /// Somebody asked Switchback to stop it with a rollback, and AWS was told.
    pub stop_asked: bool,
}

/// Where a deployment is and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// `None` once ended.
    pub phase: Option<Phase>,
    /// How it ended, or in progress.
    pub outcome: Outcome,
    /// Why, when it did not succeed.
    pub cause: Option<OutcomeCause>,
}

impl Standing {
    /// A deployment that was just seen for the first time.
    pub const fn started() -> Standing {
        Standing {
            phase: Some(Phase::Preparing),
            outcome: Outcome::InProgress,
            cause: None,
        }
    }

    const fn running(phase: Phase) -> Standing {
        Standing {
            phase: Some(phase),
            outcome: Outcome::InProgress,
            cause: None,
        }
    }

    const fn ended(outcome: Outcome, cause: Option<OutcomeCause>) -> Standing {
        Standing {
            phase: None,
            outcome,
            cause,
        }
    }
}

/// How a deployment stands, from what AWS shows and what Switchback knows.
pub fn standing(reading: &Reading, known: Known) -> Standing {
    if let Some(ecs) = &reading.ecs {
        return ecs::standing(ecs, reading, known);
    }
    match reading.status {
        AwsStatus::Running => Standing::running(running_phase(reading, known)),
        AwsStatus::Ready => Standing::running(Phase::Holding),
        AwsStatus::Succeeded => Standing::ended(Outcome::Succeeded, None),
        AwsStatus::Failed => undone(reading, known, Outcome::Failed),
        AwsStatus::Stopped => undone(reading, known, Outcome::Stopped),
        AwsStatus::Unknown => Standing {
            phase: None,
            outcome: Outcome::Unknown,
            cause: None,
        },
    }
}

fn running_phase(reading: &Reading, known: Known) -> Phase {
    if known.gate_open {
        return Phase::Holding;
    }
    if reading.rolls_back.is_some() {
        // A rollback deployment starts no tasks: it moves weights back and drains (aws.md §0.4).
        return Phase::CleaningUp;
    }
    let current = reading
        .stages
        .iter()
        .find(|stage| !matches!(stage.status, StageStatus::Succeeded | StageStatus::Skipped));
    match current.map(|stage| stage.name.as_str()) {
        Some("AllowTestTraffic" | "AfterAllowTestTraffic" | "BeforeAllowTraffic") => Phase::Testing,
        Some("AllowTraffic") => Phase::Shifting,
        Some("AfterAllowTraffic") => Phase::Baking,
        Some(_) => Phase::Preparing,
        None if reading.stages.is_empty() => Phase::Preparing,
        None => Phase::Baking,
    }
}

/// Failed or stopped: has the previous revision been put back?
fn undone(reading: &Reading, known: Known, without_rollback: Outcome) -> Standing {
    let cause = Some(cause(reading, known));
    if reading.rolled_back_by.is_none() && known.rollback_awaited {
        return Standing {
            phase: Some(Phase::CleaningUp),
            outcome: Outcome::InProgress,
            cause,
        };
    }
    if reading.rolled_back_by.is_none() {
        return Standing::ended(without_rollback, cause);
    }
    match known.rollback {
        None | Some(Outcome::InProgress) => Standing {
            phase: Some(Phase::CleaningUp),
            outcome: Outcome::InProgress,
            cause,
        },
        Some(Outcome::Succeeded) => Standing::ended(Outcome::RolledBack, cause),
        Some(Outcome::Unknown) => Standing {
            phase: None,
            outcome: Outcome::Unknown,
            cause,
        },
        Some(
            Outcome::Failed
            | Outcome::Stopped
            | Outcome::RolledBack
            | Outcome::RollbackFailed
            | Outcome::Superseded,
        ) => Standing::ended(Outcome::RollbackFailed, cause),
    }
}

fn cause(reading: &Reading, known: Known) -> OutcomeCause {
    match reading.error_code.as_deref() {
        Some("ALARM_ACTIVE") => OutcomeCause::Alarm,
        Some("HOOK_EXECUTION_FAILURE" | "INVALID_LAMBDA_FUNCTION") if known.gate_rejected => {
            OutcomeCause::Gate
        }
        Some("HOOK_EXECUTION_FAILURE" | "INVALID_LAMBDA_FUNCTION") => OutcomeCause::Hook,
        // A rejected ready-wait is delivered by stopping the deployment.
        Some("MANUAL_STOP") if known.gate_rejected => OutcomeCause::Gate,
        Some("MANUAL_STOP") => OutcomeCause::Operator,
        Some("TIMEOUT") => OutcomeCause::Timeout,
        Some(_) => OutcomeCause::Error,
        // A ready-wait that nobody continued stops without a code. [M: DeploymentReadyOption]
        None if known.gate_rejected => OutcomeCause::Gate,
        None if reading.status == AwsStatus::Stopped => OutcomeCause::Operator,
        None => OutcomeCause::Error,
    }
}

/// A later reading contradicts what was recorded as final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A deployment that ended as {from:?} cannot become {to:?}.")]
pub struct Contradiction {
    /// What stands recorded.
    pub from: Outcome,
    /// What the reading would make of it.
    pub to: Outcome,
}

/// Moves a deployment from what is recorded to what was read. A final outcome never changes: a
/// rollback that comes later is appended to the record, it does not rewrite it.
pub fn advance(recorded: Standing, read: Standing) -> Result<Standing, Contradiction> {
    match recorded.outcome {
        Outcome::InProgress | Outcome::Unknown => Ok(read),
        Outcome::Succeeded
        | Outcome::Failed
        | Outcome::Stopped
        | Outcome::RolledBack
        | Outcome::RollbackFailed
        | Outcome::Superseded => match read.outcome {
            same if same == recorded.outcome => Ok(recorded),
            // AWS forgets; the record does not.
            Outcome::Unknown => Ok(recorded),
            // AWS may attach the rollback deployment a moment after it reports the stop.
            Outcome::RolledBack | Outcome::RollbackFailed | Outcome::InProgress
                if matches!(recorded.outcome, Outcome::Failed | Outcome::Stopped) =>
            {
                Ok(read)
            }
            to => Err(Contradiction {
                from: recorded.outcome,
                to,
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(status: AwsStatus, code: Option<&str>, rolled_back: bool) -> Reading {
        Reading {
            status,
            error_code: code.map(str::to_string),
            error_message: None,
            rolled_back_by: rolled_back.then(|| "d-ROLLBACK1".to_string()),
            rolls_back: None,
            stages: Vec::new(),
            ecs: None,
        }
    }

    fn stages(running: &str) -> Vec<Stage> {
        let mut status = StageStatus::Succeeded;
        [
            "BeforeInstall",
            "Install",
            "AfterInstall",
            "AllowTestTraffic",
            "AfterAllowTestTraffic",
            "BeforeAllowTraffic",
            "AllowTraffic",
            "AfterAllowTraffic",
        ]
        .into_iter()
        .map(|name| {
            let own = if name == running {
                StageStatus::InProgress
            } else {
                status
            };
            if name == running {
                status = StageStatus::Pending;
            }
            Stage {
                name: name.to_string(),
                status: own,
                started_at: None,
                ended_at: None,
                message: None,
            }
        })
        .collect()
    }

    #[test]
    fn the_phase_follows_the_running_event() {
        for (running, phase) in [
            ("BeforeInstall", Phase::Preparing),
            ("Install", Phase::Preparing),
            ("AfterInstall", Phase::Preparing),
            ("AllowTestTraffic", Phase::Testing),
            ("AfterAllowTestTraffic", Phase::Testing),
            ("BeforeAllowTraffic", Phase::Testing),
            ("AllowTraffic", Phase::Shifting),
            ("AfterAllowTraffic", Phase::Baking),
            ("none: all succeeded, termination wait", Phase::Baking),
        ] {
            let mut reading = reading(AwsStatus::Running, None, false);
            reading.stages = stages(running);
            assert_eq!(
                standing(&reading, Known::default()),
                Standing::running(phase),
                "{running}"
            );
            let holding = Known {
                gate_open: true,
                ..Known::default()
            };
            assert_eq!(
                standing(&reading, holding).phase,
                Some(Phase::Holding),
                "{running}"
            );
        }
    }

    #[test]
    fn a_rollback_that_aws_has_yet_to_name_is_waited_for() {
        let awaited = Known {
            rollback_awaited: true,
            ..Known::default()
        };
        let stopped = reading(AwsStatus::Stopped, Some("MANUAL_STOP"), false);
        let waits = standing(&stopped, awaited);
        assert_eq!(
            (waits.outcome, waits.phase),
            (Outcome::InProgress, Some(Phase::CleaningUp))
        );
        // Named in the meantime, or not named in time.
        let named = reading(AwsStatus::Stopped, Some("MANUAL_STOP"), true);
        let undone = Known {
            rollback: Some(Outcome::Succeeded),
            ..Known::default()
        };
        let after = advance(waits, standing(&named, undone));
        assert_eq!(after.map(|after| after.outcome), Ok(Outcome::RolledBack));
        let after = advance(waits, standing(&stopped, Known::default()));
        assert_eq!(after.map(|after| after.outcome), Ok(Outcome::Stopped));
    }

    #[test]
    fn the_outcome_follows_status_rollback_and_cause() {
        use Outcome::*;
        let known = |gate_rejected, rollback| Known {
            gate_rejected,
            rollback,
            ..Known::default()
        };
        for (status, code, rolled_back, known, outcome, cause) in [
            (
                AwsStatus::Succeeded,
                None,
                false,
                known(false, None),
                Succeeded,
                None,
            ),
            (
                AwsStatus::Failed,
                Some("ECS_UPDATE_ERROR"),
                false,
                known(false, None),
                Failed,
                Some(OutcomeCause::Error),
            ),
            (
                AwsStatus::Failed,
                Some("HOOK_EXECUTION_FAILURE"),
                false,
                known(false, None),
                Failed,
                Some(OutcomeCause::Hook),
            ),
            (
                AwsStatus::Failed,
                Some("HOOK_EXECUTION_FAILURE"),
                true,
                known(true, Some(Succeeded)),
                RolledBack,
                Some(OutcomeCause::Gate),
            ),
            (
                AwsStatus::Stopped,
                Some("ALARM_ACTIVE"),
                true,
                known(false, None),
                InProgress,
                Some(OutcomeCause::Alarm),
            ),
            (
                AwsStatus::Stopped,
                Some("ALARM_ACTIVE"),
                true,
                known(false, Some(InProgress)),
                InProgress,
                Some(OutcomeCause::Alarm),
            ),
            (
                AwsStatus::Stopped,
                Some("ALARM_ACTIVE"),
                true,
                known(false, Some(Succeeded)),
                RolledBack,
                Some(OutcomeCause::Alarm),
            ),
            (
                AwsStatus::Stopped,
                Some("ALARM_ACTIVE"),
                true,
                known(false, Some(Failed)),
                RollbackFailed,
                Some(OutcomeCause::Alarm),
            ),
            (
                AwsStatus::Stopped,
                Some("MANUAL_STOP"),
                false,
                known(false, None),
                Stopped,
                Some(OutcomeCause::Operator),
            ),
            (
                AwsStatus::Stopped,
                None,
                false,
                known(true, None),
                Stopped,
                Some(OutcomeCause::Gate),
            ),
            (
                AwsStatus::Stopped,
                None,
                false,
                known(false, None),
                Stopped,
                Some(OutcomeCause::Operator),
            ),
            (
                AwsStatus::Failed,
                Some("TIMEOUT"),
                false,
                known(false, None),
                Failed,
                Some(OutcomeCause::Timeout),
            ),
            (
                AwsStatus::Unknown,
                None,
                false,
                known(false, None),
                Unknown,
                None,
            ),
        ] {
            let got = standing(&reading(status, code, rolled_back), known);
            assert_eq!(
                (got.outcome, got.cause),
                (outcome, cause),
                "{status:?} {code:?} {known:?}"
            );
            assert_eq!(got.phase.is_some(), outcome == InProgress);
        }
    }

    /// Every (recorded, read) pair: `.` unchanged, `>` moves, `!` contradiction.
    #[test]
    fn the_table_of_outcomes() {
        let table: Vec<String> = Outcome::ALL
            .iter()
            .map(|from| {
                Outcome::ALL
                    .iter()
                    .map(|to| {
                        let standing = |outcome| Standing {
                            phase: None,
                            outcome,
                            cause: None,
                        };
                        match advance(standing(*from), standing(*to)) {
                            Ok(after) if after.outcome == *from => '.',
                            Ok(_) => '>',
                            Err(_) => '!',
                        }
                    })
                    .collect()
            })
            .collect();
        assert_eq!(
            table,
            // columns: in_progress succeeded failed stopped rolled_back rollback_failed superseded unknown
            [
                ".>>>>>>>", // in_progress
                "!.!!!!!.", // succeeded
                ">!.!>>!.", // failed
                ">!!.>>!.", // stopped
                "!!!!.!!.", // rolled_back
                "!!!!!.!.", // rollback_failed
                "!!!!!!..", // superseded
                ">>>>>>>.", // unknown
            ]
        );
    }
}
