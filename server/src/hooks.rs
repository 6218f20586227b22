//! Signed messages from outside: the relay function's posts for hooks of CodeDeploy and of ECS, and events of EventBridge.

use crate::Deps;
use crate::openapi::answers::EcsFunctionAnswer;
use crate::openapi::answers::EventAnswer;
use crate::openapi::answers::HookAnswer;
use crate::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::StatusCode;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use switchback_control::FunctionAnswer;
use switchback_control::FunctionRun;
use switchback_domain::ecs::is_service_deployment;
use switchback_domain::event::read_event;
use switchback_domain::signature;
use switchback_domain::signature::SignatureRefused;

/// The largest message, in bytes. CodeDeploy's has about 120, that of ECS about 600 beside the hook's own details.
pub const LARGEST_MESSAGE: usize = 64 * 1024;

/// The largest event, in bytes: EventBridge takes none that is larger. [D PutEvents]
pub const LARGEST_EVENT: usize = 256 * 1024;

/// How long AWS may take to tell its time before the relay is asked to come again.
const CLOCK_LIMIT: Duration = Duration::from_secs(8);

/// Seconds after which the relay may come again when AWS did not tell its time.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What AWS gives the hook function, which the relay passes on as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeDeployHook {
    /// CodeDeploy's identifier of the deployment.
    #[serde(rename = "DeploymentId")]
    #[schemars(length(min = 1))]
    deployment_id: String,
    /// By which CodeDeploy is told how the hook ended.
    #[serde(rename = "LifecycleEventHookExecutionId")]
    #[schemars(length(min = 1))]
    lifecycle_event_hook_execution_id: String,
}

/// What ECS gives the function of a Lambda hook, which the relay passes on as it is. More is in it, and may be. (aws.md §2.3)
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EcsFunctionRun {
    /// By which ECS names this wait.
    #[schemars(length(min = 1, max = 200))]
    execution_id: String,
    /// The stage that waits.
    #[schemars(length(min = 1, max = 200))]
    lifecycle_stage: String,
    /// The ARN of the service deployment.
    resource_arn: String,
}

/// A message of the relay: what CodeDeploy gives a hook's function, or what ECS does.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum RelayMessage {
    /// Of CodeDeploy.
    CodeDeploy(CodeDeployHook),
    /// Of ECS.
    Ecs(EcsFunctionRun),
}

/// The longest execution id or stage that is taken, in bytes.
const LONGEST_WORD: usize = 200;

