//! Sessions of browsers: the cookie, and who a session belongs to.
//!
//! The cookie is 32 random bytes; the database has its SHA-256. It is another one with every sign-in and whenever the
//! holder proves again who they are, so that nobody can plant a cookie and wait. Roles are read with every request, so
//! that what an administrator takes away is gone at once. A session ends when it was not used for a while, at its
//! greatest age, or when somebody ends it; its event streams then end within a second, on every server
//! ([`crate::events`]). Rejected: tower-sessions, whose sessions are a bag of values by an identifier in clear; here every
//! value is a column, because people list and end them.

use crate::Deps;
use crate::forms::cookie;
use crate::front::Caller;
use crate::front::Proof;
use crate::front::token_sha256;
use crate::notice::NoticeKey;
use crate::problem::Problem;
use crate::run::fill_random;
use crate::user_agent;
use axum::extract::ConnectInfo;
use axum::extract::FromRequestParts;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::moment::Moment;
use switchback_domain::sign_in::SessionTimes;
use switchback_domain::sign_in::SignInMethod;
use switchback_domain::sign_in::after;
use switchback_store::StoreError;
use switchback_store::Tx;
use switchback_store::records::SessionRecord;
use switchback_store::records::UserRecord;

/// The cookie's name where people come by HTTP.
pub const COOKIE: &str = "switchback_session";

/// The cookie's name where people come by HTTPS: browsers take one of this name only from this host itself, by HTTPS,
/// for every path.
pub const SECURE_COOKIE: &str = "__Host-switchback_session";

/// How often it is noted that a session is used: not with every request.
const TOUCH_AFTER_SECONDS: i64 = 60;

/// A session that stands, as far as the rest of the request needs it.
#[derive(Debug)]
pub struct OpenSession {
    /// The row.
    pub record: SessionRecord,
    /// What notices to its holder are sealed with.
    pub notice_key: NoticeKey,
}

/// The address that a request came from. Behind a proxy this is the proxy.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> Result<ClientAddress, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(ClientAddress(peer.map_or(
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            |ConnectInfo(peer)| peer.ip(),
        )))
    }
}

/// The name of the session's cookie.
pub const fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE }
}

/// A `Set-Cookie` that scripts cannot read and other sites' forms do not carry.
pub fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax; HttpOnly{secure}");
    // Names are ours and values are hexadecimal, so the text is a header value.
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, text);
    }
}

/// Who the session belongs to. A cookie that fits nothing is no session, not an error.
pub async fn caller(deps: &Deps, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(token) = cookie(headers, cookie_name(deps.secure)) else {
        return Ok(Caller::default());
    };
    let Some((record, actor)) = standing(deps, &token_sha256(token)).await? else {
        return Ok(Caller::default());
    };
    let now = deps.now();
    if now.millis_since(record.times.last_used_at) >= TOUCH_AFTER_SECONDS * 1000 {
        let touched = async {
            let mut tx = deps.store.begin().await?;
            tx.session_touch(&record.id, now).await?;
            tx.commit().await
        };
        touched
            .await
            .map_err(|error| Problem::of_store(&error, "note that a session is used"))?;
    }
    let notice_key = NoticeKey::of_token(token);
    Ok(Caller {
        actor: Some(actor),
        proof: Proof::Session(Arc::new(OpenSession { record, notice_key })),
    })
}

/// Whether the proof with which a long answer was begun still holds.
pub async fn still_holds(deps: &Deps, proof: &Proof) -> Result<bool, Problem> {
    match proof {
        Proof::None => Ok(false),
        Proof::Session(session) => Ok(standing(deps, &session.record.token_sha256)
            .await?
            .is_some()),
        Proof::Token(sha256) => deps
            .store
            .token_fetch(sha256)
            .await
            .map(|token| token.is_some())
            .map_err(|error| Problem::of_store(&error, "look up a token")),
    }
}

/// The session and whose it is, if it stands and its way of signing in is still allowed.
async fn standing(
    deps: &Deps,
    token_sha256: &str,
) -> Result<Option<(SessionRecord, Actor)>, Problem> {
    let found = deps
        .store
        .session_fetch(token_sha256)
        .await
        .map_err(|error| Problem::of_store(&error, "look up a session"))?;
    let Some(session) = found else {
        return Ok(None);
    };
    if !session.times.stands(deps.now(), deps.sign_in.session_idle) {
        return Ok(None);
    }
    let user = deps
        .store
        .user_fetch_by_id(&session.user_id)
        .await
        .map_err(|error| Problem::of_store(&error, "look up a user"))?;
    Ok(user.and_then(|user| actor_of(deps, &session, user).map(|actor| (session, actor))))
}

