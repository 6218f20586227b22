//! Whether the process lives, whether it can work, and its numbers.

use crate::Deps;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::StatusCode;
use http::header;
use serde_json::json;
use std::fmt::Write;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Numbers that are counted where things happen.
pub struct Metrics {
    /// Answers by HTTP status, from 100.
    by_status: [AtomicU64; 500],
    /// Time until the head of the answer was ready, in microseconds, over all requests.
    micros: AtomicU64,
    /// Open event streams.
    pub streams: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            by_status: [const { AtomicU64::new(0) }; 500],
            micros: AtomicU64::new(0),
            streams: AtomicI64::new(0),
        }
    }
}

impl Metrics {
    /// One answer.
    pub fn count(&self, status: StatusCode, took: Duration) {
        if let Some(counter) = self
            .by_status
            .get(usize::from(status.as_u16()).wrapping_sub(100))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// GET /healthz: the process answers.
pub async fn healthz() -> Response {
    Json(json!({ "alive": true })).into_response()
}

/// GET /readyz: the database answers, and AWS was looked at once or it is known why not.
pub async fn readyz(State(deps): State<Deps>) -> Response {
    let readiness = readiness(&deps).await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness.document)).into_response()
}

/// Whether everything answers, and what was found.
pub struct Readiness {
    /// Whether requests can be served.
    pub ready: bool,
    /// The details.
    pub document: serde_json::Value,
}

/// Looks. Trouble with AWS does not make the desk unready: history and recorded revisions are wanted most then.
pub async fn readiness(deps: &Deps) -> Readiness {
    let database = match deps.store.ready().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database does not answer"
            );
            false
        }
    };
    let looks = deps.consoles.looks();
    let looked = looks
        .iter()
        .any(|look| look.at.is_some() || look.trouble.is_some());
    let ready = database && (looked || !deps.watches);
    // Anybody may ask, and AWS's own words name accounts and principals. They are in the log, where
    // each look that fails is written down, and on the pages.
    let regions: Vec<serde_json::Value> = looks
        .iter()
        .map(|look| {
            let last_look = match (&look.trouble, look.at) {
                (Some(_), _) => "failed",
                (None, Some(_)) => "ended well",
                (None, None) => "not yet",
            };
            let code = look.trouble.as_deref().and_then(code_of);
            json!({ "region": look.region, "last_look_at": look.at, "last_look": last_look, "code": code })
        })
        .collect();
    Readiness {
        ready,
        document: json!({
            "ready": ready,
            "database": if database { "answers" } else { "does not answer" },
            "aws": regions,
        }),
    }
}

/// AWS's code in `codedeploy:ListDeployments: AccessDeniedException: …`; `None` in any other sentence.
fn code_of(trouble: &str) -> Option<&str> {
    let (_, rest) = trouble.split_once(": ")?;
    let (code, _) = rest.split_once(": ")?;
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then_some(code)
}

/// GET /metrics, in Prometheus's text format.
pub async fn metrics(State(deps): State<Deps>) -> Result<Response, Problem> {
    let failed = |error| Problem::of_store(&error, "count for the metrics");
    let open_gates = deps.store.gate_list_open().await.map_err(failed)?.len();
    let active = deps
        .store
        .deployment_list_active()
        .await
        .map_err(failed)?
        .len();
    let mut text = String::new();
    let mut requests = 0;
    family(
        &mut text,
        "switchback_http_requests_total",
        "counter",
        "Answers by HTTP status.",
    );
    for (index, counter) in deps.metrics.by_status.iter().enumerate() {
        let count = counter.load(Ordering::Relaxed);
        requests += count;
        if count > 0 {
            line(
                &mut text,
                &format!(
                    "switchback_http_requests_total{{status=\"{}\"}}",
                    index + 100
                ),
                count,
            );
        }
    }
    let seconds = Duration::from_micros(deps.metrics.micros.load(Ordering::Relaxed)).as_secs_f64();
    let name = "switchback_http_request_duration_seconds";
    family(
        &mut text,
        name,
        "summary",
        "Time until the head of the answer was ready.",
    );
    line(&mut text, &format!("{name}_sum"), seconds);
    line(&mut text, &format!("{name}_count"), requests);
    for (name, help, value) in [
        (
            "switchback_event_streams",
            "Open event streams.",
            deps.metrics.streams.load(Ordering::Relaxed),
        ),
        (
            "switchback_open_gates",
            "Gates that wait for a decision.",
            open_gates as i64,
        ),
        (
            "switchback_active_deployments",
            "Deployments in progress or with an unknown end.",
            active as i64,
        ),
    ] {
        family(&mut text, name, "gauge", help);
        line(&mut text, name, value);
    }
    let looks = deps.consoles.looks();
    let name = "switchback_aws_trouble";
    family(
        &mut text,
        name,
        "gauge",
        "1 while the last look at AWS went wrong.",
    );
    for look in &looks {
        line(
            &mut text,
            &format!("{name}{{region=\"{}\"}}", look.region),
            u8::from(look.trouble.is_some()),
        );
    }
    let name = "switchback_aws_last_look_age_seconds";
    family(
        &mut text,
        name,
        "gauge",
        "Seconds since a look at AWS ended well, by the account's clock.",
    );
    for look in &looks {
        if let Some(at) = look.at {
            let age = deps.consoles.clock().millis_since(at) as f64 / 1000.0;
            line(
                &mut text,
                &format!("{name}{{region=\"{}\"}}", look.region),
                age,
            );
        }
    }
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_told() {
        for (trouble, code) in [
            (
                "codedeploy:ListDeployments: AccessDeniedException: User: arn:aws:iam::123456789012:user/x is not",
                Some("AccessDeniedException"),
            ),
            (
                "sts:GetCallerIdentity: NoAnswer: it took too long",
                Some("NoAnswer"),
            ),
            ("The database did not answer.", None),
            ("User: arn:aws:iam::123456789012:user/x: is not", None),
            ("a: : b", None),
            ("", None),
        ] {
            assert_eq!(code_of(trouble), code, "{trouble}");
        }
    }
}
