//! HTTP onto the world: one port that speaks AWS's protocols, and `/_sim` beside them.
//!
//! A request is first understood ([`wire`]), then done under one lock ([`simulation`]), then answered
//! in its own protocol. Before anything is done the account is brought to the present, so that a
//! caller never sees a moment twice or out of order.

mod buckets;
pub mod cbor;
pub mod clock;
mod control;
pub mod dynamodb;
pub mod faults;
pub mod json;
mod page;
pub mod query;
mod queues;
pub mod relay;
pub mod s3;
mod signatures;
pub mod simulation;
pub mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;
use tracing::debug;

use crate::door::clock::{FASTEST, http_date};
use crate::door::faults::{ActiveFault, Fault, FaultKind, Harm};
use crate::door::json::{TimeForm, to_json};
use crate::door::queues::Waiting;
use crate::door::relay::RelayTarget;
use crate::door::signatures::{Signatures, Signed};
use crate::door::simulation::{Call, JournalEntry, REGION, Simulation, is_read_only};
use crate::door::wire::Credential;
use crate::error::AwsError;
use crate::story;
use crate::story::{Progress, Started};
use crate::world::sabotage::Sabotage;

/// The largest body that is read. AWS's own limits for these services are far below it.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// How often the account is brought to the present when nobody calls, on the wall clock.
const TICK: Duration = Duration::from_millis(50);

/// How a simulation is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Simulated seconds that pass each second, from 0 (time stands still) to [`FASTEST`].
    pub speed: f64,
    /// Every random choice comes from it.
    pub seed: u64,
    /// Whether the account starts with nothing in it, instead of with the story's teams and their past.
    pub empty: bool,
    /// The complete URL that hook functions of the relay post to.
    pub relay_url: Option<String>,
    /// The secret that posts are signed with; without it they carry no signature.
    pub relay_secret: Option<String>,
    /// The simulated time to start at, in milliseconds since 1970 UTC: the machine's time.
    pub start_ms: i64,
    /// Told how far the account has come with its past, once for each day.
    pub progress: fn(Progress),
}

/// Why a simulation does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The speed is no number, negative, or more than [`FASTEST`].
    #[error("the speed must be from 0 to {FASTEST}, not {0}")]
    Speed(f64),
    /// The relay URL cannot be posted to.
    #[error("the relay URL cannot be used: {0}")]
    RelayUrl(String),
    /// The pretend teams were refused something while the account was filled.
    #[error("the story could not be told")]
    Story(#[from] story::StoryError),
    /// Whatever runs the simulation ended while the account was filled.
    #[error("the story was interrupted")]
    Interrupted,
}

/// What connections, the tick and the relay share.
pub struct Shared {
    simulation: Mutex<Simulation>,
    relay: Mutex<Option<RelayTarget>>,
    tables: dynamodb::Tables,
    signatures: Mutex<Option<Signatures>>,
    /// The machine's time at an instant, as the simulation was told it.
    started: (i64, Instant),
}

impl Shared {
    /// The simulation. A panic of another holder does not end it: the next caller sees what is there.
    pub fn lock(&self) -> MutexGuard<'_, Simulation> {
        self.simulation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables of DynamoDB.
    pub fn tables(&self) -> &dynamodb::Tables {
        &self.tables
    }

    /// What is wrong with the signature of a request, if signatures are verified.
    fn signature_error(&self, request: &Signed<'_>) -> Option<AwsError> {
        let signatures = self
            .signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let session = |access_key: &str| self.lock().session_secret(access_key);
        let checked = signatures
            .as_ref()?
            .check(request, &session, Instant::now());
        checked.err()
    }

    /// Where hooks are posted now.
    pub fn relay_target(&self) -> Option<RelayTarget> {
        self.relay
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A simulation that runs. It stops when this is dropped or told to shut down.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The region that the story plays in; any other answers as well.
    pub region: &'static str,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// What clients take as `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The simulated time, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        self.shared.lock().catch_up(Instant::now())
    }

