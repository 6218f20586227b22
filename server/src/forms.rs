//! The forms of the pages: plain posts that answer with a redirect, so that they work without scripts.
//!
//! Done leads on with `?done=…`; refused leads back to the form with
//! `?problem=CODE&message=TEXT`, sealed ([`crate::notice`]).

use crate::Deps;
use crate::api::segment;
use crate::front::Caller;
use crate::front::Proof;
use crate::idempotency;
use crate::idempotency::Answer;
use crate::idempotency::Asked;
use crate::idempotency::Keep;
use crate::local;
use crate::local::local_path;
use crate::local::referring_path;
use crate::local::with_parameters;
use crate::notice;
use crate::problem::Problem;
use crate::session::malformed;
use crate::step_up;
use axum::Extension;
use axum::Form;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::extract::rejection::PathRejection;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use switchback_contract::ConsoleHandle;
use switchback_contract::DecisionCommand;
use switchback_contract::EndBakeCommand;
use switchback_contract::OperationView;
use switchback_contract::Refusal;
use switchback_contract::RequestMark;
use switchback_contract::RollbackCommand;
use switchback_contract::Verdict;
use switchback_domain::actor::Verb;

/// The cookie in which the chosen colours are kept.
pub const THEME_COOKIE: &str = "theme";

/// What the decision form sends.
#[derive(Deserialize)]
pub struct Decision {
    verdict: Verdict,
    #[serde(default)]
    reason: String,
    evidence_digest: String,
    #[serde(default)]
    to: String,
}

/// POST /gates/{id}/decisions
pub async fn decide(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Result<Form<Decision>, FormRejection>,
) -> Result<Response, Problem> {
    let gate = segment(id)?;
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let page = page(&form.to, &headers, || {
        format!("/gates/{}", local::segment(&gate))
    });
    if step_up::check(&deps, &caller, Verb::Approve).is_err() {
        return Ok(step_up::led_there(&page));
    }
    let reason = Some(form.reason.trim().to_string()).filter(|reason| !reason.is_empty());
    let command = DecisionCommand {
        verdict: form.verdict,
        reason,
        evidence_digest: form.evidence_digest,
        request: None,
    };
    let console = deps.consoles.for_actor(caller.actor.clone());
    let decided = idempotency::to_the_end(async move {
        console.decide(gate, command).await.map_err(Problem::from)
    });
    Ok(match decided.await {
        Ok(_) => see_other(&with_parameters(&page, &[("done", "decided")])),
        Err(problem) => refused(problem, &page, &caller),
    })
}

/// What the rollback form sends.
#[derive(Deserialize, Serialize)]
pub struct Rollback {
    target: String,
    #[serde(default)]
    reason: String,
    plan_digest: String,
    #[serde(default, skip_serializing)]
    idempotency_key: String,
    #[serde(default, skip_serializing)]
    to: String,
}

/// POST /services/{id}/rollbacks
pub async fn roll_back(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Result<Form<Rollback>, FormRejection>,
) -> Result<Response, Problem> {
    let service = segment(id)?;
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let page = page(&form.to, &headers, || {
        let path = format!("/services/{}/rollback", local::segment(&service));
        with_parameters(&path, &[("to", &form.target)])
    });
    match step_up::check(&deps, &caller, Verb::RollBack) {
        Ok(()) => {}
        Err(problem) if problem.code == step_up::NEEDED => {
            let kept = step_up::KeptForm {
                service: service.clone(),
                reason: form.reason,
                at: deps.now(),
            };
            step_up::keep(&deps, &caller, Some(kept)).await?;
            let path = format!("/services/{}/rollback", local::segment(&service));
            let page = with_parameters(&path, &[("to", &form.target)]);
            return Ok(step_up::led_there(&page));
        }
        Err(problem) => return Ok(refused(problem, &page, &caller)),
    }
    let key = given_key(&form.idempotency_key)?;
    let asked = OperationForm {
        deps,
        caller,
        page,
        key,
        // Not the path of the API: the answer that is kept is another one.
        route: format!("form:/services/{service}/rollbacks"),
        body: json!(form).to_string(),
        verb: Verb::RollBack,
        done: "rollback",
    };
    let work = |console: ConsoleHandle, request| async move {
        let command = RollbackCommand {
            target: form.target,
            reason: form.reason,
            plan_digest: form.plan_digest,
            request,
        };
        console.roll_back(service, command).await
    };
    Ok(asked.answer(work).await)
}

/// What the form sends that ends a bake early.
#[derive(Deserialize, Serialize)]
pub struct EndBake {
    #[serde(default)]
    reason: String,
    plan_digest: String,
    #[serde(default, skip_serializing)]
    idempotency_key: String,
}

/// POST /deployments/{id}/end-bake
pub async fn end_bake(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    form: Result<Form<EndBake>, FormRejection>,
) -> Result<Response, Problem> {
    let deployment = segment(id)?;
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    if step_up::check(&deps, &caller, Verb::Approve).is_err() {
        let page = format!("/deployments/{}/end-bake", local::segment(&deployment));
        return Ok(step_up::led_there(&page));
    }
    let key = given_key(&form.idempotency_key)?;
    let asked = OperationForm {
        deps,
        caller,
        page: format!("/deployments/{}/end-bake", local::segment(&deployment)),
        key,
        route: format!("form:/deployments/{deployment}/end-bake"),
        body: json!(form).to_string(),
        verb: Verb::Approve,
        done: "end-bake",
    };
    let work = |console: ConsoleHandle, request| async move {
        let command = EndBakeCommand {
            reason: form.reason,
            plan_digest: form.plan_digest,
            request,
        };
        console.end_bake(deployment, command).await
    };
    Ok(asked.answer(work).await)
}

