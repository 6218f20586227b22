//! The way in by a password and the way out, and the forms of the page on which people see their own sessions.

use crate::Deps;
use crate::api::segment;
use crate::attempts;
use crate::attempts::Attempt;
use crate::forms::refused;
use crate::forms::see_other;
use crate::front::Caller;
use crate::front::Proof;
use crate::local::local_path;
use crate::local::with_parameters;
use crate::notice::SIGN_IN_REFUSED;
use crate::people;
use crate::problem::Problem;
use crate::problem::escaped;
use crate::session;
use crate::session::ClientAddress;
use crate::session::NewSession;
use crate::session::OpenSession;
use crate::session::malformed;
use axum::Extension;
use axum::Form;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::extract::rejection::PathRejection;
use axum::response::Html;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::StatusCode;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use switchback_domain::actor::Role;
use switchback_domain::audit::AuditEvent;
use switchback_domain::ids::SessionId;
use switchback_domain::sign_in::SignInMethod;
use switchback_store::records::UserRecord;

/// Longer names and passwords are refused unread.
const LONGEST_FIELD: usize = 1000;

/// The page of one's own sessions.
const SESSIONS_PAGE: &str = "/sessions";

/// What the sign-in form sends.
#[derive(Deserialize)]
pub struct SignIn {
    username: String,
    password: SecretString,
    #[serde(default)]
    to: String,
}

/// Where somebody goes once they are signed in: a path of our own, and no page of signing in.
pub fn wanted(to: &str) -> &str {
    match local_path(to) {
        Some(to) if !to.starts_with("/sign-") => to,
        _ => "/",
    }
}

/// 429, with when to come back.
pub fn too_many_attempts() -> Problem {
    Problem {
        retry_after: Some(attempts::WINDOW_SECONDS),
        ..Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_attempts",
            "There were too many failed attempts to sign in. Wait five minutes, then try again.",
        )
    }
}

/// The local user with this name and password, whatever they may do then. Counts as a failed attempt unless
/// [`crate::attempts::Attempts::forgive`] is told otherwise.
pub async fn checked(
    deps: &Deps,
    attempt: &Attempt,
    username: &str,
    password: SecretString,
) -> Result<Option<UserRecord>, Problem> {
    if !deps.attempts.begin(attempt, deps.now()) {
        return Err(too_many_attempts());
    }
    let sane = username.len() <= LONGEST_FIELD && password.expose_secret().len() <= LONGEST_FIELD;
    let user = if sane {
        deps.store
            .user_fetch_by_name(username)
            .await
            .map_err(|error| Problem::of_store(&error, "look up a user"))?
    } else {
        None
    };
    // Who comes by the provider has no password; they are answered as slowly as everybody.
    let hash = user
        .as_ref()
        .map(|user| user.password_hash.clone())
        .filter(|hash| !hash.is_empty());
    // An unknown user costs the same work as a known one, so that time tells nothing.
    let fits = people::verify(&deps.hashing, password, hash).await;
    Ok(user.filter(|_| fits))
}

/// An address for the audit log.
pub fn from(address: IpAddr) -> Option<String> {
    Some(address.to_string())
}

/// An attempt to sign in from an address.
pub fn attempt(username: &str, address: IpAddr) -> Attempt {
    Attempt {
        username: username.to_lowercase(),
        address,
    }
}

/// POST /sign-in
pub async fn sign_in(
    State(deps): State<Deps>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let back = wanted(&form.to);
    let username = form.username.trim();
    let attempt = attempt(username, address);
    let user = checked(&deps, &attempt, username, form.password).await?;
    // Who may not sign in so is refused in the same words: whether the password was right is not told.
    let allowed = user.and_then(|user| {
        let method = deps
            .sign_in
            .local
            .method(user.roles.contains(&Role::Admin))?;
        Some((user, method))
    });
    let Some((user, method)) = allowed else {
        let shown: String = username.chars().take(100).collect();
        session::record(&deps, &shown, from(address), AuditEvent::SignInRefused).await?;
        let (problem, message) = SIGN_IN_REFUSED;
        let parameters = [("to", back), ("problem", problem), ("message", message)];
        return Ok(see_other(&with_parameters("/sign-in", &parameters)));
    };
    let event = match method {
        SignInMethod::BreakGlass => AuditEvent::BreakGlassSignedIn,
        SignInMethod::Password | SignInMethod::Oidc => AuditEvent::SignedIn,
    };
    let begun = async {
        let mut tx = deps.store.begin().await?;
        let new = NewSession {
            user: &user.id,
            method,
            groups: Vec::new(),
            id_token: None,
            address,
            headers: &headers,
        };
        let token = session::begin(&deps, &mut tx, new).await?;
        session::note(&mut tx, deps.now(), &user.username, from(address), event).await?;
        tx.commit().await?;
        Ok(token)
    };
    let token = begun
        .await
        .map_err(|error| Problem::of_store(&error, "begin a session"))?;
    deps.attempts.forgive(&attempt);
    let mut response = see_other(back);
    session::give_cookie(&deps, &mut response, &token);
    Ok(response)
}

