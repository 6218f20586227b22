//! One's own sessions: in which browsers, from where, since when; and ending them.

use crate::asks;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::small::Notice;
use crate::parts::small::notice_box;
use crate::parts::small::time;
use leptos::prelude::*;
use switchback_contract::Moment;
use switchback_contract::SessionView;
use switchback_contract::SessionsPage;
use switchback_contract::SignInMethod;
use switchback_contract::duration_words;

/// `/sessions`
#[component]
pub fn Sessions() -> impl IntoView {
    page(Section::Elsewhere, asks::sessions(), |answer, notice| {
        Shown {
            title: "Your sessions".to_string(),
            // The page's times are Switchback's own, not an account's.
            now: None,
            content: content(&answer, &notice),
        }
    })
}

fn content(page: &SessionsPage, notice: &Notice) -> AnyView {
    let others = page
        .sessions
        .iter()
        .filter(|session| !session.is_current)
        .count();
    let items = page
        .sessions
        .iter()
        .map(|session| session_item(session, page.now));
    let end_others = match others {
        0 => view! { <p class="quiet">"You are signed in nowhere else."</p> }.into_any(),
        _ => view! {
            <form method="post" action="/sessions/revoke-others" data-act="">
                <button>"End all other sessions"</button>
            </form>
        }
        .into_any(),
    };
    view! {
        <div class="page">
            {notice_box(notice)}
            <div class="title-row"><h1>"Your sessions"</h1>
                <p class="quiet">"One you do not know? End it and tell your administrator."</p></div>
            <ul class="sessions">{items.collect_view()}</ul>
            {end_others}
            <p class="quiet small">{format!(
                "A session ends by itself after {} without a request. One that is ended here ends at once, also in pages that are open.",
                duration_words(i64::try_from(page.idle_minutes).unwrap_or(i64::MAX / 60_000) * 60_000),
            )}</p>
        </div>
    }
    .into_any()
}

/// How somebody signed in, in a sentence: "Signed in *by a password*".
const fn method_words(method: SignInMethod) -> &'static str {
    match method {
        SignInMethod::Password => "by a password",
        SignInMethod::BreakGlass => "as an emergency administrator",
        SignInMethod::Oidc => "by single sign-on",
    }
}

fn session_item(session: &SessionView, now: Moment) -> AnyView {
    let ago = |at: Moment| format!("{} ago", duration_words(now.millis_since(at).max(0)));
    let last_used = if session.is_current {
        view! { <span class="state good">{icon(Shape::Check)} <span>"This session, in use now"</span></span> }.into_any()
    } else {
        view! { <span>"Last used "{time(session.last_used_at, ago(session.last_used_at))}</span> }
            .into_any()
    };
    let button = if session.is_current {
        "End this session"
    } else {
        "End"
    };
    let named = format!("{} from {}", session.browser, session.client_address);
    view! {
        <li class=if session.is_current { "session current" } else { "session" }>
            <div>
                <p><strong>{session.browser.clone()}</strong>" from "<span class="number">{session.client_address.clone()}</span></p>
                <p>{last_used}</p>
                <p class="quiet small">
                    "Signed in "{method_words(session.method)}" "{time(session.created_at, ago(session.created_at))}
                    ", ends at the latest "{time(session.ends_at, format!("{} UTC", session.ends_at.date_and_time()))}
                </p>
            </div>
            <form method="post" action=format!("/sessions/{}/revoke", session.id) data-act="">
                <button aria-label=format!("{button}: {named}")>{button}</button>
            </form>
        </li>
    }
    .into_any()
}
