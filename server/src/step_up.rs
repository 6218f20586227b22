//! Acts for which a session is not enough: whoever asks must have proven lately who they are.
//!
//! Asked for by `SWITCHBACK_STEP_UP_MINUTES`: for rollbacks, and in an emergency's session for decisions and the API
//! too. A form that is refused for it keeps what was typed in the session and leads to `/sign-in/again`, from there back
//! to the form; nothing of it is in an address. A token cannot prove anything again: it may, or may not, by a setting.

use crate::Deps;
use crate::attempts::Attempt;
use crate::forms::refused;
use crate::forms::see_other;
use crate::front::Caller;
use crate::front::Proof;
use crate::local::with_parameters;
use crate::problem::Problem;
use crate::session;
use crate::session::ClientAddress;
use crate::session::malformed;
use crate::sign_in::checked;
use crate::sign_in::from;
use crate::sign_in::wanted;
use axum::Extension;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use switchback_domain::actor::Verb;
use switchback_domain::audit::AuditEvent;
use switchback_domain::moment::Moment;
use switchback_domain::sign_in::SignInMethod;

/// The page on which somebody proves again who they are.
pub const PAGE: &str = "/sign-in/again";

/// The code of the refusal.
pub const NEEDED: &str = "fresh_sign_in_needed";

/// How long what was typed is kept, in seconds.
const KEPT_SECONDS: i64 = 3600;

/// Whether the caller may do this now, as far as the freshness of their proof goes.
pub fn check(deps: &Deps, caller: &Caller, verb: Verb) -> Result<(), Problem> {
    let Some(limit) = deps.sign_in.step_up else {
        return Ok(());
    };
    let minutes = limit.as_secs() / 60;
    match &caller.proof {
        Proof::Session(open) => {
            let concerned =
                verb == Verb::RollBack || open.record.method == SignInMethod::BreakGlass;
            if !concerned || open.record.times.is_fresh(deps.now(), limit) {
                return Ok(());
            }
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                NEEDED,
                format!(
                    "This needs a sign-in within the last {minutes} minutes. Nothing was done. Sign in again at {PAGE}, then repeat it."
                ),
            ))
        }
        Proof::Token(_) if verb == Verb::RollBack && !deps.sign_in.step_up_spares_tokens => {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "token_cannot_sign_in_again",
                "Here a rollback needs a sign-in within the last minutes, which a token cannot give \
                 (SWITCHBACK_STEP_UP_TOKENS). Nothing was done. Roll back on the page.",
            ))
        }
        Proof::Token(_) | Proof::None => Ok(()),
    }
}

/// What somebody typed into a form before they had to sign in again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptForm {
    /// The service whose rollback it was.
    pub service: String,
    /// The reason.
    pub reason: String,
    /// When.
    pub at: Moment,
}

/// What the caller's session has kept, unless it is too old.
pub fn kept(deps: &Deps, caller: &Caller) -> Option<KeptForm> {
    let Proof::Session(open) = &caller.proof else {
        return None;
    };
    let kept: KeptForm = serde_json::from_str(open.record.kept_form.as_deref()?).ok()?;
    (deps.now() < kept.at.plus_seconds(KEPT_SECONDS)).then_some(kept)
}

/// Keeps a form in the caller's session, or forgets what was kept.
pub async fn keep(deps: &Deps, caller: &Caller, form: Option<KeptForm>) -> Result<(), Problem> {
    let Proof::Session(open) = &caller.proof else {
        return Ok(());
    };
    if form.is_none() && open.record.kept_form.is_none() {
        return Ok(());
    }
    let text = form.map(|form| serde_json::json!(form).to_string());
    let kept = async {
        let mut tx = deps.store.begin().await?;
        tx.session_keep_form(&open.record.id, text.as_deref())
            .await?;
        tx.commit().await
    };
    kept.await
        .map_err(|error| Problem::of_store(&error, "keep what was typed"))
}

/// Leads to where one signs in again, and from there back to `page`.
pub fn led_there(page: &str) -> Response {
    see_other(&with_parameters(PAGE, &[("to", page)]))
}

/// What the form on that page sends.
#[derive(Deserialize)]
pub struct Again {
    password: SecretString,
    #[serde(default)]
    to: String,
}

/// POST /sign-in/again: the password of whoever is signed in.
pub async fn again(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    ClientAddress(address): ClientAddress,
    form: Result<Form<Again>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let back = wanted(&form.to);
    let username = caller.signed_in()?.name.clone();
    let Proof::Session(open) = &caller.proof else {
        return Err(Problem::sign_in_needed());
    };
    let attempt = Attempt {
        username: username.to_lowercase(),
        address,
    };
    let user = checked(&deps, &attempt, &username, form.password).await?;
    let Some(user) = user.filter(|user| user.id == open.record.user_id) else {
        session::record(&deps, &username, from(address), AuditEvent::SignInRefused).await?;
        let page = with_parameters(PAGE, &[("to", back)]);
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "sign_in_refused",
            "The password is wrong. Nothing was done.",
        );
        return Ok(refused(problem, &page, &caller));
    };
    let renewed = async {
        let mut tx = deps.store.begin().await?;
        let token =
            session::renew(&deps, &mut tx, &open.record, &user.username, from(address)).await?;
        tx.commit().await?;
        Ok(token)
    };
    let token = renewed
        .await
        .map_err(|error| Problem::of_store(&error, "renew a session"))?;
    deps.attempts.forgive(&attempt);
    let mut response = see_other(back);
    session::give_cookie(&deps, &mut response, &token);
    Ok(response)
}
