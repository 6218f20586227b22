//! Approvals: open gates by fuse, and the decided ones.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
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
use switchback_contract::ApprovalsPage;
use switchback_contract::Delivery;
use switchback_contract::GateFilter;
use switchback_contract::GateView;
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

/// `/approvals?show=&cursor=`
#[component]
pub fn Approvals() -> impl IntoView {
    let tab = match use_query_map().get_untracked().get("show").as_deref() {
        Some("mine") => Tab::Mine,
        Some("decided") => Tab::Decided,
        _ => Tab::All,
    };
    let cursor = use_query_map().get_untracked().get("cursor");
    let filter = filter(tab, cursor);
    let asked = filter.clone();
    page(
        Section::Approvals,
        asks::approvals_page(filter),
        move |answer, _| Shown {
            title: title(&answer),
            now: Some(answer.now),
            content: view! { <ApprovalsLive initial=answer tab=tab filter=asked/> }.into_any(),
        },
    )
}

/// How many gates a page shows.
const SHOWN: u32 = 100;

/// What a tab asks for.
fn filter(tab: Tab, cursor: Option<String>) -> GateFilter {
    let state = match tab {
        Tab::Mine | Tab::All => "open",
        Tab::Decided => "closed",
    };
    GateFilter {
        state: Some(state.to_string()),
        may_decide: tab == Tab::Mine,
        cursor: cursor.filter(|cursor| !cursor.is_empty()),
        limit: Some(SHOWN),
    }
}

/// The tab's address at a cursor.
fn address(tab: Tab, cursor: Option<&str>) -> String {
    let show = match tab {
        Tab::All => None,
        Tab::Mine => Some("mine"),
        Tab::Decided => Some("decided"),
    };
    words::link("/approvals", &[("show", show), ("cursor", cursor)])
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

fn title(answer: &ApprovalsPage) -> String {
    match answer.total {
        Some(waiting) if waiting > 0 => format!("{waiting} waiting · Approvals"),
        Some(_) | None => "Approvals".to_string(),
    }
}

/// The list, asked for again whenever anything changes.
#[island]
pub fn ApprovalsLive(
    /// What the page was made with.
    initial: ApprovalsPage,
    /// Which gates.
    tab: Tab,
    /// What was asked for.
    filter: GateFilter,
) -> impl IntoView {
    let now = Live::clock(initial.now);
    let shown = RwSignal::new(initial);
    let trouble = RwSignal::new(None);
    let is_first = filter.cursor.is_none();
    Live::follow(
        shown,
        trouble,
        |change| change.anything || change.kind != "metrics",
        move || asks::approvals_page(filter.clone()),
    );
    Live::announce(move || shown.with(title));
    let tabs = TABS.into_iter().map(|(entry, link, text)| view! { <a href=link aria-current=(entry == tab).then_some("page")>{text}</a> });
    view! {
        <div class="page">
            {trouble_line(trouble)}
            <div class="title-row"><h1>"Approvals"</h1><p class="quiet">{move || shown.with(|answer| order(tab, answer))}</p>
                <p class="title-act aside">{download_csv(csv_address(tab))}</p></div>
            <nav class="tabs" aria-label="Which gates">{tabs.collect_view()}</nav>
            {move || shown.with(|answer| {
                let gates = &answer.page.items;
                if tab == Tab::Decided { decided_table(gates) } else { gates_table(gates, now) }
            })}
            {move || shown.with(|answer| pager(tab, is_first, answer))}
        </div>
    }
}

/// In which order they stand, and how many there are if they were counted.
fn order(tab: Tab, answer: &ApprovalsPage) -> String {
    match answer.total {
        Some(total) if total > 0 => {
            let total = usize::try_from(total).unwrap_or(0);
            format!(
                "{}, soonest fuse first",
                words::counted(total, "open gate", "open gates")
            )
        }
        _ if tab == Tab::Decided => "newest first, times in UTC".to_string(),
        _ => "open gates, soonest fuse first".to_string(),
    }
}

fn pager(tab: Tab, is_first: bool, answer: &ApprovalsPage) -> AnyView {
    let next = answer.page.next_cursor.as_deref();
    if is_first && next.is_none() {
        return ().into_any();
    }
    let (back, on) = if tab == Tab::Decided {
        ("Newest", "Older")
    } else {
        ("Soonest", "Later")
    };
    let first = (!is_first).then(|| view! { <a class="button" href=address(tab, None)>{back}</a> });
    let next = next.map(
        |cursor| view! { <a class="button" rel="next" href=address(tab, Some(cursor))>{on}</a> },
    );
    view! {
        <nav class="pager" aria-label="Pages of the gates">
            {first}{next}
            <span class="quiet">{words::counted(answer.page.items.len(), "row", "rows")}</span>
        </nav>
    }
    .into_any()
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
                <td class="c-service"><a class="row-link" href=format!("/gates/{}", gate.id)>{gate.deployment.service.clone()}</a>" "<span class="quiet">{crate::parts::accounts::place(&gate.deployment.cluster, gate.deployment.account_name.as_deref())}</span></td>
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
