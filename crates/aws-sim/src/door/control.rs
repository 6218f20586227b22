//! `/_sim`: looking at the simulation and steering it, beside the AWS endpoint on the same port.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::door::Shared;
use crate::door::clock::{FASTEST, rfc3339};
use crate::door::faults::Fault;

/// The farthest that one push of the clock may go: a month of simulated time.
const FARTHEST_S: f64 = 31.0 * 86_400.0;

/// Every path below `/_sim`.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sim/state", get(state))
        .route("/_sim/journal", get(journal))
        .route("/_sim/clock", get(show_clock).post(set_clock))
        .route("/_sim/hooks", post(set_hook))
        .route("/_sim/pages", post(set_pages))
        .route("/_sim/disturbances", post(disturb))
        .route("/_sim/forget", post(forget))
        .route(
            "/_sim/faults",
            get(list_faults).post(add_faults).delete(remove_faults),
        )
        .route("/_sim", get(overview))
        .route("/_sim/{*rest}", get(unknown))
}

/// An answer with a status, as JSON.
fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn refused(message: impl Into<String>) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "error": message.into() }))
}

/// Reads a body as JSON whatever its content type says: it is typed by hand into curl.
fn read<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("{error}; expected {example}"))
}

async fn overview() -> Response {
    answer(
        StatusCode::OK,
        &json!({ "page": "/_sim/", "paths": ["/_sim/state", "/_sim/journal", "/_sim/clock", "/_sim/hooks", "/_sim/pages", "/_sim/disturbances", "/_sim/forget", "/_sim/faults"] }),
    )
}

async fn unknown() -> Response {
    answer(
        StatusCode::NOT_FOUND,
        &json!({ "error": "there is no such path below /_sim" }),
    )
}

async fn state(State(shared): State<Arc<Shared>>) -> Response {
    let mut simulation = shared.lock();
    simulation.catch_up(Instant::now());
    answer(StatusCode::OK, &simulation.state())
}

async fn journal(State(shared): State<Arc<Shared>>) -> Response {
    let mut simulation = shared.lock();
    simulation.catch_up(Instant::now());
    let journal = simulation.journal_as_json();
    drop(simulation);
    ([(header::CONTENT_TYPE, "application/json")], journal).into_response()
}

fn clock_answer(shared: &Shared) -> Response {
    let mut simulation = shared.lock();
    let now = simulation.catch_up(Instant::now());
    let clock = json!({ "now": rfc3339(now), "speed": simulation.clock.speed() });
    answer(StatusCode::OK, &clock)
}

async fn show_clock(State(shared): State<Arc<Shared>>) -> Response {
    clock_answer(&shared)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_s: Option<f64>,
    speed: Option<f64>,
}

