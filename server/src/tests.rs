//! HTTP from the outside: a real store, the real router and pages, and a small console behind them.

use super::*;
use crate::desk::Consoles;
use crate::desk::HookAnswer;
use crate::desk::Look;
use crate::people::NewToken;
use crate::people::NewUser;
use crate::routes::Who;
use async_trait::async_trait;
use axum::body::Body;
use http::HeaderMap;
use http::Request;
use http::header;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use switchback_contract::*;
use switchback_domain::actor::Actor;
use switchback_domain::signature;
use switchback_store::AuditQuery;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tower::ServiceExt;

const NOW: Moment = Moment::from_millis(1_795_000_000_000);
const PASSWORD: &str = "correct horse";
const TOKEN: &str = "sb_test_token";
const RELAY_SECRET: &str = "relay secret";
const HOST: &str = "desk.example:3000";
/// The longest that anything is waited for.
const BOUND: Duration = Duration::from_secs(20);

/// Counts what reached it and refuses what it is told to refuse.
#[derive(Default)]
struct FakeWork {
    decisions: AtomicUsize,
    rollbacks: Mutex<Vec<(Option<String>, RollbackCommand)>>,
    filters: Mutex<Vec<DeploymentFilter>>,
    hooks: Mutex<Vec<String>>,
}

struct FakeConsoles(Arc<FakeWork>);

struct FakeConsole {
    work: Arc<FakeWork>,
    actor: Option<Actor>,
}

#[async_trait]
impl Consoles for FakeConsoles {
    fn for_actor(&self, actor: Option<Actor>) -> ConsoleHandle {
        Arc::new(FakeConsole {
            work: self.0.clone(),
            actor,
        })
    }

    fn clock(&self) -> Moment {
        NOW
    }

    fn looks(&self) -> Vec<Look> {
        vec![Look {
            region: "eu-central-1".to_string(),
            at: Some(NOW.plus_seconds(-2)),
            trouble: None,
        }]
    }

    async fn receive_hook(
        &self,
        aws_id: String,
        _execution: String,
        used: &str,
    ) -> Result<HookAnswer, Refusal> {
        let mut hooks = self.0.hooks.lock().unwrap();
        if hooks.iter().any(|before| before == used) {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "signature_repeated",
                "This signature was used.",
            ));
        }
        hooks.push(used.to_string());
        if aws_id == "d-UNKNOWN" {
            return Err(Refusal::new(
                RefusalKind::NotFound,
                "deployment_unknown",
                "AWS does not know it.",
            ));
        }
        Ok(HookAnswer {
            state: "gate".to_string(),
            gate_id: Some("gate-1".to_string()),
        })
    }
}

fn gate_view(id: &str) -> GateView {
    let deployment = json!({
        "id": "dep-1", "aws_id": "d-1", "service": "checkout", "service_id": "svc-1", "cluster": "prod",
        "account": "123456789012", "region": "eu-central-1", "controller": "codedeploy", "strategy": "x",
        "phase": "holding", "outcome": "in_progress", "initiator": "ci", "started_at": NOW, "share_new": 0.1
    });
    serde_json::from_value(json!({
        "id": id, "deployment_id": "dep-1", "kind": "codedeploy_hook", "stage": "BeforeAllowTraffic",
        "state": "open", "opened_at": NOW, "expires_at": NOW, "wall_at": NOW, "at_expiry": "reject",
        "evidence_digest": "e1", "decisions": [], "delivery": null, "delivery_detail": null,
        "required_approvals": 1, "on_approve": [], "on_reject": [], "on_nothing": "", "approve_call": null,
        "reject_call": null, "may_not_decide": null,
        "deployment": deployment
    }))
    .unwrap()
}

impl FakeConsole {
    fn actor(&self) -> Result<&Actor, Refusal> {
        self.actor
            .as_ref()
            .ok_or_else(|| Refusal::new(RefusalKind::SignInNeeded, "sign_in_needed", "Sign in."))
    }

    fn nothing<T>(&self, what: &str) -> Result<T, Refusal> {
        self.actor()?;
        Err(Refusal::not_found(what, "asked for"))
    }
}

