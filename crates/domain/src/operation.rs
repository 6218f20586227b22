//! An operation: an intent to change something in AWS, written before the call.
//!
//! CreateDeployment has no idempotency token (aws.md §0.1), so the intent carries a marker that is put
//! into the deployment's description, and an intent whose call may or may not have happened is
//! resolved by listing. A call is repeated only when AWS has shown that the first had no effect. UpdateService can
//! carry no marker: [`update_service`] says what is done instead.

pub mod update_service;

use crate::deployment::words;
use crate::ids::OperationId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What the operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Rejects at an open gate: the decision is the effect.
    RejectAtGate,
    /// StopDeployment with rollback; StopServiceDeployment where ECS itself deploys.
    StopInFlight,
    /// CreateDeployment of a recorded revision; UpdateService where ECS itself deploys.
    Redeploy,
    /// ContinueDeployment at CodeDeploy's wait before the old tasks are removed: not a rollback, but its end.
    EndBake,
}

/// Where the operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Committed; nothing has been sent.
    Intended,
    /// The call was begun; whether AWS heard it is not known until it answers or is asked.
    Calling,
    /// AWS accepted it.
    Submitted,
    /// AWS shows that it is done.
    Done,
    /// AWS refused, or the effect failed.
    Failed,
    /// It cannot be told whether it happened. Looked into until it can.
    Unknown,
}

words!(OperationKind {
    RejectAtGate => "reject_at_gate",
    StopInFlight => "stop_in_flight",
    Redeploy => "redeploy",
    EndBake => "end_bake",
});
words!(OperationState {
    Intended => "intended",
    Calling => "calling",
    Submitted => "submitted",
    Done => "done",
    Failed => "failed",
    Unknown => "unknown",
});

/// What can happen to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationEvent {
    /// The call is about to be made.
    Call,
    /// AWS answered that it accepted.
    Accepted,
    /// AWS answered that it refused.
    Refused,
    /// No answer: it may have happened.
    Lost,
    /// AWS was asked and shows the effect.
    Found,
    /// AWS was asked, after long enough, and shows that there was no effect.
    Absent,
    /// What was accepted has come to its end.
    Finished,
    /// What was accepted has come to a bad end.
    Broken,
    /// It waited too long to be sent: what was decided then may be wrong now.
    Abandon,
}

impl OperationEvent {
    /// Every event.
    pub const ALL: [OperationEvent; 9] = [
        OperationEvent::Call,
        OperationEvent::Accepted,
        OperationEvent::Refused,
        OperationEvent::Lost,
        OperationEvent::Found,
        OperationEvent::Absent,
        OperationEvent::Finished,
        OperationEvent::Broken,
        OperationEvent::Abandon,
    ];
}

/// The event does not fit the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("An operation that is {} takes no {event:?}.", state.word())]
pub struct OperationRefused {
    /// Where it stands.
    pub state: OperationState,
    /// What was tried.
    pub event: OperationEvent,
}

/// The operation's machine.
pub fn operation_after(
    state: OperationState,
    event: OperationEvent,
) -> Result<OperationState, OperationRefused> {
    use OperationEvent as Event;
    use OperationState as State;
    match (state, event) {
        (State::Intended, Event::Call) => Ok(State::Calling),
        (State::Intended, Event::Abandon) => Ok(State::Failed),
        (State::Calling, Event::Accepted) => Ok(State::Submitted),
        (State::Calling | State::Unknown, Event::Refused) => Ok(State::Failed),
        (State::Calling, Event::Lost) => Ok(State::Unknown),
        (State::Intended | State::Calling | State::Unknown, Event::Found) => Ok(State::Submitted),
        (State::Calling | State::Unknown, Event::Absent) => Ok(State::Intended),
        (State::Submitted, Event::Finished) => Ok(State::Done),
        (State::Submitted, Event::Broken) => Ok(State::Failed),
        (
            State::Intended,
            Event::Accepted
            | Event::Refused
            | Event::Lost
            | Event::Absent
            | Event::Finished
            | Event::Broken,
        )
        | (State::Calling, Event::Call | Event::Finished | Event::Broken | Event::Abandon)
        | (
            State::Submitted,
            Event::Call
            | Event::Accepted
            | Event::Refused
            | Event::Lost
            | Event::Found
            | Event::Absent
            | Event::Abandon,
        )
        | (
            State::Unknown,
            Event::Call
            | Event::Accepted
            | Event::Lost
            | Event::Finished
            | Event::Broken
            | Event::Abandon,
        )
        | (
            State::Done | State::Failed,
            Event::Call
            | Event::Accepted
            | Event::Refused
            | Event::Lost
            | Event::Found
            | Event::Absent
            | Event::Finished
            | Event::Broken
            | Event::Abandon,
        ) => Err(OperationRefused { state, event }),
    }
}

