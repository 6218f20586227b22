//! Services: what serves since when, and how its last deployment ended.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::accounts::account_select;
use crate::parts::accounts::place;
use crate::parts::coverage::imports;
use crate::parts::coverage::is_importing;
use crate::parts::frame::Section;
use crate::parts::small::download_csv;
use crate::parts::small::empty;
use crate::parts::small::revision;
use crate::parts::small::time;
use crate::parts::state::state;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use switchback_contract::AccountNames;
use switchback_contract::Outcome;
use switchback_contract::ServiceFilter;
use switchback_contract::ServiceView;
use switchback_contract::ServicesPage;
use switchback_contract::strategy_words;

/// How many services a page shows when nobody says.
const SHOWN: u32 = 100;

/// `/services?q=&account=&moving=&cursor=`
#[component]
pub fn Services() -> impl IntoView {
    let query = use_query_map().get_untracked();
    let get = |name: &str| {
        query
            .get(name)
            .map(|value| value.trim().to_string())
            .filter(|value| !value.is_empty())
    };
    let filter = ServiceFilter {
        q: get("q"),
        account: get("account"),
        moving: get("moving").is_some_and(|value| value == "1"),
        cursor: get("cursor"),
        limit: get("limit").and_then(|limit| limit.parse().ok()),
    };
    let asked = filter.clone();
    let asks = ServiceFilter {
        limit: filter.limit.or(Some(SHOWN)),
        ..filter
    };
    page(
        Section::Services,
        asks::services_page(asks),
        move |answer, _| Shown {
            title: "Services".to_string(),
            now: answer
                .page
                .items
                .iter()
                .map(|service| service.observed_at)
                .max(),
            content: content(&asked, answer),
        },
    )
}

/// The address with these filters at a cursor.
fn address(filter: &ServiceFilter, cursor: Option<&str>) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    words::link(
        "/services",
        &[
            ("q", filter.q.as_deref()),
            ("account", filter.account.as_deref()),
            ("moving", filter.moving.then_some("1")),
            ("cursor", cursor),
            ("limit", limit.as_deref()),
        ],
    )
}

/// The same list, from its beginning, as a file.
fn csv_address(filter: &ServiceFilter) -> String {
    words::link(
        "/api/v1/services",
        &[
            ("q", filter.q.as_deref()),
            ("account", filter.account.as_deref()),
            ("moving", filter.moving.then_some("1")),
            ("format", Some("csv")),
        ],
    )
}

/// Problems first, then what is under way, then the rest by name.
fn urgency(service: &ServiceView) -> u8 {
    let ended_badly = service.last_deployment.as_ref().is_some_and(|last| {
        matches!(
            last.outcome,
            Outcome::Failed | Outcome::RollbackFailed | Outcome::Unknown
        )
    });
    if ended_badly || service.running_count < service.desired_count {
        0
    } else if service.active_deployment.is_some() {
        1
    } else {
        2
    }
}

fn content(filter: &ServiceFilter, answer: ServicesPage) -> AnyView {
    let regions = answer.regions.as_slice();
    let mut services = answer.page.items;
    services.sort_by_key(urgency);
    let is_filtered = filter.q.is_some() || filter.account.is_some() || filter.moving;
    let is_whole = filter.cursor.is_none() && answer.page.next_cursor.is_none();
    let total = usize::try_from(answer.total).unwrap_or(0);
    let count = words::counted(total, "service", "services");
    let order = if is_whole {
        "problems first"
    } else {
        "by name, problems first on each page"
    };
    let table = if services.is_empty() && is_filtered {
        empty("No service matches. Take a filter away, or look for a shorter part of the name.")
    } else if services.is_empty() && (regions.is_empty() || is_importing(regions)) {
        empty("No service is known yet: the account is still being read.")
    } else if services.is_empty() {
        empty(
            "No service is watched yet. Services of the configured accounts appear here after the first full look at AWS.",
        )
    } else {
        services_table(&services)
    };
    let next = answer.page.next_cursor.as_deref().map(|cursor| view! { <a class="button" rel="next" href=address(filter, Some(cursor))>"Next"</a> });
    let first = filter
        .cursor
        .as_ref()
        .map(|_| view! { <a class="button" href=address(filter, None)>"First"</a> });
    let pager = (!is_whole).then(|| {
        view! {
            <nav class="pager" aria-label="Pages of the services">
                {first}{next}
                <span class="quiet">{words::counted(services.len(), "row", "rows")}</span>
            </nav>
        }
    });
    view! {
        <div class="page">
            <div class="title-row"><h1>"Services"</h1><p class="quiet">{count}", "{order}</p>
                <p class="title-act aside">{download_csv(csv_address(filter))}</p></div>
            {imports(regions)}
            {filter_form(filter, &answer.accounts)}
            {table}
            {pager}
        </div>
    }
    .into_any()
}

fn filter_form(filter: &ServiceFilter, accounts: &AccountNames) -> AnyView {
    let is_filtered = filter.q.is_some() || filter.account.is_some() || filter.moving;
    let limit = filter
        .limit
        .map(|limit| view! { <input type="hidden" name="limit" value=limit.to_string()/> });
    view! {
        <form class="filters" method="get" action="/services" aria-label="Filter the services">
            <label class="grow"><span>"Name"</span><input type="search" name="q" value=filter.q.clone().unwrap_or_default() placeholder="Service, cluster, part of the ARN…"/></label>
            {account_select(accounts, filter.account.as_deref())}
            <label class="tick"><input type="checkbox" name="moving" value="1" checked=filter.moving/>" "<span>"Moving only"</span></label>
            {limit}
            <button>"Filter"</button>
            {is_filtered.then(|| view! { <a class="button" href="/services">"All services"</a> })}
        </form>
    }
    .into_any()
}

fn services_table(services: &[ServiceView]) -> AnyView {
    let rows = services.iter().map(|service| {
        let last = service.active_deployment.as_ref().or(service.last_deployment.as_ref());
        view! {
            <tr>
                <td class="c-service"><a class="row-link" href=format!("/services/{}", service.id)>{service.name.clone()}</a>" "<span class="quiet">{place(&service.cluster, service.account_name.as_deref())}</span></td>
                <td class="c-change">{revision(service.serving_revision.as_deref(), false, false)}</td>
                <td class="c-since">{service.serving_since.map(|since| time(since, since.date_and_time()))}</td>
                <td class="c-state">{last.map(state)}</td>
                <td class="c-tasks number">{format!("{} of {}", words::whole(service.running_count), words::whole(service.desired_count))}</td>
                <td class="c-good number">{words::whole(service.known_good_count)}</td>
                <td class="c-region">{service.region.clone()}</td>
                <td class="c-strategy" title=service.strategy.clone()>{strategy_words(&service.strategy)}</td>
            </tr>
        }
    });
    view! {
        <table class="rows services">
            <caption class="visually-hidden">"Services, those with a problem first"</caption>
            <thead><tr>
                <th scope="col" class="c-service">"Service"</th><th scope="col" class="c-change">"Serving"</th><th scope="col" class="c-since">"Since, UTC"</th>
                <th scope="col" class="c-state">"Last deployment"</th><th scope="col" class="c-tasks number">"Tasks"</th><th scope="col" class="c-good number">"Known good"</th>
                <th scope="col" class="c-region">"Region"</th><th scope="col" class="c-strategy">"Strategy"</th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
