//! `/api/v1`: reads the request, asks the console, writes JSON, or CSV where a list is asked for so.
//! Nothing is decided here.

use crate::Deps;
use crate::csv_list;
use crate::front::Caller;
use crate::idempotency;
use crate::idempotency::Answer;
use crate::idempotency::Asked;
use crate::idempotency::Keep;
use crate::openapi::answers::AuditAnswer;
use crate::problem::Problem;
use crate::step_up;
use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::extract::rejection::PathRejection;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::StatusCode;
use http::Uri;
use http::header;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use switchback_contract::AuditFilter;
use switchback_contract::ConsoleHandle;
use switchback_contract::DecisionCommand;
use switchback_contract::DeploymentFilter;
use switchback_contract::EndBakeCommand;
use switchback_contract::GateFilter;
use switchback_contract::Outcome;
use switchback_contract::Page;
use switchback_contract::Phase;
use switchback_contract::RequestMark;
use switchback_contract::RollbackCommand;
use switchback_contract::ServiceFilter;
use switchback_domain::actor::Verb;
use switchback_domain::moment::Moment;

type Id = Result<Path<String>, PathRejection>;
type Answered = Result<Response, Problem>;

/// GET /me
pub async fn me(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).me().await?).into_response())
}

/// GET /services. As CSV it is the whole list from the cursor on, not one page of it.
pub async fn services(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    let mut given = parameters(
        &uri,
        &["q", "account", "moving", "cursor", "limit", "format"],
    )?;
    let as_csv = csv_list::is_wanted(&mut given)?;
    let mut filter = ServiceFilter {
        moving: flag(&mut given, "moving")?,
        limit: limit(&mut given)?,
        q: given.remove("q"),
        account: given.remove("account"),
        cursor: given.remove("cursor"),
    };
    let console = console(&desk, &caller);
    if as_csv {
        filter.limit = Some(csv_list::ROWS_AT_ONCE);
        let first = console.services(filter.clone()).await?;
        return csv_list::streamed("services", desk.consoles.clock(), first, move |cursor| {
            let (console, filter) = (console.clone(), filter.clone());
            async move {
                let cursor = Some(cursor);
                console.services(ServiceFilter { cursor, ..filter }).await
            }
        });
    }
    Ok(Json(console.services(filter).await?).into_response())
}

/// GET /services/{id}: by identifier, ARN or name.
pub async fn service(desk: State<Deps>, caller: Extension<Caller>, id: Id, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).service(segment(id)?).await?).into_response())
}

/// GET /services/{id}/revisions
pub async fn revisions(desk: State<Deps>, caller: Extension<Caller>, id: Id, uri: Uri) -> Answered {
    let mut given = parameters(&uri, &["format"])?;
    let as_csv = csv_list::is_wanted(&mut given)?;
    let revisions = console(&desk, &caller).revisions(segment(id)?).await?;
    if as_csv {
        return csv_list::whole("revisions", desk.consoles.clock(), &revisions);
    }
    whole_list(revisions)
}

/// GET /deployments. As CSV it is the whole list from the cursor on, not one page of it.
pub async fn deployments(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    let names = [
        "service", "account", "outcome", "phase", "actor", "q", "from", "to", "cursor", "limit",
        "format",
    ];
    let mut given = parameters(&uri, &names)?;
    let as_csv = csv_list::is_wanted(&mut given)?;
    let mut filter = DeploymentFilter {
        outcome: word(
            &mut given,
            "outcome",
            &Outcome::ALL
                .iter()
                .map(|outcome| outcome.word())
                .collect::<Vec<_>>(),
        )?,
        phase: word(
            &mut given,
            "phase",
            &Phase::ALL
                .iter()
                .map(|phase| phase.word())
                .collect::<Vec<_>>(),
        )?,
        from: time(&mut given, "from")?,
        to: time(&mut given, "to")?,
        limit: limit(&mut given)?,
        service: given.remove("service"),
        account: given.remove("account"),
        actor: given.remove("actor"),
        q: given.remove("q"),
        cursor: given.remove("cursor"),
    };
    let console = console(&desk, &caller);
    if as_csv {
        filter.limit = Some(csv_list::ROWS_AT_ONCE);
        let first = console.deployments(filter.clone()).await?;
        return csv_list::streamed("deployments", desk.consoles.clock(), first, move |cursor| {
            let (console, filter) = (console.clone(), filter.clone());
            async move {
                let cursor = Some(cursor);
                console
                    .deployments(DeploymentFilter { cursor, ..filter })
                    .await
            }
        });
    }
    Ok(Json(console.deployments(filter).await?).into_response())
}