/// POST /sign-out
pub async fn sign_out(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let mut response = see_other("/sign-in");
    if let (Some(actor), Proof::Session(open)) = (&caller.actor, &caller.proof) {
        if let (SignInMethod::Oidc, Some(provider)) = (open.record.method, &deps.provider)
            && let Some(url) = provider.sign_out_url(open.record.id_token.as_deref()).await
        {
            response = signing_out_there(&url);
        }
        let ended = async {
            let mut tx = deps.store.begin().await?;
            tx.session_end(&open.record.user_id, &open.record.id, deps.now())
                .await?;
            session::note(
                &mut tx,
                deps.now(),
                &actor.name,
                actor.address.clone(),
                AuditEvent::SignedOut,
            )
            .await?;
            tx.commit().await
        };
        ended
            .await
            .map_err(|error| Problem::of_store(&error, "end a session"))?;
        session::take_cookie(&deps, &mut response);
    }
    Ok(response)
}

/// A page that goes on to the provider by itself. No redirect: a browser does not let a form's answer lead to another site
/// than its page allows, and which sites a provider leads on to nobody knows.
fn signing_out_there(url: &str) -> Response {
    let url = escaped(url);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"0; url={url}\"><title>Signed out · Switchback</title>\
         <link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\
         <link rel=\"stylesheet\" href=\"/pkg/switchback.css\"></head>\
         <body><main class=\"plain\"><p class=\"brand\"><span>Switchback</span></p>\
         <h1>You are signed out here</h1><p>The sign-in service is asked to sign you out too.</p>\
         <p><a class=\"button\" href=\"{url}\">Go on</a></p></main></body></html>\n"
    );
    Html(page).into_response()
}

/// POST /sessions/{id}/revoke
pub async fn revoke(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = SessionId::new(segment(id)?);
    let open = own(&caller)?;
    let actor = caller.signed_in()?.clone();
    let username = actor.name;
    let ended = async {
        let mut tx = deps.store.begin().await?;
        let now = deps.now();
        let is_there = tx.session_end(&open.record.user_id, &id, now).await?;
        if is_there {
            let event = AuditEvent::SessionRevoked {
                session: id.clone(),
                username: username.clone(),
            };
            session::note(&mut tx, now, &username, actor.address, event).await?;
        }
        tx.commit().await?;
        Ok(is_there)
    };
    let is_there = ended
        .await
        .map_err(|error| Problem::of_store(&error, "end a session"))?;
    if !is_there {
        let problem = Problem::new(
            StatusCode::NOT_FOUND,
            "session_gone",
            "That session has ended already. Nothing was done.",
        );
        return Ok(refused(problem, SESSIONS_PAGE, &caller));
    }
    if id == open.record.id {
        let mut response = see_other("/sign-in");
        session::take_cookie(&deps, &mut response);
        return Ok(response);
    }
    Ok(see_other(&with_parameters(
        SESSIONS_PAGE,
        &[("done", "session_revoked")],
    )))
}

/// POST /sessions/revoke-others
pub async fn revoke_others(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let open = own(&caller)?;
    let actor = caller.signed_in()?.clone();
    let username = actor.name;
    let ended = async {
        let mut tx = deps.store.begin().await?;
        let now = deps.now();
        let count = tx
            .session_end_all(&open.record.user_id, Some(&open.record.id), now)
            .await?;
        if count > 0 {
            let event = AuditEvent::SessionsRevoked {
                username: username.clone(),
                count,
            };
            session::note(&mut tx, now, &username, actor.address, event).await?;
        }
        tx.commit().await
    };
    ended
        .await
        .map_err(|error| Problem::of_store(&error, "end sessions"))?;
    Ok(see_other(&with_parameters(
        SESSIONS_PAGE,
        &[("done", "sessions_revoked")],
    )))
}

/// The session of a form; forms are sent with one.
fn own(caller: &Caller) -> Result<Arc<OpenSession>, Problem> {
    match &caller.proof {
        Proof::Session(open) => Ok(open.clone()),
        Proof::None | Proof::Token(_) => Err(Problem::sign_in_needed()),
    }
}