    /// Pushes simulated time forward by so many seconds, or says why not.
    pub fn advance(&self, seconds: f64) -> Result<(), String> {
        self.shared.advance(seconds)
    }

    /// Lets so many simulated seconds pass each second, or says why not.
    pub fn set_speed(&self, speed: f64) -> Result<(), String> {
        self.shared.set_speed(speed)
    }

    /// Posts hooks to another URL from now on, or says what is wrong with it.
    pub fn set_relay(&self, url: &str, secret: Option<String>) -> Result<(), String> {
        let target = RelayTarget::new(url, secret)?;
        *self
            .shared
            .relay
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(target);
        Ok(())
    }

    /// From now on verifies every signature: with the secrets of these access keys, or of those that AssumeRole
    /// hands out, and with a clock that is at most five minutes off the machine's. Without this any
    /// signature is accepted.
    pub fn verify_signatures(&self, secrets: BTreeMap<String, String>) {
        let (start_ms, since) = self.shared.started;
        let mut signatures = self
            .shared
            .signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *signatures = Some(Signatures::new(secrets, start_ms, since));
    }

    /// The simulated time and how many simulated seconds pass each second.
    pub fn clock(&self) -> (i64, f64) {
        let mut simulation = self.shared.lock();
        let now_ms = simulation.catch_up(Instant::now());
        (now_ms, simulation.clock.speed())
    }

    /// Something outside the account breaks for one revision: its tasks answer the share `error_rate`
    /// (0 to 1) of their requests with a 5xx from now on; `None` ends it. Says what is wrong with it.
    pub fn disturb(&self, task_definition: &str, error_rate: Option<f64>) -> Result<(), String> {
        self.shared.disturb(task_definition, error_rate)
    }

    /// Lets a pretend team that releases through a gate start its next release now, or says why none can.
    pub fn start_canary(&self) -> Result<Started, String> {
        let mut simulation = self.shared.lock();
        simulation.catch_up(Instant::now());
        simulation.start_canary()
    }

    /// How long it is, in simulated time, until a pretend team that releases through a gate starts its next
    /// release by itself; `None` while all of them have something under way, or there are none.
    pub fn next_canary(&self) -> Option<Duration> {
        let mut simulation = self.shared.lock();
        simulation.catch_up(Instant::now());
        simulation.next_canary()
    }

    /// Gives a hook function one of the named behaviours; false if there is no such behaviour.
    pub fn set_hook_behaviour(&self, function: &str, behaves: &str) -> bool {
        let mut simulation = self.shared.lock();
        simulation.catch_up(Instant::now());
        simulation.world.set_hook_behaviour(function, behaves)
    }

    /// Answers every list in pages of at most so many items, as a test of paging wants.
    pub fn set_page_limit(&self, items: usize) {
        self.shared.lock().world.set_page_limit(items);
    }

    /// Puts a fault in force, or says what is wrong with it.
    pub fn add_fault(&self, fault: Fault) -> Result<ActiveFault, String> {
        self.shared.lock().add_fault(fault)
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.shared.lock().list_faults()
    }

    /// Takes one fault out of force, or all; says how many.
    pub fn remove_faults(&self, id: Option<u64>) -> usize {
        self.shared.lock().remove_faults(id)
    }

    /// Every call that changed something or tried to, in order.
    pub fn journal(&self) -> Vec<JournalEntry> {
        let mut simulation = self.shared.lock();
        simulation.catch_up(Instant::now());
        simulation.journal()
    }

    /// The whole account, as `/_sim/state` tells it.
    pub fn state(&self) -> serde_json::Value {
        let mut simulation = self.shared.lock();
        simulation.catch_up(Instant::now());
        simulation.state()
    }