/// GET /status: how the watching goes, and what it costs in calls to AWS.
pub async fn status(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).status_page().await?).into_response())
}

/// GET /coverage: what is recorded of each account and region, and when nobody looked.
pub async fn coverage(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    whole_list(console(&desk, &caller).coverage().await?)
}

/// GET /accounts: how the watching of each account and region goes.
pub async fn accounts(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    whole_list(console(&desk, &caller).accounts().await?)
}

/// GET /deployments/{id}: by our identifier or AWS's.
pub async fn deployment(
    desk: State<Deps>,
    caller: Extension<Caller>,
    id: Id,
    uri: Uri,
) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).deployment(segment(id)?).await?).into_response())
}

/// GET /deployments/{id}/metrics
pub async fn deployment_metrics(
    desk: State<Deps>,
    caller: Extension<Caller>,
    id: Id,
    uri: Uri,
) -> Answered {
    parameters(&uri, &[])?;
    whole_list(
        console(&desk, &caller)
            .deployment_metrics(segment(id)?)
            .await?,
    )
}

/// GET /gates: all, newest first; with `state=open` the open ones by fuse, with `state=closed` the others; with
/// `may_decide=true` without the open ones that the caller may not decide. As CSV it is the whole list from the cursor
/// on, not one page of it.
pub async fn gates(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    let mut given = parameters(&uri, &["state", "may_decide", "cursor", "limit", "format"])?;
    let as_csv = csv_list::is_wanted(&mut given)?;
    let mut filter = GateFilter {
        state: word(&mut given, "state", &["open", "closed", "all"])?,
        may_decide: flag(&mut given, "may_decide")?,
        limit: limit(&mut given)?,
        cursor: given.remove("cursor"),
    };
    let console = console(&desk, &caller);
    if as_csv {
        filter.limit = Some(csv_list::ROWS_AT_ONCE);
        let first = console.gates(filter.clone()).await?;
        return csv_list::streamed("gates", desk.consoles.clock(), first, move |cursor| {
            let (console, filter) = (console.clone(), filter.clone());
            async move {
                let cursor = Some(cursor);
                console.gates(GateFilter { cursor, ..filter }).await
            }
        });
    }
    Ok(Json(console.gates(filter).await?).into_response())
}

/// GET /gates/{id}
pub async fn gate(desk: State<Deps>, caller: Extension<Caller>, id: Id, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).gate(segment(id)?).await?).into_response())
}

/// GET /operations/{id}
pub async fn operation(desk: State<Deps>, caller: Extension<Caller>, id: Id, uri: Uri) -> Answered {
    parameters(&uri, &[])?;
    Ok(Json(console(&desk, &caller).operation(segment(id)?).await?).into_response())
}

/// Which entries of the audit log are asked for.
pub fn audit_filter(given: &mut BTreeMap<String, String>) -> Result<AuditFilter, Problem> {
    Ok(AuditFilter {
        from: time(given, "from")?,
        to: time(given, "to")?,
        actor: given.remove("actor"),
        subject: given.remove("subject"),
        event: given.remove("event"),
        service: given.remove("service"),
        reason: given.remove("reason"),
        ..AuditFilter::default()
    })
}

/// GET /audit. As CSV it is the whole log from the cursor on, not one page of it.
pub async fn audit(desk: State<Deps>, caller: Extension<Caller>, uri: Uri) -> Answered {
    let names = [
        "from", "to", "actor", "subject", "event", "service", "reason", "cursor", "limit",
        "format", "verify",
    ];
    let mut given = parameters(&uri, &names)?;
    let as_csv = csv_list::is_wanted(&mut given)?;
    let mut filter = AuditFilter {
        limit: limit(&mut given)?,
        verify: word(&mut given, "verify", &["again"])?,
        cursor: given.remove("cursor"),
        ..audit_filter(&mut given)?
    };
    let console = console(&desk, &caller);
    if as_csv {
        filter.limit = Some(csv_list::ROWS_AT_ONCE);
        let first = console.audit(filter.clone()).await?.page;
        return csv_list::streamed("audit", desk.consoles.clock(), first, move |cursor| {
            let (console, filter) = (console.clone(), filter.clone());
            async move {
                let cursor = Some(cursor);
                Ok(console.audit(AuditFilter { cursor, ..filter }).await?.page)
            }
        });
    }
    Ok(Json(AuditAnswer::from(console.audit(filter).await?)).into_response())
}

