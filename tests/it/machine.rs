//! The machine: where the programs are, which ports are free, and processes that leave nothing behind.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::wait::until;

/// The longest that a process may take to end when it is asked to: as long as orchestrators wait.
const ENDING: Duration = Duration::from_secs(30);

/// How many lines of a process's output a failed test shows.
const SHOWN_LINES: usize = 60;

/// A program that `cargo xtask test` names.
pub fn program(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        panic!(
            "{variable} is not set. The journeys need the built binary and a browser: run\n    \
             cargo xtask test --only journeys"
        );
    };
    assert!(
        path.is_file(),
        "{variable} is {}, which is no file",
        path.display()
    );
    path
}

/// The binary under test.
pub fn switchback() -> Command {
    let mut command = Command::new(program("SWITCHBACK_BIN"));
    hermetic(&mut command);
    command
}

/// Takes away everything by which a child could reach a real AWS account or another's settings.
pub fn hermetic(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["AWS_", "OTEL_", "SWITCHBACK_"]
            .iter()
            .any(|ours| name.starts_with(ours))
        {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
}

/// The target directory that the binary under test lies in.
pub fn target_folder() -> PathBuf {
    let binary = program("SWITCHBACK_BIN");
    let folder = binary.parent().and_then(Path::parent);
    folder
        .expect("the binary lies two folders deep")
        .to_path_buf()
}

/// A port that nothing listens on. They are taken from below the range from which the kernel gives
/// ports to connections, so that one that is free stays free while a server is killed and started
/// again; who loses a race to another process asks for the next.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (own / 2 + step * 7) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT);
}

/// A process with all that it starts. Ends when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: bool,
}

impl Process {
    /// Starts it in a group of its own, with its output in `log`, after what the file holds already.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Process {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .unwrap_or_else(|error| panic!("{} could not be opened: {error}", log.display()))
        };
        command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .process_group(0);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        Process {
            name: name.to_string(),
            child,
            log: log.to_path_buf(),
            ended: false,
        }
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).to_string()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        !self.ended && matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it stand still, as a machine does that is out of memory or was moved.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let group = Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, signal)
            .unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
    }

    /// Asks it to end, as an orchestrator does, and waits until it has; gives its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)
            .expect("the process can be told to end");
        let status = until("the process ends", ENDING, async || {
            match self.child.try_wait() {
                Ok(Some(status)) => Ok(status),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.ended = true;
        status.code()
    }

    /// The exit code of one that has ended by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.wait().expect("the process can be waited for");
        self.ended = true;
        status.code()
    }

    /// Kills it and all that it started, with no chance to tidy up.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        // A group that is gone already is what is wanted.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let first = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("---- {}, last lines of {} ----", self.name, lines.len());
            for line in &lines[first..] {
                eprintln!("{line}");
            }
        }
    }
}