/// POST /hooks/codedeploy. One relay serves both: a hook of CodeDeploy is answered by a call to AWS later, one of ECS by what
/// the function returns, which is this answer.
pub async fn codedeploy(
    State(deps): State<Deps>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (body, given) = signed_body(&deps, &headers, body, LARGEST_MESSAGE).await?;
    let message: Value = crate::api::json_body(&headers, &body)?;
    if message.get("lifecycleStage").is_some() {
        return function_run(&deps, crate::api::json_body(&headers, &body)?, &given).await;
    }
    let hook: CodeDeployHook = crate::api::json_body(&headers, &body)?;
    for (name, value) in [
        ("DeploymentId", &hook.deployment_id),
        (
            "LifecycleEventHookExecutionId",
            &hook.lifecycle_event_hook_execution_id,
        ),
    ] {
        if value.is_empty() {
            return Err(invalid(format!("{name} is empty.")));
        }
    }
    let received = deps
        .consoles
        .receive_hook(
            hook.deployment_id,
            hook.lifecycle_event_hook_execution_id,
            &given,
        )
        .await?;
    let answer = HookAnswer {
        state: received.state,
        gate_id: received.gate_id,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

async fn function_run(deps: &Deps, run: EcsFunctionRun, given: &str) -> Result<Response, Problem> {
    for (name, value) in [
        ("executionId", &run.execution_id),
        ("lifecycleStage", &run.lifecycle_stage),
    ] {
        if value.is_empty() || value.len() > LONGEST_WORD {
            return Err(invalid(format!(
                "{name} must have 1 to {LONGEST_WORD} bytes."
            )));
        }
    }
    if !is_service_deployment(&run.resource_arn) {
        return Err(invalid(
            "resourceArn is not the ARN of a service deployment.".to_string(),
        ));
    }
    let run = FunctionRun {
        deployment_aws_id: run.resource_arn,
        execution_id: run.execution_id,
        stage: run.lifecycle_stage,
    };
    let (hook_status, call_back_delay) =
        match deps.consoles.receive_function_run(run, given).await? {
            FunctionAnswer::Succeeded => ("SUCCEEDED", None),
            FunctionAnswer::Failed => ("FAILED", None),
            FunctionAnswer::InProgress(seconds) => ("IN_PROGRESS", Some(i64::from(seconds))),
        };
    let answer = EcsFunctionAnswer {
        hook_status,
        call_back_delay,
    };
    Ok(Json(answer).into_response())
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail)
}

/// POST /hooks/eventbridge: an event as EventBridge sends it. It is a hint: AWS is looked at, nothing is recorded of it.
pub async fn eventbridge(
    State(deps): State<Deps>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (body, given) = signed_body(&deps, &headers, body, LARGEST_EVENT).await?;
    // That it is JSON at all is refused with the same words as everywhere.
    let _: Value = crate::api::json_body(&headers, &body)?;
    let counted = |outcome: &'static str| {
        metrics::counter!(
            "switchback_webhook_events_total",
            "outcome" => outcome,
        )
        .increment(1);
    };
    let hint = read_event(&body).map_err(|error| {
        counted("unreadable");
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "event_unreadable",
            error.to_string(),
        )
    })?;
    let taken = deps.consoles.receive_event(&hint, &given).await?;
    counted(taken.word());
    let answer = EventAnswer {
        state: taken.word(),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The whole body and its signature, which is good.
async fn signed_body(
    deps: &Deps,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, String), Problem> {
    let Some(secret) = &deps.relay_secret else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "relay_secret_missing",
            "No relay secret is configured, so no hook can be checked. Set SWITCHBACK_RELAY_SECRET.",
        ));
    };
    let body = axum::body::to_bytes(body, limit)
        .await
        .map_err(|_| crate::front::too_large(limit))?;
    let given = headers
        .get(signature::HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    verify(deps, secret, given, &body).await?;
    Ok((body, given.to_string()))
}

/// Checks the signature by the account's clock, which has to be known for it.
///
/// The relay takes a refusal as the last word, and then the hook's fuse burns down with no gate. So
/// nothing is refused as too old by the clock of this machine, nor by one that was only carried forward
/// since AWS last answered. Only who knows the secret makes AWS be asked.
async fn verify(
    deps: &Deps,
    secret: &SecretString,
    given: &str,
    body: &[u8],
) -> Result<(), Problem> {
    let check = || {
        signature::verify(
            secret.expose_secret().as_bytes(),
            deps.consoles.clock(),
            given,
            body,
        )
    };
    let mut checked = check();
    let is_signed = matches!(checked, Ok(()) | Err(SignatureRefused::TooOld));
    if is_signed && !deps.consoles.hears_aws() {
        ask_for_the_time(deps, 1).await?;
        checked = check();
    }
    if checked == Err(SignatureRefused::TooOld) {
        // A large jump of the clock is believed only once a second answer agrees with the first.
        ask_for_the_time(deps, 2).await?;
        checked = check();
    }
    checked.map_err(refused)
}

/// Asks AWS so many times; fails when AWS has never answered or does not answer in time.
async fn ask_for_the_time(deps: &Deps, times: usize) -> Result<(), Problem> {
    let asked = tokio::time::timeout(CLOCK_LIMIT, async {
        for _ in 0..times {
            deps.consoles.refresh_clock().await;
        }
    });
    if asked.await.is_ok() && deps.consoles.hears_aws() {
        return Ok(());
    }
    Err(Problem {
        retry_after: Some(RETRY_AFTER_SECONDS),
        ..Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "aws_not_heard",
            "AWS does not answer, so the account's time is not known and the signature's age cannot be checked. \
             Nothing was done. Send it again.",
        )
    })
}

fn refused(refused: SignatureRefused) -> Problem {
    let code = match refused {
        SignatureRefused::Malformed => "signature_malformed",
        SignatureRefused::TooOld => "signature_too_old",
        SignatureRefused::Wrong => "signature_wrong",
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, refused.to_string())
}
