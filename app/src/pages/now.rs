//! Now: what needs you, what moves, what ended today.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::live::Live;
use crate::live::trouble_line;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::accounts::account_troubles;
use crate::parts::accounts::place;
use crate::parts::coverage::imports;
use crate::parts::coverage::since_words;
use crate::parts::deployment_rows::Grouping;
use crate::parts::deployment_rows::deployment_table;
use crate::parts::frame::Section;
use crate::parts::fuse::fuse_in_row;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::change;
use crate::parts::small::empty;
use crate::parts::small::time;
use crate::parts::state::state;
use crate::words;
use leptos::prelude::*;
use switchback_contract::Coverage;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::MovingView;
use switchback_contract::NowPage;
use switchback_contract::Outcome;
use switchback_contract::Verdict;
use switchback_contract::duration_words;

/// `/`
#[component]
pub fn Now() -> impl IntoView {
    page(Section::Now, asks::now_page(), |answer, _| Shown {
        title: title(&answer),
        now: Some(answer.now),
        content: view! { <NowLive initial=answer/> }.into_any(),
    })
}

fn title(page: &NowPage) -> String {
    match page.needs_you_count {
        0 => "Now".to_string(),
        waiting => format!("{waiting} waiting · Now"),
    }
}

/// The page, asked for again whenever anything changes.
#[island]
pub fn NowLive(
    /// What the page was made with.
    initial: NowPage,
) -> impl IntoView {
    let now = Live::clock(initial.now);
    let shown = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    Live::follow(shown, trouble, |_| true, asks::now_page);
    Live::announce(move || shown.with(title));
    view! {
        <div class="page">
            {trouble_line(trouble)}
            {move || shown.with(|page| content(page, now))}
        </div>
    }
}

fn content(page: &NowPage, now: Signal<Moment>) -> AnyView {
    view! {
        <div class="title-row">
            <h1>"Now"</h1>
            <p class="quiet">{move || { let at = now.get(); time(at, format!("{}, {} UTC", at.calendar_date(), at.clock_time())) }}</p>
            {coverage(&page.coverage, now)}
        </div>
        {account_troubles(&page.coverage.health)}
        {imports(&page.coverage.regions)}
        <section aria-labelledby="needs-you">
            <h2 id="needs-you">"Needs you "<span class="quiet">{match counted(page.needs_you_count) {
                0 => String::new(),
                count => format!("{}, soonest fuse first", words::counted(count, "gate", "gates")),
            }}</span></h2>
            {gates_table(&page.needs_you, now)}
            {more(page.needs_you_count, page.needs_you.len(), "/approvals", |all, _| format!("All {all} on Approvals"))}
        </section>
        <section aria-labelledby="moving">
            <h2 id="moving">"Moving "<span class="quiet">{match counted(page.moving_count) {
                0 => String::new(),
                count => words::counted(count, "deployment", "deployments"),
            }}</span></h2>
            {moving_table(&page.moving, now)}
            {more(page.moving_count, page.moving.len(), "/history?outcome=in_progress", |_, more| format!("{more} more in the History"))}
        </section>
        <section aria-labelledby="ended">
            <h2 id="ended">"Ended in the last 24 h "<span class="quiet">{ended_words(page)}</span></h2>
            {if page.ended.is_empty() {
                empty("Nothing ended in the last 24 hours. Older deployments are in the History.")
            } else {
                deployment_table("Deployments that ended in the last 24 hours", &page.ended, Grouping::Flat(page.now))
            }}
        </section>
    }
    .into_any()
}

