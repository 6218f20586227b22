//! A world: one simulated account and one server, with the language in which journeys are told.
//!
//! A journey ends with [`World::finish`], which is strict: every call that the product made to change
//! something in AWS must have been named by the journey, every verdict must have arrived, the audit
//! chain must verify, and the server must not have logged an error. A world that is dropped without
//! it fails its test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;
use switchback_tests_postgres::Cluster;
use tempfile::TempDir;

use crate::account::Account;
use crate::account::PRODUCT_KEY;
use crate::account::REGION;
use crate::machine;
use crate::machine::Process;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Window;
use crate::wire;
use crate::wire::Answer;

/// The first administrator.
pub const USER: &str = "dana";
/// Their password.
pub const PASSWORD: &str = "a long walk up the mountain";
/// Their token.
pub const TOKEN: &str = "sb-token-of-the-journeys-0123456789";
/// What hooks are signed with.
pub const RELAY_SECRET: &str = "the relay's secret of the journeys";

/// How many simulated seconds pass between two looks.
const STEP_SECONDS: u32 = 5;
/// How long a step lasts, so that the server, which looks every 200 ms, sees what happens.
const STEP: Duration = Duration::from_millis(60);

/// The HTTP API as one token or session holder sees it.
#[derive(Clone)]
pub struct Api {
    /// The server's address without a path.
    pub base: String,
    proof: Option<(String, String)>,
}

impl Api {
    /// With a token.
    pub fn with_token(base: &str, token: &str) -> Api {
        let proof = ("authorization".to_string(), format!("Bearer {token}"));
        Api {
            base: base.to_string(),
            proof: Some(proof),
        }
    }

    /// With nothing.
    pub fn of_nobody(base: &str) -> Api {
        Api {
            base: base.to_string(),
            proof: None,
        }
    }

    /// With the session of somebody who signs in by the form.
    pub async fn signed_in(base: &str, username: &str, password: &str) -> Api {
        let nobody = Api::of_nobody(base);
        let form = format!(
            "username={username}&password={}",
            password.replace(' ', "+")
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = nobody.send(Method::POST, "/sign-in", &headers, form).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/"),
            "{}",
            answer.body
        );
        let cookie = answer
            .cookie("switchback_session")
            .expect("signing in sets the cookie");
        Api {
            base: base.to_string(),
            proof: Some(("cookie".to_string(), cookie)),
        }
    }

    /// The header that says who asks; `None` with nothing.
    pub fn proof(&self) -> Option<&(String, String)> {
        self.proof.as_ref()
    }

    /// One request to any path, with the proof unless `headers` bring their own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<hyper::body::Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<hyper::body::Bytes>,
    ) -> Result<Answer, String> {
        let mut all = headers.to_vec();
        if let Some((name, value)) = &self.proof
            && !headers.iter().any(|(given, _)| given == name)
        {
            all.push((name, value));
        }
        wire::send(method, &format!("{}{path}", self.base), &all, body).await
    }

    /// GET under `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &format!("/api/v1{path}"), &[], "")
            .await
    }

    /// POST of JSON under `/api/v1`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// POST of JSON under `/api/v1` with more headers.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(
            Method::POST,
            &format!("/api/v1{path}"),
            &all,
            body.to_string(),
        )
        .await
    }

    /// Decides at a gate as it is shown now.
    pub async fn decides(&self, gate: &Value, verdict: &str, reason: Option<&str>) -> Answer {
        let path = format!(
            "/gates/{}/decisions",
            gate["id"].as_str().unwrap_or_default()
        );
        let body = json!({
            "verdict": verdict, "reason": reason, "evidence_digest": gate["evidence_digest"],
        });
        self.post(&path, &body).await
    }

    /// GET of a path that is not under `/api/v1`.
    pub async fn of_root(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// One deployment by our id or AWS's.
    pub async fn deployment(&self, id: &str) -> Value {
        self.get(&format!("/deployments/{id}")).await.is(200)
    }

    /// One gate.
    pub async fn gate(&self, id: &str) -> Value {
        self.get(&format!("/gates/{id}")).await.is(200)
    }

    /// The items of a list, on all of its pages; with a `limit` those of the first page.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = path.to_string();
        loop {
            let list = self.get(&next).await.is(200);
            let items = list["items"].as_array();
            all.extend_from_slice(items.unwrap_or_else(|| panic!("{next}: {list}")));
            let cursor = list["next_cursor"].as_str();
            let Some(cursor) = cursor.filter(|_| !path.contains("limit=")) else {
                return all;
            };
            let joint = if path.contains('?') { '&' } else { '?' };
            next = format!("{path}{joint}cursor={cursor}");
        }
    }

    /// How many entries the audit log has, and that its chain holds.
    pub async fn audit_length(&self) -> i64 {
        let audit = self.get("/audit?limit=1").await.is(200);
        assert_eq!(
            audit["broken_at"],
            Value::Null,
            "the audit chain is broken: {audit}"
        );
        audit["length"]
            .as_i64()
            .unwrap_or_else(|| panic!("no length: {audit}"))
    }
}

