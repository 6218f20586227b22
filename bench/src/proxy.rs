//! Something that stands between two others, hands on what comes, and remembers when it came.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use hyper::StatusCode;
use tokio::net::TcpListener;

use crate::wire::Http;

/// What came, and when its last byte was here.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The AWS operation, or the path of anything else.
    pub what: String,
    /// When.
    pub at: Instant,
}

/// The one between.
#[derive(Clone)]
pub struct Proxy {
    /// Where it answers.
    pub base: String,
    state: Arc<Shared>,
}

struct Shared {
    to: Mutex<Option<Http>>,
    passed: Mutex<Vec<Passed>>,
}

impl Proxy {
    /// Answers from now on; what comes before [`Proxy::lead_to`] is told to come again.
    pub async fn start() -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Shared {
            to: Mutex::new(None),
            passed: Mutex::new(Vec::new()),
        });
        let router = Router::new().fallback(pass).with_state(state.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the proxy ended: {error}");
            }
        });
        Ok(Proxy { base, state })
    }

    /// Where everything goes.
    pub fn lead_to(&self, base: &str) {
        *locked(&self.state.to) = Some(Http::new(base));
    }

    /// Everything that has passed.
    pub fn passed(&self) -> Vec<Passed> {
        locked(&self.state.passed).clone()
    }

    /// The first that passed after this moment and is called so.
    pub fn first_after(&self, what: &str, after: Instant) -> Option<Instant> {
        let passed = locked(&self.state.passed);
        let found = passed.iter().rev().take_while(|passed| passed.at > after);
        found
            .filter(|passed| passed.what == what)
            .last()
            .map(|passed| passed.at)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(state): State<Arc<Shared>>, request: Request) -> Response {
    match passed_on(&state, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

async fn passed_on(state: &Shared, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let at = Instant::now();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_string();
    let what = operation(&parts.headers, &path, &body);
    locked(&state.passed).push(Passed { what, at });
    let to = locked(&state.to).clone().context("not yet")?;
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length" | "connection"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let answer = to.send(parts.method, &path, &headers, body).await?;
    let mut response = Response::new(axum::body::Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status)?;
    for (name, value) in &answer.headers {
        if !matches!(
            name.as_str(),
            "content-length" | "connection" | "transfer-encoding"
        ) {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(response)
}

/// AWS's three ways to name an operation: a header, the path, the form.
fn operation(headers: &hyper::HeaderMap, path: &str, body: &Bytes) -> String {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    if let Some((_, operation)) = target.and_then(|target| target.split_once('.')) {
        return operation.to_string();
    }
    if let Some((_, operation)) = path.split_once("/operation/") {
        return operation.to_string();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    form.split('&')
        .find_map(|pair| pair.strip_prefix("Action="))
        .unwrap_or(path)
        .to_string()
}
