//! Services: what serves since when, and how its last deployment ended.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
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
use switchback_contract::Outcome;
use switchback_contract::RegionCoverage;
use switchback_contract::ServiceView;
use switchback_contract::strategy_words;

/// `/services`
#[component]
pub fn Services() -> impl IntoView {
    page(Section::Services, asks::services_page(), |answer, _| {
        Shown {
            title: "Services".to_string(),
            now: answer
                .services
                .iter()
                .map(|service| service.observed_at)
                .max(),
            content: content(answer.services, &answer.regions),
        }
    })
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

fn content(mut services: Vec<ServiceView>, regions: &[RegionCoverage]) -> AnyView {
    services.sort_by_key(urgency);
    let count = words::counted(services.len(), "service", "services");
    let rows = services.iter().map(|service| {
        let last = service.active_deployment.as_ref().or(service.last_deployment.as_ref());
        view! {
            <tr>
                <td class="c-service"><a class="row-link" href=format!("/services/{}", service.id)>{service.name.clone()}</a>" "<span class="quiet">{service.cluster.clone()}</span></td>
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
    let table = if services.is_empty() && (regions.is_empty() || is_importing(regions)) {
        empty("No service is known yet: the account is still being read.")
    } else if services.is_empty() {
        empty(
            "No service is watched yet. Services of the configured accounts appear here after the first full look at AWS.",
        )
    } else {
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
    };
    view! {
        <div class="page">
            <div class="title-row"><h1>"Services"</h1><p class="quiet">{count}", problems first"</p>
                <p class="title-act aside">{download_csv("/api/v1/services?format=csv".to_string())}</p></div>
            {imports(regions)}
            {table}
        </div>
    }
    .into_any()
}
