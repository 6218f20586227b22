//! Signing in and out, and who a session belongs to.
//!
//! A session holds a user's name and nothing else: roles are read with every request, so that what an
//! administrator takes away is gone at once. Its identifier is new with every sign-in. It ends after
//! twelve hours without a request.

use crate::Deps;
use crate::attempts::Attempt;
use crate::front::Caller;
use crate::front::Proof;
use crate::local::local_path;
use crate::local::with_parameters;
use crate::notice::SIGN_IN_REFUSED;
use crate::people;
use crate::problem::Problem;
use axum::Extension;
use axum::Form;
use axum::extract::ConnectInfo;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use http::StatusCode;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_store::SessionStore;
use tower_sessions::Expiry;
use tower_sessions::Session;
use tower_sessions::SessionManagerLayer;
use tower_sessions::cookie::SameSite;

/// The cookie's name.
pub const COOKIE: &str = "switchback_session";

/// How long a session lasts without a request.
const IDLE_HOURS: i64 = 12;

/// How often a session that is used is written again, so that it does not end: not with every request.
const TOUCH_AFTER_SECONDS: i64 = 10 * 60;

/// The key of the user's name in a session.
const USER: &str = "user";

/// The key of the moment a session was last written, in seconds.
const SEEN: &str = "seen";

/// Longer names and passwords are refused unread.
const LONGEST_FIELD: usize = 1000;

/// The layer that reads and writes the cookie.
pub fn layer(store: SessionStore, secure: bool) -> SessionManagerLayer<SessionStore> {
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(time::Duration::hours(IDLE_HOURS)))
}

/// Who the session belongs to. A cookie that fits nothing is no session, not an error.
pub async fn caller(deps: &Deps, session: Option<Session>) -> Result<Caller, Problem> {
    let Some(session) = session else {
        return Ok(Caller::default());
    };
    let Some(actor) = session_actor(deps, &session).await? else {
        return Ok(Caller::default());
    };
    let Some(id) = session.id() else {
        return Ok(Caller::default());
    };

    let now = deps.now().millis().div_euclid(1000);
    let seen = session
        .get::<i64>(SEEN)
        .await
        .map_err(|error| failed(&error))?
        .unwrap_or(0);
    if now - seen >= TOUCH_AFTER_SECONDS {
        session
            .insert(SEEN, now)
            .await
            .map_err(|error| failed(&error))?;
    }
    Ok(Caller {
        actor: Some(actor),
        proof: Proof::Session(id),
    })
}

/// Whether the proof with which a long answer was begun still holds.
pub async fn still_holds(deps: &Deps, proof: &Proof) -> Result<bool, Problem> {
    match proof {
        Proof::None => Ok(false),
        Proof::Session(id) => {
            let session = Session::new(Some(*id), Arc::new(deps.session_store()), None);
            Ok(session_actor(deps, &session).await?.is_some())
        }
        Proof::Token(sha256) => deps
            .store
            .token_fetch(sha256)
            .await
            .map(|token| token.is_some())
            .map_err(|error| Problem::of_store(&error, "look up a token")),
    }
}

async fn session_actor(deps: &Deps, session: &Session) -> Result<Option<Actor>, Problem> {
    let Some(username) = session
        .get::<String>(USER)
        .await
        .map_err(|error| failed(&error))?
    else {
        return Ok(None);
    };
    let user = deps
        .store
        .user_fetch_by_name(&username)
        .await
        .map_err(|error| Problem::of_store(&error, "look up a user"))?;
    Ok(user.map(|user| Actor {
        name: user.username,
        roles: user.roles,
        address: None,
    }))
}

fn failed(error: &tower_sessions::session::Error) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a session could not be read or written"
    );
    Problem::database_unavailable()
}

/// What the sign-in form sends.
#[derive(Deserialize)]
pub struct SignIn {
    username: String,
    password: SecretString,
    #[serde(default)]
    to: String,
}

/// POST /sign-in
pub async fn sign_in(
    State(deps): State<Deps>,
    Extension(session): Extension<Session>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let back = match local_path(&form.to) {
        Some(to) if !to.starts_with("/sign-in") => to,
        _ => "/",
    };
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    let address = peer.map(|peer| peer.to_string());
    let username = form.username.trim();
    let attempt = Attempt {
        username: username.to_lowercase(),
        address: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    if !deps.attempts.begin(&attempt, deps.now()) {
        return Err(Problem {
            retry_after: Some(crate::attempts::WINDOW_SECONDS),
            ..Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "There were too many failed attempts to sign in. Wait five minutes, then try again.",
            )
        });
    }

    let sane =
        username.len() <= LONGEST_FIELD && form.password.expose_secret().len() <= LONGEST_FIELD;
    let user = if sane {
        deps.store
            .user_fetch_by_name(username)
            .await
            .map_err(|error| Problem::of_store(&error, "look up a user"))?
    } else {
        None
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    // An unknown user costs the same work as a known one, so that time tells nothing.
    let fits = people::verify(&deps.hashing, form.password, hash).await;

    let Some(user) = user.filter(|_| fits) else {
        let shown: String = username.chars().take(100).collect();
        record(&deps, shown, address, AuditEvent::SignInRefused).await?;
        let (problem, message) = SIGN_IN_REFUSED;
        let parameters = [("to", back), ("problem", problem), ("message", message)];
        return Ok(Redirect::to(&with_parameters("/sign-in", &parameters)).into_response());
    };
    record(&deps, user.username.clone(), address, AuditEvent::SignedIn).await?;
    deps.attempts.forgive(&attempt);

    session.clear().await;
    session.cycle_id().await.map_err(|error| failed(&error))?;
    session
        .insert(USER, &user.username)
        .await
        .map_err(|error| failed(&error))?;
    let now = deps.now().millis().div_euclid(1000);
    session
        .insert(SEEN, now)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Redirect::to(back).into_response())
}

/// POST /sign-out
pub async fn sign_out(
    State(deps): State<Deps>,
    Extension(session): Extension<Session>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    if let Some(actor) = caller.actor {
        record(&deps, actor.name, actor.address, AuditEvent::SignedOut).await?;
        session.flush().await.map_err(|error| failed(&error))?;
    }
    Ok(Redirect::to("/sign-in").into_response())
}

async fn record(
    deps: &Deps,
    actor: String,
    address: Option<String>,
    event: AuditEvent,
) -> Result<(), Problem> {
    let mut entry = AuditEntry::new(deps.now(), actor, event);
    entry.context.address = address;
    let written = async {
        let mut tx = deps.store.begin().await?;
        tx.audit_append(&entry).await?;
        tx.commit().await
    };
    written
        .await
        .map_err(|error| Problem::of_store(&error, "write to the audit log"))
}

/// A form that cannot be read.
pub fn malformed(rejection: &FormRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => crate::front::too_large(crate::front::LARGEST_BODY),
        status => Problem::new(
            status,
            "malformed_form",
            "The form could not be read. Nothing was done. Go back, load the page again and repeat it.",
        ),
    }
}