#[async_trait]
impl Console for FakeConsole {
    async fn me(&self) -> Result<Me, Refusal> {
        let actor = self.actor()?;
        let verbs = Verb::ALL
            .into_iter()
            .filter(|verb| actor.may(*verb))
            .collect();
        Ok(Me {
            name: actor.name.clone(),
            roles: actor.roles.clone(),
            verbs,
        })
    }
    async fn now_page(&self) -> Result<NowPage, Refusal> {
        self.actor()?;
        let coverage = Coverage {
            services: 0,
            accounts: 1,
            last_look_at: Some(NOW),
            trouble: None,
        };
        Ok(NowPage {
            now: NOW,
            needs_you: vec![],
            moving: vec![],
            ended: vec![],
            coverage,
        })
    }
    async fn services(&self) -> Result<Vec<ServiceView>, Refusal> {
        self.actor()?;
        Ok(Vec::new())
    }
    async fn service(&self, service: String) -> Result<ServiceView, Refusal> {
        Err(Refusal::not_found("service", &service))
    }
    async fn service_page(&self, _: String) -> Result<ServicePage, Refusal> {
        self.nothing("service")
    }
    async fn revisions(&self, _: String) -> Result<Vec<RevisionView>, Refusal> {
        self.nothing("service")
    }
    async fn deployments(&self, filter: DeploymentFilter) -> Result<Page<DeploymentView>, Refusal> {
        self.work.filters.lock().unwrap().push(filter);
        Ok(Page {
            items: vec![gate_view("gate-1").deployment],
            next_cursor: Some("next".to_string()),
        })
    }
    async fn deployment(&self, _: String) -> Result<DeploymentView, Refusal> {
        self.nothing("deployment")
    }
    async fn deployment_page(&self, _: String) -> Result<DeploymentPage, Refusal> {
        self.nothing("deployment")
    }
    async fn deployment_metrics(&self, _: String) -> Result<Vec<MetricPoint>, Refusal> {
        self.nothing("deployment")
    }
    async fn gates(&self, _: bool) -> Result<Vec<GateView>, Refusal> {
        self.actor()?;
        Ok(vec![gate_view("gate-1")])
    }
    async fn gate(&self, id: String) -> Result<GateView, Refusal> {
        self.actor()?;
        if id == "gate-1" {
            Ok(gate_view(&id))
        } else {
            Err(Refusal::not_found("gate", &id))
        }
    }
    async fn decide(&self, gate: String, command: DecisionCommand) -> Result<GateView, Refusal> {
        if !self.actor()?.may(Verb::Approve) {
            return Err(Refusal::new(
                RefusalKind::Forbidden,
                "forbidden",
                "You may not decide.",
            ));
        }
        if command.evidence_digest != "e1" {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "evidence_changed",
                "Evidence changed. Review again.",
            ));
        }
        // Others get their turn here, as they would while the database is written.
        tokio::task::yield_now().await;
        self.work.decisions.fetch_add(1, Ordering::SeqCst);
        Ok(gate_view(&gate))
    }
    async fn plan_rollback(&self, _: String, _: String) -> Result<PlanView, Refusal> {
        self.nothing("service")
    }
    async fn rollback_page(&self, _: String, _: Option<String>) -> Result<RollbackPage, Refusal> {
        self.nothing("service")
    }
    async fn roll_back(
        &self,
        service: String,
        command: RollbackCommand,
    ) -> Result<OperationView, Refusal> {
        let actor = self.actor()?;
        if command.reason.is_empty() {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "reason_missing",
                "Say why.",
            ));
        }
        let mut rollbacks = self.work.rollbacks.lock().unwrap();
        rollbacks.push((Some(service.clone()), command.clone()));
        let view = json!({
            "id": format!("op-{}", rollbacks.len()), "kind": "redeploy", "service_id": service,
            "target": command.target, "state": "intended", "detail": null, "actor": actor.name,
            "reason": command.reason, "created_at": NOW, "deployment_id": null
        });
        Ok(serde_json::from_value(view).unwrap())
    }
    async fn operation(&self, _: String) -> Result<OperationView, Refusal> {
        self.nothing("operation")
    }
    async fn audit(&self, _: AuditFilter) -> Result<AuditPage, Refusal> {
        self.actor()?;
        let page = Page {
            items: vec![],
            next_cursor: None,
        };
        Ok(AuditPage {
            page,
            length: 7,
            broken_at: None,
        })
    }
}

struct World {
    router: Router,
    deps: Deps,
    work: Arc<FakeWork>,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn location(&self) -> &str {
        self.header(header::LOCATION)
    }

    /// Checks that it is a problem document and gives status and code.
    fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json",
            "{}",
            self.body
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        for member in ["type", "title", "detail", "code", "instance"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member}: {problem}"
            );
        }
        (self.status, problem["code"].as_str().unwrap().to_string())
    }

    /// `switchback_session=…` as the browser would send it back.
    fn cookie(&self) -> String {
        let set = self
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap());
        let cookie = set
            .into_iter()
            .find(|cookie| cookie.starts_with(session::COOKIE))
            .expect("a session cookie");
        cookie.split(';').next().unwrap().to_string()
    }
}

async fn world() -> World {
    world_with(Some(RELAY_SECRET), None).await
}

async fn world_with(relay_secret: Option<&str>, public_url: Option<&str>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("switchback.db").display());
    let store = Store::open(&url).await.unwrap();
    let user = |username: &str, roles: &[Role]| NewUser {
        username: username.to_string(),
        password: SecretString::from(PASSWORD),
        roles: roles.to_vec(),
    };
    let users = [
        user("dana", &[Role::Approver, Role::Operator]),
        user("vera", &[Role::Viewer]),
    ];
    let token = NewToken {
        name: "ci".to_string(),
        text: SecretString::from(TOKEN),
        roles: vec![Role::Admin],
    };
    let fill = |bytes: &mut [u8]| bytes.fill(3);
    // Both users would get the same random identifier; the second needs its own.
    let next = AtomicUsize::new(0);
    let fill = move |bytes: &mut [u8]| {
        fill(bytes);
        bytes[0] = next.fetch_add(1, Ordering::SeqCst) as u8;
    };
    people::create_first(&store, &users, &[token], NOW, &fill)
        .await
        .unwrap();

    let work = Arc::new(FakeWork::default());
    let clock = run::machine_clock();
    let deps = Deps::new(Wiring {
        consoles: Arc::new(FakeConsoles(work.clone())),
        store,
        site: Site::new(BTreeMap::from([
            ("pkg/switchback.css".to_string(), b"body{}".to_vec()),
            ("fonts/switchback.css".to_string(), Vec::new()),
            ("robots.txt".to_string(), b"User-agent: *".to_vec()),
        ])),
        relay_secret: relay_secret.map(SecretString::from),
        public_url: public_url.map(|url| url.parse().unwrap()),
        watches: true,
        clock,
        stop: CancellationToken::new(),
    });
    World {
        router: router(deps.clone()),
        deps,
        work,
        _folder: folder,
    }
}