/// One more server on a world's database.
pub struct Replica {
    /// The process.
    pub process: Process,
    /// Switchback, as its administrator's token sees it there.
    pub api: Api,
}

/// Where the servers of a world keep everything.
#[derive(Clone, Copy)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// What the variable says that `cargo xtask test` sets; SQLite without it.
    fn of_these_journeys() -> Database {
        match std::env::var("SWITCHBACK_JOURNEYS_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Database::Sqlite,
            Ok("postgres") => Database::Postgres,
            Ok(other) => panic!("SWITCHBACK_JOURNEYS_DATABASE is sqlite or postgres, not {other}"),
        }
    }

    /// A database of its own for one world.
    fn url(self, folder: &TempDir) -> String {
        match self {
            Database::Sqlite => {
                format!("sqlite:{}", folder.path().join("switchback.db").display())
            }
            Database::Postgres => Cluster::of_this_process()
                .expect("PG_BIN names the folder of PostgreSQL's programs")
                .new_database(),
        }
    }
}

/// The account, the server and what is known of them.
pub struct World {
    server: Option<Process>,
    _simulation: Process,
    /// AWS, from outside.
    pub account: Account,
    /// Switchback, as its administrator's token sees it.
    pub api: Api,
    port: u16,
    database_url: String,
    finished: bool,
    /// More variables of the server, from its next start on.
    pub variables: Vec<(String, String)>,
    folder: TempDir,
}

/// The ledger's table, in the worlds that keep one.
pub const LEDGER: &str = "switchback-ledger";

impl World {
    /// An empty account and a server that watches it.
    pub async fn start() -> World {
        let mut world = World::start_without_server().await;
        world.start_server().await;
        world
    }

    /// The same on SQLite, whatever the other journeys run on: for what is done to its file.
    pub async fn start_on_sqlite() -> World {
        let mut world = World::on_database(Database::Sqlite).await;
        world.start_server().await;
        world
    }

    /// The same without a server yet.
    pub async fn start_on_sqlite_without_server() -> World {
        World::on_database(Database::Sqlite).await
    }

    /// An empty account and no server yet, for one that keeps everything on PostgreSQL.
    pub async fn start_without_postgres_server() -> World {
        World::on_database(Database::Postgres).await
    }

    /// The same on PostgreSQL, whatever the other journeys run on: for what only that can do.
    pub async fn start_on_postgres() -> World {
        let mut world = World::start_without_postgres_server().await;
        world.start_server().await;
        world
    }

