//! The lifecycle strip: the controller's own names, in order.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentPage;
use switchback_contract::GateState;
use switchback_contract::Moment;
use switchback_contract::Stage;
use switchback_contract::StageStatus;
use switchback_contract::duration_words;

/// The strip on a wide screen, and "Stage 7 of 8" that opens to a list on a narrow one.
pub fn stages(page: &DeploymentPage, now: Signal<Moment>) -> AnyView {
    if page.stages.is_empty()
        && (page.ecs.as_ref().is_some_and(|ecs| ecs.is_rolling) || page.deployment.phase.is_none())
    {
        // Rolling has none, and of what was over before anybody looked AWS tells none.
        return ().into_any();
    }
    if page.stages.is_empty() {
        return view! { <p class="empty">"AWS has not begun the lifecycle yet."</p> }.into_any();
    }
    let current = page
        .stages
        .iter()
        .position(|stage| stage.status == StageStatus::InProgress);
    let holding = page
        .gates
        .iter()
        .find(|gate| gate.state == GateState::Open)
        .map(|gate| gate.stage.clone());
    let count = page.stages.len();
    let summary = match current.and_then(|index| page.stages.get(index).map(|stage| (index, stage)))
    {
        Some((index, stage)) => format!("Stage {} of {count}: {}", index + 1, stage.name),
        None if page.deployment.phase.is_none() => "All stages".to_string(),
        None => {
            let done = page
                .stages
                .iter()
                .filter(|stage| stage.status == StageStatus::Succeeded)
                .count();
            format!("{done} of {count} stages done")
        }
    };
    let list = |class: &'static str| {
        let items = page.stages.iter().enumerate().map(|(index, stage)| {
            let is_holding = holding.as_deref() == Some(stage.name.as_str());
            one_stage(stage, current == Some(index), is_holding, now)
        });
        view! { <ol class=class aria-label="Lifecycle">{items.collect_view()}</ol> }
    };
    view! {
        <div class="lifecycle">
            {list("strip")}
            <details class="strip-narrow"><summary>{summary}</summary>{list("strip-list")}</details>
        </div>
    }
    .into_any()
}

fn one_stage(stage: &Stage, is_current: bool, is_holding: bool, now: Signal<Moment>) -> AnyView {
    let shape = match stage.status {
        StageStatus::InProgress if is_holding => Shape::Hold,
        StageStatus::Pending => Shape::Ring,
        StageStatus::InProgress => Shape::Half,
        StageStatus::Succeeded => Shape::Check,
        StageStatus::Failed => Shape::Cross,
        StageStatus::Skipped => Shape::Skipped,
        StageStatus::Unknown => Shape::Question,
    };
    let (status, started, ended) = (stage.status, stage.started_at, stage.ended_at);
    let detail = move || match (status, started, ended) {
        (StageStatus::Pending, _, _) => words::NONE.to_string(),
        (StageStatus::Skipped, _, _) => "skipped".to_string(),
        (StageStatus::Unknown, _, _) => "AWS does not tell".to_string(),
        (StageStatus::InProgress, Some(started), _) => {
            let running = duration_words(now.get().millis_since(started));
            if is_holding {
                format!("holding {running}")
            } else {
                format!("for {running}")
            }
        }
        (StageStatus::Failed, Some(started), Some(ended)) => format!(
            "failed after {}",
            duration_words(ended.millis_since(started))
        ),
        (_, Some(started), Some(ended)) => duration_words(ended.millis_since(started)),
        _ => words::NONE.to_string(),
    };
    let class = match (is_current, is_holding, stage.status) {
        (_, true, _) => "stage current holding",
        (true, false, _) => "stage current",
        (_, _, StageStatus::Failed) => "stage failed",
        (_, _, StageStatus::Pending | StageStatus::Skipped) => "stage later",
        _ => "stage",
    };
    let message = stage
        .message
        .clone()
        .filter(|message| !message.is_empty() && stage.status == StageStatus::Failed);
    view! {
        <li class=class aria-current=is_current.then_some("step")>
            {icon(shape)}
            <span class="stage-name">{breakable(&stage.name)}</span>
            <span class="stage-detail">{detail}{message.map(|message| format!(" · {message}"))}</span>
        </li>
    }
    .into_any()
}

/// `POST_TEST_TRAFFIC_SHIFT`, which may break after each underscore and nowhere else.
fn breakable(name: &str) -> AnyView {
    name.split_inclusive('_')
        .map(|part| view! { {part.to_string()}<wbr/> })
        .collect_view()
        .into_any()
}
