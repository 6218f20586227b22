//! What every request passes: who it comes from, whether it may come from there, whether that is
//! enough for the route, and how the answer leaves.
//!
//! Cross-site requests are refused by the rule of Go's `CrossOriginProtection`: browsers say with
//! every unsafe request where it comes from, in `Sec-Fetch-Site` or, older ones, in `Origin`. A
//! request with neither was not sent by a browser and carries no cookie that it was not given.
//! Rejected: tokens in forms, which have to be carried through every page and fail in old tabs.

use crate::Deps;
use crate::local::local_path;
use crate::local::referring_path;
use crate::local::with_parameters;
use crate::notice;
use crate::problem::Problem;
use crate::routes;
use crate::routes::Who;
use crate::session;
use crate::session::OpenSession;
use crate::trace;
use crate::trace::Trace;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::Limited;
use sha2::Digest;
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::Arc;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEvent;
use switchback_domain::sign_in::SignInMethod;
use tracing::Instrument as _;

/// The largest body of a form or API request, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;

/// What pages other than the real ones may load: nothing that runs.
const STRICT_POLICY: &str = "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Who sent a request, as far as it was proven.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// `None` when nobody is signed in.
    pub actor: Option<Actor>,
    /// What the proof was.
    pub proof: Proof,
}

/// How somebody proved who they are.
#[derive(Clone, Debug, Default)]
pub enum Proof {
    /// Not at all.
    #[default]
    None,
    /// A session.
    Session(Arc<OpenSession>),
    /// An API token, by the SHA-256 of its text in 64 hex digits.
    Token(String),
}

impl Caller {
    /// The actor, or the problem that there is none.
    pub fn signed_in(&self) -> Result<&Actor, Problem> {
        self.actor.as_ref().ok_or_else(Problem::sign_in_needed)
    }
}

/// Finds out who asks and lets through what may pass; runs once the route is known.
pub async fn admit(State(deps): State<Deps>, mut request: Request, next: Next) -> Response {
    match admitted(&deps, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    }
}

async fn admitted(deps: &Deps, request: &mut Request) -> Result<(), Box<Response>> {
    let boxed = |problem: Problem| Box::new(problem.into_response());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched
        .as_ref()
        .map(|path| routes::who(request.method(), path.as_str()));
    if route == Some(Who::Hook) {
        // Signed, and no cookie is read: there is nothing that another site could borrow.
        request.extensions_mut().insert(Caller::default());
        return Ok(());
    }

    let in_api = request.uri().path().starts_with("/api/");
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .filter(|_| in_api)
        .cloned();
    if authorization.is_none()
        && is_cross_site(
            request.method(),
            request.headers(),
            request.uri(),
            deps.public_host(),
        )
    {
        return Err(boxed(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_origin",
            "This request came from another site. Nothing was done. Open Switchback itself and repeat it there.",
        )));
    }

    let reads_session = route != Some(Who::Public) || is_way_in_or_out(request.uri().path());
    let mut caller = match authorization {
        Some(authorization) => token_caller(deps, &authorization).await.map_err(boxed)?,
        None if reads_session => session::caller(deps, request.headers())
            .await
            .map_err(boxed)?,
        None => Caller::default(),
    };
    if let Some(actor) = &mut caller.actor {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        actor.address = peer.map(|ConnectInfo(peer)| peer.ip().to_string());
    }
    if route == Some(Who::SignedIn) && caller.actor.is_none() {
        return Err(Box::new(sign_in_first(
            request.method(),
            request.uri(),
            request.headers(),
        )));
    }
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && !is_for_programs(request.uri().path());
    let notice_key = match &caller.proof {
        Proof::Session(session) => Some(session.notice_key),
        Proof::None | Proof::Token(_) => None,
    };
    if is_page && let Some(without) = notice::without_forged(request.uri(), notice_key) {
        return Err(Box::new(Redirect::to(&without).into_response()));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    note_break_glass(deps, &caller, &method, &path)
        .await
        .map_err(boxed)?;
    request.extensions_mut().insert(caller);
    Ok(())
}

