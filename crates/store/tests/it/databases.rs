//! Fresh databases for tests: a SQLite file, and a database in a PostgreSQL cluster that lives as long as this process.

use sqlx::AnyPool;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use switchback_store::Store;

/// A database of its own, opened.
pub struct Database {
    pub store: Store,
    pub url: String,
    pub kind: Kind,
    _folder: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Database {
    /// A connection that goes past the store, for what the store rightly cannot do.
    pub async fn raw(&self) -> AnyPool {
        raw(&self.url).await
    }
}

pub async fn raw(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPool::connect(url).await.unwrap()
}

/// Runs the test on every kind of database that is there.
pub async fn on_every_database(test: impl AsyncFn(&Database)) {
    for (kind, url, folder) in empty_databases().await {
        let store = Store::open(&url).await.unwrap();
        let database = Database {
            store,
            url,
            kind,
            _folder: folder,
        };
        test(&database).await;
        database.store.close().await;
    }
}

/// An empty database of every kind: its kind, its URL, and what it lives in.
pub async fn empty_databases() -> Vec<(Kind, String, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("switchback.db").display());
    let mut databases = vec![(Kind::Sqlite, url, Some(folder))];
    if let Some(programs) = std::env::var_os("PG_BIN") {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(|| Cluster::start(Path::new(&programs)));
        databases.push((Kind::Postgres, cluster.new_database().await, None));
    }
    databases
}

/// A throw-away PostgreSQL cluster.
struct Cluster {
    port: u16,
    databases: AtomicU64,
    /// Stops the cluster and removes its folder when its standard input ends, which the operating system sees to
    /// however this process ends.
    _keeper: Child,
}

impl Cluster {
    fn start(programs: &Path) -> Cluster {
        let folder = Command::from_unprivileged("mktemp")
            .arg("-d")
            .output()
            .unwrap();
        let folder = String::from_utf8(folder.stdout).unwrap().trim().to_string();
        assert!(!folder.is_empty(), "no temporary folder for PostgreSQL");
        let data = format!("{folder}/data");
        let made = Command::from_unprivileged(&programs.join("initdb").display().to_string())
            .args(["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let control = programs.join("pg_ctl").display().to_string();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off \
             -c max_connections=400"
        );
        let started = Command::from_unprivileged(&control)
            .args([
                "-D",
                &data,
                "-l",
                &format!("{folder}/log"),
                "-o",
                &options,
                "-w",
                "start",
            ])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(
            started.success(),
            "PostgreSQL did not start; its log is {folder}/log"
        );
        let keeper = Command::from_unprivileged("sh")
            .args([
                "-c",
                "cat > /dev/null; \"$0\" -D \"$1/data\" -m immediate stop; rm -rf \"$1\"",
            ])
            .args([&control, &folder])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Cluster {
            port,
            databases: AtomicU64::new(0),
            _keeper: keeper,
        }
    }

    async fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let admin = raw(&self.url("postgres")).await;
        sqlx::query(&format!("create database {name}"))
            .execute(&admin)
            .await
            .unwrap();
        admin.close().await;
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// PostgreSQL refuses to run as root.
trait Unprivileged {
    fn from_unprivileged(program: &str) -> Command;
}

impl Unprivileged for Command {
    fn from_unprivileged(program: &str) -> Command {
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout.trim_ascii() != b"0" {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", program]);
        command
    }
}
