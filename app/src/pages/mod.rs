//! The pages, and the way every page is made: ask, then frame what came.

pub mod api;
pub mod approvals;
pub mod audit;
pub mod deployment;
pub mod diff;
pub mod end_bake;
pub mod gate;
pub mod history;
pub mod not_found;
pub mod now;
pub mod rollback;
pub mod service;
pub mod services;
pub mod sessions;
pub mod sign_in;
pub mod status;

use crate::asks;
use crate::error::AppError;
use crate::parts::frame::Section;
use crate::parts::frame::Surroundings;
use crate::parts::frame::frame;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::words;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;
use leptos_router::hooks::use_query_map;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use switchback_contract::Moment;

/// What a page shows once its answer is there.
pub struct Shown {
    /// The title; the state comes first.
    pub title: String,
    /// The account's clock, where the answer says it.
    pub now: Option<Moment>,
    /// What stands in `<main>`.
    pub content: AnyView,
}

/// A page: asks, waits, and draws the answer in the frame. Routes are rendered as a whole
/// (`SsrMode::Async`), so the page is complete without any script.
pub fn page<T>(
    section: Section,
    ask: impl Future<Output = Result<T, AppError>> + Send + 'static,
    show: impl FnOnce(T, Notice) -> Shown + Send + 'static,
) -> impl IntoView
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let query = use_query_map().get_untracked();
    let notice = Notice {
        done: query.get("done"),
        problem: query.get("problem"),
        message: query.get("message"),
    };
    let location = use_location();
    let path = format!(
        "{}{}",
        location.pathname.get_untracked(),
        without_notice(&location.search.get_untracked())
    );
    let answers = OnceResource::new(async move {
        let me = asks::me().await;
        let open_gates = asks::open_gate_count().await;
        let guide = asks::guide().await;
        let sign_in = asks::sign_in().await;
        let answer = ask.await;
        (me, open_gates, guide, sign_in, answer)
    });
    view! {
        <Suspense fallback=|| ()>
            {Suspend::new(async move {
                let (me, open_gates, guide, sign_in, answer) = answers.await;
                let shown = answer.map_or_else(|error| failed(&error), |answer| show(answer, notice));
                let content = match me {
                    Ok(me) => frame(section, path, shown.now, Surroundings { me, open_gates: open_gates.unwrap_or(0), guide: guide.ok().flatten(), is_break_glass: sign_in.is_ok_and(|sign_in| sign_in.is_break_glass) }, shown.content),
                    Err(error) => sign_in::outside(&error, &path),
                };
                view! { <Title text=format!("{} · Switchback", shown.title)/> {content} }
            })}
        </Suspense>
    }
}

/// The query without what only says how the last act went.
fn without_notice(search: &str) -> String {
    let kept: Vec<&str> = search
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| {
            !["done=", "problem=", "message=", "seal="]
                .iter()
                .any(|name| pair.starts_with(name))
        })
        .collect();
    if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    }
}

/// The page that stands in for one that could not be made: what happened, its code, what to do.
fn failed(error: &AppError) -> Shown {
    let is_absent = error.is_not_found();
    let (title, next) = if is_absent {
        (
            "Not found",
            "The address may be old or mistyped. What was recorded stays: look for it in the History or among the services.",
        )
    } else {
        (
            "Not available",
            "Nothing was changed by asking. Try again; if it stays so, the server's log says more.",
        )
    };
    let again = (!is_absent).then(|| view! { <a class="button primary" href="">"Try again"</a> });
    let content = view! {
        <div class="page astray">
            <h1>{title}</h1>
            <p class="state">{icon(if is_absent { Shape::Question } else { Shape::Cross })} <span>{error.to_string()}</span></p>
            <p class="quiet">{next}</p>
            <p class="quiet small">"Code "<code>{error.code().to_string()}</code></p>
            <p class="links">{again}<a class="button" href="/">"Go to Now"</a><a class="button" href="/history">"Look in the History"</a><a class="button" href="/services">"All services"</a></p>
        </div>
    };
    Shown {
        title: title.to_string(),
        now: None,
        content: content.into_any(),
    }
}

/// The way to here.
pub fn crumbs(parts: Vec<(String, Option<String>)>) -> AnyView {
    let items = parts.into_iter().map(|(text, link)| match link {
        Some(link) => view! { <li><a href=link>{text}</a></li> }.into_any(),
        None => view! { <li aria-current="page">{text}</li> }.into_any(),
    });
    view! { <nav class="crumbs" aria-label="Where this is"><ol>{items.collect_view()}</ol></nav> }
        .into_any()
}

/// The link to a service's rollback page, with a target where one is meant.
pub fn rollback_link(service_id: &str, target: Option<&str>) -> String {
    words::link(
        &format!("/services/{service_id}/rollback"),
        &[("to", target)],
    )
}