/// POST /gates/{id}/decisions
pub async fn decide(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Id,
    posted: Posted,
) -> Answered {
    let (gate, command) = (segment(id)?, posted.json::<DecisionCommand>()?);
    let console = console(&deps, &caller);
    let again = console.clone();
    change(
        deps,
        caller,
        posted,
        Verb::Approve,
        move |request| async move {
            let command = DecisionCommand { request, ..command };
            let gate = console.decide(gate, command).await?;
            Ok(Answer::done(StatusCode::OK, &json!(gate)))
        },
        |gate| async move {
            let gate = again.gate(gate).await?;
            Ok(Answer::done(StatusCode::OK, &json!(gate)))
        },
    )
    .await
}

/// What POST /services/{id}/rollbacks/plan is sent.
#[derive(Deserialize, JsonSchema)]
pub struct PlanCommand {
    /// A task definition ARN, `FAMILY:NUMBER`, or `previous`.
    target: String,
}

/// POST /services/{id}/rollbacks/plan. A read although it is posted: asked again it is made again, and
/// never kept, as it may hold the values of environment variables.
pub async fn plan_rollback(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Id,
    posted: Posted,
) -> Answered {
    let (service, command) = (segment(id)?, posted.json::<PlanCommand>()?);
    // Refused as everywhere when it is malformed; a plan has no effect that a key could make single.
    idempotency::key(&posted.headers)?;
    let plan = console(&deps, &caller)
        .plan_rollback(service, command.target)
        .await?;
    Ok(Json(plan).into_response())
}

/// POST /services/{id}/rollbacks
pub async fn roll_back(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Id,
    posted: Posted,
) -> Answered {
    let (service, command) = (segment(id)?, posted.json::<RollbackCommand>()?);
    let console = console(&deps, &caller);
    let again = console.clone();
    change(
        deps,
        caller,
        posted,
        Verb::RollBack,
        |request| async move {
            let command = RollbackCommand { request, ..command };
            let operation = console.roll_back(service, command).await?;
            Ok(Answer::done(StatusCode::ACCEPTED, &json!(operation)))
        },
        |operation| async move {
            let operation = again.operation(operation).await?;
            Ok(Answer::done(StatusCode::ACCEPTED, &json!(operation)))
        },
    )
    .await
}

/// GET /deployments/{id}/end-bake: the plan of ending CodeDeploy's bake early, if it bakes.
pub async fn end_bake_page(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Id,
    uri: Uri,
) -> Answered {
    parameters(&uri, &[])?;
    let page = console(&deps, &caller).end_bake_page(segment(id)?).await?;
    Ok(Json(page).into_response())
}

/// POST /deployments/{id}/end-bake
pub async fn end_bake(
    State(deps): State<Deps>,
    Extension(caller): Extension<Caller>,
    id: Id,
    posted: Posted,
) -> Answered {
    let (deployment, command) = (segment(id)?, posted.json::<EndBakeCommand>()?);
    let console = console(&deps, &caller);
    let again = console.clone();
    change(
        deps,
        caller,
        posted,
        Verb::Approve,
        |request| async move {
            let command = EndBakeCommand { request, ..command };
            let operation = console.end_bake(deployment, command).await?;
            Ok(Answer::done(StatusCode::ACCEPTED, &json!(operation)))
        },
        |operation| async move {
            let operation = again.operation(operation).await?;
            Ok(Answer::done(StatusCode::ACCEPTED, &json!(operation)))
        },
    )
    .await
}

async fn change<F, G>(
    deps: Deps,
    caller: Caller,
    posted: Posted,
    verb: Verb,
    work: impl FnOnce(Option<RequestMark>) -> F + Send + 'static,
    answer_of: impl FnOnce(String) -> G + Send + 'static,
) -> Answered
where
    F: Future<Output = Result<Answer, Problem>> + Send + 'static,
    G: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    step_up::check(&deps, &caller, verb)?;
    let key = idempotency::key(&posted.headers)?;
    let answered = idempotency::to_the_end(async move {
        let asked = Asked {
            caller: &caller,
            key,
            route: posted.uri.path(),
            body: &posted.body,
            verb,
            keep: Keep::Refusals,
        };
        idempotency::once(&deps, asked, work, answer_of).await
    });
    Ok(idempotency::response(answered.await?))
}

fn console(deps: &Deps, caller: &Caller) -> ConsoleHandle {
    deps.consoles.for_actor(caller.actor.clone())
}

fn whole_list<T: Serialize>(items: Vec<T>) -> Answered {
    Ok(Json(Page {
        items,
        next_cursor: None,
        notice: None,
    })
    .into_response())
}