    /// Stops listening, ends all connections and waits until everything has ended.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

/// Starts a simulation. It answers from the moment this returns.
pub async fn serve(options: Options) -> Result<Running, ServeError> {
    run(options, None).await
}

/// Starts a simulation that is wrong in one way, so that a test can show that the wrong is noticed.
pub async fn serve_sabotaged(options: Options, sabotage: Sabotage) -> Result<Running, ServeError> {
    run(options, Some(sabotage)).await
}

async fn run(options: Options, sabotage: Option<Sabotage>) -> Result<Running, ServeError> {
    if !options.speed.is_finite() || !(0.0..=FASTEST).contains(&options.speed) {
        return Err(ServeError::Speed(options.speed));
    }
    let relay = match &options.relay_url {
        Some(url) => Some(
            RelayTarget::new(url, options.relay_secret.clone()).map_err(ServeError::RelayUrl)?,
        ),
        None => None,
    };
    let listen_failed = |source| ServeError::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(listen_failed)?;
    let address = listener.local_addr().map_err(listen_failed)?;

    let (effects, wanted) = mpsc::unbounded_channel();
    let mut simulation = if options.empty {
        Simulation::new(options.seed, options.start_ms, effects)
    } else {
        // A month takes seconds, in which others may want this thread.
        let (seed, start_ms, mut progress) = (options.seed, options.start_ms, options.progress);
        let told = tokio::task::spawn_blocking(move || {
            story::begin(seed, start_ms, effects, &mut progress)
        });
        told.await.map_err(|_| ServeError::Interrupted)??
    };
    if let Some(sabotage) = sabotage {
        simulation.world.sabotage(sabotage);
    }
    // The past was lived through before the clock begins to run.
    let started = (options.start_ms, Instant::now());
    simulation.start(started.0, started.1, options.speed);
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        simulation: Mutex::new(simulation),
        relay: Mutex::new(relay),
        tables: dynamodb::Tables::new(stopped.clone()),
        signatures: Mutex::new(None),
        started,
    });

    let tasks = vec![
        tokio::spawn(until(stopped.clone(), tick(shared.clone()))),
        tokio::spawn(until(
            stopped.clone(),
            relay::perform_effects(shared.clone(), wanted),
        )),
        tokio::spawn(listen(listener, shared.clone(), stopped)),
    ];
    Ok(Running {
        address,
        region: REGION,
        shared,
        stop,
        tasks,
    })
}

/// Does the work until it ends or everything is stopped.
async fn until(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        // An error means that whoever could stop it is gone, which stops it as well.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn tick(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.lock().catch_up(Instant::now());
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let router = control::routes()
        .merge(page::routes())
        .fallback(aws)
        .with_state(shared.clone());
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, shared.clone(), router.clone());
                    connections.spawn(until(stopped.clone(), connection));
                }
                // Out of file descriptors, for example: wait for one instead of spinning.
                Err(error) => {
                    debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    };
    until(stopped.clone(), accept).await;
    while connections.join_next().await.is_some() {}
}

/// The mark of an answer that must never be sent.
#[derive(Clone, Copy, Debug)]
struct Unsent;

/// Closes a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Cut;

async fn connection(stream: TcpStream, shared: Arc<Shared>, router: axum::Router) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (shared, router) = (shared.clone(), router.clone());
        async move {
            let response: Result<Response<Body>, Infallible> =
                router.oneshot(request.map(Body::new)).await;
            let Ok(mut response) = response;
            if response.extensions().get::<Unsent>().is_some() {
                return Err(Cut);
            }
            let now_ms = shared.lock().clock.at(Instant::now());
            if let Ok(date) = HeaderValue::from_str(&http_date(now_ms)) {
                response.headers_mut().insert(header::DATE, date);
            }
            Ok(response)
        }
    });
    let outcome = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = outcome {
        debug!(%error, "a connection ended early");
    }
}

