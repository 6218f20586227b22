//! History: every recorded deployment, filtered by the address.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::accounts::account_select;
use crate::parts::coverage::imports;
use crate::parts::deployment_rows::history_table;
use crate::parts::frame::Section;
use crate::parts::small::download_csv;
use crate::parts::small::empty;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use switchback_contract::AccountNames;
use switchback_contract::DeploymentFilter;
use switchback_contract::HistoryPage;
use switchback_contract::Outcome;
use switchback_contract::Phase;

/// `/history?q=&service=&account=&outcome=&phase=&actor=&from=&to=&cursor=`
#[component]
pub fn History() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let get = |name: &str| {
        query
            .get(name)
            .map(|value| value.trim().to_string())
            .filter(|value| !value.is_empty())
    };
    let filter = DeploymentFilter {
        service: get("service"),
        account: get("account"),
        outcome: get("outcome"),
        phase: get("phase"),
        actor: get("actor"),
        q: get("q"),
        from: get("from"),
        to: get("to"),
        cursor: get("cursor"),
        limit: get("limit").and_then(|limit| limit.parse().ok()),
    };
    let asked = filter.clone();
    page(
        Section::History,
        asks::history_page(filter),
        move |answer, _| Shown {
            title: "History".to_string(),
            now: None,
            content: content(&asked, &answer),
        },
    )
}

/// The filters as pairs of the address, without the cursor.
fn pairs(filter: &DeploymentFilter) -> [(&'static str, &'static str, Option<&str>); 8] {
    [
        ("q", "text", filter.q.as_deref()),
        ("service", "service", filter.service.as_deref()),
        ("account", "account", filter.account.as_deref()),
        ("outcome", "outcome", filter.outcome.as_deref()),
        ("phase", "phase", filter.phase.as_deref()),
        ("actor", "by", filter.actor.as_deref()),
        ("from", "since", filter.from.as_deref()),
        ("to", "before", filter.to.as_deref()),
    ]
}

/// The address with these filters, without one of them, at a cursor.
fn address(filter: &DeploymentFilter, without: Option<&str>, cursor: Option<&str>) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    let mut query: Vec<(&str, Option<&str>)> = pairs(filter)
        .into_iter()
        .filter(|(name, _, _)| Some(*name) != without)
        .map(|(name, _, value)| (name, value))
        .collect();
    query.push(("cursor", cursor));
    query.push(("limit", limit.as_deref()));
    words::link("/history", &query)
}

/// The same list, from its beginning, as a file.
fn csv_address(filter: &DeploymentFilter) -> String {
    let mut query: Vec<(&str, Option<&str>)> = pairs(filter)
        .into_iter()
        .map(|(name, _, value)| (name, value))
        .collect();
    query.push(("format", Some("csv")));
    words::link("/api/v1/deployments", &query)
}

fn content(filter: &DeploymentFilter, answer: &HistoryPage) -> AnyView {
    let page = &answer.page;
    let is_filtered = pairs(filter).iter().any(|(_, _, value)| value.is_some());
    let rows = if page.items.is_empty() && answer.gaps.is_empty() && is_filtered {
        empty("No deployment matches. Take a filter away, or ask for a longer time.")
    } else if page.items.is_empty() && answer.gaps.is_empty() {
        empty(
            "No deployment is recorded yet. The history that AWS still has is read first; every new deployment follows as it happens.",
        )
    } else {
        let is_end = page.next_cursor.is_none() && !is_filtered;
        let beginnings = if is_end {
            answer.regions.as_slice()
        } else {
            &[]
        };
        history_table(
            "Deployments, newest first, by day of their start in UTC",
            &page.items,
            &answer.gaps,
            beginnings,
            answer.accounts.are_several(),
        )
    };
    let older = page.next_cursor.as_deref().map(|cursor| view! { <a class="button" rel="next" href=address(filter, None, Some(cursor))>"Older"</a> });
    let newest = filter
        .cursor
        .as_ref()
        .map(|_| view! { <a class="button" href=address(filter, None, None)>"Newest"</a> });
    view! {
        <div class="page">
            <div class="title-row">
                <h1>"History"</h1>
                <p class="quiet">"newest first, times in UTC"</p>
                <p class="title-act aside">{download_csv(csv_address(filter))}</p>
            </div>
            {imports(&answer.regions)}
            {filter_form(filter, &answer.accounts)}
            {chips(filter)}
            {page.notice.clone().map(|notice| view! { <p class="quiet" role="status">{notice}</p> })}
            {rows}
            <nav class="pager" aria-label="Pages of the history">
                {newest}{older}
                <span class="quiet">{words::counted(page.items.len(), "row", "rows")}</span>
                <span class="quiet key-hints">"· "<kbd>"j"</kbd>" "<kbd>"k"</kbd>" move · "<kbd>"Enter"</kbd>" open · "<kbd>"x"</kbd>" mark two of one service to compare"</span>
            </nav>
        </div>
    }
    .into_any()
}

