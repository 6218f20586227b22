//! Hook functions outside: what the shipped relay function does on AWS, done here.
//!
//! CodeDeploy invokes a hook function asynchronously; the relay function signs what it was given
//! and posts it on. When that fails, an asynchronous function is run twice more, after one minute
//! and after two. ECS waits for what its hook function returns: there the answer's body is what the function
//! returned, and while the receiver does not answer it asks to be run again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::door::Shared;
use crate::world::Effect;

/// How long one attempt may take, on the wall clock.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Waits before the second and the third attempt: simulated, and at least so long on the wall
/// clock, because a receiver that starts again does not start faster in fast time.
const WAITS: [(Duration, Duration); 2] = [
    (Duration::from_secs(60), Duration::from_secs(1)),
    (Duration::from_secs(120), Duration::from_secs(4)),
];

/// What the shipped function returns to ECS while its receiver does not answer.
const ASK_AGAIN: &str = r#"{"hookStatus":"IN_PROGRESS","callBackDelay":30}"#;

/// Where hooks are posted, and the secret they are signed with.
#[derive(Clone)]
pub struct RelayTarget {
    url: Uri,
    secret: Option<String>,
}

impl RelayTarget {
    /// A target, or what is wrong with its address: it must be a complete `http://` URL.
    /// Without a secret, posts carry no signature.
    pub fn new(url: &str, secret: Option<String>) -> Result<RelayTarget, String> {
        let parsed: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        if parsed.scheme_str() != Some("http") || parsed.host().is_none() {
            return Err(format!(
                "{url:?} must be a complete URL that begins with http://"
            ));
        }
        Ok(RelayTarget {
            url: parsed,
            secret,
        })
    }
}

/// Performs what the account wants done outside, until nobody can want anything any more.
pub async fn perform_effects(shared: Arc<Shared>, mut effects: UnboundedReceiver<Effect>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut running = JoinSet::new();
    while let Some(effect) = effects.recv().await {
        while running.try_join_next().is_some() {}
        running.spawn(perform(shared.clone(), client.clone(), effect));
    }
    while running.join_next().await.is_some() {}
}

async fn perform(shared: Arc<Shared>, client: Client<HttpConnector, Full<Bytes>>, effect: Effect) {
    match effect {
        Effect::InvokeHook {
            function,
            deployment_id,
            execution_id,
            ..
        } => {
            let outcome = invoke(&shared, &client, &function, &deployment_id, &execution_id).await;
            match outcome {
                Ok(()) => info!(function, deployment_id, execution_id, "hook function ran"),
                Err(message) => {
                    warn!(
                        function,
                        deployment_id, execution_id, message, "hook function failed"
                    );
                    let mut simulation = shared.lock();
                    simulation.catch_up(Instant::now());
                    simulation.world.hook_invocation_failed(
                        &deployment_id,
                        &execution_id,
                        &message,
                    );
                    simulation.hand_over_effects();
                }
            }
        }
        Effect::InvokeLifecycleHook {
            function,
            service_deployment,
            execution_id,
            payload,
            ..
        } => {
            let answer = match shared.relay_target() {
                None => Err(nowhere(&function)),
                Some(target) => match post(&shared, &client, &target, &payload).await {
                    Outcome::Done(body) => Ok(body),
                    Outcome::Refused(message) => Err(message),
                    // The shipped function does not let a deployment fail because its receiver is down.
                    Outcome::Failed(message) => {
                        warn!(function, message, "hook function asks to be run again");
                        Ok(ASK_AGAIN.to_string())
                    }
                },
            };
            match &answer {
                Ok(body) => info!(function, service_deployment, body, "hook function ran"),
                Err(message) => warn!(
                    function,
                    service_deployment, message, "hook function failed"
                ),
            }
            let mut simulation = shared.lock();
            simulation.catch_up(Instant::now());
            simulation.world.lifecycle_hook_answered(
                &service_deployment,
                &execution_id,
                answer.as_deref().map_err(String::as_str),
            );
            simulation.hand_over_effects();
        }
    }
}

fn nowhere(function: &str) -> String {
    format!(
        "The function {function} has nowhere to post to: the simulation was started without a relay URL."
    )
}

async fn invoke(
    shared: &Shared,
    client: &Client<HttpConnector, Full<Bytes>>,
    function: &str,
    deployment_id: &str,
    execution_id: &str,
) -> Result<(), String> {
    let Some(target) = shared.relay_target() else {
        return Err(nowhere(function));
    };
    let body = serde_json::json!({
        "DeploymentId": deployment_id,
        "LifecycleEventHookExecutionId": execution_id,
    })
    .to_string();
    let mut waits = WAITS.iter();
    loop {
        let failure = match post(shared, client, &target, &body).await {
            Outcome::Done(_) => return Ok(()),
            Outcome::Refused(message) => return Err(message),
            Outcome::Failed(message) => message,
        };
        let Some((simulated, least)) = waits.next() else {
            return Err(failure);
        };
        warn!(
            function,
            deployment_id, failure, "hook function will be run again"
        );
        let wait = shared.lock().clock.wall(*simulated).max(*least);
        tokio::time::sleep(wait).await;
    }
}

enum Outcome {
    /// What was answered.
    Done(String),
    /// An answer that another attempt would not change.
    Refused(String),
    /// No answer, or the receiver's own failure.
    Failed(String),
}

async fn post(
    shared: &Shared,
    client: &Client<HttpConnector, Full<Bytes>>,
    target: &RelayTarget,
    body: &str,
) -> Outcome {
    let now_ms = shared.lock().clock.at(Instant::now());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target.url.clone())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(secret) = &target.secret {
        request = request.header("Switchback-Signature", sign(secret, now_ms / 1000, body));
    }
    let request = match request.body(Full::new(Bytes::from(body.to_string()))) {
        Ok(request) => request,
        Err(error) => return Outcome::Refused(format!("The relay request is malformed: {error}")),
    };
    let answered = tokio::time::timeout(ATTEMPT, async {
        let response = client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        // The body is read to the end so that the connection can be used again.
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok::<_, String>((status, String::from_utf8_lossy(&body).into_owned()))
    })
    .await;
    match answered {
        Ok(Ok((status, body))) if status.is_success() => Outcome::Done(body),
        Ok(Ok((status, _))) if status.is_server_error() => {
            Outcome::Failed(format!("The relay was answered with HTTP {status}."))
        }
        Ok(Ok((status, _))) => {
            Outcome::Refused(format!("The relay was answered with HTTP {status}."))
        }
        Ok(Err(error)) => Outcome::Failed(format!("The relay could not post: {error}.")),
        Err(_) => Outcome::Failed(format!("The relay had no answer within {ATTEMPT:?}.")),
    }
}

/// The value of `Switchback-Signature` for `body` at `seconds` since 1970 UTC.
pub fn sign(secret: &str, seconds: i64, body: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_covers_time_and_body() {
        // printf '1763683200.{"a":1}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            sign("secret", 1_763_683_200, r#"{"a":1}"#),
            "t=1763683200,v1=b55ffd25d0e06a38be5c28d102781d64460804e5a70a6250ec9fd5dc95624c67"
        );
    }

    #[test]
    fn only_complete_http_addresses_are_targets() {
        assert!(RelayTarget::new("http://127.0.0.1:3000/api/v1/hooks/codedeploy", None).is_ok());
        for url in ["https://a/b", "/api", "127.0.0.1:3000", ""] {
            assert!(RelayTarget::new(url, None).is_err(), "{url}");
        }
    }
}
