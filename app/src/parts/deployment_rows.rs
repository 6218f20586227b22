//! The table of deployments, the same everywhere: time, service, change, state.

use crate::parts::small::change;
use crate::parts::small::time;
use crate::parts::state::state;
use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentView;
use switchback_contract::Moment;
use switchback_contract::duration_words;
use switchback_contract::strategy_words;

/// How the rows are grouped and how their time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// One group; another day's time carries its date.
    Flat(Moment),
    /// A heading for each day.
    ByDay,
}

/// A table of deployments, in the order given.
pub fn deployment_table(
    caption: &'static str,
    deployments: &[DeploymentView],
    grouping: Grouping,
) -> AnyView {
    let groups: Vec<(Option<String>, Vec<&DeploymentView>)> = match grouping {
        Grouping::Flat(_) => vec![(None, deployments.iter().collect())],
        Grouping::ByDay => by_day(deployments),
    };
    let bodies = groups.into_iter().map(|(day, rows)| {
        let head = day.map(|day| view! { <tr class="day"><th colspan="8" scope="rowgroup">{day}</th></tr> });
        view! { <tbody>{head}{rows.into_iter().map(|deployment| row(deployment, grouping)).collect_view()}</tbody> }
    });
    view! {
        <table class="rows deployments">
            <caption class="visually-hidden">{caption}</caption>
            <thead>
                <tr>
                    <th scope="col" class="c-time">"Started"</th>
                    <th scope="col" class="c-service">"Service"</th>
                    <th scope="col" class="c-change">"Change"</th>
                    <th scope="col" class="c-state">"State"</th>
                    <th scope="col" class="c-took number">"Took"</th>
                    <th scope="col" class="c-strategy">"Strategy"</th>
                    <th scope="col" class="c-by">"By"</th>
                    <th scope="col" class="c-reason">"Reason"</th>
                </tr>
            </thead>
            {bodies.collect_view()}
        </table>
    }
    .into_any()
}

fn by_day(deployments: &[DeploymentView]) -> Vec<(Option<String>, Vec<&DeploymentView>)> {
    let mut groups: Vec<(Option<String>, Vec<&DeploymentView>)> = Vec::new();
    for deployment in deployments {
        let day = Some(deployment.started_at.calendar_date());
        match groups.last_mut() {
            Some((last, rows)) if *last == day => rows.push(deployment),
            _ => groups.push((day, vec![deployment])),
        }
    }
    groups
}

fn row(deployment: &DeploymentView, grouping: Grouping) -> AnyView {
    let started = match grouping {
        Grouping::Flat(now) => words::time_beside(now, deployment.started_at),
        Grouping::ByDay => deployment.started_at.clock_time(),
    };
    let took = deployment.ended_at.map_or_else(
        || words::NONE.to_string(),
        |ended| duration_words(ended.millis_since(deployment.started_at)),
    );
    let reason = match &deployment.reason {
        Some(reason) => view! { <span title=reason.clone()>{reason.clone()}</span> }.into_any(),
        None => view! { <span class="quiet">"no reason recorded"</span> }.into_any(),
    };
    view! {
        <tr data-service=deployment.service_id.clone() data-revision=deployment.target_revision.clone()>
            <td class="c-time">{time(deployment.started_at, started)}</td>
            <td class="c-service">
                <a class="row-link" href=format!("/deployments/{}", deployment.id)>{deployment.service.clone()}</a>" "
                <span class="quiet">{deployment.cluster.clone()}</span>
            </td>
            <td class="c-change">{change(deployment, false)}</td>
            <td class="c-state">{state(deployment)}</td>
            <td class="c-took number">{took}</td>
            <td class="c-strategy" title=deployment.strategy.clone()>{strategy_words(&deployment.strategy)}</td>
            <td class="c-by" title=deployment.initiator.clone()>{deployment.initiator.clone()}</td>
            <td class="c-reason">{reason}</td>
        </tr>
    }
    .into_any()
}