impl World {
    async fn response(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        tokio::time::timeout(BOUND, self.router.clone().oneshot(request))
            .await
            .unwrap()
            .unwrap()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (parts, body) = self
            .response(method, path, headers, body)
            .await
            .into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send("GET", path, &[("cookie", cookie)], "").await
    }

    /// As a program: with the token and JSON.
    async fn api(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.send(
            method,
            path,
            &[
                ("authorization", &bearer),
                ("content-type", "application/json"),
            ],
            body,
        )
        .await
    }

    async fn keyed(&self, path: &str, key: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        self.send("POST", path, &headers, body.to_string()).await
    }

    /// As a browser posts a form of our own pages.
    async fn form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let headers = [
            ("cookie", cookie),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send("POST", path, &headers, body).await
    }

    async fn sign_in(&self, username: &str) -> String {
        let answer = self
            .form(
                "/sign-in",
                "",
                &[("username", username), ("password", PASSWORD)],
            )
            .await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/"),
            "{}",
            answer.body
        );
        answer.cookie()
    }

    async fn audit_words(&self) -> Vec<String> {
        let query = AuditQuery {
            limit: 100,
            ..AuditQuery::default()
        };
        let entries = self.deps.store.audit_list(&query).await.unwrap();
        entries
            .iter()
            .rev()
            .map(|record| format!("{} {}", record.entry.actor, record.entry.event.word()))
            .collect()
    }
}

const DECISION: &str = r#"{"verdict":"approve","reason":"fine","evidence_digest":"e1"}"#;

// The table of routes

#[tokio::test]
async fn the_pages_are_those_of_the_table() {
    let in_app: BTreeSet<String> = leptos_axum::generate_route_list(switchback_app::App)
        .iter()
        .map(|listing| listing.path().to_string())
        .collect();
    let in_table: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| matches!(route.serves, Serves::Page))
        .map(|route| route.path.to_string())
        .collect();
    assert_eq!(in_app, in_table);
}

#[test]
fn server_functions_are_reads_under_one_prefix() {
    let functions: Vec<(&str, Method)> = leptos::server_fn::axum::server_fn_paths().collect();
    assert!(!functions.is_empty());
    for (path, method) in functions {
        assert!(path.starts_with("/ask/"), "{path}");
        assert_eq!(method, Method::GET, "{path}: acts are forms or the API");
        assert_eq!(routes::who(&method, path), Who::SignedIn, "{path}");
    }
}

#[tokio::test]
async fn without_signing_in_only_the_open_routes_answer() {
    let world = world().await;
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "x-1")
            .replace("{*file}", "switchback.css")
            .replace("{*name}", "me");
        let answer = world.send(route.method.as_str(), &path, &[], "").await;
        let line = format!(
            "{} {}: {} {}",
            route.method, path, answer.status, answer.body
        );
        match route.who {
            Who::SignedIn if path.starts_with("/api/") => {
                assert_eq!(
                    answer.problem(),
                    (401, "sign_in_needed".to_string()),
                    "{line}"
                );
                assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
            }
            Who::SignedIn if path.starts_with("/ask/") => {
                assert_eq!(answer.status, 401, "{line}");
                let error: switchback_app::error::AppError =
                    serde_json::from_str(&answer.body).unwrap();
                assert!(error.is_sign_in_needed(), "{line}");
            }
            Who::SignedIn if route.method == Method::GET => {
                let back = local::with_parameters("/sign-in", &[("to", &path)]);
                assert_eq!((answer.status, answer.location()), (303, &*back), "{line}");
            }
            Who::SignedIn => assert_eq!(
                (answer.status, answer.location()),
                (303, "/sign-in?to=%2F"),
                "{line}"
            ),
            Who::Hook => assert_eq!(
                answer.problem(),
                (401, "signature_malformed".to_string()),
                "{line}"
            ),
            Who::Public => assert_ne!(answer.status, 401, "{line}"),
        }
    }
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_line_of_the_table_is_answered() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    for route in ROUTES {
        if route.path == "/api/v1/events" || route.path == "/sign-out" {
            continue;
        }
        let path = route
            .path
            .replace("{id}", "x-1")
            .replace("{*file}", "switchback.css")
            .replace("{*name}", "me");
        let headers = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
        let answer = world.send(route.method.as_str(), &path, &headers, "").await;
        let line = format!(
            "{} {}: {} {}",
            route.method, path, answer.status, answer.body
        );
        assert!(!answer.body.contains("There is nothing at"), "{line}");
        assert!(answer.status != 405 && answer.status < 500, "{line}");
    }
}

// Problems

