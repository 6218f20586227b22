//! HTTP from the outside: a real store, the real router and pages, and a small console behind them.

mod acts;
mod bundles;
mod demo_routes;
mod openapi;
mod problems;
mod route_table;
mod safety;
mod sessions;
mod signing_in;
mod streams;

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
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use switchback_contract::*;
use switchback_control::EventTaken;
use switchback_control::FunctionAnswer;
use switchback_control::FunctionRun;
use switchback_domain::actor::Actor;
use switchback_domain::event::EventHint;
use switchback_domain::signature;
use switchback_store::AuditQuery;
use switchback_store::records::SessionRecord;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tower::ServiceExt;

const NOW: Moment = Moment::from_millis(1_795_000_000_000);
const PASSWORD: &str = "correct horse";
const TOKEN: &str = "sb_test_token";
const RELAY_SECRET: &str = "relay secret";
const HOST: &str = "desk.example:3000";
/// The longest that anything is waited for.
const BOUND: Duration = Duration::from_secs(60);

/// Counts what reached it and refuses what it is told to refuse.
#[derive(Default)]
struct FakeWork {
    decisions: AtomicUsize,
    rollbacks: Mutex<Vec<(Option<String>, RollbackCommand)>>,
    ends_of_bakes: Mutex<Vec<EndBakeCommand>>,
    filters: Mutex<Vec<DeploymentFilter>>,
    service_filters: Mutex<Vec<ServiceFilter>>,
    gate_filters: Mutex<Vec<GateFilter>>,
    hooks: Mutex<Vec<String>>,
    /// How often the clock was refreshed, and what the account's clock says, once AWS is heard.
    refreshes: AtomicUsize,
    account: Mutex<Account>,
    /// How many seconds ago the last look ended well.
    look_age: AtomicU64,
    /// How the looks at further accounts go.
    others: Mutex<Vec<Look>>,
    /// What AWS's last look said, when it failed.
    trouble: Mutex<Option<String>>,
    /// How many plans were made.
    plans: AtomicUsize,
    /// Work that comes while this is above zero is refused for now, and counts it down.
    unavailable: AtomicUsize,
}

/// What is known of the account's clock.
struct Account {
    /// What it says; the machine's time until AWS is heard.
    clock: Moment,
    hears_aws: bool,
    /// What the clock says once it was refreshed so many times; AWS does not answer without it.
    comes: Option<(usize, Moment)>,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            clock: NOW,
            hears_aws: true,
            comes: None,
        }
    }
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
        self.0.account.lock().unwrap().clock
    }

    fn hears_aws(&self) -> bool {
        self.0.account.lock().unwrap().hears_aws
    }

    async fn refresh_clock(&self) {
        let refreshes = self.0.refreshes.fetch_add(1, Ordering::SeqCst) + 1;
        let mut account = self.0.account.lock().unwrap();
        if let Some((needed, clock)) = account.comes
            && refreshes >= needed
        {
            account.clock = clock;
            account.hears_aws = true;
        }
    }

    fn looks(&self) -> Vec<Look> {
        let mut looks = vec![Look {
            region: "eu-central-1".to_string(),
            at: Some(NOW.plus_seconds(-2)),
            age: Some(Duration::from_secs(self.0.look_age.load(Ordering::Relaxed))),
            trouble: self.0.trouble.lock().unwrap().clone(),
            account: None,
            number: Some("123456789012".to_string()),
            requests_an_hour: Some(120.0),
            queue_answers: Some(true),
        }];
        looks.extend(self.0.others.lock().unwrap().iter().cloned());
        looks
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

    async fn receive_function_run(
        &self,
        run: FunctionRun,
        used: &str,
    ) -> Result<FunctionAnswer, Refusal> {
        let mut hooks = self.0.hooks.lock().unwrap();
        hooks.push(used.to_string());
        match run.stage.as_str() {
            "PRE_SCALE_UP" => Ok(FunctionAnswer::Succeeded),
            "POST_SCALE_UP" => Ok(FunctionAnswer::Failed),
            "RECONCILE_SERVICE" => Err(Refusal::new(
                RefusalKind::NotFound,
                "deployment_unknown",
                "AWS does not know it.",
            )),
            _ => Ok(FunctionAnswer::InProgress(10)),
        }
    }

    async fn receive_event(&self, hint: &EventHint, used: &str) -> Result<EventTaken, Refusal> {
        let mut hooks = self.0.hooks.lock().unwrap();
        if hooks.iter().any(|before| before == used) {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "signature_repeated",
                "This signature was used.",
            ));
        }
        hooks.push(used.to_string());
        Ok(match hint.subject {
            Some(_) => EventTaken::Taken,
            None => EventTaken::Ignored,
        })
    }
}