async fn set_clock(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let change: ClockChange = match read(&body, r#"{"advance_s": N} or {"speed": N}"#) {
        Ok(change) => change,
        Err(message) => return refused(message),
    };
    let changed = match (change.advance_s, change.speed) {
        (Some(seconds), None) => shared.advance(seconds),
        (None, Some(speed)) => shared.set_speed(speed),
        _ => Err(r#"give either {"advance_s": N} or {"speed": N}"#.to_string()),
    };
    match changed {
        Ok(()) => clock_answer(&shared),
        Err(message) => refused(message),
    }
}

impl Shared {
    /// Pushes simulated time forward by so many seconds, doing everything that happens on the way.
    pub fn advance(&self, seconds: f64) -> Result<(), String> {
        if !seconds.is_finite() || !(0.0..=FARTHEST_S).contains(&seconds) {
            return Err(format!(
                "advance_s must be from 0 to {FARTHEST_S}, not {seconds}"
            ));
        }
        let mut simulation = self.lock();
        simulation.catch_up(Instant::now());
        simulation.clock.push((seconds * 1000.0) as i64);
        simulation.catch_up(Instant::now());
        Ok(())
    }

    /// The tasks of a revision answer this share of their requests with a 5xx from now on; `None` ends it.
    pub fn disturb(&self, task_definition: &str, error_rate: Option<f64>) -> Result<(), String> {
        if let Some(rate) = error_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(format!("error_rate must be from 0 to 1, not {rate}"));
        }
        let mut simulation = self.lock();
        simulation.catch_up(Instant::now());
        if simulation.world.disturb(task_definition, error_rate) {
            Ok(())
        } else {
            Err(format!("there is no task definition {task_definition}"))
        }
    }

    /// Lets so many simulated seconds pass each second; 0 holds time still.
    pub fn set_speed(&self, speed: f64) -> Result<(), String> {
        if !speed.is_finite() || !(0.0..=FASTEST).contains(&speed) {
            return Err(format!("speed must be from 0 to {FASTEST}, not {speed}"));
        }
        let mut simulation = self.lock();
        let instant = Instant::now();
        simulation.catch_up(instant);
        simulation.clock.set_speed(speed, instant);
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HookBehaviour {
    function: String,
    behaves: String,
}

async fn set_hook(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let hook: HookBehaviour = match read(&body, r#"{"function": NAME, "behaves": BEHAVIOUR}"#) {
        Ok(hook) => hook,
        Err(message) => return refused(message),
    };
    let mut simulation = shared.lock();
    simulation.catch_up(Instant::now());
    if simulation
        .world
        .set_hook_behaviour(&hook.function, &hook.behaves)
    {
        answer(
            StatusCode::OK,
            &json!({ "function": hook.function, "behaves": hook.behaves }),
        )
    } else {
        refused(format!(
            "there is no behaviour {:?}: use succeed, fail, silent, succeed-after-N (simulated seconds) or relay",
            hook.behaves
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disturbance {
    task_definition: String,
    error_rate: Option<f64>,
}

async fn disturb(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    const EXAMPLE: &str = r#"{"task_definition": ARN, "error_rate": 0.3} or null to end it"#;
    let asked: Disturbance = match read(&body, EXAMPLE) {
        Ok(asked) => asked,
        Err(message) => return refused(message),
    };
    match shared.disturb(&asked.task_definition, asked.error_rate) {
        Ok(()) => answer(
            StatusCode::OK,
            &json!({ "task_definition": asked.task_definition, "error_rate": asked.error_rate }),
        ),
        Err(message) => refused(message),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageSize {
    items: usize,
}

async fn set_pages(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match read::<PageSize>(&body, r#"{"items": N}"#) {
        Ok(PageSize { items: 0 }) => refused("items must be 1 or more"),
        Ok(PageSize { items }) => {
            shared.lock().world.set_page_limit(items);
            answer(StatusCode::OK, &json!({ "items": items }))
        }
        Err(message) => refused(message),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    deployment: String,
}

async fn forget(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match read::<Forgotten>(&body, r#"{"deployment": ID}"#) {
        Ok(Forgotten { deployment }) => {
            let mut simulation = shared.lock();
            simulation.catch_up(Instant::now());
            if simulation.world.forget_deployment(&deployment) {
                answer(StatusCode::OK, &json!({ "deployment": deployment }))
            } else {
                refused(format!(
                    "there is no deployment {deployment:?} that has ended"
                ))
            }
        }
        Err(message) => refused(message),
    }
}

async fn list_faults(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &shared.lock().list_faults())
}

async fn add_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    const EXAMPLE: &str = r#"{"service": "codedeploy", "operation": "CreateDeployment", "fault": "throttle", "every": 3}"#;
    let given: Json = match read(&body, EXAMPLE) {
        Ok(given) => given,
        Err(message) => return refused(message),
    };
    let one = given.is_object();
    let rules: Result<Vec<Fault>, _> = match given {
        Json::Array(rules) => rules.into_iter().map(serde_json::from_value).collect(),
        rule => serde_json::from_value(rule).map(|rule| vec![rule]),
    };
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => return refused(format!("{error}; expected {EXAMPLE}")),
    };
    let mut simulation = shared.lock();
    let mut added = Vec::new();
    for rule in rules {
        match simulation.add_fault(rule) {
            Ok(active) => added.push(active),
            Err(message) => {
                // All or none: a test that asked for two faults must not run with one.
                for active in added {
                    simulation.remove_faults(Some(active.id));
                }
                return refused(message);
            }
        }
    }
    match added.as_slice() {
        [active] if one => answer(StatusCode::OK, active),
        added => answer(StatusCode::OK, &added),
    }
}

async fn remove_faults(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let mut only = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match value.parse() {
            Ok(id) if name == "id" => only = Some(id),
            _ => return refused("the only parameter is id=N, the number of one fault"),
        }
    }
    let removed = shared.lock().remove_faults(only);
    answer(StatusCode::OK, &json!({ "removed": removed }))
}
