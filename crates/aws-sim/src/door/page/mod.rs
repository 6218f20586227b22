//! The control page at `/_sim/`: the account as a person sees it, with the buttons that break it.
//!
//! It is HTML with ordinary forms, so it works without JavaScript; the script only keeps it fresh.
//! Nothing comes from elsewhere, and nothing here knows of any program that uses the account.
//! Everything that is shown was named by some caller, so [`view`] escapes all of it.
//!
//! Who can reach the port can press the buttons, as they can make any AWS call: there is no sign-in. A
//! page of another site cannot press them through a person's browser: a form that says that it comes from
//! another origin is refused, and so is one whose browser sends no origin but says the request is cross-site.

mod actions;
mod view;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};

use self::actions::{Fields, perform};
use self::view::Snapshot;
use crate::door::Shared;
use crate::door::simulation::{ACCOUNT, REGION};
use crate::value::Value;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How many entries of the journal are shown.
const JOURNAL_SHOWN: usize = 30;

/// Only what this account itself serves may be loaded, and nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page, its two files, and what its forms post to.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sim/", get(page))
        .route("/_sim/page.css", get(style))
        .route("/_sim/page.js", get(script))
        .route("/_sim/do", post(act))
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn script() -> Response {
    let kind = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], SCRIPT).into_response()
}

async fn page(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let asked = Fields::read(query.unwrap_or_default().as_bytes());
    let snapshot = snapshot(&shared, &asked);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, view::page(&snapshot).into_string()).into_response()
}

/// What there is to show, taken under the lock; it is written without it.
fn snapshot(shared: &Shared, asked: &Fields) -> Snapshot {
    let mut simulation = shared.lock();
    let now_ms = simulation.catch_up(Instant::now());
    let places = simulation.world.places();
    let named = |name: &str| asked.get(name).map(str::to_string);
    // The story's region if it is used, and otherwise the first that is.
    let usual = places
        .iter()
        .find(|(account, region)| account == ACCOUNT && region == REGION)
        .or_else(|| places.first());
    let account = named("account")
        .or_else(|| usual.map(|(account, _)| account.clone()))
        .unwrap_or_else(|| ACCOUNT.to_string());
    let region = named("region")
        .or_else(|| usual.map(|(_, region)| region.clone()))
        .unwrap_or_else(|| REGION.to_string());
    Snapshot {
        now_ms,
        speed: simulation.clock.speed(),
        report: simulation
            .world
            .report(&account, &region)
            .unwrap_or(Value::Null),
        places,
        account,
        region,
        wanted: named("q").unwrap_or_default(),
        said: named("said"),
        faults: simulation.faults.list().to_vec(),
        journal: {
            let mut latest = simulation.latest_calls(JOURNAL_SHOWN);
            latest.reverse();
            latest
        },
        calls: simulation.calls(),
    }
}

async fn act(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if comes_from_elsewhere(&headers) {
        let text = "This form was sent by a page of another site.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let fields = Fields::read(&body);
    let said = match perform(&shared, &fields) {
        Ok(done) => done,
        Err(refused) => format!("Refused: {refused}"),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["account", "region", "q"] {
        if let Some(value) = fields.get(name) {
            query.append_pair(name, value);
        }
    }
    query.append_pair("said", &said);
    let target = format!("/_sim/?{}", query.finish());
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
}

/// Whether a browser says that a page of another site made this request. Programs say neither.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let cross = text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let foreign = text("origin").is_some_and(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_none() || host != text("host")
    });
    cross || foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_its_own_forms_are_taken_from_a_browser() {
        let host = ("host", "127.0.0.1:4566");
        for (sent, elsewhere) in [
            (vec![host], false),
            (vec![host, ("origin", "http://127.0.0.1:4566")], false),
            (vec![host, ("sec-fetch-site", "same-origin")], false),
            (vec![host, ("origin", "http://127.0.0.1:3000")], true),
            (vec![host, ("origin", "null")], true),
            (vec![host, ("origin", "https://evil.example")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], true),
            (vec![host, ("sec-fetch-site", "same-site")], true),
        ] {
            assert_eq!(comes_from_elsewhere(&headers(&sent)), elsewhere, "{sent:?}");
        }
    }
}
