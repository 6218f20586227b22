//! Every route with who may use it. The router is built from this table, and a test holds the pages
//! and server functions of `switchback-app` to it.
//!
//! To add a route: add a line. A line without `Who::SignedIn` needs a reason beside it; the list of
//! those may only shrink.

use crate::Deps;
use crate::api;
use crate::audit_export;
use crate::events;
use crate::forms;
use crate::guide;
use crate::health;
use crate::hooks;
use crate::oidc::flow;
use crate::openapi;
use crate::sign_in;
use crate::site;
use crate::step_up;
use axum::routing::MethodRouter;
use axum::routing::get;
use axum::routing::post;
use http::Method;

/// Who may use a route. What they may do there is the console's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Public,
    /// Whoever has a session or, under `/api/v1`, a token.
    SignedIn,
    /// Whoever signs the body with the relay secret.
    Hook,
}

/// What answers.
#[derive(Clone, Copy)]
pub enum Serves {
    /// A handler of this crate.
    Handler(fn() -> MethodRouter<Deps>),
    /// A handler that exists only where a demo runs.
    Demo(fn() -> MethodRouter<Deps>),
    /// A page of `switchback-app`.
    Page,
    /// The server functions of `switchback-app`.
    Asks,
}

/// One line of the table.
pub struct Route {
    /// The method. `GET` answers `HEAD` too.
    pub method: Method,
    /// The path, as axum writes it.
    pub path: &'static str,
    /// Who may use it.
    pub who: Who,
    /// What answers.
    pub serves: Serves,
}

const fn public(method: Method, path: &'static str, handler: fn() -> MethodRouter<Deps>) -> Route {
    Route {
        method,
        path,
        who: Who::Public,
        serves: Serves::Handler(handler),
    }
}

const fn signed_in(
    method: Method,
    path: &'static str,
    handler: fn() -> MethodRouter<Deps>,
) -> Route {
    Route {
        method,
        path,
        who: Who::SignedIn,
        serves: Serves::Handler(handler),
    }
}

const fn demo(path: &'static str, handler: fn() -> MethodRouter<Deps>) -> Route {
    Route {
        method: Method::POST,
        path,
        who: Who::SignedIn,
        serves: Serves::Demo(handler),
    }
}

const fn page(path: &'static str) -> Route {
    Route {
        method: Method::GET,
        path,
        who: Who::SignedIn,
        serves: Serves::Page,
    }
}

