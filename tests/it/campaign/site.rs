//! A site: one simulated account with a service for each of its runs, the door in front of it, and one
//! server that is killed and started again.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::account::Account;
use crate::account::Json;
use crate::account::PRODUCT_KEY;
use crate::account::REGION;
use crate::campaign::crew::Crew;
use crate::campaign::database::Database;
use crate::campaign::proxy::Door;
use crate::campaign::table::Run;
use crate::machine;
use crate::machine::Process;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::until;
use crate::wire;
use crate::world::Api;
use crate::world::PASSWORD;
use crate::world::RELAY_SECRET;
use crate::world::TOKEN;
use crate::world::USER;
use crate::world::read_ready;

/// The bound of everything that the server does within its own time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server's process. It ignores the signal of a file that may not grow, as a full disk sends none.
pub struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Server {
    fn start(mut command: Command) -> Server {
        // Pipes, not files: what is said about a file system that is full must not need it.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("the server does not start: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for mut stream in streams.into_iter().flatten() {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 8192];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..count]).to_string();
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_str(&text);
                }
            });
        }
        Server { child, log }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether its files may grow. A process that may not is told EFBIG by every write, as by a full disk ENOSPC.
    pub fn may_write(&self, may: bool) {
        let limit = Rlimit {
            current: (!may).then_some(0),
            maximum: None,
        };
        let pid = Pid::from_child(&self.child);
        rustix::process::prlimit(Some(pid), Resource::Fsize, limit)
            .unwrap_or_else(|error| panic!("the limit of the server's files: {error}"));
    }

    fn kill(&mut self) {
        // A group that is gone already is what is wanted.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let first = lines.len().saturating_sub(60);
            eprintln!("---- the server, last lines of {} ----", lines.len());
            for line in &lines[first..] {
                eprintln!("{line}");
            }
        }
    }
}

/// The site.
pub struct Site {
    _simulation: Process,
    server: Option<Server>,
    /// What servers that were killed said.
    logs: String,
    pub account: Account,
    pub door: Door,
    pub api: Api,
    pub database: Database,
    port: u16,
    crews: BTreeMap<u64, Arc<Crew>>,
    /// A browser's session.
    pub session: Option<Api>,
    folder: TempDir,
}