/// How long an intent may wait to be sent, in seconds. Older ones are abandoned: the plan behind them may no longer hold.
pub const INTENT_LIFETIME_SECONDS: i64 = 900;

/// How long AWS may take to show a stop, in seconds (aws.md §1.6: 10 to 25 s seen).
pub const STOP_GRACE_SECONDS: i64 = 60;

/// How long AWS may take to remove the old tasks after the bake was ended, in seconds, before it is asked for again.
/// Asking twice does no harm: the wait is over, or it ends now.
pub const END_BAKE_GRACE_SECONDS: i64 = 60;

/// How long AWS may take to attach the rollback deployment to one that failed or was stopped, in seconds. Until then
/// the deployment is not called ended.
pub const ROLLBACK_GRACE_SECONDS: i64 = 60;

/// How long AWS may take to list a deployment it has accepted, in seconds. Until then "not listed" proves nothing.
pub const LISTING_GRACE_SECONDS: i64 = 10;

/// The longest description CodeDeploy is known to take (aws.md §1.4: 256 documented, 512 seen).
pub const DESCRIPTION_LIMIT: usize = 256;

/// The description of a deployment begun by an operation: a marker that listing finds, then the reason.
pub fn description(operation: &OperationId, reason: &str) -> String {
    let mut text = format!("[switchback {operation}] {reason}");
    if text.len() > DESCRIPTION_LIMIT {
        let mut end = DESCRIPTION_LIMIT - "…".len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The operation whose marker a description carries, and the reason after it.
pub fn marker(description: &str) -> Option<(OperationId, &str)> {
    let (id, reason) = description.strip_prefix("[switchback ")?.split_once(']')?;
    let digits = id.strip_prefix("op-")?;
    let sound = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| (OperationId::new(id), reason.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_is_the_machine() {
        let mut edges = Vec::new();
        for state in OperationState::ALL {
            for event in OperationEvent::ALL {
                if let Ok(after) = operation_after(*state, event) {
                    let words = (state.word().to_string(), after.word().to_string());
                    edges.push((words.0, words.1, format!("{event:?}").to_lowercase()));
                }
            }
        }
        crate::diagram::assert_drawn(include_str!("../../../docs/machines/operation.md"), edges);
    }

    #[test]
    fn a_call_is_repeated_only_after_absence_was_shown() {
        for state in OperationState::ALL {
            for event in OperationEvent::ALL {
                if operation_after(*state, event) == Ok(OperationState::Intended) {
                    assert_eq!(event, OperationEvent::Absent);
                }
            }
        }
    }

    #[test]
    fn the_marker_is_found_again() {
        let id = OperationId::from_random([7; 8]);
        assert_eq!(
            marker(&description(&id, "INC-1: 5xx")),
            Some((id.clone(), "INC-1: 5xx"))
        );
        let long = description(&id, &"ü".repeat(400));
        assert!(long.len() <= DESCRIPTION_LIMIT);
        assert_eq!(marker(&long).map(|(found, _)| found), Some(id));
        for text in [
            "",
            "[switchback ]",
            "[switchback op-xyz] a",
            "release 5",
            "[switchback op-0707070707070707",
        ] {
            assert_eq!(marker(text), None, "{text}");
        }
    }
}
