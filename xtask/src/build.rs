//! `cargo xtask build` and `cargo xtask demo`: the pages, then the binary beside them.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    setup, site,
    workspace::{Workspace, run, timed},
};

/// How the binary is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Dev,
    /// Fast to run.
    Release,
}

impl Profile {
    /// The folder in the target directory that cargo uses for it.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    /// The Brotli quality of the pages: what is shipped is compressed as far as it goes, and what
    /// is looked at once on a desk is not worth the wait.
    pub fn compression(self) -> site::Compression {
        match self {
            Self::Dev => site::Compression::Quick,
            Self::Release => site::Compression::Full,
        }
    }
}

/// What a build made.
pub struct Built {
    /// The binary `switchback`; it finds its pages in `site` beside itself.
    pub binary: PathBuf,
    /// The bytes a browser loads before the first island wakes.
    pub browser_code: site::BrowserCode,
}

/// Builds the pages into `site` beside the binary, then the binary.
pub fn build(
    workspace: &Workspace,
    profile: Profile,
    wasm: site::Wasm,
    compression: site::Compression,
) -> Result<Built> {
    setup::wasm_target()?;
    let folder = workspace.target.join(profile.folder());
    let browser_code = site::build(workspace, &folder, wasm, compression)?;
    timed("the binary", || {
        let mut cargo = workspace.cargo();
        cargo.args([
            "build",
            "--package",
            "switchback-server",
            "--bin",
            "switchback",
        ]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        run(&mut cargo)
    })?;
    let binary = binary(workspace, profile);
    eprintln!("built {}", binary.display());
    Ok(Built {
        binary,
        browser_code,
    })
}

/// Where cargo puts the binary.
pub fn binary(workspace: &Workspace, profile: Profile) -> PathBuf {
    let name = format!("switchback{}", std::env::consts::EXE_SUFFIX);
    workspace.target.join(profile.folder()).join(name)
}

/// Builds for a desk and becomes `switchback demo`, so that Ctrl-C reaches it and not us.
pub fn demo(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let built = build(
        workspace,
        Profile::Dev,
        site::Wasm::Small,
        Profile::Dev.compression(),
    )?;
    let mut command = Command::new(&built.binary);
    command.arg("demo").args(arguments).stdin(Stdio::inherit());
    become_command(command).with_context(|| format!("could not run {}", built.binary.display()))
}

#[cfg(unix)]
fn become_command(mut command: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    // Comes back only when it failed.
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Result<()> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1));
}
