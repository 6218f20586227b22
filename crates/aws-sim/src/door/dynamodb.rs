//! DynamoDB behind the same door: an emulator answers, the door's faults stand before it.
//!
//! The emulator is dynoxide, which serves in this process on ports of its own, one for each account
//! and region that is asked for; its tables are in memory and end with the simulation. Nobody can
//! tell the difference but by three things that are done here: the request id, the account and region
//! in ARNs, and point-in-time recovery, which dynoxide does not know.
//!
//! Calls are not written into the journal: that is the record of the deployment services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::warn;

use crate::door::faults::{FaultKind, Harm};
use crate::door::wire::Credential;
use crate::door::{Shared, Unsent};

/// What stands before the operation in `X-Amz-Target`.
const TARGET: &str = "DynamoDB_20120810.";

/// The name that faults and credential scopes know the service by.
pub const SERVICE: &str = "dynamodb";

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// How dynoxide names every table's account and region.
const EMULATED: &str = "arn:aws:dynamodb:dynoxide:000000000000:";

/// The error shapes' name space.
const SHAPES: &str = "com.amazonaws.dynamodb.v20120810";

/// The tables of every account and region.
pub struct Tables {
    client: Client<HttpConnector, Full<Bytes>>,
    running: tokio::sync::Mutex<BTreeMap<(String, String), SocketAddr>>,
    /// Account, region and name of the tables with point-in-time recovery.
    recoverable: Mutex<BTreeSet<(String, String, String)>>,
    stopped: watch::Receiver<bool>,
}

impl Tables {
    /// No tables yet. Emulators are started when they are asked for, and end when `stopped` turns true.
    pub fn new(stopped: watch::Receiver<bool>) -> Tables {
        Tables {
            client: Client::builder(TokioExecutor::new()).build_http(),
            running: tokio::sync::Mutex::new(BTreeMap::new()),
            recoverable: Mutex::new(BTreeSet::new()),
            stopped,
        }
    }

    /// Where the tables of an account and region answer.
    async fn address(&self, account: &str, region: &str) -> Result<SocketAddr, String> {
        let mut running = self.running.lock().await;
        let place = (account.to_string(), region.to_string());
        if let Some(address) = running.get(&place) {
            return Ok(*address);
        }
        let database = dynoxide::Database::memory().map_err(|error| error.to_string())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut stopped = self.stopped.clone();
        let until_stopped = async move {
            // An error means that whoever could stop it is gone, which stops it as well.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        tokio::spawn(async move {
            let served =
                dynoxide::server::serve_with_shutdown(listener, database, until_stopped).await;
            if let Err(error) = served {
                warn!(error, "the simulated DynamoDB ended early");
            }
        });
        running.insert(place, address);
        Ok(address)
    }
}

/// The operation of a DynamoDB request; `None` for any other request.
pub fn operation(method: &Method, headers: &HeaderMap) -> Option<String> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    (method == Method::POST)
        .then(|| target.strip_prefix(TARGET))
        .flatten()
        .map(str::to_string)
}

/// What the emulator, or one of us, answered.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    fn ok(body: &Value) -> Answer {
        Answer {
            status: StatusCode::OK,
            body: Bytes::from(body.to_string()),
        }
    }

    fn error(status: StatusCode, code: &str, message: &str) -> Answer {
        let body = json!({ "__type": format!("{SHAPES}#{code}"), "message": message });
        Answer {
            status,
            body: Bytes::from(body.to_string()),
        }
    }

    fn internal() -> Answer {
        Answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "Internal server error",
        )
    }
}

/// Answers one request, with the harm that a fault wants done to it.
pub async fn answer(
    shared: &Shared,
    operation: &str,
    parts: &request::Parts,
    body: Bytes,
) -> Response<Body> {
    let credential = Credential::of(&parts.headers, &parts.uri);
    // The lock is given back before the emulator is asked.
    let (request_id, caller, harm) = {
        let mut simulation = shared.lock();
        simulation.catch_up(Instant::now());
        let request_id = simulation.next_request_id();
        let Some(credential) = credential else {
            let answer = Answer::error(
                StatusCode::BAD_REQUEST,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            );
            return response(answer, &request_id);
        };
        // Never stale: what a table answers is not remembered.
        let caller = simulation.caller(&credential);
        let harm = simulation
            .faults
            .strike(&caller.account, SERVICE, operation, false);
        (request_id, caller, harm)
    };
    if let Some(answer) = kept_away(harm, operation, &body) {
        return response(answer, &request_id);
    }
    if harm.is_some_and(|harm| harm.kind == FaultKind::ConnectionCut) {
        return unsent();
    }
    let place = (caller.account, caller.region);
    let answer = match operation {
        "DescribeContinuousBackups" | "UpdateContinuousBackups" => {
            backups(shared, operation, &place, parts, &body).await
        }
        _ => ask(shared, &place, parts, body).await,
    };
    let answer = answer.unwrap_or_else(|error| {
        warn!(error, operation, "the simulated DynamoDB did not answer");
        Answer::internal()
    });
    match harm.map(|harm| harm.kind) {
        Some(FaultKind::ErrorAfter) => response(Answer::internal(), &request_id),
        Some(FaultKind::ResponseLost) => unsent(),
        Some(FaultKind::Slow) => {
            tokio::time::sleep(harm.map_or(std::time::Duration::ZERO, |harm| harm.delay)).await;
            response(answer, &request_id)
        }
        _ => response(answer, &request_id),
    }
}