/// Whatever is asked for in an emergency's session is in the audit log before it is carried out.
async fn note_break_glass(
    deps: &Deps,
    caller: &Caller,
    method: &Method,
    path: &str,
) -> Result<(), Problem> {
    if method.is_safe() || matches!(path, "/theme" | "/sign-in" | "/sign-out") {
        return Ok(());
    }
    match (&caller.actor, &caller.proof) {
        (Some(actor), Proof::Session(session))
            if session.record.method == SignInMethod::BreakGlass =>
        {
            let request = format!("{method} {path}");
            let event = AuditEvent::BreakGlassUsed { request };
            session::record(deps, &actor.name, actor.address.clone(), event).await
        }
        _ => Ok(()),
    }
}

/// The public routes that ask who is signed in.
fn is_way_in_or_out(path: &str) -> bool {
    matches!(path, "/sign-in" | "/sign-out")
}

/// What somebody who is not signed in gets instead: programs a problem, people the sign-in page.
pub fn sign_in_first(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if is_for_programs(uri.path()) {
        return Problem::sign_in_needed().into_response();
    }
    let back = if matches!(*method, Method::GET | Method::HEAD) {
        uri.path_and_query()
            .and_then(|path| local_path(path.as_str()))
            .map(str::to_string)
    } else {
        referring_path(headers)
    };
    let back = back.unwrap_or_else(|| "/".to_string());
    Redirect::to(&with_parameters("/sign-in", &[("to", &back)])).into_response()
}

async fn token_caller(deps: &Deps, authorization: &HeaderValue) -> Result<Caller, Problem> {
    let unknown = || {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "token_unknown",
            "The Authorization header must be Bearer and a token that an administrator gave out.",
        )
    };
    let (scheme, token) = authorization
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unknown());
    }
    let sha256 = token_sha256(token.trim());
    let record = deps
        .store
        .token_fetch(&sha256)
        .await
        .map_err(|error| Problem::of_store(&error, "look up a token"))?
        .ok_or_else(unknown)?;
    Ok(Caller {
        actor: Some(Actor {
            name: format!("token:{}", record.name),
            roles: record.roles,
            address: None,
            groups: Vec::new(),
        }),
        proof: Proof::Token(sha256),
    })
}

/// What is kept of a token: its SHA-256 in 64 hex digits. Tokens are random, so a slow hash adds nothing.
pub fn token_sha256(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Whether a browser sent this for another site. `public_host` is the host people use, when a proxy hides it.
pub fn is_cross_site(
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
    public_host: Option<&str>,
) -> bool {
    if method.is_safe() {
        return false;
    }
    let text = |name: HeaderName| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable"))
    };
    let origin = text(header::ORIGIN).map(|origin| {
        origin
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.authority().map(ToString::to_string))
    });
    let host = text(header::HOST).or_else(|| uri.authority().map(http::uri::Authority::as_str));
    match (text(HeaderName::from_static("sec-fetch-site")), origin) {
        (Some("same-origin" | "none"), _) => false,
        (Some(_), _) => true,
        (None, None) => false,
        (None, Some(None)) => true,
        (None, Some(Some(origin))) => {
            Some(origin.as_str()) != host && Some(origin.as_str()) != public_host
        }
    }
}

/// Whether the path is asked by programs (our own scripts among them) rather than by people.
pub fn is_for_programs(path: &str) -> bool {
    [
        "/api", "/ask", "/pkg", "/fonts", "/metrics", "/healthz", "/readyz",
    ]
    .iter()
    .any(|prefix| {
        // The page of the API is for people.
        path.strip_prefix(prefix)
            .is_some_and(|rest| (rest.is_empty() && path != "/api") || rest.starts_with('/'))
    })
}

