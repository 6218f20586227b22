//! The guide that a demo puts beside the pages, and its routes under `/demo`: mounted only where there is
//! a guide, and as closed as every other act.
//!
//! What it offers and does is the demo's own ([`crate::demo`]); nothing here knows what kind of account
//! is watched.

use crate::Deps;
use crate::forms;
use crate::front::Caller;
use crate::problem::Problem;
use crate::session::malformed;
use async_trait::async_trait;
use axum::Extension;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::header;
use serde::Deserialize;
use switchback_contract::ConsoleHandle;
use switchback_contract::Guide;
use switchback_contract::GuideView;
use switchback_contract::Refusal;
use switchback_contract::RefusalKind;
use switchback_contract::Verb;

/// The cookie in which is kept that the guide was put away.
pub const GUIDE_COOKIE: &str = "guide";

/// What can be done from the guide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Lets so many simulated seconds pass each second.
    SetSpeed(f64),
    /// Makes the new revision of a moving service fail.
    Break,
    /// Lets a release begin that will wait at a gate.
    StartCanary,
    /// Cuts the server off in the middle of its work and starts it again.
    PullThePlug,
}

/// What a demo offers.
#[async_trait]
pub trait Offers: Send + Sync {
    /// What is shown to the holder of a console.
    async fn view(&self, console: &ConsoleHandle) -> Result<GuideView, Refusal>;

    /// Does something, for the holder of a console that may.
    async fn act(&self, console: &ConsoleHandle, act: Act) -> Result<(), Refusal>;
}

/// Whether somebody with these verbs may use the guide's buttons: who decides at gates, which
/// administrators and release managers do.
pub fn may_act(verbs: &[Verb]) -> bool {
    verbs.contains(&Verb::Approve)
}

/// The guide of one reader.
pub struct GuideDesk {
    deps: Deps,
    console: ConsoleHandle,
    hidden: bool,
}

impl GuideDesk {
    /// Bound to the reader's console and cookies.
    pub fn new(deps: Deps, console: ConsoleHandle, headers: Option<&HeaderMap>) -> GuideDesk {
        let hidden =
            headers.and_then(|headers| forms::cookie(headers, GUIDE_COOKIE)) == Some("hidden");
        GuideDesk {
            deps,
            console,
            hidden,
        }
    }
}

#[async_trait]
impl Guide for GuideDesk {
    async fn guide(&self) -> Result<Option<GuideView>, Refusal> {
        let Some(offers) = &self.deps.guide else {
            return Ok(None);
        };
        let mut view = offers.view(&self.console).await?;
        view.hidden = self.hidden;
        Ok(Some(view))
    }
}

/// What a form of the guide sends at least.
#[derive(Deserialize)]
pub struct Plain {
    #[serde(default)]
    to: String,
}

/// What the form that changes the speed sends.
#[derive(Deserialize)]
pub struct SpeedChoice {
    speed: f64,
    #[serde(default)]
    to: String,
}

/// What the form that puts the guide away sends.
#[derive(Deserialize)]
pub struct Shown {
    shown: String,
    #[serde(default)]
    to: String,
}

/// POST /demo/speed
pub async fn speed(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<Form<SpeedChoice>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    done(
        &deps,
        &caller,
        &headers,
        &form.to,
        Act::SetSpeed(form.speed),
    )
    .await
}

/// POST /demo/break
pub async fn break_canary(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<Form<Plain>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    done(&deps, &caller, &headers, &form.to, Act::Break).await
}

/// POST /demo/canary
pub async fn start_canary(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<Form<Plain>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    done(&deps, &caller, &headers, &form.to, Act::StartCanary).await
}

/// POST /demo/plug
pub async fn pull_the_plug(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<Form<Plain>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    done(&deps, &caller, &headers, &form.to, Act::PullThePlug).await
}

/// POST /demo/guide
pub async fn show(
    State(deps): State<Deps>,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(form) = form.map_err(|rejection| malformed(&rejection))?;
    let page = forms::page(&form.to, &headers, || "/".to_string());
    let (value, age) = match form.shown.as_str() {
        "no" => ("hidden", 365 * 24 * 3600),
        _ => ("", 0),
    };
    let secure = if deps.secure { "; Secure" } else { "" };
    let cookie =
        format!("{GUIDE_COOKIE}={value}; Path=/; Max-Age={age}; SameSite=Lax; HttpOnly{secure}");
    let mut response = forms::see_other(&page);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn done(
    deps: &Deps,
    caller: &Caller,
    headers: &HeaderMap,
    to: &str,
    act: Act,
) -> Result<Response, Problem> {
    let Some(offers) = &deps.guide else {
        return Err(Problem::no_such_path("/demo"));
    };
    let page = forms::page(to, headers, || "/".to_string());
    let console = deps.consoles.for_actor(caller.actor.clone());
    let acted = async {
        if !may_act(&console.me().await?.verbs) {
            return Err(Refusal::new(
                RefusalKind::Forbidden,
                "forbidden",
                "Only those who decide at gates may use the demo's buttons. Sign in as an approver or an administrator.",
            ));
        }
        offers.act(&console, act).await
    };
    Ok(match acted.await {
        Ok(()) => forms::see_other(&page),
        Err(refusal) => forms::refused(Problem::from(refusal), &page, caller),
    })
}
