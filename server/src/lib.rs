#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod api;
pub mod attempts;
pub mod audit_bundle;
pub mod audit_command;
pub mod audit_export;
pub mod backup;
pub mod config;
pub mod csv_list;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod etag;
pub mod events;
pub mod forms;
pub mod front;
pub mod guide;
pub mod health;
pub mod hooks;
pub mod idempotency;
pub mod local;
pub mod notice;
pub mod oidc;
pub mod openapi;
pub mod pages;
pub mod people;
pub mod problem;
pub mod routes;
pub mod run;
pub mod session;
pub mod sign_in;
pub mod sign_in_desk;
pub mod site;
pub mod step_up;
pub mod telemetry;
pub mod trace;
pub mod user_agent;

#[cfg(test)]
mod tests;

use crate::attempts::Attempts;
use crate::config::SignIn;
use crate::desk::ConsolesHandle;
use crate::events::Feed;
use crate::guide::Offers;
use crate::health::Metrics;
use crate::idempotency::InFlight;
use crate::oidc::Provider;
use crate::problem::Problem;
use crate::routes::ROUTES;
use crate::routes::Serves;
use crate::site::Site;
use axum::Router;
use axum::extract::FromRef;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use http::Method;
use http::StatusCode;
use http::Uri;
use leptos::config::LeptosOptions;
use secrecy::SecretString;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use switchback_control::supervise::count_panic;
use switchback_domain::moment::Moment;
use switchback_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

/// A source of moments: the machine's clock.
pub type MomentSource = Arc<dyn Fn() -> Moment + Send + Sync>;

/// Everything a handler may need. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Deps {
    inner: Arc<Inner>,
}

/// What [`Deps`] shares.
pub struct Inner {
    /// The work.
    pub consoles: ConsolesHandle,
    /// Users, tokens, sessions, kept answers and the change feed. Nothing else is read here.
    pub store: Store,
    /// The files.
    pub site: Site,
    /// How pages name them.
    pub options: LeptosOptions,
    /// The secret of hooks.
    pub relay_secret: Option<SecretString>,
    /// Whether people come by HTTPS.
    pub secure: bool,
    /// The host that people use, when it is known.
    pub public_host: Option<String>,
    /// Whether AWS is watched, so that being ready means having looked.
    pub watches: bool,
    /// How old a look may be before its watcher is taken to stand still.
    pub look_limit: Duration,
    /// Numbers.
    pub metrics: Metrics,
    /// How people sign in.
    pub sign_in: SignIn,
    /// The OpenID Connect provider.
    pub provider: Option<Arc<Provider>>,
    /// Attempts to sign in.
    pub attempts: Attempts,
    /// How many passwords are hashed at once.
    pub hashing: Semaphore,
    /// Idempotency keys in use.
    pub in_flight: InFlight,
    /// The event stream.
    pub feed: Feed,
    /// What a demo offers to try.
    pub guide: Option<Arc<dyn Offers>>,
    /// Cancelled when the server ends.
    pub stop: CancellationToken,
    clock: MomentSource,
}

/// What has to be given; the rest of [`Inner`] starts empty.
pub struct Wiring {
    /// The work.
    pub consoles: ConsolesHandle,
    /// The store.
    pub store: Store,
    /// The files.
    pub site: Site,
    /// The secret of hooks.
    pub relay_secret: Option<SecretString>,
    /// The URL that people use, when it is not the listening address.
    pub public_url: Option<Uri>,
    /// How people sign in.
    pub sign_in: SignIn,
    /// The OpenID Connect provider of those settings.
    pub provider: Option<Arc<Provider>>,
    /// Whether AWS is watched, so that being ready means having looked.
    pub watches: bool,
    /// How old a look may be before its watcher is taken to stand still.
    pub look_limit: Duration,
    /// What a demo offers to try; its routes exist only with it.
    pub guide: Option<Arc<dyn Offers>>,
    /// The machine's clock.
    pub clock: MomentSource,
    /// Cancelled when the server ends.
    pub stop: CancellationToken,
}

impl Deps {
    /// Wires the HTTP side.
    pub fn new(wiring: Wiring) -> Deps {
        let public = wiring.public_url.as_ref();
        Deps {
            inner: Arc::new(Inner {
                consoles: wiring.consoles,
                store: wiring.store,
                options: pages::options(&wiring.site),
                site: wiring.site,
                relay_secret: wiring.relay_secret,
                secure: public.and_then(Uri::scheme_str) == Some("https"),
                public_host: public.and_then(Uri::authority).map(ToString::to_string),
                watches: wiring.watches,
                look_limit: wiring.look_limit,
                metrics: Metrics::default(),
                sign_in: wiring.sign_in,
                provider: wiring.provider,
                attempts: Attempts::default(),
                hashing: people::hashing_permits(),
                in_flight: InFlight::default(),
                feed: Feed::default(),
                guide: wiring.guide,
                stop: wiring.stop,
                clock: wiring.clock,
            }),
        }
    }

    /// The machine's time.
    pub fn now(&self) -> Moment {
        (self.inner.clock)()
    }

    /// The host that people use, when it is known.
    pub fn public_host(&self) -> Option<&str> {
        self.inner.public_host.as_deref()
    }
}

impl Deref for Deps {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl FromRef<Deps> for LeptosOptions {
    fn from_ref(deps: &Deps) -> LeptosOptions {
        deps.options.clone()
    }
}

/// The whole of HTTP: every line of [`ROUTES`], the pages, and what every request passes.
pub fn router(deps: Deps) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        match route.serves {
            Serves::Handler(handler) if openapi::is_tagged(&route.method, route.path) => {
                let handler = handler().layer(middleware::from_fn(etag::conditional));
                router = router.route(route.path, handler);
            }
            Serves::Handler(handler) => router = router.route(route.path, handler()),
            Serves::Demo(handler) if deps.guide.is_some() => {
                router = router.route(route.path, handler());
            }
            Serves::Demo(_) | Serves::Page | Serves::Asks => {}
        }
    }
    pages::mount(router, &deps)
        .fallback(pages::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(deps.clone(), front::admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(deps.clone(), front::finish))
        .with_state(deps)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not possible at {}.", uri.path()),
    )
}

/// What panicked was logged where it happened, by the hook of [`telemetry`].
fn panicked(_panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    count_panic("request");
    Problem::internal().into_response()
}