fn counted(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// Where the rest is, if the section does not show all: a link that says how many there are, or how many more.
fn more(
    count: i64,
    shown: usize,
    link: &'static str,
    label: fn(String, String) -> String,
) -> AnyView {
    let shown = i64::try_from(shown).unwrap_or(i64::MAX);
    if count <= shown {
        return ().into_any();
    }
    let label = label(words::whole(count), words::whole(count - shown));
    view! { <p class="links"><a href=link>{label}</a></p> }.into_any()
}

fn ended_words(page: &NowPage) -> String {
    let count = |outcomes: &[Outcome]| {
        page.ended
            .iter()
            .filter(|ended| outcomes.contains(&ended.outcome))
            .count()
    };
    let parts = [
        (count(&[Outcome::Succeeded]), "succeeded"),
        (count(&[Outcome::RolledBack]), "rolled back"),
        (count(&[Outcome::Failed, Outcome::RollbackFailed]), "failed"),
        (count(&[Outcome::Stopped]), "stopped"),
        (count(&[Outcome::Unknown]), "unknown"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

fn coverage(coverage: &Coverage, now: Signal<Moment>) -> AnyView {
    let services = usize::try_from(coverage.services).unwrap_or(0);
    let accounts = usize::try_from(coverage.accounts).unwrap_or(0);
    let watched = format!(
        "{} in {}",
        words::counted(services, "service", "services"),
        words::counted(accounts, "account", "accounts")
    );
    let last = coverage.last_look_at;
    let looked = move || match last {
        Some(at) => format!(
            " · last full check {} ago",
            words::rough_duration(now.get().millis_since(at))
        ),
        None => " · first full check under way".to_string(),
    };
    let ledger = format!(" · {}", coverage.ledger);
    let since = since_words(&coverage.regions).map(|words| view! { <span>{words}</span> });
    view! { <p class="coverage quiet"><span>{watched}{looked}{ledger}</span>{since} <a href="/status">"Status"</a></p> }
        .into_any()
}

/// Open gates by fuse; also the page Approvals.
pub fn gates_table(gates: &[GateView], now: Signal<Moment>) -> AnyView {
    if gates.is_empty() {
        return empty(
            "No gate is open. A deployment that waits for a decision appears here with its fuse.",
        );
    }
    let rows = gates.iter().map(|gate| {
        let deployment = &gate.deployment;
        let approvals = gate.decisions.iter().filter(|decision| decision.verdict == Verdict::Approve).count();
        let yours = match &gate.may_not_decide {
            Some(why) => why.clone(),
            None if approvals + 1 >= gate.required_approvals as usize => "yours completes it".to_string(),
            None => "you can give 1".to_string(),
        };
        let share = match deployment.share_new {
            Some(share) => format!("{} of production on the new one", words::percent(share)),
            None => "weights not known".to_string(),
        };
        view! {
            <tr>
                <td class="c-fuse">{fuse_in_row(gate, now)}</td>
                <td class="c-service"><a class="row-link" href=format!("/gates/{}", gate.id)>{deployment.service.clone()}</a>
                    <span class="second">{place(&deployment.cluster, deployment.account_name.as_deref())}" · "{controller_words(&deployment.controller)}</span></td>
                <td class="c-change">{change(deployment, false)}
                    <span class="second">{deployment.reason.clone().map_or_else(|| "no reason recorded".to_string(), |reason| format!("“{reason}”"))}</span></td>
                <td class="c-state"><span class="state">{icon(Shape::Hold)} <span>{gate.stage.clone()}</span></span><span class="second">{share}</span></td>
                <td class="c-approvals">{format!("{approvals} of {}", gate.required_approvals)}<span class="second">{yours}</span></td>
                <td class="c-zero">{gate.on_nothing.clone()}</td>
                <td class="c-act"><a class="button primary" href=format!("/gates/{}", gate.id) aria-label=format!("Review {}", deployment.service)>"Review"</a></td>
            </tr>
        }
    });
    view! {
        <table class="rows tall gates">
            <caption class="visually-hidden">"Open gates, soonest fuse first"</caption>
            <thead><tr>
                <th scope="col" class="c-fuse">"Left"</th><th scope="col" class="c-service">"Service"</th><th scope="col" class="c-change">"Change"</th>
                <th scope="col" class="c-state">"Waits at"</th><th scope="col" class="c-approvals">"Approvals"</th><th scope="col" class="c-zero">"At zero"</th>
                <th scope="col" class="c-act"><span class="visually-hidden">"Act"</span></th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// A controller's word as AWS spells it.
pub fn controller_words(controller: &str) -> String {
    match controller {
        "codedeploy" => "CodeDeploy".to_string(),
        "ecs" => "ECS".to_string(),
        other => other.to_string(),
    }
}

fn moving_table(moving: &[MovingView], now: Signal<Moment>) -> AnyView {
    if moving.is_empty() {
        return empty(
            "Nothing is moving. A deployment begun anywhere appears here within seconds.",
        );
    }
    let pair = |(old, new): (Option<f64>, Option<f64>), decimals: usize, unit: &str| {
        if old.is_none() && new.is_none() {
            return words::NONE.to_string();
        }
        format!(
            "{} / {}\u{a0}{unit}",
            words::decimal_or_none(old, decimals),
            words::decimal_or_none(new, decimals)
        )
    };
    let rows = moving.iter().map(|moving| {
        let deployment = &moving.deployment;
        let started = deployment.started_at;
        view! {
            <tr>
                <td class="c-time">{move || duration_words(now.get().millis_since(started))}</td>
                <td class="c-service"><a class="row-link" href=format!("/deployments/{}", deployment.id)>{deployment.service.clone()}</a>" "<span class="quiet">{place(&deployment.cluster, deployment.account_name.as_deref())}</span></td>
                <td class="c-change">{change(deployment, false)}</td>
                <td class="c-state">{state(deployment)}</td>
                <td class="c-share">{share_bar(deployment.share_new)}</td>
                <td class="c-errors number">{pair(moving.error_percent, 2, "%")}</td>
                <td class="c-p99 number">{pair(moving.p99_ms, 0, "ms")}</td>
                <td class="c-by" title=deployment.initiator.clone()>{deployment.initiator.clone()}</td>
            </tr>
        }
    });
    view! {
        <table class="rows moving">
            <caption class="visually-hidden">"Deployments in progress; numbers are of the last complete minute"</caption>
            <thead><tr>
                <th scope="col" class="c-time">"Running"</th><th scope="col" class="c-service">"Service"</th><th scope="col" class="c-change">"Change"</th>
                <th scope="col" class="c-state">"Phase"</th><th scope="col" class="c-share">"Traffic on new"</th>
                <th scope="col" class="c-errors number">"5xx old / new"</th><th scope="col" class="c-p99 number">"p99 old / new"</th><th scope="col" class="c-by">"Started by"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// The share of production traffic on the new revision as a bar and a number.
pub fn share_bar(share: Option<f64>) -> AnyView {
    match share {
        Some(share) => view! {
            <span class="share">
                <svg class="share-bar" aria-hidden="true" focusable="false">
                    <rect class="share-old" x="0" y="0" width="100%" height="100%"></rect>
                    <rect class="share-new" x="0" y="0" width=format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0) height="100%"></rect>
                </svg>
                <span>{words::percent(share)}</span>
            </span>
        }
        .into_any(),
        None => view! { <span class="quiet">"not known"</span> }.into_any(),
    }
}