/// The key with which a form is sent once, if it has one.
fn given_key(key: &str) -> Result<Option<String>, Problem> {
    match key {
        "" => Ok(None),
        key => idempotency::checked(key).map(Some),
    }
}

/// A form that asks for an operation, once for its key.
struct OperationForm {
    deps: Deps,
    caller: Caller,
    /// Where the form is.
    page: String,
    key: Option<String>,
    route: String,
    body: String,
    verb: Verb,
    /// What the page it leads to says was done.
    done: &'static str,
}

impl OperationForm {
    async fn answer<F>(
        self,
        work: impl FnOnce(ConsoleHandle, Option<RequestMark>) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = Result<OperationView, Refusal>> + Send + 'static,
    {
        let (page, asking, deps) = (self.page.clone(), self.caller.clone(), self.deps.clone());
        let answered = idempotency::to_the_end(async move {
            let asked = Asked {
                caller: &self.caller,
                key: self.key,
                route: &self.route,
                body: self.body.as_bytes(),
                verb: self.verb,
                keep: Keep::OnlyDone,
            };
            let console = self.deps.consoles.for_actor(self.caller.actor.clone());
            let (again, done) = (console.clone(), self.done);
            let (answer, _) = idempotency::once(
                &self.deps,
                asked,
                |request| async move { Ok(begun(&work(console, request).await?, done)) },
                |operation| async move { Ok(begun(&again.operation(operation).await?, done)) },
            )
            .await?;
            Ok(answer.body)
        });
        match answered.await {
            Ok(location) => {
                // Done whatever becomes of the text that was kept; that it could not be forgotten was logged.
                let _ = step_up::keep(&deps, &asking, None).await;
                see_other(&location)
            }
            Err(problem) => refused(problem, &page, &asking),
        }
    }
}

/// Leads on to where the operation is shown.
fn begun(operation: &OperationView, done: &str) -> Answer {
    let path = match &operation.deployment_id {
        Some(deployment) => format!("/deployments/{}", local::segment(deployment)),
        None => format!("/services/{}", local::segment(&operation.service_id)),
    };
    Answer {
        status: StatusCode::SEE_OTHER,
        body: with_parameters(&path, &[("done", done), ("operation", &operation.id)]),
    }
}

/// What the form that chooses colours sends.
#[derive(Deserialize)]
pub struct ThemeChoice {
    theme: Theme,
    #[serde(default)]
    to: String,
}

/// The colours of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the device says.
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// The word of `data-theme`; `None` when the device decides.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Theme::System => None,
            Theme::Light => Some("light"),
            Theme::Dark => Some("dark"),
        }
    }

    /// What the cookie says; anything else is the device's choice.
    pub fn of_cookies(headers: &HeaderMap) -> Theme {
        match cookie(headers, THEME_COOKIE) {
            Some("light") => Theme::Light,
            Some("dark") => Theme::Dark,
            _ => Theme::System,
        }
    }
}

/// The first cookie of this name that the browser sent.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// POST /theme
pub async fn theme(
    State(deps): State<Deps>,
    headers: HeaderMap,
    form: Result<Form<ThemeChoice>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let page = page(&form.to, &headers, || "/".to_string());
    let (value, age) = match form.theme.word() {
        Some(word) => (word, 365 * 24 * 3600),
        None => ("", 0),
    };
    let secure = if deps.secure { "; Secure" } else { "" };
    let cookie =
        format!("{THEME_COOKIE}={value}; Path=/; Max-Age={age}; SameSite=Lax; HttpOnly{secure}");
    let mut response = see_other(&page);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Where the form is: as it says, as the browser says, or where such a form usually is.
pub(crate) fn page(to: &str, headers: &HeaderMap, usual: impl FnOnce() -> String) -> String {
    local_path(to)
        .map(str::to_string)
        .or_else(|| referring_path(headers))
        .unwrap_or_else(usual)
}

pub(crate) fn refused(problem: Problem, page: &str, caller: &Caller) -> Response {
    if problem.status == StatusCode::UNAUTHORIZED {
        return see_other(&with_parameters("/sign-in", &[("to", page)]));
    }
    match &caller.proof {
        Proof::Session(session) => see_other(&notice::on_page(
            page,
            session.notice_key,
            &problem.code,
            &problem.detail,
        )),
        // Forms are sent with a session; whoever comes otherwise has no page to return to.
        Proof::None | Proof::Token(_) => problem.into_response(),
    }
}

pub(crate) fn see_other(path: &str) -> Response {
    Redirect::to(path).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_from_the_cookie() {
        let theme = |cookies: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookies.parse().unwrap());
            Theme::of_cookies(&headers).word()
        };
        assert_eq!(theme("a=b; theme=dark"), Some("dark"));
        assert_eq!(theme("theme=light;x=y"), Some("light"));
        for other in ["", "theme=", "theme=\"><script>", "nottheme=dark"] {
            assert_eq!(theme(other), None, "{other}");
        }
    }
}
