//! There is no such page.

use crate::parts::icon::mark;
use leptos::prelude::*;
use leptos_meta::Title;

/// For every path that is no page.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <Title text="Not found · Switchback"/>
        <main id="main" class="sign-in">
            <p class="brand">{mark()} <span>"Switchback"</span></p>
            <h1>"There is no such page"</h1>
            <p class="quiet">"The address may be old or mistyped."</p>
            <p><a class="button primary" href="/">"Go to Now"</a></p>
        </main>
    }
}