/// The outermost layer: traces, limits the body, counts, gives problems their form and sets the headers that
/// every answer has.
pub async fn finish(State(deps): State<Deps>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_string();
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    let begun = std::time::Instant::now();
    let trace = Trace::begin(&request);
    let response = if announced.is_some_and(|length| length > LARGEST_BODY as u64) {
        too_large(LARGEST_BODY).into_response()
    } else {
        let limited = request.map(|body| Body::new(Limited::new(body, LARGEST_BODY)));
        next.run(limited).instrument(trace.span.clone()).await
    };
    let mut response = in_form(response, &path, &trace.id);
    headers(&deps, response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&trace.id) {
        response.headers_mut().insert(trace::HEADER, id);
    }
    trace.end(response.status(), begun.elapsed());
    response
}

/// 413.
pub fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("The body is larger than {limit} bytes. Nothing was done."),
    )
}

fn in_form(response: Response, path: &str, trace_id: &str) -> Response {
    let foreign = || foreign_problem(&response, path);
    let Some(problem) = response
        .extensions()
        .get::<Problem>()
        .cloned()
        .or_else(foreign)
    else {
        return response;
    };
    let mut formed = if path.starts_with("/ask/") {
        problem.as_app_error()
    } else if is_for_programs(path) {
        problem.as_document(path, trace_id)
    } else {
        problem.as_page(trace_id)
    };
    // What inner layers added stays: the cookie of a session above all.
    for (name, value) in response.headers() {
        if !formed.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            formed.headers_mut().append(name, value.clone());
        }
    }
    formed
}

/// A refusal that a layer or extractor below wrote in plain words, or without any.
fn foreign_problem(response: &Response, path: &str) -> Option<Problem> {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let in_words =
        content_type.is_none_or(|content_type| content_type.as_bytes().starts_with(b"text/plain"));
    // Server functions have their own form of error, which their caller understands.
    if path.starts_with("/ask/")
        || !in_words
        || !(status.is_client_error() || status.is_server_error())
    {
        return None;
    }
    Some(match status {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(LARGEST_BODY),
        status if status.is_server_error() => Problem {
            status,
            ..Problem::internal()
        },
        status => Problem::new(
            status,
            "bad_request",
            "The request could not be understood. Nothing was done.",
        ),
    })
}

fn headers(deps: &Deps, headers: &mut HeaderMap) {
    let set = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, STRICT_POLICY),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if deps.secure {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_cross_site_requests() {
        let refused = |method: Method, pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("desk.example:3000"));
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            is_cross_site(
                &method,
                &headers,
                &Uri::from_static("/sign-in"),
                Some("public.example"),
            )
        };
        let site = "sec-fetch-site";
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!refused(
                method,
                &[(site, "cross-site"), ("origin", "https://evil.example")]
            ));
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            for (expected, pairs) in [
                (false, &[] as &[(&str, &str)]),
                (false, &[(site, "same-origin")]),
                (false, &[(site, "none")]),
                (true, &[(site, "cross-site")]),
                (true, &[(site, "same-site")]),
                (true, &[(site, "")]),
                (
                    true,
                    &[(site, "cross-site"), ("origin", "http://desk.example:3000")],
                ),
                (
                    false,
                    &[(site, "same-origin"), ("origin", "https://evil.example")],
                ),
                (false, &[("origin", "http://desk.example:3000")]),
                (false, &[("origin", "https://public.example")]),
                (true, &[("origin", "http://desk.example")]),
                (true, &[("origin", "http://desk.example:3001")]),
                (true, &[("origin", "https://evil.example")]),
                (true, &[("origin", "null")]),
                (true, &[("origin", "")]),
            ] {
                assert_eq!(
                    refused(method.clone(), pairs),
                    expected,
                    "{method} {pairs:?}"
                );
            }
        }
    }

    #[test]
    fn people_and_programs() {
        for program in [
            "/api/v1",
            "/api/v1/gates",
            "/ask/now",
            "/pkg/x.js",
            "/healthz",
        ] {
            assert!(is_for_programs(program), "{program}");
        }
        for people in ["/", "/api", "/apis", "/gates/gate-1", "/asking", "/sign-in"] {
            assert!(!is_for_programs(people), "{people}");
        }
    }
}