#[tokio::test]
async fn the_api_refuses_in_problem_documents() {
    let world = world().await;
    let bearer = format!("Bearer {TOKEN}");
    let bearer: &str = &bearer;
    let decisions = "/api/v1/gates/gate-1/decisions";
    let large = "x".repeat(front::LARGEST_BODY + 1);
    let json_type = ("content-type", "application/json");
    for (method, path, headers, body, status, code) in [
        (
            "GET",
            "/api/v1/nothing",
            vec![("authorization", bearer)],
            "",
            404,
            "not_found",
        ),
        ("GET", "/api/v1/nothing", vec![], "", 404, "not_found"),
        ("GET", "/api", vec![], "", 404, "not_found"),
        (
            "DELETE",
            "/api/v1/me",
            vec![("authorization", bearer)],
            "",
            405,
            "method_not_allowed",
        ),
        ("GET", "/api/v1/me", vec![], "", 401, "sign_in_needed"),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Bearer wrong")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Basic ZGFuYTp4")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/me",
            vec![("authorization", "Bearer")],
            "",
            401,
            "token_unknown",
        ),
        (
            "GET",
            "/api/v1/gates/gate-9",
            vec![("authorization", bearer)],
            "",
            404,
            "not_found",
        ),
        (
            "GET",
            "/api/v1/gates/%FF",
            vec![("authorization", bearer)],
            "",
            400,
            "malformed_path",
        ),
        (
            "GET",
            "/api/v1/gates?state=closed",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?outcome=good",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?phase=good",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?from=now",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?to=now",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?limit=0",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?limit=201",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "GET",
            "/api/v1/deployments?outcom=failed",
            vec![("authorization", bearer)],
            "",
            422,
            "unknown_parameter",
        ),
        (
            "GET",
            "/api/v1/events?last_event_id=x",
            vec![("authorization", bearer)],
            "",
            422,
            "invalid_parameter",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer)],
            DECISION,
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), ("content-type", "text/json")],
            DECISION,
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "{",
            400,
            "malformed_json",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "",
            400,
            "malformed_json",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "{}",
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            "[]",
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            r#"{"verdict":"maybe","evidence_digest":"e1"}"#,
            422,
            "invalid_body",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            r#"{"verdict":"approve","evidence_digest":"e0"}"#,
            409,
            "evidence_changed",
        ),
        (
            "POST",
            decisions,
            vec![
                ("authorization", bearer),
                json_type,
                ("idempotency-key", "a b"),
            ],
            DECISION,
            422,
            "idempotency_key_malformed",
        ),
        (
            "POST",
            decisions,
            vec![
                ("authorization", bearer),
                json_type,
                ("content-length", "65537"),
            ],
            &large,
            413,
            "body_too_large",
        ),
        (
            "POST",
            decisions,
            vec![("authorization", bearer), json_type],
            &large,
            413,
            "body_too_large",
        ),
    ] {
        let answer = world.send(method, path, &headers, body.to_string()).await;
        assert_eq!(
            answer.problem(),
            (status, code.to_string()),
            "{method} {path} {headers:?}"
        );
        assert_eq!(answer.json()["instance"], path.split('?').next().unwrap());
        if status == 422 && code == "invalid_parameter" {
            let name = path.split(['?', '=']).nth(1).unwrap();
            assert!(
                answer.json()["detail"].as_str().unwrap().contains(name),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn lists_filters_and_encoded_identifiers() {
    let world = world().await;
    let answer = world
        .api("GET", "/api/v1/deployments?service=checkout&outcome=failed&phase=&q=a%20b&from=2026-11-01&limit=7&cursor=c", "")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (
            &answer.json()["next_cursor"],
            &answer.json()["items"][0]["id"]
        ),
        (&json!("next"), &json!("dep-1"))
    );
    let expected = DeploymentFilter {
        service: Some("checkout".to_string()),
        outcome: Some("failed".to_string()),
        q: Some("a b".to_string()),
        from: Some("2026-11-01".to_string()),
        limit: Some(7),
        cursor: Some("c".to_string()),
        ..DeploymentFilter::default()
    };
    assert_eq!(*world.work.filters.lock().unwrap(), [expected]);

    let services = world.api("GET", "/api/v1/services", "").await;
    assert_eq!(services.json(), json!({ "items": [], "next_cursor": null }));
    let audit = world.api("GET", "/api/v1/audit", "").await;
    assert_eq!(
        audit.json(),
        json!({ "items": [], "next_cursor": null, "length": 7, "broken_at": null })
    );
    let me = world.api("GET", "/api/v1/me", "").await;
    assert_eq!(
        (&me.json()["name"], &me.json()["roles"]),
        (&json!("token:ci"), &json!(["admin"]))
    );

    let arn = "arn%3Aaws%3Aecs%3Aeu-central-1%3A123456789012%3Aservice%2Fprod%2Fcheckout";
    let answer = world
        .api("GET", &format!("/api/v1/services/{arn}"), "")
        .await;
    let detail = "There is no service arn:aws:ecs:eu-central-1:123456789012:service/prod/checkout.";
    assert_eq!(answer.json()["detail"], detail);
}

#[tokio::test]
async fn people_get_pages_and_not_documents() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let missing = world.get("/no/such/page", &cookie).await;
    assert_eq!(missing.status, 404);
    assert!(
        missing
            .header(header::CONTENT_TYPE)
            .starts_with("text/html")
    );
    assert!(
        missing
            .header(header::CONTENT_SECURITY_POLICY)
            .contains("nonce-"),
        "the app's own page"
    );
    for (fields, content_type) in [
        ("verdict=maybe&evidence_digest=e1", true),
        ("", true),
        ("verdict=approve", false),
    ] {
        let kind = if content_type {
            "application/x-www-form-urlencoded"
        } else {
            "text/plain"
        };
        let headers = [
            ("cookie", &*cookie),
            ("content-type", kind),
            ("sec-fetch-site", "same-origin"),
        ];
        let answer = world
            .send("POST", "/gates/gate-1/decisions", &headers, fields)
            .await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(
            answer.header(header::CONTENT_TYPE).starts_with("text/html"),
            "{}",
            answer.body
        );
        assert!(
            answer.body.contains("The form could not be read."),
            "{}",
            answer.body
        );
    }
    let large = vec![b'x'; front::LARGEST_BODY + 1];
    let headers = [
        ("cookie", &*cookie),
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answer = world
        .send("POST", "/gates/gate-1/decisions", &headers, large)
        .await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.body.contains("larger than 65536 bytes"),
        "{}",
        answer.body
    );
}

// Where requests come from

#[tokio::test]
async fn another_site_can_do_nothing_with_our_cookie() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let evil = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    for path in [
        "/gates/gate-1/decisions",
        "/services/svc-1/rollbacks",
        "/theme",
        "/sign-in",
        "/sign-out",
    ] {
        for header in evil {
            let headers = [
                ("cookie", &*cookie),
                header,
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            let answer = world
                .send("POST", path, &headers, "verdict=approve&evidence_digest=e1")
                .await;
            assert_eq!(answer.status, 403, "{path} {header:?}");
            assert!(answer.body.contains("another site"), "{}", answer.body);
        }
    }
    let headers = [
        ("cookie", &*cookie),
        evil[1],
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.problem(), (403, "cross_origin".to_string()));
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 0);

    // A token is sent on purpose, never by a browser on its own.
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        evil[0],
        evil[1],
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.status, 200);
    // A token that is wrong does not fall back to the cookie.
    let headers = [
        ("authorization", "Bearer wrong"),
        ("cookie", &*cookie),
        ("content-type", "application/json"),
    ];
    let answer = world
        .send("POST", "/api/v1/gates/gate-1/decisions", &headers, DECISION)
        .await;
    assert_eq!(answer.problem(), (401, "token_unknown".to_string()));
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);
    assert_eq!(world.get("/", &cookie).await.status, 200, "still signed in");
}

