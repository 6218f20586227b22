//! The audit log: who did what, why; and whether the chain holds.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::copy_button;
use crate::parts::small::download_csv;
use crate::parts::small::empty;
use crate::parts::small::identifier;
use crate::parts::small::time;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use switchback_contract::AuditFilter;
use switchback_contract::AuditPage;
use switchback_contract::AuditView;

/// `/audit?actor=&subject=&from=&to=&cursor=`
#[component]
pub fn Audit() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let get = |name: &str| {
        query
            .get(name)
            .map(|value| value.trim().to_string())
            .filter(|value| !value.is_empty())
    };
    let filter = AuditFilter {
        from: get("from"),
        to: get("to"),
        actor: get("actor"),
        subject: get("subject"),
        cursor: get("cursor"),
        limit: get("limit").and_then(|limit| limit.parse().ok()),
        verify: get("verify"),
    };
    let asked = filter.clone();
    page(Section::Audit, asks::audit(filter), move |answer, _| {
        Shown {
            title: "Audit".to_string(),
            now: None,
            content: content(&asked, &answer),
        }
    })
}

fn address(path: &str, filter: &AuditFilter, cursor: Option<&str>) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    words::link(
        path,
        &[
            ("from", filter.from.as_deref()),
            ("to", filter.to.as_deref()),
            ("actor", filter.actor.as_deref()),
            ("subject", filter.subject.as_deref()),
            ("cursor", cursor),
            ("limit", limit.as_deref()),
        ],
    )
}

/// The same list, from its beginning, as a file.
fn csv_address(filter: &AuditFilter) -> String {
    words::link(
        "/api/v1/audit",
        &[
            ("from", filter.from.as_deref()),
            ("to", filter.to.as_deref()),
            ("actor", filter.actor.as_deref()),
            ("subject", filter.subject.as_deref()),
            ("format", Some("csv")),
        ],
    )
}

fn content(filter: &AuditFilter, audit: &AuditPage) -> AnyView {
    let verified = format!("Chain verified to #{}", words::whole(audit.verified_to));
    let when = audit
        .verified_at
        .map(|at| view! { " at " {time(at, at.date_and_time())} });
    let chain = match audit.broken_at {
        None if audit.verified_to < audit.length => view! { <span class="state"><span>{verified}{format!(" of {}; the rest is being verified", words::whole(audit.length))}</span></span> }.into_any(),
        None => view! { <span class="state">{icon(Shape::Check)} <span>{verified}{when}</span></span> }.into_any(),
        Some(at) => view! { <span class="state bad">{icon(Shape::Cross)} <span>{format!("Chain broken at #{}", words::whole(at))}</span></span> }.into_any(),
    };
    let older = audit.page.next_cursor.as_deref().map(|cursor| view! { <a class="button" rel="next" href=address("/audit", filter, Some(cursor))>"Older"</a> });
    let newest = filter
        .cursor
        .as_ref()
        .map(|_| view! { <a class="button" href=address("/audit", filter, None)>"Newest"</a> });
    // On a phone they fold away unless one of them is set.
    let has_filter = [&filter.from, &filter.to, &filter.actor, &filter.subject]
        .iter()
        .any(|value| value.is_some());
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    view! {
        <div class="page">
            <div class="title-row">
                <h1>"Audit"</h1>
                {chain}
                <p class="title-act aside">
                    <a class="button" href="/audit?verify=again" title="Every entry from the first one, not only those written since the last time">"Verify again"</a>" "
                    {download_csv(csv_address(filter))} " "<a class="button" href=address("/api/v1/audit", filter, None)>"As JSON"</a>
                </p>
            </div>
            <form class="filters" method="get" action="/audit" aria-label="Filter the audit log">
                <details class="fold-narrow" open=has_filter><summary>"Filters"</summary>
                    <label><span>"Actor"</span><input name="actor" value=value(&filter.actor)/></label>
                    <label><span>"Subject"</span><input name="subject" value=value(&filter.subject)/></label>
                    <label><span>"Since"</span><input name="from" placeholder="2026-11-17T00:00:00Z" value=value(&filter.from)/></label>
                    <label><span>"Before"</span><input name="to" placeholder="2026-11-20T00:00:00Z" value=value(&filter.to)/></label>
                </details>
                <button>"Filter"</button>
            </form>
            {table(&audit.page.items)}
            <nav class="pager" aria-label="Pages of the audit log">{newest}{older}<span class="quiet">{words::counted(audit.page.items.len(), "entry", "entries")}</span></nav>
        </div>
    }
    .into_any()
}

fn table(entries: &[AuditView]) -> AnyView {
    if entries.is_empty() {
        return empty(
            "No entry matches. Every change, decision and sign-in is written here in the transaction that makes it.",
        );
    }
    let rows = entries.iter().map(|entry| {
        let detail = serde_json::to_string_pretty(&entry.detail).unwrap_or_else(|error| error.to_string());
        view! {
            <tr>
                <td class="c-number number">{format!("#{}", words::whole(entry.sequence))}</td>
                <td class="c-time">{time(entry.at, entry.at.date_and_time())}</td>
                <td class="c-by">{entry.actor.clone()}</td>
                <td class="c-state">{words::sentence(&words::spaced(&entry.event))}</td>
                <td class="c-service">{entry.subject.as_deref().map(identifier)}</td>
                <td class="c-reason">{entry.reason.clone()}</td>
                <td class="c-detail">
                    <details class="folded"><summary>"Record "<code title=entry.hash.clone()>{words::digest_words(&entry.hash)}</code></summary>{copy_button(&entry.hash, "Copy the hash")}<pre tabindex="0"><code>{detail}</code></pre></details>
                </td>
            </tr>
        }
    });
    view! {
        <table class="rows audit">
            <caption class="visually-hidden">"Entries of the audit log, newest first"</caption>
            <thead><tr>
                <th scope="col" class="c-number number">"No."</th><th scope="col" class="c-time">"Time, UTC"</th><th scope="col" class="c-by">"Actor"</th><th scope="col" class="c-state">"Act"</th>
                <th scope="col" class="c-service">"Subject"</th><th scope="col" class="c-reason">"Reason"</th><th scope="col" class="c-detail">"Record and hash"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
