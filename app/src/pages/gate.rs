//! One gate: the title is the question.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::error::AppError;
use crate::live::Live;
use crate::live::trouble_line;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::page;
use crate::parts::chart::difference_words;
use crate::parts::chart::value_words;
use crate::parts::chart_model::ChartModel;
use crate::parts::chart_model::Lane;
use crate::parts::difference::difference_table;
use crate::parts::frame::Section;
use crate::parts::gate_panel::Read;
use crate::parts::gate_panel::gate_panel;
use crate::parts::gate_panel::question;
use crate::parts::gate_panel::remember_read;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::parts::small::change;
use crate::parts::small::notice_box;
use crate::parts::small::revision;
use crate::parts::small::stale;
use crate::parts::small::time;
use crate::parts::stages::stages;
use crate::parts::state::gate_state;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use serde::Deserialize;
use serde::Serialize;
use switchback_contract::AlarmView;
use switchback_contract::DeploymentPage;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Series;
use switchback_contract::Side;

/// A gate and the deployment that waits at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateAnswer {
    /// The gate.
    pub gate: GateView,
    /// Its deployment.
    pub page: DeploymentPage,
}

/// `/gates/:id`
#[component]
pub fn Gate() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    page(Section::Approvals, ask(id), |answer, notice| Shown {
        title: title(&answer),
        now: Some(answer.page.now),
        content: view! { <GateLive initial=answer notice=notice/> }.into_any(),
    })
}

async fn ask(id: String) -> Result<GateAnswer, AppError> {
    let gate = asks::gate(id).await?;
    let page = asks::deployment_page(gate.deployment_id.clone()).await?;
    Ok(GateAnswer { gate, page })
}

fn state_word(gate: &GateView) -> String {
    match gate.state {
        GateState::Open => "Holding".to_string(),
        other => words::sentence(other.word()),
    }
}

fn title(answer: &GateAnswer) -> String {
    format!("{} · {}", state_word(&answer.gate), question(&answer.gate))
}

/// The page, asked for again whenever something about the gate or its deployment changes.
#[island]
pub fn GateLive(
    /// What the page was made with.
    initial: GateAnswer,
    /// What the last act came to.
    notice: Notice,
) -> impl IntoView {
    let now = Live::clock(initial.page.now);
    let (id, deployment) = (initial.gate.id.clone(), initial.gate.deployment_id.clone());
    let shown = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    let read = remember_read(move || {
        shown.with(|answer| {
            (answer.gate.state == GateState::Open)
                .then(|| (answer.gate.id.clone(), answer.gate.evidence_digest.clone()))
        })
    });
    let asked = id.clone();
    Live::follow(
        shown,
        trouble,
        move |change| change.concerns(&deployment) || change.concerns(&id),
        move || ask(asked.clone()),
    );
    Live::announce(move || shown.with(title));
    Live::announce_fuse(now, move || {
        shown
            .with(|answer| (answer.gate.state == GateState::Open).then_some(answer.gate.expires_at))
    });
    view! {
        <div class="page has-dock">
            {trouble_line(trouble)}
            {move || shown.with(|answer| content(answer, now, &notice, read))}
        </div>
    }
}

fn content(answer: &GateAnswer, now: Signal<Moment>, notice: &Notice, read: Read) -> AnyView {
    let GateAnswer { gate, page } = answer;
    let full = crate::pages::diff::address(
        &page.deployment.service_id,
        page.deployment.previous_revision.as_deref(),
        page.deployment.target_revision.as_deref(),
    );
    let heading = if gate.state == GateState::Open {
        "Your decision".to_string()
    } else {
        "The decision".to_string()
    };
    view! {
        {crumbs(vec![
            ("Approvals".to_string(), Some("/approvals".to_string())),
            (gate.deployment.service.clone(), Some(format!("/services/{}", gate.deployment.service_id))),
            (gate.stage.clone(), None),
        ])}
        {notice_box(notice)}
        <div class="title-row">
            <h1>{question(gate)}</h1>
            {gate_state(gate)}
            {change(&gate.deployment, false)}
            {stale(page.observed_at, gate.state == GateState::Open, now)}
            <p class="title-act"><a class="button" href=format!("/deployments/{}", gate.deployment_id)>"Open deployment"</a></p>
        </div>
        {stages(page, now)}
        <div class="columns gate-columns">
            <div class="column-main">
                <section aria-labelledby="changes">
                    <h2 id="changes">"What changes "<a class="quiet" data-key="d" href=full>"full diff "<kbd aria-hidden="true">"d"</kbd></a></h2>
                    {match &page.difference {
                        Some(difference) => difference_table(difference, page.deployment.previous_revision.as_deref(), page.deployment.target_revision.as_deref()),
                        None => view! { <p class="empty">"Not known: one of the two revisions is not recorded."</p> }.into_any(),
                    }}
                </section>
                {behaviour(page)}
                {alarms(page)}
            </div>
            <div class="column-side">{gate_panel(gate, heading, now, format!("/gates/{}", gate.id), notice, read)}</div>
        </div>
    }
    .into_any()
}

