//! A gate: a point where a deployment waits for people, with its fuse; and the delivery of its verdict.
//!
//! Two machines. The gate goes from open to one of four ends. The delivery of a verdict to AWS goes
//! from recorded to confirmed or failed. They are apart because a decision is a fact the moment it is
//! committed, while telling AWS may take several tries.

use crate::deployment::words;
use crate::moment::Moment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What AWS waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// A CodeDeploy validation hook posted by the relay (aws.md §1.2).
    CodedeployHook,
    /// CodeDeploy's ready-wait: `deploymentReadyOption` STOP_DEPLOYMENT (aws.md §1.7).
    CodedeployReadyWait,
    /// An ECS PAUSE hook (aws.md §2.3).
    EcsPause,
    /// An ECS Lambda hook whose function is the relay: for those who cannot use PAUSE (aws.md §2.3).
    EcsHook,
}

/// Where a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// It waits.
    Open,
    /// Enough people said yes.
    Approved,
    /// Somebody said no.
    Rejected,
    /// The fuse burned out and the policy's answer was given.
    Expired,
    /// The deployment went on or ended without us.
    Superseded,
}

/// One person's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let it go on.
    Approve,
    /// Do not.
    Reject,
}

/// How far a verdict got on its way to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Committed; AWS has not been told, or it is not known whether it heard.
    Recorded,
    /// AWS answered the call.
    Sent,
    /// AWS shows the effect.
    Confirmed,
    /// AWS refused: the wait was over before it heard us.
    Failed,
}

words!(GateKind {
    CodedeployHook => "codedeploy_hook",
    CodedeployReadyWait => "codedeploy_ready_wait",
    EcsPause => "ecs_pause",
    EcsHook => "ecs_hook",
});
words!(GateState {
    Open => "open",
    Approved => "approved",
    Rejected => "rejected",
    Expired => "expired",
    Superseded => "superseded",
});
words!(Verdict {
    Approve => "approve",
    Reject => "reject",
});
words!(Delivery {
    Recorded => "recorded",
    Sent => "sent",
    Confirmed => "confirmed",
    Failed => "failed",
});

/// What can happen to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateEvent {
    /// The last approval the policy asks for.
    Approve,
    /// A rejection.
    Reject,
    /// The fuse burned out.
    Expire,
    /// AWS no longer waits here.
    Supersede,
}

/// The gate cannot do that any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The gate is {} and takes no {event:?}.", state.word())]
pub struct GateClosed {
    /// Where it stands.
    pub state: GateState,
    /// What was tried.
    pub event: GateEvent,
}

/// The gate's machine: only an open gate moves, and every end is final.
pub fn gate_after(state: GateState, event: GateEvent) -> Result<GateState, GateClosed> {
    match (state, event) {
        (GateState::Open, GateEvent::Approve) => Ok(GateState::Approved),
        (GateState::Open, GateEvent::Reject) => Ok(GateState::Rejected),
        (GateState::Open, GateEvent::Expire) => Ok(GateState::Expired),
        (GateState::Open, GateEvent::Supersede) => Ok(GateState::Superseded),
        (
            GateState::Approved | GateState::Rejected | GateState::Expired | GateState::Superseded,
            GateEvent::Approve | GateEvent::Reject | GateEvent::Expire | GateEvent::Supersede,
        ) => Err(GateClosed { state, event }),
    }
}

/// What can happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryEvent {
    /// AWS answered the call.
    Answered,
    /// AWS shows the effect of the verdict.
    Shown,
    /// AWS refused, or shows that the wait ended another way.
    Refused,
}

/// The delivery's machine. `None` means that the event changes nothing (a late echo).
pub fn delivery_after(delivery: Delivery, event: DeliveryEvent) -> Option<Delivery> {
    match (delivery, event) {
        (Delivery::Recorded, DeliveryEvent::Answered) => Some(Delivery::Sent),
        (Delivery::Recorded | Delivery::Sent, DeliveryEvent::Shown) => Some(Delivery::Confirmed),
        (Delivery::Recorded | Delivery::Sent, DeliveryEvent::Refused) => Some(Delivery::Failed),
        (Delivery::Sent, DeliveryEvent::Answered)
        | (
            Delivery::Confirmed | Delivery::Failed,
            DeliveryEvent::Answered | DeliveryEvent::Shown | DeliveryEvent::Refused,
        ) => None,
    }
}

