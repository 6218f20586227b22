//! One service: what serves, its deployments, its recorded revisions.

use crate::asks;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::now::controller_words;
use crate::pages::page;
use crate::pages::rollback_link;
use crate::parts::deployment_rows::Grouping;
use crate::parts::deployment_rows::deployment_table;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::parts::small::copy_button;
use crate::parts::small::download_csv;
use crate::parts::small::empty;
use crate::parts::small::identifier;
use crate::parts::small::notice_box;
use crate::parts::small::revision;
use crate::parts::small::time;
use crate::parts::state::state_in_full;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use switchback_contract::Moment;
use switchback_contract::Proof;
use switchback_contract::RevisionView;
use switchback_contract::ServicePage;
use switchback_contract::ServiceView;
use switchback_contract::duration_words;
use switchback_contract::strategy_words;

/// `/services/:id`
#[component]
pub fn Service() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    page(
        Section::Services,
        asks::service_page(id),
        |answer, notice| Shown {
            title: match &answer.service.active_deployment {
                Some(active) => format!("{} · {}", words::state_words(active), answer.service.name),
                None => answer.service.name.clone(),
            },
            now: Some(answer.now),
            content: content(&answer, &notice),
        },
    )
}

fn content(page: &ServicePage, notice: &Notice) -> AnyView {
    let service = &page.service;
    let act = page.may_roll_back.then(|| {
        view! { <p class="title-act dock"><a class="button danger" href=rollback_link(&service.id, None)>"Roll back…"</a></p> }
    });
    view! {
        <div class="page has-dock">
            {crumbs(vec![("Services".to_string(), Some("/services".to_string())), (service.name.clone(), None)])}
            {notice_box(notice)}
            <div class="title-row">
                <h1>{service.name.clone()}</h1>
                {revision(service.serving_revision.as_deref(), false, true)}
                {service.active_deployment.as_ref().map(|active| view! { <a href=format!("/deployments/{}", active.id)>{state_in_full(active)}</a> })}
                {act}
            </div>
            {facts(service)}
            <section aria-labelledby="deployments">
                <h2 id="deployments">"Deployments "<span class="quiet">"newest first"</span></h2>
                {if page.deployments.is_empty() {
                    empty("No deployment of this service is recorded yet.")
                } else {
                    deployment_table("Deployments of the service, newest first", &page.deployments, Grouping::Flat(page.now))
                }}
                <p class="after-table"><a href=words::link("/history", &[("service", Some(&service.name))])>"All deployments in the History"</a>
                    " · "<a download="" href=words::link("/api/v1/deployments", &[("service", Some(&service.id)), ("format", Some("csv"))])>"Download CSV"</a></p>
            </section>
            <section aria-labelledby="revisions">
                <div class="section-head">
                    <h2 id="revisions">"Revisions "<span class="quiet">"what served when, at what share"</span></h2>
                    {(page.revisions.len() > 1).then(|| view! { <a class="button" href=crate::pages::diff::address(&service.id, None, None)>"Compare revisions"</a> })}
                    {download_csv(format!("/api/v1/services/{}/revisions?format=csv", service.id))}
                </div>
                {revisions_table(page)}
            </section>
        </div>
    }
    .into_any()
}

fn facts(service: &ServiceView) -> AnyView {
    let alarms = if service.alarms.is_empty() {
        "none".to_string()
    } else {
        service.alarms.join(", ")
    };
    view! {
        <dl class="meta">
            <div><dt>"Serving since"</dt><dd>{service.serving_since.map_or_else(|| "not known".into_any(), |since| time(since, format!("{} UTC", since.date_and_time())).into_any())}</dd></div>
            <div><dt>"Tasks"</dt><dd>{format!("{} of {} running", words::whole(service.running_count), words::whole(service.desired_count))}</dd></div>
            <div><dt>"Strategy"</dt><dd title=service.strategy.clone()>{strategy_words(&service.strategy)}</dd></div>
            {service.strategy_detail.clone().map(|detail| view! { <div><dt>"Runs as"</dt><dd>{detail}</dd></div> })}
            <div><dt>"Controller"</dt><dd>{controller_words(&service.controller)}</dd></div>
            {service.application.as_ref().zip(service.group.as_ref()).map(|(application, group)| view! { <div><dt>"Group"</dt><dd>{format!("{application} / {group}")}</dd></div> })}
            <div><dt>"Alarms"</dt><dd>{alarms}</dd></div>
            <div><dt>"Where"</dt><dd>{format!("{} · {} · {}", service.cluster, service.region, where_words(service))}</dd></div>
            <div><dt>"AWS"</dt><dd>{identifier(&service.arn)}</dd></div>
            <div><dt>"Read"</dt><dd>{time(service.observed_at, format!("{} UTC", service.observed_at.clock_time()))}</dd></div>
        </dl>
    }
    .into_any()
}