// Signing in and out

#[tokio::test]
async fn signing_in_and_out() {
    let world = world().await;
    let refused = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "dana"),
                ("password", "wrong"),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!(refused.status, 303);
    let expected = "/sign-in?to=%2Fgates%2Fgate-1&problem=sign_in_refused&message=The+name+or+the+password+is+wrong.";
    assert_eq!(refused.location(), expected);
    assert!(refused.headers.get(header::SET_COOKIE).is_none());
    let unknown = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "nobody"),
                ("password", PASSWORD),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!(
        unknown.location(),
        expected,
        "a name that does not exist looks the same"
    );

    let answer = world
        .form(
            "/sign-in",
            "",
            &[
                ("username", "dana"),
                ("password", PASSWORD),
                ("to", "/gates/gate-1"),
            ],
        )
        .await;
    assert_eq!((answer.status, answer.location()), (303, "/gates/gate-1"));
    let set = answer.header(header::SET_COOKIE);
    for part in [
        "switchback_session=",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=43200",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    let cookie = answer.cookie();
    assert_eq!(world.get("/audit", &cookie).await.status, 200);
    assert_eq!(
        world.get("/api/v1/me", &cookie).await.json()["name"],
        "dana"
    );

    let again = world
        .form(
            "/sign-in",
            &cookie,
            &[("username", "vera"), ("password", PASSWORD)],
        )
        .await
        .cookie();
    assert_ne!(again, cookie, "a sign-in has an identifier of its own");
    assert_eq!(world.get("/api/v1/me", &again).await.json()["name"], "vera");
    assert_eq!(
        world.get("/api/v1/me", &cookie).await.status,
        401,
        "the identifier before is worth nothing"
    );

    let out = world.form("/sign-out", &again, &[]).await;
    assert_eq!((out.status, out.location()), (303, "/sign-in"));
    assert!(
        out.header(header::SET_COOKIE).contains("Max-Age=0"),
        "{:?}",
        out.headers
    );
    assert_eq!(world.get("/api/v1/me", &again).await.status, 401);
    assert_eq!(
        world.form("/sign-out", &again, &[]).await.location(),
        "/sign-in",
        "twice is no error"
    );
    assert_eq!(
        world.audit_words().await[3..],
        [
            "dana sign_in_refused",
            "nobody sign_in_refused",
            "dana signed_in",
            "vera signed_in",
            "vera signed_out"
        ]
    );
}

#[tokio::test]
async fn a_cookie_that_fits_nothing_is_no_session() {
    let world = world().await;
    for cookie in [
        "switchback_session=",
        "switchback_session=nonsense",
        "switchback_session=AAAAAAAAAAAAAAAAAAAAAA",
        "other=1",
    ] {
        let answer = world.get("/history?q=a", cookie).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/sign-in?to=%2Fhistory%3Fq%3Da"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_after_signing_in() {
    let world = world().await;
    for (to, location) in [
        ("/gates/gate-1?x=1", "/gates/gate-1?x=1"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("gates", "/"),
        ("/sign-in", "/"),
    ] {
        let answer = world
            .form(
                "/sign-in",
                "",
                &[("username", "dana"), ("password", PASSWORD), ("to", to)],
            )
            .await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, location),
            "{to:?}"
        );
    }
    let cookie = world.sign_in("dana").await;
    for path in ["/theme", "/gates/gate-1/decisions"] {
        let fields = [
            ("theme", "dark"),
            ("verdict", "approve"),
            ("evidence_digest", "e1"),
            ("to", "//evil.example"),
        ];
        let answer = world.form(path, &cookie, &fields).await;
        assert!(
            answer.location().starts_with('/') && !answer.location().contains("evil"),
            "{}",
            answer.location()
        );
    }
}

