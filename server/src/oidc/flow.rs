//! Signing in by the provider: the way there and the way back.
//!
//! What the provider's answer has to fit is kept in the database under the SHA-256 of `state`, together with that of a
//! cookie of this browser, and can be used once: an answer that was begun elsewhere signs nobody in here, and one that was
//! seen by somebody is worth nothing to them.

use crate::Deps;
use crate::forms::cookie;
use crate::forms::see_other;
use crate::front::Caller;
use crate::front::Proof;
use crate::front::token_sha256;
use crate::local::with_parameters;
use crate::oidc::Provider;
use crate::oidc::Refused;
use crate::oidc::claims;
use crate::oidc::claims::Person;
use crate::problem::Problem;
use crate::run::fill_random;
use crate::session;
use crate::session::ClientAddress;
use crate::session::NewSession;
use crate::session::random_token;
use crate::sign_in::from;
use crate::sign_in::too_many_attempts;
use crate::sign_in::wanted;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use http::StatusCode;
use http::Uri;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEvent;
use switchback_domain::ids::SessionId;
use switchback_domain::ids::UserId;
use switchback_domain::sign_in::SignInMethod;
use switchback_store::StoreError;
use switchback_store::Tx;
use switchback_store::records::SignInFlowRecord;
use switchback_store::records::UserRecord;

/// The cookie by which a browser is known between the way there and the way back.
const BROWSER_COOKIE: &str = "switchback_signing_in";

/// The same where people come by HTTPS.
const SECURE_BROWSER_COOKIE: &str = "__Host-switchback_signing_in";

/// How long somebody may take at the provider, in seconds.
const FLOW_SECONDS: i64 = 600;

/// GET /sign-in/oidc?to=
pub async fn begin(
    State(deps): State<Deps>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    ask(&deps, address, &headers, &uri, None).await
}

/// GET /sign-in/again/oidc?to=
pub async fn begin_again(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Proof::Session(open) = &caller.proof else {
        return Err(Problem::sign_in_needed());
    };
    let session = open.record.id.clone();
    ask(&deps, address, &headers, &uri, Some(session)).await
}

async fn ask(
    deps: &Deps,
    address: IpAddr,
    headers: &HeaderMap,
    uri: &Uri,
    session: Option<SessionId>,
) -> Result<Response, Problem> {
    let Some(provider) = &deps.provider else {
        return Err(no_provider());
    };
    if !deps.attempts.begin_elsewhere(address, deps.now()) {
        return Err(too_many_attempts());
    }
    let given = parameters(uri);
    let back = wanted(given.get("to").map_or("/", String::as_str)).to_string();
    let is_again = session.is_some();
    let fresh = is_again.then_some(deps.sign_in.step_up).flatten();
    let question = match provider.question(random_token, fresh).await {
        Ok(question) => question,
        Err(refused) => return Ok(led_back(&back, is_again, refused)),
    };
    let name = browser_cookie_name(deps.secure);
    // Several tabs of one browser may be on their way at once, so they have one cookie.
    let browser = cookie(headers, name)
        .filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map_or_else(random_token, str::to_string);
    let now = deps.now();
    let flow = SignInFlowRecord {
        state_sha256: token_sha256(&question.state),
        browser_sha256: token_sha256(&browser),
        nonce: question.nonce,
        pkce_verifier: question.pkce_verifier,
        return_to: back,
        session,
        begun_at: now,
        ends_at: now.plus_seconds(FLOW_SECONDS),
    };
    let kept = async {
        let mut tx = deps.store.begin().await?;
        tx.sign_in_flow_insert(&flow).await?;
        tx.commit().await
    };
    kept.await
        .map_err(|error| Problem::of_store(&error, "begin a sign-in"))?;
    let mut response = see_other(&question.url);
    session::set_cookie(
        &mut response,
        name,
        &browser,
        FLOW_SECONDS as u64,
        deps.secure,
    );
    Ok(response)
}