/// The table.
pub const ROUTES: &[Route] = &[
    // Files that every visitor's browser loads, the sign-in page's too. The same for everybody.
    public(Method::GET, "/pkg/{*file}", || get(site::file)),
    public(Method::GET, "/fonts/{*file}", || get(site::file)),
    public(Method::GET, "/favicon.svg", || get(site::favicon)),
    public(Method::GET, "/favicon.ico", || get(site::favicon)),
    // Whoever starts and watches the process has no user. Numbers and states only, no names.
    public(Method::GET, "/healthz", || get(health::healthz)),
    public(Method::GET, "/readyz", || get(health::readyz)),
    public(Method::GET, "/metrics", || get(health::metrics)),
    // The way in.
    Route {
        method: Method::GET,
        path: "/sign-in",
        who: Who::Public,
        serves: Serves::Page,
    },
    public(Method::POST, "/sign-in", || post(sign_in::sign_in)),
    // The way to the OpenID Connect provider and back, before anybody is signed in.
    public(Method::GET, "/sign-in/oidc", || get(flow::begin)),
    public(Method::GET, "/sign-in/oidc/callback", || {
        get(flow::callback)
    }),
    // Signing out twice, or in an old tab, is not an error.
    public(Method::POST, "/sign-out", || post(sign_in::sign_out)),
    // Pages.
    page("/"),
    page("/services"),
    page("/services/{id}"),
    page("/services/{id}/rollback"),
    page("/services/{id}/diff"),
    page("/deployments/{id}"),
    page("/deployments/{id}/end-bake"),
    page("/gates/{id}"),
    page("/approvals"),
    page("/history"),
    page("/audit"),
    page("/status"),
    page("/api"),
    page("/sessions"),
    page("/sign-in/again"),
    // What the pages' scripts ask; reads only, which the test of the server functions holds.
    Route {
        method: Method::GET,
        path: "/ask/{*name}",
        who: Who::SignedIn,
        serves: Serves::Asks,
    },
    // Forms, which work without scripts.
    signed_in(Method::POST, "/theme", || post(forms::theme)),
    signed_in(Method::GET, "/sign-in/again/oidc", || {
        get(flow::begin_again)
    }),
    signed_in(Method::POST, "/sign-in/again", || post(step_up::again)),
    signed_in(Method::POST, "/sessions/{id}/revoke", || {
        post(sign_in::revoke)
    }),
    signed_in(Method::POST, "/sessions/revoke-others", || {
        post(sign_in::revoke_others)
    }),
    signed_in(Method::POST, "/gates/{id}/decisions", || {
        post(forms::decide)
    }),
    signed_in(Method::POST, "/services/{id}/rollbacks", || {
        post(forms::roll_back)
    }),
    signed_in(Method::POST, "/deployments/{id}/end-bake", || {
        post(forms::end_bake)
    }),
    // The demo's own forms, which do not exist elsewhere.
    demo("/demo/guide", || post(guide::show)),
    demo("/demo/speed", || post(guide::speed)),
    demo("/demo/canary", || post(guide::start_canary)),
    demo("/demo/break", || post(guide::break_canary)),
    demo("/demo/plug", || post(guide::pull_the_plug)),
    // The API.
    signed_in(Method::GET, openapi::PATH, || get(openapi::answer)),
    signed_in(Method::GET, "/api/v1/me", || get(api::me)),
    signed_in(Method::GET, "/api/v1/services", || get(api::services)),
    signed_in(Method::GET, "/api/v1/services/{id}", || get(api::service)),
    signed_in(Method::GET, "/api/v1/services/{id}/revisions", || {
        get(api::revisions)
    }),
    signed_in(Method::POST, "/api/v1/services/{id}/rollbacks/plan", || {
        post(api::plan_rollback)
    }),
    signed_in(Method::POST, "/api/v1/services/{id}/rollbacks", || {
        post(api::roll_back)
    }),
    signed_in(Method::GET, "/api/v1/deployments", || get(api::deployments)),
    signed_in(Method::GET, "/api/v1/deployments/{id}", || {
        get(api::deployment)
    }),
    signed_in(Method::GET, "/api/v1/deployments/{id}/end-bake", || {
        get(api::end_bake_page)
    }),
    signed_in(Method::POST, "/api/v1/deployments/{id}/end-bake", || {
        post(api::end_bake)
    }),
    signed_in(Method::GET, "/api/v1/deployments/{id}/metrics", || {
        get(api::deployment_metrics)
    }),
    signed_in(Method::GET, "/api/v1/coverage", || get(api::coverage)),
    signed_in(Method::GET, "/api/v1/accounts", || get(api::accounts)),
    signed_in(Method::GET, "/api/v1/status", || get(api::status)),
    signed_in(Method::GET, "/api/v1/gates", || get(api::gates)),
    signed_in(Method::GET, "/api/v1/gates/{id}", || get(api::gate)),
    signed_in(Method::POST, "/api/v1/gates/{id}/decisions", || {
        post(api::decide)
    }),
    signed_in(Method::GET, "/api/v1/operations/{id}", || {
        get(api::operation)
    }),
    signed_in(Method::GET, "/api/v1/audit", || get(api::audit)),
    signed_in(Method::GET, "/api/v1/audit/export", || {
        get(audit_export::export)
    }),
    signed_in(Method::GET, "/api/v1/events", || get(events::events)),
    Route {
        method: Method::POST,
        path: "/api/v1/hooks/codedeploy",
        who: Who::Hook,
        serves: Serves::Handler(|| post(hooks::codedeploy)),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/hooks/eventbridge",
        who: Who::Hook,
        serves: Serves::Handler(|| post(hooks::eventbridge)),
    },
];

/// Who may use what was matched. What is not in the table needs somebody who is signed in.
pub fn who(method: &Method, path: &str) -> Who {
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let with_path = || ROUTES.iter().filter(|route| is_path(route, path));
    with_path()
        .find(|route| route.method == *method)
        // A method that the path does not have is refused as such, to whom the path is open.
        .or_else(|| with_path().next())
        .map_or(Who::SignedIn, |route| route.who)
}

fn is_path(route: &Route, path: &str) -> bool {
    match route.serves {
        Serves::Asks => path.starts_with("/ask/"),
        Serves::Handler(_) | Serves::Demo(_) | Serves::Page => route.path == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_anybody_may_use() {
        let open: Vec<String> = ROUTES
            .iter()
            .filter(|route| route.who != Who::SignedIn)
            .map(|route| format!("{:?} {} {}", route.who, route.method, route.path))
            .collect();
        // Lines may be taken out of this list, never added, without a decision on paper.
        assert_eq!(
            open,
            [
                "Public GET /pkg/{*file}",
                "Public GET /fonts/{*file}",
                "Public GET /favicon.svg",
                "Public GET /favicon.ico",
                "Public GET /healthz",
                "Public GET /readyz",
                "Public GET /metrics",
                "Public GET /sign-in",
                "Public POST /sign-in",
                "Public GET /sign-in/oidc",
                "Public GET /sign-in/oidc/callback",
                "Public POST /sign-out",
                "Hook POST /api/v1/hooks/codedeploy",
                "Hook POST /api/v1/hooks/eventbridge",
            ]
        );
    }

    #[test]
    fn no_line_is_there_twice() {
        let lines: BTreeSet<(&str, &str)> = ROUTES
            .iter()
            .map(|route| (route.method.as_str(), route.path))
            .collect();
        assert_eq!(lines.len(), ROUTES.len());
    }

    #[test]
    fn what_is_not_in_the_table_is_closed() {
        assert_eq!(who(&Method::GET, "/nowhere"), Who::SignedIn);
        assert_eq!(who(&Method::DELETE, "/api/v1/gates/{id}"), Who::SignedIn);
        assert_eq!(who(&Method::HEAD, "/healthz"), Who::Public);
        assert_eq!(who(&Method::GET, "/ask/now-page"), Who::SignedIn);
    }
}