/// The one place where a session becomes an actor. `None` when the settings no longer allow its way of signing in.
fn actor_of(deps: &Deps, session: &SessionRecord, user: UserRecord) -> Option<Actor> {
    use switchback_domain::actor::Role;
    let is_administrator = user.roles.contains(&Role::Admin);
    let allowed = match session.method {
        SignInMethod::Oidc => deps.sign_in.oidc.is_some(),
        method => deps.sign_in.local.method(is_administrator) == Some(method),
    };
    let mut roles = user.roles;
    if let (SignInMethod::Oidc, Some(oidc)) = (session.method, &deps.sign_in.oidc) {
        roles.extend(oidc.roles_of(&session.groups));
        roles.sort();
        roles.dedup();
    }
    allowed.then(|| Actor {
        name: user.username,
        roles,
        address: None,
        groups: session.groups.clone(),
    })
}

/// A session that is about to begin.
pub struct NewSession<'a> {
    /// Whose it will be.
    pub user: &'a UserId,
    /// How they signed in.
    pub method: SignInMethod,
    /// The groups that the provider named.
    pub groups: Vec<String>,
    /// What the provider issued.
    pub id_token: Option<String>,
    /// Where the request came from.
    pub address: IpAddr,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

/// Begins a session in a transaction and gives the cookie's new text. A session that the browser has already is ended:
/// its cookie is overwritten, and nobody else may go on with it.
pub async fn begin(deps: &Deps, tx: &mut Tx, new: NewSession<'_>) -> Result<String, StoreError> {
    let now = deps.now();
    let before = cookie(new.headers, cookie_name(deps.secure));
    if let Some(before) = before
        && let Some(before) = deps.store.session_fetch(&token_sha256(before)).await?
    {
        tx.session_end(&before.user_id, &before.id, now).await?;
    }
    let token = random_token();
    let mut id = [0; 8];
    fill_random(&mut id);
    let user_agent = new
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    tx.session_insert(&SessionRecord {
        id: SessionId::from_random(id),
        token_sha256: token_sha256(&token),
        user_id: new.user.clone(),
        method: new.method,
        groups: new.groups,
        created_at: now,
        times: SessionTimes {
            last_used_at: now,
            ends_at: after(now, deps.sign_in.session_absolute),
            fresh_at: now,
        },
        ended_at: None,
        client_address: new.address.to_string(),
        user_agent: user_agent::words(user_agent),
        id_token: new.id_token,
        kept_form: None,
    })
    .await?;
    Ok(token)
}

/// Gives a session another cookie because its holder proved again who they are.
pub async fn renew(
    deps: &Deps,
    tx: &mut Tx,
    session: &SessionRecord,
    username: &str,
    address: Option<String>,
) -> Result<String, StoreError> {
    let (now, token) = (deps.now(), random_token());
    if !tx
        .session_rotate(session, &token_sha256(&token), now)
        .await?
    {
        return Err(StoreError::Conflict {
            what: format!("the session {} was ended or renewed meanwhile", session.id),
        });
    }
    note(tx, now, username, address, AuditEvent::SignedInAgain).await?;
    Ok(token)
}

/// 32 random bytes in hexadecimal.
pub fn random_token() -> String {
    let mut bytes = [0; 32];
    fill_random(&mut bytes);
    hex::encode(bytes)
}

/// Gives the browser the session's cookie.
pub fn give_cookie(deps: &Deps, response: &mut Response, token: &str) {
    let seconds = deps.sign_in.session_absolute.as_secs();
    set_cookie(
        response,
        cookie_name(deps.secure),
        token,
        seconds,
        deps.secure,
    );
}

/// Takes the session's cookie from the browser.
pub fn take_cookie(deps: &Deps, response: &mut Response) {
    set_cookie(response, cookie_name(deps.secure), "", 0, deps.secure);
}

/// Writes an entry of the audit log in a transaction.
pub async fn note(
    tx: &mut Tx,
    at: Moment,
    actor: &str,
    address: Option<String>,
    event: AuditEvent,
) -> Result<(), StoreError> {
    let mut entry = AuditEntry::new(at, actor, event);
    entry.context.address = address;
    tx.audit_append(&entry).await.map(|_| ())
}

/// Writes an entry of the audit log in a transaction of its own.
pub async fn record(
    deps: &Deps,
    actor: &str,
    address: Option<String>,
    event: AuditEvent,
) -> Result<(), Problem> {
    let written = async {
        let mut tx = deps.store.begin().await?;
        note(&mut tx, deps.now(), actor, address, event).await?;
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