/// An identifier in the path, decoded.
pub fn segment(id: Id) -> Result<String, Problem> {
    let Path(id) = id.map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_path",
            "The path holds an identifier that is not UTF-8.",
        )
    })?;
    Ok(id)
}

/// The query's parameters, each at most once and none but these. Empty ones are left out.
pub fn parameters(uri: &Uri, names: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
    let mut given = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if !names.contains(&name.as_ref()) {
            let known = match names {
                [] => "This path takes none.".to_string(),
                names => format!("This path takes {}.", names.join(", ")),
            };
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unknown_parameter",
                format!("There is no query parameter {name}. {known}"),
            ));
        }
        if given.insert(name.to_string(), value.to_string()).is_some() {
            return Err(Problem::parameter(&name, "given once"));
        }
    }
    given.retain(|_, value| !value.is_empty());
    Ok(given)
}

fn word(
    given: &mut BTreeMap<String, String>,
    name: &str,
    words: &[&str],
) -> Result<Option<String>, Problem> {
    match given.remove(name) {
        Some(value) if !words.contains(&value.as_str()) => Err(Problem::parameter(
            name,
            &format!("one of {}, not {value:?}", words.join(", ")),
        )),
        value => Ok(value),
    }
}

/// Whether a filter is asked for. `1` is what the pages' addresses say.
fn flag(given: &mut BTreeMap<String, String>, name: &str) -> Result<bool, Problem> {
    let value = word(given, name, &["true", "false", "1", "0"])?;
    Ok(matches!(value.as_deref(), Some("true" | "1")))
}

fn time(given: &mut BTreeMap<String, String>, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = given.remove(name) else {
        return Ok(None);
    };
    // A plus that was not percent-encoded arrives as a space; no RFC 3339 time needs one here.
    let is_time =
        Moment::parse(&value).is_ok() || Moment::parse(&format!("{value}T00:00:00Z")).is_ok();
    if is_time {
        return Ok(Some(value));
    }
    Err(Problem::parameter(
        name,
        &format!("an RFC 3339 time or date such as 2026-11-21T10:00:00Z, not {value:?}"),
    ))
}

fn limit(given: &mut BTreeMap<String, String>) -> Result<Option<u32>, Problem> {
    let Some(value) = given.remove("limit") else {
        return Ok(None);
    };
    match value.parse::<u32>() {
        Ok(limit @ 1..=200) => Ok(Some(limit)),
        _ => Err(Problem::parameter(
            "limit",
            &format!("a number from 1 to 200, not {value:?}"),
        )),
    }
}

/// A POST as it came: the bytes are what an idempotency key stands for.
pub struct Posted {
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
}

impl axum::extract::FromRequest<Deps> for Posted {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, deps: &Deps) -> Result<Posted, Problem> {
        let (headers, uri) = (request.headers().clone(), request.uri().clone());
        parameters(&uri, &[])?;
        let body = Bytes::from_request(request, deps)
            .await
            .map_err(|rejection| unread(&rejection))?;
        Ok(Posted { headers, uri, body })
    }
}

/// A body that could not be read.
pub fn unread(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => crate::front::too_large(crate::front::LARGEST_BODY),
        status => Problem::new(
            status,
            "body_unreadable",
            "The body did not arrive whole. Nothing was done.",
        ),
    }
}

impl Posted {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        json_body(&self.headers, &self.body)
    }
}

/// The body as JSON of this type.
pub fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be JSON, with Content-Type: application/json.",
        ));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("The body is not JSON: {error}."),
        )
    })?;
    serde_json::from_value(value).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_body",
            format!("The body is not what this path takes: {error}."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_and_given_once() {
        let read = |query: &str| {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            parameters(&uri, &["q", "limit"]).map_err(|problem| problem.code)
        };
        assert_eq!(
            read("q=a%20b&limit="),
            Ok(BTreeMap::from([("q".to_string(), "a b".to_string())]))
        );
        assert_eq!(read("outcom=failed"), Err("unknown_parameter".to_string()));
        assert_eq!(read("q=a&q=b"), Err("invalid_parameter".to_string()));
    }

    #[test]
    fn times_may_be_dates() {
        let read = |value: &str| {
            time(
                &mut BTreeMap::from([("from".to_string(), value.to_string())]),
                "from",
            )
            .is_ok()
        };
        for fine in [
            "2026-11-21",
            "2026-11-21T10:00:00Z",
            "2026-11-21T10:00:00.5+01:00",
        ] {
            assert!(read(fine), "{fine}");
        }
        for wrong in ["yesterday", "2026-13-01", "1795000000", "2026-11-21 10:00"] {
            assert!(!read(wrong), "{wrong}");
        }
    }
}
