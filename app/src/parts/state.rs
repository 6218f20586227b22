//! A deployment's phase or outcome as shape and word.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::words;
use leptos::prelude::*;
use switchback_contract::Delivery;
use switchback_contract::DeploymentView;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::OperationState;
use switchback_contract::Outcome;
use switchback_contract::Phase;
use switchback_contract::PreflightResult;

/// The shape of a deployment's phase or outcome.
pub fn shape_of(deployment: &DeploymentView) -> Shape {
    match deployment.outcome {
        Outcome::Succeeded => Shape::Check,
        Outcome::Failed => Shape::Cross,
        Outcome::RolledBack => Shape::BentArrow,
        Outcome::RollbackFailed => Shape::FailedArrow,
        Outcome::Stopped => Shape::Square,
        Outcome::Superseded => Shape::Chevrons,
        Outcome::Unknown => Shape::Question,
        Outcome::InProgress => match deployment.phase {
            Some(Phase::Holding) => Shape::Hold,
            Some(Phase::Baking) => Shape::Clock,
            Some(Phase::CleaningUp) if deployment.outcome_cause.is_some() => Shape::BentArrow,
            Some(Phase::Preparing | Phase::Testing | Phase::Shifting | Phase::CleaningUp)
            | None => Shape::Half,
        },
    }
}

/// Shape and word of a deployment.
pub fn state(deployment: &DeploymentView) -> AnyView {
    state_with(deployment, words::state_words(deployment))
}

/// Shape and word of a deployment, with the share on the new revision where traffic is split.
pub fn state_in_full(deployment: &DeploymentView) -> AnyView {
    let mut text = words::state_words(deployment);
    if deployment.phase == Some(Phase::Holding) {
        text.push_str(" at a gate");
        if let (Some(share), Some(target)) = (deployment.share_new, &deployment.target_revision) {
            text.push_str(&format!(
                ", {} on {}",
                words::percent(share),
                words::revision_number(target)
            ));
        }
    }
    state_with(deployment, text)
}

fn state_with(deployment: &DeploymentView, text: String) -> AnyView {
    view! { <span class="state" data-outcome=deployment.outcome.word()>{icon(shape_of(deployment))} <span>{text}</span></span> }.into_any()
}

/// Shape and word of a gate.
pub fn gate_state(gate: &GateView) -> AnyView {
    let (shape, text) = match gate.state {
        GateState::Open => (Shape::Hold, "Open"),
        GateState::Approved => (Shape::Tick, "Approved"),
        GateState::Rejected => (Shape::BentArrow, "Rejected"),
        GateState::Expired => (Shape::Clock, "Expired"),
        GateState::Superseded => (Shape::Chevrons, "Superseded"),
    };
    view! { <span class="state">{icon(shape)} <span>{text}</span></span> }.into_any()
}

/// Shape and word of a preflight result.
pub fn preflight_state(result: PreflightResult) -> AnyView {
    let (shape, text) = match result {
        PreflightResult::Ok => (Shape::Check, "OK"),
        PreflightResult::Warning => (Shape::Warning, "Warning"),
        PreflightResult::Blocking => (Shape::Cross, "Blocking"),
        PreflightResult::Unchecked => (Shape::Question, "Unchecked"),
    };
    view! { <span class="state">{icon(shape)} <span>{text}</span></span> }.into_any()
}

/// Shape and word of an operation.
pub fn operation_state(state: OperationState) -> AnyView {
    let (shape, text) = match state {
        OperationState::Intended => (Shape::Ring, "Recorded"),
        OperationState::Calling => (
            Shape::Half,
            "Sent, not confirmed. Do not repeat; checking AWS.",
        ),
        OperationState::Submitted => (Shape::Half, "AWS accepted it"),
        OperationState::Done => (Shape::Check, "Done"),
        OperationState::Failed => (Shape::Cross, "AWS refused"),
        OperationState::Unknown => (
            Shape::Question,
            "Sent, not confirmed. Do not repeat; checking AWS.",
        ),
    };
    view! { <span class="state">{icon(shape)} <span>{text}</span></span> }.into_any()
}

/// How far a verdict got: recorded → sent → confirmed by AWS.
pub fn delivery(delivery: Delivery, detail: Option<&str>) -> AnyView {
    let reached = match delivery {
        Delivery::Recorded => 1,
        Delivery::Sent | Delivery::Failed => 2,
        Delivery::Confirmed => 3,
    };
    let steps = ["Recorded", "Sent", "Confirmed by AWS"]
        .into_iter()
        .enumerate()
        .map(|(index, word)| {
            let (shape, text) = if delivery == Delivery::Failed && index == 2 {
                (Shape::Cross, "Refused by AWS")
            } else if index < reached {
                (Shape::Tick, word)
            } else {
                (Shape::Ring, word)
            };
            view! { <li>{icon(shape)} <span>{text}</span></li> }
        });
    let detail = detail.map(|detail| view! { <p class="quiet">{format!("AWS: {detail}")}</p> });
    view! { <div class="delivery"><ol aria-label="Delivery to AWS">{steps.collect_view()}</ol>{detail}</div> }.into_any()
}