/// The answer of a fault that keeps the call from the tables.
fn kept_away(harm: Option<Harm>, operation: &str, body: &[u8]) -> Option<Answer> {
    match harm?.kind {
        FaultKind::Throttle => Some(Answer::error(
            StatusCode::BAD_REQUEST,
            "ThrottlingException",
            "Rate exceeded",
        )),
        FaultKind::AccessDenied => Some(Answer::error(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
            &format!("No identity-based policy allows the dynamodb:{operation} action"),
        )),
        FaultKind::ErrorBefore => Some(Answer::internal()),
        FaultKind::Conflict if operation == "TransactWriteItems" => {
            let request: Value = serde_json::from_slice(body).unwrap_or_default();
            let items = request["TransactItems"].as_array().map_or(1, Vec::len);
            // One item is held by somebody else's transaction, the others would have been fine.
            let reasons: Vec<Value> = (0..items)
                .map(|index| match index {
                    0 => json!({
                        "Code": "TransactionConflict",
                        "Message": "Transaction is ongoing for the item",
                    }),
                    _ => json!({ "Code": "None" }),
                })
                .collect();
            let words: Vec<&str> = reasons
                .iter()
                .filter_map(|reason| reason["Code"].as_str())
                .collect();
            let answer = json!({
                "__type": format!("{SHAPES}#TransactionCanceledException"),
                "Message": format!(
                    "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                    words.join(", ")
                ),
                "CancellationReasons": reasons,
            });
            Some(Answer {
                status: StatusCode::BAD_REQUEST,
                body: Bytes::from(answer.to_string()),
            })
        }
        FaultKind::Conflict => Some(Answer::error(
            StatusCode::BAD_REQUEST,
            "TransactionConflictException",
            "Transaction is ongoing for the item",
        )),
        FaultKind::ErrorAfter
        | FaultKind::ResponseLost
        | FaultKind::ConnectionCut
        | FaultKind::Slow
        | FaultKind::Stale
        // These never strike a call of DynamoDB.
        | FaultKind::ThrottleAsAws
        | FaultKind::HookSilent
        | FaultKind::EventLost
        | FaultKind::EventDuplicated
        | FaultKind::EventLate
        | FaultKind::EventOutOfOrder => None,
    }
}

/// Asks the emulator of that account and region.
async fn ask(
    shared: &Shared,
    place: &(String, String),
    parts: &request::Parts,
    body: Bytes,
) -> Result<Answer, String> {
    let tables = shared.tables();
    let address = tables.address(&place.0, &place.1).await?;
    let own = format!("arn:aws:dynamodb:{}:{}:", place.1, place.0);
    let body = replaced(body, &own, EMULATED);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}/"));
    for name in [
        "content-type",
        "x-amz-target",
        "authorization",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        if let Some(value) = parts.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let response = tables
        .client
        .request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    Ok(Answer {
        status,
        body: replaced(body, EMULATED, &own),
    })
}

/// The bytes with every `from` made a `to`; ARNs stand in requests and answers as plain text.
fn replaced(body: Bytes, from: &str, to: &str) -> Bytes {
    match std::str::from_utf8(&body) {
        Ok(text) if text.contains(from) => Bytes::from(text.replace(from, to)),
        _ => body,
    }
}

/// DescribeContinuousBackups and UpdateContinuousBackups [M: dynamodb/2012-08-10].
async fn backups(
    shared: &Shared,
    operation: &str,
    place: &(String, String),
    parts: &request::Parts,
    body: &[u8],
) -> Result<Answer, String> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let table = request["TableName"].as_str().unwrap_or_default();
    let mut describe = parts.clone();
    describe.headers.insert(
        "x-amz-target",
        HeaderValue::from_static("DynamoDB_20120810.DescribeTable"),
    );
    let known = json!({ "TableName": table }).to_string();
    let known = ask(shared, place, &describe, Bytes::from(known)).await?;
    if known.status != StatusCode::OK {
        return Ok(Answer::error(
            StatusCode::BAD_REQUEST,
            "TableNotFoundException",
            &format!("Table not found: {table}"),
        ));
    }
    let key = (place.0.clone(), place.1.clone(), table.to_string());
    let mut recoverable = shared
        .tables()
        .recoverable
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if operation == "UpdateContinuousBackups" {
        let wanted = &request["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
        match wanted.as_bool() {
            Some(true) => recoverable.insert(key.clone()),
            Some(false) => recoverable.remove(&key),
            None => {
                return Ok(Answer::error(
                    StatusCode::BAD_REQUEST,
                    "ValidationException",
                    "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled must not be null",
                ));
            }
        };
    }
    let recovery = if recoverable.contains(&key) {
        json!({ "PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 35 })
    } else {
        json!({ "PointInTimeRecoveryStatus": "DISABLED" })
    };
    Ok(Answer::ok(&json!({
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        },
    })))
}

fn response(answer: Answer, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn unsent() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Unsent);
    response
}
