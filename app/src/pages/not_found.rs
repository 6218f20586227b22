//! There is no such page.

use crate::error::AppError;
use crate::pages::Shown;
use crate::pages::page;
use crate::parts::frame::Section;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use switchback_contract::Refusal;

/// For every path that is no page: the same frame and the same words as for anything that is not there.
#[component]
pub fn NotFound() -> impl IntoView {
    let path = use_location().pathname.get_untracked();
    let nothing = async move { Err::<(), AppError>(Refusal::not_found("page", &path).into()) };
    page(Section::Elsewhere, nothing, |(), _| Shown {
        title: "Not found".to_string(),
        now: None,
        content: ().into_any(),
    })
}
