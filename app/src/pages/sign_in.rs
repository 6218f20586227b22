//! Sign-in, and proving again who one is: links and plain forms that return to where the reader wanted to go.

use crate::asks;
use crate::error::AppError;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::frame::Section;
use crate::parts::icon::Shape;
use crate::parts::icon::icon;
use crate::parts::icon::mark;
use crate::parts::small::Notice;
use crate::parts::small::PROBLEM_ID;
use crate::parts::small::notice_box;
use crate::words;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use switchback_contract::LocalSignIn;
use switchback_contract::SignInAgain as SignInAgainView;
use switchback_contract::WaysIn;

/// `/sign-in?to=&problem=&message=`
#[component]
pub fn SignIn() -> impl IntoView {
    let to = wanted();
    let notice = notice();
    let ways = OnceResource::new(asks::ways_in());
    view! {
        <Title text="Sign in · Switchback"/>
        <main id="main" class="sign-in">
            <p class="brand">{mark()} <span>"Switchback"</span></p>
            <h1>"Sign in"</h1>
            {notice_box(&notice)}
            <Suspense fallback=|| ()>
                {
                    let (to, notice) = (to.clone(), notice.clone());
                    Suspend::new(async move {
                        match ways.await {
                            Ok(ways) => ways_in(&ways, &to, &notice),
                            Err(error) => view! { <p class="state-line">{icon(Shape::Cross)} <span>{error.to_string()}</span></p> }.into_any(),
                        }
                    })
                }
            </Suspense>
        </main>
    }
}

fn ways_in(ways: &WaysIn, to: &str, notice: &Notice) -> AnyView {
    let single_sign_on = ways.single_sign_on.as_ref().map(|label| {
        let link = words::link("/sign-in/oidc", &[("to", Some(to))]);
        // Not followed by anything but a press: it begins a sign-in.
        view! { <a class="button primary" rel="external nofollow" href=link>{label.clone()}</a> }
    });
    let has_other = single_sign_on.is_some();
    let local = match ways.local {
        LocalSignIn::On => view! {
            {has_other.then(|| view! { <p class="or">"or"</p> })}
            {password_form(to, notice, !has_other)}
        }
        .into_any(),
        LocalSignIn::BreakGlassOnly => view! {
            <details open=!has_other || notice.problem.as_deref() == Some("sign_in_refused")>
                <summary>"Emergency sign-in"</summary>
                <p class="quiet">"For local administrators, when the usual way does not work. Its use is recorded as that."</p>
                {password_form(to, notice, false)}
            </details>
        }
        .into_any(),
        LocalSignIn::Off => ().into_any(),
    };
    view! { {single_sign_on} {local} }.into_any()
}

fn password_form(to: &str, notice: &Notice, is_first: bool) -> AnyView {
    let described = notice.is_problem().then_some(PROBLEM_ID);
    view! {
        <form method="post" action="/sign-in">
            <input type="hidden" name="to" value=to.to_string()/>
            <label for="username">"User name"</label>
            <input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus=is_first aria-describedby=described/>
            <label for="password">"Password"</label>
            <input id="password" name="password" type="password" autocomplete="current-password" required aria-describedby=described/>
            <button class=if is_first { "primary" } else { "" }>"Sign in"</button>
        </form>
    }
    .into_any()
}

/// `/sign-in/again?to=&problem=&message=`
#[component]
pub fn SignInAgain() -> impl IntoView {
    let to = wanted();
    page(
        Section::Elsewhere,
        asks::sign_in_again(),
        move |answer, notice| Shown {
            title: "Sign in again".to_string(),
            now: None,
            content: again(&answer, &to, &notice),
        },
    )
}

fn again(page: &SignInAgainView, to: &str, notice: &Notice) -> AnyView {
    let why = match page.minutes {
        Some(minutes) => format!(
            "What you want to do needs a sign-in within the last {}. The reason of a rollback is kept.",
            words::counted(
                usize::try_from(minutes).unwrap_or(usize::MAX),
                "minute",
                "minutes"
            ),
        ),
        None => "Nothing here needs it now.".to_string(),
    };
    let described = notice.is_problem().then_some(PROBLEM_ID);
    let way = match &page.single_sign_on {
        Some(label) => {
            let link = words::link("/sign-in/again/oidc", &[("to", Some(to))]);
            view! { <a class="button primary" rel="external nofollow" href=link>{label.clone()}</a> }.into_any()
        }
        None => view! {
            <form method="post" action="/sign-in/again">
                <input type="hidden" name="to" value=to.to_string()/>
                <input type="hidden" name="username" autocomplete="username" value=page.name.clone()/>
                <label for="password">"Password"</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required autofocus aria-describedby=described/>
                <button class="primary">"Sign in again"</button>
            </form>
        }
        .into_any(),
    };
    view! {
        <div class="sign-in">
            <h1>"Sign in again"</h1>
            {notice_box(notice)}
            <p>"You are "<strong>{page.name.clone()}</strong>". "{why}</p>
            {way}
            <p><a href=to.to_string()>"Go back without it"</a></p>
        </div>
    }
    .into_any()
}

/// Where the reader wants to go: only a path of this server, the page must not send anybody elsewhere.
fn wanted() -> String {
    use_query_map()
        .get_untracked()
        .get("to")
        .filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'))
        .unwrap_or_else(|| "/".to_string())
}

fn notice() -> Notice {
    let query = use_query_map().get_untracked();
    Notice {
        done: query.get("done"),
        message: query.get("problem").map(|_| {
            query
                .get("message")
                .filter(|message| !message.is_empty())
                .unwrap_or_else(|| "You could not be signed in.".to_string())
        }),
        problem: query.get("problem"),
    }
}

/// What a reader sees who is not, or no longer, signed in.
pub fn outside(error: &AppError, path: &str) -> AnyView {
    let link = words::link("/sign-in", &[("to", Some(path))]);
    view! {
        <main id="main" class="sign-in">
            <p class="brand">{mark()} <span>"Switchback"</span></p>
            <h1>{if error.is_sign_in_needed() { "You are not signed in" } else { "Not available" }}</h1>
            {(!error.is_sign_in_needed()).then(|| view! { <p class="state-line">{icon(Shape::Cross)} <span>{error.to_string()}</span></p> })}
            <p><a class="button primary" href=link>"Sign in"</a></p>
        </main>
    }
    .into_any()
}