#[tokio::test]
async fn too_many_attempts_are_refused_even_with_the_right_password() {
    let world = world().await;
    for _ in 0..10 {
        assert_eq!(
            world
                .form(
                    "/sign-in",
                    "",
                    &[("username", "dana"), ("password", "wrong")]
                )
                .await
                .status,
            303
        );
    }
    let answer = world
        .form(
            "/sign-in",
            "",
            &[("username", "Dana"), ("password", PASSWORD)],
        )
        .await;
    assert_eq!(
        (answer.status, answer.header(header::RETRY_AFTER)),
        (429, "300")
    );
    assert!(
        answer.body.contains("too many failed attempts"),
        "{}",
        answer.body
    );
    world.sign_in("vera").await;
}

#[tokio::test]
async fn behind_https_cookies_say_so() {
    let world = world_with(None, Some("https://switchback.example.com")).await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "https://switchback.example.com"),
    ];
    let answer = world
        .send(
            "POST",
            "/sign-in",
            &headers,
            format!("username=dana&password={PASSWORD}"),
        )
        .await;
    assert_eq!(answer.status, 303);
    assert!(answer.header(header::SET_COOKIE).contains("Secure"));
    assert_eq!(
        answer.header(header::STRICT_TRANSPORT_SECURITY),
        "max-age=31536000"
    );
}

// Idempotency

#[tokio::test]
async fn one_effect_for_one_key() {
    let world = world().await;
    let path = "/api/v1/gates/gate-1/decisions";
    let first = world.keyed(path, "k1", DECISION).await;
    assert_eq!(
        (first.status, first.header(idempotency::REPLAYED)),
        (200, "")
    );
    let second = world.keyed(path, "k1", DECISION).await;
    assert_eq!(
        (second.status, second.header(idempotency::REPLAYED)),
        (200, "true")
    );
    assert_eq!(first.body, second.body);
    let other_body = world
        .keyed(
            path,
            "k1",
            r#"{"verdict":"reject","reason":"no","evidence_digest":"e1"}"#,
        )
        .await;
    assert_eq!(
        other_body.problem(),
        (422, "idempotency_key_reused".to_string())
    );
    let other_path = world
        .keyed("/api/v1/gates/gate-2/decisions", "k1", DECISION)
        .await;
    assert_eq!(
        other_path.problem(),
        (422, "idempotency_key_reused".to_string())
    );
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);

    let stale = r#"{"verdict":"approve","evidence_digest":"e0"}"#;
    let refused = world.keyed(path, "k2", stale).await;
    let repeated = world.keyed(path, "k2", stale).await;
    assert_eq!(refused.problem(), (409, "evidence_changed".to_string()));
    assert_eq!(repeated.problem(), refused.problem());
    assert_eq!(repeated.header(idempotency::REPLAYED), "true");

    // Another actor's key is another key.
    let cookie = world.sign_in("dana").await;
    let headers = [
        ("cookie", &*cookie),
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
    ];
    let answer = world.send("POST", path, &headers, DECISION).await;
    assert_eq!(
        (answer.status, answer.header(idempotency::REPLAYED)),
        (200, "")
    );
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_the_same_time_has_one_effect() {
    let world = world().await;
    let path = "/api/v1/services/svc-1/rollbacks";
    let body = r#"{"target":"previous","reason":"5xx","plan_digest":"p1"}"#;
    let answers = futures::future::join_all((0..12).map(|_| world.keyed(path, "k1", body))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 202 && answer.json()["id"] == "op-1")
    );
    let replayed = answers
        .iter()
        .filter(|answer| answer.header(idempotency::REPLAYED) == "true")
        .count();
    assert_eq!(
        (replayed, world.work.rollbacks.lock().unwrap().len()),
        (11, 1)
    );
}

// Forms

