//! What a demo offers to try, and how fast its time runs: links and plain forms, done or not as the
//! record shows.
#![expect(
    missing_docs,
    reason = "the island macro makes a struct that it does not document"
)]

use crate::asks;
use crate::live::Live;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::words;
use leptos::prelude::*;
use switchback_contract::GuideView;
use switchback_contract::TryView;
use switchback_contract::TryWay;

/// The guide, asked for again whenever anything changes.
#[island]
pub fn GuideLive(
    /// What the page was made with.
    initial: GuideView,
    /// Where its forms return to.
    path: String,
) -> impl IntoView {
    let shown = RwSignal::new(Some(initial));
    let trouble = RwSignal::new(None);
    Live::follow(
        shown,
        trouble,
        |change| change.anything || change.kind != "metrics",
        asks::guide,
    );
    view! { {move || shown.with(|guide| guide.as_ref().map(|guide| content(guide, &path)))} }
}

fn content(guide: &GuideView, path: &str) -> AnyView {
    let done = guide.tries.iter().filter(|one| one.done).count();
    let tries = guide
        .tries
        .iter()
        .map(|one| try_line(one, guide.may_act, path));
    let (word, shown) = if guide.hidden {
        ("Keep open on Now", "yes")
    } else {
        ("Put away", "no")
    };
    view! {
        <div class="guide-head">
            <h2>"Try this"</h2>
            {(!guide.tries.is_empty()).then(|| view! { <span class="quiet">{format!("{done} of {} done", guide.tries.len())}</span> })}
            {speeds(guide, path)}
            <form method="post" action="/demo/guide">
                <input type="hidden" name="to" value=path.to_string()/>
                <button class="plain" name="shown" value=shown>{word}</button>
            </form>
        </div>
        {if guide.tries.is_empty() {
            view! { <p class="quiet">"This account was started empty: deploy something into it and it appears here."</p> }.into_any()
        } else {
            view! { <ol class="tries">{tries.collect_view()}</ol> }.into_any()
        }}
    }
    .into_any()
}

fn try_line(one: &TryView, may_act: bool, path: &str) -> AnyView {
    let way = one.way.clone().map(|way| match way {
        TryWay::Link { path, label } => {
            view! { <a class="button" href=path>{label}</a> }.into_any()
        }
        TryWay::Button {
            path: action,
            label,
        } => view! {
            <form method="post" action=action data-act="">
                <input type="hidden" name="to" value=path.to_string()/>
                <button disabled=!may_act>{label}</button>
            </form>
        }
        .into_any(),
    });
    let mark = if one.done {
        icon(Shape::Tick).into_any()
    } else {
        icon(Shape::Ring).into_any()
    };
    view! {
        <li class="try" data-done=one.done.then_some("")>
            {mark}
            <p><strong>{one.words.clone()}</strong>{one.done.then(|| view! { <span class="visually-hidden">" (done)"</span> })}" "<span class="detail quiet">{one.detail.clone()}</span></p>
            {way}
        </li>
    }
    .into_any()
}

fn speeds(guide: &GuideView, path: &str) -> AnyView {
    let chosen = guide.speed;
    let may_act = guide.may_act;
    let buttons = guide.speeds.iter().map(|speed| {
        let speed = *speed;
        let is_chosen = (speed - chosen).abs() < f64::EPSILON;
        view! {
            <button name="speed" value=speed.to_string() aria-pressed=if is_chosen { "true" } else { "false" } disabled=!may_act>
                {format!("{speed}\u{d7}")}
            </button>
        }
    });
    let other = !guide
        .speeds
        .iter()
        .any(|speed| (speed - chosen).abs() < f64::EPSILON);
    view! {
        <form method="post" action="/demo/speed" class="speeds">
            <input type="hidden" name="to" value=path.to_string()/>
            <fieldset>
                <legend>"Speed of time"{other.then(|| format!(" {}\u{d7}", words::decimal_or_none(Some(chosen), 1)))}</legend>
                <span class="segments">{buttons.collect_view()}</span>
            </fieldset>
        </form>
    }
    .into_any()
}