impl Site {
    /// Builds a service for each run, starts the server, and lets it see a past where a run needs one.
    pub async fn build(runs: &[Run]) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = machine::free_port();
        let base = format!("http://127.0.0.1:{port}");
        let ready = folder.path().join("simulation.json");
        let mut command = machine::switchback();
        command
            .args(["aws-sim", "--empty", "--listen", "127.0.0.1:0"])
            .args(["--relay-url", &format!("{base}/api/v1/hooks/codedeploy")])
            .arg("--ready-file")
            .arg(&ready)
            .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET);
        let log = folder.path().join("simulation.log");
        let simulation = Process::start("the simulated account", command, &log);
        let (told, simulation) = read_ready(&ready, simulation).await;
        let endpoint = told["aws_endpoint"]
            .as_str()
            .expect("the ready file names the endpoint")
            .trim_end_matches('/')
            .to_string();
        let database = Database {
            path: folder.path().join("switchback.db"),
        };
        let mut site = Site {
            _simulation: simulation,
            server: None,
            logs: String::new(),
            door: Door::open(&endpoint).await,
            account: Account::at(&endpoint),
            api: Api::with_token(&base, TOKEN),
            database,
            port,
            crews: BTreeMap::new(),
            session: None,
            folder,
        };
        // The account's clock is hours away from the machine's, as nothing promises that they agree.
        site.account.advance(3 * 3600).await;
        for run in runs {
            let crew = Crew::build(&site.account, run).await;
            if let (true, Crew::CodeDeploy(team)) = (run.act.has_ready_wait(), &crew) {
                site.waits_when_ready(team).await;
            }
            site.crews.insert(run.number, Arc::new(crew));
        }
        site.start_server().await;
        site.session = Some(Api::signed_in(&base, USER, PASSWORD).await);
        site.make_a_past(runs).await;
        site
    }

    async fn waits_when_ready(&self, team: &Team) {
        let settings = json!({
            "applicationName": team.application,
            "currentDeploymentGroupName": team.group,
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": { "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60 },
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1,
                },
            },
        });
        self.account
            .call(Json::CodeDeploy, "UpdateDeploymentGroup", settings)
            .await;
    }

    /// A redeployment needs a deployment that it undoes.
    async fn make_a_past(&self, runs: &[Run]) {
        let mut begun = Vec::new();
        for run in runs.iter().filter(|run| run.act.redeploys()) {
            let crew = self.crew(run);
            let revision = crew.registers("2").await;
            begun.push(
                crew.deploys(&revision, false, NO_HOOK, "the release before")
                    .await,
            );
        }
        for run in runs {
            until("the service is discovered", PATIENCE, async || {
                let answer = self.api.get(&format!("/services/{}", run.service())).await;
                (answer.status == 200).then_some(()).ok_or(answer.body)
            })
            .await;
        }
        for aws_id in begun {
            self.passing(
                "the release before has succeeded",
                20,
                PATIENCE,
                async || {
                    let answer = self.api.get(&format!("/deployments/{aws_id}")).await;
                    if answer.status == 200 && answer.json()["outcome"] == "succeeded" {
                        return Ok(());
                    }
                    Err(answer.body)
                },
            )
            .await;
        }
    }

    /// The run's team.
    pub fn crew(&self, run: &Run) -> Arc<Crew> {
        self.crews[&run.number].clone()
    }

    /// Starts the server, over the same database as before.
    pub async fn start_server(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let program = machine::program("SWITCHBACK_BIN");
        let mut command = Command::new("sh");
        machine::hermetic(&mut command);
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" serve"])
            .arg(program)
            .current_dir(self.folder.path())
            .env("SWITCHBACK_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SWITCHBACK_DATABASE_URL", self.database.url())
            .env("SWITCHBACK_POLL_ACTIVE_MS", "200")
            .env("SWITCHBACK_POLL_IDLE_MS", "300")
            .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET)
            .env("SWITCHBACK_BOOTSTRAP_USER", USER)
            .env("SWITCHBACK_BOOTSTRAP_PASSWORD", PASSWORD)
            .env("SWITCHBACK_BOOTSTRAP_TOKEN", TOKEN)
            .env("AWS_ENDPOINT_URL", &self.door.endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", PRODUCT_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "any");
        self.server = Some(Server::start(command));
        let url = format!("{}/readyz", self.api.base);
        until(
            "the server is ready",
            PATIENCE,
            async || match wire::send(Method::GET, &url, &[], "").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{}: {}", answer.status, answer.body)),
                Err(error) => Err(error),
            },
        )
        .await;
    }

    /// The server that runs.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// Kills it as a power cut would.
    pub fn kill_server(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill();
        self.logs.push_str(&server.log());
    }

    /// Everything that this site's servers have said.
    pub fn log(&self) -> String {
        let mut log = self.logs.clone();
        if let Some(server) = &self.server {
            log.push_str(&server.log());
        }
        log
    }

    /// Waits until the server says this, after the first so many bytes of its log.
    pub async fn says(&self, words: &str, after: usize) {
        until(
            &format!("the server says {words:?}"),
            PATIENCE,
            async || {
                let log = self.log();
                let said = log.get(after..).unwrap_or_default();
                said.contains(words)
                    .then_some(())
                    .ok_or_else(|| said.to_string())
            },
        )
        .await;
    }

    /// Lets so many simulated seconds pass between two looks, until `look` gives something.
    pub async fn passing<T>(
        &self,
        what: &str,
        step_seconds: u32,
        bound: Duration,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        until(what, bound, async || match look().await {
            Ok(found) => Ok(found),
            Err(seen) => {
                self.account.advance(step_seconds).await;
                Err(seen)
            }
        })
        .await
    }
}
