//! One deployment, live.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::live::Live;
use crate::live::trouble_line;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::page;
use crate::pages::rollback_link;
use crate::parts::chart::Cursor;
use crate::parts::chart::chart;
use crate::parts::coverage::previous_words;
use crate::parts::coverage::sight_words;
use crate::parts::difference::changed_words;
use crate::parts::difference::difference_table;
use crate::parts::ecs_panel::ecs_panel;
use crate::parts::frame::Section;
use crate::parts::gate_panel::Read;
use crate::parts::gate_panel::gate_panel;
use crate::parts::gate_panel::question;
use crate::parts::gate_panel::remember_read;
use crate::parts::icon::icon;
use crate::parts::path::path_panel;
use crate::parts::small::Notice;
use crate::parts::small::change;
use crate::parts::small::identifier;
use crate::parts::small::notice_box;
use crate::parts::small::stale;
use crate::parts::small::time;
use crate::parts::stages::stages;
use crate::parts::state::shape_of;
use crate::parts::state::state_in_full;
use crate::parts::timeline::operations;
use crate::parts::timeline::timeline;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use switchback_contract::DeploymentPage;
use switchback_contract::DeploymentView;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Outcome;
use switchback_contract::duration_words;
use switchback_contract::strategy_words;

/// `/deployments/:id`
#[component]
pub fn Deployment() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    page(Section::Now, asks::deployment_page(id), |answer, notice| {
        Shown {
            title: title(&answer),
            now: Some(answer.now),
            content: view! { <DeploymentLive initial=answer notice=notice/> }.into_any(),
        }
    })
}

fn title(page: &DeploymentPage) -> String {
    format!(
        "{} · {}",
        words::state_words(&page.deployment),
        page.deployment.service
    )
}

/// The page, asked for again whenever something about the deployment changes.
#[island]
pub fn DeploymentLive(
    /// What the page was made with.
    initial: DeploymentPage,
    /// What the last act came to.
    notice: Notice,
) -> impl IntoView {
    let now = Live::clock(initial.now);
    let id = initial.deployment.id.clone();
    let shown = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    let cursor: Cursor = RwSignal::new(None);
    let read = remember_read(move || {
        shown.with(|page| {
            let open = page
                .gates
                .iter()
                .rev()
                .find(|gate| gate.state == GateState::Open)?;
            Some((open.id.clone(), open.evidence_digest.clone()))
        })
    });
    let asked = id.clone();
    Live::follow(
        shown,
        trouble,
        move |change| change.concerns(&id),
        move || asks::deployment_page(asked.clone()),
    );
    Live::announce(move || shown.with(title));
    Live::announce_fuse(now, move || shown.with(|page| expires(&page.gates)));
    view! {
        <div class="page has-dock">
            {trouble_line(trouble)}
            {move || shown.with(|page| content(page, now, cursor, &notice, read))}
        </div>
    }
}

/// When the open gate's fuse burns out.
fn expires(gates: &[GateView]) -> Option<Moment> {
    gates
        .iter()
        .rev()
        .find(|gate| gate.state == GateState::Open)
        .map(|gate| gate.expires_at)
}

fn content(
    page: &DeploymentPage,
    now: Signal<Moment>,
    cursor: Cursor,
    notice: &Notice,
    read: Read,
) -> AnyView {
    let deployment = &page.deployment;
    let open = page
        .gates
        .iter()
        .rev()
        .find(|gate| gate.state == GateState::Open);
    let here = format!("/deployments/{}", deployment.id);
    view! {
        {crumbs(vec![
            ("Services".to_string(), Some("/services".to_string())),
            (deployment.service.clone(), Some(format!("/services/{}", deployment.service_id))),
            ("Deployment".to_string(), None),
        ])}
        {notice_box(notice)}
        <div class="title-row">
            <h1>{deployment.service.clone()}</h1>
            {change(deployment, true)}
            {state_in_full(deployment)}
            {stale(page.observed_at, deployment.ended_at.is_none(), now)}
            {title_act(page, open.is_some())}
        </div>
        {meta(page, now)}
        {stages(page, now)}
        <div class="columns">
            <div class="column-main">
                {chart(page, cursor)}
                {timeline(page.now, &page.timeline)}
            </div>
            <div class="column-side">
                {outcome_panel(deployment)}
                {shown_gates(page).into_iter().map(|gate| {
                    let heading = if gate.state == GateState::Open { question(gate) } else { "at this gate".to_string() };
                    gate_panel(gate, heading, now, here.clone(), notice, read)
                }).collect_view()}
                {path_panel(page)}
                {ecs_panel(page)}
                {operations(page.now, &page.operations)}
                {changes_panel(page)}
                {app_spec_panel(page)}
            </div>
        </div>
    }
    .into_any()
}

