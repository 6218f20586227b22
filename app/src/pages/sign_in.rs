//! Sign-in: a plain form that returns to where the reader wanted to go.

use crate::error::AppError;
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

/// `/sign-in?to=&problem=&message=`
#[component]
pub fn SignIn() -> impl IntoView {
    let query = use_query_map().get_untracked();
    // Only a path of this server: the page must not send anybody elsewhere.
    let to = query
        .get("to")
        .filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'))
        .unwrap_or_else(|| "/".to_string());
    let notice = Notice {
        done: query.get("done"),
        message: query
            .get("problem")
            .map(|code| match (code.as_str(), query.get("message")) {
                (_, Some(message)) if !message.is_empty() => message,
                ("bad_credentials", _) => "Name or password is wrong.".to_string(),
                ("too_many_attempts", _) => {
                    "Too many attempts. Wait a minute, then try again.".to_string()
                }
                _ => "You could not be signed in.".to_string(),
            }),
        problem: query.get("problem"),
    };
    let described = notice.is_problem().then_some(PROBLEM_ID);
    view! {
        <Title text="Sign in · Switchback"/>
        <main id="main" class="sign-in">
            <p class="brand">{mark()} <span>"Switchback"</span></p>
            <h1>"Sign in"</h1>
            {notice_box(&notice)}
            <form method="post" action="/sign-in">
                <input type="hidden" name="to" value=to/>
                <label for="username">"User name"</label>
                <input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus aria-describedby=described/>
                <label for="password">"Password"</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required aria-describedby=described/>
                <button class="primary">"Sign in"</button>
            </form>
        </main>
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