/// The account's number, and its name where it has another.
fn where_words(service: &ServiceView) -> String {
    match &service.account_name {
        Some(name) if *name != service.account => format!("{name} ({})", service.account),
        Some(_) | None => service.account.clone(),
    }
}

/// How long and until when a revision served, in one line.
pub fn served_words(revision: &RevisionView, now: Moment) -> String {
    let most = revision
        .served
        .iter()
        .max_by(|a, b| a.share.total_cmp(&b.share).then(a.from.cmp(&b.from)));
    let Some(served) = most else {
        return "No production traffic recorded".to_string();
    };
    let length = duration_words(served.to.unwrap_or(now).millis_since(served.from));
    match served.to {
        Some(to) => format!(
            "Served {} for {length}, until {}",
            words::percent(served.share),
            words::time_beside(now, to)
        ),
        None => format!(
            "Serves {} since {}",
            words::percent(served.share),
            words::time_beside(now, served.from)
        ),
    }
}

/// Shape and word of how proven a revision is.
pub fn proof_state(revision: &RevisionView) -> AnyView {
    let (shape, text) = match revision.proof {
        Proof::KnownGood => (Shape::Check, "Known good"),
        Proof::NotProven => (Shape::Question, "Not proven"),
        Proof::KnownBad => (Shape::BentArrow, "Known bad"),
    };
    view! { <span class="state">{icon(shape)} <span>{text}</span></span> }.into_any()
}

/// The images of a revision in one line.
pub fn images_words(revision: &RevisionView) -> String {
    let images: Vec<String> = revision
        .images
        .iter()
        .map(|image| match &image.digest {
            Some(digest) => words::short_digest(digest),
            None => image
                .image
                .rsplit('/')
                .next()
                .unwrap_or(&image.image)
                .to_string(),
        })
        .collect();
    images.join(", ")
}

fn revisions_table(page: &ServicePage) -> AnyView {
    if page.revisions.is_empty() {
        return empty(
            "No revision is recorded yet. Every revision of a deployment is kept here with its full JSON.",
        );
    }
    let rows = page.revisions.iter().map(|revision| {
        let act = (page.may_roll_back && revision.cannot_be_chosen.is_none()).then(|| {
            view! { <a href=rollback_link(&page.service.id, Some(&revision.arn))>{format!("Roll back to :{}…", revision.number)}</a> }
        });
        view! {
            <tr>
                <td class="c-service"><code title=revision.arn.clone()>{format!("{}:{}", revision.family, revision.number)}</code>{copy_button(&revision.arn, "Copy the ARN")}</td>
                <td class="c-served">{served_words(revision, page.now)}</td>
                <td class="c-state">{if revision.serving { view! { <span class="state">{icon(Shape::Half)} <span>"Serving now"</span></span> }.into_any() } else { proof_state(revision) }}</td>
                <td class="c-status">{revision.status.to_uppercase().replace('_', " ")}</td>
                <td class="c-image"><code>{images_words(revision)}</code></td>
                <td class="c-verdicts">{revision.verdicts.iter().map(|verdict| words::spaced(verdict)).collect::<Vec<_>>().join(", ")}</td>
                <td class="c-act">{act}</td>
            </tr>
        }
    });
    view! {
        <table class="rows revisions">
            <caption class="visually-hidden">"Recorded revisions, newest first"</caption>
            <thead><tr>
                <th scope="col" class="c-service">"Revision"</th><th scope="col" class="c-served">"Served"</th><th scope="col" class="c-state">"Proof"</th>
                <th scope="col" class="c-status">"In AWS"</th><th scope="col" class="c-image">"Image"</th><th scope="col" class="c-verdicts">"Its deployments"</th>
                <th scope="col" class="c-act"><span class="visually-hidden">"Act"</span></th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