/// The acts of the page: stop while it runs and end its bake, roll back once it is over.
fn title_act(page: &DeploymentPage, gate_is_open: bool) -> AnyView {
    if !page.may_roll_back && !page.may_end_bake {
        return ().into_any();
    }
    let deployment = &page.deployment;
    // On a phone the gate's buttons have the dock; without a gate this act has it.
    let class = if gate_is_open {
        "title-act"
    } else {
        "title-act dock"
    };
    let (text, target) = match (deployment.outcome, &deployment.previous_revision) {
        (Outcome::InProgress, Some(previous)) => ("Stop and roll back…", Some(previous.as_str())),
        (Outcome::InProgress, None) => ("Stop and roll back…", None),
        _ => ("Roll back…", None),
    };
    let end_bake = page.may_end_bake.then(|| {
        view! { <a class="button" href=format!("/deployments/{}/end-bake", deployment.id)>"End the bake…"</a>" " }
    });
    view! { <p class=class>{end_bake}{page.may_roll_back.then(|| view! { <a class="button danger" href=rollback_link(&deployment.service_id, target)>{text}</a> })}</p> }.into_any()
}

fn meta(page: &DeploymentPage, now: Signal<Moment>) -> AnyView {
    let deployment = &page.deployment;
    let (started, ended) = (deployment.started_at, deployment.ended_at);
    let since = move || {
        format!(
            ", {} ago",
            words::rough_duration(now.get().millis_since(started))
        )
    };
    let related = |text: &'static str, id: &Option<String>| {
        id.clone().map(|id| view! { <div><dt>{text}</dt><dd><a href=format!("/deployments/{id}")>"that deployment"</a></dd></div> })
    };
    let previous_from = previous_words(deployment)
        .map(|text| view! { <div><dt>"Previous"</dt><dd>{text}</dd></div> });
    let sight =
        sight_words(deployment).map(|text| view! { <div><dt>"Record"</dt><dd>{text}</dd></div> });
    view! {
        <dl class="meta">
            <div><dt>"Strategy"</dt><dd title=deployment.strategy.clone()>{strategy_words(&deployment.strategy)}</dd></div>
            <div><dt>"Started"</dt><dd>{time(started, format!("{} UTC", words::time_beside(page.now, started)))}{since}</dd></div>
            {ended.map(|ended| view! { <div><dt>"Ended"</dt><dd>{time(ended, format!("{} UTC", words::time_beside(page.now, ended)))}", after "{duration_words(ended.millis_since(started))}</dd></div> })}
            <div><dt>"By"</dt><dd>{deployment.initiator.clone()}</dd></div>
            <div><dt>"Why"</dt><dd>{deployment.reason.clone().map_or_else(|| "no reason recorded".to_string(), |reason| format!("“{reason}”"))}</dd></div>
            <div><dt>"AWS"</dt><dd>{identifier(&deployment.aws_id)}</dd></div>
            {previous_from}
            {sight}
            {related("Undoes", &deployment.rollback_of)}
            {related("Undone by", &deployment.rolled_back_by)}
        </dl>
    }
    .into_any()
}

