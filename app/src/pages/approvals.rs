//! Approvals: open gates by fuse, and the decided ones.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::error::AppError;
use crate::live::Live;
use crate::live::trouble_line;
use crate::pages::Shown;
use crate::pages::now::gates_table;
use crate::pages::page;
use crate::parts::frame::Section;
use crate::parts::small::change;
use crate::parts::small::download_csv;
use crate::parts::small::empty;
use crate::parts::small::time;
use crate::parts::state::gate_state;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::Deserialize;
use serde::Serialize;
use switchback_contract::Delivery;
use switchback_contract::GateState;
use switchback_contract::GateView;
use switchback_contract::Moment;
use switchback_contract::Verdict;

/// Which gates are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tab {
    /// The open ones that the reader may decide.
    Mine,
    /// All open ones.
    All,
    /// The closed ones, newest first.
    Decided,
}

const TABS: [(Tab, &str, &str); 3] = [
    (Tab::All, "/approvals", "All"),
    (Tab::Mine, "/approvals?show=mine", "I can decide"),
    (Tab::Decided, "/approvals?show=decided", "Decided"),
];

/// `/approvals?show=`
#[component]
pub fn Approvals() -> impl IntoView {
    let tab = match use_query_map().get_untracked().get("show").as_deref() {
        Some("mine") => Tab::Mine,
        Some("decided") => Tab::Decided,
        _ => Tab::All,
    };
    page(Section::Approvals, ask(tab), move |(now, gates), _| Shown {
        title: title(tab, &gates),
        now: Some(now),
        content: view! { <ApprovalsLive initial=gates made_at=now tab=tab/> }.into_any(),
    })
}

/// The gates of a tab and the account's clock.
async fn ask(tab: Tab) -> Result<(Moment, Vec<GateView>), AppError> {
    let now = asks::now_page().await?.now;
    Ok((now, ask_gates(tab).await?))
}

async fn ask_gates(tab: Tab) -> Result<Vec<GateView>, AppError> {
    let mut gates = asks::gates(tab != Tab::Decided).await?;
    gates.retain(|gate| match tab {
        Tab::Mine => gate.may_not_decide.is_none(),
        Tab::All => true,
        Tab::Decided => gate.state != GateState::Open,
    });
    Ok(gates)
}

/// The same list as a file.
fn csv_address(tab: Tab) -> String {
    let query = match tab {
        Tab::Mine => "state=open&may_decide=true",
        Tab::All => "state=open",
        Tab::Decided => "state=closed",
    };
    format!("/api/v1/gates?{query}&format=csv")
}

fn title(tab: Tab, gates: &[GateView]) -> String {
    match tab {
        Tab::Mine | Tab::All if !gates.is_empty() => format!("{} waiting · Approvals", gates.len()),
        Tab::Mine | Tab::All | Tab::Decided => "Approvals".to_string(),
    }
}

/// The list, asked for again whenever anything changes.
#[island]
pub fn ApprovalsLive(
    /// What the page was made with.
    initial: Vec<GateView>,
    /// The account's clock then.
    made_at: Moment,
    /// Which gates.
    tab: Tab,
) -> impl IntoView {
    let now = Live::clock(made_at);
    let shown = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    Live::follow(
        shown,
        trouble,
        |change| change.anything || change.kind != "metrics",
        move || ask_gates(tab),
    );
    Live::announce(move || shown.with(|gates| title(tab, gates)));
    let tabs = TABS.into_iter().map(|(entry, link, text)| view! { <a href=link aria-current=(entry == tab).then_some("page")>{text}</a> });
    view! {
        <div class="page">
            {trouble_line(trouble)}
            <div class="title-row"><h1>"Approvals"</h1><p class="quiet">{if tab == Tab::Decided { "newest first, times in UTC" } else { "open gates, soonest fuse first" }}</p>
                <p class="title-act aside">{download_csv(csv_address(tab))}</p></div>
            <nav class="tabs" aria-label="Which gates">{tabs.collect_view()}</nav>
            {move || shown.with(|gates| if tab == Tab::Decided { decided_table(gates) } else { gates_table(gates, now) })}
        </div>
    }
}

fn decided_table(gates: &[GateView]) -> AnyView {
    if gates.is_empty() {
        return empty("No gate was decided yet. Decisions stay here with their reasons.");
    }
    let rows = gates.iter().map(|gate| {
        let closed = gate.decisions.iter().map(|decision| decision.at).max();
        let people: Vec<String> = gate
            .decisions
            .iter()
            .map(|decision| {
                let word = match decision.verdict {
                    Verdict::Approve => "approved",
                    Verdict::Reject => "rejected",
                };
                match &decision.reason {
                    Some(reason) => format!("{} {word}: “{reason}”", decision.actor),
                    None => format!("{} {word}", decision.actor),
                }
            })
            .collect();
        let delivered = match gate.delivery {
            None => words::NONE,
            Some(Delivery::Recorded) => "recorded",
            Some(Delivery::Sent) => "sent",
            Some(Delivery::Confirmed) => "confirmed by AWS",
            Some(Delivery::Failed) => "refused by AWS",
        };
        let at = closed.unwrap_or(gate.expires_at);
        view! {
            <tr>
                <td class="c-time">{time(at, at.date_and_time())}</td>
                <td class="c-service"><a class="row-link" href=format!("/gates/{}", gate.id)>{gate.deployment.service.clone()}</a>" "<span class="quiet">{gate.deployment.cluster.clone()}</span></td>
                <td class="c-change">{change(&gate.deployment, false)}</td>
                <td class="c-state">{gate_state(gate)}</td>
                <td class="c-stage">{gate.stage.clone()}</td>
                <td class="c-delivery">{delivered}</td>
                <td class="c-reason">{people.join("; ")}</td>
            </tr>
        }
    });
    view! {
        <table class="rows decided">
            <caption class="visually-hidden">"Gates that are closed, newest first"</caption>
            <thead><tr>
                <th scope="col" class="c-time">"Decided"</th><th scope="col" class="c-service">"Service"</th><th scope="col" class="c-change">"Change"</th>
                <th scope="col" class="c-state">"Verdict"</th><th scope="col" class="c-stage">"Stage"</th><th scope="col" class="c-delivery">"Delivery"</th><th scope="col" class="c-reason">"Who and why"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