/// Who decides at a gate, how long it waits and what silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatePolicy {
    /// How many approvals let it go on.
    pub required_approvals: u32,
    /// How long the gate waits, in seconds of the account's time.
    pub fuse_seconds: i64,
    /// The answer given when the fuse burns out.
    pub at_expiry: Verdict,
}

impl GateKind {
    /// Whether the wait's end and what happens then are ECS's own, and ECS does it whether Switchback runs or not.
    pub const fn is_of_ecs(self) -> bool {
        match self {
            GateKind::EcsPause | GateKind::EcsHook => true,
            GateKind::CodedeployHook | GateKind::CodedeployReadyWait => false,
        }
    }
}

impl Default for GatePolicy {
    fn default() -> GatePolicy {
        GatePolicy {
            required_approvals: 1,
            fuse_seconds: 15 * 60,
            at_expiry: Verdict::Reject,
        }
    }
}

/// AWS ends a CodeDeploy hook after one hour, always (aws.md §1.2).
pub const CODEDEPLOY_HOOK_WALL_SECONDS: i64 = 3600;

/// How long before AWS's own wall we give the policy's answer, so that it is ours and not a time-out.
pub const BEFORE_THE_WALL_SECONDS: i64 = 60;

/// When the fuse burns out: the policy's time, but always before AWS's own wall.
pub fn fuse_end(policy: &GatePolicy, opened_at: Moment, wall_at: Moment) -> Moment {
    opened_at
        .plus_seconds(policy.fuse_seconds)
        .min(wall_at.plus_seconds(-BEFORE_THE_WALL_SECONDS))
        .max(opened_at)
}

/// Whether the lifecycle event is one that a function may validate. [M: PutLifecycleEventHookExecutionStatus]
pub fn is_hook_event(name: &str) -> bool {
    matches!(
        name,
        "BeforeInstall"
            | "AfterInstall"
            | "AfterAllowTestTraffic"
            | "BeforeAllowTraffic"
            | "AfterAllowTraffic"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_gate() {
        let events = [
            GateEvent::Approve,
            GateEvent::Reject,
            GateEvent::Expire,
            GateEvent::Supersede,
        ];
        for state in GateState::ALL {
            for event in events {
                let after = gate_after(*state, event);
                if *state == GateState::Open {
                    let expected = match event {
                        GateEvent::Approve => GateState::Approved,
                        GateEvent::Reject => GateState::Rejected,
                        GateEvent::Expire => GateState::Expired,
                        GateEvent::Supersede => GateState::Superseded,
                    };
                    assert_eq!(after, Ok(expected));
                } else {
                    assert_eq!(
                        after,
                        Err(GateClosed {
                            state: *state,
                            event
                        })
                    );
                }
            }
        }
    }

    /// The diagram in docs/machines/gate.md has exactly the edges of the two machines.
    #[test]
    fn the_diagram_is_the_machine() {
        let mut edges = Vec::new();
        for state in GateState::ALL {
            for event in [
                GateEvent::Approve,
                GateEvent::Reject,
                GateEvent::Expire,
                GateEvent::Supersede,
            ] {
                if let Ok(after) = gate_after(*state, event) {
                    edges.push((
                        state.word().to_string(),
                        after.word().to_string(),
                        format!("{event:?}").to_lowercase(),
                    ));
                }
            }
        }
        for delivery in Delivery::ALL {
            for event in [
                DeliveryEvent::Answered,
                DeliveryEvent::Shown,
                DeliveryEvent::Refused,
            ] {
                if let Some(after) = delivery_after(*delivery, event) {
                    edges.push((
                        delivery.word().to_string(),
                        after.word().to_string(),
                        format!("{event:?}").to_lowercase(),
                    ));
                }
            }
        }
        crate::diagram::assert_drawn(include_str!("../../../docs/machines/gate.md"), edges);
    }

    #[test]
    fn the_fuse_never_outlives_the_wall() {
        let opened = Moment::from_millis(0);
        let policy = GatePolicy::default();
        assert_eq!(
            fuse_end(&policy, opened, opened.plus_seconds(3600)),
            opened.plus_seconds(900)
        );
        assert_eq!(
            fuse_end(&policy, opened, opened.plus_seconds(600)),
            opened.plus_seconds(540)
        );
        assert_eq!(fuse_end(&policy, opened, opened.plus_seconds(10)), opened);
    }
}