/// How it ended, in a sentence.
fn outcome_panel(deployment: &DeploymentView) -> AnyView {
    if deployment.outcome == Outcome::InProgress {
        return ().into_any();
    }
    let target = deployment
        .target_revision
        .as_deref()
        .map_or_else(|| "The new revision".to_string(), words::revision_name);
    let previous = deployment
        .previous_revision
        .as_deref()
        .map_or_else(|| "what served before".to_string(), words::revision_name);
    let sentence = match deployment.outcome {
        Outcome::Succeeded if deployment.rolled_back_by.is_some() => {
            format!("{target} took all traffic and was rolled back later.")
        }
        Outcome::Succeeded if deployment.outcome_detail.is_some() => {
            format!("AWS called it successful while {target} was still replacing tasks.")
        }
        Outcome::Succeeded => format!("{target} took all traffic."),
        Outcome::Failed => {
            format!("{target} did not get through. AWS put nothing back; look at what serves.")
        }
        Outcome::Stopped => {
            format!("The move to {target} was stopped. Nothing was put back by this deployment.")
        }
        Outcome::RolledBack => format!("{previous} was put back."),
        Outcome::RollbackFailed => {
            format!("Putting {previous} back failed. Look at what serves now.")
        }
        Outcome::Superseded => "A newer deployment took its place.".to_string(),
        Outcome::Unknown => "AWS no longer tells how it ended.".to_string(),
        Outcome::InProgress => String::new(),
    };
    view! {
        <section class="panel outcome" aria-labelledby="outcome-title">
            <header class="panel-head">{icon(shape_of(deployment))}<h2 id="outcome-title">{words::state_words(deployment)}</h2></header>
            <div class="panel-part">
                <p>{sentence}</p>
                {deployment.outcome_detail.clone().map(|detail| view! { <p class="quiet">{format!("AWS: {detail}")}</p> })}
            </div>
        </section>
    }
    .into_any()
}

fn changes_panel(page: &DeploymentPage) -> AnyView {
    let Some(difference) = &page.difference else {
        return view! { <section class="panel"><header class="panel-head"><h2>"What changes"</h2></header><p class="panel-part quiet">"Not known: one of the two revisions is not recorded."</p></section> }.into_any();
    };
    let full = crate::pages::diff::address(
        &page.deployment.service_id,
        page.deployment.previous_revision.as_deref(),
        page.deployment.target_revision.as_deref(),
    );
    view! {
        <section class="panel changes" aria-labelledby="changes-title">
            <header class="panel-head"><h2 id="changes-title">"What changes "<span class="quiet">{changed_words(difference)}</span></h2>
                <a class="panel-link" data-key="d" href=full>"full diff "<kbd aria-hidden="true">"d"</kbd></a></header>
            <div class="panel-part">{difference_table(difference, page.deployment.previous_revision.as_deref(), page.deployment.target_revision.as_deref())}</div>
        </section>
    }
    .into_any()
}

fn app_spec_panel(page: &DeploymentPage) -> AnyView {
    let Some(text) = page.app_spec.clone() else {
        return ().into_any();
    };
    let hooks = page.hooks.iter().map(|(event, function)| view! { <li>{event.clone()}" "<code>{function.clone()}</code></li> }).collect_view();
    view! {
        <section class="panel app-spec" aria-labelledby="appspec-title">
            <header class="panel-head"><h2 id="appspec-title">"AppSpec "<span class="quiet">{words::counted(page.hooks.len(), "hook", "hooks")}</span></h2></header>
            <div class="panel-part">
                <ul class="hooks">{hooks}</ul>
                <details class="folded"><summary>"The whole text"</summary><pre tabindex="0"><code>{text}</code></pre></details>
            </div>
        </section>
    }
    .into_any()
}

/// All gates that are open, else the last ones.
fn shown_gates(page: &DeploymentPage) -> Vec<&GateView> {
    let open = |gate: &&GateView| gate.state == GateState::Open;
    if page.gates.iter().any(|gate| open(&gate)) {
        return page.gates.iter().filter(open).collect();
    }
    page.gates.iter().rev().take(3).collect()
}
