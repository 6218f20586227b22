//! The machine, and the processes that are measured on it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use tokio::process::Child;
use tokio::process::Command;

use crate::Options;
use crate::wire::Http;

/// The region of the simulated account.
pub const REGION: &str = "eu-central-1";
/// The administrator.
pub const USER: &str = "bench";
/// Their password.
pub const PASSWORD: &str = "a thousand trains a minute";
/// Their token.
pub const TOKEN: &str = "sb-token-of-the-benches-0123456789";
/// What hooks are signed with.
pub const RELAY_SECRET: &str = "the relay's secret of the benches";

/// How long a process may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The name, value pairs by which a figure is told from another machine's.
pub fn describe(options: &Options) -> Vec<(String, String)> {
    let first = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once([':', '=']))
            .map_or("unknown".to_string(), |(_, value)| {
                value.trim().trim_matches('"').to_string()
            })
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = first("/proc/meminfo", "MemTotal")
        .split_whitespace()
        .next()
        .and_then(|kilobytes| kilobytes.parse().ok())
        .unwrap_or(0);
    let output = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program)
            .args(arguments)
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map_or("unknown".to_string(), |output| {
                String::from_utf8_lossy(&output.stdout).trim().to_string()
            })
    };
    let changed = match output("git", &["status", "--porcelain", "--untracked-files=no"]).as_str() {
        "" => "",
        _ => " with changes",
    };
    [
        ("processor", first("/proc/cpuinfo", "model name")),
        ("cores", cores.to_string()),
        (
            "memory",
            format!("{:.0} GiB", memory as f64 / 1024.0 / 1024.0),
        ),
        ("system", first("/etc/os-release", "PRETTY_NAME")),
        ("compiler", output("rustc", &["--version"])),
        ("build", options.profile.clone()),
        (
            "commit",
            format!(
                "{}{changed}",
                output("git", &["rev-parse", "--short=10", "HEAD"])
            ),
        ),
        ("load before", load()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

/// The load average of the last minute, five and fifteen.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    words.join(" ")
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bench measures this machine at this time"
    )]
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A folder of its own, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Below the data folder.
    pub fn new(options: &Options, name: &str) -> Result<Folder> {
        let folder = options
            .data
            .join(format!("run-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}

/// A process that ends with us.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it without anything by which it could reach a real account, its output in `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let file = std::fs::File::create(log)
            .with_context(|| format!("could not make {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Process {
            child,
            name: name.to_string(),
            log: log.to_path_buf(),
        })
    }

    /// The end of what it wrote, as an error, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(20).collect();
            let end: Vec<&str> = lines.into_iter().rev().collect();
            bail!("{} ended ({status}):\n{}", self.name, end.join("\n"));
        }
        Ok(())
    }

    /// Resident memory in kibibytes: now, and the most so far.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let id = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let of = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|kilobytes| kilobytes.parse().ok())
                .unwrap_or(0)
        };
        Ok((of("VmRSS:"), of("VmHWM:")))
    }

    /// Kills it and waits for its end.
    pub async fn end(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("{} could not be ended", self.name))
    }
}

/// The product or this program, without settings of whoever runs us.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.starts_with("SWITCHBACK_") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Waits for a JSON file that a process writes once it answers.
pub async fn ready_file(file: &Path, process: &mut Process) -> Result<Value> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(file)
            && let Ok(value) = serde_json::from_str(&text)
        {
            return Ok(value);
        }
        process.check()?;
        if begun.elapsed() > START_LIMIT {
            bail!("{} did not become ready", process.name);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A simulated account with nothing in it.
pub async fn account(
    options: &Options,
    folder: &Path,
    relay_url: Option<&str>,
) -> Result<(Process, String)> {
    let ready = folder.join("account.json");
    let mut command = command(&options.binary);
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
        .arg("--ready-file")
        .arg(&ready)
        .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET);
    if let Some(url) = relay_url {
        command.args(["--relay-url", url]);
    }
    let mut process = Process::start(
        "the simulated account",
        command,
        &folder.join("account.log"),
    )?;
    let told = ready_file(&ready, &mut process).await?;
    let endpoint = told["aws_endpoint"]
        .as_str()
        .context("no endpoint was told")?;
    Ok((process, endpoint.trim_end_matches('/').to_string()))
}

/// A server that is ready.
pub struct Server {
    /// It.
    pub process: Process,
    /// From the start of the process until it was ready.
    pub start: Duration,
    /// With the administrator's token.
    pub api: Http,
}

/// Starts `switchback serve` on this database before this account and waits until it is ready.
pub async fn server(
    options: &Options,
    folder: &Path,
    database: &Path,
    aws: &str,
    more: &[(&str, &str)],
) -> Result<Server> {
    let port = free_port()?;
    let base = format!("http://127.0.0.1:{port}");
    let mut command = command(&options.binary);
    command
        .arg("serve")
        .current_dir(folder)
        .env("SWITCHBACK_LISTEN", format!("127.0.0.1:{port}"))
        .env(
            "SWITCHBACK_DATABASE_URL",
            format!("sqlite:{}", database.display()),
        )
        .env("SWITCHBACK_RELAY_SECRET", RELAY_SECRET)
        .env("SWITCHBACK_BOOTSTRAP_USER", USER)
        .env("SWITCHBACK_BOOTSTRAP_PASSWORD", PASSWORD)
        .env("SWITCHBACK_BOOTSTRAP_TOKEN", TOKEN)
        .env("AWS_ENDPOINT_URL", aws)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "AKIDBENCH")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .envs(more.iter().copied());
    let begun = Instant::now();
    let mut process = Process::start("the server", command, &folder.join("server.log"))?;
    let nobody = Http::new(&base);
    loop {
        if let Ok(answer) = nobody.send(hyper::Method::GET, "/readyz", &[], "").await
            && answer.status == 200
        {
            break;
        }
        process.check()?;
        if begun.elapsed() > START_LIMIT {
            bail!("the server did not become ready");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(Server {
        process,
        start: begun.elapsed(),
        api: Http::new(&base).with("authorization", &format!("Bearer {TOKEN}")),
    })
}

/// Signs in by the form; gives a client with the session's cookie.
pub async fn signed_in(base: &str) -> Result<Http> {
    let form = format!("username={USER}&password={}", PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = Http::new(base)
        .send(hyper::Method::POST, "/sign-in", &headers, form)
        .await?;
    let cookie = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split(';').next())
        .find(|pair| pair.starts_with("switchback_session="))
        .with_context(|| format!("signing in answered {} without a session", answer.status))?;
    Ok(Http::new(base).with("cookie", cookie))
}

/// A port that nothing listens on.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