    /// An empty account with a table that the doctor made, and a server that keeps its ledger there.
    pub async fn start_with_ledger() -> World {
        let mut world = World::start_without_server().await;
        let setting = ("SWITCHBACK_LEDGER_TABLE".to_string(), LEDGER.to_string());
        world.variables.push(setting);
        let (code, before) = world.doctor(&[]);
        assert_eq!(code, Some(1), "{before}");
        assert_eq!(finding(&before, "ledger: table")["result"], "problem");
        let (code, after) = world.doctor(&["--create-ledger-table"]);
        assert_eq!(code, Some(0), "{after}");
        for check in [
            "ledger: table",
            "ledger: deletion protection",
            "ledger: point-in-time recovery",
            "aws eu-central-1: codedeploy:ListDeployments",
            "aws eu-central-1: ecs:DescribeTaskDefinition",
            "clocks: aws eu-central-1",
            "relay: secret",
        ] {
            assert_eq!(finding(&after, check)["result"], "ok", "{after}");
        }
        world.start_server().await;
        world
    }

    /// What `switchback doctor` finds with the server's settings, and its exit code.
    pub fn doctor(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = self.command(&["doctor", "--json"]);
        self.settings(&mut command);
        let output = command.args(arguments).output().expect("the doctor runs");
        let found = serde_json::from_slice(&output.stdout);
        let found = found.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code(), found)
    }

    /// Gives the next server a database of its own that is empty, as after the loss of a disk.
    pub fn lose_database(&mut self) {
        assert!(self.server.is_none(), "the server still uses the database");
        self.database_url = format!("sqlite:{}", self.file("second.db").display());
    }

    /// An empty account, and a server that has yet to be started for the first time.
    pub async fn start_without_server() -> World {
        World::on_database(Database::of_these_journeys()).await
    }

    async fn on_database(database: Database) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database_url = database.url(&folder);
        let port = machine::free_port();
        let base = format!("http://127.0.0.1:{port}");
        let ready = folder.path().join("simulation.json");
        let mut command = machine::switchback();
        command
            .args([
                "aws-sim",
                "--empty",
                "--listen",
                "127.0.0.1:0",
                "--speed",
                "1",
                "--seed",
                "7",
            ])
            .args(["--relay-url", &format!("{base}/api/v1/hooks/codedeploy")])
            .arg("--ready-file")
            .arg(&ready)
            .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET);
        let log = folder.path().join("simulation.log");
        let simulation = Process::start("the simulated account", command, &log);
        let told = read_ready(&ready, simulation).await;
        let (told, simulation) = told;
        let endpoint = told["aws_endpoint"]
            .as_str()
            .expect("the ready file names the endpoint");
        World {
            server: None,
            _simulation: simulation,
            account: Account::at(endpoint),
            api: Api::with_token(&base, TOKEN),
            port,
            database_url,
            finished: false,
            variables: Vec::new(),
            folder,
        }
    }

    /// Starts the server, over the same database as before.
    pub async fn start_server(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = self.server_log();
        self.server = Some(self.start_a_server(self.port, &log).await);
    }

    /// Starts one more server on the same database.
    pub async fn start_replica(&self) -> Replica {
        let port = machine::free_port();
        let log = self.folder.path().join(format!("replica-{port}.log"));
        let process = self.start_a_server(port, &log).await;
        let base = format!("http://127.0.0.1:{port}");
        Replica {
            process,
            api: Api::with_token(&base, TOKEN),
        }
    }

    async fn start_a_server(&self, port: u16, log: &std::path::Path) -> Process {
        let mut command = self.command(&["serve"]);
        self.settings(&mut command);
        command.env("SWITCHBACK_LISTEN", format!("127.0.0.1:{port}"));
        let mut server = Process::start("the server", command, log);
        let api = Api::of_nobody(&format!("http://127.0.0.1:{port}"));
        until("the server is ready", Duration::from_secs(60), async || {
            assert!(server.is_running(), "the server ended at its start");
            match api.try_send(Method::GET, "/readyz", &[], "").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{}: {}", answer.status, answer.body)),
                Err(error) => Err(error),
            }
        })
        .await;
        server
    }

    /// Everything else that a server of this world is told.
    fn settings(&self, command: &mut std::process::Command) {
        command
            .env("SWITCHBACK_POLL_ACTIVE_MS", "200")
            .env("SWITCHBACK_POLL_IDLE_MS", "300")
            .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET)
            .env("SWITCHBACK_BOOTSTRAP_USER", USER)
            .env("SWITCHBACK_BOOTSTRAP_PASSWORD", PASSWORD)
            .env("SWITCHBACK_BOOTSTRAP_TOKEN", TOKEN)
            .env("AWS_ENDPOINT_URL", &self.account.endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", PRODUCT_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .envs(self.variables.iter().cloned());
    }

    /// The binary with these arguments, and the server's address and database.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = machine::switchback();
        command
            .args(arguments)
            .env("SWITCHBACK_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SWITCHBACK_DATABASE_URL", &self.database_url);
        command
    }

    /// A file of this world.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the servers of this world have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.server_log()).unwrap_or_default()
    }

    fn server_log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// The server's process.
    pub fn server(&self) -> &Process {
        self.server.as_ref().expect("the server runs")
    }

    /// Ends the server as an orchestrator does; gives its exit code.
    pub async fn terminate_server(&mut self) -> Option<i32> {
        let mut server = self.server.take().expect("the server runs");
        server.terminate().await
    }

    /// Kills the server as a power cut would.
    pub fn kill_server(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    /// A team with a service of this name, known to Switchback.
    pub async fn team(&self, service: &str) -> Team {
        let team = Team::build(&self.account, service).await;
        until("the service is discovered", SOON, async || {
            let answer = self.api.get(&format!("/services/{service}")).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.body)
            }
        })
        .await;
        team
    }

    /// A browser window at this server.
    pub async fn window(&self) -> Window {
        Window::open(&self.api.base).await
    }

    /// A browser window in which the administrator is signed in.
    pub async fn signed_in_window(&self) -> Window {
        let window = self.window().await;
        window.signs_in(USER, PASSWORD).await;
        window
    }

    /// Lets simulated time pass, step by step, until `look` gives something; at most `seconds` of it.
    pub async fn passing<T>(
        &self,
        what: &str,
        seconds: u32,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        let mut passed = 0;
        while passed < seconds {
            if let Ok(found) = look().await {
                return found;
            }
            self.account.advance(STEP_SECONDS).await;
            passed += STEP_SECONDS;
            tokio::time::sleep(STEP).await;
        }
        let what = format!("{what} ({seconds} simulated seconds passed)");
        until(&what, Duration::from_secs(10), look).await
    }

    /// Waits until Switchback has recorded the deployment.
    pub async fn recorded(&self, aws_id: &str) -> Value {
        until(&format!("{aws_id} is recorded"), SOON, async || {
            let answer = self.api.get(&format!("/deployments/{aws_id}")).await;
            if answer.status == 200 {
                Ok(answer.json())
            } else {
                Err(answer.body)
            }
        })
        .await
    }

    /// Lets time pass until the deployment holds at a gate; gives the gate.
    pub async fn holds(&self, aws_id: &str) -> Value {
        self.recorded(aws_id).await;
        // An ARN is a segment of a path here.
        let told = aws_id.replace("%2F", "/");
        self.passing(&format!("{aws_id} holds at a gate"), 900, async || {
            let open = self.api.items("/gates?state=open").await;
            let found = open
                .iter()
                .find(|gate| gate["deployment"]["aws_id"] == *told);
            found
                .cloned()
                .ok_or_else(|| format!("open gates: {open:?}"))
        })
        .await
    }

    /// Lets time pass until the deployment has ended; gives it.
    pub async fn ends(&self, aws_id: &str) -> Value {
        self.recorded(aws_id).await;
        self.passing(&format!("{aws_id} ends"), 2400, async || {
            let deployment = self.api.deployment(aws_id).await;
            if deployment["outcome"] == "in_progress" {
                return Err(deployment.to_string());
            }
            Ok(deployment)
        })
        .await
    }

    /// Lets time pass until AWS itself says that the deployment ended, whether anybody watches or not.
    pub async fn ends_at_aws(&self, aws_id: &str) -> Value {
        self.passing(&format!("{aws_id} ends at AWS"), 2400, async || {
            let info = self.account.deployment_info(aws_id).await;
            match info["status"].as_str() {
                Some("Succeeded" | "Failed" | "Stopped") => Ok(info),
                status => Err(format!("{status:?}")),
            }
        })
        .await
    }

    /// Waits until AWS has confirmed the gate's verdict; gives the gate. The steps that were seen on
    /// the way must be in order.
    pub async fn confirmed(&self, gate: &Value) -> Value {
        let id = gate["id"].as_str().expect("a gate has an id").to_string();
        let mut last = 0;
        self.passing(&format!("{id} is confirmed by AWS"), 120, async || {
            let gate = self.api.gate(&id).await;
            let step = match gate["delivery"].as_str() {
                Some("recorded") => 1,
                Some("sent") => 2,
                Some("confirmed") => return Ok(gate),
                _ => 0,
            };
            assert!(step >= last, "the delivery went backwards: {gate}");
            last = step;
            Err(gate["delivery"].to_string())
        })
        .await
    }

    /// Lets time pass until the operation has come to its end; gives it.
    pub async fn operation_ends(&self, id: &str) -> Value {
        self.passing(&format!("{id} ends"), 2400, async || {
            let operation = self.api.get(&format!("/operations/{id}")).await.is(200);
            match operation["state"].as_str() {
                Some("done" | "failed") => Ok(operation),
                state => Err(format!("{state:?}")),
            }
        })
        .await
    }

    /// What the product did to AWS: operations by name, in order, those that took effect or not.
    pub async fn calls_of_the_product(&self) -> Vec<String> {
        let calls = self.account.journal(PRODUCT_KEY).await;
        calls
            .iter()
            .map(|call| call["operation"].as_str().unwrap_or_default().to_string())
            .collect()
    }

    /// The end of every journey: nothing is left over, and the product did to AWS exactly this.
    pub async fn finish(mut self, calls: &[&str]) {
        self.finished = true;
        assert_eq!(
            self.calls_of_the_product().await,
            calls,
            "what the product did to AWS"
        );
        assert!(self.api.audit_length().await > 0, "the audit log is empty");
        let mut waiting = BTreeMap::new();
        for gate in self.api.items("/gates").await {
            if matches!(gate["delivery"].as_str(), Some("recorded" | "sent")) {
                waiting.insert(gate["id"].to_string(), gate["delivery"].to_string());
            }
        }
        assert_eq!(
            waiting,
            BTreeMap::new(),
            "verdicts that AWS has not confirmed"
        );
        let server = self
            .server
            .take()
            .expect("the server runs at the end of a journey");
        assert_no_errors(&server.output());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.finished && !std::thread::panicking() {
            panic!("a journey must end with World::finish");
        }
    }
}

/// The line of the doctor's findings about this.
pub fn finding<'a>(found: &'a Value, check: &str) -> &'a Value {
    let checks = found["checks"].as_array();
    let line = checks.and_then(|checks| checks.iter().find(|line| line["check"] == check));
    line.unwrap_or_else(|| panic!("no {check} in {found}"))
}

/// Holds that the server's log tells of no failure of its own.
pub fn assert_no_errors(log: &str) {
    let bad: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.contains(" ERROR ")
                || line.contains("\"level\":\"ERROR\"")
                || line.contains("panicked at")
        })
        .collect();
    assert!(
        bad.is_empty(),
        "the server logged errors:\n{}",
        bad.join("\n")
    );
}

/// Waits for a ready file; gives what it says, and the process back.
pub async fn read_ready(file: &std::path::Path, mut process: Process) -> (Value, Process) {
    let told = until(
        "the ready file is written",
        Duration::from_secs(60),
        async || {
            assert!(process.is_running(), "the process ended at its start");
            let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        },
    )
    .await;
    (told, process)
}