/// Old beside new, with the basis of every number.
fn behaviour(page: &DeploymentPage) -> AnyView {
    let model = ChartModel::of(page);
    let Some(last) = model.last_complete else {
        return view! { <section><h2>"How the new one behaves"</h2><p class="empty">"No complete minute of data yet. CloudWatch is two to three minutes behind."</p></section> }.into_any();
    };
    let sum = |side: Side| {
        model
            .sum(Series::Requests, side)
            .map_or_else(|| words::NONE.to_string(), |sum| words::decimal(sum, 0))
    };
    let span = |side: Side| {
        model.span(side).map_or_else(
            || "none".to_string(),
            |(from, to)| format!("{} to {}", from.clock_minute(), to.clock_minute()),
        )
    };
    let requests_basis = format!(
        "sum of the complete minutes: old {}, new {}",
        span(Side::Old),
        span(Side::New)
    );
    let minute_basis = format!("minute {}", last.clock_minute());
    let rows = [Lane::Errors, Lane::P99, Lane::P95, Lane::P50, Lane::Healthy]
        .into_iter()
        .map(|lane| {
            let (name, unit) = lane.words();
            let basis = if lane == Lane::Errors && model.few(Side::New, last).is_some() {
                format!("{minute_basis}: too few requests to tell")
            } else {
                minute_basis.clone()
            };
            view! {
                <tr>
                    <th scope="row">{name}" "<span class="quiet">{unit}</span></th>
                    <td class="number">{value_words(&model, lane, Side::Old, last)}</td>
                    <td class="number">{value_words(&model, lane, Side::New, last)}</td>
                    <td class="number quiet">{difference_words(&model, lane, last)}</td>
                    <td class="quiet">{basis}</td>
                </tr>
            }
        });
    view! {
        <section aria-labelledby="behaviour">
            <h2 id="behaviour">"How the new one behaves "<span class="quiet">{format!("last complete minute {} UTC", last.clock_minute())}</span></h2>
            <table class="behaviour">
                <caption class="visually-hidden">"Old against new"</caption>
                <thead><tr>
                    <th scope="col">"Measure"</th>
                    <th scope="col" class="number">{revision(page.deployment.previous_revision.as_deref(), false, false)}</th>
                    <th scope="col" class="number">{revision(page.deployment.target_revision.as_deref(), true, false)}</th>
                    <th scope="col" class="number">"Difference"</th><th scope="col">"Basis"</th>
                </tr></thead>
                <tbody>
                    <tr>
                        <th scope="row">"Requests"</th>
                        <td class="number">{sum(Side::Old)}</td><td class="number">{sum(Side::New)}</td><td class="number quiet"></td>
                        <td class="quiet">{requests_basis}</td>
                    </tr>
                    {rows.collect_view()}
                </tbody>
            </table>
        </section>
    }
    .into_any()
}

fn alarms(page: &DeploymentPage) -> AnyView {
    let items = page.alarms.iter().map(alarm);
    let hooks = page.hooks.iter().map(|(event, function)| {
        view! { <tr><td><span class="state">{icon(Shape::Tick)} <span>"Hook"</span></span></td><th scope="row">{event.clone()}</th><td class="quiet"><code>{function.clone()}</code></td></tr> }
    });
    if page.alarms.is_empty() && page.hooks.is_empty() {
        return ().into_any();
    }
    view! {
        <section aria-labelledby="alarms">
            <h2 id="alarms">"Alarms and hooks "<span class="quiet">"of this deployment"</span></h2>
            <table class="preflight"><caption class="visually-hidden">"Alarms and hooks"</caption><tbody>{items.collect_view()}{hooks.collect_view()}</tbody></table>
        </section>
    }
    .into_any()
}

fn alarm(alarm: &AlarmView) -> AnyView {
    let (shape, word) = match alarm.state.as_str() {
        "OK" => (Shape::Check, "OK"),
        "ALARM" => (Shape::Alarm, "ALARM"),
        "INSUFFICIENT_DATA" => (Shape::Question, "No data"),
        _ => (Shape::Question, "Unknown"),
    };
    view! {
        <tr>
            <td><span class="state">{icon(shape)} <span>{word}</span></span></td>
            <th scope="row">{alarm.name.clone()}</th>
            <td class="quiet">{alarm.since.map(|since| view! { "since "{time(since, format!("{} UTC", since.date_and_time()))} })}</td>
        </tr>
    }
    .into_any()
}