/// GET /sign-in/oidc/callback
pub async fn callback(
    State(deps): State<Deps>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Some(provider) = deps.provider.clone() else {
        return Err(no_provider());
    };
    let given = parameters(&uri);
    let Some(flow) = taken(&deps, &headers, &given).await? else {
        return Ok(led_back("/", false, Refused::FlowUnknown));
    };
    let ended = end(&deps, &provider, &headers, address, &given, &flow).await?;
    Ok(match ended {
        Ok(token) => {
            deps.attempts.forgive_elsewhere(address);
            let mut response = see_other(&flow.return_to);
            session::give_cookie(&deps, &mut response, &token);
            response
        }
        Err((who, refused)) => {
            let event = AuditEvent::SignInByOidcRefused {
                code: refused.code().to_string(),
            };
            session::record(&deps, &who, from(address), event).await?;
            led_back(&flow.return_to, flow.session.is_some(), refused)
        }
    })
}

/// The sign-in that this answer belongs to.
async fn taken(
    deps: &Deps,
    headers: &HeaderMap,
    given: &BTreeMap<String, String>,
) -> Result<Option<SignInFlowRecord>, Problem> {
    let browser = cookie(headers, browser_cookie_name(deps.secure));
    let (Some(state), Some(browser)) = (given.get("state"), browser) else {
        return Ok(None);
    };
    let (state, browser) = (token_sha256(state), token_sha256(browser));
    let taken = async {
        let mut tx = deps.store.begin().await?;
        let flow = tx.sign_in_flow_take(&state, &browser, deps.now()).await?;
        tx.commit().await?;
        Ok(flow)
    };
    taken
        .await
        .map_err(|error: StoreError| Problem::of_store(&error, "end a sign-in"))
}

fn no_provider() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_provider",
        "No sign-in service is set up here (SWITCHBACK_OIDC_ISSUER).",
    )
}

/// The session's cookie, or who was refused and why.
type Ended = Result<String, (String, Refused)>;

/// What the log calls somebody whose name is not known yet.
const SOMEBODY: &str = "somebody";

async fn end(
    deps: &Deps,
    provider: &Arc<Provider>,
    headers: &HeaderMap,
    address: IpAddr,
    given: &BTreeMap<String, String>,
    flow: &SignInFlowRecord,
) -> Result<Ended, Problem> {
    let unknown = |refused: Refused| Ok(Err((SOMEBODY.to_string(), refused)));
    let settings = provider.settings();
    // RFC 9207: an answer of another provider than the one that was asked.
    if given
        .get("iss")
        .is_some_and(|issuer| *issuer != settings.issuer)
    {
        return unknown(Refused::Token);
    }
    let Some(code) = given.get("code") else {
        return unknown(Refused::ByProvider);
    };
    let fresh_since = flow.session.is_some().then_some(flow.begun_at);
    let answered = provider
        .answer(
            code.clone(),
            flow.pkce_verifier.clone(),
            flow.nonce.clone(),
            fresh_since,
        )
        .await;
    let answered = match answered {
        Ok(answered) => answered,
        Err(refused) => return unknown(refused),
    };
    let person = match claims::person(settings, &answered.claims) {
        Ok(person) => person,
        Err(refused) => return unknown(refused),
    };
    let admitted = match &flow.session {
        None => admit(deps, provider, headers, address, &person, answered.id_token).await,
        Some(session) => renew(deps, provider, session, address, &person).await,
    };
    match admitted {
        Ok(Ok(token)) => Ok(Ok(token)),
        Ok(Err(refused)) => Ok(Err((person.name, refused))),
        // Somebody took the name, or came by another window, in this very moment: the second attempt sees it.
        Err(StoreError::Conflict { .. }) => Ok(Err((person.name, Refused::NameTaken))),
        Err(error) => Err(Problem::of_store(&error, "sign somebody in")),
    }
}

