//! Signed messages from outside: the relay function's post for a CodeDeploy hook.

use crate::Deps;
use crate::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use switchback_domain::signature;
use switchback_domain::signature::SignatureRefused;

/// The largest message, in bytes. A real one has about 120.
pub const LARGEST_MESSAGE: usize = 4096;

/// What AWS gives the hook function, which the relay passes on as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeDeployHook {
    #[serde(rename = "DeploymentId")]
    deployment_id: String,
    #[serde(rename = "LifecycleEventHookExecutionId")]
    lifecycle_event_hook_execution_id: String,
}

/// POST /hooks/codedeploy
pub async fn codedeploy(
    State(deps): State<Deps>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Some(secret) = &deps.relay_secret else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "relay_secret_missing",
            "No relay secret is configured, so no hook can be checked. Set SWITCHBACK_RELAY_SECRET.",
        ));
    };
    let body = axum::body::to_bytes(body, LARGEST_MESSAGE)
        .await
        .map_err(|_| crate::front::too_large(LARGEST_MESSAGE))?;
    let given = headers
        .get(signature::HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    signature::verify(
        secret.expose_secret().as_bytes(),
        deps.consoles.clock(),
        given,
        &body,
    )
    .map_err(refused)?;
    let hook: CodeDeployHook = crate::api::json_body(&headers, &body)?;
    for (name, value) in [
        ("DeploymentId", &hook.deployment_id),
        (
            "LifecycleEventHookExecutionId",
            &hook.lifecycle_event_hook_execution_id,
        ),
    ] {
        if value.is_empty() {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_body",
                format!("{name} is empty."),
            ));
        }
    }
    let received = deps
        .consoles
        .receive_hook(
            hook.deployment_id,
            hook.lifecycle_event_hook_execution_id,
            given,
        )
        .await?;
    let answer = json!({ "state": received.state, "gate_id": received.gate_id });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn refused(refused: SignatureRefused) -> Problem {
    let code = match refused {
        SignatureRefused::Malformed => "signature_malformed",
        SignatureRefused::TooOld => "signature_too_old",
        SignatureRefused::Wrong => "signature_wrong",
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, refused.to_string())
}
