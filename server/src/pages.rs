//! The pages of `switchback-app`, mounted: the document around them, their console, their policy.

use crate::Deps;
use crate::desk::Desk;
use crate::forms::Theme;
use crate::front::Caller;
use crate::guide::GuideDesk;
use crate::openapi::reference::reference;
use crate::problem::Problem;
use crate::sign_in_desk;
use crate::site::Site;
use crate::step_up;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use http::request::Parts;
use leptos::config::LeptosOptions;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_axum::AxumRouteListing;
use leptos_axum::LeptosRoutes;
use leptos_axum::ResponseOptions;
use leptos_meta::MetaTags;
use std::sync::Arc;
use std::sync::LazyLock;
use switchback_app::App;
use switchback_contract::ConsoleHandle;
use switchback_contract::GuideHandle;
use switchback_contract::ReferenceHandle;
use switchback_contract::SignInHandle;

/// The name of the pages' code: `pkg/switchback.js`, `pkg/switchback_bg.wasm`, `pkg/switchback.css`.
const OUTPUT_NAME: &str = "switchback";

/// What Leptos needs to know to name the files.
pub fn options(site: &Site) -> LeptosOptions {
    LeptosOptions::builder()
        .output_name(OUTPUT_NAME)
        .site_pkg_dir(site.package_folder())
        .build()
}

/// The pages of the app. Leptos finds them by drawing the app, and while it does that, it lets no page
/// of the whole process ask for anything: one that is begun meanwhile is never answered. So they are
/// found once, before the first router exists.
pub fn listed() -> Vec<AxumRouteListing> {
    static LISTED: LazyLock<Vec<AxumRouteListing>> =
        LazyLock::new(|| leptos_axum::generate_route_list(App));
    LISTED.clone()
}

/// Adds every page and every server function of the app.
pub fn mount(router: Router<Deps>, deps: &Deps) -> Router<Deps> {
    let (for_context, for_shell) = (deps.clone(), deps.options.clone());
    router.leptos_routes_with_context(
        deps,
        listed(),
        move || provide_console(&for_context),
        move || shell(for_shell.clone()),
    )
}

/// Gives the page the one console it may use: the reader's.
fn provide_console(deps: &Deps) {
    let parts = use_context::<Parts>();
    let caller = parts
        .as_ref()
        .and_then(|parts| parts.extensions.get::<Caller>().cloned());
    let caller = caller.unwrap_or_default();
    let console = deps.consoles.for_actor(caller.actor.clone());
    let kept = step_up::kept(deps, &caller);
    provide_context::<SignInHandle>(Arc::new(sign_in_desk::Desk::new(deps.clone(), caller)));
    let response = expect_context::<ResponseOptions>();
    let headers = parts.as_ref().map(|parts| &parts.headers);
    let guide = GuideDesk::new(deps.clone(), console.clone(), headers);
    provide_context::<GuideHandle>(Arc::new(guide));
    provide_context::<ReferenceHandle>(reference());
    provide_context::<ConsoleHandle>(Arc::new(Desk {
        console,
        response,
        kept,
    }));
}

/// What answers where nothing else does: a file at the top of the site, a problem, or the app's own
/// page for what does not exist.
pub async fn fallback(State(deps): State<Deps>, request: Request) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && let Some(file) = deps.site.answer(path, request.headers()) {
        return file;
    }
    if !reads || crate::front::is_for_programs(path) {
        return Problem::no_such_path(path).into_response();
    }
    let signed_in = request
        .extensions()
        .get::<Caller>()
        .is_some_and(|caller| caller.actor.is_some());
    if !signed_in {
        return crate::front::sign_in_first(request.method(), request.uri(), request.headers());
    }
    let options = deps.options.clone();
    let render = leptos_axum::render_app_async_with_context(
        move || {
            provide_console(&deps);
            expect_context::<ResponseOptions>().set_status(StatusCode::NOT_FOUND);
        },
        move || shell(options.clone()),
    );
    let response: Response<Body> = render(request).await;
    response
}

/// The document around every page.
fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = use_context::<Parts>().and_then(|parts| Theme::of_cookies(&parts.headers).word());
    if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) {
        let policy = format!(
            "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
             style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        // A nonce is base64, so the policy is a header value; without the header the strict policy of
        // every other answer applies and the page works without scripts.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
    let style = format!("/{}/{OUTPUT_NAME}.css", options.site_pkg_dir);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=style/>
                <HydrationScripts options islands=true/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}