/// Everything that is not `/_sim`: an AWS request, or nothing we know.
async fn aws(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = if error.downcast_ref::<LengthLimitError>().is_some() {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            };
            return response;
        }
    };
    let signed = Signed {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
        body: &body,
    };
    let unsigned = shared.signature_error(&signed);
    let for_tables = dynamodb::operation(&parts.method, &parts.headers);
    if let (Some(operation), None) = (for_tables, &unsigned) {
        return dynamodb::answer(&shared, &operation, &parts, body).await;
    }
    let credential = Credential::of(&parts.headers, &parts.uri);
    if let Some(credential) = credential.as_ref().filter(|one| s3::is_meant(one)) {
        return s3::answer(&shared, credential, &parts, body, unsigned).await;
    }
    let understood = wire::understand(&parts.method, &parts.uri, &parts.headers, &body);
    if let Some(error) = unsigned {
        return refused_unsigned(&shared, &understood, &error).map(Body::from);
    }
    let (response, harm) = match done(&shared, understood, credential.as_ref(), &parts.headers) {
        Done::Answered(response, harm) => (response, harm),
        Done::Waits(waiting) => return queues::answer_later(&shared, &waiting).await,
    };
    match harm.map(|harm| harm.kind) {
        Some(FaultKind::Slow) => {
            tokio::time::sleep(harm.map_or(Duration::ZERO, |harm| harm.delay)).await;
        }
        Some(FaultKind::ResponseLost | FaultKind::ConnectionCut) => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(Unsent);
            return response;
        }
        _ => {}
    }
    response.map(Body::from)
}

/// The refusal of a request whose signature is wrong, in the protocol that it is written in.
fn refused_unsigned(
    shared: &Shared,
    understood: &Result<wire::Request, wire::Refusal>,
    error: &AwsError,
) -> Response<Vec<u8>> {
    let request_id = shared.lock().next_request_id();
    let (protocol, service) = match understood {
        Ok(request) => (Some(request.protocol), Some(request.service)),
        Err(refusal) => (refusal.protocol, refusal.service),
    };
    match protocol {
        Some(protocol) => wire::refuse(protocol, service, error, &request_id),
        None => nothing_known(),
    }
}

/// What became of one request.
enum Done {
    /// Its answer, and the harm that is left to do, which is the connection's.
    Answered(Response<Vec<u8>>, Option<Harm>),
    /// It waits for a message.
    Waits(Box<Waiting>),
}

