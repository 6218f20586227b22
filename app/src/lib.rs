//! The pages: compiled for the server, which draws them, and for the browser, which wakes the islands.
//!
//! The crate knows the contract and nothing behind it. Pages are complete HTML with real links and
//! forms; islands add what moves: fuses, live panels, the chart's cursor. No part of it has a Cargo
//! feature or a `cfg`: what the server alone does is in the bodies of server functions, which the
//! browser's build leaves out.

pub mod asks;
pub mod desk;
pub mod error;
pub mod keys;
pub mod live;
pub mod pages;
pub mod parts;
pub mod presses;
pub mod words;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::SsrMode;
use leptos_router::components::FlatRoutes;
use leptos_router::components::Route;
use leptos_router::components::Router;
use leptos_router::path;

/// All pages by their paths. The server puts it into the body of its shell.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Router>
            <FlatRoutes fallback=pages::not_found::NotFound>
                <Route path=path!("/") view=pages::now::Now ssr=SsrMode::Async/>
                <Route path=path!("/services") view=pages::services::Services ssr=SsrMode::Async/>
                <Route path=path!("/services/:id") view=pages::service::Service ssr=SsrMode::Async/>
                <Route path=path!("/services/:id/rollback") view=pages::rollback::Rollback ssr=SsrMode::Async/>
                <Route path=path!("/services/:id/diff") view=pages::diff::Diff ssr=SsrMode::Async/>
                <Route path=path!("/deployments/:id") view=pages::deployment::Deployment ssr=SsrMode::Async/>
                <Route path=path!("/deployments/:id/end-bake") view=pages::end_bake::EndBake ssr=SsrMode::Async/>
                <Route path=path!("/gates/:id") view=pages::gate::Gate ssr=SsrMode::Async/>
                <Route path=path!("/approvals") view=pages::approvals::Approvals ssr=SsrMode::Async/>
                <Route path=path!("/history") view=pages::history::History ssr=SsrMode::Async/>
                <Route path=path!("/audit") view=pages::audit::Audit ssr=SsrMode::Async/>
                <Route path=path!("/status") view=pages::status::Status ssr=SsrMode::Async/>
                <Route path=path!("/api") view=pages::api::Api ssr=SsrMode::Async/>
                <Route path=path!("/sessions") view=pages::sessions::Sessions ssr=SsrMode::Async/>
                <Route path=path!("/sign-in/again") view=pages::sign_in::SignInAgain ssr=SsrMode::Async/>
                <Route path=path!("/sign-in") view=pages::sign_in::SignIn ssr=SsrMode::Async/>
            </FlatRoutes>
        </Router>
    }
}
