//! Times, revisions, identifiers: the smallest parts.

use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::icon::line_sample;
use crate::words;
use leptos::prelude::*;
use serde::Deserialize;
use serde::Serialize;
use switchback_contract::DeploymentView;
use switchback_contract::Moment;

/// A moment as `<time>`, with the full text in `title`.
pub fn time(at: Moment, text: String) -> impl IntoView {
    view! { <time datetime=at.rfc3339() title=at.rfc3339()>{text}</time> }
}

/// A revision with its line sample: `--- checkout-api:128`. `in_full` writes the family too.
pub fn revision(arn: Option<&str>, is_new: bool, in_full: bool) -> AnyView {
    let Some(arn) = arn else {
        return view! { <span class="revision quiet">{line_sample(is_new)} "not known"</span> }
            .into_any();
    };
    let text = if in_full {
        words::revision_name(arn)
    } else {
        words::revision_number(arn)
    };
    view! {
        <span class=if is_new { "revision new" } else { "revision old" } title=arn.to_string()>
            {line_sample(is_new)} {text}
        </span>
    }
    .into_any()
}

/// Old → new, each with its line sample.
pub fn change(deployment: &DeploymentView, in_full: bool) -> AnyView {
    view! {
        <span class="change">
            {revision(deployment.previous_revision.as_deref(), false, in_full)}
            <span class="arrow" aria-hidden="true">"→"</span>
            <span class="visually-hidden">" to "</span>
            {revision(deployment.target_revision.as_deref(), true, in_full)}
        </span>
    }
    .into_any()
}

/// An identifier, shortened, with the whole in `title` and a button that copies the whole.
pub fn identifier(text: &str) -> AnyView {
    view! {
        <span class="identifier">
            <code title=text.to_string()>{words::short_identifier(text)}</code>
            {copy_button(text, "Copy the identifier")}
        </span>
    }
    .into_any()
}

/// A button that copies `text`. It shows itself only once the page is awake, see [`crate::live`].
pub fn copy_button(text: &str, label: &'static str) -> AnyView {
    view! {
        <button type="button" class="copy" data-copy=text.to_string() aria-label=label title=label>
            {icon(Shape::Copy)}
        </button>
    }
    .into_any()
}

/// What the last act came to, from the query of the page it returned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What was done: `decided`, `rollback`, `end-bake`.
    pub done: Option<String>,
    /// The code of a refusal.
    pub problem: Option<String>,
    /// The refusal's text.
    pub message: Option<String>,
}

impl Notice {
    /// Whether an act was refused.
    pub fn is_problem(&self) -> bool {
        self.problem.is_some()
    }
}

/// The identifier of the box that says why an act was refused; forms name it in `aria-describedby`.
pub const PROBLEM_ID: &str = "problem";

/// What the last act came to. A refusal is announced at once; both are text, never markup.
pub fn notice_box(notice: &Notice) -> AnyView {
    if let Some(code) = &notice.problem {
        let message = notice
            .message
            .clone()
            .unwrap_or_else(|| "It was not done.".to_string());
        return view! {
            <div class="notice notice-bad" role="alert" id=PROBLEM_ID>
                {icon(Shape::Cross)}
                <p><strong>"Not done. "</strong>{message}" "<code>{code.clone()}</code></p>
            </div>
        }
        .into_any();
    }
    let text = match notice.done.as_deref() {
        Some("decided") => "Your decision is recorded. Its delivery to AWS is shown with the gate.",
        Some("end-bake") => "The end of the bake is recorded. Its delivery to AWS is shown below.",
        Some("rollback") => "The rollback is recorded. Its delivery to AWS is shown below.",
        Some("session_revoked") => "The session is ended. Pages that are open in it stop at once.",
        Some("sessions_revoked") => {
            "All other sessions are ended. Pages that are open in them stop at once."
        }
        Some("signed-out") => "You are signed out.",
        Some(_) => "Done.",
        None => return ().into_any(),
    };
    view! {
        <div class="notice notice-good" role="status">
            {icon(Shape::Check)} <p>{text}</p>
        </div>
    }
    .into_any()
}

/// Data from AWS older than this is called old.
const STALE_MILLIS: i64 = 90_000;

/// "Last data 14:29:02" while what is shown of something that still moves is older than 90 s.
pub fn stale(observed: Moment, is_moving: bool, now: Signal<Moment>) -> AnyView {
    view! {
        <span class="stale" hidden=move || !is_moving || now.get().millis_since(observed) <= STALE_MILLIS>
            {icon(Shape::Warning)} "Last data "{time(observed, observed.clock_time())}
        </span>
    }
    .into_any()
}

/// The link by which a list is taken along, with the filters it has here.
pub fn download_csv(address: String) -> AnyView {
    view! { <a class="button" download="" href=address>"Download CSV"</a> }.into_any()
}

/// What an empty list says: what will appear here, and the next step.
pub fn empty(text: &'static str) -> AnyView {
    view! { <p class="empty">{text}</p> }.into_any()
}
