//! Diff: any two recorded revisions of a service, field by field.

use crate::asks;
use crate::pages::Shown;
use crate::pages::crumbs;
use crate::pages::page;
use crate::parts::difference::difference_table;
use crate::parts::frame::Section;
use crate::parts::small::empty;
use crate::parts::small::revision;
use crate::words;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use leptos_router::hooks::use_query_map;
use switchback_contract::DiffPage;

/// `/services/:id/diff?a=&b=`
#[component]
pub fn Diff() -> impl IntoView {
    let id = use_params_map()
        .get_untracked()
        .get("id")
        .unwrap_or_default();
    let query = use_query_map().get_untracked();
    let side = |name: &str| query.get(name).filter(|side| !side.is_empty());
    page(
        Section::Services,
        asks::diff_page(id, side("a"), side("b")),
        |answer, _| Shown {
            title: title(&answer),
            now: Some(answer.now),
            content: content(&answer),
        },
    )
}

/// Where two revisions of a service are compared.
pub fn address(service_id: &str, old: Option<&str>, new: Option<&str>) -> String {
    words::link(
        &format!("/services/{service_id}/diff"),
        &[("a", old), ("b", new)],
    )
}

fn title(page: &DiffPage) -> String {
    match (&page.old, &page.new) {
        (Some(old), Some(new)) => format!(
            "{} to {} · {}",
            words::revision_number(old),
            words::revision_number(new),
            page.service.name
        ),
        _ => format!("Compare · {}", page.service.name),
    }
}

fn content(page: &DiffPage) -> AnyView {
    let service = &page.service;
    let swap = match (&page.old, &page.new) {
        (Some(old), Some(new)) => Some(view! {
            <a class="button" href=address(&service.id, Some(new), Some(old))>"Swap sides"</a>
        }),
        _ => None,
    };
    let difference = match &page.difference {
        Some(difference) => difference_table(difference, page.old.as_deref(), page.new.as_deref()),
        None if page.revisions.is_empty() => empty(
            "No revision is recorded yet. Every revision of a deployment is kept with its full JSON, and any two can be compared here.",
        ),
        None => empty("Choose two revisions. What differs between them appears here."),
    };
    view! {
        <div class="page">
            {crumbs(vec![
                ("Services".to_string(), Some("/services".to_string())),
                (service.name.clone(), Some(format!("/services/{}", service.id))),
                ("Compare".to_string(), None),
            ])}
            <div class="title-row">
                <h1>{format!("Compare revisions of {}", service.name)}</h1>
                <span class="change">
                    {revision(page.old.as_deref(), false, true)}
                    <span class="arrow" aria-hidden="true">"→"</span><span class="visually-hidden">" to "</span>
                    {revision(page.new.as_deref(), true, true)}
                </span>
            </div>
            <form class="filters" method="get" aria-label="Which revisions are compared">
                {choice("a", "Old", page, page.old.as_deref())}
                {choice("b", "New", page, page.new.as_deref())}
                <button>"Compare"</button>
                {swap}
            </form>
            <section aria-labelledby="differs">
                <h2 id="differs">"What differs "<span class="quiet">"secrets by name only; their values are never read"</span></h2>
                {difference}
            </section>
        </div>
    }
    .into_any()
}

fn choice(
    name: &'static str,
    label: &'static str,
    page: &DiffPage,
    chosen: Option<&str>,
) -> AnyView {
    let options = page.revisions.iter().map(|revision| {
        let serving = if revision.serving { ", serving now" } else { "" };
        let text = format!("{}:{}{serving}", revision.family, revision.number);
        view! { <option value=revision.arn.clone() selected=chosen == Some(revision.arn.as_str())>{text}</option> }
    });
    view! {
        <label class="grow"><span>{label}</span>
            <select name=name>
                {chosen.is_none().then(|| view! { <option value="">"Choose"</option> })}
                {options.collect_view()}
            </select>
        </label>
    }
    .into_any()
}
