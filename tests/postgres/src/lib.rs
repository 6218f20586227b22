//! A throw-away PostgreSQL cluster for tests: made by the first test that wants it, gone with the process.

use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// A cluster that runs.
pub struct Cluster {
    programs: PathBuf,
    port: u16,
    databases: AtomicU64,
    /// Stops the cluster and removes its folder when its standard input ends, which the operating system sees to
    /// however this process ends.
    _keeper: Child,
}

impl Cluster {
    /// The cluster of this process, if the variable `PG_BIN` names the folder of PostgreSQL's programs.
    pub fn of_this_process() -> Option<&'static Cluster> {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let programs = std::env::var_os("PG_BIN")?;
        Some(CLUSTER.get_or_init(|| Cluster::start(Path::new(&programs))))
    }

    fn start(programs: &Path) -> Cluster {
        let folder = output("mktemp", &["-d"]).trim().to_string();
        assert!(!folder.is_empty(), "no temporary folder for PostgreSQL");
        let data = format!("{folder}/data");
        let program = |name: &str| programs.join(name).display().to_string();
        let user_and_data = ["-U", "postgres", "-D", &data];
        let form = [
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ];
        output(
            &program("initdb"),
            &[&user_and_data[..], &form[..]].concat(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = listener
            .unwrap_or_else(|error| panic!("no free port for PostgreSQL: {error}"))
            .port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off \
             -c max_connections=400"
        );
        let control = program("pg_ctl");
        let log = format!("{folder}/log");
        let started = unprivileged(&control)
            .args(["-D", &data, "-l", &log, "-o", &options, "-w", "start"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            started.is_ok_and(|status| status.success()),
            "PostgreSQL did not start; its log is {log}"
        );
        let keeper = unprivileged("sh")
            .args([
                "-c",
                "cat > /dev/null; \"$0\" -D \"$1/data\" -m immediate stop; rm -rf \"$1\"",
            ])
            .args([&control, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nobody to end PostgreSQL: {error}"));
        Cluster {
            programs: programs.to_path_buf(),
            port,
            databases: AtomicU64::new(0),
            _keeper: keeper,
        }
    }

    /// The URL of a new and empty database.
    pub fn new_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let port = self.port.to_string();
        let at = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", &name];
        output(&self.programs.join("createdb").display().to_string(), &at);
        format!("postgres://postgres@127.0.0.1:{port}/{name}")
    }
}

/// What the program writes; it must end well.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = unprivileged(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).to_string()
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &str) -> Command {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", program]);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}