/// Begins a session for the person, in one transaction with the user where they come for the first time.
async fn admit(
    deps: &Deps,
    provider: &Provider,
    headers: &HeaderMap,
    address: IpAddr,
    person: &Person,
    id_token: String,
) -> Result<Result<String, Refused>, StoreError> {
    let issuer = provider.settings().issuer.as_str();
    let known = deps.store.user_id_by_oidc(issuer, &person.subject).await?;
    let mut tx = deps.store.begin().await?;
    let now = deps.now();
    let (user, username) = match known {
        Some(id) => {
            let Some(user) = deps.store.user_fetch_by_id(&id).await? else {
                return Err(StoreError::Conflict {
                    what: format!("the user {id} was removed"),
                });
            };
            // The name stays the one that the audit log knows.
            (id, user.username)
        }
        None => {
            if deps.store.user_name_is_taken(&person.name).await? {
                return Ok(Err(Refused::NameTaken));
            }
            let id = new_user(&mut tx, issuer, person).await?;
            let event = AuditEvent::UserCreated {
                username: person.name.clone(),
                roles: Vec::new(),
            };
            session::note(&mut tx, now, &Actor::switchback().name, None, event).await?;
            (id, person.name.clone())
        }
    };
    tx.session_set_groups(&user, &person.groups).await?;
    let new = NewSession {
        user: &user,
        method: SignInMethod::Oidc,
        groups: person.groups.clone(),
        id_token: Some(id_token),
        address,
        headers,
    };
    let token = session::begin(deps, &mut tx, new).await?;
    let event = AuditEvent::SignedInByOidc {
        issuer: issuer.to_string(),
        subject: person.subject.clone(),
        groups: person.groups.clone(),
    };
    session::note(&mut tx, now, &username, from(address), event).await?;
    tx.commit().await?;
    Ok(Ok(token))
}

async fn new_user(tx: &mut Tx, issuer: &str, person: &Person) -> Result<UserId, StoreError> {
    let mut id = [0; 8];
    fill_random(&mut id);
    let id = UserId::from_random(id);
    tx.user_insert_of_oidc(&id, &person.name, issuer, &person.subject)
        .await?;
    Ok(id)
}

/// Renews the session whose holder proved again who they are, if it is they who came.
async fn renew(
    deps: &Deps,
    provider: &Provider,
    session: &SessionId,
    address: IpAddr,
    person: &Person,
) -> Result<Result<String, Refused>, StoreError> {
    let issuer = provider.settings().issuer.as_str();
    let known = deps.store.user_id_by_oidc(issuer, &person.subject).await?;
    let user: Option<UserRecord> = match known {
        Some(id) => deps.store.user_fetch_by_id(&id).await?,
        None => None,
    };
    let Some(user) = user else {
        return Ok(Err(Refused::AnotherPerson));
    };
    let open = deps.store.session_list(&user.id).await?;
    let Some(open) = open.into_iter().find(|open| open.id == *session) else {
        return Ok(Err(Refused::AnotherPerson));
    };
    let mut tx = deps.store.begin().await?;
    tx.session_set_groups(&user.id, &person.groups).await?;
    let token = session::renew(deps, &mut tx, &open, &user.username, from(address)).await?;
    tx.commit().await?;
    Ok(Ok(token))
}

/// Back to the page from which the sign-in was begun, with what happened.
fn led_back(back: &str, is_again: bool, refused: Refused) -> Response {
    let page = if is_again {
        "/sign-in/again"
    } else {
        "/sign-in"
    };
    let parameters = [
        ("to", back),
        ("problem", refused.code()),
        ("message", refused.message()),
    ];
    see_other(&with_parameters(page, &parameters))
}

const fn browser_cookie_name(secure: bool) -> &'static str {
    if secure {
        SECURE_BROWSER_COOKIE
    } else {
        BROWSER_COOKIE
    }
}

/// The query; of a name that is there twice neither counts.
fn parameters(uri: &Uri) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        found
            .entry(name.into_owned())
            .and_modify(|value| *value = None)
            .or_insert_with(|| Some(value.into_owned()));
    }
    found
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
