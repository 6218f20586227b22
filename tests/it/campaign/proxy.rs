//! A door between the product and the account: every call passes, and the one call that a run is about can
//! be held at the moment it arrives or when it has been answered, be lost, be refused, or be answered
//! with less than AWS knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What becomes of the next call that changes something.
pub enum Rule {
    /// It waits at the door until it is told to go on; its answer goes back if anybody still listens.
    HoldRequest(Held),
    /// It is passed on, and its answer waits.
    HoldAnswer(Held),
    /// So many calls are refused as forbidden.
    Forbid(u64),
}

/// The door's half of a held call.
pub struct Held {
    reached: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
    done: oneshot::Sender<()>,
}

/// The run's half.
pub struct Holding {
    /// Fires when the call stands at the door.
    pub reached: oneshot::Receiver<()>,
    /// Sent: it goes on. Dropped: it is lost.
    pub go_on: oneshot::Sender<()>,
    /// Fires when it has gone on and was answered.
    pub done: oneshot::Receiver<()>,
}

/// Two halves of a held call.
pub fn held() -> (Held, Holding) {
    let (reached, is_reached) = oneshot::channel();
    let (go, go_on) = oneshot::channel();
    let (done, is_done) = oneshot::channel();
    (
        Held {
            reached,
            go_on,
            done,
        },
        Holding {
            reached: is_reached,
            go_on: go,
            done: is_done,
        },
    )
}

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    /// While it is some, lists show only these deployments.
    listed: Option<BTreeSet<String>>,
    /// While it holds, nobody learns which deployment rolls another back.
    rollbacks_unnamed: bool,
}

struct Inner {
    to: String,
    client: Client<HttpConnector, Full<Bytes>>,
    state: Mutex<State>,
    reads: AtomicU64,
}

/// The door.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
    /// Where the product finds it.
    pub endpoint: String,
}

impl Door {
    /// Opens a door to the account.
    pub async fn open(to: &str) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port of this machine");
        let address = listener.local_addr().expect("the port's address");
        let inner = Arc::new(Inner {
            to: to.to_string(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            state: Mutex::default(),
            reads: AtomicU64::new(0),
        });
        let door = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let door = door.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let door = door.clone();
                        async move {
                            // A task of its own: a call goes on although its caller has died.
                            let answer = tokio::spawn(async move { door.pass(request).await });
                            answer.await.unwrap_or_else(|_| Err(Lost))
                        }
                    });
                    // An error is a caller that died or a call that was lost, both wanted.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Door {
            inner,
            endpoint: format!("http://{address}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.lock()
    }

    /// Lays down what becomes of the next call that changes something.
    pub fn expects(&self, rule: Rule) {
        self.state().rule = Some(rule);
    }

    /// From now on lists show only these deployments; `None` shows all.
    pub fn lists_only(&self, deployments: Option<BTreeSet<String>>) {
        self.state().listed = deployments;
    }

    /// Whether AWS keeps to itself which deployment rolls another back.
    pub fn names_no_rollbacks(&self, unnamed: bool) {
        self.state().rollbacks_unnamed = unnamed;
    }

    /// Everything passes again as it is.
    pub fn heal(&self) {
        *self.state() = State::default();
    }

    /// How many calls about deployments that only read have passed.
    pub fn reads(&self) -> u64 {
        self.inner.reads.load(Ordering::Relaxed)
    }
}

/// The connection closes without an answer.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("lost on purpose")
    }
}

impl std::error::Error for Lost {}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        let operation = operation(&parts.headers);
        let rule = if changes_something(&operation) {
            self.rule_for_one()
        } else {
            if operation.contains("Deployment") {
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
            None
        };
        let path = parts.uri.path().to_string();
        let forward = || self.forward(&parts.method, &path, &parts.headers, body.clone());
        let answer = match rule {
            None => forward().await?,
            Some(Rule::Forbid(_)) => return Ok(forbidden(&operation)),
            Some(Rule::HoldRequest(held)) => {
                let _ = held.reached.send(());
                held.go_on.await.map_err(|_| Lost)?;
                let answer = forward().await?;
                let _ = held.done.send(());
                answer
            }
            Some(Rule::HoldAnswer(held)) => {
                let answer = forward().await?;
                let _ = held.reached.send(());
                held.go_on.await.map_err(|_| Lost)?;
                let _ = held.done.send(());
                answer
            }
        };
        let (parts, body) = answer.into_parts();
        let body = self.withheld(&operation, body);
        let mut answer = Response::from_parts(parts, Full::new(body));
        // The body may be shorter than it was.
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(answer)
    }

    /// The rule, used up.
    fn rule_for_one(&self) -> Option<Rule> {
        let mut state = self.lock();
        match state.rule.take() {
            Some(Rule::Forbid(times)) => {
                if times > 1 {
                    state.rule = Some(Rule::Forbid(times - 1));
                }
                Some(Rule::Forbid(times))
            }
            rule => rule,
        }
    }

    async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, Lost> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.to));
        for (name, value) in headers {
            if name != header::HOST && name != header::CONTENT_LENGTH {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(body)).map_err(|_| Lost)?;
        // What the account's own faults do to a connection is done to this one too.
        let answer = self.client.request(request).await.map_err(|_| Lost)?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    /// The answer without what AWS keeps to itself for now.
    fn withheld(&self, operation: &str, body: Bytes) -> Bytes {
        let state = self.lock();
        if state.listed.is_none() && !state.rollbacks_unnamed {
            return body;
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return body;
        };
        if let (Some(listed), "ListDeployments") = (&state.listed, operation)
            && let Some(ids) = answer["deployments"].as_array_mut()
        {
            ids.retain(|id| id.as_str().is_some_and(|id| listed.contains(id)));
        }
        if let (Some(listed), "ListServiceDeployments") = (&state.listed, operation)
            && let Some(briefs) = answer["serviceDeployments"].as_array_mut()
        {
            briefs.retain(|brief| {
                let arn = brief["serviceDeploymentArn"].as_str();
                arn.is_some_and(|arn| listed.contains(arn))
            });
        }
        if state.rollbacks_unnamed
            && let Some(deployments) = answer["deploymentsInfo"].as_array_mut()
        {
            for deployment in deployments {
                if let Some(rollback) = deployment["rollbackInfo"].as_object_mut() {
                    rollback.remove("rollbackDeploymentId");
                }
            }
        }
        Bytes::from(answer.to_string())
    }
}

/// The operation as AWS names it; empty in protocols that name it elsewhere, none of which changes anything here.
fn operation(headers: &HeaderMap) -> String {
    headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.rsplit('.').next())
        .unwrap_or_default()
        .to_string()
}

fn changes_something(operation: &str) -> bool {
    matches!(
        operation,
        "PutLifecycleEventHookExecutionStatus"
            | "ContinueDeployment"
            | "StopDeployment"
            | "CreateDeployment"
            | "UpdateService"
            | "StopServiceDeployment"
    )
}

fn forbidden(operation: &str) -> Response<Full<Bytes>> {
    let body = json!({
        "__type": "AccessDeniedException",
        "message": format!("User is not authorized to perform: {operation}"),
    });
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    answer
}