/// Does one request under the lock.
fn done(
    shared: &Shared,
    understood: Result<wire::Request, wire::Refusal>,
    credential: Option<&Credential>,
    headers: &HeaderMap,
) -> Done {
    let mut simulation = shared.lock();
    let now_ms = simulation.catch_up(Instant::now());
    let request_id = simulation.next_request_id();
    let request = match understood {
        Ok(request) => request,
        Err(refusal) => {
            let Some(protocol) = refusal.protocol else {
                return Done::Answered(nothing_known(), None);
            };
            debug!(operation = refusal.operation, error = %refusal.error, "refused");
            return Done::Answered(
                wire::refuse(protocol, refusal.service, &refusal.error, &request_id),
                None,
            );
        }
    };
    let refuse = |error: &AwsError| {
        wire::refuse(request.protocol, Some(request.service), error, &request_id)
    };
    let Some(credential) = credential else {
        let error = AwsError::caller(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
        return Done::Answered(refuse(&error), None);
    };
    let caller = simulation.caller(credential);
    let (service, operation, input) = (request.service.name, &*request.operation, &request.input);
    let read_only = is_read_only(service, operation);
    let place = (&*caller.account, &*caller.region);
    let overdrawn = simulation
        .faults
        .overdrawn(place, service, operation, now_ms);
    let harm = if overdrawn {
        Some(Harm::throttled())
    } else {
        let account = account_called(&caller, operation, input);
        simulation
            .faults
            .strike(&account, service, operation, read_only)
    };

    let fault = harm.map(|harm| harm.kind);
    let call = Call {
        caller: &caller,
        service,
        operation,
        input,
        request_id: &request_id,
        fault,
    };

    let kept_away = match harm.map(|harm| harm.kind) {
        Some(FaultKind::Throttle | FaultKind::ThrottleAsAws) => {
            Some(AwsError::caller("ThrottlingException", "Rate exceeded."))
        }
        Some(FaultKind::AccessDenied) => Some(AwsError::caller(
            "AccessDeniedException",
            not_allowed(&caller.principal, service, operation),
        )),
        Some(FaultKind::ErrorBefore) => Some(internal_failure()),
        Some(FaultKind::ConnectionCut) => Some(AwsError::service(
            "ConnectionCut",
            "The connection was cut before the effect.",
        )),
        _ => None,
    };
    if let (Some(error), Some(harm)) = (kept_away, harm) {
        simulation.write_down(&call, Some(&error));
        return Done::Answered(refuse(&error), Some(harm));
    }

    // While reads may be stale, each answer is kept so that it can be given again.
    let question = (read_only && simulation.faults.any_stale()).then(|| {
        let parameters = to_json(input, TimeForm::Rfc3339);
        format!(
            "{} {} {service} {operation} {parameters}",
            caller.account, caller.region
        )
    });
    if let (
        Some(question),
        Some(Harm {
            kind: FaultKind::Stale,
            stale_ms,
            ..
        }),
    ) = (&question, harm)
        && let Some(output) = simulation.faults.recall(question, now_ms, stale_ms)
    {
        return Done::Answered(wire::answer(&request, &output, &request_id), harm);
    }

    let mut outcome = simulation.call(&call);
    if service == "sqs" {
        outcome = outcome.map(|output| queues::with_host(output, headers));
    }
    let found_nothing = matches!(&outcome, Ok(output) if output.get("Messages").is_null());
    if (service, operation) == ("sqs", "ReceiveMessage") && found_nothing && harm.is_none() {
        let wait_s = simulation.world.wait_s(&caller, input);
        if wait_s > 0 {
            return Done::Waits(Box::new(Waiting {
                patience: Duration::from_secs(wait_s.unsigned_abs()),
                request,
                caller,
                request_id,
            }));
        }
    }
    if let (Some(question), Ok(output)) = (question, &outcome) {
        simulation.faults.remember(question, now_ms, output);
    }
    let response = match outcome {
        Ok(_) if fault == Some(FaultKind::ErrorAfter) => refuse(&internal_failure()),
        Ok(output) => wire::answer(&request, &output, &request_id),
        Err(error) => {
            debug!(service, operation, %error, "refused");
            refuse(&error)
        }
    };
    Done::Answered(response, harm)
}

/// The text of IAM's refusal where no policy allows an action. [K: the wording of all services since 2021]
fn not_allowed(principal: &str, service: &str, operation: &str) -> String {
    let service = match service {
        "monitoring" => "cloudwatch",
        other => other,
    };
    format!(
        "User: {principal} is not authorized to perform: {service}:{operation} on resource: * because no \
         identity-based policy allows the {service}:{operation} action"
    )
}

fn internal_failure() -> AwsError {
    AwsError::service(
        "InternalFailure",
        "The request processing has failed because of an unknown error.",
    )
}

fn nothing_known() -> Response<Vec<u8>> {
    const TEXT: &str = "This is a simulated AWS endpoint: point an AWS client at it with AWS_ENDPOINT_URL. \
                        Its own page is /_sim/.\n";
    let mut response = Response::new(TEXT.as_bytes().to_vec());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The account that a call is about: the caller's, but for `AssumeRole` that of the role.
fn account_called(
    caller: &crate::world::Caller,
    operation: &str,
    input: &crate::value::Value,
) -> String {
    let role = input.get("RoleArn").as_str();
    let of_role = role
        .filter(|_| operation == "AssumeRole")
        .and_then(|role| role.split(':').nth(4));
    of_role.unwrap_or(&caller.account).to_string()
}