pub(crate) fn gate_view(id: &str) -> GateView {
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
            ledger: "No ledger is kept: a rollback needs this database.".to_string(),
            ledger_complete: false,
            services: 0,
            accounts: 1,
            last_look_at: Some(NOW),
            trouble: None,
            regions: Vec::new(),
            health: Vec::new(),
        };
        Ok(NowPage {
            now: NOW,
            needs_you: vec![],
            needs_you_count: 0,
            moving: vec![],
            moving_count: 0,
            ended: vec![],
            coverage,
        })
    }
    async fn services(&self, filter: ServiceFilter) -> Result<Page<ServiceView>, Refusal> {
        self.actor()?;
        self.work.service_filters.lock().unwrap().push(filter);
        Ok(whole(Vec::new()))
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
            notice: None,
        })
    }
    async fn history_page(&self, filter: DeploymentFilter) -> Result<HistoryPage, Refusal> {
        Ok(HistoryPage {
            page: self.deployments(filter).await?,
            gaps: Vec::new(),
            regions: Vec::new(),
            accounts: AccountNames::default(),
        })
    }
    async fn coverage(&self) -> Result<Vec<RegionCoverage>, Refusal> {
        self.actor()?;
        Ok(Vec::new())
    }
    async fn status_page(&self) -> Result<StatusPage, Refusal> {
        self.actor()?;
        Ok(StatusPage {
            now: NOW,
            regions: vec![],
            accounts: vec![],
        })
    }
    async fn accounts(&self) -> Result<Vec<AccountHealth>, Refusal> {
        self.actor()?;
        Ok(Vec::new())
    }
    async fn services_page(&self, filter: ServiceFilter) -> Result<ServicesPage, Refusal> {
        Ok(ServicesPage {
            page: self.services(filter).await?,
            total: 0,
            regions: Vec::new(),
            accounts: AccountNames::default(),
        })
    }
    async fn deployment(&self, _: String) -> Result<DeploymentView, Refusal> {
        self.nothing("deployment")
    }
    async fn deployment_page(&self, id: String) -> Result<DeploymentPage, Refusal> {
        if id != "dep-1" {
            return self.nothing("deployment");
        }
        self.actor()?;
        let gate = gate_view("gate-1");
        let page = json!({
            "deployment": gate.deployment, "now": NOW, "stages": [], "weights": [], "points": [],
            "alarms": [], "gates": [gate], "difference": null, "timeline": [], "operations": [],
            "app_spec": null, "hooks": [], "may_roll_back": true, "observed_at": NOW
        });
        Ok(serde_json::from_value(page).unwrap())
    }
    async fn deployment_metrics(&self, _: String) -> Result<Vec<MetricPoint>, Refusal> {
        self.nothing("deployment")
    }
    async fn gates(&self, filter: GateFilter) -> Result<Page<GateView>, Refusal> {
        self.actor()?;
        self.work.gate_filters.lock().unwrap().push(filter);
        Ok(whole(vec![gate_view("gate-1")]))
    }
    async fn approvals_page(&self, filter: GateFilter) -> Result<ApprovalsPage, Refusal> {
        Ok(ApprovalsPage {
            now: NOW,
            page: self.gates(filter).await?,
            total: Some(1),
        })
    }
    async fn open_gate_count(&self) -> Result<i64, Refusal> {
        self.actor()?;
        Ok(1)
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
    async fn plan_rollback(&self, _: String, target: String) -> Result<PlanView, Refusal> {
        self.actor()?;
        if target == "current" {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "already_serving",
                "It serves.",
            ));
        }
        let made = self.work.plans.fetch_add(1, Ordering::SeqCst) + 1;
        let view = json!({
            "digest": format!("p{made}"), "kind": "redeploy", "target": target, "preflight": [],
            "calls": [], "consequences": [], "expected_seconds": null, "expected_basis": "",
            "may_run": true, "made_at": NOW, "difference": null
        });
        Ok(serde_json::from_value(view).unwrap())
    }
    async fn diff_page(
        &self,
        _: String,
        _: Option<String>,
        _: Option<String>,
    ) -> Result<DiffPage, Refusal> {
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
        if self.work.unavailable.load(Ordering::SeqCst) > 0 {
            self.work.unavailable.fetch_sub(1, Ordering::SeqCst);
            return Err(Refusal::new(
                RefusalKind::Unavailable,
                "aws_unavailable",
                "AWS does not answer now.",
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
    async fn end_bake_page(&self, _: String) -> Result<EndBakePage, Refusal> {
        self.nothing("deployment")
    }
    async fn end_bake(
        &self,
        deployment: String,
        command: EndBakeCommand,
    ) -> Result<OperationView, Refusal> {
        let actor = self.actor()?;
        let mut ends = self.work.ends_of_bakes.lock().unwrap();
        ends.push(command.clone());
        let view = json!({
            "id": format!("op-{}", ends.len()), "kind": "end_bake", "service_id": "svc-1",
            "target": null, "state": "intended", "detail": null, "actor": actor.name,
            "reason": command.reason, "created_at": NOW, "deployment_id": deployment
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
            notice: None,
        };
        Ok(AuditPage {
            page,
            length: 7,
            verified_to: 7,
            verified_at: Some(NOW),
            broken_at: None,
            fault: None,
            proof: AuditProof::default(),
            gaps: vec![],
        })
    }
    async fn audit_export(
        &self,
        _: AuditFilter,
        _: AuditExportForm,
    ) -> Result<Box<dyn AuditExport>, Refusal> {
        self.actor()?;
        Err(Refusal::new(
            RefusalKind::Invalid,
            "bundle_filtered",
            "There is nothing to export here.",
        ))
    }
}

fn whole<T>(items: Vec<T>) -> Page<T> {
    Page {
        items,
        next_cursor: None,
        notice: None,
    }
}

struct World {
    router: Router,
    deps: Deps,
    work: Arc<FakeWork>,
    /// How many seconds the server's clock is ahead of the machine's.
    later: Arc<AtomicI64>,
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
            .find(|cookie| {
                cookie.starts_with(session::COOKIE) || cookie.starts_with(session::SECURE_COOKIE)
            })
            .expect("a session cookie");
        cookie.split(';').next().unwrap().to_string()
    }
}

async fn world() -> World {
    world_with(Some(RELAY_SECRET), None).await
}

async fn world_with(relay_secret: Option<&str>, public_url: Option<&str>) -> World {
    world_of(relay_secret, public_url, None).await
}

async fn world_of(
    relay_secret: Option<&str>,
    public_url: Option<&str>,
    guide: Option<Arc<dyn Offers>>,
) -> World {
    world_of_all(relay_secret, public_url, guide, SignIn::default()).await
}

async fn world_of_all(
    relay_secret: Option<&str>,
    public_url: Option<&str>,
    guide: Option<Arc<dyn Offers>>,
    sign_in: SignIn,
) -> World {
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
        user("ada", &[Role::Admin]),
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
    let later = Arc::new(AtomicI64::new(0));
    let clock: MomentSource = {
        let (machine, later) = (run::machine_clock(), later.clone());
        Arc::new(move || machine().plus_seconds(later.load(Ordering::SeqCst)))
    };
    let provider = sign_in
        .oidc
        .clone()
        .map(|oidc| Arc::new(Provider::new(oidc, clock.clone()).unwrap()));
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
        sign_in,
        provider,
        watches: true,
        look_limit: Duration::from_secs(300),
        guide,
        clock,
        stop: CancellationToken::new(),
    });
    World {
        router: router(deps.clone()),
        deps,
        work,
        later,
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
            .unwrap_or_else(|_| panic!("{method} {path} was not answered within {BOUND:?}"))
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
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        openapi::hold(method, path, &answer);
        safety::hold(method, path, &answer);
        answer
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

    async fn sessions_of(&self, username: &str) -> Vec<SessionRecord> {
        let store = &self.deps.store;
        let user = store.user_fetch_by_name(username).await.unwrap().unwrap();
        store.session_list(&user.id).await.unwrap()
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