#[tokio::test]
async fn a_decision_by_form() {
    let world = world().await;
    let (dana, vera) = (world.sign_in("dana").await, world.sign_in("vera").await);
    let path = "/gates/gate-1/decisions";
    let fields = |digest, to| {
        [
            ("verdict", "approve"),
            ("reason", " "),
            ("evidence_digest", digest),
            ("to", to),
        ]
    };
    let done = world
        .form(path, &dana, &fields("e1", "/deployments/dep-1?x=1#gate"))
        .await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/deployments/dep-1?x=1&done=decided#gate")
    );
    let stale = world
        .form(path, &dana, &fields("e0", "/gates/gate-1?done=decided"))
        .await;
    assert_eq!(
        stale.location(),
        "/gates/gate-1?problem=evidence_changed&message=Evidence+changed.+Review+again."
    );
    let forbidden = world.form(path, &vera, &fields("e1", "")).await;
    assert_eq!(
        forbidden.location(),
        "/gates/gate-1?problem=forbidden&message=You+may+not+decide."
    );
    let stranger = world.form(path, "", &fields("e1", "/gates/gate-1")).await;
    assert_eq!(stranger.location(), "/sign-in?to=%2F");
    assert_eq!(world.work.decisions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_rollback_by_form() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let path = "/services/svc-1/rollbacks";
    let fields = |reason| {
        [
            ("target", "previous"),
            ("reason", reason),
            ("plan_digest", "p1"),
            ("idempotency_key", "f1"),
        ]
    };
    let refused = world.form(path, &cookie, &fields("")).await;
    assert_eq!(
        refused.location(),
        "/services/svc-1/rollback?to=previous&problem=reason_missing&message=Say+why."
    );
    let done = world.form(path, &cookie, &fields("5xx")).await;
    assert_eq!(
        (done.status, done.location()),
        (303, "/services/svc-1?done=rollback&operation=op-1"),
        "a corrected form passes"
    );
    let twice = world.form(path, &cookie, &fields("5xx")).await;
    assert_eq!(twice.location(), done.location());
    assert_eq!(world.work.rollbacks.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn colours_are_chosen_and_kept() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let answer = world
        .form("/theme", &cookie, &[("theme", "dark"), ("to", "/history")])
        .await;
    assert_eq!((answer.status, answer.location()), (303, "/history"));
    let set: Vec<&str> = answer
        .headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(
        set.iter()
            .any(|cookie| cookie.starts_with("theme=dark; Path=/; Max-Age=31536000; SameSite=Lax")),
        "{set:?}"
    );
    let dark = world.get("/", &format!("{cookie}; theme=dark")).await;
    assert!(dark.body.contains("data-theme=\"dark\""), "{}", dark.body);
    assert!(
        !world.get("/", &cookie).await.body.contains("data-theme"),
        "the device decides"
    );
}

// Pages

#[tokio::test]
async fn a_page_has_its_policy_its_nonce_and_its_files() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let page = world.get("/", &cookie).await;
    assert_eq!(page.status, 200);
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .unwrap();
    assert_eq!(
        policy,
        format!(
            "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; \
             img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'"
        )
    );
    assert!(
        page.body.contains(&format!("nonce=\"{nonce}\"")),
        "{}",
        page.body
    );
    assert!(
        !world.get("/", &cookie).await.body.contains(nonce),
        "every page has its own"
    );
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        assert_eq!(page.header(&name), value, "{name}");
    }
    let style = page
        .body
        .split("href=\"")
        .map(|rest| rest.split('"').next().unwrap())
        .find(|href| href.ends_with(".css"));
    let style = world.send("GET", style.unwrap(), &[], "").await;
    assert_eq!((style.status, &*style.body), (200, "body{}"));
    assert!(style.header(header::CACHE_CONTROL).contains("immutable"));
    assert_eq!(
        world.send("GET", "/robots.txt", &[], "").await.body,
        "User-agent: *"
    );
    assert_eq!(
        world
            .send("GET", "/favicon.ico", &[], "")
            .await
            .header(header::CONTENT_TYPE),
        "image/svg+xml"
    );
}

#[tokio::test]
async fn the_sign_in_page_needs_nobody_and_a_missing_thing_is_missing() {
    let world = world().await;
    let page = world.send("GET", "/sign-in?to=%2Fhistory", &[], "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"));
    let cookie = world.sign_in("dana").await;
    assert_eq!(world.get("/ask/me", &cookie).await.status, 200);
    assert_eq!(
        world
            .send("HEAD", "/", &[("cookie", &*cookie)], "")
            .await
            .status,
        200
    );
}

// Hooks