fn chips(filter: &DeploymentFilter) -> AnyView {
    let chips: Vec<_> = pairs(filter)
        .into_iter()
        .filter_map(|(name, word, value)| value.map(|value| (name, word, value.to_string())))
        .map(|(name, word, value)| {
            let shown = words::spaced(&value);
            let label = format!("Take away the filter {word} {shown}");
            view! {
                <li><a class="filter-chip" href=address(filter, Some(name), None) aria-label=label>
                    <span class="quiet">{word}</span>" "<strong>{shown}</strong>" "<span aria-hidden="true">"×"</span>
                </a></li>
            }
        })
        .collect();
    if chips.is_empty() {
        ().into_any()
    } else {
        view! { <ul class="filter-chips" aria-label="Filters">{chips}</ul> }.into_any()
    }
}

fn filter_form(filter: &DeploymentFilter, accounts: &AccountNames) -> AnyView {
    let options = |values: Vec<&'static str>, chosen: Option<&str>| {
        let chosen = chosen.map(str::to_string);
        values
            .into_iter()
            .map(|value| {
                let selected = chosen.as_deref() == Some(value);
                view! { <option value=value selected=selected>{words::sentence(&words::spaced(value))}</option> }
            })
            .collect_view()
    };
    let outcomes = options(
        Outcome::ALL.iter().map(|outcome| outcome.word()).collect(),
        filter.outcome.as_deref(),
    );
    let phases = options(
        Phase::ALL.iter().map(|phase| phase.word()).collect(),
        filter.phase.as_deref(),
    );
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    // On a phone they fold away unless one of them is set.
    let has_more = pairs(filter)
        .iter()
        .any(|(name, _, value)| *name != "q" && value.is_some());
    let limit = filter
        .limit
        .map(|limit| view! { <input type="hidden" name="limit" value=limit.to_string()/> });
    view! {
        <form class="filters" method="get" action="/history" aria-label="Filter the history">
            <label class="grow"><span>"Text"</span><input type="search" name="q" value=value(&filter.q) placeholder="Reason, AWS id, service, revision…"/></label>
            <details class="fold-narrow" open=has_more><summary>"More filters"</summary>
                <label><span>"Service"</span><input name="service" value=value(&filter.service)/></label>
                {account_select(accounts, filter.account.as_deref())}
                <label><span>"Outcome"</span><select name="outcome"><option value="">"Any"</option>{outcomes}</select></label>
                <label><span>"Phase"</span><select name="phase"><option value="">"Any"</option>{phases}</select></label>
                <label><span>"By"</span><input name="actor" value=value(&filter.actor)/></label>
                <label><span>"Since"</span><input name="from" placeholder="2026-11-17" inputmode="numeric" value=value(&filter.from)/></label>
                <label><span>"Before"</span><input name="to" placeholder="2026-11-20" inputmode="numeric" value=value(&filter.to)/></label>
            </details>
            {limit}
            <button>"Filter"</button>
        </form>
    }
    .into_any()
}
