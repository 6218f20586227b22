//! The table of deployments, the same everywhere: time, service, change, state.

use crate::parts::accounts::place;
use crate::parts::coverage::beginning_words;
use crate::parts::coverage::gap_words;
use crate::parts::coverage::sight_word;
use crate::parts::coverage::sight_words;
use crate::parts::small::change;
use crate::parts::small::time;
use crate::parts::state::state;
use crate::words;
use leptos::prelude::*;
use switchback_contract::DeploymentView;
use switchback_contract::GapView;
use switchback_contract::Moment;
use switchback_contract::RegionCoverage;
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

/// One row, with the moment that it stands at.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Deployment(&'a DeploymentView),
    /// At the moment from which it was looked at again.
    Gap(&'a GapView),
    /// The record begins, with the row above.
    Beginning(&'a RegionCoverage, Moment),
}

impl Entry<'_> {
    fn at(self) -> Moment {
        match self {
            Entry::Deployment(deployment) => deployment.started_at,
            Entry::Gap(gap) => gap.to,
            Entry::Beginning(_, at) => at,
        }
    }
}

/// A table of deployments, in the order given.
pub fn deployment_table(
    caption: &'static str,
    deployments: &[DeploymentView],
    grouping: Grouping,
) -> AnyView {
    table(
        caption,
        deployments.iter().map(Entry::Deployment).collect(),
        grouping,
        false,
    )
}

/// The history, newest first: a table of deployments by day, with the times in which nobody looked at their place, and
/// where the records of these regions begin; `of_several` accounts are told apart.
pub fn history_table(
    caption: &'static str,
    deployments: &[DeploymentView],
    gaps: &[GapView],
    beginnings: &[RegionCoverage],
    of_several: bool,
) -> AnyView {
    let begin = beginnings
        .iter()
        .filter_map(|region| Some(Entry::Beginning(region, region.record_begins_at?)));
    let mut entries: Vec<Entry<'_>> = gaps
        .iter()
        .map(Entry::Gap)
        .chain(deployments.iter().map(Entry::Deployment))
        .chain(begin)
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at()));
    table(caption, entries, Grouping::ByDay, of_several)
}

fn table(
    caption: &'static str,
    entries: Vec<Entry<'_>>,
    grouping: Grouping,
    of_several: bool,
) -> AnyView {
    let groups: Vec<(Option<String>, Vec<Entry<'_>>)> = match grouping {
        Grouping::Flat(_) => vec![(None, entries)],
        Grouping::ByDay => by_day(entries),
    };
    let bodies = groups.into_iter().map(|(day, rows)| {
        let head = day
            .map(|day| view! { <tr class="day"><th colspan="8" scope="rowgroup">{day}</th></tr> });
        let rows = rows.into_iter().map(|entry| match entry {
            Entry::Deployment(deployment) => row(deployment, grouping),
            Entry::Gap(gap) => note(gap.to, gap_words(gap, of_several)),
            Entry::Beginning(region, at) => note(at, beginning_words(region, of_several)),
        });
        view! { <tbody>{head}{rows.collect_view()}</tbody> }
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

fn by_day(entries: Vec<Entry<'_>>) -> Vec<(Option<String>, Vec<Entry<'_>>)> {
    let mut groups: Vec<(Option<String>, Vec<Entry<'_>>)> = Vec::new();
    for entry in entries {
        let day = Some(entry.at().calendar_date());
        match groups.last_mut() {
            Some((last, rows)) if *last == day => rows.push(entry),
            _ => groups.push((day, vec![entry])),
        }
    }
    groups
}

/// A row that says something of the record itself.
fn note(at: Moment, text: String) -> AnyView {
    view! {
        <tr class="record-note">
            <td class="c-time">{time(at, at.clock_time())}</td>
            <td class="c-note" colspan="7">{text}</td>
        </tr>
    }
    .into_any()
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
                <span class="quiet">{place(&deployment.cluster, deployment.account_name.as_deref())}</span>
            </td>
            <td class="c-change">{change(deployment, false)}</td>
            <td class="c-state">
                {state(deployment)}
                {sight_word(deployment).map(|word| view! { <span class="quiet" title=sight_words(deployment)>" · "{word}</span> })}
            </td>
            <td class="c-took number">{took}</td>
            <td class="c-strategy" title=deployment.strategy.clone()>{strategy_words(&deployment.strategy)}</td>
            <td class="c-by" title=deployment.initiator.clone()>{deployment.initiator.clone()}</td>
            <td class="c-reason">{reason}</td>
        </tr>
    }
    .into_any()
}