#[tokio::test]
async fn hooks_are_taken_once_and_only_when_signed() {
    let world = world().await;
    let body = r#"{"DeploymentId":"d-1","LifecycleEventHookExecutionId":"e-1"}"#;
    let unknown = body.replace("d-1", "d-UNKNOWN");
    let sign =
        |at: Moment, body: &str| signature::sign(RELAY_SECRET.as_bytes(), at, body.as_bytes());
    let post = async |header: &str, body: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("switchback-signature", header),
        ];
        world
            .send(
                "POST",
                "/api/v1/hooks/codedeploy",
                &headers,
                body.to_string(),
            )
            .await
    };
    let good = sign(NOW, body);
    let answer = post(&good, body).await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({ "state": "gate", "gate_id": "gate-1" }))
    );
    for (header, body, expected) in [
        (good.clone(), body, (409, "signature_repeated")),
        (sign(NOW, &unknown), &unknown, (404, "deployment_unknown")),
        (sign(NOW, "other"), body, (401, "signature_wrong")),
        (
            signature::sign(b"other secret", NOW, body.as_bytes()),
            body,
            (401, "signature_wrong"),
        ),
        (
            sign(NOW.plus_seconds(-301), body),
            body,
            (401, "signature_too_old"),
        ),
        (
            sign(NOW.plus_seconds(301), body),
            body,
            (401, "signature_too_old"),
        ),
        (String::new(), body, (401, "signature_malformed")),
        (
            "t=now,v1=zz".to_string(),
            body,
            (401, "signature_malformed"),
        ),
        (sign(NOW, "{"), "{", (400, "malformed_json")),
        (
            sign(NOW, r#"{"DeploymentId":"d-1"}"#),
            r#"{"DeploymentId":"d-1"}"#,
            (422, "invalid_body"),
        ),
    ] {
        let answer = post(&header, body).await;
        assert_eq!(
            answer.problem(),
            (expected.0, expected.1.to_string()),
            "{body}"
        );
    }
    let large = format!("{body}{}", " ".repeat(hooks::LARGEST_MESSAGE));
    assert_eq!(
        post(&sign(NOW, &large), &large).await.problem(),
        (413, "body_too_large".to_string())
    );
    let extra = body.replace('}', r#","x":1}"#);
    assert_eq!(
        post(&sign(NOW, &extra), &extra).await.problem(),
        (422, "invalid_body".to_string())
    );
    assert_eq!(
        world.work.hooks.lock().unwrap().len(),
        2,
        "only well-signed, well-formed messages got through"
    );

    let without = world_with(None, None).await;
    let headers = [
        ("content-type", "application/json"),
        ("switchback-signature", &*good),
    ];
    let answer = without
        .send("POST", "/api/v1/hooks/codedeploy", &headers, body)
        .await;
    assert_eq!(answer.problem(), (503, "relay_secret_missing".to_string()));
}

// Events

struct Listening {
    stream: axum::body::BodyDataStream,
    text: String,
}

impl World {
    async fn listen(&self, headers: &[(&str, &str)]) -> Listening {
        let bearer = format!("Bearer {TOKEN}");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .copied()
            .chain([("authorization", &*bearer)])
            .collect();
        let response = self.response("GET", "/api/v1/events", &headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        Listening {
            stream: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    async fn change(&self, subject: &str) -> i64 {
        let mut tx = self.deps.store.begin().await.unwrap();
        let sequence = tx.change_append("gate", subject, None, NOW).await.unwrap();
        tx.commit().await.unwrap();
        sequence
    }

    fn run_feed(&self) {
        let deps = self.deps.clone();
        tokio::spawn(async move {
            deps.feed
                .run(deps.store.clone(), deps.consoles.clone(), deps.stop.clone())
                .await
        });
    }
}

impl Listening {
    /// Reads until the text is there; false when the stream ends before.
    async fn until(&mut self, wanted: &str) -> bool {
        let reading = async {
            while !self.text.contains(wanted) {
                match self.stream.next().await {
                    Some(part) => self
                        .text
                        .push_str(std::str::from_utf8(&part.unwrap()).unwrap()),
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(BOUND, reading)
            .await
            .expect("something in time")
    }
}

#[tokio::test]
async fn changes_are_heard_and_a_broken_stream_is_resumed() {
    let world = world().await;
    world.run_feed();
    let before = world.change("gate-0").await;
    let mut first = world.listen(&[]).await;
    assert!(
        first
            .until(&format!(
                "id: {before}\nevent: clock\ndata: {{\"now\":\"{NOW}\"}}\n\n"
            ))
            .await
    );
    let one = world.change("gate-1").await;
    assert!(
        first
            .until(&format!("event: change\nid: {one}\ndata: {{"))
            .await
    );
    assert!(first.until("\"subject\":\"gate-1\"").await);
    assert!(
        !first.text.contains("gate-0"),
        "what was before is not repeated: {}",
        first.text
    );
    drop(first);
    let two = world.change("gate-2").await;
    let three = world.change("gate-3").await;
    for headers in [
        [("last-event-id", one.to_string())],
        [("last-event-id", two.to_string())],
    ] {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let mut resumed = world.listen(&headers).await;
        assert!(resumed.until(&format!("id: {three}\n")).await);
        assert_eq!(
            resumed.text.contains("gate-2"),
            headers[0].1 == one.to_string(),
            "{}",
            resumed.text
        );
        assert!(
            !resumed.text.contains("gate-1") && !resumed.text.contains("event: reset"),
            "{}",
            resumed.text
        );
    }
}

#[tokio::test]
async fn a_listener_that_missed_too_much_is_told_so() {
    let world = world().await;
    let latest = world.change("gate-1").await;
    let mut listening = world.listen(&[("last-event-id", "4711")]).await;
    assert!(
        listening
            .until(&format!("event: reset\nid: {latest}\ndata: {{}}\n\n"))
            .await
    );
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let world = world().await;
    world.run_feed();
    let mut listening = world.listen(&[]).await;
    assert!(listening.until("event: clock").await);
    world.deps.stop.cancel();
    assert!(!listening.until("never written").await, "the stream ends");
}

#[tokio::test]
async fn what_was_proven_is_asked_again() {
    let world = world().await;
    let cookie = world.sign_in("dana").await;
    let id = cookie.split('=').nth(1).unwrap().parse().unwrap();
    let proof = front::Proof::Session(id);
    assert!(session::still_holds(&world.deps, &proof).await.unwrap());
    world.form("/sign-out", &cookie, &[]).await;
    assert!(!session::still_holds(&world.deps, &proof).await.unwrap());
    let token = |text| front::Proof::Token(front::token_sha256(text));
    assert!(
        session::still_holds(&world.deps, &token(TOKEN))
            .await
            .unwrap()
    );
    assert!(
        !session::still_holds(&world.deps, &token("other"))
            .await
            .unwrap()
    );
}

// Health

#[tokio::test]
async fn health_readiness_and_numbers() {
    let world = world().await;
    assert_eq!(
        world.send("GET", "/healthz", &[], "").await.json(),
        json!({ "alive": true })
    );
    let ready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["aws"][0]["region"], "eu-central-1");
    world.send("GET", "/api/v1/me", &[], "").await;
    let metrics = world.send("GET", "/metrics", &[], "").await;
    for line in [
        "switchback_http_requests_total{status=\"200\"} 2\n",
        "switchback_http_requests_total{status=\"401\"} 1\n",
        "switchback_http_request_duration_seconds_count 3\n",
        "switchback_open_gates 0\n",
        "switchback_active_deployments 0\n",
        "switchback_aws_trouble{region=\"eu-central-1\"} 0\n",
        "switchback_aws_last_look_age_seconds{region=\"eu-central-1\"} 2\n",
    ] {
        assert!(metrics.body.contains(line), "{line} in\n{}", metrics.body);
    }
    world.deps.store.close().await;
    let unready = world.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (unready.status, &unready.json()["database"]),
        (503, &json!("does not answer"))
    );
    assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
}
